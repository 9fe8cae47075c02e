//! The store's seam: what keeps a document while nobody has it open, and the in-memory store.
//!
//! Deliberately absent: failures and waiting. Memory has neither; a store on disk will bring both.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use collab_spec::id::Name;
use collab_spec::message::{Op, State};

/// An accepted op, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOp {
    /// The last of its seqs; it has as many as it has elements.
    pub server_seq: u64,
    /// The client that submitted it.
    pub origin_client_id: Name,
    /// The `client_msg_id` under which it was accepted.
    pub client_msg_id: Name,
    /// The edit.
    pub op: Op,
}

impl LoggedOp {
    /// The seq before its first one.
    pub fn after(&self) -> u64 {
        self.server_seq - self.op.elements()
    }
}

/// The text of a document after all ops up to a `server_seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last op that the snapshot holds.
    pub server_seq: u64,
    /// The elements, and the ops that wait for one.
    pub state: State,
}

/// All documents, open or not.
pub trait Store: Send + Sync + 'static {
    /// The log of one document, empty where the store has none.
    ///
    /// The caller sees to it that a document has one log at a time.
    fn open(&self, doc_id: &Name) -> Box<dyn Log>;
}

/// One document's accepted ops, numbered from 1, and its snapshots.
pub trait Log: Send {
    /// The name of this history: the same for as long as the history is kept, and never that of
    /// another. A document without ops has one too.
    ///
    /// Source: `resume.one-epoch`, `resume.new-history`.
    fn epoch(&self) -> Name;

    /// The seq of the last op; 0 where there is none.
    fn head(&self) -> u64;

    /// Appends an op and gives it the next seqs, one an element.
    fn append(&mut self, origin_client_id: Name, client_msg_id: Name, op: Op) -> Arc<LoggedOp>;

    /// The ops with any seq from `after + 1` on, at most `limit` of them. The first may begin before.
    fn ops_since(&self, after: u64, limit: usize) -> Vec<Arc<LoggedOp>>;

    /// The newest snapshot, if there is one.
    fn latest_snapshot(&self) -> Option<Snapshot>;

    /// Keeps a snapshot in place of older ones.
    fn put_snapshot(&mut self, snapshot: Snapshot);
}

/// A store that lives as long as the process.
///
/// It never loses a document, so a document's epoch is made of the store's own random keys and the
/// `doc_id`: it needs no room, not even for documents that are only looked at, and another store has
/// others.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shelf: Arc<Mutex<HashMap<Name, Arc<Mutex<Kept>>>>>,
    keys: [RandomState; 2],
}

#[derive(Debug, Default)]
struct Kept {
    ops: Vec<Arc<LoggedOp>>,
    snapshot: Option<Snapshot>,
}

impl Kept {
    fn head(&self) -> u64 {
        self.ops.last().map_or(0, |op| op.server_seq)
    }
}

#[derive(Debug)]
struct MemoryLog {
    doc_id: Name,
    epoch: Name,
    kept: Arc<Mutex<Kept>>,
    shelf: Arc<Mutex<HashMap<Name, Arc<Mutex<Kept>>>>>,
}

impl MemoryStore {
    /// How many documents have at least one op.
    pub fn documents(&self) -> usize {
        lock(&self.shelf).len()
    }

    fn epoch(&self, doc_id: &Name) -> Name {
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(doc_id));
        Name::new(&format!("{high:016x}{low:016x}")).expect("32 characters are a name")
    }
}

impl Store for MemoryStore {
    fn open(&self, doc_id: &Name) -> Box<dyn Log> {
        let kept = lock(&self.shelf).get(doc_id).cloned().unwrap_or_default();
        Box::new(MemoryLog {
            doc_id: doc_id.clone(),
            epoch: self.epoch(doc_id),
            kept,
            shelf: Arc::clone(&self.shelf),
        })
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Name {
        self.epoch.clone()
    }

    fn head(&self) -> u64 {
        lock(&self.kept).head()
    }

    fn append(&mut self, origin_client_id: Name, client_msg_id: Name, op: Op) -> Arc<LoggedOp> {
        let mut kept = lock(&self.kept);
        if kept.ops.is_empty() {
            // A document is shelved with its first op, so that one only looked at leaves nothing.
            lock(&self.shelf).insert(self.doc_id.clone(), Arc::clone(&self.kept));
        }
        let logged = Arc::new(LoggedOp {
            server_seq: kept.head() + op.elements(),
            origin_client_id,
            client_msg_id,
            op,
        });
        kept.ops.push(Arc::clone(&logged));
        logged
    }

    fn ops_since(&self, after: u64, limit: usize) -> Vec<Arc<LoggedOp>> {
        let kept = lock(&self.kept);
        let from = kept.ops.partition_point(|op| op.server_seq <= after);
        kept.ops[from..].iter().take(limit).cloned().collect()
    }

    fn latest_snapshot(&self) -> Option<Snapshot> {
        lock(&self.kept).snapshot.clone()
    }

    fn put_snapshot(&mut self, snapshot: Snapshot) {
        lock(&self.kept).snapshot = Some(snapshot);
    }
}

/// Locks; a panic elsewhere leaves nothing half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
