//! One document: gives each op its place in the order, once, and knows what a joining client needs.
//!
//! Deliberately absent: connections, encoding, locks; they are the room's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use collab_spec::id::{Name, ParentId};
use collab_spec::message::{Count, Delete, Insert, Op, RunText, State};

use crate::log::{Log, LoggedOp, Snapshot};
use crate::text::Text;
use crate::violation::Violation;

/// How many ops are read from the log at a time when a document is rebuilt.
const REBUILD_CHUNK: usize = 4096;

/// What became of a submitted op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is new and has this seq, or ends with it.
    New(u64),
    /// It is the op that has this seq, or ends with it, sent again.
    Duplicate(u64),
}

/// A submitted op that broke no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is new, and is in the log as this.
    New(Arc<LoggedOp>),
    /// As [`Submitted::Duplicate`].
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
    known: Known,
}

/// The accepted ops as they are looked up, by the `client_id`.
#[derive(Default)]
struct Known(HashMap<Name, KnownOf>);

/// The accepted ops of one client, each by its last seq.
#[derive(Default)]
struct KnownOf {
    /// `client_msg_id` → seq.
    messages: HashMap<Name, u64>,
    inserts: Inserts,
}

/// Every accepted insert of one client, those that wait too (`crdt.pending-id-taken`): first lamport →
/// last lamport and seq. All are of the client's own replica (`crdt.own-replica`).
#[derive(Default)]
struct Inserts(BTreeMap<u64, (u64, u64)>);

impl Document {
    /// Rebuilds a document from its log, by the newest snapshot and the ops after it.
    pub fn open(log: Box<dyn Log>) -> Self {
        let snapshot = log.latest_snapshot();
        let (mut text, in_text) = match snapshot {
            Some(Snapshot { server_seq, state }) => (Text::from_state(&state), server_seq),
            None => (Text::new(), 0),
        };
        let mut known = Known::default();
        let mut seq = 0;
        loop {
            let chunk = log.ops_since(seq, REBUILD_CHUNK);
            if chunk.is_empty() {
                break;
            }
            for op in chunk {
                seq = op.server_seq;
                if seq > in_text {
                    text.integrate(&op.op);
                }
                let known = known.of(&op.origin_client_id);
                known.messages.insert(op.client_msg_id.clone(), seq);
                known.inserts.put(&op);
            }
        }
        Self { text, log, known }
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

    /// What a client needs to go on editing at the head, its pending ops of one element each.
    ///
    /// Source: `state.canonical`, `state.pending`, `runs.state-pending`.
    pub fn state(&self) -> State {
        self.text.state()
    }

    /// As [`Document::state`], with the pending ops joined where they can be.
    pub fn state_in_runs(&self) -> State {
        let mut state = self.state();
        state.pending = joined(state.pending);
        state
    }

    /// The state of the text at the head.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            server_seq: self.head(),
            state: self.text.state(),
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

    /// The ops with any seq from `after + 1` on, at most `limit` of them.
    pub fn ops_since(&self, after: u64, limit: usize) -> Vec<Arc<LoggedOp>> {
        self.log.ops_since(after, limit)
    }

    /// The accepted op that has this seq.
    pub fn op(&self, seq: u64) -> Arc<LoggedOp> {
        op_at(&*self.log, seq)
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
    /// Source: section 8 of the protocol, `submit.same-insert`, `runs.overlap`.
    pub fn submit(
        &mut self,
        client_id: &Name,
        client_msg_id: &Name,
        op: &Op,
    ) -> Result<Submitted, Violation> {
        let accepted = self.accept(client_id, client_msg_id, op)?;
        Ok(match accepted {
            Accepted::New(logged) => Submitted::New(logged.server_seq),
            Accepted::Duplicate(seq) => Submitted::Duplicate(seq),
        })
    }

    /// As [`Document::submit`], with what the log keeps of a new op.
    pub(crate) fn accept(
        &mut self,
        client_id: &Name,
        client_msg_id: &Name,
        op: &Op,
    ) -> Result<Accepted, Violation> {
        let log = &mut *self.log;
        let known = self.known.of(client_id);
        let message = match known.messages.entry(client_msg_id.clone()) {
            Entry::Vacant(message) => message,
            Entry::Occupied(message) => {
                let seq = *message.get();
                return match op_at(log, seq).op == *op {
                    true => Ok(Accepted::Duplicate(seq)),
                    false => Err(Violation::MessageIdReused),
                };
            }
        };
        if let Op::Ins(insert) = op {
            check_ids(client_id, insert)?;
            if let Some(seq) = known.inserts.sharing_an_id(insert) {
                return match &op_at(log, seq).op {
                    Op::Ins(accepted) if accepted == insert => Ok(Accepted::Duplicate(seq)),
                    _ => Err(Violation::ElementIdTaken),
                };
            }
        }
        self.text.integrate(op);
        let logged = log.append(client_id.clone(), client_msg_id.clone(), op.clone());
        message.insert(logged.server_seq);
        known.inserts.put(&logged);
        Ok(Accepted::New(logged))
    }
}

/// Source: `crdt.own-replica`, `crdt.lamport-above-parent`.
fn check_ids(client_id: &Name, insert: &Insert) -> Result<(), Violation> {
    if insert.id.replica_id() != client_id {
        return Err(Violation::ForeignReplica);
    }
    if insert.id.lamport() <= insert.parent_id.lamport() {
        return Err(Violation::LamportNotAboveParent);
    }
    Ok(())
}

/// The accepted op that has this seq.
fn op_at(log: &dyn Log, seq: u64) -> Arc<LoggedOp> {
    let op = log.ops_since(seq - 1, 1).pop();
    op.expect("a seq that was given is in the log")
}

impl Known {
    fn of(&mut self, client_id: &Name) -> &mut KnownOf {
        self.0.entry(client_id.clone()).or_default()
    }
}

impl Inserts {
    fn put(&mut self, logged: &LoggedOp) {
        if let Op::Ins(insert) = &logged.op {
            let last = logged.op.last_lamport();
            self.0
                .insert(insert.id.lamport(), (last, logged.server_seq));
        }
    }

    /// The seq of one that has an id of this insert.
    fn sharing_an_id(&self, insert: &Insert) -> Option<u64> {
        let first = insert.id.lamport();
        let last = first + insert.value.elements() - 1;
        // Most come behind all others.
        let (_, &(greatest, _)) = self.0.last_key_value()?;
        if greatest < first {
            return None;
        }
        let (_, &(end, seq)) = self.0.range(..=last).next_back()?;
        (end >= first).then_some(seq)
    }
}

/// Ops of one element each, joined where one goes on where another ends.
fn joined(mut ops: Vec<Op>) -> Vec<Op> {
    let by_id = |op: &Op| {
        (
            matches!(op, Op::Del(_)),
            op.id().replica_id().clone(),
            op.id().lamport(),
        )
    };
    ops.sort_by_cached_key(by_id);
    ops.chunk_by(goes_on).map(join).collect()
}

fn goes_on(before: &Op, next: &Op) -> bool {
    let follows = before.id().replica_id() == next.id().replica_id()
        && before.id().lamport() + 1 == next.id().lamport();
    match (before, next) {
        (Op::Del(_), Op::Del(_)) => follows,
        (Op::Ins(before), Op::Ins(next)) => {
            follows && next.parent_id == ParentId::Element(before.id.clone())
        }
        _ => false,
    }
}

fn join(ops: &[Op]) -> Op {
    match &ops[0] {
        Op::Del(Delete { id, .. }) => Op::Del(Delete {
            id: id.clone(),
            count: Count::new(ops.len() as u64).expect("memory holds fewer than 2^53 ops"),
        }),
        Op::Ins(Insert { parent_id, id, .. }) => {
            let values = ops.iter().filter_map(|op| match op {
                Op::Ins(insert) => Some(insert.value.as_str()),
                Op::Del(_) => None,
            });
            Op::Ins(Insert {
                parent_id: parent_id.clone(),
                id: id.clone(),
                value: RunText::new(&values.collect::<String>()).expect("an op has a value"),
            })
        }
    }
}
