//! Frames made from the schemas: right servers pass them, and what is wrong is found and made small.

use std::sync::Arc;

use collab_conformance::case::{self, Case, Weight};
use collab_conformance::context::Context;
use collab_conformance::fuzz::Kind;
use collab_conformance::fuzz::search::{Found, search};
use collab_conformance::outcome::Failure;
use collab_conformance::runner::{FirstContact, Options, Session};
use collab_conformance::target::Target;
use futures_util::StreamExt as _;

use crate::toy::{Fault, Toy};

/// How many frames of each kind right servers are sent.
const FRAMES: u64 = 300;

async fn find(target: &Arc<Target>, kind: Kind, seed: u64, count: u64) -> Option<Found> {
    let context = Context::new(Arc::clone(target), 4.0);
    search(&context, kind, seed..seed + count).await
}

async fn assert_right(target: &Arc<Target>) {
    for kind in Kind::ALL {
        let found = find(target, kind, 1_000_000, FRAMES).await;
        if let Some(found) = found {
            panic!("{}\n{:#?}", found.words(), found.failure);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_passes() {
    let _alone = crate::ALONE.lock().await;
    assert_right(&Arc::new(crate::reference::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_toy_passes() {
    let _alone = crate::ALONE.lock().await;
    assert_right(&Arc::new(Target::new(&Toy::start(None).await).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_found_and_told_by_the_simplest_frame() {
    let _alone = crate::ALONE.lock().await;
    for (fault, kind, words) in [
        (Fault::NulDropped, Kind::Op, "`op.value` is NUL"),
        (
            Fault::OpTypeTrimmed,
            Kind::Op,
            "`op.type` is \"ins \", not \"ins\"",
        ),
        (
            Fault::ProtoRefused,
            Kind::Hello,
            "a hello in which `__proto__` is added",
        ),
        (
            Fault::CountZeroTaken,
            Kind::OpRuns,
            "`op.count` is 0, below the minimum 1",
        ),
        (
            Fault::FloatsTaken,
            Kind::Op,
            "4503599627370495.5, no integer",
        ),
        (Fault::PresenceSizeEarly, Kind::Presence, "has 4,097 bytes"),
        (
            Fault::OpEpochTrimmed,
            Kind::OpResume,
            "(its epoch is not the document's)",
        ),
        (
            Fault::ViolationTakesEffect,
            Kind::Op,
            "(its client_msg_id is that of another op)",
        ),
    ] {
        let target = Arc::new(Target::new(&Toy::start(Some(fault)).await).unwrap());
        let found = find(&target, kind, 0, 5_000).await;
        let found = found.unwrap_or_else(|| panic!("{fault:?} is not found"));
        let Failure::Breach(breach) = &found.failure else {
            panic!("{fault:?}: {:?}", found.failure);
        };
        let told = found.words();
        println!("{fault:?}: {told}: {}", breach.breach.what);
        assert_eq!(breach.breach.requirement, fault.requirement(), "{told}");
        assert!(told.contains(words), "{fault:?}: {told}");
        // The seed alone says it all.
        let again = find(&target, kind, found.seed, 1).await.unwrap();
        assert_eq!(again.words(), told);
    }
}

/// Which faults the frames notice alone; with `FUZZ_SURVEY=others`, which of those that are the frames' own
/// the other cases notice as well. A survey, not a test.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes; it says how many faults the frames notice alone, and which they alone do"]
async fn survey_of_faults() {
    let _alone = crate::ALONE.lock().await;
    let all = case::all().unwrap();
    let picked: Vec<Case> = all
        .into_iter()
        .filter(|case| match std::env::var("FUZZ_SURVEY").as_deref() {
            Ok("others") => {
                let other = ["fuzz/", "properties/"];
                let is_other = other.iter().any(|start| case.id.starts_with(start));
                case.weight == Weight::Light && !is_other
            }
            _ => case.id.starts_with("fuzz/"),
        })
        .filter(|case| !case.own_server)
        .collect();
    let faults = Fault::ALL.iter().filter(|fault| {
        std::env::var("FUZZ_SURVEY").as_deref() != Ok("others")
            || fault.cases().iter().all(|case| case.starts_with("fuzz/"))
    });
    let results: Vec<(Fault, Option<String>)> = futures_util::stream::iter(faults)
        .map(|&fault| {
            let picked = &picked;
            async move { (fault, noticed(fault, picked).await) }
        })
        .buffer_unordered(2)
        .collect()
        .await;
    let mut count = 0;
    for (fault, by) in &results {
        count += usize::from(by.is_some());
        println!("{fault:?}: {}", by.as_deref().unwrap_or("-"));
    }
    println!("{count} of {} faults are noticed", results.len());
}

async fn noticed(fault: Fault, cases: &[Case]) -> Option<String> {
    let url = Toy::start(Some(fault)).await;
    let options = Options {
        timeout_scale: 3.0,
        first_contact: FirstContact::Skipped,
        ..Options::default()
    };
    let session = Session::new(Target::new(&url).unwrap(), options);
    let reports = futures_util::stream::iter(cases)
        .map(|case| {
            let session = &session;
            async move { session.play(case).await }
        })
        .buffer_unordered(8);
    let mut reports = std::pin::pin!(reports);
    while let Some(report) = reports.next().await {
        // On a busy machine something may be late that has nothing to do with the fault.
        let is_late =
            |what: &str| what.contains("nothing came on") || what.contains("can't connect");
        let counts = report
            .breaches
            .iter()
            .find(|breach| breach.requirement == fault.requirement() || !is_late(&breach.what));
        if let Some(breach) = counts {
            return Some(format!("{} ({})", report.id, breach.requirement));
        }
    }
    None
}
