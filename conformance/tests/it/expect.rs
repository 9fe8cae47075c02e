//! Known failures: what a list of them lets pass, and what makes it stale.

use std::path::PathBuf;
use std::process::Command;

use crate::toy::{Fault, Toy};

/// A folder of the test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("collab-expect-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Plays the cases of replays; gives the exit code and all that is written.
async fn ends(url: &str, expect: &str, more: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["run", "sync/", "--url", url, "--expect", expect], more].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_collab-conformance"));
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn assert_ends(ended: &(Option<i32>, String), code: i32, words: &str) {
    assert_eq!(ended.0, Some(code), "{}", ended.1);
    assert!(ended.1.contains(words), "{words} is not in {}", ended.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_lets_known_failures_pass_and_nothing_else() {
    let wrong = Toy::start(Some(Fault::ReplaySkipsFirst)).await;
    let right = crate::reference::start().await;
    let folder = Folder::new();
    let missing = folder.0.join("list").to_str().unwrap().to_owned();

    let ended = ends(&wrong, &missing, &[]).await;
    assert_ends(&ended, 2, "can't be read");
    let ended = ends(&wrong, &missing, &["--update-expect"]).await;
    assert_ends(&ended, 0, "failed");
    let written = std::fs::read_to_string(&missing).unwrap();
    let known = written.lines().filter(|line| !line.starts_with('#'));
    let known: Vec<&str> = known.collect();
    assert!(known.len() > 1, "{written}");
    assert!(
        known
            .iter()
            .all(|line| line.starts_with("sync/") && line.contains(" [")),
        "{written}"
    );

    let ended = ends(&wrong, &missing, &[]).await;
    assert_ends(&ended, 0, &format!("{} of these as expected", known.len()));
    assert!(!ended.1.contains("To play it alone"), "{}", ended.1);
    let ended = ends(right.url(), &missing, &[]).await;
    assert_ends(&ended, 1, "passed, and fail was expected");

    // Reasons of people's own stay, and what is right again goes.
    let (first, _) = known[0].split_once(' ').unwrap();
    let ours = format!("{first} fail ours\nhttp/health fail not played here\n");
    let ours = folder.file("ours", &ours);
    let ended = ends(&wrong, &ours, &[]).await;
    assert_ends(&ended, 1, "To play it alone");
    assert_ends(&ends(&wrong, &ours, &["--update-expect"]).await, 0, "");
    let text = std::fs::read_to_string(&ours).unwrap();
    assert!(text.contains(&format!("{first} fail ours\n")), "{text}");
    assert_eq!(text.lines().count(), known.len() + 1, "{text}");

    let other = folder.file("other", "sync/no-such-case fail it was renamed\n");
    let ended = ends(right.url(), &other, &[]).await;
    assert_ends(&ended, 1, "the suite has no such case");
    let bad = folder.file("bad", "sync/at-head fail\n");
    assert_ends(&ends(right.url(), &bad, &[]).await, 2, "line 1: ");
}
