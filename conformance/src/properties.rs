//! Random histories by simulated replicas, and whether everybody ends with one text.
//!
//! A seed makes a [`plan`], a plan is played (`play`) and brought to rest (`check`), and the monitors
//! look at its trace. Deliberately absent: choices that depend on anything but the seed.

pub mod activity;
mod check;
mod connect;
mod document;
mod generate;
mod kind;
mod link;
mod observe;
pub mod plan;
mod play;
mod replica;
pub mod search;
mod wait;

use collab_spec::report::Breach;
use collab_spec::requirement::{self, Level};

pub use generate::plan as plan_of;
pub use kind::Kind;
pub use play::How;

use crate::context::Context;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::trace::Trace;
use activity::Activity;
use plan::Plan;

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Played {
    /// What the server broke, the first first.
    pub breaches: Vec<Breach>,
    /// Why nothing can be said of the server.
    pub harness: Option<String>,
    /// What happened on the wire.
    pub trace: Trace,
    /// What was brought about.
    pub activity: Activity,
}

impl Played {
    /// The first MUST that the server broke.
    pub fn broken(&self) -> Option<&Breach> {
        self.breaches.iter().find(|breach| binds(breach))
    }
}

fn binds(breach: &Breach) -> bool {
    let known = requirement::find(&breach.requirement);
    known.is_none_or(|requirement| requirement.level == Level::Must)
}

/// Plays a plan in the context of a case, whose runner judges the trace.
///
/// Errors: what the trace alone does not show.
pub async fn play_here(plan: &Plan, context: &Context, how: &How) -> Outcome {
    play::play(plan, context, how, &mut Activity::default()).await
}

/// Plays a plan in a context of its own, and judges its trace.
pub async fn play(plan: &Plan, context: &Context, how: &How) -> Played {
    let mut activity = Activity::default();
    let result = play::play(plan, context, how, &mut activity).await;
    match &result {
        Ok(()) => context.farewell().await,
        Err(_) => context.abandon_all().await,
    }
    let trace = context.trace();
    observe::observe(&trace, &mut activity);
    let mut breaches = monitor::check(&trace);
    let mut harness = None;
    match result {
        Ok(()) => {}
        Err(Failure::Breach(fault)) => {
            let own = fault.breach;
            let known = |breach: &Breach| {
                breach.frame == own.frame && breach.requirement == own.requirement
            };
            if !breaches.iter().any(known) {
                breaches.push(own);
            }
        }
        Err(Failure::Harness(why) | Failure::Untestable(why)) => harness = Some(why),
    }
    // What has no place in the trace came at its end.
    breaches.sort_by_key(|breach| breach.frame.unwrap_or(usize::MAX));
    Played {
        breaches,
        harness,
        trace,
        activity,
    }
}
