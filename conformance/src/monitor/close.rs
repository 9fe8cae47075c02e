//! How connections end.

use collab_spec::close::{CloseCode, MAX_REASON_BYTES, REASON_PREFIX};
use collab_spec::report::Breach;

use super::breach;
use super::digest::Digest;
use crate::ids;
use crate::trace::{What, close_words};

/// A close frame of the server: its event, code and reason, and the code that it answers.
struct ServerClose<'a> {
    event: usize,
    code: u16,
    reason: &'a str,
    answers: Option<u16>,
}

fn closes<'a>(digest: &'a Digest<'_>) -> Vec<ServerClose<'a>> {
    let mut found = Vec::new();
    for talk in &digest.talks {
        let mut answers = None;
        for &event in &talk.events {
            match &digest.trace.events[event].what {
                What::SentClose { code } => answers = Some(*code),
                What::Close { code, reason } => {
                    found.push(ServerClose {
                        event,
                        code: *code,
                        reason,
                        answers,
                    });
                }
                _ => {}
            }
        }
    }
    found
}

/// Only codes of the table, and never 1011. The answer to a client's close may repeat its code, or
/// have none.
pub(super) fn codes(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for close in closes(digest) {
        let answer = close
            .answers
            .is_some_and(|sent| close.code == sent || close.code == 1005);
        let requirement = match close.code {
            1011 => ids::CLOSE_NO_1011,
            code if CloseCode::from_code(code).is_none() && !answer => ids::CLOSE_TABLE_ONLY,
            _ => continue,
        };
        let what = format!(
            "the server closed {} with {}",
            digest.name(close.event),
            close_words(close.code, close.reason)
        );
        found.push(breach(requirement, close.event, what));
    }
    found
}

/// Reasons of violations begin with `protocol: ` and fit a close frame.
pub(super) fn reasons(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for close in closes(digest) {
        let graded = CloseCode::from_code(close.code).is_some_and(CloseCode::has_protocol_reason);
        let wrong =
            !close.reason.starts_with(REASON_PREFIX) || close.reason.len() > MAX_REASON_BYTES;
        if graded && wrong && close.answers.is_none() {
            let what = format!(
                "the reason of the close {} on {} does not begin with `{REASON_PREFIX}`",
                close.code,
                digest.name(close.event)
            );
            let mut wrong = breach(ids::CLOSE_REASON, close.event, what);
            wrong.expected = Some(format!(
                "{REASON_PREFIX}… (at most {MAX_REASON_BYTES} bytes)"
            ));
            wrong.got = Some(format!("{:?}", close.reason));
            found.push(wrong);
        }
    }
    found
}

/// The server keeps to RFC 6455; a frame after its close frame is a breach of it.
pub(super) fn websocket(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        if let What::WebSocketError(error) = &event.what {
            found.push(breach(
                ids::UPGRADE,
                index,
                format!("on {} {error}", digest.name(index)),
            ));
        }
    }
    for talk in &digest.talks {
        let closed = talk
            .events
            .iter()
            .position(|&event| matches!(digest.trace.events[event].what, What::Close { .. }));
        let behind = closed.map_or(&[][..], |place| &talk.events[place + 1..]);
        for &event in behind {
            if matches!(
                digest.trace.events[event].what,
                What::Text(_) | What::Binary(_)
            ) {
                let what = format!("{} got a message after the close frame", digest.name(event));
                found.push(breach(ids::UPGRADE, event, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{Tape, assert_breaks, assert_holds};

    fn closed(sent: Option<u16>, code: u16, reason: &str) -> Tape {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        if let Some(code) = sent {
            tape.event("A", What::SentClose { code });
        }
        tape.event(
            "A",
            What::Close {
                code,
                reason: reason.to_owned(),
            },
        );
        tape
    }

    #[test]
    fn codes_are_those_of_the_table() {
        assert_holds(&closed(None, 1002, "protocol: no"));
        assert_holds(&closed(Some(1000), 1000, ""));
        assert_holds(&closed(Some(1000), 1005, ""));
        assert_holds(&closed(Some(3000), 3000, ""));
        assert_holds(&closed(None, 1009, "whatever"));
        assert_breaks(&closed(None, 1011, "internal error"), ids::CLOSE_NO_1011);
        assert_breaks(&closed(Some(1000), 1011, ""), ids::CLOSE_NO_1011);
        assert_breaks(&closed(None, 4000, ""), ids::CLOSE_TABLE_ONLY);
        assert_breaks(&closed(None, 1005, ""), ids::CLOSE_TABLE_ONLY);
    }

    #[test]
    fn reasons_begin_as_they_must() {
        assert_breaks(&closed(None, 1008, "no"), ids::CLOSE_REASON);
        assert_breaks(&closed(None, 1003, ""), ids::CLOSE_REASON);
    }

    #[test]
    fn nothing_comes_after_the_close() {
        let mut tape = closed(None, 1009, "");
        tape.resync("A", 0, "");
        assert_breaks(&tape, ids::UPGRADE);
        let mut tape = Tape::new();
        tape.joined("A", 0, "")
            .event("A", What::WebSocketError("the server …".to_owned()));
        assert_breaks(&tape, ids::UPGRADE);
    }
}
