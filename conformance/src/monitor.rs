//! Rules that are true of any trace against a right server, whatever the case was about.
//!
//! Each monitor is a pure function of the trace, linear in it. Deliberately absent: rules about
//! what should have come and did not; those need to know what the case was about.

mod around;
mod close;
mod digest;
mod history;
mod message;
mod pieces;
mod presence;
mod profiles;
mod session;
mod state;
pub mod stream;
#[cfg(test)]
mod testing;
mod text;
mod unearned;

pub(crate) use session::sync_rule;
pub(crate) use state::compare as compare_states;
pub(crate) use text::around_difference;

use std::collections::BTreeMap;

use collab_spec::report::Breach;

use crate::ids;
use crate::monitor::digest::Digest;
use crate::trace::{Event, ServerEvent, Trace, What};
use crate::validate::shortened;

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
    ids::CLOSE_ONLY_THEN,
    ids::SYNC_NEVER_CLOSES,
    ids::SLOW_READERS_SAFE,
];

/// Everything that the monitors find in a trace, the first first.
pub fn check(trace: &Trace) -> Vec<Breach> {
    let restarted = |event: &Event| matches!(event.what, What::Server(ServerEvent::Restarted));
    if !trace.events.iter().any(restarted) {
        return check_life(trace);
    }
    let mut found = Vec::new();
    let mut from = 0;
    for events in trace.events.split_inclusive(restarted) {
        let mut life = trace.with_events(events.to_vec());
        if from > 0 {
            // Whether the history goes on from the life before is the case's matter; here it is one
            // that the trace does not know from its start.
            life.doc_id.clear();
        }
        found.extend(check_life(&life).into_iter().map(|breach| Breach {
            frame: breach.frame.map(|frame| frame + from),
            ..breach
        }));
        from += events.len();
    }
    found
}

/// What the monitors find in a trace of one life of the server.
fn check_life(trace: &Trace) -> Vec<Breach> {
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
        unearned::closes,
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

/// As much of a message as a breach shows.
fn shown(text: &str) -> String {
    shortened(text, 600)
}

/// A breach that the event with this index shows.
fn breach(requirement: &str, event: usize, what: String) -> Breach {
    Breach {
        requirement: requirement.to_owned(),
        what,
        expected: None,
        got: None,
        frame: Some(event),
        late: false,
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Tape, assert_breaks, assert_holds};
    use super::*;

    #[test]
    fn each_life_of_a_server_is_watched_for_itself() {
        let mut lives = Tape::new();
        lives.joined("A", 0, "").typed("A", 1, "a");
        let mut one = lives.clone();
        one.joined("B", 0, "");
        assert_breaks(&one, ids::ACK_FIELDS);
        lives
            .server(ServerEvent::Killed)
            .server(ServerEvent::Restarted);
        let mut forgets = lives.clone();
        forgets.joined("B", 0, "").typed("B", 1, "b");
        assert_holds(&forgets);
        let mut keeps = lives.clone();
        keeps.joined("B", 1, "a");
        assert_holds(&keeps);
        lives.hello("B", 0).resync("B", 0, "");
        assert_breaks(&lives, ids::ACK_FIRST);
    }

    #[test]
    fn a_breach_in_a_later_life_is_shown_where_it_stands() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").server(ServerEvent::Restarted);
        tape.hello("B", 0).resync("B", 0, "");
        assert_breaks(&tape, ids::ACK_FIRST);
        let found = check(tape.trace());
        let last = tape.trace().events.len() - 1;
        assert_eq!(found[0].frame, Some(last));
    }
}
