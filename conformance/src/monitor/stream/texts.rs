//! The texts and states of one document's resyncs, as long as all its ops are known and few.

use collab_spec::message::{Op, Resync};
use collab_spec::report::Breach;

use crate::model::Model;
use crate::monitor::{state, text};

/// How many elements a document may have got, at most, for its texts to be judged.
pub(super) const MOST_ELEMENTS: u64 = 10_000;

/// How many resyncs wait for the ops before them to come.
const MOST_WAITING: usize = 8;

/// A document as the ops that came make it.
pub(super) struct Texts {
    model: Option<Model>,
    reached: u64,
    /// The text at `reached`.
    text: Option<String>,
    waiting: Vec<Waiting>,
    judged: u64,
    not_judged: u64,
}

/// A resync that came before all of its ops.
struct Waiting {
    event: usize,
    name: String,
    resync: Resync,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            model: Some(Model::new()),
            reached: 0,
            text: None,
            waiting: Vec::new(),
            judged: 0,
            not_judged: 0,
        }
    }
}

impl Texts {
    /// How many elements and resyncs are remembered.
    pub(super) fn len(&self) -> usize {
        let elements = usize::try_from(self.reached).unwrap_or(usize::MAX);
        self.waiting.len() + self.model.as_ref().map_or(0, |_| elements)
    }

    /// The seq that is next, where texts can still be judged.
    pub(super) fn next(&self) -> Option<u64> {
        self.model.is_some().then_some(self.reached + 1)
    }

    /// Integrates the op whose first seq is the next one.
    pub(super) fn integrate(&mut self, op: &Op) {
        let Some(model) = &mut self.model else {
            return;
        };
        self.reached += op.elements();
        if self.reached > MOST_ELEMENTS {
            self.give_up();
            return;
        }
        model.integrate(op);
        self.text = None;
    }

    /// The ops from here on are not all known, or too many.
    pub(super) fn give_up(&mut self) {
        self.model = None;
        self.text = None;
        self.not_judged += self.waiting.len() as u64;
        self.waiting = Vec::new();
    }

    /// Begins with an empty document.
    pub(super) fn begin_anew(&mut self) {
        self.give_up();
        self.model = Some(Model::new());
        self.reached = 0;
    }

    /// Takes a resync that is to be judged.
    pub(super) fn add(&mut self, event: usize, name: &str, resync: &Resync) {
        if self.model.is_none() || self.waiting.len() >= MOST_WAITING {
            self.not_judged += 1;
            return;
        }
        self.waiting.push(Waiting {
            event,
            name: name.to_owned(),
            resync: resync.clone(),
        });
    }

    /// The smallest seq of a resync that waits.
    pub(super) fn wanted(&self) -> Option<u64> {
        let seqs = self.waiting.iter().map(|one| one.resync.server_seq.value());
        seqs.min()
    }

    /// Judges those that wait for no op any more.
    pub(super) fn judge(&mut self, found: &mut Vec<Breach>) {
        let Some(model) = &self.model else {
            return;
        };
        for one in std::mem::take(&mut self.waiting) {
            let seq = one.resync.server_seq.value();
            if seq > self.reached {
                self.waiting.push(one);
                continue;
            }
            if seq < self.reached {
                self.not_judged += 1;
                continue;
            }
            self.judged += 1;
            let expected = self.text.get_or_insert_with(|| model.text());
            if *expected != one.resync.full_text {
                found.push(text::wrong_text(
                    &one.name,
                    one.event,
                    expected,
                    &one.resync,
                ));
            }
            if let Some(got) = &one.resync.state {
                found.extend(state::compare(&one.name, one.event, &model.state(), got));
            }
        }
    }

    /// How many were compared with their ops, and how many were not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.judged, self.not_judged + self.waiting.len() as u64)
    }
}
