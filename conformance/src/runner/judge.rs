//! Makes verdicts: of a case from its outcome and what the monitors found, of a requirement from its
//! cases.
//!
//! Deliberately absent: playing, time and sockets.

use std::collections::BTreeSet;

use collab_spec::report::{
    Breach, CaseReport, FrameReport, Repeats, RequirementReport, Sender, Verdict,
};
use collab_spec::requirement::{self, Level};

use crate::case::Case;
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};

/// How many events of a case a report keeps, about.
const KEPT_EVENTS: usize = 1_000;

/// How many of them it keeps around an offending one, at the start and at the end.
const KEPT_AROUND: usize = 100;

pub(super) fn blank(case: &Case, verdict: Verdict) -> CaseReport {
    CaseReport {
        file: case.file.clone(),
        profile: case.profile,
        needs: case.needs.clone(),
        requirements: case.requirements.clone(),
        ..CaseReport::new(&case.id, &case.title, verdict)
    }
}

/// Puts the outcome of a case and what the monitors found into one verdict.
pub(super) fn judge(case: &Case, outcome: Outcome, monitored: Vec<Breach>) -> CaseReport {
    let mut breaches = Vec::new();
    let mut otherwise = (Verdict::Pass, None);
    match outcome {
        Ok(()) => {}
        Err(Failure::Breach(fault)) => breaches.push(Breach {
            late: fault.timed_out,
            ..fault.breach
        }),
        Err(Failure::Untestable(why)) => otherwise = (Verdict::Untestable, Some(why)),
        Err(Failure::Harness(why)) => otherwise = (Verdict::Error, Some(why)),
    }
    let own = breaches.first().cloned();
    for breach in monitored {
        // The case's own breach says what it expected, so it stands for the same one of a monitor.
        // A wrong text breaks `resync.text` whatever the reason; the case knows the reason.
        let known = |own: &Breach| {
            own.frame == breach.frame
                && (own.requirement == breach.requirement
                    || (breach.requirement == ids::RESYNC_TEXT && binds(&own.requirement)))
        };
        if !breaches.iter().any(known) {
            breaches.push(breach);
        }
    }
    // A code that no server may close with says more than that another one was awaited.
    let is_code = |breach: &Breach| {
        [ids::CLOSE_NO_1011, ids::CLOSE_TABLE_ONLY].contains(&breach.requirement.as_str())
    };
    // Of one event, a case knows best about what it tests, and the monitors about all else.
    let rank = |breach: &Breach| match (
        is_code(breach),
        case.requirements.contains(&breach.requirement),
    ) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) if own.as_ref() != Some(breach) => 2,
        (false, false) => 3,
    };
    breaches.sort_by_key(|breach| (breach.frame.unwrap_or(usize::MAX), rank(breach)));
    let mut report = blank(case, otherwise.0);
    report.message = otherwise.1;
    if let Some(first) = breaches.first() {
        report.verdict = if breaches.iter().any(|breach| binds(&breach.requirement)) {
            Verdict::Fail
        } else {
            Verdict::Warn
        };
        let also = report
            .message
            .map_or_else(String::new, |why| format!(" (and: {why})"));
        report.message = Some(format!("[{}] {}{also}", first.requirement, first.what));
    }
    report.breaches = breaches;
    report
}

/// Puts two reports of one case into one: the worse of them, the earlier where they are alike, with
/// how often the case was played.
pub(super) fn worse(earlier: CaseReport, later: CaseReport) -> CaseReport {
    let rank = |report: &CaseReport| match report.verdict {
        Verdict::Pass => 0,
        Verdict::NotApplicable => 1,
        Verdict::Untestable => 2,
        Verdict::Warn => 3,
        Verdict::Error => 4,
        Verdict::Fail => 5,
    };
    let (one, two) = (tally(&earlier), tally(&later));
    let mut worse = if rank(&later) > rank(&earlier) {
        later
    } else {
        earlier
    };
    worse.repeats = Some(Repeats {
        played: one.played + two.played,
        failed: one.failed + two.failed,
        warned: one.warned + two.warned,
    });
    worse
}

fn tally(report: &CaseReport) -> Repeats {
    report.repeats.unwrap_or(Repeats {
        played: 1,
        failed: usize::from(matches!(report.verdict, Verdict::Fail | Verdict::Error)),
        warned: usize::from(report.verdict == Verdict::Warn),
    })
}

/// Whether breaking a requirement is a failure; an unknown one is, so that it is seen.
fn binds(id: &str) -> bool {
    requirement::find(id).is_none_or(|requirement| requirement.level == Level::Must)
}

pub(super) fn requirements(cases: &[CaseReport]) -> Vec<RequirementReport> {
    let broken: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.breaches)
        .map(|breach| breach.requirement.as_str())
        .collect();
    requirement::requirements()
        .iter()
        .filter_map(|requirement| {
            let testing: Vec<&CaseReport> = cases
                .iter()
                .filter(|case| case.requirements.contains(&requirement.id))
                .collect();
            let is_broken = broken.contains(requirement.id.as_str());
            let watched = monitor::WATCHED.contains(&requirement.id.as_str())
                && cases.iter().any(|case| case.verdict == Verdict::Pass);
            if testing.is_empty() && !is_broken && !watched && requirement.untestable.is_none() {
                return None;
            }
            // Cases of profiles that are not offered say nothing, nor do those that can't be played.
            let not_applicable = |case: &&CaseReport| case.verdict == Verdict::NotApplicable;
            let silent = |case: &&CaseReport| {
                matches!(case.verdict, Verdict::NotApplicable | Verdict::Untestable)
            };
            let passed = |case: &&CaseReport| case.verdict == Verdict::Pass;
            let verdict = match requirement.level {
                Level::Must if is_broken => Verdict::Fail,
                _ if is_broken => Verdict::Warn,
                _ if !watched && !testing.is_empty() && testing.iter().all(not_applicable) => {
                    Verdict::NotApplicable
                }
                _ if (watched || testing.iter().any(passed))
                    && testing.iter().all(|case| passed(case) || silent(case)) =>
                {
                    Verdict::Pass
                }
                _ => Verdict::Untestable,
            };
            Some(RequirementReport {
                id: requirement.id.clone(),
                level: requirement.level,
                verdict,
                cases: testing.iter().map(|case| case.id.clone()).collect(),
            })
        })
        .collect()
}

/// Leaves out events of a long case that are far from every breach, the start and the end.
pub(super) fn trim(report: &mut CaseReport) {
    let frames = std::mem::take(&mut report.frames);
    if frames.len() <= KEPT_EVENTS {
        report.frames = frames;
        return;
    }
    let near = |index: usize| {
        let close = |frame: &usize| frame.abs_diff(index) <= KEPT_AROUND;
        index < KEPT_AROUND
            || index + KEPT_AROUND >= frames.len()
            // Later breaches of a case tend to be the first one again.
            || report.breaches.iter().filter_map(|breach| breach.frame.as_ref()).take(4).any(close)
    };
    let keep: Vec<bool> = (0..frames.len()).map(near).collect();
    let mut moved = vec![None; frames.len()];
    let mut left_out = 0;
    for (index, frame) in frames.into_iter().enumerate() {
        if !keep[index] {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            report.frames.push(omission(&frame, left_out));
            left_out = 0;
        }
        moved[index] = Some(report.frames.len());
        report.frames.push(frame);
    }
    for breach in &mut report.breaches {
        breach.frame = breach
            .frame
            .and_then(|frame| moved.get(frame).copied().flatten());
    }
}

fn omission(next: &FrameReport, count: usize) -> FrameReport {
    FrameReport {
        at_us: next.at_us,
        connection: String::new(),
        from: Sender::Client,
        kind: "omitted".to_owned(),
        content: format!("{count} events are left out here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict, duration_ms: u64) -> CaseReport {
        let case = Case::code("a/b", "", &[], |_| async { Ok(()) });
        let mut report = blank(&case, verdict);
        report.duration_ms = duration_ms;
        report
    }

    #[test]
    fn the_first_of_the_worst_is_kept_and_all_are_counted() {
        use Verdict::{Error, Fail, Pass, Warn};
        let verdicts = [Pass, Warn, Error, Fail, Pass, Fail, Pass];
        let reports = verdicts.into_iter().zip(0..);
        let all = reports.map(|(verdict, number)| report(verdict, number));
        let worst = all.reduce(worse).unwrap();
        assert_eq!((worst.verdict, worst.duration_ms), (Fail, 3));
        let counted = Repeats {
            played: 7,
            failed: 3,
            warned: 1,
        };
        assert_eq!(worst.repeats, Some(counted));
    }
}
