//! The ops that wait for an element, by the missing id.
//!
//! They are in order: elements mostly come one after the other, and so do those who wait for them. What was
//! typed in a row and comes last character first waits as one insert.

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

/// What waits. An op that came twice is here twice.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By replica and lamport of the missing element.
    by_missing: BTreeMap<(u32, u64), SmallVec<[Early; 1]>>,
    /// The missing element and the new one of the insert that came last, where that was of one character.
    last: Option<(Id, Id)>,
    /// The characters, last first, of the inserts up to the last of which each is the parent of the one before,
    /// but for the first, which was not yet known to be one of them. They are not in the map yet.
    held: Vec<char>,
}

impl Waiting {
    /// Lets an insert wait for its parent.
    pub(super) fn insert(&mut self, parent: Id, id: Id, text: &str) {
        let mut characters = text.chars();
        if let (Some(character), None) = (characters.next(), characters.next()) {
            if self.last == Some((id, id.later(1))) {
                self.last = Some((parent, id));
                self.held.push(character);
                return;
            }
            self.settle();
            self.last = Some((parent, id));
        }
        let value = RunText::new(text);
        self.push(parent, Early { id, value });
    }

    /// Lets a delete wait for its element.
    pub(super) fn delete(&mut self, id: Id) {
        self.push(id, Early { id, value: None });
    }

    fn push(&mut self, missing: Id, early: Early) {
        let entry = self.by_missing.entry(key(missing));
        entry.or_default().push(early);
    }

    /// Puts what is held where it is found.
    #[inline]
    fn settle(&mut self) {
        if !self.held.is_empty() {
            self.put_held();
        }
    }

    #[cold]
    fn put_held(&mut self) {
        if let Some((missing, early)) = self.held() {
            self.push(missing, early);
            self.held.clear();
            self.last = None;
        }
    }

    /// The missing element and the insert of what is held.
    fn held(&self) -> Option<(Id, Early)> {
        let (missing, id) = self.last.filter(|_| !self.held.is_empty())?;
        let text: String = self.held.iter().rev().collect();
        let value = RunText::new(&text);
        Some((missing, Early { id, value }))
    }

    /// Whether nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.by_missing.is_empty() && self.held.is_empty()
    }

    /// Takes what waits for the first of so many elements for which something does.
    pub(super) fn take(&mut self, first: Id, elements: u32) -> Option<(Id, SmallVec<[Early; 1]>)> {
        self.settle();
        if elements == 1 {
            let early = self.by_missing.remove(&key(first))?;
            return Some((first, early));
        }
        let these = key(first)..key(first.later(elements.into()));
        let (&key, _) = self.by_missing.range(these).next()?;
        let early = self.by_missing.remove(&key)?;
        let (replica, lamport) = key;
        Some((Id { lamport, replica }, early))
    }

    /// Each missing element with what waits for it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, Early)> {
        let settled = self.by_missing.iter();
        let settled = settled.flat_map(|(&(replica, lamport), early)| {
            let missing = Id { lamport, replica };
            early.iter().map(move |early| (missing, early.clone()))
        });
        settled.chain(self.held())
    }
}

fn key(id: Id) -> (u32, u64) {
    (id.replica, id.lamport)
}
