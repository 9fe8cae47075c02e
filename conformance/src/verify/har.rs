//! Captures as HAR files, in which browsers write WebSocket messages as `_webSocketMessages`.
//!
//! Deliberately absent: close frames, which a HAR does not have.

use std::io::{self, BufRead};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{Captured, Verifier};
use crate::trace::{Received, What};

const NO_CLOSES: &str = "connections of a HAR, which has no close frames: how they ended";
const OTHERS: &str = "WebSockets of a HAR that begin with another message than a hello";

/// The opcodes of messages (RFC 6455).
const TEXT: i64 = 1;
const BINARY: i64 = 2;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_webSocketMessages")]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    /// Seconds since 1970, or milliseconds, or nothing that is a time: writers differ.
    #[serde(default)]
    time: f64,
    opcode: i64,
    data: String,
}

/// Whether a file begins as a HAR does.
pub(super) fn is_har(input: &mut impl BufRead) -> io::Result<bool> {
    let start = input.fill_buf()?;
    // An editor may have put a byte order mark before it.
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let signs = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    Ok(signs.take(7).eq(b"{\"log\":"))
}

pub(super) fn read(input: impl BufRead, name: &str, verifier: &mut Verifier) -> Result<(), String> {
    let text = io::read_to_string(input).map_err(|error| super::unreadable(name, &error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let har: Har = serde_json::from_str(text)
        .map_err(|error| format!("{name}: the file is no HAR: {error}"))?;
    let mut events = Vec::new();
    let mut sockets = 0;
    for messages in har
        .log
        .entries
        .into_iter()
        .filter_map(|entry| entry.messages)
    {
        sockets += 1;
        if !begins_with_hello(&messages) {
            verifier.leave(OTHERS);
            continue;
        }
        verifier.leave(NO_CLOSES);
        let connection: Arc<str> = format!("ws-{sockets}").into();
        let opened = messages.first().map_or(0.0, |first| first.time);
        events.push((opened, Arc::clone(&connection), What::Opened));
        for message in messages {
            let time = message.time;
            let what = event(message).map_err(|why| format!("{name}: {connection}: {why}"))?;
            events.extend(what.map(|what| (time, Arc::clone(&connection), what)));
        }
    }
    events.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    for (number, (time, connection, what)) in (1..).zip(events) {
        verifier.lines += 1;
        let captured = Captured {
            line: number,
            at_us: micros(time),
            connection: &connection,
            what,
        };
        verifier.hear(name, &captured);
    }
    Ok(())
}

/// The time in microseconds; no HAR is from before 1970, nor from after the year 5000 in seconds.
fn micros(time: f64) -> u64 {
    const LAST_SECOND: f64 = 1e11;
    let scale = if time > LAST_SECOND { 1e3 } else { 1e6 };
    // A conversion to an integer ends at its bounds.
    (time * scale) as u64
}

/// Whether the client says first what it is to say first; a page has other WebSockets, too.
fn begins_with_hello(messages: &[Message]) -> bool {
    let mut sent = messages.iter().filter(|message| message.kind == "send");
    let first = sent.next().and_then(|message| {
        let value: Value = serde_json::from_str(&message.data).ok()?;
        Some(value["type"] == "hello")
    });
    first.unwrap_or(false)
}

fn event(message: Message) -> Result<Option<What>, String> {
    let bytes = |text: &str| {
        let bytes = BASE64_STANDARD.decode(text);
        bytes.map_err(|error| format!("the data of a binary message is no base64: {error}"))
    };
    let what = match (message.kind.as_str(), message.opcode) {
        ("send", TEXT) => What::SentText {
            text: message.data.into(),
            fragments: 1,
        },
        ("send", BINARY) => What::SentBytes {
            text: false,
            bytes: bytes(&message.data)?.into(),
        },
        ("receive", TEXT) => What::Text(Arc::new(Received::new(message.data))),
        ("receive", BINARY) => What::Binary(bytes(&message.data)?.into()),
        _ => return Ok(None),
    };
    Ok(Some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_milliseconds() {
        assert_eq!(micros(1_558_730_482.5), 1_558_730_482_500_000);
        assert_eq!(micros(1_558_730_482_500.0), 1_558_730_482_500_000);
        assert_eq!(micros(-1.0), 0);
    }

    #[test]
    fn a_har_is_told_by_its_beginning() {
        for (text, har) in [
            ("{\n  \"log\": {\"entries\": []}}", true),
            ("\u{feff}{\"log\":{}}", true),
            ("{\"at_us\":0}", false),
            ("", false),
        ] {
            assert_eq!(is_har(&mut text.as_bytes()).unwrap(), har, "{text}");
        }
    }
}
