//! The naive oracle: a CRDT that is obviously right, to hold a server's texts against.
//!
//! It shares no code with any engine, knows nothing of seqs or connections, and is not fast.

use std::collections::{HashMap, HashSet};

use collab_spec::id::{ElementId, Integer, ParentId};
use collab_spec::message::{Delete, Insert, Op, Span, State};

/// A document as a tree.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The elements, in the order of their integration.
    elements: Vec<Element>,
    /// Where each element is in `elements`.
    places: HashMap<ElementId, usize>,
    /// The children of each parent, in descending order of their ids.
    children: HashMap<ParentId, Vec<ElementId>>,
    /// The ops that wait, by the element that they wait for, in the order of their arrival.
    waiting: HashMap<ElementId, Vec<Op>>,
    /// The ids of the inserts that wait.
    reserved: HashSet<ElementId>,
}

/// An element of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: ElementId,
    /// The id of its parent.
    pub parent: ParentId,
    /// Its character.
    pub value: char,
    /// Whether it is deleted.
    pub deleted: bool,
}

#[derive(Clone, Debug)]
struct Element {
    id: ElementId,
    value: char,
    deleted: bool,
}

/// The most elements of an op (`runs.limits`).
const MOST_RUN: u64 = 65_536;

/// The most elements that are taken in of a state: a wrong server may claim any number, and no case that goes
/// on from one makes as many. That such a server is wrong, the monitors say.
const MOST_SEEDED: usize = 1 << 17;

impl Model {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies an op, or lets it wait for what it depends on. A known op changes nothing.
    ///
    /// Source: `crdt.pending-applies`, `crdt.idempotent`.
    pub fn integrate(&mut self, op: &Op) {
        for single in one_by_one(op) {
            self.integrate_one(single);
        }
    }

    fn integrate_one(&mut self, op: Op) {
        let mut ready = vec![op];
        while let Some(op) = ready.pop() {
            match op.dependency() {
                Some(needed) if !self.places.contains_key(needed) => {
                    let needed = needed.clone();
                    self.wait(needed, op);
                }
                _ => ready.extend(self.apply(&op)),
            }
        }
    }

    /// A document that goes on from a state, of which nothing before is known.
    ///
    /// Source: `state.seeded`; an element's parent is the nearest element before it with a smaller
    /// id. What a tombstone once held is lost, and matters no more.
    pub fn seeded(state: &State) -> Self {
        let mut model = Self::new();
        // The elements before the next one whose ids are smaller than all that followed them.
        let mut smaller: Vec<ElementId> = Vec::new();
        let elements = state.elements.iter().flat_map(elements_of);
        for (id, value) in elements.take(MOST_SEEDED) {
            while smaller
                .last()
                .is_some_and(|before| order(before) > order(&id))
            {
                smaller.pop();
            }
            let parent_id = smaller
                .last()
                .map_or(ParentId::Root, |parent| ParentId::Element(parent.clone()));
            smaller.push(id.clone());
            model.integrate(&Op::Ins(Insert {
                parent_id,
                id: id.clone(),
                value: value.unwrap_or('\u{fffd}').into(),
            }));
            if value.is_none() {
                model.integrate(&Op::Del(Delete::one(id)));
            }
        }
        for op in &state.pending {
            model.integrate(op);
        }
        model
    }

    /// The visible text.
    ///
    /// Source: `crdt.walk`.
    pub fn text(&self) -> String {
        let visible = |element: &&Element| !element.deleted;
        let elements = self.walk().into_iter().filter(visible);
        elements.map(|element| element.value).collect()
    }

    /// The elements in canonical form, and the ops that wait, in no order.
    ///
    /// Source: `state.elements`, `state.canonical`, `state.pending`.
    pub fn state(&self) -> State {
        State {
            elements: self
                .walk()
                .chunk_by(|a, b| one_span(a, b))
                .map(span)
                .collect(),
            pending: self.pending(),
        }
    }

    /// Every element, deleted ones included, in document order, with its parent: the tree, to be drawn.
    pub fn tree(&self) -> Vec<Node> {
        let parents: HashMap<&ElementId, &ParentId> = self
            .children
            .iter()
            .flat_map(|(parent, children)| children.iter().map(move |child| (child, parent)))
            .collect();
        let walk = self.walk().into_iter();
        walk.map(|element| Node {
            id: element.id.clone(),
            parent: parents[&element.id].clone(),
            value: element.value,
            deleted: element.deleted,
        })
        .collect()
    }

    /// Every element, deleted ones included, in document order.
    fn walk(&self) -> Vec<&Element> {
        let mut found = Vec::new();
        // What is still to be visited, the next last. A stack of its own: documents are deep.
        let mut stack: Vec<&ElementId> = self.children_of(&ParentId::Root).rev().collect();
        while let Some(id) = stack.pop() {
            let element = &self.elements[self.places[id]];
            found.push(element);
            stack.extend(
                self.children_of(&ParentId::Element(element.id.clone()))
                    .rev(),
            );
        }
        found
    }

    /// The ops that wait, in no order, each once and of one element each.
    pub fn pending(&self) -> Vec<Op> {
        self.waiting.values().flatten().cloned().collect()
    }

    fn children_of(&self, parent: &ParentId) -> impl DoubleEndedIterator<Item = &ElementId> {
        self.children.get(parent).into_iter().flatten()
    }

    fn wait(&mut self, needed: ElementId, op: Op) {
        let ops = self.waiting.entry(needed).or_default();
        let known = match &op {
            Op::Ins(insert) => !self.reserved.insert(insert.id.clone()),
            Op::Del(_) => ops.contains(&op),
        };
        if !known {
            ops.push(op);
        }
    }

    /// Applies an op whose dependency is there; gives the ops that waited for it.
    fn apply(&mut self, op: &Op) -> Vec<Op> {
        match op {
            Op::Del(delete) => {
                let place = self.places[&delete.id];
                self.elements[place].deleted = true;
                Vec::new()
            }
            Op::Ins(insert) if self.places.contains_key(&insert.id) => Vec::new(),
            Op::Ins(insert) => {
                self.add(insert);
                self.waiting.remove(&insert.id).unwrap_or_default()
            }
        }
    }

    fn add(&mut self, insert: &Insert) {
        let siblings = self.children.entry(insert.parent_id.clone()).or_default();
        // Descending (`crdt.sibling-order`).
        let place = siblings.partition_point(|sibling| order(sibling) > order(&insert.id));
        siblings.insert(place, insert.id.clone());
        self.reserved.remove(&insert.id);
        self.places.insert(insert.id.clone(), self.elements.len());
        self.elements.push(Element {
            id: insert.id.clone(),
            value: first_of(insert),
            deleted: false,
        });
    }
}

/// The same as ops of one element each: an insert's, each the child of the one before; a delete's.
///
/// Source: `runs.ins`, `runs.del`.
fn one_by_one(op: &Op) -> Vec<Op> {
    let id_at = |first: &ElementId, at: u64| {
        let lamport = Integer::new(first.lamport() + at)?;
        ElementId::new(lamport, first.replica_id().clone())
    };
    match op {
        // No op is longer; where a wrong server says so, the monitors tell.
        Op::Del(delete) => (0..delete.count.value().min(MOST_RUN))
            .map_while(|at| id_at(&delete.id, at))
            .map(|id| Op::Del(Delete::one(id)))
            .collect(),
        Op::Ins(insert) => {
            let mut parent_id = insert.parent_id.clone();
            let ids = (0..).map_while(|at| id_at(&insert.id, at));
            ids.zip(insert.value.as_str().chars())
                .map(|(id, value)| {
                    let next = ParentId::Element(id.clone());
                    Op::Ins(Insert {
                        parent_id: std::mem::replace(&mut parent_id, next),
                        id,
                        value: value.into(),
                    })
                })
                .collect()
        }
    }
}

/// The character of an insert of one element.
fn first_of(insert: &Insert) -> char {
    let first = insert.value.as_str().chars().next();
    first.expect("an insert has a character")
}

/// What ids are ordered by: the lamport, then the replica id (`crdt.lamport-order`).
fn order(id: &ElementId) -> (u64, &str) {
    (id.lamport(), id.replica_id().as_str())
}

/// The elements of a span, a tombstone without a value.
fn elements_of(span: &Span) -> impl Iterator<Item = (ElementId, Option<char>)> {
    let mut values = span.text().map(str::chars);
    let ids = span.ids();
    ids.map(move |id| (id, values.as_mut().and_then(Iterator::next)))
}

/// Whether two adjacent elements belong into one span.
fn one_span(first: &Element, second: &Element) -> bool {
    first.id.replica_id() == second.id.replica_id()
        && first.id.lamport() + 1 == second.id.lamport()
        && first.deleted == second.deleted
}

/// The span of elements that belong into one.
fn span(elements: &[&Element]) -> Span {
    let id = elements[0].id.clone();
    if elements[0].deleted {
        let deleted = Integer::new(elements.len() as u64).expect("memory holds fewer than 2^53");
        Span::Deleted { id, deleted }
    } else {
        let text = elements.iter().map(|element| element.value).collect();
        Span::Text { id, text }
    }
}

#[cfg(test)]
mod tests {
    use collab_spec::data;
    use collab_spec::message::Delete;

    use super::*;
    use crate::client::{ROOT, element};

    fn ins(parent: ParentId, lamport: u64, replica: &str, value: char) -> Op {
        Op::Ins(Insert {
            parent_id: parent,
            id: element(lamport, replica),
            value: value.into(),
        })
    }

    fn after(lamport: u64, replica: &str) -> ParentId {
        ParentId::Element(element(lamport, replica))
    }

    fn sorted(mut ops: Vec<Op>) -> Vec<Op> {
        ops.sort_by_key(|op| format!("{op:?}"));
        ops
    }

    fn check(name: &str, ops: &[Op], text: &str, pending: &[Op]) {
        let mut model = Model::new();
        for op in ops {
            model.integrate(op);
        }
        assert_eq!(model.text(), text, "{name}");
        assert_eq!(sorted(model.pending()), sorted(pending.to_vec()), "{name}");
    }

    #[test]
    fn every_vector_holds() {
        for file in data::vectors().unwrap() {
            for vector in &file.content.vectors {
                let name = format!("{}: {}", file.path, vector.name);
                check(&name, &vector.ops, &vector.text, &vector.pending);
                let twice: Vec<Op> = vector.ops.iter().chain(&vector.ops).cloned().collect();
                check(
                    &format!("{name}, twice"),
                    &twice,
                    &vector.text,
                    &vector.pending,
                );
                if vector.any_order {
                    let mut ops = vector.ops.clone();
                    ops.reverse();
                    check(
                        &format!("{name}, backwards"),
                        &ops,
                        &vector.text,
                        &vector.pending,
                    );
                    for _ in 1..ops.len() {
                        ops.rotate_left(1);
                        check(
                            &format!("{name}, rotated"),
                            &ops,
                            &vector.text,
                            &vector.pending,
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_state_of_the_vectors_holds_and_is_a_beginning() {
        let mut states = 0;
        for file in data::vectors().unwrap() {
            for vector in &file.content.vectors {
                let name = format!("{}: {}", file.path, vector.name);
                let mut model = Model::new();
                vector.ops.iter().for_each(|op| model.integrate(op));
                let state = model.state();
                if let Some(wanted) = &vector.state {
                    states += 1;
                    assert_eq!(state.elements, wanted.elements, "{name}");
                    let wanted = sorted(wanted.pending.clone());
                    assert_eq!(sorted(state.pending.clone()), wanted, "{name}");
                }
                // Seeded after any number of the ops, the rest makes the same of it.
                for split in 0..=vector.ops.len() {
                    let mut model = Model::new();
                    vector.ops[..split]
                        .iter()
                        .for_each(|op| model.integrate(op));
                    let mut seeded = Model::seeded(&model.state());
                    vector.ops[split..]
                        .iter()
                        .for_each(|op| seeded.integrate(op));
                    assert_eq!(seeded.text(), vector.text, "{name} from {split}");
                    assert_eq!(
                        seeded.state().elements,
                        state.elements,
                        "{name} from {split}"
                    );
                }
            }
        }
        assert!(states > 0, "the specification has vectors of states");
    }

    #[test]
    fn figure_1_reads_as_the_prose_says() {
        let ops = [
            ins(ROOT, 1, "A", 'a'),
            ins(after(1, "A"), 2, "A", 'c'),
            ins(after(1, "A"), 3, "A", 'b'),
            ins(after(1, "A"), 3, "B", 'x'),
            ins(after(3, "B"), 4, "B", 'y'),
        ];
        check("figure 1", &ops, "axybc", &[]);
        let mut backwards = ops.to_vec();
        backwards.reverse();
        check("figure 1, backwards", &backwards, "axybc", &[]);
    }

    #[test]
    fn what_waits_takes_effect_with_its_dependency() {
        let delete = Op::Del(Delete::one(element(2, "A")));
        let child = ins(after(1, "A"), 2, "A", 'b');
        let grandchild = ins(after(2, "A"), 3, "A", 'c');
        let early = [delete.clone(), grandchild.clone(), child.clone()];
        check("nothing to stand on", &early, "", &early);
        let all = [&early[..], &[ins(ROOT, 1, "A", 'a')]].concat();
        check("all there", &all, "ac", &[]);
    }

    #[test]
    fn twenty_thousand_deep_backwards_and_at_one_place_are_no_trouble() {
        const COUNT: u64 = 20_000;
        let mut deep: Vec<Op> = (1..=COUNT)
            .map(|l| ins(if l == 1 { ROOT } else { after(l - 1, "A") }, l, "A", 'x'))
            .collect();
        check("deep", &deep, &"x".repeat(20_000), &[]);
        deep.reverse();
        check("deep, backwards", &deep, &"x".repeat(20_000), &[]);
        let falling: Vec<Op> = (1..=COUNT).rev().map(|l| ins(ROOT, l, "A", 'x')).collect();
        check("falling lamports", &falling, &"x".repeat(20_000), &[]);
    }
}
