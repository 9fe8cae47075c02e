//! Automerge: a change an edit.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, Change, ObjId, ObjType, ROOT, ReadDoc};

use super::Peer;
use crate::trace::Edit;

pub struct Automerge;

/// A document that begins with an empty text, by an author of its own.
fn beginning() -> (AutoCommit, ObjId) {
    let mut doc = AutoCommit::new().with_actor(b"beginning".into());
    let text = doc.put_object(ROOT, "text", ObjType::Text);
    doc.commit();
    (doc, text.expect("a text"))
}

impl Peer for Automerge {
    const NAME: &'static str = "automerge";
    // It does, but 5,000 shuffled changes keep it busy for longer than all the rest takes.
    const ANY_ORDER: bool = false;
    type Writer = (AutoCommit, ObjId);
    type Reader = (AutoCommit, ObjId);
    type Update = Change;

    fn writer(author: u64) -> Self::Writer {
        let (mut doc, text) = beginning();
        doc.set_actor(author.to_be_bytes().as_slice().into());
        (doc, text)
    }

    fn edit((doc, text): &mut Self::Writer, edit: &Edit) -> Vec<u8> {
        let deleted = edit.deleted as isize;
        let done = doc.splice_text(&*text, edit.at, deleted, &edit.inserted);
        done.expect("an edit");
        doc.commit();
        let change = doc.get_last_local_change().expect("a change");
        change.raw_bytes().to_vec()
    }

    fn receive(writer: &mut Self::Writer, bytes: &[u8]) {
        Self::integrate(writer, Self::decode(bytes));
    }

    fn length((doc, text): &Self::Writer) -> usize {
        doc.length(text)
    }

    fn reader() -> Self::Reader {
        beginning()
    }

    fn decode(bytes: &[u8]) -> Change {
        Change::try_from(bytes).expect("a change")
    }

    fn integrate((doc, _): &mut Self::Reader, update: Change) {
        doc.apply_changes([update]).expect("it applies");
    }

    fn text((doc, text): &Self::Reader) -> String {
        doc.text(text).expect("a text")
    }

    fn save((doc, _): &mut Self::Reader) -> Vec<u8> {
        doc.save()
    }

    fn load(bytes: &[u8]) -> Self::Reader {
        let doc = AutoCommit::load(bytes).expect("it loads");
        let (_, text) = doc.get(ROOT, "text").ok().flatten().expect("a text");
        (doc, text)
    }
}
