//! Plays cases against a target and makes the report.
//!
//! Deliberately absent: the command line's face (see `mimic`) and every output but the report.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use collab_spec::profile::Profile;
use collab_spec::report::{
    Breach, CaseReport, FrameReport, REPORT_VERSION, Report, RequirementReport, Sender, Suite,
    Summary, Verdict,
};
use collab_spec::requirement::{self, Level};
use futures_util::FutureExt as _;

use crate::case::Case;
use crate::context::Context;
use crate::gate::{Gate, NoContact};
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::target::Target;

/// After so many cases that waited in vain, the others wait less.
const PATIENT_FOR: usize = 8;

/// How much less.
const IMPATIENCE: f64 = 0.2;

/// How many events of a case a report keeps, about.
const KEPT_EVENTS: usize = 1_000;

/// How many of them it keeps around an offending one, at the start and at the end.
const KEPT_AROUND: usize = 100;

/// Whether the first contact decides if cases are played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstContact {
    /// It does.
    #[default]
    Required,
    /// It is not made; each case finds out for itself.
    Skipped,
}

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// What every deadline is multiplied by.
    pub timeout_scale: f64,
    /// How many cases are played at once.
    pub concurrency: usize,
    /// The profiles whose cases are played; all where there are none.
    pub profiles: Vec<Profile>,
    /// The profiles that the server must offer.
    pub required: Vec<Profile>,
    /// Whether the first contact is made. Where it is not, every profile is taken for offered.
    pub first_contact: FirstContact,
    /// Whose server it is.
    pub server: Server,
    /// The seed of what cases choose at random; each has one of its own where there is none.
    pub seed: Option<u64>,
}

/// Whose server is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// Somebody else's, which goes on after the run.
    #[default]
    Elsewhere,
    /// The run's own, which ends with it.
    BuiltIn,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout_scale: 1.0,
            concurrency: 8,
            profiles: Vec::new(),
            required: Vec::new(),
            first_contact: FirstContact::Required,
            server: Server::Elsewhere,
            seed: None,
        }
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Session {
    target: Arc<Target>,
    options: Options,
    gate: Gate,
    started: Instant,
    started_at: SystemTime,
    /// How many cases have waited in vain.
    late: AtomicUsize,
    results: Mutex<BTreeMap<String, CaseReport>>,
    /// What the first contact found; nothing where it was not made.
    offered: OnceLock<Vec<Profile>>,
}

impl Session {
    /// A run that begins now.
    pub fn new(target: Target, options: Options) -> Self {
        let target = Arc::new(target);
        Self {
            gate: Gate::new(Arc::clone(&target), options.timeout_scale),
            target,
            options,
            started: Instant::now(),
            started_at: SystemTime::now(),
            late: AtomicUsize::new(0),
            results: Mutex::default(),
            offered: OnceLock::new(),
        }
    }

    /// The server under test.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The URL to play cases at again; nothing where the server ends with the run.
    pub fn own_url(&self) -> Option<&str> {
        (self.options.server == Server::Elsewhere).then(|| self.target.url())
    }

    /// Makes the first contact, unless the options skip it.
    ///
    /// Errors: nobody is there. A server that is there and fails it is no error here: its cases
    /// fail without being played.
    pub async fn open(&self) -> Result<(), String> {
        if self.options.first_contact == FirstContact::Skipped {
            return Ok(());
        }
        match self.gate.open().await {
            Err(NoContact::NoServer(why)) => return Err(why),
            Err(NoContact::WrongServer(_)) => {}
            Ok(()) => {
                let _ = self.offered.set(self.gate.offered().await);
            }
        }
        Ok(())
    }

    /// The profiles that the server offers, as far as the first contact found any.
    pub fn offered(&self) -> &[Profile] {
        self.offered.get().map_or(&[], Vec::as_slice)
    }

    /// The profiles that the run requires and the server does not offer.
    pub fn lacking(&self) -> Vec<Profile> {
        let offered = self.offered.get();
        let lacks = |profile: &Profile| offered.is_some_and(|offered| !offered.contains(profile));
        let required = self.options.required.iter();
        required.copied().filter(lacks).collect()
    }

    /// Why a case says nothing of this server, if that is so.
    fn not_applicable(&self, case: &Case) -> Option<String> {
        let lacks = case.lacks(self.offered.get()?)?;
        Some(format!("the server does not offer the profile `{lacks}`"))
    }

    /// Whether the run plays a case at all.
    pub fn selects(&self, case: &Case) -> bool {
        self.options.profiles.is_empty() || self.options.profiles.contains(&case.profile)
    }

    /// Plays a case and keeps its report.
    pub async fn play(&self, case: &Case) -> CaseReport {
        let report = match self.gate.shut().await {
            Some(why) => {
                let mut report = blank(case, Verdict::Fail);
                report.message = Some(format!("not played: {why}"));
                report
            }
            None => match self.not_applicable(case) {
                Some(why) => {
                    let mut report = blank(case, Verdict::NotApplicable);
                    report.message = Some(why);
                    report
                }
                None => self.play_now(case).await,
            },
        };
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert(case.id.clone(), report.clone());
        report
    }

    async fn play_now(&self, case: &Case) -> CaseReport {
        let target = Arc::clone(&self.target);
        let context = Context::seeded(target, self.patience(), self.options.seed);
        let started = Instant::now();
        let outcome = AssertUnwindSafe(case.play(context.clone()))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Failure::Harness(panic_words(panic.as_ref()))));
        match outcome {
            Ok(()) => context.farewell().await,
            Err(_) => context.abandon_all().await,
        }
        let duration = started.elapsed();
        let trace = context.trace();
        let timed_out = matches!(&outcome, Err(Failure::Breach(fault)) if fault.timed_out);
        if timed_out {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        let mut report = judge(case, outcome, monitor::check(&trace));
        report.duration_ms = millis(duration);
        if report.verdict != Verdict::Pass {
            report.frames = trace.report();
            trim(&mut report);
        }
        if timed_out && self.options.first_contact == FirstContact::Required {
            self.gate.check_after(&case.id).await;
        }
        report
    }

    /// What deadlines are multiplied by: less once many cases have waited in vain, so that a server
    /// that loses messages fails in seconds and not in minutes.
    fn patience(&self) -> f64 {
        let lost = self.late.load(Ordering::Relaxed) >= PATIENT_FOR;
        self.options.timeout_scale * if lost { IMPATIENCE } else { 1.0 }
    }

    /// The report of the cases played until now, in the order of `cases`.
    pub fn report(&self, cases: &[Case]) -> Report {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let cases: Vec<CaseReport> = cases
            .iter()
            .filter_map(|case| results.get(&case.id).cloned())
            .collect();
        let mut summary = Summary::default();
        for case in &cases {
            let count = match case.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::Fail => &mut summary.fail,
                Verdict::Warn => &mut summary.warn,
                Verdict::NotApplicable => &mut summary.not_applicable,
                Verdict::Untestable => &mut summary.untestable,
                Verdict::Error => &mut summary.error,
            };
            *count += 1;
        }
        Report {
            version: REPORT_VERSION,
            suite: Suite {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            target: self.target.url().to_owned(),
            started_at_ms: self.started_at.duration_since(UNIX_EPOCH).map_or(0, millis),
            duration_ms: millis(self.started.elapsed()),
            profiles: self.offered().to_vec(),
            summary,
            requirements: requirements(&cases),
            cases,
        }
    }
}

/// The order in which to start cases: those that take long first.
pub fn start_order(cases: &[Case]) -> Vec<Case> {
    let mut cases = cases.to_vec();
    cases.sort_by_key(|case| std::cmp::Reverse(case.weight));
    cases
}

fn blank(case: &Case, verdict: Verdict) -> CaseReport {
    CaseReport {
        id: case.id.clone(),
        title: case.title.clone(),
        verdict,
        profile: case.profile,
        needs: case.needs.clone(),
        requirements: case.requirements.clone(),
        duration_ms: 0,
        message: None,
        breaches: Vec::new(),
        frames: Vec::new(),
    }
}

/// Puts the outcome of a case and what the monitors found into one verdict.
fn judge(case: &Case, outcome: Outcome, monitored: Vec<Breach>) -> CaseReport {
    let mut breaches = Vec::new();
    let mut otherwise = (Verdict::Pass, None);
    match outcome {
        Ok(()) => {}
        Err(Failure::Breach(fault)) => breaches.push(fault.breach),
        Err(Failure::Untestable(why)) => otherwise = (Verdict::Untestable, Some(why)),
        Err(Failure::Harness(why)) => otherwise = (Verdict::Error, Some(why)),
    }
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
    breaches.sort_by_key(|breach| breach.frame.unwrap_or(usize::MAX));
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

/// Whether breaking a requirement is a failure; an unknown one is, so that it is seen.
fn binds(id: &str) -> bool {
    requirement::find(id).is_none_or(|requirement| requirement.level == Level::Must)
}

fn requirements(cases: &[CaseReport]) -> Vec<RequirementReport> {
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
            // Cases of profiles that are not offered say nothing.
            let not_applicable = |case: &&CaseReport| case.verdict == Verdict::NotApplicable;
            let silent = !watched && !testing.is_empty() && testing.iter().all(not_applicable);
            let verdict = match requirement.level {
                Level::Must if is_broken => Verdict::Fail,
                _ if is_broken => Verdict::Warn,
                _ if silent => Verdict::NotApplicable,
                _ if (watched || !testing.is_empty())
                    && testing
                        .iter()
                        .all(|case| case.verdict == Verdict::Pass || not_applicable(case)) =>
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
fn trim(report: &mut CaseReport) {
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without words".to_owned());
    format!("the case panicked: {text}")
}
