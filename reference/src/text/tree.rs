//! The B-tree over the leaves. It orders them, and finds the next one with an id below a given one.

use arrayvec::ArrayVec;

use super::Place;
use super::ids::{Id, Replicas};
use super::leaf::Leaf;

/// Stands for no leaf and no node.
pub(super) const NONE: u32 = u32::MAX;

/// The most children of a node.
const MOST_CHILDREN: usize = 32;

#[derive(Debug)]
pub(super) struct Tree {
    /// By number; the first in the document is number 0.
    pub(super) leaves: Vec<Leaf>,
    pub(super) nodes: Vec<Node>,
    /// The last leaf in the document.
    pub(super) last: u32,
}

/// A node over leaves or over nodes.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) children: ArrayVec<Child, MOST_CHILDREN>,
    pub(super) over_leaves: bool,
    /// The node above, if there is one.
    pub(super) above: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    /// The least id of all elements below.
    pub(super) least: Id,
    pub(super) number: u32,
}

impl Node {
    fn position(&self, number: u32) -> usize {
        let at = self.children.iter().position(|it| it.number == number);
        at.expect("a node has its children")
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            leaves: vec![Leaf::default()],
            nodes: Vec::new(),
            last: 0,
        }
    }
}

impl Tree {
    pub(super) fn leaf(&self, number: u32) -> &Leaf {
        &self.leaves[number as usize]
    }

    pub(super) fn leaf_mut(&mut self, number: u32) -> &mut Leaf {
        &mut self.leaves[number as usize]
    }

    /// The gap at the end of the document.
    pub(super) fn end(&self) -> Place {
        Place::new(self.last, self.leaf(self.last).runs.len(), 0)
    }

    fn node(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize]
    }

    /// The leaves in document order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Leaf> {
        let next = |leaf: &&Leaf| self.leaves.get(leaf.next as usize);
        std::iter::successors(self.leaves.first(), next)
    }

    /// The next leaf after this one with an element below `id`.
    pub(super) fn next_below(&self, leaf: u32, id: Id, replicas: &Replicas) -> Option<u32> {
        let is_below = |child: &&Child| replicas.below(child.least, id);
        let (mut from, mut above) = (leaf, self.leaf(leaf).above);
        loop {
            let mut node = self.nodes.get(above as usize)?;
            let after = &node.children[node.position(from) + 1..];
            if let Some(mut found) = after.iter().find(is_below) {
                while !node.over_leaves {
                    node = &self.nodes[found.number as usize];
                    let child = node.children.iter().find(is_below);
                    found = child.expect("the least id is one of below");
                }
                return Some(found.number);
            }
            (from, above) = (above, node.above);
        }
    }

    /// Notes that a leaf has a new element.
    pub(super) fn lower(&mut self, leaf: u32, id: Id, replicas: &Replicas) {
        if !replicas.below(id, self.leaf(leaf).least) {
            return;
        }
        self.leaf_mut(leaf).least = id;
        let (mut from, mut above) = (leaf, self.leaf(leaf).above);
        while let Some(node) = self.nodes.get_mut(above as usize) {
            let at = node.position(from);
            let least = &mut node.children[at].least;
            if !replicas.below(id, *least) {
                return;
            }
            *least = id;
            (from, above) = (above, node.above);
        }
    }

    /// Splits a leaf before element `offset` of run `at`; gives the number of the new one after it.
    pub(super) fn split(&mut self, leaf: u32, at: usize, offset: u32, replicas: &Replicas) -> u32 {
        let new = number(self.leaves.len());
        let right = self.leaf_mut(leaf).split_off(at, offset);
        self.leaf_mut(leaf).next = new;
        self.leaves.push(right);
        if self.last == leaf {
            self.last = new;
        }
        self.add_after(leaf, new, replicas);
        new
    }

    /// Puts a new leaf after the one that it was split from, under a node that may be split in turn.
    fn add_after(&mut self, mut left: u32, mut right: u32, replicas: &Replicas) {
        let mut over_leaves = true;
        loop {
            let children = [left, right].map(|child| self.child(child, over_leaves, replicas));
            let above = match over_leaves {
                true => self.leaf(left).above,
                false => self.node(left).above,
            };
            if above == NONE {
                let children = children.into_iter().collect();
                self.add_node(Node {
                    children,
                    over_leaves,
                    above,
                });
                return;
            }
            let node = self.node(above);
            let at = node.position(left);
            node.children[at] = children[0];
            node.children.insert(at + 1, children[1]);
            let full = node.children.is_full();
            let moved = full.then(|| node.children.drain(MOST_CHILDREN / 2..).collect());
            self.set_above(right, over_leaves, above);
            let Some(children) = moved else {
                return;
            };
            let node = Node {
                children,
                over_leaves,
                above: NONE,
            };
            (left, right) = (above, self.add_node(node));
            over_leaves = false;
        }
    }

    /// Adds a node and tells its children.
    fn add_node(&mut self, node: Node) -> u32 {
        let new = number(self.nodes.len());
        for child in &node.children {
            self.set_above(child.number, node.over_leaves, new);
        }
        self.nodes.push(node);
        new
    }

    fn set_above(&mut self, number: u32, is_leaf: bool, above: u32) {
        match is_leaf {
            true => self.leaf_mut(number).above = above,
            false => self.node(number).above = above,
        }
    }

    /// A leaf or a node as its node has it, the least id found anew.
    fn child(&mut self, number: u32, is_leaf: bool, replicas: &Replicas) -> Child {
        let lesser = |one: Id, other: Id| match replicas.below(other, one) {
            true => other,
            false => one,
        };
        let least = match is_leaf {
            true => {
                let leaf = self.leaf_mut(number);
                leaf.least = leaf.runs.iter().map(|run| run.id()).fold(Id::NONE, lesser);
                leaf.least
            }
            false => {
                let children = self.node(number).children.iter();
                children.map(|child| child.least).fold(Id::NONE, lesser)
            }
        };
        Child { least, number }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at)
        .ok()
        .filter(|&number| number != NONE)
        .expect("fewer than 2^32 leaves")
}
