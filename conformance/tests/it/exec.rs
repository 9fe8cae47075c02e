//! Servers that the suite starts itself: that it does so, watches them, and leaves none behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use collab_conformance::case::{self, Case};
use collab_conformance::exec::Exec;
use collab_conformance::report::{case_text, summary_text};
use collab_conformance::runner::Options;
use collab_conformance::target::Target;
use collab_spec::report::{CaseReport, ExitReason, Report, Verdict};

use crate::toy::{Fault, Life};

const SUITE: &str = env!("CARGO_BIN_EXE_collab-conformance");

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("collab-exec-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn suite(exec: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(SUITE);
    command.args(["run", "--exec", exec]).args(arguments);
    command.output().unwrap()
}

fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

/// The cases that end their server, and some others.
fn cases(beginnings: &[&str]) -> Vec<Case> {
    let mut cases = case::all().unwrap();
    cases.retain(|case| beginnings.iter().any(|start| case.id.starts_with(start)));
    assert!(!cases.is_empty());
    cases
}

fn exec(command: &str, scale: f64) -> Arc<Exec> {
    let like = Target::new("ws://127.0.0.1/ws").unwrap();
    Arc::new(Exec::new(command, None, &like, scale).unwrap())
}

/// The report on a toy, of some cases.
async fn play(life: Life, fault: Option<Fault>, beginnings: &[&str]) -> Report {
    // What stalls is found out by waiting.
    let scale = if life == Life::StallsOfBinary {
        0.2
    } else {
        2.0
    };
    let exec = exec(&life.command(fault), scale);
    let options = Options {
        timeout_scale: scale,
        ..Options::default()
    };
    let played = collab_conformance::run(Arc::clone(&exec), &cases(beginnings), options).await;
    let report = played.unwrap();
    let server = report.server.as_ref().unwrap();
    assert_eq!(server.started, server.exits.len(), "{server:#?}");
    report
}

fn failures(report: &Report) -> Vec<String> {
    let failed = |case: &&CaseReport| case.verdict != Verdict::Pass;
    let failed = report.cases.iter().filter(failed);
    failed.map(|case| case_text(case, "--exec CMD")).collect()
}

fn assert_all_pass(report: &Report) {
    let failed = failures(report);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_server_is_started_by_port_or_by_its_line_and_ends_with_the_run() {
    let folder = Folder::new("started");
    let path = folder.0.join("report.json");
    for arguments in ["--port {port}", ""] {
        let exec = format!("'{SUITE}' serve {arguments}");
        let report = path.to_str().unwrap();
        let some = [
            "http/",
            "close/shutdown",
            "resume/killed",
            "resume/restarted",
        ];
        let output = suite(&exec, &[&["--report", report][..], &some].concat());
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
        let report = std::fs::read_to_string(&path).unwrap();
        let report: Report = serde_json::from_str(&report).unwrap();
        assert_all_pass(&report);
        assert!(report.cases.len() > 10);
        let server = report.server.unwrap();
        assert_eq!(server.started, server.exits.len());
        for exit in &server.exits {
            match exit.why {
                ExitReason::Terminated => assert_eq!(exit.status, "exit code 0"),
                ExitReason::Killed => assert_eq!(exit.signal, Some(9)),
                _ => panic!("{exit:#?}"),
            }
        }
        let address = report.target.strip_prefix("ws://").unwrap();
        let address = address.strip_suffix("/ws").unwrap();
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}

#[test]
fn jitter_stands_between_the_suite_and_each_server() {
    // Each turn takes up to 400 ms, and 200 on the average.
    let jitter = ["--jitter", "200", "--exact", "session/early-op"];
    let exec = format!("'{SUITE}' serve --port {{port}}");
    let output = suite(&exec, &jitter);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let builtin = Command::new(SUITE)
        .arg("run")
        .args(jitter)
        .output()
        .unwrap();
    assert_eq!(builtin.status.code(), Some(0), "{}", words(&builtin));
    for output in [output, builtin] {
        let text = words(&output);
        let (before, _) = text.rsplit_once(" s against ").unwrap();
        let took: f64 = before.split_whitespace().last().unwrap().parse().unwrap();
        assert!(took > 0.2, "{text}");
    }
}

#[test]
fn a_command_that_starts_no_server_is_3_with_a_sentence() {
    for (command, sentence) in [
        ("no-such-server --port {port}", "can't be run: No such file"),
        (
            "cd / && no-such-server {port}",
            "ended before it was ready (exit code 127)",
        ),
        (
            "sh -c 'echo out of luck >&2; exit 4'",
            "(exit code 4); its last words:\n  out of luck",
        ),
        (
            "echo listening on ws://127.0.0.1:1/ws",
            "ended before it was ready (exit code 0)",
        ),
        ("sleep 60", "no line with a ws:// URL"),
        ("sleep {port}", "took no connections on port"),
        ("sh -c 'echo ws://u@h/; sleep 60'", "has a user name"),
    ] {
        let output = suite(command, &["--timeout-scale", "0.01", "http/"]);
        let text = words(&output);
        assert_eq!(output.status.code(), Some(3), "{command}: {text}");
        assert!(
            text.starts_with("error: no server can be tested: "),
            "{text}"
        );
        assert!(text.contains(sentence), "{command}: {text}");
    }
}

#[test]
fn a_wrong_command_line_is_2_with_a_sentence() {
    for (command, more, sentence) in [
        ("", &[][..], "the command is empty"),
        ("'x", &[], "a quote that is not closed"),
        ("x", &["--url", "ws://a/ws"], "needs {port} in both"),
        ("x {port}", &["--url", "ws://a/ws"], "needs {port} in both"),
        (
            "x {port}",
            &["--url", "http://a:{port}/"],
            "write ws://HOST:PORT/ws",
        ),
    ] {
        let output = suite(command, more);
        let text = words(&output);
        assert_eq!(output.status.code(), Some(2), "{command}: {text}");
        assert!(text.contains(sentence), "{command}: {text}");
    }
}

#[test]
fn a_broken_should_fails_a_strict_run_alone() {
    let command = Life::Forgets.command(Some(Fault::ResyncAlways));
    let lenient = suite(&command, &["sync/replay-middle"]);
    assert_eq!(lenient.status.code(), Some(0), "{}", words(&lenient));
    let strict = suite(&command, &["--strict", "sync/replay-middle"]);
    assert_eq!(strict.status.code(), Some(1), "{}", words(&strict));
    assert!(words(&strict).contains("warn sync/replay-middle  ["));
}

#[test]
fn with_fail_fast_nothing_is_played_after_the_first_failure() {
    let command = Life::Forgets.command(Some(Fault::ReplayReversed));
    let output = suite(&command, &["--fail-fast", "--test-threads", "1", "sync/"]);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("\n    1 failed  "), "{words}");
    assert!(
        words.contains(" not played: a case has failed (--fail-fast)"),
        "{words}"
    );
}

#[test]
fn without_exec_cases_that_end_their_server_are_untestable() {
    let output = Command::new(SUITE)
        .args(["run", "close/shutdown", "http/"])
        .output()
        .unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("--exec 'CMD' makes it playable"), "{text}");
    let cases = collab_conformance::case::all().unwrap();
    let ends = cases
        .iter()
        .filter(|case| case.id.contains("close/shutdown"));
    let count = format!(" {} untestable", ends.count());
    assert!(text.contains(&count), "{text}");
}

#[test]
fn a_server_with_one_port_for_all_is_said_to_have_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let exec = format!("'{SUITE}' serve --port {port}");
    let output = suite(&exec, &["http/", "close/shutdown"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let sentence = "no further server can be started beside or after the first";
    assert!(text.contains(sentence), "{text}");
    assert!(
        text.contains("give every server a port of its own"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_forget_and_servers_that_keep_pass() {
    for life in [Life::Forgets, Life::Keeps] {
        let ends = ["close/shutdown", "resume/killed", "resume/restarted"];
        assert_all_pass(&play(life, None, &ends).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_do_wrong_at_their_end_is_named() {
    for (life, fault, case, requirement) in [
        (Life::Repeats, None, "resume/killed", "resume.new-history"),
        (
            Life::Repeats,
            None,
            "resume/restarted",
            "resume.new-history",
        ),
        (
            Life::Repeats,
            None,
            "resume/killed-twice",
            "resume.new-history",
        ),
        (
            Life::Repeats,
            None,
            "resume/killed-and-overtaken",
            "resume.new-history",
        ),
        (
            Life::Repeats,
            None,
            "resume/killed-in-mid-typing",
            "resume.new-history",
        ),
        (
            Life::Repeats,
            None,
            "resume/killed-with-nothing-written",
            "resume.new-history",
        ),
        (Life::LosesLast, None, "resume/killed", "resume.new-history"),
        (
            Life::Forgets,
            Some(Fault::EpochIgnored),
            "resume/killed-and-overtaken",
            "resume.other-epoch",
        ),
        (
            Life::Forgets,
            Some(Fault::OpEpochIgnored),
            "resume/killed-and-op-of-before",
            "resume.other-op-epoch",
        ),
        (Life::Leaves, None, "close/shutdown", "close.shutdown"),
        (Life::HangsUp, None, "close/shutdown", "close.shutdown"),
        (
            Life::HangsUp,
            None,
            "close/shutdown-in-mid-typing",
            "close.shutdown",
        ),
        (
            Life::HangsUp,
            None,
            "close/shutdown-beside-a-stalled-reader",
            "close.shutdown",
        ),
    ] {
        let report = play(life, fault, &[case]).await;
        let failed = report
            .cases
            .iter()
            .find(|played| played.id == case)
            .unwrap();
        let text = case_text(failed, "--exec CMD");
        assert_eq!(failed.verdict, Verdict::Fail, "{life:?}: {text}");
        let named = failed
            .breaches
            .iter()
            .map(|breach| breach.requirement.as_str());
        assert_eq!(named.clone().next(), Some(requirement), "{life:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_grows_without_a_bound_is_a_breach_and_its_figure_is_kept() {
    let _alone = crate::ALONE.lock().await;
    let only = ["slow/memory-bounded"];
    let fault = Some(Fault::SlowNeverClosed);
    let report = play(Life::Forgets, fault, &only).await;
    let case = &report.cases[0];
    assert_eq!(case.verdict, Verdict::Fail, "{:#?}", case.measurements);
    assert_eq!(case.breaches[0].requirement, "slow.ceiling");
    assert_eq!(case.measurements.len(), 4);
    let figures = case.measurements.iter().map(|figure| figure.value);
    assert!(figures.min().is_some_and(|least| least > 1 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_or_stalls_fails_the_case_that_did_it_and_no_other() {
    let _alone = crate::ALONE.lock().await;
    for (life, why) in [
        (Life::DiesOfBinary, ExitReason::Died),
        (Life::StallsOfBinary, ExitReason::Hung),
    ] {
        let some = [
            "close/first-",
            "close/later-not-json",
            "close/later-schema",
            "http/",
        ];
        let report = play(life, None, &some).await;
        let failed: Vec<&CaseReport> = report
            .cases
            .iter()
            .filter(|case| case.verdict != Verdict::Pass)
            .collect();
        assert_eq!(failed.len(), 1, "{}", failures(&report).join("\n"));
        assert_eq!(failed[0].id, "close/first-binary");
        let exit = failed[0].exit.as_ref().unwrap();
        assert_eq!(
            (exit.why, exit.cases.as_slice()),
            (why, &["close/first-binary".to_owned()][..])
        );
        let message = failed[0].message.as_deref().unwrap();
        if life == Life::DiesOfBinary {
            assert_eq!(exit.code, Some(7));
            assert_eq!(exit.stderr_tail, ["fatal: what is this?", "it is binary"]);
            assert!(message.starts_with("the server ended by itself in this case (exit code 7)"));
            let text = case_text(failed[0], "--exec x");
            let said =
                "The last lines of its stderr:\n    fatal: what is this?\n    it is binary\n";
            assert!(text.contains(said), "{text}");
            assert!(text.contains("collab-conformance run --exec x --exact close/first-binary"));
        } else {
            assert!(
                message.starts_with("the server stopped answering in this case"),
                "{message}"
            );
        }
        // The cases that shared its server are named with it, and were played again alone.
        let exits = &report.server.as_ref().unwrap().exits;
        let shared = exits.iter().filter(|exit| exit.why == why).count();
        assert_eq!(shared, 2, "{exits:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_end_is_killed_and_that_is_said() {
    let exec = exec(&Life::Stays.command(None), 0.1);
    let options = Options {
        timeout_scale: 0.1,
        ..Options::default()
    };
    let cases = cases(&["http/health"]);
    let report = collab_conformance::run(exec, &cases, options)
        .await
        .unwrap();
    assert_all_pass(&report);
    assert_eq!(
        report.server.as_ref().unwrap().exits[0].why,
        ExitReason::Overdue
    );
    let text = summary_text(&report);
    assert!(
        text.contains("did not end within 10 s of SIGTERM and was killed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_suite_leaves_no_server() {
    let _alone = crate::ALONE.lock().await;
    for (signal, through_shell) in [("INT", false), ("TERM", true)] {
        let folder = Folder::new("interrupted");
        let noted = folder.0.join("urls");
        // The shell stays between the suite and the server, and has a process beside it.
        let exec = match through_shell {
            true => {
                let noted = noted.display();
                format!(
                    "echo {{dir}} >>'{noted}'; tail -f '{noted}' & '{SUITE}' serve | tee -a '{noted}'"
                )
            }
            false => format!("sh -c \"'{SUITE}' serve | tee -a '{}'\"", noted.display()),
        };
        let mut command = tokio::process::Command::new(SUITE);
        command.args(["run", "--exec", &exec, "slow/", "close/"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
        let said = loop {
            look.tick().await;
            let text = std::fs::read_to_string(&noted).unwrap_or_default();
            if text.matches("listening").count() >= 2 {
                break text;
            }
        };
        let id = child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().await.unwrap().code(), Some(130));
        let left = processes_with(noted.to_str().unwrap());
        assert!(left.is_empty(), "{left:#?}");
        let dirs = said.lines().filter(|line| !line.contains("ws://"));
        for dir in dirs {
            assert!(!Path::new(dir).exists(), "{dir}");
        }
    }
}

/// The command lines of processes that have a text on theirs; that of a zombie is empty.
fn processes_with(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_leaves_no_server() {
    let exec = exec(&format!("'{SUITE}' serve"), 1.0);
    let instance = exec.start().await.unwrap();
    let (held, leash) = (Arc::clone(&exec), exec.leash());
    let panicked = std::thread::spawn(move || {
        let _leash = leash;
        let _exec = held;
        panic!("on purpose, in a test");
    });
    assert!(panicked.join().is_err());
    assert!(
        instance
            .ended_within(std::time::Duration::from_secs(10))
            .await
    );
    let refused = exec.start().await.unwrap_err().to_string();
    assert!(refused.contains("about to end"), "{refused}");
}
