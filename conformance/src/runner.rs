//! Plays cases against a server, or servers that it starts, and makes the report.
//!
//! Deliberately absent: the command line's face (see `mimic`) and every output but the report.

mod judge;
mod kept;
mod order;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use collab_spec::profile::Profile;
use collab_spec::report::{
    Breach, CaseReport, ExitReason, FrameReport, REPORT_VERSION, Report, Sender, Summary, Verdict,
};
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};

use crate::case::Case;
use crate::context::Context;
use crate::exec::fleet::Fleet;
use crate::exec::{Exec, Instance, StartError};
use crate::expect::Expected;
use crate::gate::{Gate, NoContact};
use crate::monitor;
use crate::outcome::Failure;
use crate::proxy::Jitter;
use crate::report;
use crate::target::Target;
use crate::trace::Trace;
use judge::{blank, judge, requirements, trim, worse};
use kept::Kept;

/// After so many cases that waited in vain, the others wait less.
const PATIENT_FOR: usize = 8;

/// How much less.
const IMPATIENCE: f64 = 0.2;

/// After so many failures of servers that the suite has started, none is started any more.
const MOST_FAILURES: usize = 25;

/// How the message of a case begins that is not played, though it should be.
pub(crate) const NOT_PLAYED: &str = "not played: ";

/// Why a case that ends its server is not played.
const NEEDS_EXEC: &str =
    "the case ends the server and starts it again; --exec 'CMD' makes it playable";

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
    /// How many cases are played at once. Where it is more than one, those that only wait are played beside
    /// them ([`crate::case::Weight::Waiting`]).
    pub concurrency: usize,
    /// How often each case is played.
    pub repeat: usize,
    /// Whether the run ends with the first case that fails. Quick cases are played first then.
    pub fail_fast: bool,
    /// Whether a broken SHOULD fails a run as a broken MUST does.
    pub strict: bool,
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
    /// What stands between the suite and the server, for the report.
    pub jitter: Option<Jitter>,
    /// The cases that are known to fail.
    pub expected: Expected,
    /// The folder for the traces of all cases, where they are kept.
    pub traces: Option<PathBuf>,
    /// Whether the report has the frames of cases that passed, too.
    pub every_frame: bool,
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
            repeat: 1,
            fail_fast: false,
            strict: false,
            profiles: Vec::new(),
            required: Vec::new(),
            first_contact: FirstContact::Required,
            server: Server::Elsewhere,
            seed: None,
            jitter: None,
            expected: Expected::default(),
            traces: None,
            every_frame: false,
        }
    }
}

/// Where the servers under test come from.
#[derive(Debug)]
pub struct Servers(Source);

#[derive(Debug)]
enum Source {
    /// Somebody runs one.
    Target(Arc<Target>),
    /// The suite starts them.
    Fleet(Fleet),
}

impl From<Target> for Servers {
    fn from(target: Target) -> Self {
        Self(Source::Target(Arc::new(target)))
    }
}

impl From<Arc<Exec>> for Servers {
    fn from(exec: Arc<Exec>) -> Self {
        Self(Source::Fleet(Fleet::new(exec)))
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Session {
    source: Source,
    options: Options,
    kept: Option<Arc<Kept>>,
    gate: Gate,
    started: Instant,
    started_at: SystemTime,
    /// How many cases have waited in vain.
    late: AtomicUsize,
    /// Whether a case has failed.
    failed: watch::Sender<bool>,
    results: Mutex<BTreeMap<String, CaseReport>>,
    /// Who may play a case that does not only wait.
    places: Semaphore,
    /// Who may look at a trace.
    looks: Semaphore,
    /// What the first contact found; nothing where it was not made.
    offered: OnceLock<Vec<Profile>>,
    /// Where the first server that the suite has started was reached.
    first_url: OnceLock<String>,
}

/// How many traces are looked at side by side: those who play get half of the time at least. Else they
/// could be so late with a `hello` that a server need not wait for it.
fn looks() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Session {
    /// A run that begins now.
    pub fn new(servers: impl Into<Servers>, options: Options) -> Self {
        let kept = options.traces.as_deref().map(Kept::new);
        Self {
            gate: Gate::new(options.timeout_scale),
            source: servers.into().0,
            kept: kept.map(Arc::new),
            places: Semaphore::new(options.concurrency.max(1)),
            options,
            started: Instant::now(),
            started_at: SystemTime::now(),
            late: AtomicUsize::new(0),
            failed: watch::Sender::new(false),
            results: Mutex::default(),
            looks: Semaphore::new(looks()),
            offered: OnceLock::new(),
            first_url: OnceLock::new(),
        }
    }

    /// Where the server under test is reached; where the suite starts it, the first one.
    pub fn url(&self) -> &str {
        match &self.source {
            Source::Target(target) => target.url(),
            Source::Fleet(_) => self.first_url.get().map_or("", String::as_str),
        }
    }

    /// The options by which the command reaches such a server again; none where the server ends with
    /// the run.
    pub fn again(&self) -> String {
        let server = match (&self.source, self.options.server) {
            (Source::Fleet(fleet), _) => report::server_options("", Some(&fleet.exec().report())),
            (Source::Target(target), Server::Elsewhere) => {
                report::server_options(target.url(), None)
            }
            (Source::Target(_), Server::BuiltIn) => String::new(),
        };
        let jitter = self.options.jitter.map(|jitter| jitter.to_string());
        report::with_jitter(server, jitter.as_deref())
    }

    /// Makes the first contact, unless the options skip it. Where the suite starts the server, it
    /// starts the first one.
    ///
    /// Errors: nobody is there, or no server can be started. A server that is there and fails the
    /// contact is no error here: its cases fail without being played.
    pub async fn open(&self) -> Result<(), String> {
        let target = match &self.source {
            Source::Target(target) => Arc::clone(target),
            Source::Fleet(fleet) => {
                let first = fleet.first().await.map_err(|error| error.to_string())?;
                let _ = self.first_url.set(first.target().url().to_owned());
                Arc::clone(first.target())
            }
        };
        if self.options.first_contact == FirstContact::Skipped {
            return Ok(());
        }
        match self.gate.open(&target).await {
            Err(NoContact::NoServer(why)) => return Err(why),
            Err(NoContact::WrongServer(_)) => {}
            Ok(()) => {
                let _ = self.offered.set(self.gate.offered().await);
            }
        }
        Ok(())
    }

    /// Says which cases will be played, so that servers that the suite starts end when they have done
    /// their part.
    pub fn expect<'a>(&self, cases: impl IntoIterator<Item = &'a Case>) {
        if let Source::Fleet(fleet) = &self.source {
            fleet.expect(cases.into_iter());
        }
    }

    /// Ends the servers that the suite has started, in good order.
    pub async fn close(&self) {
        if let Source::Fleet(fleet) = &self.source {
            fleet.end().await;
        }
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

    /// The cases that are known to fail.
    pub fn expected(&self) -> &Expected {
        &self.options.expected
    }

    /// Whether a case that ended so fails the run.
    pub fn fails(&self, case: &CaseReport) -> bool {
        match case.verdict {
            _ if case.known.is_some() => false,
            Verdict::Fail | Verdict::Error => true,
            Verdict::Warn => self.options.strict,
            Verdict::Pass | Verdict::NotApplicable | Verdict::Untestable => false,
        }
    }

    /// Plays a case and keeps its report; with `fail_fast`, neither once a case has failed, not even
    /// to the end.
    pub async fn play_unless_failed(&self, case: &Case) -> Option<CaseReport> {
        if !self.options.fail_fast {
            return Some(self.play(case).await);
        }
        let mut failed = self.failed.subscribe();
        tokio::select! {
            biased;
            _ = failed.wait_for(|failed| *failed) => None,
            report = self.play(case) => Some(report),
        }
    }

    /// Plays a case and keeps its report.
    pub async fn play(&self, case: &Case) -> CaseReport {
        let without = |verdict, why| {
            let mut report = blank(case, verdict);
            report.message = Some(why);
            report
        };
        let report = if let Some(why) = self.gate.shut().await {
            without(Verdict::Fail, format!("{NOT_PLAYED}{why}"))
        } else if let Some(why) = self.not_applicable(case) {
            without(Verdict::NotApplicable, why)
        } else {
            match &self.source {
                Source::Target(_) if case.own_server => {
                    without(Verdict::Untestable, NEEDS_EXEC.to_owned())
                }
                Source::Target(target) => self.play_at(target, case).await,
                Source::Fleet(fleet) if case.own_server => self.play_alone(fleet, case).await,
                Source::Fleet(fleet) => self.play_shared(fleet, case).await,
            }
        };
        let mut report = report;
        if !report::is_not_played(&report) {
            let reason = self.options.expected.reason(&case.id, report.verdict);
            report.known = reason.map(str::to_owned);
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match results.remove(&case.id) {
            Some(earlier) => worse(earlier, report.clone()),
            None => report.clone(),
        };
        results.insert(case.id.clone(), kept);
        if self.fails(&report) {
            self.failed.send_replace(true);
        }
        report
    }

    fn context(&self, target: &Arc<Target>) -> Context {
        Context::seeded(Arc::clone(target), self.patience(), self.options.seed)
    }

    /// Plays a case against somebody's server.
    async fn play_at(&self, target: &Arc<Target>, case: &Case) -> CaseReport {
        let context = self.context(target);
        let Played { report, timed_out } = self.play_in(&context, case).await;
        if timed_out && self.options.first_contact == FirstContact::Required {
            self.gate.check_after(target, &case.id).await;
        }
        report
    }

    /// Plays a case against the server of its area. Where that fails as a whole, who was at fault is
    /// open, so the case is played again, alone.
    async fn play_shared(&self, fleet: &Fleet, case: &Case) -> CaseReport {
        let lease = match fleet.lease(case).await {
            Ok(lease) => lease,
            Err(error) => return self.no_server(case, &error),
        };
        let instance = lease.instance();
        let context = self.context(instance.target());
        let played = self.play_in(&context, case).await;
        let report = match self.failed(instance, &played).await {
            Some(why) => {
                lease.fail(why).await;
                self.note_failure(fleet).await;
                self.play_alone(fleet, case).await
            }
            None => played.report,
        };
        lease.give_back().await;
        report
    }

    /// Plays a case against a server that nobody else uses.
    async fn play_alone(&self, fleet: &Fleet, case: &Case) -> CaseReport {
        let instance = match fleet.exec().start().await {
            Ok(instance) => Arc::new(instance),
            Err(error) => return self.no_server(case, &error),
        };
        let context = self.context(instance.target()).with_server(&instance);
        let played = self.play_in(&context, case).await;
        let failed = match context.server_instance() {
            Some(instance) => self.failed(&instance, &played).await,
            None => None,
        };
        let exit = context.end_server(failed, &case.id).await;
        let mut report = played.report;
        if let Some(exit) = exit.filter(|exit| exit.why.is_failure()) {
            self.note_failure(fleet).await;
            report.verdict = Verdict::Fail;
            let what = match exit.why {
                ExitReason::Hung => "the server stopped answering in this case".to_owned(),
                _ => format!("the server ended by itself in this case ({})", exit.status),
            };
            report.message = Some(match report.message {
                Some(message) => format!("{what}; {message}"),
                None => what,
            });
            report.exit = Some(exit);
        }
        report
    }

    /// Why an instance has failed as a whole, if it has.
    async fn failed(&self, instance: &Instance, played: &Played) -> Option<ExitReason> {
        if played.report.verdict == Verdict::Pass {
            return None;
        }
        let is_cut = |frame: &FrameReport| frame.from == Sender::Server && frame.kind == "end";
        let cut = played.report.frames.iter().any(is_cut);
        if instance.is_failing(cut).await {
            return Some(ExitReason::Died);
        }
        let is_asked = played.timed_out && self.options.first_contact == FirstContact::Required;
        if !is_asked || self.gate.answers(instance.target()).await {
            return None;
        }
        // Who does not answer may have been about to end, though nobody saw it yet.
        Some(match instance.is_failing(true).await {
            true => ExitReason::Died,
            false => ExitReason::Hung,
        })
    }

    /// Counts the failures of servers as a whole; there is an end to starting them again.
    async fn note_failure(&self, fleet: &Fleet) {
        let exits = fleet.exec().report().exits;
        let count = exits.iter().filter(|exit| exit.why.is_failure()).count();
        if count >= MOST_FAILURES {
            let why = format!("the server has failed as a whole {count} times");
            self.gate.shut_because(why).await;
        }
    }

    /// Nothing is said of a server that was started once and can't be started again.
    fn no_server(&self, case: &Case, error: &StartError) -> CaseReport {
        let mut report = blank(case, Verdict::Error);
        report.message = Some(format!(
            "{NOT_PLAYED}no further server can be started beside or after the first: {error}\n\
             give every server a port of its own, such as by {{port}}"
        ));
        report
    }

    async fn play_in(&self, context: &Context, case: &Case) -> Played {
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
        let trace = Arc::new(context.trace());
        let monitored = self.monitored(Arc::clone(&trace)).await;
        self.keep(&case.id, &trace).await;
        let timed_out = matches!(&outcome, Err(Failure::Breach(fault)) if fault.timed_out);
        if timed_out {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        let mut report = judge(case, outcome, monitored);
        report.duration_ms = millis(duration);
        report.measurements = context.measurements();
        if report.verdict != Verdict::Pass || self.options.every_frame {
            report.frames = trace.report();
            trim(&mut report);
        }
        Played { report, timed_out }
    }

    /// What the monitors find. A long trace keeps them busy, and other cases go on meanwhile.
    async fn monitored(&self, trace: Arc<Trace>) -> Vec<Breach> {
        let _look = self.looks.acquire().await;
        let found = tokio::task::spawn_blocking(move || monitor::check(&trace));
        found
            .await
            .unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
    }

    async fn keep(&self, case: &str, trace: &Arc<Trace>) {
        let Some(kept) = &self.kept else { return };
        let (kept, case, trace) = (Arc::clone(kept), case.to_owned(), Arc::clone(trace));
        let keeping = tokio::task::spawn_blocking(move || kept.keep(&case, &trace));
        keeping.await.expect("keeping a trace does not panic");
    }

    /// Why traces are missing that were to be kept, where some are.
    pub fn traces_failed(&self) -> Option<&str> {
        self.kept.as_ref()?.failed()
    }

    /// What deadlines are multiplied by: less once many cases have waited in vain, so that a server
    /// that loses messages fails in seconds and not in minutes.
    fn patience(&self) -> f64 {
        let patient_for = PATIENT_FOR * self.options.repeat.max(1);
        let lost = self.late.load(Ordering::Relaxed) >= patient_for;
        self.options.timeout_scale * if lost { IMPATIENCE } else { 1.0 }
    }

    /// The report of the cases played until now, in the order of `cases`.
    pub fn report(&self, cases: &[Case]) -> Report {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let cases: Vec<CaseReport> = cases
            .iter()
            .filter_map(|case| results.get(&case.id).cloned())
            .collect();
        Report {
            version: REPORT_VERSION,
            suite: report::suite(),
            target: self.url().to_owned(),
            started_at_ms: self.started_at.duration_since(UNIX_EPOCH).map_or(0, millis),
            duration_ms: millis(self.started.elapsed()),
            jitter: self.options.jitter.map(|jitter| jitter.to_string()),
            profiles: self.offered().to_vec(),
            server: match &self.source {
                Source::Target(_) => None,
                Source::Fleet(fleet) => Some(fleet.exec().report()),
            },
            summary: Summary::of(&cases),
            requirements: requirements(&cases),
            cases,
        }
    }
}

/// A case that was played.
struct Played {
    report: CaseReport,
    /// Whether it waited in vain.
    timed_out: bool,
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
