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
