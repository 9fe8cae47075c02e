//! The wire of a case as a log of one line an event.

use std::fmt::Write as _;

use collab_spec::report::{CaseReport, FrameReport, Sender};
use serde_json::{Map, Value};

use super::failure::chunks;
use super::{Detail, SHOWN_BREACHES, WIDTH};
use crate::validate::shortened;

/// How many events of a long log are shown at its start, at its end, and around a breach.
const SHOWN_AROUND: usize = 8;

/// A log up to this length is shown whole.
const SHOWN_WHOLE: usize = 40;

/// How the ids of cases' documents begin, and how many digits follow at least.
const DOCUMENT: (&str, usize) = ("doc-", 16);

/// Writes the log: in brief, a line an event, whole where it is short and else around what matters; or all
/// of it, with every message as it was sent; nothing where it was not kept. `client` is who sends to the
/// server.
pub(super) fn write(text: &mut String, case: &CaseReport, detail: Detail, client: &str) {
    let frames = &case.frames;
    if frames.is_empty() {
        return;
    }
    let names = frames
        .iter()
        .map(|frame| frame.connection.chars().count())
        .max();
    let names = names.unwrap_or(0).min(14);
    let _ = writeln!(
        text,
        "\n  On the wire (ms; > sent by the {client}, < by the server; => the breach):"
    );
    let whole = match detail {
        Detail::Brief => SHOWN_WHOLE,
        Detail::Whole => usize::MAX,
    };
    for part in selection(case, whole) {
        match part {
            Part::LeftOut(count) => {
                let _ = writeln!(text, "           … {count} more …");
            }
            Part::Frame {
                index,
                marked: is_marked,
            } => {
                let mark = if is_marked { "=>" } else { "  " };
                let _ = match detail {
                    Detail::Brief => writeln!(text, "{}", line(mark, names, &frames[index])),
                    Detail::Whole => writeln!(text, "{}", lines(mark, names, &frames[index])),
                };
            }
        }
    }
}

/// A part of a log, of which the middle may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An event, and whether a breach is marked there.
    Frame {
        /// Its index in the case's frames.
        index: usize,
        /// Whether a breach was seen there.
        marked: bool,
    },
    /// So many events are left out.
    LeftOut(usize),
}

/// What of a case's log is shown: all of it up to a length, else what is around what matters.
pub(super) fn selection(case: &CaseReport, whole: usize) -> Vec<Part> {
    let frames = &case.frames;
    let marks = case.breaches.iter().filter_map(|breach| breach.frame);
    let marked: Vec<usize> = marks.collect();
    let shown = |index: usize| {
        frames.len() <= whole
            || index < SHOWN_AROUND
            || index + SHOWN_AROUND >= frames.len()
            || marked
                .iter()
                .take(SHOWN_BREACHES)
                .any(|mark| mark.abs_diff(index) <= SHOWN_AROUND)
    };
    let mut parts = Vec::new();
    for index in 0..frames.len() {
        if shown(index) {
            let marked = marked.contains(&index);
            parts.push(Part::Frame { index, marked });
        } else if let Some(Part::LeftOut(count)) = parts.last_mut() {
            *count += 1;
        } else {
            parts.push(Part::LeftOut(1));
        }
    }
    parts
}

/// An event in one line, in few words.
fn line(mark: &str, names: usize, frame: &FrameReport) -> String {
    if frame.kind == "omitted" {
        return omitted(frame);
    }
    let head = head(mark, names, frame);
    let room = WIDTH.saturating_sub(head.chars().count());
    let content = brief(&frame.content).unwrap_or_else(|| named(frame));
    let content = without_document(&printable(&content));
    format!("{head}{}", shortened(&content, room))
}

/// An event as it was, in as many lines as it takes.
fn lines(mark: &str, names: usize, frame: &FrameReport) -> String {
    if frame.kind == "omitted" {
        return omitted(frame);
    }
    let head = head(mark, names, frame);
    let indent = format!("\n{}", " ".repeat(head.chars().count()));
    let room = WIDTH.saturating_sub(indent.chars().count() - 1);
    head + &chunks(&printable(&named(frame)), room).join(&indent)
}

/// The content, behind the kind where it is mere bytes.
fn named(frame: &FrameReport) -> String {
    match frame.kind.as_str() {
        "ping" | "pong" | "binary" => format!("{} {}", frame.kind, frame.content),
        _ => frame.content.clone(),
    }
}

fn omitted(frame: &FrameReport) -> String {
    format!("           … {} …", frame.content)
}

/// When it was, on which connection, and who did it.
fn head(mark: &str, names: usize, frame: &FrameReport) -> String {
    let arrow = match frame.from {
        Sender::Client => '>',
        Sender::Server => '<',
    };
    let millis = millis(frame.at_us);
    let name = shortened(&frame.connection, names);
    format!("{mark}{millis:>8} {name:<names$} {arrow} ")
}

/// Microseconds as milliseconds.
pub(super) fn millis(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}

fn printable(content: &str) -> String {
    let chars = content.chars();
    chars
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A right message in few words, as its line in the log has it; nothing for anything else.
pub(super) fn words(content: &str) -> Option<String> {
    Some(without_document(&printable(&brief(content)?)))
}

/// A right message in few words: what is the same in all of them is left out. Nothing where a field
/// is missing, is another one, or has another type: that is shown as it is.
pub(super) fn brief(content: &str) -> Option<String> {
    let value: Value = serde_json::from_str(content).ok()?;
    let fields = value.as_object()?;
    let text = |name: &str| fields.get(name)?.as_str();
    let number = |name: &str| fields.get(name)?.as_u64();
    // Which of a case's documents it is, the hello says; here the room is needed for the op.
    let document = match text("doc_id")? {
        own if is_document(own) => String::new(),
        related if related.starts_with(DOCUMENT.0) && text("type")? != "hello" => String::new(),
        other => format!(" of {other:?}"),
    };
    let (words, count) = match text("type")? {
        "hello" => {
            let mut words = format!("hello {}", plain(text("client_id")?));
            let mut count = 3;
            if let Some(seen) = number("last_seen_server_seq") {
                let _ = write!(words, " seen {seen}");
                count += 1;
            }
            count += profile_fields(&mut words, fields);
            (words, count)
        }
        "hello_ack" => {
            let mut words = format!("hello_ack seq {}", number("server_seq")?);
            let count = 3 + profile_fields(&mut words, fields);
            (words, count)
        }
        "presence_update" => {
            let state = fields.get("state")?;
            let client = plain(text("client_id")?);
            (format!("presence_update {client} {state}"), 4)
        }
        "presence_snapshot" => {
            let states = fields.get("states")?;
            (format!("presence_snapshot {states}"), 3)
        }
        "resync" => {
            let (seq, full_text) = (number("server_seq")?, text("full_text")?);
            let mut words = format!("resync seq {seq} {full_text:?}");
            let state = fields.get("state");
            if let Some(state) = state {
                let _ = write!(words, " state {state}");
            }
            (words, 4 + usize::from(state.is_some()))
        }
        "op" => {
            let op = brief_op(fields.get("op")?)?;
            let (client, id) = (plain(text("client_id")?), plain(text("client_msg_id")?));
            (format!("op {client} {id} {op}"), 5)
        }
        "op_echo" => {
            let op = brief_op(fields.get("op")?)?;
            let (client, id) = (
                plain(text("origin_client_id")?),
                plain(text("client_msg_id")?),
            );
            (
                format!("op_echo seq {} {client} {id} {op}", number("server_seq")?),
                6,
            )
        }
        _ => return None,
    };
    (fields.len() == count).then(|| words + &document)
}

/// Adds the fields of profiles that are there, and gives how many they are.
fn profile_fields(words: &mut String, fields: &Map<String, Value>) -> usize {
    let there = ["capabilities", "epoch", "sync", "limits"]
        .into_iter()
        .filter_map(|name| Some((name, fields.get(name)?)));
    let mut count = 0;
    for (name, value) in there {
        let _ = match value {
            Value::String(text) => write!(words, " {name} {}", plain(text)),
            Value::Array(names) => {
                let names: Vec<_> = names
                    .iter()
                    .map(|name| plain(name.as_str().unwrap_or("?")))
                    .collect();
                write!(words, " with {}", names.join(","))
            }
            other => write!(words, " {name} {other}"),
        };
        count += 1;
    }
    count
}

/// A name as it is where it needs no quotes.
fn plain(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

fn brief_op(op: &Value) -> Option<String> {
    let fields = op.as_object()?;
    let id = fields.get("id")?;
    match (fields.get("type")?.as_str()?, fields.len()) {
        ("del", 2) => Some(format!("del {id}")),
        ("del", 3) => Some(format!("del {id} count {}", fields.get("count")?.as_u64()?)),
        ("ins", 4) => {
            let value = fields.get("value")?.as_str()?;
            Some(format!(
                "ins {id} {value:?} under {}",
                fields.get("parent_id")?
            ))
        }
        _ => None,
    }
}

fn is_document(id: &str) -> bool {
    id.strip_prefix(DOCUMENT.0).is_some_and(|digits| {
        digits.len() >= DOCUMENT.1 && digits.chars().all(|c| c.is_ascii_hexdigit())
    })
}

/// A content with `${doc}` for the long id of the case's document.
pub(super) fn without_document(content: &str) -> String {
    let mut shown = String::new();
    let mut rest = content;
    while let Some(at) = rest.find(DOCUMENT.0) {
        let digits = at + DOCUMENT.0.len();
        let length = rest[digits..].find(|c: char| !c.is_ascii_hexdigit());
        let end = length.map_or(rest.len(), |length| digits + length);
        shown.push_str(&rest[..at]);
        shown.push_str(if is_document(&rest[at..end]) {
            "${doc}"
        } else {
            &rest[at..end]
        });
        rest = &rest[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_messages_are_brief_and_others_stay() {
        let echo = r#"{"type":"op_echo","doc_id":"doc-0123456789abcdef","server_seq":4,"origin_client_id":"A","client_msg_id":"m-1","op":{"type":"ins","parent_id":[0,"root"],"id":[1,"A"],"value":"x"}}"#;
        assert_eq!(
            brief(echo).unwrap(),
            r#"op_echo seq 4 A m-1 ins [1,"A"] "x" under [0,"root"]"#
        );
        assert_eq!(
            brief(&echo.replace("\"server_seq\":4", "\"server_seq\":\"4\"")),
            None
        );
        assert_eq!(
            brief(&echo.replace("\"server_seq\":4", "\"server_seq\":4,\"x\":1")),
            None
        );
        let other = echo.replace("doc-0123456789abcdef", "d2");
        assert!(brief(&other).unwrap().ends_with(r#" of "d2""#));
    }

    #[test]
    fn profiles_are_brief_too() {
        let hello = r#"{"type":"hello","doc_id":"doc-0123456789abcdef","client_id":"A","last_seen_server_seq":2,"capabilities":["resume"],"epoch":"e"}"#;
        let words = r#"hello A seen 2 with resume epoch e"#;
        assert_eq!(brief(hello).unwrap(), words);
        let ack = r#"{"type":"hello_ack","doc_id":"doc-0123456789abcdef","server_seq":2,"epoch":"e","sync":"replay"}"#;
        assert_eq!(brief(ack).unwrap(), "hello_ack seq 2 epoch e sync replay");
        let run = r#"{"type":"op_echo","doc_id":"doc-0123456789abcdef","server_seq":4,"origin_client_id":"A","client_msg_id":"m","op":{"type":"del","id":[2,"A"],"count":3}}"#;
        assert_eq!(
            brief(run).unwrap(),
            r#"op_echo seq 4 A m del [2,"A"] count 3"#
        );
        let update = r#"{"type":"presence_update","doc_id":"doc-0123456789abcdef","client_id":"A","state":{"n":1}}"#;
        assert_eq!(brief(update).unwrap(), r#"presence_update A {"n":1}"#);
    }

    #[test]
    fn the_document_of_the_case_is_shortened_everywhere() {
        assert_eq!(
            without_document("a doc-0123456789abcdef doc-x doc-0123456789abcdef-2"),
            "a ${doc} doc-x ${doc}-2"
        );
    }
}
