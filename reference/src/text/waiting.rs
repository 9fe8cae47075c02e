//! The ops that wait for an element, by the missing id.
//!
//! They are in order: elements mostly come one after the other, and so do those who wait for them.

use std::collections::BTreeMap;

use collab_spec::message::RunText;
use smallvec::SmallVec;

use super::ids::Id;

/// One insert whose parent is missing, or the delete of the missing element itself.
#[derive(Clone, Debug)]
pub(super) struct Early {
    /// The first id that the insert makes.
    pub(super) id: Id,
    /// What it inserts; nothing for a delete.
    pub(super) value: Option<RunText>,
}

/// Replica and lamport of a missing element → what waits for it. An op that came twice is here twice.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<(u32, u64), SmallVec<[Early; 1]>>);

impl Waiting {
    /// Lets an insert wait for its parent.
    pub(super) fn insert(&mut self, parent: Id, id: Id, value: RunText) {
        let value = Some(value);
        self.push(parent, Early { id, value });
    }

    /// Lets a delete wait for its element.
    pub(super) fn delete(&mut self, id: Id) {
        self.push(id, Early { id, value: None });
    }

    fn push(&mut self, missing: Id, early: Early) {
        self.0.entry(key(missing)).or_default().push(early);
    }

    /// Takes what waits for the first of so many elements for which something does.
    pub(super) fn take(&mut self, first: Id, elements: u32) -> Option<(Id, SmallVec<[Early; 1]>)> {
        if elements == 1 {
            return self.0.remove(&key(first)).map(|early| (first, early));
        }
        let mut of_these = self.0.range(key(first)..key(first.later(elements.into())));
        let (&key, _) = of_these.next()?;
        let early = self.0.remove(&key)?;
        let (replica, lamport) = key;
        Some((Id { lamport, replica }, early))
    }

    /// Each missing element with what waits for it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &Early)> {
        self.0.iter().flat_map(|(&(replica, lamport), early)| {
            let missing = Id { lamport, replica };
            early.iter().map(move |early| (missing, early))
        })
    }
}

fn key(id: Id) -> (u32, u64) {
    (id.replica, id.lamport)
}
