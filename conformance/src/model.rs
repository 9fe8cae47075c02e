//! The naive oracle: a CRDT that is obviously right, to hold a server's texts against.
//!
//! It shares no code with any engine, knows nothing of seqs or connections, and is not fast.

use std::collections::{HashMap, HashSet};

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Insert, Op};

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

#[derive(Clone, Debug)]
struct Element {
    id: ElementId,
    value: char,
    deleted: bool,
}

impl Model {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies an op, or lets it wait for what it depends on. A known op changes nothing.
    ///
    /// Source: `crdt.pending-applies`, `crdt.idempotent`.
    pub fn integrate(&mut self, op: &Op) {
        let mut ready = vec![op.clone()];
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

    /// The visible text.
    ///
    /// Source: `crdt.walk`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // What is still to be visited, the next last. A stack of its own: documents are deep.
        let mut stack: Vec<&ElementId> = self.children_of(&ParentId::Root).rev().collect();
        while let Some(id) = stack.pop() {
            let element = &self.elements[self.places[id]];
            if !element.deleted {
                text.push(element.value);
            }
            stack.extend(
                self.children_of(&ParentId::Element(element.id.clone()))
                    .rev(),
            );
        }
        text
    }

    /// The ops that wait, in no order, each once.
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
        // Descending: lamport first, then replica id (`crdt.sibling-order`).
        let key = |id: &ElementId| (id.lamport(), id.replica_id().as_str().to_owned());
        let new = key(&insert.id);
        let place = siblings.partition_point(|sibling| key(sibling) > new);
        siblings.insert(place, insert.id.clone());
        self.reserved.remove(&insert.id);
        self.places.insert(insert.id.clone(), self.elements.len());
        self.elements.push(Element {
            id: insert.id.clone(),
            value: insert.value,
            deleted: false,
        });
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
            value,
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
        let delete = Op::Del(Delete {
            id: element(2, "A"),
        });
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
