//! Ids with their replicas numbered, and in which leaf an element is.

use std::collections::{BTreeMap, HashMap};

use collab_spec::id::{ElementId, Integer, Name};

use super::leaf::{Leaf, Run};

/// An element's id, its replica as a number. Its order is that of [`Replicas::below`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub(super) lamport: u64,
    pub(super) replica: u32,
}

impl Id {
    /// Above all ids.
    pub(super) const NONE: Self = Self {
        lamport: u64::MAX,
        replica: u32::MAX,
    };

    /// The id of the same replica, so many lamports later.
    pub(super) fn later(self, lamports: u64) -> Self {
        Self {
            lamport: self.lamport + lamports,
            ..self
        }
    }
}

/// The replicas, numbered in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    numbers: HashMap<Name, u32>,
    /// The last two numbers that were asked for.
    recent: [u32; 2],
}

/// A replica's name and its elements by lamport.
#[derive(Debug)]
pub(super) struct Replica {
    name: Name,
    /// The greatest lamport of an element of the list; 0 where there is none.
    pub(super) newest: u64,
    pub(super) newest_leaf: u32,
    /// The leaf of every element from this lamport on, up to the next lamport in the map.
    pub(super) leaves: BTreeMap<u64, u32>,
    /// A leaf and a run in it that were of use lately; they may be others by now.
    pub(super) hint: (u32, u32),
}

impl Replicas {
    pub(super) fn id(&mut self, id: &ElementId) -> Id {
        Id {
            lamport: id.lamport(),
            replica: self.number(id.replica_id()),
        }
    }

    pub(super) fn element_id(&self, id: Id) -> ElementId {
        let name = self.of(id).name.clone();
        let lamport = Integer::new(id.lamport);
        let id = lamport.and_then(|lamport| ElementId::new(lamport, name));
        id.expect("an id that was accepted")
    }

    pub(super) fn of(&self, id: Id) -> &Replica {
        &self.all[id.replica as usize]
    }

    pub(super) fn of_mut(&mut self, id: Id) -> &mut Replica {
        &mut self.all[id.replica as usize]
    }

    /// Whether one id is less than another (`crdt.lamport-order`, `crdt.replica-order`).
    pub(super) fn below(&self, one: Id, other: Id) -> bool {
        if one.lamport != other.lamport {
            return one.lamport < other.lamport;
        }
        one.replica != other.replica && self.of(one).name < self.of(other).name
    }

    fn number(&mut self, name: &Name) -> u32 {
        for recent in self.recent {
            let replica = self.all.get(recent as usize);
            if replica.is_some_and(|replica| replica.name == *name) {
                return recent;
            }
        }
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = u32::try_from(self.all.len()).expect("fewer than 2^32 replicas");
            self.numbers.insert(name.clone(), number);
            self.all.push(Replica::new(name.clone()));
            number
        });
        self.recent = [number, self.recent[0]];
        number
    }

    /// Notes where all elements are, where nothing was known of any.
    pub(super) fn note(&mut self, leaves: &[Leaf]) {
        let mut runs: Vec<(&Run, u32)> = Vec::new();
        for (leaf, number) in leaves.iter().zip(0..) {
            runs.extend(leaf.runs.iter().map(|run| (run, number)));
        }
        runs.sort_unstable_by_key(|(run, _)| (run.replica, run.lamport));
        for runs in runs.chunk_by(|(run, _), (next, _)| run.replica == next.replica) {
            let (last, leaf) = runs[runs.len() - 1];
            let replica = self.of_mut(last.id());
            (replica.newest, replica.newest_leaf) = (last.end() - 1, leaf);
            let changes = runs.chunk_by(|(_, leaf), (_, next)| leaf == next);
            replica.leaves = changes.map(|runs| (runs[0].0.lamport, runs[0].1)).collect();
        }
    }

    /// Notes which elements a split has moved: what was in `leaf` alone is now in both.
    pub(super) fn moved(&mut self, (number, leaf): (u32, &Leaf), (new_number, new): (u32, &Leaf)) {
        if new.runs.is_empty() {
            return;
        }
        let stayed = leaf.runs.iter().map(|run| (run, number));
        let moved = new.runs.iter().map(|run| (run, new_number));
        let mut runs: Vec<_> = stayed.chain(moved).collect();
        runs.sort_unstable_by_key(|(run, _)| (run.replica, run.lamport));
        let mut before = None;
        for (run, leaf) in runs {
            let replica = self.of_mut(run.id());
            let (&from, noted) = replica
                .leaves
                .range_mut(..=run.lamport)
                .next_back()
                .expect("an element is in the map");
            if *noted != leaf {
                // Whether the entry is that of the run before, too.
                if before.is_some_and(|(of, lamport)| of == run.replica && lamport >= from) {
                    replica.leaves.insert(run.lamport, leaf);
                } else {
                    *noted = leaf;
                }
            }
            if run.end() > replica.newest {
                replica.newest_leaf = leaf;
            }
            before = Some((run.replica, run.lamport));
        }
    }
}

impl Replica {
    fn new(name: Name) -> Self {
        Self {
            name,
            newest: 0,
            newest_leaf: 0,
            leaves: BTreeMap::new(),
            hint: (0, 0),
        }
    }

    /// The entry of the map under which an element is, if it is anywhere.
    pub(super) fn entry(&self, lamport: u64) -> Option<(u64, u32)> {
        let entry = self.leaves.range(..=lamport).next_back();
        entry.map(|(&from, &leaf)| (from, leaf))
    }

    /// Notes new elements, with the lamports from `first` to `last`, of which there were none.
    pub(super) fn put(&mut self, first: u64, last: u64, leaf: u32) {
        if first > self.newest {
            if leaf != self.newest_leaf || self.newest == 0 {
                self.leaves.insert(first, leaf);
            }
            (self.newest, self.newest_leaf) = (last, leaf);
            return;
        }
        // No entry begins inside: what begins one is an element's first lamport, or follows a last.
        let mut entries = self.leaves.range(..=last + 1).rev();
        let mut next = || entries.next().map(|(&from, &leaf)| (from, leaf));
        let mut entry = next();
        let after = entry.filter(|&(from, _)| from > last);
        if after.is_some() {
            entry = next();
        }
        if entry.is_some_and(|(_, noted)| noted == leaf) {
            return;
        }
        let before = match entry {
            Some((from, _)) if from == first => next(),
            _ => entry,
        };
        let after = match (entry, after) {
            // What the entry goes on with after the new elements.
            (Some((_, noted)), None) => {
                self.leaves.insert(last + 1, noted);
                None
            }
            (None, None) => self.leaves.first_key_value().map(|(&from, &it)| (from, it)),
            (_, after) => after,
        };
        if let Some((from, _)) = after.filter(|&(_, noted)| noted == leaf) {
            self.leaves.remove(&from);
        }
        match before.is_some_and(|(_, noted)| noted == leaf) {
            true => self.leaves.remove(&first),
            false => self.leaves.insert(first, leaf),
        };
    }
}
