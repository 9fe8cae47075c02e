//! The reference's engine, with ops in JSON as they stand in messages, and with the same as runs.

use collab_reference::text::Text;
use collab_spec::id::{ElementId, Name, ParentId};
use collab_spec::message::{Delete, Op, State};

use super::Peer;
use crate::trace::{Edit, insert, name};

pub struct Ours;

/// A client as small as can be: a list by the list rule, without any haste.
pub struct Writer {
    author: Name,
    newest: u64,
    elements: Vec<(ElementId, bool)>,
    length: usize,
}

impl Writer {
    fn visible(&self, at: usize) -> usize {
        let visible = self.elements.iter().enumerate().filter(|(_, it)| it.1);
        visible.map(|(at, _)| at).nth(at).expect("such a position")
    }

    fn apply(&mut self, op: &Op) {
        let find = |id: &ElementId| self.elements.iter().rposition(|it| it.0 == *id);
        match op {
            Op::Del(delete) => {
                let at = find(&delete.id).expect("it is there");
                if std::mem::replace(&mut self.elements[at].1, false) {
                    self.length -= 1;
                }
            }
            Op::Ins(insert) => {
                let from = insert
                    .parent_id
                    .element()
                    .map_or(0, |parent| find(parent).expect("the parent is there") + 1);
                let skipped = self.elements[from..].iter();
                let skipped = skipped.take_while(|it| it.0 > insert.id).count();
                self.elements
                    .insert(from + skipped, (insert.id.clone(), true));
                self.length += 1;
                self.newest = self.newest.max(insert.id.lamport());
            }
        }
    }
}

impl Peer for Ours {
    const NAME: &'static str = "this engine";
    type Writer = Writer;
    type Reader = Text;
    type Update = Op;

    fn writer(author: u64) -> Writer {
        Writer {
            author: name(&format!("author-{author}")),
            newest: 0,
            elements: Vec::new(),
            length: 0,
        }
    }

    fn edit(writer: &mut Writer, edit: &Edit) -> Vec<u8> {
        let op = match edit.deleted {
            0 => {
                let parent = edit.at.checked_sub(1);
                let parent = parent.map(|at| writer.elements[writer.visible(at)].0.clone());
                let id = crate::trace::id(writer.newest + 1, &writer.author);
                insert(
                    parent,
                    id,
                    edit.inserted.chars().next().expect("a character"),
                )
            }
            _ => Op::Del(Delete::one(
                writer.elements[writer.visible(edit.at)].0.clone(),
            )),
        };
        writer.apply(&op);
        serde_json::to_vec(&op).expect("it is written")
    }

    fn receive(writer: &mut Writer, bytes: &[u8]) {
        writer.apply(&Self::decode(bytes));
    }

    fn length(writer: &Writer) -> usize {
        writer.length
    }

    fn reader() -> Text {
        Text::new()
    }

    fn decode(bytes: &[u8]) -> Op {
        Op::from_json(text(bytes)).expect("an op")
    }

    fn integrate(reader: &mut Text, update: Op) {
        reader.integrate(&update);
    }

    fn text(reader: &Text) -> String {
        reader.text()
    }

    /// The `state` as it stands in a `resync`.
    fn save(reader: &mut Text) -> Vec<u8> {
        serde_json::to_vec(&reader.state()).expect("it is written")
    }

    fn load(bytes: &[u8]) -> Text {
        let state: State = State::from_json(text(bytes)).expect("it was saved");
        Text::from_state(&state)
    }
}

/// What was sent or saved: that it is UTF-8 is looked at once, as a WebSocket library does it.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("it is UTF-8")
}

/// Ops of one character joined into runs where one goes on where another ends, at most `most` long.
pub fn runs(ops: &[Op], most: usize) -> Vec<Op> {
    use collab_spec::message::{Count, Insert, RunText};
    let goes_on = |before: &Op, next: &Op| match (before, next) {
        (Op::Ins(before), Op::Ins(next)) => {
            next.id.replica_id() == before.id.replica_id()
                && next.id.lamport() == before.id.lamport() + 1
                && next.parent_id == ParentId::Element(before.id.clone())
        }
        // Backspaces come last to first.
        (Op::Del(before), Op::Del(next)) => {
            next.id.replica_id() == before.id.replica_id()
                && before.id.lamport().abs_diff(next.id.lamport()) == 1
        }
        _ => false,
    };
    let mut runs = Vec::new();
    for same in ops.chunk_by(goes_on) {
        for part in same.chunks(most) {
            match &part[0] {
                Op::Ins(first) => {
                    let values = part.iter().map(|op| match op {
                        Op::Ins(insert) => insert.value.as_str(),
                        Op::Del(_) => "",
                    });
                    let value = RunText::new(&values.collect::<String>()).expect("not empty");
                    runs.push(Op::Ins(Insert {
                        value,
                        ..first.clone()
                    }));
                }
                Op::Del(_) => {
                    // A caret may turn round; then the elements are those between the ends.
                    let mut ids: Vec<&ElementId> = part.iter().map(Op::id).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    let count = Count::new(ids.len() as u64).expect("not 0");
                    runs.push(Op::Del(Delete {
                        id: ids[0].clone(),
                        count,
                    }));
                }
            }
        }
    }
    runs
}
