//! One document: gives each op its place in the order, once, and knows what a joining client needs.
//!
//! Deliberately absent: connections, encoding, locks; they are the room's.

use std::collections::HashMap;

use collab_spec::id::{ElementId, Integer, Name};
use collab_spec::message::{self, Insert, Op};

use crate::log::{Log, LoggedOp, Snapshot};
use crate::text::{Span, SpanContent, Text};
use crate::violation::Violation;

/// How many ops are read from the log at a time when a document is rebuilt.
const REBUILD_CHUNK: usize = 4096;

/// What became of a submitted op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is new and has this seq.
    New(u64),
    /// It is the op with this seq, sent again.
    Duplicate(u64),
}

/// How a client that joins is brought to the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// By the ops after its `last_seen_server_seq`.
    Replay,
    /// By the whole text.
    Resync,
}

/// A document in memory, over its log.
pub struct Document {
    text: Text,
    log: Box<dyn Log>,
    /// `client_id` → `client_msg_id` → seq.
    messages: HashMap<Name, HashMap<Name, u64>>,
    /// The seq of every accepted insert, of those that wait too (`crdt.pending-id-taken`).
    inserts: HashMap<ElementId, u64>,
}

impl Document {
    /// Rebuilds a document from its log, by the newest snapshot and the ops after it.
    pub fn open(log: Box<dyn Log>) -> Self {
        let snapshot = log.latest_snapshot();
        let (mut text, in_text) = match snapshot {
            Some(Snapshot {
                server_seq,
                spans,
                pending,
            }) => (Text::from_spans(&spans, &pending), server_seq),
            None => (Text::new(), 0),
        };
        let mut messages = HashMap::new();
        let mut inserts = HashMap::new();
        let mut seq = 0;
        loop {
            let chunk = log.ops_since(seq, REBUILD_CHUNK);
            if chunk.is_empty() {
                break;
            }
            for op in chunk {
                seq += 1;
                if seq > in_text {
                    text.integrate(&op.op);
                }
                remember(&mut messages, &mut inserts, &op, seq);
            }
        }
        Self {
            text,
            log,
            messages,
            inserts,
        }
    }

    /// The seq of the last accepted op; 0 where there is none.
    pub fn head(&self) -> u64 {
        self.log.head()
    }

    /// The name of the document's history.
    pub fn epoch(&self) -> Name {
        self.log.epoch()
    }

    /// The visible text at the head.
    pub fn text(&self) -> String {
        self.text.text()
    }

    /// What a client needs to go on editing at the head.
    ///
    /// Source: `state.canonical`, `state.pending`.
    pub fn state(&self) -> message::State {
        message::State {
            elements: self.text.spans().into_iter().map(on_wire).collect(),
            pending: self.text.pending(),
        }
    }

    /// The state of the text at the head.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            server_seq: self.head(),
            spans: self.text.spans(),
            pending: self.text.pending(),
        }
    }

    /// Puts a snapshot of the head into the store, unless it has one.
    pub fn save(&mut self) {
        let saved = self
            .log
            .latest_snapshot()
            .map_or(0, |snapshot| snapshot.server_seq);
        if saved < self.head() {
            let snapshot = self.snapshot();
            self.log.put_snapshot(snapshot);
        }
    }

    /// The ops with the seqs from `after + 1` on, at most `limit` of them.
    pub fn ops_since(&self, after: u64, limit: usize) -> Vec<LoggedOp> {
        self.log.ops_since(after, limit)
    }

    /// The accepted op with this seq.
    pub fn op(&self, seq: u64) -> LoggedOp {
        let op = self.log.ops_since(seq - 1, 1).pop();
        op.expect("a seq that was given is in the log")
    }

    /// How to bring a client that has seen `last_seen` to the head.
    ///
    /// Source: `sync.zero`, `sync.replay-or-resync`, `sync.at-head`, `sync.beyond-head`.
    pub fn sync(&self, last_seen: u64) -> Sync {
        match last_seen {
            0 => Sync::Resync,
            seen if seen < self.head() => Sync::Replay,
            _ => Sync::Resync,
        }
    }

    /// How to bring a client with the profile `resume` to the head, that has seen `last_seen` of the
    /// history `epoch`.
    ///
    /// Source: `resume.no-epoch`, `resume.other-epoch`, `resume.zero`, `resume.at-head`,
    /// `resume.replay`, `resume.beyond-head`.
    pub fn resume(&self, epoch: Option<&Name>, last_seen: u64) -> Sync {
        match last_seen {
            _ if epoch != Some(&self.epoch()) => Sync::Resync,
            seen if seen > 0 && seen == self.head() => Sync::Replay,
            seen => self.sync(seen),
        }
    }

    /// Accepts an op, or finds that it was accepted before.
    ///
    /// Errors: a breach of the rules on ids; nothing is changed then.
    ///
    /// Source: section 8 of the protocol, `crdt.own-replica`, `crdt.lamport-above-parent`.
    pub fn submit(
        &mut self,
        client_id: &Name,
        client_msg_id: &Name,
        op: &Op,
    ) -> Result<Submitted, Violation> {
        let known = self
            .messages
            .get(client_id)
            .and_then(|of_client| of_client.get(client_msg_id));
        if let Some(&seq) = known {
            return match self.op(seq).op == *op {
                true => Ok(Submitted::Duplicate(seq)),
                false => Err(Violation::MessageIdReused),
            };
        }
        if let Op::Ins(insert) = op
            && let Some(seq) = self.check_insert(client_id, insert)?
        {
            return Ok(Submitted::Duplicate(seq));
        }
        self.text.integrate(op);
        let logged = LoggedOp {
            origin_client_id: client_id.clone(),
            client_msg_id: client_msg_id.clone(),
            op: op.clone(),
        };
        let seq = self.head() + 1;
        remember(&mut self.messages, &mut self.inserts, &logged, seq);
        let given = self.log.append(logged);
        debug_assert_eq!(given, seq, "a log numbers its ops without gaps");
        Ok(Submitted::New(seq))
    }

    /// The seq under which an equal insert was accepted, if one was.
    fn check_insert(&self, client_id: &Name, insert: &Insert) -> Result<Option<u64>, Violation> {
        if insert.id.replica_id() != client_id {
            return Err(Violation::ForeignReplica);
        }
        if insert.id.lamport() <= insert.parent_id.lamport() {
            return Err(Violation::LamportNotAboveParent);
        }
        let Some(&seq) = self.inserts.get(&insert.id) else {
            return Ok(None);
        };
        match self.op(seq).op {
            Op::Ins(accepted) if accepted == *insert => Ok(Some(seq)),
            _ => Err(Violation::ElementIdTaken),
        }
    }
}

fn on_wire(Span { id, content }: Span) -> message::Span {
    match content {
        SpanContent::Visible(text) => message::Span::Text { id, text },
        SpanContent::Deleted(count) => message::Span::Deleted {
            id,
            deleted: Integer::new(count).expect("fewer than 2^53 elements"),
        },
    }
}

fn remember(
    messages: &mut HashMap<Name, HashMap<Name, u64>>,
    inserts: &mut HashMap<ElementId, u64>,
    op: &LoggedOp,
    seq: u64,
) {
    match messages.get_mut(&op.origin_client_id) {
        Some(of_client) => {
            of_client.insert(op.client_msg_id.clone(), seq);
        }
        None => {
            let of_client = HashMap::from([(op.client_msg_id.clone(), seq)]);
            messages.insert(op.origin_client_id.clone(), of_client);
        }
    }
    if let Op::Ins(insert) = &op.op {
        inserts.insert(insert.id.clone(), seq);
    }
}
