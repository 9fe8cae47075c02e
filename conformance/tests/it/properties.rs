//! The random histories: right servers pass them, and faults are found and made small.

use std::sync::Arc;

use collab_conformance::properties::search::{Findings, Search};
use collab_conformance::properties::{How, Kind};
use collab_conformance::target::Target;
use collab_spec::profile::Profile;

use crate::toy::Toy;

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
    let offered = [Profile::Resume, Profile::State, Profile::Presence];
    let kinds = Search::kinds_for(&offered);
    let cases = 50 * kinds.len() as u64;
    let findings = search(&kinds, cases, &offered).run(&target).await;
    assert_right(&findings, cases);
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
                if !only.is_empty() {
                    println!("{}\n{}", shrunk.case.plan, found.text());
                }
            }
        }
    }
}
