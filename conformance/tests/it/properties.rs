//! The random histories: right servers pass them, and faults are found and made small.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use collab_conformance::properties::counterexample::counterexample;
use collab_conformance::properties::search::{Findings, Search};
use collab_conformance::properties::shrink::{CONFIRMATIONS, shrink};
use collab_conformance::properties::{How, Kind};
use collab_conformance::target::Target;
use collab_spec::profile::Profile;

use crate::toy::{Fault, Toy};

/// What the toy offers.
const OFFERED: [Profile; 3] = [Profile::Resume, Profile::State, Profile::Presence];

fn search(kinds: &[Kind], cases: u64, offered: &[Profile]) -> Search {
    Search {
        seed: 1,
        cases,
        time_budget: None,
        kinds: kinds.to_vec(),
        concurrency: 4,
        timeout_scale: 4.0,
        how: How {
            offered: offered.to_vec(),
            chaos: false,
        },
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
    let target = Arc::new(crate::reference::start().await);
    let cases = 50 * Kind::ALL.len() as u64;
    let findings = search(&Kind::ALL, cases, &Profile::ALL).run(&target).await;
    assert_right(&findings, cases);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_toy_passes() {
    let _alone = crate::ALONE.lock().await;
    let target = Arc::new(Target::new(&Toy::start(None).await).unwrap());
    let kinds = Search::kinds_for(&OFFERED);
    let cases = 50 * kinds.len() as u64;
    let findings = search(&kinds, cases, &OFFERED).run(&target).await;
    assert_right(&findings, cases);
}

/// What must come of a fault: it is found, made small, and written as a scenario that shows it.
struct Wanted {
    fault: Fault,
    /// The requirement that the scenario names.
    names: &'static str,
}

const WANTED: [Wanted; 14] = [
    wanted(Fault::SiblingsAscending, "crdt.sibling-order"),
    wanted(Fault::LamportAsText, "crdt.lamport-order"),
    wanted(Fault::ReplicaAscending, "crdt.replica-order"),
    wanted(Fault::EarlyInsertLost, "crdt.pending-applies"),
    wanted(Fault::EarlyOpRefused, "crdt.pending-accepted"),
    wanted(Fault::DeleteTakesChildren, "crdt.tombstone-children"),
    wanted(Fault::DeleteToggles, "crdt.tombstone"),
    wanted(Fault::ResendSequenced, "submit.resend"),
    wanted(Fault::ResendBroadcast, "submit.answer-private"),
    wanted(Fault::SameInsertSequenced, "submit.same-insert"),
    wanted(Fault::DeleteAgainDropped, "submit.del-again"),
    wanted(Fault::ReplaySkipsFirst, "sync.replay-exact"),
    wanted(Fault::ReplayMissesLast, "sync.replay-exact"),
    wanted(Fault::StateWithoutTombstones, "state.elements"),
];

const fn wanted(fault: Fault, names: &'static str) -> Wanted {
    Wanted { fault, names }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_found_and_become_short_scenarios() {
    let _alone = crate::ALONE.lock().await;
    let reference = crate::reference::start().await;
    let folder = std::env::temp_dir().join(format!("collab-found-{}", std::process::id()));
    let mut problems = Vec::new();
    for wanted in &WANTED {
        if let Err(why) = hunt(wanted, reference.url(), &folder).await {
            problems.push(format!("{:?}: {why}", wanted.fault));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn hunt(wanted: &Wanted, reference: &str, folder: &Path) -> Result<(), String> {
    let url = Toy::start(Some(wanted.fault)).await;
    let target = Arc::new(Target::new(&url).unwrap());
    let mut search = search(&Search::kinds_for(&OFFERED), 200, &OFFERED);
    search.timeout_scale = 0.5;
    let found = search.run(&target).await.fault.ok_or("is not found")?;
    let within = Duration::from_secs(20);
    let shrunk = shrink(&found, &target, &search.how, search.timeout_scale, within).await;
    let steps = shrunk.case.plan.steps.len();
    if steps > 4 || shrunk.confirmed < CONFIRMATIONS {
        return Err(format!(
            "{steps} steps are left, confirmed {} times:\n{}",
            shrunk.confirmed, shrunk.case.plan
        ));
    }
    let example = counterexample(&shrunk, &target, &search.how, search.timeout_scale).await;
    let example = example.ok_or("no scenario shows it")?;
    let text = example.text();
    let about = &example.scenario.requirements[0];
    if example.scenario.steps.len() > 12 || about != wanted.names {
        return Err(format!("the scenario is long or about {about}:\n{text}"));
    }
    let file = example.write(folder)?;
    let problems = collab_conformance::files::scenario_problems(&file);
    if !problems.is_empty() {
        return Err(format!("{problems:?} are wrong in\n{text}"));
    }
    let (code, output) = run_scenario(&url, &file).await;
    if code != Some(1) || !output.contains(&format!("[{}]", wanted.names)) {
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
    let arguments = ["run", "--url", url, "--scenario", file.to_str().unwrap()].map(String::from);
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "explores"]
async fn explore() {
    use collab_conformance::properties::counterexample::counterexample;
    use collab_conformance::properties::shrink::shrink;
    use std::time::{Duration, Instant};
    let offered = [Profile::Resume, Profile::State, Profile::Presence];
    let only = std::env::var("FAULTS").unwrap_or_default();
    for &fault in crate::toy::Fault::ALL {
        let name = format!("{fault:?}");
        if !only.is_empty() && !only.split(',').any(|one| one == name) {
            continue;
        }
        let target = Arc::new(Target::new(&Toy::start(Some(fault)).await).unwrap());
        let mut search = search(&Search::kinds_for(&offered), 120, &offered);
        search.timeout_scale = 0.4;
        let started = Instant::now();
        let findings = search.run(&target).await;
        let Some(case) = findings.fault else {
            println!("{name}: NOT FOUND in {:.1?}", started.elapsed());
            continue;
        };
        let found_in = started.elapsed();
        let shrunk = shrink(&case, &target, &search.how, 0.4, Duration::from_secs(10)).await;
        let shrunk_in = started.elapsed() - found_in;
        let breach = shrunk
            .case
            .played
            .broken()
            .map(|b| (&b.requirement, &b.what));
        println!(
            "{name} ({}): {} {} after {} in {found_in:.1?}; {} -> {} steps, {} tries in {shrunk_in:.1?}, {}/5; {:?} {:?}",
            fault.requirement(),
            case.kind.name(),
            case.seed,
            findings.cases,
            case.plan.steps.len(),
            shrunk.case.plan.steps.len(),
            shrunk.tries,
            shrunk.confirmed,
            breach,
            case.played.harness
        );
        match counterexample(&shrunk, &target, &search.how, 0.4).await {
            None => println!("   NO SCENARIO\n{}", shrunk.case.plan),
            Some(found) => {
                println!(
                    "   {} steps, {}/5 {:?}",
                    found.scenario.steps.len(),
                    found.confirmed,
                    found.scenario.requirements
                );
                let reference = crate::reference::start().await;
                let case = collab_conformance::case::Case::scenario(found.scenario.clone());
                let report = collab_conformance::run(reference, &[case], Default::default())
                    .await
                    .unwrap();
                if report.cases[0].verdict != collab_spec::report::Verdict::Pass {
                    println!(
                        "   WRONG on the reference: {:?} {:?}",
                        report.cases[0].message, report.cases[0].breaches
                    );
                    println!("{}\n{}", shrunk.case.plan, found.text());
                }
                if !only.is_empty() {
                    println!("{}\n{}", shrunk.case.plan, found.text());
                }
            }
        }
    }
}
