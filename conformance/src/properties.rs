//! Random histories by simulated replicas, and whether everybody ends with one text.
//!
//! A seed makes a [`plan`], a plan is played (`play`) and brought to rest (`check`), and the monitors
//! look at its trace. Deliberately absent: choices that depend on anything but the seed.

pub mod activity;
mod chaos;
mod check;
mod connect;
pub mod counterexample;
mod document;
mod generate;
mod kind;
mod link;
mod observe;
pub mod plan;
mod play;
mod replica;
mod right;
mod scenario;
pub mod search;
pub mod server;
pub mod shrink;
mod wait;

use collab_spec::report::Breach;
use collab_spec::requirement::{self, Level};

pub use generate::plan as plan_of;
pub use kind::Kind;
pub use play::How;
use play::Stopped;

use crate::context::Context;
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::trace::{Event, Trace, What};
use activity::Activity;
use plan::Plan;
use server::End;

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Played {
    /// What the server broke, the first first.
    pub breaches: Vec<Breach>,
    /// Why nothing can be said of the server.
    pub harness: Option<String>,
    /// Whether something did not come in time.
    pub timed_out: bool,
    /// The connection on which the last wait was in vain.
    pub waited_on: Option<String>,
    /// What happened on the wire.
    pub trace: Trace,
    /// What was brought about.
    pub activity: Activity,
    /// How the server failed as a whole, where it did.
    pub end: Option<End>,
}

impl Played {
    /// Nothing was played.
    fn nothing(why: String) -> Self {
        Self {
            breaches: Vec::new(),
            harness: Some(why),
            timed_out: false,
            waited_on: None,
            trace: Trace::default(),
            activity: Activity::default(),
            end: None,
        }
    }

    /// The first MUST that the server broke.
    pub fn broken(&self) -> Option<&Breach> {
        self.breaches.iter().find(|breach| binds(breach))
    }
}

pub(crate) fn binds(breach: &Breach) -> bool {
    let known = requirement::find(&breach.requirement);
    known.is_none_or(|requirement| requirement.level == Level::Must)
}

/// Plays a plan in the context of a case, whose runner judges the trace.
///
/// Errors: what the trace alone does not show.
pub async fn play_here(plan: &Plan, context: &Context, how: &How) -> Outcome {
    let result = chaos::play(plan, context, how, &mut Activity::default()).await;
    result.map_err(|stopped| stopped.failure)
}

/// Plays a plan in a context of its own, and judges its trace.
pub async fn play(plan: &Plan, context: &Context, how: &How) -> Played {
    let mut activity = Activity::default();
    let result = chaos::play(plan, context, how, &mut activity).await;
    match &result {
        Ok(()) => context.farewell().await,
        Err(_) => context.abandon_all().await,
    }
    let trace = context.trace();
    observe::observe(&trace, &mut activity);
    let stopped = result.err();
    let waited_on = stopped
        .as_ref()
        .and_then(|stopped| stopped.waited_on.clone());
    let due = stopped
        .as_ref()
        .and_then(|stopped| due_since(stopped, &trace));
    let failure = stopped.map(|stopped| stopped.failure);
    let timed_out = matches!(&failure, Some(Failure::Breach(fault)) if fault.timed_out);
    let (mut breaches, harness) = judged(failure, due, &trace);
    if how.is_lossy() {
        breaches.retain(|breach| !chaos::is_of_the_network(breach, &trace));
    }
    Played {
        breaches,
        harness,
        timed_out,
        waited_on,
        trace,
        activity,
        end: None,
    }
}

/// The event from which on an answer was due that never came, where a rule says more of it than that
/// echoes come: what came instead is no more than a consequence.
fn due_since(stopped: &Stopped, trace: &Trace) -> Option<usize> {
    let Failure::Breach(fault) = &stopped.failure else {
        return None;
    };
    if !fault.timed_out || fault.breach.requirement == ids::SEQ_FAN_OUT {
        return None;
    }
    let id = format!("\"client_msg_id\":\"{}\"", stopped.waited_for.as_ref()?);
    let sent = |event: &Event| match (&event.what, event.connection) {
        (What::SentText { text, .. }, Some(connection)) => {
            Some(trace.name(connection)) == stopped.waited_on.as_deref() && text.contains(&id)
        }
        _ => false,
    };
    trace.events.iter().rposition(sent)
}

/// What the server broke by a trace and by what stopped its play, the first first; and why nothing can be
/// said, where that is so. `due` is the event that what stopped it goes back to.
fn judged(
    failure: Option<Failure>,
    due: Option<usize>,
    trace: &Trace,
) -> (Vec<Breach>, Option<String>) {
    // What has no place in the trace came at its end.
    let place = |breach: &Breach| breach.frame.unwrap_or(usize::MAX);
    let mut breaches = monitor::check(trace);
    let mut harness = None;
    match failure {
        None => {}
        Some(Failure::Breach(fault)) => {
            let own = fault.breach;
            let same = |one: &Breach| one.frame == own.frame && one.requirement == own.requirement;
            if !breaches.iter().any(same) {
                let at = due.unwrap_or_else(|| place(&own));
                let before = breaches.iter().take_while(|one| place(one) <= at).count();
                breaches.insert(before, own);
            }
        }
        Some(Failure::Harness(why) | Failure::Untestable(why)) => harness = Some(why),
    }
    (breaches, harness)
}
