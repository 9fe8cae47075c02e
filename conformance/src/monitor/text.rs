//! The texts and states of resyncs against the oracle.

use std::collections::BTreeMap;

use collab_spec::id::Name;
use collab_spec::message::{Resync, ServerMessage};
use collab_spec::report::Breach;

use super::digest::Digest;
use super::{breach, state};
use crate::ids;
use crate::model::Model;
use crate::trace::What;

/// How much of a text is shown before and behind the place where it goes wrong.
const SHOWN: usize = 40;

/// A resync's text is what all ops up to its seq make, wherever the trace knows them all.
/// So are its state's elements and pending ops.
pub(super) fn resyncs(digest: &Digest<'_>) -> Vec<Breach> {
    let mut by_document: BTreeMap<&Name, Vec<(usize, &Resync)>> = BTreeMap::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        if let What::Text(received) = &event.what
            && let Some(ServerMessage::Resync(resync)) = received.message()
            && digest.is_fresh(&resync.doc_id)
        {
            by_document
                .entry(&resync.doc_id)
                .or_default()
                .push((index, resync));
        }
    }
    let mut found = Vec::new();
    for (doc_id, mut resyncs) in by_document {
        resyncs.sort_by_key(|(index, resync)| (resync.server_seq, *index));
        let mut model = Model::new();
        let mut reached = 0;
        let mut text = String::new();
        let mut elements = None;
        for (event, resync) in resyncs {
            let wanted = resync.server_seq.value();
            let before = reached;
            while reached < wanted
                && let Some((echo, piece)) = digest.known(doc_id, reached + 1)
            {
                // The whole op where it begins here, else the element alone.
                if echo.pieces().at(0) == Some(piece) && reached + echo.pieces().len() <= wanted {
                    model.integrate(&echo.echo.op);
                    reached += echo.pieces().len();
                } else {
                    model.integrate(&piece.op());
                    reached += 1;
                }
            }
            if reached < wanted {
                // The trace does not know the ops from here on.
                break;
            }
            if reached > before {
                text = model.text();
                elements = None;
            }
            if text != resync.full_text {
                found.push(wrong_text(digest.name(event), event, &text, resync));
            }
            if let Some(got) = &resync.state {
                let known = elements.get_or_insert_with(|| model.state());
                found.extend(state::compare(digest.name(event), event, known, got));
            }
        }
    }
    found
}

/// Another text than the ops up to a resync's seq make.
pub(super) fn wrong_text(name: &str, event: usize, expected: &str, resync: &Resync) -> Breach {
    let what = format!(
        "the text that {name} got at seq {} is not what the ops up to it make",
        resync.server_seq.value()
    );
    let mut wrong = breach(ids::RESYNC_TEXT, event, what);
    let (expected, got) = around_difference(expected, &resync.full_text);
    wrong.expected = Some(expected);
    wrong.got = Some(got);
    wrong
}

/// Both texts around the place where they begin to differ.
pub(crate) fn around_difference(expected: &str, got: &str) -> (String, String) {
    let same = expected
        .chars()
        .zip(got.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let window = |text: &str| {
        let length = text.chars().count();
        let from = same.saturating_sub(SHOWN);
        let part: String = text.chars().skip(from).take(2 * SHOWN).collect();
        let before = if from > 0 { "…" } else { "" };
        let behind = if from + 2 * SHOWN < length { "…" } else { "" };
        format!(
            "{before}{part:?}{behind} ({length} characters; they differ from character {same} on)"
        )
    };
    (window(expected), window(got))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{Tape, assert_breaks, assert_holds};

    #[test]
    fn a_text_that_its_ops_do_not_make_is_found() {
        let mut tape = Tape::new();
        // `typed` inserts at the root, so the newest stands first.
        tape.joined("A", 0, "")
            .typed("A", 1, "b")
            .typed("A", 2, "a");
        let mut right = tape.clone();
        right.joined("B", 2, "ab");
        assert_holds(&right);
        tape.joined("B", 2, "ba");
        assert_breaks(&tape, ids::RESYNC_TEXT);
    }

    #[test]
    fn nothing_is_said_where_ops_are_unknown() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "");
        tape.sent("A", &crate::monitor::testing::op("A", 1, "m-1", "x"));
        tape.joined("B", 1, "x");
        assert_holds(&tape);
    }
}
