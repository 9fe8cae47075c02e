//! Rules that are true of any trace against a right server, whatever the case was about.
//!
//! Each monitor is a pure function of the trace, linear in it. Deliberately absent: rules about
//! what should have come and did not; those need to know what the case was about.

mod close;
mod digest;
mod history;
mod message;
mod pieces;
mod presence;
mod profiles;
mod session;
mod state;
#[cfg(test)]
mod testing;
mod text;

pub(crate) use session::sync_rule;
pub(crate) use state::compare as compare_states;
pub(crate) use text::around_difference;

use std::collections::BTreeMap;

use collab_spec::report::Breach;

use crate::ids;
use crate::monitor::digest::Digest;
use crate::trace::Trace;

/// How many breaches of one requirement one trace yields at most.
const PER_REQUIREMENT: usize = 10;

/// The requirements that the monitors watch in every case, so that they need no case of their own.
pub const WATCHED: &[&str] = &[
    ids::TEXT_MESSAGES,
    ids::SERVER_VALID,
    ids::PLAIN_INTEGERS,
    ids::ECHO_EXACT_FIELDS,
    ids::ACK_FIRST,
    ids::ONE_DOCUMENT,
    ids::SEQ_ONE_ORDER,
    ids::SEQ_FROM_BASELINE,
    ids::ECHO_FAITHFUL,
    ids::SUBMIT_RESEND,
    ids::SEQ_SENDER_ORDER,
    ids::SEQ_DENSE,
    ids::RESYNC_TEXT,
    ids::RESYNC_HEAD,
    ids::CLOSE_TABLE_ONLY,
    ids::CLOSE_NO_1011,
    ids::CLOSE_REASON,
    ids::SYNC_NEVER_CLOSES,
    ids::SLOW_READERS_SAFE,
];

/// Everything that the monitors find in a trace, the first first.
pub fn check(trace: &Trace) -> Vec<Breach> {
    let digest = Digest::new(trace);
    let monitors = [
        message::valid,
        message::exact_fields,
        session::check,
        history::overlong,
        history::one_order,
        history::faithful,
        history::one_seq_an_op,
        history::sender_order,
        history::heads,
        text::resyncs,
        state::form,
        profiles::acks,
        profiles::off_is_core,
        profiles::one_epoch,
        presence::check,
        close::codes,
        close::reasons,
        close::unprovoked,
        close::too_slow_too_soon,
        close::websocket,
    ];
    let mut found: Vec<Breach> = monitors
        .into_iter()
        .flat_map(|monitor| monitor(&digest))
        .collect();
    found.sort_by_key(|breach| breach.frame);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    found.retain(|breach| {
        let count = counts.entry(breach.requirement.clone()).or_default();
        *count += 1;
        *count <= PER_REQUIREMENT
    });
    found
}

/// A breach that the event with this index shows.
fn breach(requirement: &str, event: usize, what: String) -> Breach {
    Breach {
        requirement: requirement.to_owned(),
        what,
        expected: None,
        got: None,
        frame: Some(event),
    }
}
