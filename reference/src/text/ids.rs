//! Ids with their replicas numbered, and in which leaf an element is.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

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
    newest_leaf: u32,
    /// The leaf of every element from this lamport on, up to the next lamport in the map.
    leaves: BTreeMap<u64, u32>,
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

    /// Notes which elements a split has moved: what was in `leaf` alone is now in both.
    pub(super) fn moved(&mut self, (number, leaf): (u32, &Leaf), (new_number, new): (u32, &Leaf)) {
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

    /// Takes the elements of all runs of all leaves in, into an empty map.
    pub(super) fn load(&mut self, leaves: &[Leaf]) {
        let runs = (0..).zip(leaves).flat_map(|(number, leaf)| {
            let runs = leaf.runs.iter();
            runs.map(move |run| (run.replica, run.lamport, run.end(), number))
        });
        let mut runs: Vec<(u32, u64, u64, u32)> = runs.collect();
        runs.sort_unstable();
        for of_replica in runs.chunk_by(|a, b| a.0 == b.0) {
            let replica = &mut self.all[of_replica[0].0 as usize];
            let entries = of_replica.chunk_by(|a, b| a.3 == b.3);
            replica.leaves = entries.map(|same| (same[0].1, same[0].3)).collect();
            let &(_, _, end, leaf) = of_replica.last().expect("a chunk is not empty");
            (replica.newest, replica.newest_leaf) = (end - 1, leaf);
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

    /// The leaf where an element is, if it is anywhere.
    pub(super) fn leaf(&self, lamport: u64) -> Option<u32> {
        self.entry(lamport).map(|(_, leaf)| leaf)
    }

    fn entry(&self, lamport: u64) -> Option<(u64, u32)> {
        let entry = self.leaves.range(..=lamport).next_back();
        entry.map(|(&from, &leaf)| (from, leaf))
    }

    fn entry_above(&self, lamport: u64) -> Option<(u64, u32)> {
        let entry = self.leaves.range((Excluded(lamport), Unbounded)).next();
        entry.map(|(&from, &leaf)| (from, leaf))
    }

    /// A lamport above this one such that there is no element between them.
    pub(super) fn free_until(&self, lamport: u64, leaves: &[Leaf]) -> u64 {
        if lamport > self.newest {
            return u64::MAX;
        }
        let end = self.entry_above(lamport).map_or(u64::MAX, |(from, _)| from);
        let leaf = self.leaf(lamport).map(|leaf| &leaves[leaf as usize]);
        let runs = leaf.into_iter().flat_map(|leaf| &leaf.runs);
        runs.filter(|run| run.lamport > lamport)
            .map(|run| run.lamport)
            .fold(end, u64::min)
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
        let entry = self.entry(first);
        if entry.is_some_and(|(_, noted)| noted == leaf) {
            return;
        }
        // What goes on after the new elements.
        let next = self.entry_above(first);
        match (next, entry) {
            (Some((from, noted)), _) if from == last + 1 || entry.is_none() => {
                if noted == leaf {
                    self.leaves.remove(&from);
                }
            }
            (_, Some((_, noted))) => {
                self.leaves.insert(last + 1, noted);
            }
            (_, None) => {}
        }
        // And before them.
        let before = first.checked_sub(1).and_then(|before| self.entry(before));
        if before.is_some_and(|(_, noted)| noted == leaf) {
            self.leaves.remove(&first);
        } else {
            self.leaves.insert(first, leaf);
        }
    }
}

impl Replica {
    /// Panics where the map does not have all runs, each with its leaf. They are in order.
    pub(super) fn check_runs(&self, runs: &[(Run, u32)]) {
        for &(run, leaf) in runs {
            let (first, last) = (self.entry(run.lamport), self.entry(run.end() - 1));
            assert_eq!(first.map(|(_, leaf)| leaf), Some(leaf), "{run:?}");
            assert_eq!(first, last, "{run:?} lies under two entries");
        }
        let mut neighbours = self.leaves.values().zip(self.leaves.values().skip(1));
        assert!(
            neighbours.all(|(one, next)| one != next),
            "{:?}",
            self.leaves
        );
        let (run, leaf) = runs.last().expect("the replica has an element");
        assert_eq!((run.end() - 1, *leaf), (self.newest, self.newest_leaf));
    }
}
