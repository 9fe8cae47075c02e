//! The random histories: right servers pass them, and faults are found and made small.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use collab_conformance::properties::activity::{Activity, Count};
use collab_conformance::properties::counterexample::counterexample;
use collab_conformance::properties::search::{Findings, Search};
use collab_conformance::properties::server::Server;
use collab_conformance::properties::shrink::{CONFIRMATIONS, shrink};
use collab_conformance::properties::{How, Kind, plan_of};
use collab_conformance::target::Target;
use collab_spec::profile::Profile;
use futures_util::StreamExt as _;

use crate::toy::{Fault, Life, Toy};

/// What the toy offers.
const OFFERED: [Profile; 4] = [
    Profile::Resume,
    Profile::State,
    Profile::Runs,
    Profile::Presence,
];

fn server(url: &str) -> Server {
    Server::from(Arc::new(Target::new(url).unwrap()))
}

fn search(kinds: &[Kind], cases: u64, offered: &[Profile]) -> Search {
    Search {
        seed: 1,
        cases,
        until_all: false,
        time_budget: None,
        kinds: kinds.to_vec(),
        concurrency: 4,
        timeout_scale: 4.0,
        how: How {
            offered: offered.to_vec(),
            chaos: None,
        },
        chaos: false,
    }
}

fn assert_right(findings: &Findings, cases: u64) {
    if let Some(case) = &findings.fault {
        panic!(
            "{} {}\n{}\n{:#?}\n{:?}",
            case.kind.name(),
            case.seed,
            case.plan,
            case.played.breaches,
            case.played.harness
        );
    }
    assert_eq!(findings.cases, cases);
    let lacking: Vec<_> = findings.lacking();
    assert!(
        lacking.is_empty(),
        "{lacking:#?}\n{}",
        findings.all_activity()
    );
    println!("{}", findings.all_activity());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_passes() {
    let _alone = crate::ALONE.lock().await;
    let server = Server::from(Arc::new(crate::reference::start().await));
    let cases = 50 * Kind::ALL.len() as u64;
    let findings = search(&Kind::ALL, cases, &Profile::ALL).run(&server).await;
    assert_right(&findings, cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_toy_passes() {
    let _alone = crate::ALONE.lock().await;
    let server = server(&Toy::start(None).await);
    let kinds = Search::kinds_for(&OFFERED);
    let cases = 50 * kinds.len() as u64;
    let findings = search(&kinds, cases, &OFFERED).run(&server).await;
    assert_right(&findings, cases);
}

/// What must come of a fault: it is found, made small, and written as a scenario that shows it.
struct Wanted {
    fault: Fault,
    /// The requirement that the scenario names, or one of them where it depends on what is awaited when
    /// the fault shows.
    names: &'static [&'static str],
}

const WANTED: [Wanted; 14] = [
    wanted(Fault::SiblingsAscending, &["crdt.sibling-order"]),
    wanted(Fault::LamportAsText, &["crdt.lamport-order"]),
    wanted(Fault::ReplicaAscending, &["crdt.replica-order"]),
    wanted(Fault::EarlyInsertLost, &["crdt.pending-applies"]),
    wanted(
        Fault::EarlyOpRefused,
        &["crdt.pending-accepted", "seq.fan-out"],
    ),
    wanted(Fault::DeleteTakesChildren, &["crdt.tombstone-children"]),
    wanted(Fault::DeleteToggles, &["crdt.tombstone"]),
    wanted(Fault::ResendSequenced, &["submit.resend"]),
    wanted(Fault::ResendBroadcast, &["submit.answer-private"]),
    wanted(Fault::SameInsertSequenced, &["submit.same-insert"]),
    wanted(Fault::DeleteAgainDropped, &["submit.del-again"]),
    wanted(Fault::ReplaySkipsFirst, &["sync.replay-exact"]),
    wanted(Fault::ReplayMissesLast, &["sync.replay-exact"]),
    wanted(Fault::StateWithoutTombstones, &["state.elements"]),
];

/// How many faults are hunted at once.
const HUNTS: usize = 4;

const fn wanted(fault: Fault, names: &'static [&'static str]) -> Wanted {
    Wanted { fault, names }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_found_and_become_short_scenarios() {
    let _alone = crate::ALONE.lock().await;
    let reference = crate::reference::start().await;
    let folder = std::env::temp_dir().join(format!("collab-found-{}", std::process::id()));
    // They mostly wait, for what a wrong server does not send.
    let hunts = WANTED.iter().map(|wanted| {
        let (url, folder) = (reference.url(), &folder);
        async move {
            // Two faults may break one requirement, and scenarios are named by it.
            let folder = folder.join(format!("{:?}", wanted.fault));
            let why = hunt(wanted, url, &folder).await.err()?;
            Some(format!("{:?}: {why}", wanted.fault))
        }
    });
    let problems: Vec<Option<String>> = futures_util::stream::iter(hunts)
        .buffer_unordered(HUNTS)
        .collect()
        .await;
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn hunt(wanted: &Wanted, reference: &str, folder: &Path) -> Result<(), String> {
    let url = Toy::start(Some(wanted.fault)).await;
    let server = server(&url);
    let mut search = search(&Search::kinds_for(&OFFERED), 200, &OFFERED);
    search.timeout_scale = 0.5;
    let found = search.run(&server).await.fault.ok_or("is not found")?;
    // Far more than it takes, but on a busy machine.
    let within = Duration::from_secs(120);
    let shrunk = shrink(&found, &server, &search.how, search.timeout_scale, within).await;
    let steps = shrunk.case.plan.steps.len();
    if steps > 4 || shrunk.confirmed < CONFIRMATIONS {
        return Err(format!(
            "{steps} steps are left, confirmed {} times:\n{}",
            shrunk.confirmed, shrunk.case.plan
        ));
    }
    let example = counterexample(&shrunk, &server, &search.how, search.timeout_scale).await;
    let example = example.ok_or("no scenario shows it")?;
    let text = example.text();
    let about = example.scenario.requirements[0].as_str();
    if example.scenario.steps.len() > 12 || !wanted.names.contains(&about) {
        return Err(format!("the scenario is long or about {about}:\n{text}"));
    }
    let file = example.write(folder)?;
    let problems = collab_conformance::files::scenario_problems(&file);
    if !problems.is_empty() {
        return Err(format!("{problems:?} are wrong in\n{text}"));
    }
    let (code, output) = run_scenario(&url, &file).await;
    if code != Some(1) || !output.contains(&format!("[{about}]")) {
        return Err(format!("ends with {code:?} on the toy:\n{output}\n{text}"));
    }
    let (code, output) = run_scenario(reference, &file).await;
    if code != Some(0) {
        return Err(format!(
            "ends with {code:?} on the reference:\n{output}\n{text}"
        ));
    }
    Ok(())
}

async fn run_scenario(url: &str, file: &Path) -> (Option<i32>, String) {
    suite(&["run", "--url", url, "--scenario", file.to_str().unwrap()]).await
}

/// The command's exit code, and what it writes.
async fn suite(arguments: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
    let run = move || {
        let program = env!("CARGO_BIN_EXE_collab-conformance");
        Command::new(program).args(arguments).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.code(),
        text + &String::from_utf8_lossy(&output.stderr),
    )
}

async fn assert_ends(arguments: &[&str], code: i32, words: &[&str]) {
    let (ended, text) = suite(arguments).await;
    assert_eq!(ended, Some(code), "{arguments:?}: {text}");
    for part in words {
        assert!(text.contains(part), "{arguments:?} lacks {part:?}: {text}");
    }
}

#[tokio::test]
async fn a_fault_that_is_gone_is_said_to_be() {
    let server = server(&Toy::start(Some(Fault::SiblingsAscending)).await);
    let search = search(&Kind::ALL, 50, &OFFERED);
    let found = search.run(&server).await.fault.unwrap();
    let right = Server::from(Arc::new(crate::reference::start().await));
    let within = Duration::from_secs(5);
    let shrunk = shrink(&found, &right, &search.how, 1.0, within).await;
    assert_eq!((shrunk.confirmed, &shrunk.case.plan), (0, &found.plan));
    // Nor is anything tried when there is no time.
    let shrunk = shrink(&found, &server, &search.how, 1.0, Duration::ZERO).await;
    assert_eq!((shrunk.tries, &shrunk.case.plan), (0, &found.plan));
    assert_eq!(shrunk.confirmed, CONFIRMATIONS);
}

#[tokio::test]
async fn what_goes_wrong_only_beside_others_is_looked_for_in_one_history() {
    let server = server(&Toy::start(Some(Fault::EchoEverywhere)).await);
    let search = search(&Search::kinds_for(&OFFERED), 50, &OFFERED);
    let found = search.run(&server).await.fault.unwrap();
    assert_eq!(found.kind, Kind::ManyDocuments);
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_until_the_history_is_small() {
    let exec = Life::DiesOfDelete.command(None);
    let folder = std::env::temp_dir().join(format!("collab-dies-{}", std::process::id()));
    let out = folder.to_str().unwrap();
    let arguments = ["properties", "--exec", &exec, "--seed", "1", "--out", out];
    let (code, text) = suite(&arguments).await;
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "exit code 7",
        "fatal: there is nothing to delete",
        "deterministic",
        "0 of its 31 steps left",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, file) = text.rsplit_once("--scenario ").unwrap();
    let file = file.lines().next().unwrap();
    let played = ["run", "--exec", &exec, "--scenario", file];
    assert_ends(&played, 1, &["exit code 7", file]).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_seed_is_said_and_played_again_and_too_few_histories_are_not_green() {
    let seeded = ["properties", "--seed", "7", "--cases", "1"];
    let said = ["from seed 7 on", "the history of seed 7 went right"];
    assert_ends(&seeded, 0, &said).await;
    let few = ["properties", "--kind", "lossy", "--cases", "1"];
    let lacking = [
        "1 histories from seed",
        "error: lossy had no ",
        "so few histories show nothing",
    ];
    assert_ends(&few, 2, &lacking).await;
    // Where chance did not bring about all in those asked for, further ones do.
    let further = [
        "properties",
        "--kind",
        "lossy",
        "--seed",
        "7",
        "--cases",
        "2",
    ];
    assert_ends(&further, 0, &["histories from seed 7 on went right"]).await;
    let none = ["properties", "--time-budget", "0"];
    assert_ends(&none, 2, &["so few histories show nothing"]).await;
    let unknown = ["properties", "--kind", "nope"];
    assert_ends(&unknown, 2, &["possible values: one-document, early"]).await;
    assert_ends(&["properties", "--cases", "0"], 2, &["1 or more"]).await;
    let nobody = ["properties", "--url", "ws://127.0.0.1:1/ws"];
    assert_ends(&nobody, 3, &["no server can be reached"]).await;
}

#[test]
fn a_seed_has_one_plan_and_seeds_differ() {
    for kind in Kind::ALL {
        assert_eq!(plan_of(kind, 3), plan_of(kind, 3));
        assert_ne!(plan_of(kind, 3), plan_of(kind, 4));
    }
}

#[test]
fn a_run_that_has_brought_about_nothing_lacks_what_histories_are_for() {
    let idle = Activity::default();
    let mut replaying = Activity::default();
    replaying.add(Count::ReplaysCompared);
    for kind in Kind::ALL {
        let lacking = kind.lacks(&replaying, &Profile::ALL);
        assert_eq!(lacking, kind.calls_for());
        assert!(lacking.contains(&Count::Siblings) && lacking.contains(&Count::UnderTombstones));
        // A server need not replay, nor offer anything.
        let plain = kind.lacks(&idle, &[Profile::Core]);
        assert!(plain.iter().all(|count| !count.is_of_replays()));
        assert!(plain.iter().all(|count| count.profile().is_none()));
    }
    let calls = |kind: &Kind| kind.calls_for().contains(&Count::DuringReplay);
    assert!(Kind::ALL.iter().filter(|kind| calls(kind)).count() >= 2);
}

#[tokio::test]
#[ignore = "takes minutes, and prints a figure"]
async fn how_many_faults_the_histories_find() {
    let _alone = crate::ALONE.lock().await;
    let reference = crate::reference::start().await;
    let folder = std::env::temp_dir().join(format!("collab-figure-{}", std::process::id()));
    let only = std::env::var("FAULTS").unwrap_or_default();
    let (mut found, mut short, mut wrong) = (0, 0, Vec::new());
    let is_asked = |fault: &&Fault| only.is_empty() || only.contains(&format!("{fault:?}"));
    let faults: Vec<Fault> = Fault::ALL.iter().filter(is_asked).copied().collect();
    for &fault in &faults {
        let server = server(&Toy::start(Some(fault)).await);
        let mut search = search(&Search::kinds_for(&OFFERED), 120, &OFFERED);
        search.timeout_scale = 0.4;
        let Some(case) = search.run(&server).await.fault else {
            println!("{fault:?} ({}): not found", fault.requirement());
            continue;
        };
        found += 1;
        let within = Duration::from_secs(10);
        let shrunk = shrink(&case, &server, &search.how, 0.4, within).await;
        let example = counterexample(&shrunk, &server, &search.how, 0.4).await;
        println!(
            "{fault:?} ({}): found as {}, {} steps left, {} of {CONFIRMATIONS}",
            fault.requirement(),
            shrunk.case.played.broken().unwrap().requirement,
            shrunk.case.plan.steps.len(),
            shrunk.confirmed,
        );
        let Some(example) = example else {
            println!("    no scenario\n{}", shrunk.case.plan);
            continue;
        };
        let (steps, about) = (example.scenario.steps.len(), &example.scenario.requirements);
        println!("    scenario of {steps} steps about {about:?}");
        short += usize::from(steps <= 12);
        let file = example.write(&folder).unwrap();
        let (code, output) = run_scenario(reference.url(), &file).await;
        if code != Some(0) {
            wrong.push(format!("{fault:?}:\n{output}\n{}", example.text()));
        }
    }
    println!(
        "{found} of {} faults found, {short} of them as scenarios of at most 12 steps",
        faults.len()
    );
    let _ = std::fs::remove_dir_all(&folder);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
