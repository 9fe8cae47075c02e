//! The states of resyncs: their form, and what the oracle has instead.

use std::collections::BTreeMap;

use collab_spec::message::{Op, Resync, ServerMessage, Span, State};
use collab_spec::report::Breach;

use super::breach;
use super::digest::Digest;
use super::pieces::{Pieces, values};
use crate::ids;
use crate::trace::What;
use crate::validate::shortened;

/// How many elements one op that waits is taken apart into; ops may be joined, so more than one may have.
const MOST_PENDING: u64 = 1 << 20;

/// How much of a value a breach shows.
const SHOWN: usize = 300;

/// What a state shows by itself: spans that are one, texts that are the text, no op twice.
pub(super) fn form(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (event, frame) in digest.trace.events.iter().enumerate() {
        if let What::Text(received) = &frame.what
            && let Some(ServerMessage::Resync(resync)) = received.message()
        {
            found.extend(form_of(digest.name(event), event, resync));
        }
    }
    found
}

/// What is wrong with the form of the state that a connection got, where it got one.
pub(super) fn form_of(name: &str, event: usize, resync: &Resync) -> Vec<Breach> {
    let Some(state) = &resync.state else {
        return Vec::new();
    };
    let wrong = [
        not_canonical(name, event, state),
        another_text(name, event, state, resync),
        pending_twice(name, event, state),
    ];
    wrong.into_iter().flatten().collect()
}

fn not_canonical(name: &str, event: usize, state: &State) -> Option<Breach> {
    let mut pairs = state.elements.windows(2);
    let pair = pairs.find(|pair| pair[0].goes_on_in(&pair[1]))?;
    let what = format!("the state that {name} got has adjacent spans that could be one");
    let mut wrong = breach(ids::STATE_CANONICAL, event, what);
    wrong.got = Some(json(&pair));
    Some(wrong)
}

fn another_text(name: &str, event: usize, state: &State, resync: &Resync) -> Option<Breach> {
    let text: String = state.elements.iter().filter_map(Span::text).collect();
    if text == resync.full_text {
        return None;
    }
    let what = format!("the texts of the state that {name} got are not its full_text");
    let mut wrong = breach(ids::STATE_TEXT, event, what);
    let (expected, got) = super::text::around_difference(&resync.full_text, &text);
    wrong.expected = Some(expected);
    wrong.got = Some(got);
    Some(wrong)
}

fn pending_twice(name: &str, event: usize, state: &State) -> Option<Breach> {
    let (op, times) = counted(&state.pending)
        .into_iter()
        .find(|(_, times)| *times > 1)?;
    let what = format!("an op waits {times} times in the state that {name} got");
    let mut wrong = breach(ids::STATE_PENDING, event, what);
    wrong.got = Some(op);
    Some(wrong)
}

/// What is in a state and should not be, or the other way round: the first element, the first op.
pub(crate) fn compare(name: &str, event: usize, known: &State, got: &State) -> Vec<Breach> {
    let mut found = Vec::new();
    let (mut wanted, mut there) = (elements(known), elements(got));
    let mut index = 0;
    loop {
        let (expected, came) = (wanted.next(), there.next());
        if expected != came {
            let what = format!("element {index} of the state that {name} got is another");
            let mut wrong = breach(ids::STATE_ELEMENTS, event, what);
            wrong.expected = Some(element_words(expected));
            wrong.got = Some(element_words(came));
            found.push(wrong);
            break;
        }
        if expected.is_none() {
            break;
        }
        index += 1;
    }
    let (wanted, there) = (counted(&known.pending), counted(&got.pending));
    let missing = wanted.keys().find(|op| !there.contains_key(*op));
    let surplus = there.keys().find(|op| !wanted.contains_key(*op));
    if missing.is_some() || surplus.is_some() {
        let what = format!(
            "the ops that wait in the state that {name} got are {} others, not {}",
            there.len(),
            wanted.len()
        );
        let mut wrong = breach(ids::STATE_PENDING, event, what);
        wrong.expected = missing.map(|op| shortened(op, SHOWN));
        wrong.got = surplus.map(|op| shortened(op, SHOWN));
        found.push(wrong);
    }
    found
}

/// One element: lamport, replica, and the value of one that is not deleted.
type Element<'a> = (u64, &'a str, Option<char>);

/// The elements one by one. Taken as they are asked for: a wrong server may claim any number.
fn elements(state: &State) -> impl Iterator<Item = Element<'_>> {
    state.elements.iter().flat_map(|span| {
        let (id, mut text) = (span.id(), span.text().map(str::chars));
        (0..span.elements()).map(move |index| {
            let value = text.as_mut().and_then(Iterator::next);
            let lamport = id.lamport().saturating_add(index);
            (lamport, id.replica_id().as_str(), value)
        })
    })
}

fn element_words(element: Option<Element<'_>>) -> String {
    match element {
        None => "no further element".to_owned(),
        Some((lamport, replica, None)) => format!("[{lamport},{replica:?}], deleted"),
        Some((lamport, replica, Some(value))) => format!("[{lamport},{replica:?}] {value:?}"),
    }
}

/// The ops as JSON, element by element, with how often each is there. An op of more elements than any
/// may have stays as it is: a wrong server may claim any number.
fn counted(ops: &[Op]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for op in ops {
        let values = values(op);
        let pieces = Pieces::new(op, &values);
        if pieces.len() > MOST_PENDING {
            *counts.entry(json(op)).or_default() += 1;
            continue;
        }
        let singles = (0..pieces.len()).filter_map(|index| pieces.at(index));
        for single in singles {
            *counts.entry(json(&single.op())).or_default() += 1;
        }
    }
    counts
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::monitor::testing::{DOC, Tape, assert_breaks, assert_holds};

    /// Five ops by A, the last of a child whose parent never comes; B joins with `state`.
    fn joined_with(text: &str, state: Value) -> Tape {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        let ops = [
            json!({"type": "ins", "parent_id": [0, "root"], "id": [1, "A"], "value": "a"}),
            json!({"type": "ins", "parent_id": [1, "A"], "id": [2, "A"], "value": "b"}),
            json!({"type": "ins", "parent_id": [2, "A"], "id": [3, "A"], "value": "c"}),
            json!({"type": "del", "id": [2, "A"]}),
            json!({"type": "ins", "parent_id": [7, "Z"], "id": [8, "A"], "value": "z"}),
            json!({"type": "del", "id": [7, "Z"]}),
            json!({"type": "del", "id": [7, "Z"]}),
        ];
        for (index, op) in ops.into_iter().enumerate() {
            tape.submitted("A", index as u64 + 1, op);
        }
        tape.hello_json("B", json!({"capabilities": ["state"]}));
        tape.got_json(
            "B",
            json!({"type": "hello_ack", "doc_id": DOC, "server_seq": 7,
            "capabilities": ["state"]}),
        );
        tape.got_json(
            "B",
            json!({"type": "resync", "doc_id": DOC, "server_seq": 7,
            "full_text": text, "state": state}),
        );
        tape
    }

    fn pending() -> Value {
        json!([{"type": "del", "id": [7, "Z"]},
            {"type": "ins", "parent_id": [7, "Z"], "id": [8, "A"], "value": "z"}])
    }

    fn elements() -> Value {
        json!([{"id": [1, "A"], "text": "a"}, {"id": [2, "A"], "deleted": 1}, {"id": [3, "A"], "text": "c"}])
    }

    #[test]
    fn a_right_state_holds() {
        assert_holds(&joined_with(
            "ac",
            json!({"elements": elements(), "pending": pending()}),
        ));
    }

    #[test]
    fn wrong_elements_are_found() {
        for wrong in [
            json!([{"id": [1, "A"], "text": "a"}, {"id": [3, "A"], "text": "c"}]),
            json!([{"id": [3, "A"], "text": "c"}, {"id": [2, "A"], "deleted": 1}, {"id": [1, "A"], "text": "a"}]),
            json!([{"id": [1, "A"], "text": "a"}, {"id": [2, "A"], "deleted": 9007199254740991_u64}]),
            json!([{"id": [1, "A"], "text": "ac"}]),
        ] {
            let tape = joined_with("ac", json!({"elements": wrong, "pending": pending()}));
            assert_breaks(&tape, ids::STATE_ELEMENTS);
        }
    }

    #[test]
    fn spans_that_could_be_one_are_found() {
        let mut tape = joined_with("ac", json!({"elements": elements(), "pending": pending()}));
        tape.submitted("A", 8, json!({"type": "del", "id": [3, "A"]}));
        tape.hello_json("C", json!({"capabilities": ["state"]}));
        tape.got_json(
            "C",
            json!({"type": "hello_ack", "doc_id": DOC, "server_seq": 8,
            "capabilities": ["state"]}),
        );
        tape.got_json("C", json!({"type": "resync", "doc_id": DOC, "server_seq": 8,
            "full_text": "a", "state": {"pending": pending(), "elements": [
                {"id": [1, "A"], "text": "a"}, {"id": [2, "A"], "deleted": 1}, {"id": [3, "A"], "deleted": 1}]}}));
        assert_breaks(&tape, ids::STATE_CANONICAL);
    }

    #[test]
    fn another_text_is_found() {
        let tape = joined_with("ca", json!({"elements": elements(), "pending": pending()}));
        assert_breaks(&tape, ids::STATE_TEXT);
        assert_breaks(&tape, ids::RESYNC_TEXT);
    }

    #[test]
    fn wrong_pending_ops_are_found() {
        let twice = json!([{"type": "del", "id": [7, "Z"]}, {"type": "del", "id": [7, "Z"]},
            {"type": "ins", "parent_id": [7, "Z"], "id": [8, "A"], "value": "z"}]);
        let other = json!([{"type": "del", "id": [7, "Z"]}, {"type": "del", "id": [9, "Z"]}]);
        for wrong in [json!([]), twice, other] {
            let tape = joined_with("ac", json!({"elements": elements(), "pending": wrong}));
            assert_breaks(&tape, ids::STATE_PENDING);
        }
    }
}
