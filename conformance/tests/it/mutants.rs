//! The toy passes the whole suite; with any of its faults it fails, and the failure names the
//! requirement that the fault breaks.

use std::cmp::Reverse;

use collab_conformance::case::{self, Case, Weight};
use collab_conformance::runner::{FirstContact, Options, Session};
use collab_conformance::target::Target;
use collab_spec::report::{Report, Verdict};
use collab_spec::requirement;
use futures_util::StreamExt as _;

use crate::matrix;
use crate::toy::{Fault, Toy};

/// How many faulty servers are tested at once.
const SERVERS: usize = 4;

/// How often a fault that costs time is looked for.
const MEASUREMENTS: usize = 3;

/// What came of a fault.
#[derive(Debug, PartialEq)]
enum Caught {
    /// The case that named the requirement.
    By(String),
    /// Cases failed, and named these requirements.
    ForAnotherReason(Vec<String>),
    Never,
}

/// The cases that must notice a fault, quick ones first.
fn cases_for(fault: Fault, all: &[Case]) -> Vec<Case> {
    let mut cases: Vec<Case> = all
        .iter()
        .filter(|case| fault.cases().iter().any(|start| case.id.starts_with(start)))
        .cloned()
        .collect();
    cases.sort_by_key(|case| {
        let about = case.requirements.first().map(String::as_str) == Some(fault.requirement());
        let tests = case.requirements.iter().any(|id| id == fault.requirement());
        (case.weight, !about, !tests)
    });
    cases
}

/// How long it takes to find a fault, by the case that named it last time.
fn weight(fault: Fault, all: &[Case]) -> Option<Weight> {
    let quickest = matrix::quickest(fault)?;
    let case = all.iter().find(|case| case.id == quickest)?;
    Some(case.weight)
}

/// The case that named the fault last time, and then the others.
async fn hunt(fault: Fault, all: &[Case]) -> Caught {
    let due = cases_for(fault, all);
    let quickest = matrix::quickest(fault);
    let (known, others) = due
        .into_iter()
        .partition(|case| Some(&case.id) == quickest.as_ref());
    match hunt_in(fault, known).await {
        Caught::By(case) => Caught::By(case),
        _ => hunt_in(fault, others).await,
    }
}

async fn hunt_in(fault: Fault, cases: Vec<Case>) -> Caught {
    // Silence is a common fault, so waits are short; floods take their time on a busy machine.
    let floods = fault.cases().iter().any(|start| start.starts_with("slow/"));
    let options = Options {
        timeout_scale: if floods { 1.5 } else { 0.5 },
        first_contact: FirstContact::Skipped,
        ..Options::default()
    };
    let servers = matrix::play::servers(fault, &cases, options.timeout_scale).await;
    let session = Session::new(servers, options);
    let mut others = Vec::new();
    let mut reports = futures_util::stream::iter(cases)
        .map(|case| {
            let session = &session;
            async move { session.play(&case).await }
        })
        .buffer_unordered(8);
    while let Some(report) = reports.next().await {
        for breach in &report.breaches {
            if breach.requirement == fault.requirement() {
                return Caught::By(report.id);
            }
            others.push(format!("{} ({})", breach.requirement, report.id));
        }
    }
    others.sort();
    others.dedup();
    match others.is_empty() {
        true => Caught::Never,
        false => Caught::ForAnotherReason(others),
    }
}

#[test]
fn faults_cite_requirements_and_cases_that_exist() {
    let all = case::all().unwrap();
    for &fault in Fault::ALL {
        assert!(
            requirement::find(fault.requirement()).is_some(),
            "{fault:?} cites no requirement"
        );
        assert!(
            !cases_for(fault, &all).is_empty(),
            "no case is to notice {fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault_the_toy_passes() {
    let report = played(None, case::all().unwrap()).await;
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|case| !matches!(case.verdict, Verdict::Pass | Verdict::NotApplicable))
        .map(|case| (&case.id, case.verdict, &case.message, &case.breaches))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a server replays or not, it may decide for each `hello` anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_resync_in_place_of_a_replay_is_warned_of() {
    let mut cases = case::all().unwrap();
    cases.retain(|case| case.weight == Weight::Light && case.area() != "frames");
    let report = played(Some(Fault::ResyncsTheEven), cases).await;
    let mut warned = 0;
    for case in &report.cases {
        let named: Vec<_> = case
            .breaches
            .iter()
            .map(|breach| &breach.requirement)
            .collect();
        match case.verdict {
            Verdict::Warn => warned += 1,
            verdict => assert_eq!(verdict, Verdict::Pass, "{}: {named:?}", case.id),
        }
        assert!(
            named.iter().all(|id| *id == "sync.replay-kept"),
            "{}: {named:?}",
            case.id
        );
    }
    assert!(warned > 20, "{warned}");
}

/// What the suite says of a toy in cases, without those that end their server, which `exec` plays.
async fn played(fault: Option<Fault>, mut cases: Vec<Case>) -> Report {
    let _alone = crate::ALONE.lock().await;
    let url = Toy::start(fault).await;
    cases.retain(|case| !case.own_server);
    // The faulty servers are at work at the same time.
    let options = Options {
        timeout_scale: 4.0,
        ..Options::default()
    };
    let target = Target::new(&url).unwrap();
    let report = collab_conformance::run(target, &cases, options).await;
    report.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_named() {
    let _alone = crate::ALONE.lock().await;
    let all = case::all().unwrap();
    let is_measured = |fault: &Fault| fault.requirement() == "slow.latency";
    let (measured, mut others): (Vec<Fault>, Vec<Fault>) =
        Fault::ALL.iter().partition(|it| is_measured(it));
    // Those that take long go first, beside the others.
    others.sort_by_key(|&fault| Reverse(weight(fault, &all)));
    let mut caught: Vec<(Fault, Caught)> = futures_util::stream::iter(others)
        .map(|fault| {
            let all = &all;
            async move { (fault, hunt(fault, all).await) }
        })
        .buffer_unordered(SERVERS)
        .collect()
        .await;
    // Beside other servers, all is as late as they make it: these are played alone, and again where
    // something else of the machine's came between.
    for fault in measured {
        let mut last = Caught::Never;
        for _ in 0..MEASUREMENTS {
            last = hunt(fault, &all).await;
            if matches!(last, Caught::By(_)) {
                break;
            }
        }
        caught.push((fault, last));
    }
    let survivors: Vec<String> = caught
        .into_iter()
        .filter_map(|(fault, caught)| {
            (!matches!(caught, Caught::By(_))).then(|| {
                format!(
                    "{fault:?}: {}\n  must be named: {}\n  {caught:?}",
                    fault.sentence(),
                    fault.requirement()
                )
            })
        })
        .collect();
    assert!(
        survivors.is_empty(),
        "{} of {} faults are not named:\n{}",
        survivors.len(),
        Fault::ALL.len(),
        survivors.join("\n")
    );
}
