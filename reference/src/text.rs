//! The replicated text: an RGA kept as a list of elements in document order (`crdt.md`, section 5).
//!
//! The list is cut into runs: elements of one replica with consecutive lamports, all visible or all
//! deleted. Runs stand in the leaves of a B-tree; a leaf has some 30 runs, and the text of those that
//! are visible. An op costs a logarithm of the leaves at most, and where somebody types or deletes
//! character after character, no more than a few steps.
//!
//! What always holds, and [`Text::check_invariants`] checks:
//!
//! 1. The leaves in document order hold every element once. No run is empty. Only the single leaf of
//!    an empty document has no runs. Leaf 0 is the first.
//! 2. A leaf's text is that of its visible runs, and its length in characters is known.
//! 3. Of each leaf and each node the least id of all elements below it is known. So the place of an
//!    insert is found: "the first element right of the parent with a smaller id".
//! 4. Of each replica, a map from lamports to leaves tells where an element is: the greatest lamport of
//!    the map up to its own has its leaf. Two neighbours in the map have different leaves. Lamports
//!    without an element may lie under any entry, so it takes a look into the leaf to know that there
//!    is one.
//! 5. An op waits for an element only while that is missing.
//!
//! Deliberately absent: sequence numbers, messages, duplicates by `client_msg_id`; they are the
//! document's. Also positions in the text, which no op has; tokio, clocks, sockets.

mod check;
mod ids;
mod leaf;
mod tree;
mod waiting;

use collab_spec::id::{Integer, ParentId};
use collab_spec::message::{Delete, Insert, Op, RunText, Span, State};

use self::ids::{Id, Replicas};
use self::leaf::{MOST_ELEMENTS, MOST_TEXT, Run, byte_of};
use self::tree::Tree;
use self::waiting::{Early, Waiting};

/// A text and all that is needed to go on editing it.
#[derive(Debug, Default)]
pub struct Text {
    tree: Tree,
    replicas: Replicas,
    waiting: Waiting,
    /// The length of the visible text.
    bytes: usize,
}

/// Element `offset` of run `at` of a leaf, or the gap before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    leaf: u32,
    at: usize,
    offset: u32,
}

impl Place {
    fn new(leaf: u32, at: usize, offset: u32) -> Self {
        Self { leaf, at, offset }
    }
}

/// The most elements that are put into a leaf at a time.
const PIECE: usize = MOST_TEXT / 2;

impl Text {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// A text from its state.
    pub fn from_state(state: &State) -> Self {
        let mut text = Self::new();
        for span in &state.elements {
            let mut id = text.replicas.id(span.id());
            let mut add = |elements: u32, deleted, values: &str| {
                text.append(Run::new(id, elements, deleted), values);
                id = id.later(elements.into());
            };
            match span {
                Span::Text { text: values, .. } => {
                    let mut rest = values.as_str();
                    while !rest.is_empty() {
                        let (piece, elements) = first(rest, PIECE);
                        add(elements, false, piece);
                        rest = &rest[piece.len()..];
                    }
                }
                Span::Deleted { deleted, .. } => {
                    let mut count = deleted.value();
                    while count > 0 {
                        let elements = count.min(MOST_ELEMENTS);
                        add(elements as u32, true, "");
                        count -= elements;
                    }
                }
            }
        }
        text.replicas.note(&text.tree.leaves);
        for op in &state.pending {
            text.integrate(op);
        }
        text
    }

    /// Puts elements behind all others; in which leaf they are is still to be noted.
    fn append(&mut self, run: Run, text: &str) {
        let last = self.tree.leaf(self.tree.last);
        if !last.has_room() || last.text.len() + text.len() > MOST_TEXT {
            let Place { leaf, at, .. } = self.tree.end();
            self.tree.split(leaf, at, 0, &self.replicas);
        }
        let Place { leaf, at, .. } = self.tree.end();
        self.tree.leaf_mut(leaf).insert(at, 0, run, text);
        self.tree.lower(leaf, run.id(), &self.replicas);
        self.bytes += text.len();
    }

    /// Takes in an op; a second time changes nothing.
    ///
    /// Source: `crdt.walk`, `crdt.pending-applies`, `crdt.idempotent`.
    pub fn integrate(&mut self, op: &Op) {
        let id = self.replicas.id(op.id());
        match op {
            Op::Del(Delete { count, .. }) => self.delete(id, count.value()),
            Op::Ins(insert) => {
                let parent = insert.parent_id.element();
                let parent = parent.map(|parent| self.replicas.id(parent));
                let mut ready = Vec::new();
                self.insert(parent, id, insert.value.as_str(), &mut ready);
                while let Some((parent, id, value)) = ready.pop() {
                    self.insert(Some(parent), id, value.as_str(), &mut ready);
                }
            }
        }
    }

    /// The visible text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        let leaves = self.tree.in_order();
        leaves.for_each(|leaf| text.push_str(&leaf.text));
        text
    }

    /// All that it takes to go on, the pending ops of one element each.
    ///
    /// Source: `state.canonical`, `state.pending`, `runs.state-pending`.
    pub fn state(&self) -> State {
        State {
            elements: self.spans(),
            pending: self.pending(),
        }
    }

    /// Every element in document order, tombstones included, adjacent ones joined where they can be.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut last: Option<Run> = None;
        for leaf in self.tree.in_order() {
            let mut rest = leaf.text.as_str();
            for run in &leaf.runs {
                let visible = run.visible() as usize;
                let end = match leaf.text.len() == leaf.characters as usize {
                    true => visible,
                    false => byte_of(rest, visible),
                };
                let (text, after) = rest.split_at(end);
                rest = after;
                let count = |before: Integer| {
                    let count = before.value() + u64::from(run.elements());
                    Integer::new(count).expect("fewer than 2^53 elements")
                };
                let joins = last.is_some_and(|last| last.goes_on_in(run));
                last = Some(*run);
                let id = || self.replicas.element_id(run.id());
                match spans.last_mut().filter(|_| joins) {
                    Some(Span::Text { text: joined, .. }) => joined.push_str(text),
                    Some(Span::Deleted { deleted, .. }) => *deleted = count(*deleted),
                    None => spans.push(match run.is_deleted() {
                        true => Span::Deleted {
                            id: id(),
                            deleted: count(Integer::default()),
                        },
                        false => Span::Text {
                            id: id(),
                            text: text.into(),
                        },
                    }),
                }
            }
        }
        spans
    }

    /// The ops that wait for an element, of one element each, each once, in no order that means
    /// anything.
    pub fn pending(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (missing, early) in self.waiting.iter() {
            let missing = self.replicas.element_id(missing);
            match early.value {
                None => ops.push(Op::Del(Delete::one(missing))),
                Some(value) => {
                    let insert = Op::Ins(Insert {
                        parent_id: ParentId::Element(missing),
                        id: self.replicas.element_id(early.id),
                        value,
                    });
                    ops.extend(insert.singles());
                }
            }
        }
        let order = |op: &Op| {
            let inserted = matches!(op, Op::Ins(_));
            (op.dependency().cloned(), inserted, op.id().clone())
        };
        ops.sort_by_cached_key(order);
        ops.dedup();
        ops
    }

    /// Inserts what is new of a run, or lets it wait; adds to `ready` what waited for its elements.
    fn insert(
        &mut self,
        mut parent: Option<Id>,
        mut id: Id,
        mut text: &str,
        ready: &mut Vec<(Id, Id, RunText)>,
    ) {
        while !text.is_empty() {
            let (piece, elements) = match self.find(id) {
                Some(_) => first(text, 1),
                None => {
                    let place = parent.map(|parent| self.find(parent));
                    if let (Some(parent), Some(None)) = (parent, place) {
                        self.waiting.insert(parent, id, text);
                        return;
                    }
                    // What is above all is new as a whole.
                    let is_newest = id.lamport > self.replicas.of(id).newest;
                    let piece = first(text, if is_newest { PIECE } else { 1 });
                    let gap = self.gap_after(place.flatten(), id);
                    self.put(gap, Run::new(id, piece.1, false), piece.0);
                    self.wake(id, piece.1, ready);
                    piece
                }
            };
            text = &text[piece.len()..];
            parent = Some(id.later(u64::from(elements) - 1));
            id = id.later(elements.into());
        }
    }

    /// Ends the waiting for new elements.
    fn wake(&mut self, first: Id, elements: u32, ready: &mut Vec<(Id, Id, RunText)>) {
        while !self.waiting.is_empty()
            && let Some((id, early)) = self.waiting.take(first, elements)
        {
            let mut is_deleted = false;
            for Early { id: child, value } in early {
                match value {
                    Some(value) => ready.push((id, child, value)),
                    None => is_deleted = true,
                }
            }
            if is_deleted {
                self.delete(id, 1);
            }
        }
    }

    /// Deletes so many elements of one replica, each as soon as it is there.
    fn delete(&mut self, mut id: Id, mut count: u64) {
        while count > 0 {
            let mut elements = 1;
            match self.find(id) {
                None => self.waiting.delete(id),
                Some(place) => {
                    let run = self.tree.leaf(place.leaf).runs[place.at];
                    elements = count.min(u64::from(run.elements() - place.offset));
                    if !run.is_deleted() {
                        self.take(place, id, elements as u32);
                    }
                }
            }
            id = id.later(elements);
            count -= elements;
        }
    }

    /// Where an element is, if it is in the list.
    fn find(&self, id: Id) -> Option<Place> {
        let replica = self.replicas.of(id);
        if id.lamport > replica.newest {
            return None;
        }
        let place = |leaf, at, run: &Run| {
            let offset = id.lamport - run.lamport;
            Some(Place::new(leaf, at, offset as u32))
        };
        let (leaf, at) = (replica.hint.0, replica.hint.1 as usize);
        if let Some(run) = self.tree.leaf(leaf).runs.get(at)
            && run.holds(id)
        {
            return place(leaf, at, run);
        }
        let (_, leaf) = replica.entry(id.lamport)?;
        let at = self.tree.leaf(leaf).find(id)?;
        place(leaf, at, &self.tree.leaf(leaf).runs[at])
    }

    /// The gap for a new element: before the first one right of its parent with a smaller id.
    ///
    /// Source: section 5 of `crdt.md`.
    fn gap_after(&self, parent: Option<Place>, id: Id) -> Place {
        let (leaf, at) = match parent {
            None => (0, 0),
            Some(Place { leaf, at, offset }) => {
                let run = self.tree.leaf(leaf).runs[at];
                let offset = offset + 1;
                let next = run.id().later(offset.into());
                if offset < run.elements() && self.replicas.below(next, id) {
                    return Place::new(leaf, at, offset);
                }
                (leaf, at + 1)
            }
        };
        let is_below = |run: &Run| self.replicas.below(run.id(), id);
        let first_below = |leaf, from| {
            let runs: &[Run] = &self.tree.leaf(leaf).runs;
            runs[from..].iter().position(is_below).map(|at| from + at)
        };
        if let Some(at) = first_below(leaf, at) {
            return Place::new(leaf, at, 0);
        }
        match self.tree.next_below(leaf, id, &self.replicas) {
            None => self.tree.end(),
            Some(leaf) => {
                let at = first_below(leaf, 0).expect("its least id is below");
                Place::new(leaf, at, 0)
            }
        }
    }

    /// Puts new elements into a gap.
    fn put(&mut self, gap: Place, run: Run, text: &str) {
        let Place { leaf, at, offset } = self.with_room(gap);
        let at = self.tree.leaf_mut(leaf).insert(at, offset, run, text);
        self.tree.lower(leaf, run.id(), &self.replicas);
        self.bytes += text.len();
        let replica = self.replicas.of_mut(run.id());
        replica.put(run.lamport, run.end() - 1, leaf);
        replica.hint = (leaf, at as u32);
        let full = self.tree.leaf(leaf);
        if full.text.len() > MOST_TEXT {
            let (at, offset) = full.middle();
            self.split(leaf, at, offset);
        }
    }

    /// Deletes visible elements of one run.
    fn take(&mut self, place: Place, id: Id, elements: u32) {
        let Place { leaf, at, offset } = self.with_room(place);
        let it = self.tree.leaf_mut(leaf);
        let before = it.text.len();
        let at = it.delete(at, offset, elements);
        self.bytes -= before - it.text.len();
        self.replicas.of_mut(id).hint = (leaf, at as u32);
    }

    /// The same place in a leaf that has room for two runs more.
    fn with_room(&mut self, place: Place) -> Place {
        let leaf = self.tree.leaf(place.leaf);
        if leaf.has_room() {
            return place;
        }
        // Where elements come one after the other, leaves are left full.
        let runs = leaf.runs.len();
        let cut = if place.at == runs { runs } else { runs / 2 };
        let new = self.split(place.leaf, cut, 0);
        match place.at.checked_sub(cut) {
            None => place,
            Some(at) => Place::new(new, at, place.offset),
        }
    }

    fn split(&mut self, leaf: u32, at: usize, offset: u32) -> u32 {
        let new = self.tree.split(leaf, at, offset, &self.replicas);
        let [old_leaf, new_leaf] = [leaf, new].map(|leaf| (leaf, self.tree.leaf(leaf)));
        self.replicas.moved(old_leaf, new_leaf);
        new
    }
}

/// The first characters of a text, at most so many, and how many they are.
fn first(text: &str, most: usize) -> (&str, u32) {
    let piece = &text[..byte_of(text, most)];
    (piece, piece.chars().count() as u32)
}
