//! Histories over a network that harms connections: a proxy for each, seeded as the history is.
//!
//! Deliberately absent: what is done to a connection (see `proxy`), and how members come back (see
//! `play`).

use std::sync::Arc;

use collab_spec::report::Breach;

use super::activity::Activity;
use super::plan::Plan;
use super::play::{self, How, Stopped};
use crate::context::Context;
use crate::ids;
use crate::proxy::{self, Faults};
use crate::trace::{Trace, What};

/// From which connection on none is cut any more, so that every history comes to its end.
pub(super) const CALM: u64 = 40;

/// Plays a plan as `play` does, through a proxy where connections are to be harmed.
///
/// Errors: as those of `play`.
pub(super) async fn play(
    plan: &Plan,
    context: &Context,
    how: &How,
    activity: &mut Activity,
) -> Result<(), Stopped> {
    let Some(seed) = how.chaos else {
        return play::play(plan, context, how, activity).await;
    };
    let started = context.start_proxy(harms(seed)).await;
    let proxy = started.map_err(|failure| Stopped {
        failure,
        waited_on: None,
        waited_for: None,
    })?;
    context.go_through(Arc::new(proxy));
    play::play(plan, context, how, activity).await
}

/// What is done to each connection.
fn harms(seed: u64) -> proxy::Plan {
    let harms = proxy::Plan::seeded(seed);
    proxy::Plan::new(move |number| match harms.faults(number) {
        faults if number < CALM => faults,
        faults => Faults {
            cut: None,
            ..faults
        },
    })
}

/// Whether a breach may be what the network has made of a right server's frames: it closes a connection
/// whose `hello` has never come as one that says none.
pub(super) fn is_of_the_network(breach: &Breach, trace: &Trace) -> bool {
    let is_close = |at: &usize| matches!(trace.events[*at].what, What::Close { .. });
    let unanswered =
        [ids::ACK_FIRST, ids::SYNC_NEVER_CLOSES].contains(&breach.requirement.as_str());
    let Some(at) = breach.frame.filter(is_close).filter(|_| unanswered) else {
        return false;
    };
    let connection = trace.events[at].connection;
    let earlier = trace.events[..at].iter();
    let mut here = earlier.filter(|event| event.connection == connection);
    !here.any(|event| matches!(event.what, What::Text(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_calms_down() {
        for seed in 0..20 {
            let harms = harms(seed);
            assert!((0..CALM).any(|number| harms.faults(number).cut.is_some()));
            assert!((CALM..2 * CALM).all(|number| harms.faults(number).cut.is_none()));
        }
    }
}
