//! Each message for itself: its form.

use collab_spec::message::ServerMessage;
use collab_spec::report::Breach;

use super::breach;
use super::digest::Digest;
use crate::ids;
use crate::trace::What;

/// Every message is a text message that fits its schema.
pub(super) fn valid(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        match &event.what {
            What::Text(received) => {
                if let Err(problem) = &received.parsed {
                    let what = format!(
                        "{} got an invalid message: {}",
                        digest.name(index),
                        problem.what
                    );
                    let mut wrong = breach(problem.requirement, index, what);
                    wrong.got = Some(digest.text(index));
                    found.push(wrong);
                }
            }
            What::Binary(bytes) => {
                let what = format!(
                    "{} got a binary message of {} bytes",
                    digest.name(index),
                    bytes.len()
                );
                found.push(breach(ids::TEXT_MESSAGES, index, what));
            }
            _ => {}
        }
    }
    found
}

/// An echo carries the defined fields alone.
pub(super) fn exact_fields(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        if let What::Text(received) = &event.what
            && let Ok(valid) = &received.parsed
            && matches!(valid.message, ServerMessage::OpEcho(_))
            && !valid.unknown_fields.is_empty()
        {
            let fields = valid.unknown_fields.join(", ");
            let what = format!(
                "the echo that {} got has other fields: {fields}",
                digest.name(index)
            );
            let requirement = match valid.unknown_fields.as_slice() {
                [field] if field == "/epoch" => ids::RESUME_EPOCH_NOT_CONTENT,
                [field] if field == "/op/count" => ids::RUNS_COUNT_ECHOED,
                _ => ids::ECHO_EXACT_FIELDS,
            };
            let mut wrong = breach(requirement, index, what);
            wrong.got = Some(digest.text(index));
            found.push(wrong);
        }
    }
    found
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
