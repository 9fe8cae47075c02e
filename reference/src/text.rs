//! The replicated text: an RGA kept as a tree of elements, siblings in descending order of their ids.
//!
//! Nothing here recurses or walks the text for an op: an op costs a logarithm of its siblings.
//! Deliberately absent: sequence numbers, messages, duplicates by `client_msg_id`; they are the
//! document's. Also tokio, clocks, sockets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use collab_spec::id::{ElementId, Integer, ParentId};
use collab_spec::message::{Delete, Insert, Op};

/// Adjacent elements of one replica with consecutive lamports, all visible or all deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first element's id.
    pub id: ElementId,
    /// What the span holds.
    pub content: SpanContent,
}

/// What a [`Span`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanContent {
    /// Visible elements, a character each.
    Visible(String),
    /// So many deleted elements.
    Deleted(u64),
}

/// A text and all that is needed to go on editing it.
#[derive(Debug, Default)]
pub struct Text {
    elements: Vec<Element>,
    by_id: HashMap<ElementId, u32>,
    /// Every element under its parent's index, greatest id first: finds the sibling before a new one.
    siblings: BTreeMap<(u32, Reverse<ElementId>), u32>,
    first_root: Option<u32>,
    pending: BTreeMap<ElementId, Waiting>,
}

#[derive(Debug)]
struct Element {
    id: ElementId,
    value: char,
    deleted: bool,
    first_child: Option<u32>,
    next_sibling: Option<u32>,
}

/// What waits for one missing element.
#[derive(Debug, Default)]
struct Waiting {
    deleted: bool,
    children: BTreeMap<ElementId, char>,
}

/// Stands for the root where an element's index is asked for.
const ROOT: u32 = u32::MAX;

/// What a rebuilt tombstone has for a value; no one reads it.
const FORGOTTEN: char = char::REPLACEMENT_CHARACTER;

impl Text {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// A text from its spans in document order and the ops that wait.
    ///
    /// An element's parent is the nearest element before it with a smaller id (`crdt.md`, section 5).
    pub fn from_spans(spans: &[Span], pending: &[Op]) -> Self {
        let mut text = Self::new();
        // The path from the root to the element before, smallest id first.
        let mut path: Vec<u32> = Vec::new();
        let mut place = |text: &mut Self, id: ElementId, value: char, deleted: bool| {
            while path
                .last()
                .is_some_and(|&last| text.elements[last as usize].id > id)
            {
                path.pop();
            }
            let parent = path.last().copied().unwrap_or(ROOT);
            let index = text.link(parent, id, value);
            text.elements[index as usize].deleted = deleted;
            path.push(index);
        };
        for span in spans {
            match &span.content {
                SpanContent::Visible(values) => {
                    for (offset, value) in (0..).zip(values.chars()) {
                        place(&mut text, nth(&span.id, offset), value, false);
                    }
                }
                SpanContent::Deleted(count) => {
                    for offset in 0..*count {
                        place(&mut text, nth(&span.id, offset), FORGOTTEN, true);
                    }
                }
            }
        }
        for op in pending {
            text.integrate(op);
        }
        text
    }

    /// Takes in an op; a second time changes nothing.
    ///
    /// Source: `crdt.walk`, `crdt.pending-applies`, `crdt.idempotent`.
    pub fn integrate(&mut self, op: &Op) {
        match op.elements() {
            1 => self.integrate_one(op),
            _ => op.singles().for_each(|single| self.integrate_one(&single)),
        }
    }

    fn integrate_one(&mut self, op: &Op) {
        match op {
            Op::Ins(insert) => self.insert(insert),
            Op::Del(Delete { id, .. }) => match self.by_id.get(id) {
                Some(&index) => self.elements[index as usize].deleted = true,
                None => self.pending.entry(id.clone()).or_default().deleted = true,
            },
        }
    }

    /// The visible text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.elements.len());
        text.extend(
            self.walk()
                .filter(|element| !element.deleted)
                .map(|element| element.value),
        );
        text
    }

    /// Every element in document order, tombstones included, adjacent ones joined where they can be.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut length = 0;
        for element in self.walk() {
            if let Some(last) = spans.last_mut()
                && last.id.replica_id() == element.id.replica_id()
                && last.id.lamport() + length == element.id.lamport()
            {
                match &mut last.content {
                    SpanContent::Visible(text) if !element.deleted => {
                        text.push(element.value);
                        length += 1;
                        continue;
                    }
                    SpanContent::Deleted(count) if element.deleted => {
                        *count += 1;
                        length += 1;
                        continue;
                    }
                    _ => {}
                }
            }
            let content = match element.deleted {
                true => SpanContent::Deleted(1),
                false => SpanContent::Visible(element.value.into()),
            };
            spans.push(Span {
                id: element.id.clone(),
                content,
            });
            length = 1;
        }
        spans
    }

    /// The ops that wait for an element, of one element each, each once, in no order that means
    /// anything.
    pub fn pending(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (id, waiting) in &self.pending {
            if waiting.deleted {
                ops.push(Op::Del(Delete::one(id.clone())));
            }
            ops.extend(waiting.children.iter().map(|(child, &value)| {
                let parent_id = ParentId::Element(id.clone());
                Op::Ins(Insert {
                    parent_id,
                    id: child.clone(),
                    value: value.into(),
                })
            }));
        }
        ops
    }

    fn insert(&mut self, insert: &Insert) {
        if self.by_id.contains_key(&insert.id) {
            return;
        }
        let value = insert.value.as_str().chars().next();
        let value = value.expect("an insert has a value");
        let parent = match &insert.parent_id {
            ParentId::Root => ROOT,
            ParentId::Element(id) => match self.by_id.get(id) {
                Some(&index) => index,
                None => {
                    let waiting = self.pending.entry(id.clone()).or_default();
                    waiting.children.insert(insert.id.clone(), value);
                    return;
                }
            },
        };
        let mut arrived = vec![(parent, insert.id.clone(), value)];
        while let Some((parent, id, value)) = arrived.pop() {
            if self.by_id.contains_key(&id) {
                continue;
            }
            let waiting = self.pending.remove(&id);
            let index = self.link(parent, id, value);
            if let Some(waiting) = waiting {
                self.elements[index as usize].deleted = waiting.deleted;
                arrived.extend(
                    waiting
                        .children
                        .into_iter()
                        .map(|(child, value)| (index, child, value)),
                );
            }
        }
    }

    /// Adds an element under its parent, before the first sibling with a smaller id.
    fn link(&mut self, parent: u32, id: ElementId, value: char) -> u32 {
        let index = u32::try_from(self.elements.len()).expect("fewer than 2^32 elements");
        let key = (parent, Reverse(id.clone()));
        let before = self.siblings.range(..&key).next_back();
        let before = before
            .filter(|((of, _), _)| *of == parent)
            .map(|(_, &sibling)| sibling);
        let slot = match before {
            Some(sibling) => &mut self.elements[sibling as usize].next_sibling,
            None if parent == ROOT => &mut self.first_root,
            None => &mut self.elements[parent as usize].first_child,
        };
        let next_sibling = slot.replace(index);
        self.by_id.insert(id.clone(), index);
        self.siblings.insert(key, index);
        self.elements.push(Element {
            id,
            value,
            deleted: false,
            first_child: None,
            next_sibling,
        });
        index
    }

    /// Every element in document order: depth first, each before its children.
    fn walk(&self) -> impl Iterator<Item = &Element> {
        let mut next: Vec<u32> = self.first_root.into_iter().collect();
        std::iter::from_fn(move || {
            let element = &self.elements[next.pop()? as usize];
            next.extend(element.next_sibling);
            next.extend(element.first_child);
            Some(element)
        })
    }
}

/// The id `offset` lamports after `first`, of the same replica.
fn nth(first: &ElementId, offset: u64) -> ElementId {
    Integer::new(first.lamport() + offset)
        .and_then(|lamport| ElementId::new(lamport, first.replica_id().clone()))
        .expect("a span ends at an id that was accepted")
}
