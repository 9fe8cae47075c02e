//! How connections end.

use std::collections::{HashMap, HashSet};

use collab_spec::close::{CloseCode, MAX_REASON_BYTES, REASON_PREFIX};
use collab_spec::report::Breach;

use super::breach;
use super::digest::{Digest, Talk};
use crate::ids;
use crate::trace::{Event, MAX_PING_BYTES, What, close_words};

/// How many bytes may wait for every connection (`slow.floor`).
pub(super) const MAY_WAIT: usize = 1 << 20;

/// How much longer than a submission its echo may be.
const ECHO_OVERHEAD: usize = 64;

/// A close frame of the server: its event, code and reason, the code that it answers, and whether a
/// frame that RFC 6455 does not allow came before it.
struct ServerClose<'a> {
    event: usize,
    code: u16,
    reason: &'a str,
    answers: Option<u16>,
    of_framing: bool,
}

fn closes<'a>(digest: &'a Digest<'_>) -> Vec<ServerClose<'a>> {
    let mut found = Vec::new();
    for talk in &digest.talks {
        let mut answers = None;
        let mut of_framing = false;
        for &event in &talk.events {
            match &digest.trace.events[event].what {
                What::SentClose { code } => answers = Some(*code),
                What::SentPing(data) => of_framing |= data.len() > MAX_PING_BYTES,
                What::Close { code, reason } => {
                    found.push(ServerClose {
                        event,
                        code: *code,
                        reason,
                        answers,
                        of_framing,
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
        let Some(requirement) = wrong_code(close.code, close.answers) else {
            continue;
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

/// The requirement that a code breaks, in answer to a client's close with another.
pub(super) fn wrong_code(code: u16, answers: Option<u16>) -> Option<&'static str> {
    let is_answer = answers.is_some_and(|sent| code == sent || code == 1005);
    match code {
        1011 => Some(ids::CLOSE_NO_1011),
        code if CloseCode::from_code(code).is_none() && !is_answer => Some(ids::CLOSE_TABLE_ONLY),
        _ => None,
    }
}

/// Reasons of violations begin with `protocol: ` and fit a close frame; those of broken frames are the
/// libraries' (`close.framing`).
pub(super) fn reasons(digest: &Digest<'_>) -> Vec<Breach> {
    let closes = closes(digest).into_iter();
    let graded = closes.filter(|close| close.answers.is_none() && !close.of_framing);
    let wrong = graded.filter_map(|close| {
        let name = digest.name(close.event);
        wrong_reason(name, close.event, close.code, close.reason)
    });
    wrong.collect()
}

/// A reason that is not as it must be, of a close that nobody asked for.
pub(super) fn wrong_reason(name: &str, event: usize, code: u16, reason: &str) -> Option<Breach> {
    let graded = CloseCode::from_code(code).is_some_and(CloseCode::has_protocol_reason);
    let right = reason.starts_with(REASON_PREFIX) && reason.len() <= MAX_REASON_BYTES;
    if !graded || right {
        return None;
    }
    let what =
        format!("the reason of the close {code} on {name} does not begin with `{REASON_PREFIX}`");
    let mut wrong = breach(ids::CLOSE_REASON, event, what);
    wrong.expected = Some(format!(
        "{REASON_PREFIX}… (at most {MAX_REASON_BYTES} bytes)"
    ));
    wrong.got = Some(format!("{reason:?}"));
    Some(wrong)
}

/// Nobody is closed for a valid `hello` alone, and none who reads is closed as slow. What a client
/// that has stopped reading gets is the matter of cases, and so is what a server does at its end.
pub(super) fn unprovoked(digest: &Digest<'_>) -> Vec<Breach> {
    let is_end = |event: &Event| matches!(event.what, What::Server(_));
    let events = &digest.trace.events;
    let end = events.iter().position(is_end).unwrap_or(events.len());
    let mut found = Vec::new();
    for talk in &digest.talks {
        let mut sent = 0;
        for &event in talk.events.iter().take_while(|event| **event < end) {
            let what = &digest.trace.events[event].what;
            match what {
                What::ReadingStopped | What::SentClose { .. } | What::Dropped => break,
                What::SentText { .. } | What::SentBytes { .. } => sent += 1,
                What::SentPing(data) if data.len() > MAX_PING_BYTES => sent += 1,
                What::Close { code, reason } => {
                    let words = close_words(*code, reason);
                    let name = digest.name(event);
                    // A malformed epoch is wrong for those servers alone that know epochs.
                    let hello = talk
                        .hello
                        .as_ref()
                        .filter(|(_, hello)| hello.epoch().is_ok());
                    if hello.is_some() && sent == 1 && *code != CloseCode::GoingAway.code() {
                        let what = format!("the server closed {name} after its hello: {words}");
                        found.push(breach(why_unprovoked(digest, talk, event), event, what));
                    }
                    if *code == CloseCode::TryAgainLater.code() {
                        let what = format!("the server closed {name}, which reads, as slow");
                        found.push(breach(ids::SLOW_READERS_SAFE, event, what));
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    found
}

/// What is most likely broken where a connection that has said nothing but a valid `hello` is closed: what
/// others did shortly before tells.
fn why_unprovoked(digest: &Digest<'_>, talk: &Talk, close: usize) -> &'static str {
    let Some((said, hello)) = &talk.hello else {
        return ids::SYNC_NEVER_CLOSES;
    };
    if talk.ack.is_none() {
        return match hello.last_seen_server_seq.value() {
            0 => ids::ACK_FIRST,
            _ => ids::SYNC_NEVER_CLOSES,
        };
    }
    let again = digest.talks.iter().any(|other| {
        other.hello.as_ref().is_some_and(|(later, other)| {
            let same = other.doc_id == hello.doc_id && other.client_id == hello.client_id;
            same && (said + 1..close).contains(later)
        })
    });
    if again {
        return ids::SAME_CLIENT_ID;
    }
    let events = &digest.trace.events;
    let here = events[close].connection;
    let mut before = events[..close].iter().rev();
    before
        .find_map(|event| match &event.what {
            _ if event.connection == here => None,
            What::Dropped | What::SentClose { .. } => Some(ids::VANISHED),
            What::Close { .. } => Some(ids::CLOSE_ISOLATED),
            _ => None,
        })
        .unwrap_or(ids::SYNC_NEVER_CLOSES)
}

/// No close with 1013 where all that ever came in the document is less than may wait.
pub(super) fn too_slow_too_soon(digest: &Digest<'_>) -> Vec<Breach> {
    let mut bytes: HashMap<&str, usize> = HashMap::new();
    // Single echoes of a run count as the one echo, which is not much longer than what was sent.
    let mut runs = HashSet::new();
    for echo in digest.echoes.iter().filter(|echo| echo.is_first) {
        let run = digest
            .under_key(echo)
            .find(|sent| sent.message.op.elements() > 1);
        let counts = match run {
            Some(_) if !runs.insert(echo.key()) => 0,
            Some(run) => digest.bytes(run.event) + ECHO_OVERHEAD,
            None => digest.bytes(echo.event),
        };
        *bytes.entry(echo.echo.doc_id.as_str()).or_default() += counts;
    }
    let mut found = Vec::new();
    for close in closes(digest) {
        let hello = digest
            .talk_of(close.event)
            .and_then(|talk| talk.hello.as_ref());
        let Some((_, hello)) = hello.filter(|_| close.code == CloseCode::TryAgainLater.code())
        else {
            continue;
        };
        let came = bytes.get(hello.doc_id.as_str()).copied().unwrap_or(0);
        if came < MAY_WAIT {
            let what = format!(
                "the server closed {} as slow when {came} bytes of echoes had come in all",
                digest.name(close.event)
            );
            let shown = digest
                .shown
                .keys()
                .any(|(doc_id, _)| *doc_id == hello.doc_id);
            let requirement = if shown {
                ids::PRESENCE_NEVER_SLOW
            } else {
                ids::SLOW_FLOOR
            };
            let mut wrong = breach(requirement, close.event, what);
            wrong.expected = Some(format!("no close 1013 below {MAY_WAIT} bytes"));
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
    use crate::trace::ServerEvent;

    fn closed(sent: Option<u16>, code: u16, reason: &str) -> Tape {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").typed("A", 1, "x").sent("A", "{");
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
    fn what_a_server_does_at_its_end_is_not_unprovoked() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        let mut ending = tape.clone();
        ending.server(ServerEvent::Terminated);
        let close = What::Close {
            code: 1000,
            reason: String::new(),
        };
        assert_holds(ending.event("A", close.clone()));
        assert_breaks(tape.event("A", close), ids::SYNC_NEVER_CLOSES);
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
    fn a_valid_hello_is_no_reason_to_close() {
        let refused = || What::Close {
            code: 1008,
            reason: "protocol: no".to_owned(),
        };
        let mut tape = Tape::new();
        tape.hello("A", 7).event("A", refused());
        assert_breaks(&tape, ids::SYNC_NEVER_CLOSES);
        let mut tape = Tape::new();
        tape.hello("A", 0).event("A", refused());
        assert_breaks(&tape, ids::ACK_FIRST);
        let mut tape = Tape::new();
        tape.joined("A", 0, "").joined("B", 0, "");
        let (mut left, mut ended) = (tape.clone(), tape);
        left.event("B", What::Dropped).event("A", refused());
        assert_breaks(&left, ids::VANISHED);
        ended.sent("B", "{").event("B", refused());
        assert_breaks(ended.event("A", refused()), ids::CLOSE_ISOLATED);
        let mut tape = Tape::new();
        tape.joined("A", 0, "").sent("A", "{").event("A", refused());
        assert_holds(&tape);
    }

    #[test]
    fn who_reads_is_not_slow() {
        let slow = || What::Close {
            code: 1013,
            reason: String::new(),
        };
        let mut tape = Tape::new();
        tape.joined("A", 0, "")
            .typed("A", 1, "x")
            .event("A", slow());
        assert_breaks(&tape, ids::SLOW_READERS_SAFE);
        assert_breaks(&tape, ids::SLOW_FLOOR);
        let mut tape = Tape::new();
        let name = "n".repeat(256);
        tape.joined("B", 0, "").event("B", What::ReadingStopped);
        tape.joined(&name, 0, "");
        for seq in 1..=1_600 {
            tape.typed(&name, seq, "x");
        }
        tape.event("B", slow());
        assert_holds(&tape);
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
