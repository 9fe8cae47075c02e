//! What a right server sends when one thing happens after the other: the expectations of a scenario.
//!
//! It answers right clients alone. Deliberately absent: presence, and all that is refused.

use std::collections::{BTreeMap, HashMap};

use collab_spec::id::{ElementId, Name, ParentId};
use collab_spec::message::{Hello, Op, OpSubmission};
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::client::echo_pattern;
use crate::ids;
use crate::model::Model;

/// A server in the mind.
#[derive(Default)]
pub(super) struct Right {
    offered: Vec<Profile>,
    logs: HashMap<Name, Log>,
    /// The connections that are open and have said `hello`.
    listeners: BTreeMap<usize, Listener>,
}

#[derive(Default)]
struct Log {
    accepted: Vec<Accepted>,
    /// The name under which the epoch is bound, once an ack has told it.
    is_told: bool,
}

struct Accepted {
    submission: OpSubmission,
    /// The seq before its first one.
    after: u64,
}

struct Listener {
    doc_id: Name,
    on: Vec<Profile>,
}

/// A message that a connection gets: the pattern, and what is broken where another comes.
pub(super) struct Reply {
    pub(super) connection: usize,
    pub(super) frame: Value,
    pub(super) requirement: &'static str,
}

/// What a `hello` says of the epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Right,
    Wrong,
}

impl Right {
    pub(super) fn new(offered: &[Profile]) -> Self {
        Self {
            offered: offered.to_vec(),
            ..Self::default()
        }
    }

    /// The document's head, and its text.
    pub(super) fn head_and_text(&self, doc_id: &Name) -> (u64, String) {
        let log = self.logs.get(doc_id);
        let head = log.map_or(0, Log::head);
        (head, log.map(|log| log.model().text()).unwrap_or_default())
    }

    /// The profiles of a `hello` that are turned on.
    pub(super) fn granted(&self, hello: &Hello) -> Vec<Profile> {
        let names = hello.capabilities.iter().flatten();
        let known = names.filter_map(|name| Profile::from_name(name));
        known
            .filter(|profile| self.offered.contains(profile))
            .collect()
    }

    /// Answers a `hello`. `resyncs` says what the server chose where it has a choice.
    pub(super) fn hello(
        &mut self,
        connection: usize,
        hello: &Hello,
        told: Told,
        resyncs: bool,
    ) -> Vec<Reply> {
        let on = self.granted(hello);
        let has = |profile| on.contains(&profile);
        let log = self.logs.entry(hello.doc_id.clone()).or_default();
        let (seen, head) = (hello.last_seen_server_seq.value(), log.head());
        let resume = has(Profile::Resume);
        let replays = match (seen, resume, told) {
            (0, ..) => false,
            (_, true, Told::Nothing | Told::Wrong) => false,
            (seen, true, Told::Right) if seen == head => true,
            (seen, ..) => seen < head && !resyncs,
        };
        let mut ack = json!({"type": "hello_ack", "doc_id": hello.doc_id, "server_seq": head});
        if resume {
            let name = format!("epoch of {}", hello.doc_id);
            let bound = std::mem::replace(&mut log.is_told, true);
            ack["epoch"] = match bound {
                true => json!({"$var": name}),
                false => json!({"$bind": name}),
            };
            ack["sync"] = json!(if replays { "replay" } else { "resync" });
        }
        let reply = |frame, requirement| Reply {
            connection,
            frame,
            requirement,
        };
        let mut replies = vec![reply(ack, ids::ACK_FIELDS)];
        if replays {
            let runs = has(Profile::Runs);
            let missed = log.accepted.iter().flat_map(|one| one.echoes(seen, runs));
            replies.extend(missed.map(|echo| reply(echo, ids::SYNC_REPLAY_EXACT)));
        } else {
            replies.push(reply(log.resync(hello, &on), ids::RESYNC_TEXT));
        }
        let doc_id = hello.doc_id.clone();
        self.listeners.insert(connection, Listener { doc_id, on });
        replies
    }

    /// Answers an op: the echoes, or the answer to one that was sent again.
    pub(super) fn op(&mut self, connection: usize, submission: &OpSubmission) -> Vec<Reply> {
        let runs = |listener: &Listener| listener.on.contains(&Profile::Runs);
        let log = self.logs.entry(submission.doc_id.clone()).or_default();
        if let Some(known) = log.accepted.iter().find(|known| known.is(submission)) {
            let echoes = known.echoes(known.after, true);
            let reply = |frame| Reply {
                connection,
                frame,
                requirement: ids::SUBMIT_ANSWER,
            };
            return echoes.into_iter().map(reply).collect();
        }
        let accepted = Accepted {
            submission: submission.clone(),
            after: log.head(),
        };
        let mut replies = Vec::new();
        for (other, listener) in &self.listeners {
            if listener.doc_id == submission.doc_id {
                for frame in accepted.echoes(accepted.after, runs(listener)) {
                    replies.push(Reply {
                        connection: *other,
                        frame,
                        requirement: ids::SEQ_FAN_OUT,
                    });
                }
            }
        }
        log.accepted.push(accepted);
        replies
    }

    /// The connections of a document that are open.
    pub(super) fn listening(&self, doc_id: &Name) -> Vec<usize> {
        let here = self.listeners.iter();
        let here = here.filter(|(_, listener)| listener.doc_id == *doc_id);
        here.map(|(connection, _)| *connection).collect()
    }

    /// Whether a connection is open and has said `hello`.
    pub(super) fn is_listening(&self, connection: usize) -> bool {
        self.listeners.contains_key(&connection)
    }

    /// Whether a connection has the profile `runs` on.
    pub(super) fn has_runs(&self, connection: usize) -> bool {
        let listener = self.listeners.get(&connection);
        listener.is_some_and(|listener| listener.on.contains(&Profile::Runs))
    }

    /// A connection is gone.
    pub(super) fn ends(&mut self, connection: usize) {
        self.listeners.remove(&connection);
    }
}

impl Log {
    fn head(&self) -> u64 {
        self.accepted.last().map_or(0, Accepted::last)
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        for accepted in &self.accepted {
            model.integrate(&accepted.submission.op);
        }
        model
    }

    fn resync(&self, hello: &Hello, on: &[Profile]) -> Value {
        let model = self.model();
        let mut frame = json!({"type": "resync", "doc_id": hello.doc_id,
            "server_seq": self.head(), "full_text": model.text()});
        if on.contains(&Profile::State) {
            let state = model.state();
            frame["state"] = json!({"elements": state.elements});
            // In any order, and with `runs` in any pieces: only one can be written down.
            if state.pending.len() <= 1 {
                frame["state"]["pending"] = json!(state.pending);
            }
        }
        frame
    }
}

impl Accepted {
    fn last(&self) -> u64 {
        self.after + self.submission.op.elements()
    }

    /// Whether a submission is this op, sent again.
    fn is(&self, submission: &OpSubmission) -> bool {
        let own = &self.submission;
        let named =
            own.client_id == submission.client_id && own.client_msg_id == submission.client_msg_id;
        let same_insert = matches!(own.op, Op::Ins(_)) && own.op == submission.op;
        named || same_insert
    }

    /// The echoes of what lies above a seq, whole or one by one.
    fn echoes(&self, seen: u64, whole: bool) -> Vec<Value> {
        let skip = seen.saturating_sub(self.after);
        if skip >= self.submission.op.elements() {
            return Vec::new();
        }
        let rest = self.submission.op.rest(skip);
        let echo = |op: Op, seq: u64| {
            let submission = OpSubmission {
                op,
                epoch: None,
                ..self.submission.clone()
            };
            echo_pattern(&submission, Some(seq))
        };
        if whole {
            return vec![echo(rest, self.last())];
        }
        let seqs = self.after + skip + 1..;
        let singles: Vec<Op> = rest.singles().collect();
        seqs.zip(singles).map(|(seq, op)| echo(op, seq)).collect()
    }
}

/// What in a history is most likely to be at fault where a text is wrong; the smaller the history, the
/// more so.
pub(super) fn likely_cause<'a>(ops: impl Iterator<Item = &'a Op>) -> Option<&'static str> {
    let mut there: Vec<ElementId> = Vec::new();
    let mut parents: Vec<ParentId> = Vec::new();
    let mut deleted: Vec<ElementId> = Vec::new();
    let (mut early, mut again) = (false, false);
    let mut siblings = None;
    for single in ops.flat_map(|op| op.singles().collect::<Vec<_>>()) {
        early |= single.dependency().is_some_and(|id| !there.contains(id));
        match single {
            Op::Ins(insert) => {
                let its = parents.iter().zip(&there);
                let its = its.filter(|(parent, _)| **parent == insert.parent_id);
                siblings = siblings.max(its.map(|(_, id)| order_of(id, &insert.id)).max());
                parents.push(insert.parent_id);
                there.push(insert.id);
            }
            Op::Del(delete) => {
                again |= deleted.contains(&delete.id);
                deleted.push(delete.id);
            }
        }
    }
    let has_deleted_parent = parents.iter().any(|parent| {
        let id = parent.element();
        id.is_some_and(|id| deleted.contains(id))
    });
    match () {
        () if early => Some(ids::CRDT_PENDING_APPLIES),
        () if has_deleted_parent => Some(ids::CRDT_TOMBSTONE_CHILDREN),
        () if again || !deleted.is_empty() => Some(ids::CRDT_TOMBSTONE),
        () => match siblings? {
            Order::Plain => Some(ids::CRDT_SIBLING_ORDER),
            Order::OfReplicas => Some(ids::CRDT_REPLICA_ORDER),
            Order::OfLamports => Some(ids::CRDT_LAMPORT_ORDER),
        },
    }
}

/// What decides the order of two siblings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Plain,
    OfReplicas,
    /// Lamports of which the greater looks smaller, to somebody.
    OfLamports,
}

fn order_of(a: &ElementId, b: &ElementId) -> Order {
    let (a, b) = (a.lamport(), b.lamport());
    let as_text = a.to_string().cmp(&b.to_string()) != a.cmp(&b);
    let in_bits = |bits: u32| a >> bits != b >> bits;
    match () {
        () if a == b => Order::OfReplicas,
        () if as_text || in_bits(31) || in_bits(32) => Order::OfLamports,
        () => Order::Plain,
    }
}
