//! Plays the cases against the toy with a fault, as a user would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use collab_conformance::case::{Case, Weight};
use collab_conformance::exec::Exec;
use collab_conformance::report::is_not_played;
use collab_conformance::runner::{FirstContact, Options, Servers, Session};
use collab_conformance::target::Target;
use collab_spec::report::{CaseReport, Report, Verdict};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use super::data::Mutant;
use crate::toy::{Fault, Life, Toy};

/// How many cases that may have failed because the machine was busy are played once more.
const DOUBTFUL: usize = 100;

/// Whether a case is played against a fault: one that takes long, or a server of its own, only where
/// it tests the fault's requirement or the fault names it.
pub(super) fn is_played(fault: Fault, case: &Case) -> bool {
    let is_costly = case.weight >= Weight::Slow || case.own_server;
    let tests = case.requirements.iter().any(|id| id == fault.requirement());
    let mut named = fault.cases().iter().filter(|start| !start.ends_with('/'));
    !is_costly || tests || named.any(|start| case.id.starts_with(start))
}

/// A toy with a fault, in this process, or as one of its own where it is to end.
pub(crate) async fn servers(fault: Fault, cases: &[Case], scale: f64) -> Servers {
    let life = Life::of(fault);
    if life.is_none() && !cases.iter().any(|case| case.own_server) {
        let url = Toy::start(Some(fault)).await;
        return Target::new(&url).unwrap().into();
    }
    let command = life.unwrap_or(Life::Forgets).command(Some(fault));
    let like = Target::new("ws://127.0.0.1/ws").unwrap();
    Arc::new(Exec::new(&command, None, &like, scale).unwrap()).into()
}

/// Plays a fault in a runtime of its own, with which the toy and all that it keeps ends.
pub(super) async fn play_apart(fault: Fault, cases: Vec<Case>, scale: f64) -> Mutant {
    let apart = move || Runtime::new().unwrap().block_on(play(fault, &cases, scale));
    tokio::task::spawn_blocking(apart).await.unwrap()
}

/// What comes of a fault in some cases.
async fn play(fault: Fault, cases: &[Case], scale: f64) -> Mutant {
    let options = Options {
        timeout_scale: scale,
        ..Options::default()
    };
    let servers = servers(fault, cases, scale).await;
    let report = collab_conformance::run(servers, cases, options).await;
    let mut report = report.unwrap();
    let doubtful: BTreeSet<&str> = report
        .cases
        .iter()
        .filter(|case| is_doubtful(case))
        .map(|case| case.id.as_str())
        .collect();
    if (1..=DOUBTFUL).contains(&doubtful.len()) {
        let again: Vec<Case> = cases
            .iter()
            .filter(|case| doubtful.contains(case.id.as_str()))
            .cloned()
            .collect();
        let again = play_calmly(fault, again, scale).await;
        for case in &mut report.cases {
            if let Some(second) = again.get(&case.id) {
                *case = second.clone();
            }
        }
    }
    sum_up(fault, &report)
}

/// Whether a case may have failed because the machine was busy.
fn is_doubtful(case: &CaseReport) -> bool {
    let late = case.breaches.first().is_some_and(|first| first.late);
    case.verdict == Verdict::Error || (case.verdict == Verdict::Fail && late)
}

/// Plays cases with more patience and less at once.
async fn play_calmly(fault: Fault, cases: Vec<Case>, scale: f64) -> BTreeMap<String, CaseReport> {
    let options = Options {
        timeout_scale: 2.0 * scale,
        first_contact: FirstContact::Skipped,
        ..Options::default()
    };
    let session = Arc::new(Session::new(servers(fault, &cases, scale).await, options));
    let reports = futures_util::stream::iter(cases).map(|case| {
        let session = Arc::clone(&session);
        async move { session.play(&case).await }
    });
    let reports: Vec<CaseReport> = reports.buffer_unordered(3).collect().await;
    session.close().await;
    reports
        .into_iter()
        .map(|case| (case.id.clone(), case))
        .collect()
}

fn sum_up(fault: Fault, report: &Report) -> Mutant {
    let mut mutant = Mutant::default();
    let mut quickest: Option<&CaseReport> = None;
    for case in report
        .cases
        .iter()
        .filter(|case| matches!(case.verdict, Verdict::Fail | Verdict::Warn))
    {
        let Some(first) = case.breaches.first() else {
            let message = case.message.as_deref().unwrap_or_default();
            match message.split_once("the first contact failed: [") {
                Some((_, named)) => {
                    let named = named.split(']').next().unwrap_or_default();
                    mutant.contact = Some(named.to_owned());
                }
                // It says nothing of a case that it was not played any more.
                None if is_not_played(case) => {}
                None => drop(mutant.unnamed.insert(case.id.clone())),
            }
            continue;
        };
        let rows = match first.late {
            true => &mut mutant.late,
            false => &mut mutant.failed,
        };
        let of = rows.entry(first.requirement.clone()).or_default();
        of.insert(case.id.clone(), case.frames.len());
        if first.requirement == fault.requirement()
            && quickest.is_none_or(|quickest| case.duration_ms < quickest.duration_ms)
        {
            quickest = Some(case);
        }
    }
    mutant.quickest = quickest.map(|case| case.id.clone());
    mutant
}
