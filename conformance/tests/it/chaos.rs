//! Random histories and cases over a network that harms connections: right servers pass, and faults are
//! found.

use std::sync::Arc;
use std::time::Duration;

use collab_conformance::case;
use collab_conformance::properties::search::{Findings, Search};
use collab_conformance::properties::server::Server;
use collab_conformance::properties::{How, Kind};
use collab_conformance::proxy::{Jitter, Proxy};
use collab_conformance::runner::{FirstContact, Options};
use collab_conformance::target::Target;
use collab_spec::profile::Profile;
use collab_spec::report::Verdict;

use crate::toy::{Fault, Toy};

/// What the toy offers.
const OFFERED: [Profile; 4] = [
    Profile::Resume,
    Profile::State,
    Profile::Runs,
    Profile::Presence,
];

async fn play(target: &Arc<Target>, kinds: &[Kind], cases: u64, timeout_scale: f64) -> Findings {
    let search = Search {
        // Of those tried the one that shows the faults quickest.
        seed: 300,
        cases,
        until_all: false,
        time_budget: Some(Duration::from_secs(120)),
        kinds: kinds.to_vec(),
        concurrency: 8,
        timeout_scale,
        how: How {
            offered: OFFERED.to_vec(),
            chaos: None,
        },
        chaos: true,
    };
    search.run(&Server::from(Arc::clone(target))).await
}

async fn toy(fault: Option<Fault>) -> Arc<Target> {
    Arc::new(Target::new(&Toy::start(fault).await).unwrap())
}

fn assert_right(findings: &Findings) {
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
    assert!(findings.cases > 10, "{}", findings.cases);
    let all = findings.all_activity();
    let broken = all.of(collab_conformance::properties::activity::Count::Reconnected);
    assert!(broken > findings.cases / 2, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn right_servers_pass() {
    let _alone = crate::ALONE.lock().await;
    // Hundreds more are played by `.ci/run`, thousands by `.ci/long`.
    let cases = 3 * Kind::ALL.len() as u64;
    let reference = Arc::new(crate::reference::start().await);
    assert_right(&play(&reference, &Kind::ALL, cases, 4.0).await);
    assert_right(&play(&toy(None).await, &Kind::ALL, cases, 4.0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_found() {
    let _alone = crate::ALONE.lock().await;
    let wanted = [
        // Doubled after a cut.
        (
            Fault::CutForgetsIds,
            &["submit.resend", "submit.same-insert"][..],
        ),
        // Lost, or sent twice, between the sync and what is live.
        (
            Fault::JoinMissesEchoes,
            &["seq.fan-out", "seq.from-baseline"],
        ),
        // Before a replay it is as if the replay had begun too far on.
        (
            Fault::LiveBeforeSync,
            &["seq.from-baseline", "sync.zero", "sync.replay-exact"],
        ),
        (
            Fault::ReplaySkipsFirst,
            &["sync.replay-exact", "seq.from-baseline"],
        ),
    ];
    // They mostly wait, for what a connection that is cut does not bring.
    let hunts = wanted.map(|(fault, requirements)| async move {
        let kinds = [Kind::Lossy, Kind::LateJoins];
        let findings = play(&toy(Some(fault)).await, &kinds, 100, 2.0).await;
        let case = findings
            .fault
            .unwrap_or_else(|| panic!("{fault:?} is not found"));
        let broken = case.played.broken().unwrap();
        let requirement = broken.requirement.as_str();
        assert!(
            requirements.contains(&requirement),
            "{fault:?}: {broken:#?}"
        );
    });
    futures_util::future::join_all(hunts).await;
}

/// How many of some cases do not pass where bytes come late and one by one.
async fn failures(fault: Option<Fault>) -> usize {
    let target = toy(fault).await;
    let plan = Jitter { millis: 5, seed: 1 }.plan();
    let proxy = Proxy::start(&target.authority(), plan).await.unwrap();
    let mut cases = case::all().unwrap();
    cases.retain(|case| case.area() == "submit" && case.profile == Profile::Core);
    let options = Options {
        timeout_scale: 4.0,
        first_contact: FirstContact::Skipped,
        ..Options::default()
    };
    let target = proxy.target(&target);
    let report = collab_conformance::run(target, &cases, options)
        .await
        .unwrap();
    let failed = |case: &&collab_spec::report::CaseReport| case.verdict != Verdict::Pass;
    report.cases.iter().filter(failed).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_take_pieces_is_found_by_jitter() {
    let _alone = crate::ALONE.lock().await;
    assert_eq!(failures(None).await, 0);
    assert!(failures(Some(Fault::PiecesRefused)).await > 0);
}
