//! One simulated replica: a client by the rules of the specification (`crdt.next-lamport`,
//! `client.drops-repeats`, `resume.after-replay` and their neighbours).
//!
//! Deliberately absent: connections, and which op goes out when.

use std::collections::{BTreeSet, HashSet};

use collab_spec::id::{ElementId, Name, ParentId};
use collab_spec::message::{
    Count, Delete, HelloAck, Insert, Op, OpEcho, OpSubmission, Resync, RunText, ServerMessage, Span,
};
use serde_json::Value;

use super::document::Document;
use super::plan::Member;
use crate::client::element;
use crate::model::Model;

/// What a member knows.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) client_id: Name,
    model: Model,
    /// Whether `model` holds all that was accepted up to `last`: after a resync without a state it does
    /// not.
    pub(super) is_complete: bool,
    /// Whether `model` began with a state.
    pub(super) is_seeded: bool,
    known: HashSet<ElementId>,
    tombstones: BTreeSet<ElementId>,
    newest_own: Option<ElementId>,
    clock: u64,
    /// The last seq that it has integrated.
    pub(super) last: u64,
    pub(super) epoch: Option<String>,
    /// Its ops without an echo, in the order in which it sends them: places in the document's list.
    pub(super) unconfirmed: Vec<usize>,
    /// Those of them that were not sent yet.
    pub(super) held: Vec<usize>,
    msg_ids: u64,
    stamps: bool,
}

impl Replica {
    pub(super) fn new(member: &Member) -> Self {
        Self {
            client_id: name(&member.client_id),
            model: Model::new(),
            is_complete: false,
            is_seeded: false,
            known: HashSet::new(),
            tombstones: BTreeSet::new(),
            newest_own: None,
            clock: member.clock,
            last: 0,
            epoch: None,
            unconfirmed: Vec::new(),
            held: Vec::new(),
            msg_ids: 0,
            stamps: member.stamps,
        }
    }

    pub(super) fn knows(&self, id: &ElementId) -> bool {
        self.known.contains(id)
    }

    /// One of the deleted elements that it knows.
    pub(super) fn tombstone(&self, which: usize) -> Option<&ElementId> {
        let count = self.tombstones.len();
        self.tombstones.iter().nth(which.checked_rem(count)?)
    }

    pub(super) fn newest_own(&self) -> Option<&ElementId> {
        self.newest_own.as_ref()
    }

    /// The last character that it sees.
    pub(super) fn last_visible(&self) -> Option<ElementId> {
        let state = self.model.state();
        let visible = |span: &&Span| span.text().is_some();
        let span = state.elements.iter().rev().find(visible)?;
        Some(span.id().later(span.elements() - 1))
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Inserts of a text, one op or one for each character, made now.
    pub(super) fn insert(&mut self, parent: ParentId, text: &str, as_run: bool) -> Vec<Op> {
        let first = self.clock.max(parent.lamport()) + 1;
        let id = element(first, self.client_id.as_str());
        let run = RunText::new(text).map(|value| {
            Op::Ins(Insert {
                parent_id: parent,
                id,
                value,
            })
        });
        self.made(run, as_run)
    }

    /// Deletes of elements of adjacent lamports, one op or one for each, made now.
    pub(super) fn delete(&mut self, first: ElementId, count: u64, as_run: bool) -> Vec<Op> {
        let delete = Count::new(count).map(|count| Op::Del(Delete { id: first, count }));
        self.made(delete, as_run)
    }

    fn made(&mut self, op: Option<Op>, as_run: bool) -> Vec<Op> {
        let ops: Vec<Op> = match op {
            None => Vec::new(),
            Some(op) if as_run => vec![op],
            Some(op) => op.singles().collect(),
        };
        for op in &ops {
            self.integrate(op);
            if let Op::Ins(insert) = op {
                self.newest_own = Some(insert.id.later(insert.value.elements() - 1));
            }
        }
        ops
    }

    /// An op under the next `client_msg_id`.
    pub(super) fn submission(&mut self, doc_id: &str, op: Op) -> OpSubmission {
        self.msg_ids += 1;
        OpSubmission {
            doc_id: name(doc_id),
            client_id: self.client_id.clone(),
            client_msg_id: name(&format!("m-{}", self.msg_ids)),
            op,
            epoch: self.epoch.clone().filter(|_| self.stamps).map(Value::from),
        }
    }

    /// The same submission under a new `client_msg_id`.
    pub(super) fn renamed(&mut self, submission: &OpSubmission) -> OpSubmission {
        self.msg_ids += 1;
        OpSubmission {
            client_msg_id: name(&format!("again-{}", self.msg_ids)),
            ..submission.clone()
        }
    }

    fn integrate(&mut self, op: &Op) {
        self.clock = self.clock.max(op.last_lamport());
        for single in op.singles() {
            match &single {
                Op::Ins(insert) => drop(self.known.insert(insert.id.clone())),
                Op::Del(delete) => drop(self.tombstones.insert(delete.id.clone())),
            }
        }
        self.model.integrate(op);
    }

    /// Reads a message of the server.
    pub(super) fn read(&mut self, message: &ServerMessage, document: &Document) {
        match message {
            ServerMessage::HelloAck(ack) => self.read_ack(ack),
            ServerMessage::Resync(resync) => self.read_resync(resync, document),
            ServerMessage::OpEcho(echo) => self.read_echo(echo, document),
            ServerMessage::PresenceUpdate(_) | ServerMessage::PresenceSnapshot(_) => {}
        }
    }

    fn read_ack(&mut self, ack: &HelloAck) {
        let Some(epoch) = &ack.epoch else {
            if ack.server_seq.value() < self.last {
                self.begin_anew();
            }
            return;
        };
        let other = self
            .epoch
            .as_deref()
            .is_some_and(|known| known != epoch.as_str());
        if other {
            self.begin_anew();
        }
        self.epoch = Some(epoch.as_str().to_owned());
    }

    /// The history that it knew is gone (`resume.after-new-epoch`, `client.seq-below`).
    fn begin_anew(&mut self) {
        self.unconfirmed.clear();
        self.held.clear();
        self.last = 0;
        self.is_complete = false;
    }

    fn read_resync(&mut self, resync: &Resync, document: &Document) {
        let seq = resync.server_seq.value();
        if let Some(state) = &resync.state {
            self.model = Model::seeded(state);
            self.is_complete = true;
            self.is_seeded = true;
            self.know(state);
        } else if seq == 0 {
            self.model = Model::new();
            self.is_complete = true;
            self.is_seeded = false;
        } else if seq != self.last {
            self.is_complete = false;
        }
        // What is not confirmed yet still stands in its own text.
        for place in &self.unconfirmed {
            self.model.integrate(&document.made[*place].submission.op);
        }
        self.last = seq;
    }

    fn know(&mut self, state: &collab_spec::message::State) {
        let spans = state.elements.iter();
        let ids = spans.flat_map(|span| span.ids().map(|id| (id, span.text().is_none())));
        // A wrong server may claim any number of elements.
        for (id, deleted) in ids.take(100_000) {
            self.clock = self.clock.max(id.lamport());
            if deleted {
                self.tombstones.insert(id.clone());
            }
            self.known.insert(id);
        }
        for op in &state.pending {
            self.clock = self.clock.max(op.last_lamport());
        }
    }

    fn read_echo(&mut self, echo: &OpEcho, document: &Document) {
        if echo.origin_client_id == self.client_id
            && let Some(place) = document.place(echo)
        {
            self.unconfirmed.retain(|unconfirmed| *unconfirmed != place);
            self.held.retain(|held| *held != place);
        }
        if echo.server_seq.value() > self.last {
            // No op is longer; the monitors say so.
            if echo.op.elements() <= collab_spec::op::MOST_RUN {
                self.integrate(&echo.op);
            }
            self.last = echo.server_seq.value();
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a plan's names have 1 to 256 characters")
}
