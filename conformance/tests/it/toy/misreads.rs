//! How a faulty toy reads the text of a message.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Fault;
use super::document::Refusal;

/// The text that a faulty server takes the text of a message for.
pub(super) fn text(text: &str, fault: Option<Fault>) -> Cow<'_, str> {
    match fault {
        Some(Fault::OddSpacesTaken) => {
            let plain = text.trim_end_matches('\u{a0}').replace(":\u{b}", ":");
            plain.into()
        }
        Some(Fault::CommentsTaken) => {
            let plain = text.replace(":/**/", ":");
            plain.trim_end_matches("//").to_owned().into()
        }
        Some(Fault::NulEndsMessage) => text.split('\0').next().unwrap_or_default().into(),
        Some(Fault::LeadingZerosTaken) => {
            let plain = text.replace("[01,", "[1,").replace(":01}", ":1}");
            plain.replace("[+1,", "[1,").into()
        }
        Some(Fault::WordsOfScriptsTaken) => {
            let plain = text
                .replace(":undefined", ":null")
                .replace(":TRUE", ":true");
            plain.into()
        }
        Some(Fault::QuotedTaken) => match serde_json::from_str::<String>(text) {
            Ok(inner) => inner.into(),
            Err(_) => text.into(),
        },
        _ => text.into(),
    }
}

/// What a faulty server makes of the value of a message.
pub(super) fn value(value: &mut Value, fault: Option<Fault>) -> Result<(), Refusal> {
    let trim = |value: &mut Value, names: &[&str]| {
        for name in names {
            if let Some(Value::String(text)) = value.get_mut(name) {
                *text = text.trim().to_owned();
            }
        }
    };
    match fault {
        Some(Fault::ArrayOfOneTaken) => {
            if let Value::Array(items) = value
                && items.len() == 1
            {
                *value = items.remove(0);
            }
        }
        Some(Fault::TypeTrimmed) => trim(value, &["type"]),
        Some(Fault::OpTypeTrimmed) => {
            trim(value.get_mut("op").unwrap_or(&mut Value::Null), &["type"])
        }
        Some(Fault::OpTypeKeyTaken) => {
            if let Some(Value::Object(op)) = value.get_mut("op")
                && let Some(Value::Object(of_type)) = op.get("type")
                && let Some(key) = of_type.keys().next().cloned()
            {
                op.insert("type".to_owned(), Value::String(key));
            }
        }
        Some(Fault::OpClientTrimmed) if value["type"] == "op" => trim(value, &["client_id"]),
        Some(Fault::OpEpochTrimmed) if value["type"] == "op" => trim(value, &["epoch"]),
        Some(Fault::MarksDropped) if value["type"] == "op" => {
            if let Some(Value::String(text)) = value.get_mut("client_id") {
                *text = text.replace('\u{feff}', "");
            }
        }
        Some(Fault::ZeroIsNoName) if value["doc_id"] == "0" => return Err((1002, "no document")),
        Some(Fault::TagsReplaced) => {
            if let Some(Value::String(text)) = value.pointer_mut("/op/value") {
                *text = text.replace(|c| ('\u{e0000}'..='\u{e007f}').contains(&c), "\u{fffd}");
            }
        }
        Some(Fault::DatesRewritten) => {
            let fields = value.get_mut("state").and_then(Value::as_object_mut);
            for field in fields.into_iter().flat_map(Map::values_mut) {
                if let Value::String(text) = field
                    && let Some(date) = text.strip_suffix('Z').filter(|date| date.contains('T'))
                {
                    *field = Value::from(format!("{date}+00:00"));
                }
            }
        }
        Some(Fault::KeysFolded) => {
            fold(value);
            value.get_mut("op").into_iter().for_each(fold);
        }
        Some(Fault::EmptyKeyRefused) if has_key(value, "") => return Err((1002, "no key")),
        Some(Fault::ProtoRefused) if has_key(value, "__proto__") => {
            return Err((1002, "no such key"));
        }
        _ => {}
    }
    Ok(())
}

/// Whether a name is that of the connection's client.
pub(super) fn is_client(name: &str, client_id: &str, fault: Option<Fault>) -> bool {
    match fault {
        Some(Fault::OtherClientTaken) => true,
        Some(Fault::NamesEndAtNul) => name.split('\0').next() == client_id.split('\0').next(),
        _ => name == client_id,
    }
}

/// Whether a server takes two inserts for the same that have the same ids.
pub(super) fn alike(value: &str, other: &str, fault: Option<Fault>) -> bool {
    match fault {
        Some(Fault::ContentByFirstUnit) => {
            value.encode_utf16().next() == other.encode_utf16().next()
        }
        Some(Fault::ContentTrimmed) => value.trim() == other.trim(),
        _ => false,
    }
}

/// Takes keys in any case; the last of two equal ones counts.
fn fold(value: &mut Value) {
    if let Value::Object(fields) = value {
        let folded = std::mem::take(fields).into_iter();
        *fields = folded
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect::<Map<_, _>>();
    }
}

/// Whether a message or its op has a field.
fn has_key(value: &Value, name: &str) -> bool {
    value.get(name).is_some() || value["op"].get(name).is_some()
}

/// Cuts the fractions off all numbers.
pub(super) fn truncate(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
                *value = Value::from(float as u64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(truncate),
        Value::Object(fields) => fields.values_mut().for_each(truncate),
        _ => {}
    }
}

pub(super) fn utf16_too_long(value: &Value) -> bool {
    match value {
        Value::String(text) => text.encode_utf16().count() > 256,
        Value::Array(items) => items.iter().any(utf16_too_long),
        Value::Object(fields) => fields.values().any(utf16_too_long),
        _ => false,
    }
}
