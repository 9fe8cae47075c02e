//! Each message for itself: its form.

use collab_spec::message::ServerMessage;
use collab_spec::report::Breach;

use super::digest::Digest;
use super::{breach, shown};
use crate::ids;
use crate::trace::What;

/// Every message is a text message that fits its schema.
pub(super) fn valid(digest: &Digest<'_>) -> Vec<Breach> {
    let events = digest.trace.events.iter().enumerate();
    let wrong = events.filter_map(|(index, event)| invalid(digest.name(index), index, &event.what));
    wrong.collect()
}

/// An echo carries the defined fields alone.
pub(super) fn exact_fields(digest: &Digest<'_>) -> Vec<Breach> {
    let events = digest.trace.events.iter().enumerate();
    let wrong = events.filter_map(|(index, event)| surplus(digest.name(index), index, &event.what));
    wrong.collect()
}

/// What is wrong with the form of a message that a connection got.
pub(super) fn invalid(name: &str, event: usize, what: &What) -> Option<Breach> {
    match what {
        What::Text(received) => {
            let problem = received.parsed.as_ref().err()?;
            let what = format!("{name} got an invalid message: {}", problem.what);
            let mut wrong = breach(problem.requirement, event, what);
            wrong.got = Some(shown(&received.text));
            Some(wrong)
        }
        What::Binary(bytes) => {
            let what = format!("{name} got a binary message of {} bytes", bytes.len());
            Some(breach(ids::TEXT_MESSAGES, event, what))
        }
        _ => None,
    }
}

/// The fields that an echo has too many.
pub(super) fn surplus(name: &str, event: usize, what: &What) -> Option<Breach> {
    let What::Text(received) = what else {
        return None;
    };
    let valid = received.parsed.as_ref().ok()?;
    if !matches!(valid.message, ServerMessage::OpEcho(_)) || valid.unknown_fields.is_empty() {
        return None;
    }
    let fields = valid.unknown_fields.join(", ");
    let what = format!("the echo that {name} got has other fields: {fields}");
    let requirement = match valid.unknown_fields.as_slice() {
        [field] if field == "/epoch" => ids::RESUME_EPOCH_NOT_CONTENT,
        [field] if field == "/op/count" => ids::RUNS_COUNT_ECHOED,
        _ => ids::ECHO_EXACT_FIELDS,
    };
    let mut wrong = breach(requirement, event, what);
    wrong.got = Some(shown(&received.text));
    Some(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{Tape, assert_breaks, assert_holds};

    #[test]
    fn invalid_and_binary_messages_are_found() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        assert_holds(&tape);
        tape.got("A", r#"{"type":"op_echo"}"#);
        assert_breaks(&tape, ids::ECHO_FIELDS);
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        tape.event("A", What::Binary(vec![1].into()));
        assert_breaks(&tape, ids::TEXT_MESSAGES);
    }

    #[test]
    fn other_fields_in_echoes_are_found() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        let op = r#"{"type":"ins","parent_id":[0,"root"],"id":[1,"A"],"value":"x"}"#;
        tape.sent("A", &format!(
            r#"{{"type":"op","doc_id":"doc-t","client_id":"A","client_msg_id":"m","op":{op},"y":1}}"#
        ));
        tape.got("A", &format!(
            r#"{{"type":"op_echo","doc_id":"doc-t","server_seq":1,"origin_client_id":"A","client_msg_id":"m","op":{op},"y":1}}"#
        ));
        assert_breaks(&tape, ids::ECHO_EXACT_FIELDS);
    }
}
