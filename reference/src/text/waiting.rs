//! The ops that wait for an element, by the missing id.

use std::collections::HashMap;
use std::iter::successors;

use collab_spec::message::RunText;

use super::ids::Id;
use super::tree::NONE;

/// One insert whose parent is missing, or the delete of the missing element itself.
#[derive(Clone, Debug)]
pub(super) struct Early {
    /// The first id that the insert makes.
    pub(super) id: Id,
    /// What it inserts; nothing for a delete.
    pub(super) value: Option<RunText>,
    /// Another that waits for the same element.
    next: u32,
}

/// An op that came twice is here twice.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Missing element → the last that came, with a chain to the first.
    heads: HashMap<Id, u32>,
    ops: Vec<Early>,
    /// The places in `ops` that are free.
    free: Vec<u32>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Lets an insert wait for its parent.
    pub(super) fn insert(&mut self, parent: Id, id: Id, value: RunText) {
        self.push(parent, id, Some(value));
    }

    /// Lets a delete wait for its element.
    pub(super) fn delete(&mut self, id: Id) {
        self.push(id, id, None);
    }

    fn push(&mut self, missing: Id, id: Id, value: Option<RunText>) {
        let head = self.heads.entry(missing).or_insert(NONE);
        let early = Early {
            id,
            value,
            next: *head,
        };
        *head = match self.free.pop() {
            Some(at) => {
                self.ops[at as usize] = early;
                at
            }
            None => {
                self.ops.push(early);
                u32::try_from(self.ops.len() - 1).expect("fewer than 2^32 ops wait")
            }
        };
    }

    fn chain(&self, head: u32) -> impl Iterator<Item = &Early> {
        successors(self.ops.get(head as usize), |early| {
            self.ops.get(early.next as usize)
        })
    }

    /// Takes what waits for an element.
    pub(super) fn take(&mut self, id: Id, mut ready: impl FnMut(Id, Option<RunText>)) {
        let Some(mut at) = self.heads.remove(&id) else {
            return;
        };
        while let Some(early) = self.ops.get_mut(at as usize) {
            ready(early.id, early.value.take());
            self.free.push(at);
            at = early.next;
        }
        if self.heads.is_empty() {
            *self = Self::default();
        }
    }

    /// Each missing element with what waits for it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &Early)> {
        let heads = self.heads.iter();
        heads.flat_map(|(&id, &head)| self.chain(head).map(move |early| (id, early)))
    }
}
