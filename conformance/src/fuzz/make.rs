//! Makes a frame out of a plain message and changes, and finds what a right server makes of it.

use serde_json::Value;

use super::change::{Change, Put};
use super::json::{At, Json, Writing};
use super::kind::Kind;
use super::verdict::{self, Ruling, Setting};
use super::whole::Sending;

/// The frame that changes make of a plain message, and what a right server makes of it.
pub(super) fn make(
    kind: Kind,
    plain: &Json,
    changes: &[&Change],
    setting: &Setting,
) -> (Sending, Vec<Ruling>, bool) {
    let mut json = plain.clone();
    let mut writing = Writing::default();
    let mut whole = None;
    for change in changes {
        match &change.put {
            Put::Writing(other) => writing = *other,
            Put::Whole(text) => whole = Some(*text),
            put => change_part(&mut json, change, put),
        }
    }
    let text = json.write(&writing);
    let sending = whole.map_or_else(|| Sending::Text(text.clone()), |whole| whole.of(&text));
    let is_open = changes.iter().any(|change| change.open);
    let mut rulings: Vec<Ruling> = match &sending {
        Sending::Bytes { text, .. } => vec![verdict::not_text(!text)],
        Sending::Text(text) => read(text, &json, is_open, kind, setting),
        Sending::Fragments(parts) => read(&parts.concat(), &json, is_open, kind, setting),
    };
    rulings.dedup();
    let is_open = is_open || rulings.iter().any(|ruling| ruling.open);
    (sending, rulings, is_open)
}

/// What a right server makes of a text, in each way in which it may be read.
fn read(text: &str, json: &Json, is_open: bool, kind: Kind, setting: &Setting) -> Vec<Ruling> {
    let rule = |value: &Value| setting.rule(value, kind.is_first());
    let text = match is_open {
        true => text.trim_start_matches('\u{feff}').replace("1e400", "1"),
        false => text.to_owned(),
    };
    match serde_json::from_str::<Value>(&text) {
        Err(error) => vec![verdict::not_json(format!("it is no JSON: {error}"))],
        Ok(value) => {
            let mut rulings = vec![rule(&value)];
            if is_open && let Some(first) = json.first_wins() {
                rulings.push(rule(&first));
            }
            rulings
        }
    }
}

fn change_part(json: &mut Json, change: &Change, put: &Put) {
    let mut parent = change.path.clone();
    let Some(step) = parent.0.pop() else { return };
    match (json.at(&parent), step) {
        (Some(Json::Array(items)), At::Item(index)) => {
            if let (Some(item), Put::Value(value)) = (items.get_mut(index), put) {
                *item = value.clone();
            }
        }
        (Some(Json::Object(fields)), At::Field(name)) => {
            let place = fields.iter().position(|(known, _)| *known == name);
            match (put, place) {
                (Put::Nothing, Some(place)) => drop(fields.remove(place)),
                (Put::Value(value), Some(place)) => fields[place].1 = value.clone(),
                (Put::Value(value) | Put::Again(value), _) => fields.push((name, value.clone())),
                _ => {}
            }
        }
        _ => {}
    }
}
