//! What always holds of a text, checked.

use std::collections::BTreeMap;

use super::Text;
use super::ids::{Id, Replica};
use super::leaf::{Leaf, MOST_TEXT, Run};
use super::tree::NONE;

impl Text {
    /// Panics where something does not hold that always does; for tests.
    ///
    /// # Panics
    /// That is what it is for.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let leaves: Vec<u32> = self.numbers_in_order();
        assert_eq!(leaves.len(), self.tree.leaves.len(), "a leaf is lost");
        assert_eq!(leaves.last(), Some(&self.tree.last), "the last leaf");
        let top = self.top();
        assert_eq!(self.check_below(top.0, top.1), leaves, "the tree's order");
        let in_order = self.tree.in_order();
        in_order.for_each(|leaf| self.check_leaf(leaf, leaves.len() == 1));
        let bytes: usize = self.tree.in_order().map(|leaf| leaf.text.len()).sum();
        assert_eq!(self.bytes, bytes, "the length of the text");
        self.check_replicas();
        for (missing, early) in self.waiting.iter() {
            assert!(self.find(missing).is_none(), "{early:?} need not wait");
        }
    }

    fn numbers_in_order(&self) -> Vec<u32> {
        let next = |&number: &u32| Some(self.tree.leaf(number).next).filter(|&it| it != NONE);
        std::iter::successors(Some(0), next).collect()
    }

    /// The number of what is above all, and whether that is a leaf.
    fn top(&self) -> (u32, bool) {
        let mut top = (0, true);
        let mut above = self.tree.leaf(0).above;
        while above != NONE {
            top = (above, false);
            above = self.tree.nodes[above as usize].above;
        }
        top
    }

    /// The leaves below, in order.
    fn check_below(&self, number: u32, is_leaf: bool) -> Vec<u32> {
        if is_leaf {
            return vec![number];
        }
        let node = &self.tree.nodes[number as usize];
        assert!(
            node.children.len() > 1 || node.above != NONE,
            "a lonely child"
        );
        let mut leaves = Vec::new();
        for child in &node.children {
            let (above, least) = match node.over_leaves {
                true => {
                    let leaf = self.tree.leaf(child.number);
                    (leaf.above, leaf.least)
                }
                false => {
                    let below = &self.tree.nodes[child.number as usize];
                    let least = below.children.iter().map(|child| child.least);
                    (below.above, self.least(least))
                }
            };
            assert_eq!((above, least), (number, child.least), "node {number}");
            leaves.extend(self.check_below(child.number, node.over_leaves));
        }
        leaves
    }

    fn least(&self, ids: impl Iterator<Item = Id>) -> Id {
        let lesser = |one, other| match self.replicas.below(one, other) {
            true => one,
            false => other,
        };
        ids.reduce(lesser).unwrap_or(Id::NONE)
    }

    fn check_leaf(&self, leaf: &Leaf, is_only: bool) {
        assert!(is_only || !leaf.runs.is_empty(), "an empty leaf");
        assert!(
            leaf.runs.iter().all(|run| run.elements() > 0),
            "an empty run"
        );
        let visible: u32 = leaf.runs.iter().map(Run::visible).sum();
        assert_eq!(visible, leaf.characters);
        assert_eq!(visible as usize, leaf.text.chars().count());
        assert!(leaf.text.len() < 4 * MOST_TEXT, "a long text");
        let least = self.least(leaf.runs.iter().map(Run::id));
        assert_eq!(leaf.least, least, "the least id of a leaf");
    }

    /// Every element is there once, and is found.
    fn check_replicas(&self) {
        let mut of_replicas: BTreeMap<u32, Vec<(Run, u32)>> = BTreeMap::new();
        for number in self.numbers_in_order() {
            for run in &self.tree.leaf(number).runs {
                let runs = of_replicas.entry(run.replica).or_default();
                runs.push((*run, number));
            }
        }
        for runs in of_replicas.values_mut() {
            runs.sort_unstable_by_key(|(run, _)| run.lamport);
            for pair in runs.windows(2) {
                assert!(pair[0].0.end() <= pair[1].0.lamport, "{pair:?} overlap");
            }
            let replica = self.replicas.of(runs[0].0.id());
            replica.check_runs(runs);
        }
    }
}

impl Replica {
    /// Panics where the map does not have all runs, each with its leaf. They are in order.
    fn check_runs(&self, runs: &[(Run, u32)]) {
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
