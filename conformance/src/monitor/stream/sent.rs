//! The newest ops that clients have sent for one document.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{Op, OpEcho};

use crate::monitor::digest::Submission;
use crate::trace::Connection;

/// How many ops are remembered, and of how many elements.
const MOST_OPS: usize = 4_096;
const MOST_ELEMENTS: u64 = 65_536;

/// A client and its name for an op.
type Key = (Name, Name);

/// The ops, the newest ones.
#[derive(Default)]
pub(super) struct SentOps {
    /// The oldest first.
    ops: VecDeque<Arc<Submission>>,
    elements: u64,
    by_key: HashMap<Key, Vec<Arc<Submission>>>,
    by_element: HashMap<ElementId, Vec<Arc<Submission>>>,
    /// Up to which seq the ops of a connection may have been forgotten.
    horizons: HashMap<Connection, u64>,
    has_forgotten: bool,
}

fn key_of(submission: &Submission) -> Key {
    let message = &submission.message;
    (message.client_id.clone(), message.client_msg_id.clone())
}

fn element_of(submission: &Submission) -> Option<&ElementId> {
    match &submission.message.op {
        Op::Ins(insert) => Some(&insert.id),
        Op::Del(_) => None,
    }
}

/// Takes one op out of what is kept under a key.
fn drop_from<K: Eq + std::hash::Hash>(
    map: &mut HashMap<K, Vec<Arc<Submission>>>,
    key: &K,
    submission: &Arc<Submission>,
) {
    if let Some(all) = map.get_mut(key) {
        all.retain(|kept| !Arc::ptr_eq(kept, submission));
        if all.is_empty() {
            map.remove(key);
        }
    }
}

impl SentOps {
    /// Remembers an op. `told` finds the seq of one that has to be forgotten for it, where it has come.
    pub(super) fn add(
        &mut self,
        submission: Submission,
        told: impl Fn(&Submission) -> Option<u64>,
    ) -> Arc<Submission> {
        let submission = Arc::new(submission);
        self.elements += submission.message.op.elements();
        let kept = self.by_key.entry(key_of(&submission)).or_default();
        kept.push(Arc::clone(&submission));
        if let Some(id) = element_of(&submission) {
            let kept = self.by_element.entry(id.clone()).or_default();
            kept.push(Arc::clone(&submission));
        }
        self.ops.push_back(Arc::clone(&submission));
        while self.ops.len() > MOST_OPS || (self.elements > MOST_ELEMENTS && self.ops.len() > 1) {
            let Some(oldest) = self.ops.pop_front() else {
                break;
            };
            self.elements -= oldest.message.op.elements();
            drop_from(&mut self.by_key, &key_of(&oldest), &oldest);
            if let Some(id) = element_of(&oldest) {
                drop_from(&mut self.by_element, id, &oldest);
            }
            let seq = told(&oldest).unwrap_or(u64::MAX);
            let horizon = self.horizons.entry(oldest.connection).or_default();
            *horizon = (*horizon).max(seq);
            self.has_forgotten = true;
        }
        submission
    }

    pub(super) fn len(&self) -> usize {
        self.ops.len() + self.horizons.len()
    }

    /// Forgets up to where the ops of a connection were forgotten: it has ended.
    pub(super) fn end(&mut self, connection: Connection) {
        self.horizons.remove(&connection);
    }

    /// Whether any op had to be forgotten.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Whether an op with this seq that a connection has sent may be forgotten.
    pub(super) fn may_have_forgotten(&self, connection: Connection, seq: u64) -> bool {
        let horizon = self.horizons.get(&connection);
        horizon.is_some_and(|horizon| seq <= *horizon)
    }

    /// The ops of a client under a name of its own.
    pub(super) fn under_key(&self, client: &Name, msg_id: &Name) -> &[Arc<Submission>] {
        let key = (client.clone(), msg_id.clone());
        self.by_key.get(&key).map_or(&[][..], Vec::as_slice)
    }

    /// The inserts of an element.
    pub(super) fn inserting(&self, id: &ElementId) -> &[Arc<Submission>] {
        self.by_element.get(id).map_or(&[][..], Vec::as_slice)
    }

    /// The times that an echo's op was sent: under its key, or as the same insert.
    pub(super) fn of(&self, echo: &OpEcho) -> impl Iterator<Item = &Arc<Submission>> {
        let under_key = self.under_key(&echo.origin_client_id, &echo.client_msg_id);
        let inserting = match &echo.op {
            Op::Ins(insert) => self.inserting(&insert.id),
            Op::Del(_) => &[],
        };
        let others = inserting.iter().filter(move |sent| {
            let mut known = under_key.iter();
            !known.any(|known| Arc::ptr_eq(known, sent))
        });
        let op = &echo.op;
        let all = under_key.iter().chain(others);
        all.filter(move |sent| sent.message.op == *op)
    }
}
