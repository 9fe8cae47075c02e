//! Captured traffic: that of right servers is never accused, however it was captured; that of wrong ones
//! is, by the requirement that they break.

mod lines;
mod long;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use collab_conformance::case;
use collab_conformance::runner::{FirstContact, Options, Session};
use collab_conformance::verify::{Graded, Verifier};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::matrix::play::servers;
use crate::toy::Fault;

/// Faults that the traffic of their cases shows to somebody who knows nothing of the cases.
const SHOWN: &[Fault] = &[
    Fault::AckTwice,
    Fault::AckAfterResync,
    Fault::SyncLate,
    Fault::ReplayFromL,
    Fault::ReplayThenResync,
    Fault::ResyncToAll,
    Fault::ResyncBehind,
    Fault::ResyncStale,
    Fault::EchoTwice,
    Fault::EchoWithExtras,
    Fault::EchoComposed,
    Fault::EchoEverywhere,
    Fault::OpsOvertake,
    Fault::ResendSequenced,
    Fault::ResendAnsweredTwice,
    Fault::ResendBroadcast,
    Fault::SameInsertSequenced,
    Fault::MessageIdReused,
    Fault::IdTakenAccepted,
    Fault::ReplayRenamed,
    Fault::PlainSeqs,
    Fault::ReasonPlain,
    Fault::BinaryFails,
    Fault::NotJsonPrivate,
    Fault::GrantsUnasked,
    Fault::EpochUnsaid,
    Fault::AtHeadResynced,
    Fault::SpansOfOne,
    Fault::StateStale,
    Fault::SnapshotBeforeSync,
    Fault::PresenceWithTime,
    Fault::SnapshotInBinary,
];

/// Faults that it shows where it is known to be whole.
const SHOWN_WHOLE: &[Fault] = &[
    Fault::AckBehind,
    Fault::EchoOriginLost,
    Fault::BeyondHeadRefused,
    Fault::EpochOfConnection,
    Fault::PresenceToSender,
    Fault::PresenceKnownOnly,
    Fault::PresenceOlderLast,
    Fault::PresenceAnySize,
];

/// The addon for mitmproxy in the docs is the one that is tested.
#[test]
fn the_docs_have_the_addon_that_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(folder.join("../docs/verifying-traffic.md")).unwrap();
    let addon = fs::read_to_string(folder.join("tests/capture/mitmproxy_capture.py")).unwrap();
    assert!(
        page.contains(&addon),
        "docs/verifying-traffic.md lacks the addon"
    );
}

/// A folder of its own, which is gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("collab-verify-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn graded<'a>(is_whole: bool, captures: impl IntoIterator<Item = &'a str>) -> Graded {
    let mut verifier = Verifier::new(is_whole);
    for (number, capture) in captures.into_iter().enumerate() {
        let name = format!("capture-{number}");
        verifier.read(&name, capture.as_bytes()).unwrap();
    }
    verifier.finish()
}

fn assert_green(graded: &Graded, what: &str) {
    assert!(graded.broken.is_empty(), "{what}: {}", graded.text());
}

/// Traffic of a right server in a folder, as it is and as others might have captured it: green.
pub(crate) fn assert_all_green(folder: &Path) {
    let mut one = Verifier::new(false);
    let mut one_whole = Verifier::new(true);
    let mut all = String::new();
    for (number, path) in files(folder).iter().enumerate() {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).unwrap();
        one.read(&name, text.as_bytes()).unwrap();
        one_whole.read(&name, text.as_bytes()).unwrap();
        // The floods would only take their time.
        if text.len() < 1 << 17 {
            let lines: Vec<&str> = text.lines().collect();
            all.extend(lines.iter().map(|line| renamed(line, number)));
            for (how, other) in captured_otherwise(&lines) {
                let graded = graded(false, [other.as_str()]);
                assert_green(&graded, &format!("{name}, {how}"));
            }
        }
    }
    let one = one.finish();
    assert!(
        one.counts.received > 10_000 && one.counts.texts > 1_000,
        "{}",
        one.text()
    );
    assert_green(&one, "all, one after the other");
    assert_green(&one_whole.finish(), "all, each whole");
    for is_whole in [false, true] {
        assert_green(&graded(is_whole, [all.as_str()]), "all in one");
    }
}

/// A line with a connection that no other capture has.
fn renamed(line: &str, number: usize) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let name = format!("{number}/{}", value["connection"].as_str().unwrap());
    value["connection"] = name.into();
    format!("{value}\n")
}

fn field(line: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The same traffic as other clocks and other ends have it.
fn captured_otherwise(lines: &[&str]) -> Vec<(&'static str, String)> {
    let mut by_connection: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut has_restarts = false;
    for line in lines {
        has_restarts |= field(line, "kind") == "server";
        let of = by_connection.entry(field(line, "connection"));
        of.or_default().push(line);
    }
    let joined = |parts: &mut dyn Iterator<Item = &Vec<&str>>| {
        let lines: Vec<&str> = parts.flatten().copied().collect();
        lines.join("\n") + "\n"
    };
    let mut otherwise = vec![
        ("begun in the middle", lines[lines.len() / 2..].join("\n")),
        (
            "begun at the third line",
            lines[lines.len().min(2)..].join("\n"),
        ),
        ("cut in a line", {
            let text = lines.join("\n");
            let end = (0..=text.len() * 2 / 3).rev();
            text[..end
                .into_iter()
                .find(|at| text.is_char_boundary(*at))
                .unwrap()]
                .to_owned()
        }),
        ("without openings", {
            let kept = lines.iter().filter(|line| field(line, "kind") != "open");
            kept.copied().collect::<Vec<_>>().join("\n")
        }),
    ];
    // Where servers end and begin, the order of the clock is all there is.
    if !has_restarts {
        otherwise.extend([
            (
                "one connection after the other",
                joined(&mut by_connection.values()),
            ),
            (
                "the last connection first",
                joined(&mut by_connection.values().rev()),
            ),
            (
                "every other connection",
                joined(&mut by_connection.values().step_by(2)),
            ),
        ]);
    }
    otherwise
}

/// The requirements that the traffic of a fault's cases shows broken, without and with its being whole.
async fn shown(fault: Fault) -> [BTreeSet<String>; 2] {
    let folder = Folder::new(&format!("{fault:?}"));
    let mut cases = case::all().unwrap();
    cases.retain(|case| {
        let mut starts = fault.cases().iter();
        !case.own_server && starts.any(|start| case.id.starts_with(start))
    });
    let options = Options {
        timeout_scale: 0.5,
        first_contact: FirstContact::Skipped,
        traces: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let session = Session::new(servers(fault, &cases, options.timeout_scale).await, options);
    let reports = futures_util::stream::iter(&cases).map(|case| session.play(case));
    let _: Vec<_> = reports.buffer_unordered(8).collect().await;
    let texts: Vec<String> = files(folder.path())
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    [false, true].map(|is_whole| {
        let graded = graded(is_whole, texts.iter().map(String::as_str));
        graded.broken.into_keys().collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_shown_by_their_requirement() {
    let _alone = crate::ALONE.lock().await;
    let due = SHOWN.iter().map(|fault| (*fault, false));
    let due_whole = SHOWN_WHOLE.iter().map(|fault| (*fault, true));
    let missed: Vec<String> = futures_util::stream::iter(due.chain(due_whole))
        .map(|(fault, is_whole)| async move {
            let shown = &shown(fault).await[usize::from(is_whole)];
            let named = shown.contains(fault.requirement());
            (!named).then(|| format!("{fault:?}: {} not in {shown:?}", fault.requirement()))
        })
        .buffer_unordered(4)
        .filter_map(|missed| async move { missed })
        .collect()
        .await;
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Prints which faults belong into the tables above.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is for those who change the tables"]
async fn which_faults_are_shown() {
    let shown = futures_util::stream::iter(Fault::ALL)
        .map(|&fault| async move { (fault, shown(fault).await) })
        .buffer_unordered(8);
    let mut shown = std::pin::pin!(shown);
    while let Some((fault, shown)) = shown.next().await {
        let [some, whole] = shown.map(|shown| shown.contains(fault.requirement()));
        println!("{some} {whole} {fault:?} {}", fault.requirement());
    }
}
