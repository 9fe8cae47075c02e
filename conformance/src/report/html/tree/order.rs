//! In which order a server has the elements, as far as what it has sent says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::Resync;

use super::Node;

/// How many steps are taken to read a text with the tree.
const MOST_STEPS: usize = 20_000;

/// The visible elements in the server's order: as it has sent them, or as its text can only be read.
pub(super) fn of(nodes: &[Node], resync: &Resync) -> Option<Vec<ElementId>> {
    let text = &resync.full_text;
    by_state(nodes, resync)
        .or_else(|| by_character(nodes, text))
        .or_else(|| Reading::new(nodes, text).only())
}

/// The order where the server has sent the elements themselves.
fn by_state(nodes: &[Node], resync: &Resync) -> Option<Vec<ElementId>> {
    let spans = resync.state.as_ref()?.elements.iter();
    let visible = spans.filter(|span| span.text().is_some());
    let ids = visible.flat_map(|span| span.ids());
    Some(ids.take(nodes.len()).collect())
}

/// The order where each character of the text can only be one element.
fn by_character(nodes: &[Node], text: &str) -> Option<Vec<ElementId>> {
    let mut by_value: BTreeMap<char, &ElementId> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.deleted) {
        if by_value.insert(node.value, &node.id).is_some() {
            return None;
        }
    }
    let mut used = BTreeSet::new();
    text.chars()
        .map(|c| used.insert(c).then(|| by_value.get(&c).copied().cloned())?)
        .collect()
}

/// A text read as the same tree with siblings in another order.
struct Reading<'a> {
    nodes: &'a [Node],
    text: Vec<char>,
    children: HashMap<Option<&'a ElementId>, Vec<usize>>,
    /// The elements so far.
    taken: Vec<usize>,
    /// The orders that fit; two are enough to know nothing.
    found: BTreeSet<Vec<usize>>,
    steps: usize,
}

impl<'a> Reading<'a> {
    fn new(nodes: &'a [Node], text: &str) -> Self {
        let mut children: HashMap<Option<&ElementId>, Vec<usize>> = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            let parent = match &node.parent {
                ParentId::Root => None,
                ParentId::Element(id) => Some(id),
            };
            children.entry(parent).or_default().push(at);
        }
        Self {
            nodes,
            text: text.chars().collect(),
            children,
            taken: Vec::new(),
            found: BTreeSet::new(),
            steps: 0,
        }
    }

    /// The order, where there is one only.
    fn only(mut self) -> Option<Vec<ElementId>> {
        let open = vec![self.children_of(None)];
        self.go_on(&open);
        let is_known = self.steps < MOST_STEPS && self.found.len() == 1;
        let found = self.found.pop_first().filter(|_| is_known)?;
        Some(
            found
                .into_iter()
                .map(|at| self.nodes[at].id.clone())
                .collect(),
        )
    }

    fn children_of(&self, parent: Option<&ElementId>) -> Vec<usize> {
        self.children.get(&parent).cloned().unwrap_or_default()
    }

    /// Goes on behind what is taken. `open` has the siblings that are still to come, the deepest last.
    fn go_on(&mut self, open: &[Vec<usize>]) {
        self.steps += 1;
        if self.steps >= MOST_STEPS || self.found.len() > 1 {
            return;
        }
        let Some(depth) = open.iter().rposition(|siblings| !siblings.is_empty()) else {
            if self.taken.len() == self.text.len() {
                self.found.insert(self.taken.clone());
            }
            return;
        };
        let nodes = self.nodes;
        for place in 0..open[depth].len() {
            let node = &nodes[open[depth][place]];
            let fits = self.text.get(self.taken.len()) == Some(&node.value);
            if !node.deleted && !fits {
                continue;
            }
            let mut deeper: Vec<Vec<usize>> = open[..=depth].to_vec();
            let at = deeper[depth].remove(place);
            if !node.deleted {
                self.taken.push(at);
            }
            deeper.push(self.children_of(Some(&node.id)));
            self.go_on(&deeper);
            if !node.deleted {
                self.taken.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use collab_spec::id::{Integer, Name};

    use super::*;

    fn id(lamport: u64) -> ElementId {
        ElementId::new(Integer::new(lamport).unwrap(), Name::new("A").unwrap()).unwrap()
    }

    fn node(lamport: u64, parent: u64, value: char, deleted: bool) -> Node {
        let parent = match parent {
            0 => ParentId::Root,
            parent => ParentId::Element(id(parent)),
        };
        Node {
            id: id(lamport),
            parent,
            value,
            deleted,
        }
    }

    #[test]
    fn a_text_is_read_where_it_can_be_read_in_one_way() {
        // h and l at the root, then | with h and l under it.
        let nodes = [
            node(9, 0, 'h', false),
            node(8, 0, 'l', false),
            node(1, 0, '|', false),
            node(3, 1, 'h', false),
            node(2, 1, 'l', false),
        ];
        let read = |text: &str| Reading::new(&nodes, text).only();
        let lamports = |order: Option<Vec<ElementId>>| {
            order.map(|ids| ids.iter().map(ElementId::lamport).collect::<Vec<_>>())
        };
        assert_eq!(lamports(read("lh|lh")), Some(vec![8, 9, 1, 2, 3]));
        assert_eq!(lamports(read("hl|hl")), Some(vec![9, 8, 1, 3, 2]));
        // The children of | don't stand before it, and nothing may be missing.
        assert_eq!(read("hlhl|"), None);
        assert_eq!(read("lh|l"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_text_that_can_be_read_in_two_ways_is_not() {
        let nodes = [node(2, 0, 'a', false), node(1, 0, 'a', false)];
        assert_eq!(Reading::new(&nodes, "aa").only(), None);
        // Where a deleted element stands does not show.
        let nodes = [
            node(3, 0, 'b', true),
            node(2, 0, 'b', true),
            node(1, 0, 'a', false),
        ];
        assert_eq!(Reading::new(&nodes, "a").only(), Some(vec![id(1)]));
    }

    #[test]
    fn too_many_ways_are_given_up() {
        let nodes: Vec<Node> = (1..=40).map(|at| node(at, 0, 'a', false)).collect();
        assert_eq!(Reading::new(&nodes, &"a".repeat(39)).only(), None);
    }
}
