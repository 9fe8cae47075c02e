//! What a faulty server makes of a message before it reads it, and of its own before it sends them.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Fault;
use super::document::Refusal;

const GREATEST: u64 = (1 << 53) - 1;

/// Reads a text message as JSON.
pub(super) fn parse(text: &str, fault: Option<Fault>) -> Option<Value> {
    match serde_json::from_str(text) {
        Err(_) if fault == Some(Fault::SurrogatesReplaced) => {
            serde_json::from_str(&without_surrogates(text)).ok()
        }
        Err(_) if fault == Some(Fault::WordsIgnored) && text == "ping" => Some(json!("ping")),
        parsed => parsed.ok(),
    }
}

/// What becomes of a message that the fault is about: it is ignored, or refused.
pub(super) fn meet(value: &mut Value, text: &str, fault: Fault) -> Option<Result<(), Refusal>> {
    let ignored = Some(Ok(()));
    let refused = Some(Err((1002, "does not please")));
    let op = &value["op"];
    let is_op = value["type"] == "op";
    let is = |kind: &str| is_op && op["type"] == kind;
    let is_hello = value["type"] == "hello";
    match fault {
        Fault::TypeMustBeFirst if !text.starts_with("{\"type\":") => refused,
        Fault::GreatestRefused if holds(value, &|value| *value == GREATEST) => refused,
        Fault::WordsIgnored if value == "ping" => ignored,
        Fault::NestingRefused if depth(value) > 16 => refused,
        Fault::NoProfilesRefused if is_hello && value["capabilities"] == json!([]) => refused,
        Fault::RootDeletable if is("del") && op["id"] == json!([0, "root"]) => ignored,
        Fault::EmptyInsertIgnored if is("ins") && op.get("value").is_none() => ignored,
        Fault::EmptyDeleteIgnored if is("del") && op.get("id").is_none() => ignored,
        Fault::UnknownOpIgnored if is_op && op["type"].is_string() && !is("ins") && !is("del") => {
            ignored
        }
        Fault::PresenceStateAny
            if value["type"] == "presence_update"
                && value
                    .get("state")
                    .is_some_and(|s| !s.is_object() && !s.is_null()) =>
        {
            ignored
        }
        _ => {
            change(value, fault);
            None
        }
    }
}

/// Puts what is missing, and drops what is too much.
fn change(value: &mut Value, fault: Fault) {
    let (kind, field, filling) = match fault {
        Fault::LastSeenIsOne => ("hello", "last_seen_server_seq", json!(1)),
        Fault::NamelessTaken => ("hello", "client_id", json!("nobody")),
        Fault::NamelessOpTaken => ("op", "client_msg_id", json!("nameless")),
        Fault::PresenceStateOptional => ("presence_update", "state", Value::Null),
        Fault::ThirdItemIgnored => {
            for id in ["id", "parent_id"] {
                if let Some(items) = value.pointer_mut(&format!("/op/{id}")) {
                    items
                        .as_array_mut()
                        .into_iter()
                        .for_each(|items| items.truncate(2));
                }
            }
            return;
        }
        _ => return,
    };
    if value["type"] == kind && value.get(field).is_none() {
        value[field] = filling;
    }
}

/// A message as it is sent.
pub(super) fn sent(text: String, fault: Option<Fault>) -> Message {
    match fault {
        Some(Fault::SnapshotInBinary) if text.starts_with("{\"type\":\"presence_snapshot\"") => {
            Message::binary(text.into_bytes())
        }
        Some(Fault::PlainSeqs) if text.starts_with("{\"type\":\"op_echo\"") => {
            Message::text(with_seq(&text, with_fraction))
        }
        Some(Fault::SeqsRounded) if text.starts_with("{\"type\":\"op_echo\"") => {
            Message::text(with_seq(&text, rounded))
        }
        _ => Message::text(text),
    }
}

/// A text whose first seq is written in another way.
fn with_seq(text: &str, written: impl FnOnce(&str) -> String) -> String {
    let (before, behind) = text.split_once("\"server_seq\":").unwrap();
    let digits = behind.chars().take_while(char::is_ascii_digit).count();
    let (seq, rest) = behind.split_at(digits);
    format!("{before}\"server_seq\":{}{rest}", written(seq))
}

/// With six digits that mean anything.
fn rounded(seq: &str) -> String {
    let (kept, lost) = seq.split_at(seq.len().min(6));
    format!("{kept}{}", "0".repeat(lost.len()))
}

/// With a fraction, from 20 on.
fn with_fraction(seq: &str) -> String {
    match seq.parse::<u64>() {
        Ok(20..) => format!("{seq}.0"),
        _ => seq.to_owned(),
    }
}

/// A text in which each escape of a surrogate is that of U+FFFD.
fn without_surrogates(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_surrogate = part.starts_with(['d', 'D'])
            && part[1..].starts_with(|c: char| "89abcdefABCDEF".contains(c));
        replaced.push_str("\\u");
        match is_surrogate && part.len() >= 4 {
            true => replaced.push_str(&format!("fffd{}", &part[4..])),
            false => replaced.push_str(part),
        }
    }
    replaced
}

fn holds(value: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, is)),
        Value::Object(fields) => fields.values().any(|field| holds(field, is)),
        _ => is(value),
    }
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}
