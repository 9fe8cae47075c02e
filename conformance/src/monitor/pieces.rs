//! Ops looked at element by element: one echo of a run, and single echoes of the same, say the same.

use collab_spec::id::{ElementId, Integer, Name, ParentId};
use collab_spec::message::{Delete, Insert, Op};

/// One element of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The element's id.
    pub(super) id: (u64, &'a Name),
    /// The parent (nothing for the root) and the value of an insert; nothing for a delete.
    pub(super) insert: Option<(Option<(u64, &'a Name)>, char)>,
}

impl Piece<'_> {
    /// The element as an op of its own.
    pub(super) fn op(self) -> Op {
        let id = |(lamport, replica): (u64, &Name)| {
            let lamport = Integer::new(lamport).expect("a run ends at 2^53-1 or below");
            ElementId::new(lamport, replica.clone()).expect("a run begins at 1 or above")
        };
        match self.insert {
            None => Op::Del(Delete::one(id(self.id))),
            Some((parent, value)) => Op::Ins(Insert {
                parent_id: parent.map_or(ParentId::Root, |parent| ParentId::Element(id(parent))),
                id: id(self.id),
                value: value.into(),
            }),
        }
    }
}

/// An op, and the values of its elements.
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a> {
    op: &'a Op,
    values: Vec<char>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(op: &'a Op) -> Self {
        let values = match op {
            Op::Ins(insert) => insert.value.as_str().chars().collect(),
            Op::Del(_) => Vec::new(),
        };
        Self { op, values }
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> u64 {
        match self.op {
            Op::Ins(_) => self.values.len() as u64,
            Op::Del(delete) => delete.count.value(),
        }
    }

    /// The element with this index, or nothing behind the last.
    pub(super) fn at(&self, index: u64) -> Option<Piece<'a>> {
        if index >= self.len() {
            return None;
        }
        let first = self.op.id();
        let lamport = first.lamport() + index;
        let replica = first.replica_id();
        let insert = match self.op {
            Op::Del(_) => None,
            Op::Ins(insert) => {
                let parent = match (&insert.parent_id, index) {
                    (ParentId::Root, 0) => None,
                    (ParentId::Element(parent), 0) => Some((parent.lamport(), parent.replica_id())),
                    _ => Some((lamport - 1, replica)),
                };
                Some((parent, self.values[usize::try_from(index).ok()?]))
            }
        };
        let id = (lamport, replica);
        Some(Piece { id, insert })
    }

    /// The index of the first element of `part` here, where `part` is a part of this op.
    pub(super) fn holds(&self, part: &Pieces<'_>) -> Option<u64> {
        let (own, its) = (self.op.id(), part.op.id());
        let from = its.lamport().checked_sub(own.lamport())?;
        let same = (0..part.len()).all(|index| self.at(from + index) == part.at(index));
        (own.replica_id() == its.replica_id() && same).then_some(from)
    }
}
