//! A leaf of the tree: a short list of runs and the text of those that are visible.

use arrayvec::ArrayVec;

use super::ids::Id;
use super::tree::NONE;

/// The most runs of a leaf.
pub(super) const MOST_RUNS: usize = 32;

/// A leaf with more bytes of text is split.
pub(super) const MOST_TEXT: usize = 1024;

/// The most elements of a run.
pub(super) const MOST_ELEMENTS: u64 = u32::MAX as u64 >> 1;

/// Elements of one replica that stand beside each other, with consecutive lamports, all visible or
/// all deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) lamport: u64,
    pub(super) replica: u32,
    /// How many, and in the lowest bit whether they are deleted.
    length: u32,
}

impl Run {
    pub(super) fn new(id: Id, elements: u32, deleted: bool) -> Self {
        Self {
            lamport: id.lamport,
            replica: id.replica,
            length: elements << 1 | u32::from(deleted),
        }
    }

    /// The first element's id, the least of all.
    pub(super) fn id(&self) -> Id {
        Id {
            lamport: self.lamport,
            replica: self.replica,
        }
    }

    pub(super) fn elements(&self) -> u32 {
        self.length >> 1
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.length & 1 == 1
    }

    /// How many elements are visible.
    pub(super) fn visible(&self) -> u32 {
        match self.is_deleted() {
            true => 0,
            false => self.elements(),
        }
    }

    /// The lamport after the last element's.
    pub(super) fn end(&self) -> u64 {
        self.lamport + u64::from(self.elements())
    }

    pub(super) fn holds(&self, id: Id) -> bool {
        self.replica == id.replica && (self.lamport..self.end()).contains(&id.lamport)
    }

    /// Whether the next run has the elements that come after.
    pub(super) fn goes_on_in(&self, next: &Self) -> bool {
        self.replica == next.replica
            && self.end() == next.lamport
            && self.is_deleted() == next.is_deleted()
    }

    /// Whether the two can be one run.
    fn joins(&self, next: &Self) -> bool {
        let elements = u64::from(self.elements()) + u64::from(next.elements());
        self.goes_on_in(next) && elements <= MOST_ELEMENTS
    }

    /// The elements from `offset` on.
    fn from(&self, offset: u32) -> Self {
        let id = self.id().later(offset.into());
        Self::new(id, self.elements() - offset, self.is_deleted())
    }

    /// The elements before `offset`.
    fn until(&self, offset: u32) -> Self {
        Self::new(self.id(), offset, self.is_deleted())
    }
}

#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) runs: ArrayVec<Run, MOST_RUNS>,
    pub(super) text: String,
    /// How many characters the text has.
    pub(super) characters: u32,
    /// The least id of all elements.
    pub(super) least: Id,
    /// The node above, if there is one.
    pub(super) above: u32,
    /// The leaf that follows, if there is one.
    pub(super) next: u32,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            runs: ArrayVec::new(),
            text: String::new(),
            characters: 0,
            least: Id::NONE,
            above: NONE,
            next: NONE,
        }
    }
}

impl Leaf {
    pub(super) fn find(&self, id: Id) -> Option<usize> {
        self.runs.iter().position(|run| run.holds(id))
    }

    /// Whether a run can be put into the middle of another.
    pub(super) fn has_room(&self) -> bool {
        self.runs.len() + 2 <= MOST_RUNS
    }

    /// Puts a new run before element `offset` of run `at`; gives the run that they are in then.
    pub(super) fn insert(&mut self, at: usize, offset: u32, new: Run, text: &str) -> usize {
        let byte = self.byte(at, offset);
        match text.len() {
            1 => self.text.insert(byte, char::from(text.as_bytes()[0])),
            _ => self.text.insert_str(byte, text),
        }
        self.characters += new.visible();
        if offset > 0 {
            let run = self.runs[at];
            self.runs[at] = run.until(offset);
            self.runs.insert(at + 1, new);
            self.runs.insert(at + 2, run.from(offset));
            return at + 1;
        }
        if at > 0 && self.runs[at - 1].joins(&new) {
            self.join(at - 1, new.elements());
            return at - 1;
        }
        self.runs.insert(at, new);
        at
    }

    /// Deletes so many elements from element `offset` of the visible run `at` on; gives the run that
    /// the element before them is in then, where there is one.
    pub(super) fn delete(&mut self, at: usize, offset: u32, elements: u32) -> usize {
        let from = self.byte(at, offset);
        match self.text.len() == self.characters as usize && elements == 1 {
            true => drop(self.text.remove(from)),
            false => {
                let until = from + byte_of(&self.text[from..], elements as usize);
                self.text.drain(from..until);
            }
        }
        self.characters -= elements;
        let run = self.runs[at];
        let deleted = Run::new(run.id().later(offset.into()), elements, true);
        let rest = run.from(offset + elements);
        let mut after = at;
        match offset {
            0 => self.runs[at] = deleted,
            _ => {
                self.runs[at] = run.until(offset);
                after += 1;
                self.runs.insert(after, deleted);
            }
        }
        if rest.elements() > 0 {
            self.runs.insert(after + 1, rest);
        } else {
            self.join_next(after);
        }
        if after > 0 {
            self.join_next(after - 1);
        }
        at.saturating_sub(usize::from(offset == 0))
    }

    /// Moves what stands from element `offset` of run `at` on into a new leaf.
    pub(super) fn split_off(&mut self, at: usize, offset: u32) -> Self {
        let text = self.text.split_off(self.byte(at, offset));
        self.text.shrink_to(MOST_TEXT);
        let mut runs: ArrayVec<_, MOST_RUNS> = self.runs.drain(at..).collect();
        if offset > 0 {
            self.runs.push(runs[0].until(offset));
            runs[0] = runs[0].from(offset);
        }
        let moved = runs.iter().map(Run::visible).sum();
        self.characters -= moved;
        Self {
            runs,
            text,
            characters: moved,
            next: self.next,
            ..Self::default()
        }
    }

    /// The run and the offset in it at which half of the text is over.
    pub(super) fn middle(&self) -> (usize, u32) {
        let mut left = self.characters / 2;
        for (at, run) in self.runs.iter().enumerate() {
            if left < run.visible() {
                return (at, left);
            }
            left -= run.visible();
        }
        (self.runs.len(), 0)
    }

    /// Where in the text element `offset` of run `at` begins.
    fn byte(&self, at: usize, offset: u32) -> usize {
        let before: u32 = self.runs[..at].iter().map(Run::visible).sum();
        let inside = self.runs.get(at).is_some_and(|run| !run.is_deleted());
        let characters = before + if inside { offset } else { 0 };
        match self.text.len() == self.characters as usize {
            true => characters as usize,
            false => byte_of(&self.text, characters as usize),
        }
    }

    /// Joins run `at` and the next, where they can be one.
    fn join_next(&mut self, at: usize) {
        if let Some(next) = self.runs.get(at + 1)
            && self.runs[at].joins(next)
        {
            let elements = next.elements();
            self.runs.remove(at + 1);
            self.join(at, elements);
        }
    }

    /// Adds so many elements to run `at`.
    fn join(&mut self, at: usize, elements: u32) {
        self.runs[at].length += elements << 1;
    }
}

/// Where in the text a character begins, or the text's length after the last.
pub(super) fn byte_of(text: &str, character: usize) -> usize {
    let mut characters = text.chars();
    if let Some(last) = character.checked_sub(1) {
        characters.nth(last);
    }
    text.len() - characters.as_str().len()
}
