//! Idempotent submission and the rules on ids.

use collab_reference::document::{Document, Submitted, Sync};
use collab_reference::log::{MemoryStore, Store};
use collab_reference::violation::Violation;
use collab_spec::id::MAX_INTEGER;
use collab_spec::message::Op;

use crate::{del, ins, name};

type Outcome = Result<Submitted, Violation>;

const NEW: fn(u64) -> Outcome = |seq| Ok(Submitted::New(seq));
const AGAIN: fn(u64) -> Outcome = |seq| Ok(Submitted::Duplicate(seq));

fn document() -> Document {
    Document::open(MemoryStore::default().open(&name("doc")))
}

/// Submits as a client under a `client_msg_id`.
fn submit(document: &mut Document, client: &str, message: &str, op: Op) -> Outcome {
    document.submit(&name(client), &name(message), &op)
}

#[test]
fn the_rules_of_submission() {
    let a = || ins((0, ""), (1, "A"), 'a');
    let waiting = || ins((9, "Z"), (10, "A"), 'w');
    let steps: Vec<(&str, &str, &str, Op, Outcome)> = vec![
        ("first", "A", "1", a(), NEW(1)),
        ("resent", "A", "1", a(), AGAIN(1)),
        (
            "other content",
            "A",
            "1",
            ins((0, ""), (2, "A"), 'b'),
            Err(Violation::MessageIdReused),
        ),
        (
            "other kind",
            "A",
            "1",
            del(1, "A"),
            Err(Violation::MessageIdReused),
        ),
        ("same insert, new name", "A", "2", a(), AGAIN(1)),
        (
            "the name stayed free",
            "A",
            "2",
            ins((1, "A"), (2, "A"), 'b'),
            NEW(2),
        ),
        (
            "other value",
            "A",
            "3",
            ins((0, ""), (1, "A"), 'x'),
            Err(Violation::ElementIdTaken),
        ),
        (
            "other parent",
            "A",
            "3",
            ins((1, "A"), (2, "B"), 'b'),
            Err(Violation::ForeignReplica),
        ),
        (
            "other parent",
            "A",
            "3",
            ins((0, ""), (2, "A"), 'b'),
            Err(Violation::ElementIdTaken),
        ),
        (
            "foreign replica",
            "B",
            "1",
            a(),
            Err(Violation::ForeignReplica),
        ),
        (
            "names are a client's own",
            "B",
            "1",
            ins((1, "A"), (3, "B"), 'x'),
            NEW(3),
        ),
        (
            "equal lamport",
            "B",
            "2",
            ins((3, "B"), (3, "B"), 'x'),
            Err(Violation::LamportNotAboveParent),
        ),
        (
            "below a parent that waits",
            "B",
            "2",
            ins((9, "Z"), (9, "B"), 'x'),
            Err(Violation::LamportNotAboveParent),
        ),
        (
            "greatest lamport",
            "B",
            "2",
            ins((0, ""), (MAX_INTEGER, "B"), '!'),
            NEW(4),
        ),
        ("waits", "A", "4", waiting(), NEW(5)),
        ("waits, resent", "A", "5", waiting(), AGAIN(5)),
        (
            "waits, taken",
            "A",
            "5",
            ins((0, ""), (10, "A"), 'w'),
            Err(Violation::ElementIdTaken),
        ),
        ("delete", "B", "3", del(1, "A"), NEW(6)),
        ("delete, resent", "B", "3", del(1, "A"), AGAIN(6)),
        ("delete again", "B", "4", del(1, "A"), NEW(7)),
        ("delete what is not there", "B", "5", del(9, "Z"), NEW(8)),
        (
            "delete, other target",
            "B",
            "5",
            del(8, "Z"),
            Err(Violation::MessageIdReused),
        ),
        ("insert of a tombstone", "A", "6", a(), AGAIN(1)),
        (
            "what all wait for",
            "Z",
            "1",
            ins((0, ""), (9, "Z"), 'z'),
            NEW(9),
        ),
    ];
    let mut document = document();
    for (what, client, message, op, outcome) in steps {
        let (head, text) = (document.head(), document.text());
        let submitted = submit(&mut document, client, message, op);
        assert_eq!(submitted, outcome, "{what}");
        if !matches!(submitted, Ok(Submitted::New(_))) {
            assert_eq!((head, text), (document.head(), document.text()), "{what}");
        }
    }
    assert_eq!(document.text(), "!wxb");
    assert!(document.snapshot().state.pending.is_empty());
}

#[test]
fn the_sync_for_every_last_seen() {
    let mut document = document();
    assert_eq!(document.sync(0), Sync::Resync);
    assert_eq!(document.sync(7), Sync::Resync);
    for (index, op) in crate::typed("A", "abc").into_iter().enumerate() {
        submit(&mut document, "A", &index.to_string(), op).unwrap();
    }
    let syncs: Vec<_> = (0..5).map(|last_seen| document.sync(last_seen)).collect();
    assert_eq!(
        syncs,
        [
            Sync::Resync,
            Sync::Replay,
            Sync::Replay,
            Sync::Resync,
            Sync::Resync
        ]
    );
    assert_eq!(document.sync(MAX_INTEGER), Sync::Resync);
}
