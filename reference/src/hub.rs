//! The rooms in memory: opens a document when somebody asks for it, and drops it when nobody has for
//! a while.
//!
//! A document never has two rooms at once: whoever uses a room holds a lease on its slot, the slot
//! is removed only without leases, and only after the room is saved.
//!
//! Deliberately absent: anything about one document; the hub's lock is never held while one is read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use collab_spec::id::Name;
use tokio::sync::OnceCell;

use crate::config::Config;
use crate::document::Document;
use crate::heap;
use crate::log::Store;
use crate::room::Room;

/// All rooms in memory.
pub struct Hub {
    config: Config,
    store: Arc<dyn Store>,
    slots: Mutex<HashMap<Name, Slot>>,
    /// The most rooms since memory was given back.
    most: AtomicUsize,
}

struct Slot {
    /// Filled by the first who asks; others wait for it here and not under the hub's lock.
    room: Arc<OnceCell<Arc<Room>>>,
    leases: usize,
    idle_since: Instant,
}

/// Keeps a room in memory until dropped.
pub struct Lease {
    hub: Arc<Hub>,
    doc_id: Name,
    cell: Arc<OnceCell<Arc<Room>>>,
}

impl Hub {
    /// A hub without rooms, over a store.
    pub fn new(config: Config, store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            config,
            store,
            slots: Mutex::default(),
            most: AtomicUsize::new(0),
        })
    }

    /// The limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many documents are in memory.
    pub fn rooms(&self) -> usize {
        self.slots().len()
    }

    /// Takes a lease on a document; the room may still have to be opened.
    pub fn lease(self: &Arc<Self>, doc_id: &Name) -> Lease {
        let mut slots = self.slots();
        let slot = slots.entry(doc_id.clone()).or_insert_with(|| Slot {
            room: Arc::default(),
            leases: 0,
            idle_since: Instant::now(),
        });
        slot.leases += 1;
        let cell = Arc::clone(&slot.room);
        self.most.fetch_max(slots.len(), Relaxed);
        Lease {
            hub: Arc::clone(self),
            doc_id: doc_id.clone(),
            cell,
        }
    }

    /// Drops rooms that nobody has used for [`Config::idle`], for as long as it is polled.
    pub async fn sweep(self: Arc<Self>) {
        let pause = (self.config.idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            tokio::time::sleep(pause).await;
            let hub = Arc::clone(&self);
            // Saving and freeing a large document takes a while; other tasks go on meanwhile.
            let swept = tokio::task::spawn_blocking(move || hub.evict(Instant::now())).await;
            if let Err(error) = swept {
                tracing::error!(%error, "eviction failed");
            }
        }
    }

    /// Saves and drops the rooms that nobody has used for [`Config::idle`].
    fn evict(&self, now: Instant) {
        let is_idle = |slot: &Slot| {
            slot.leases == 0 && now.saturating_duration_since(slot.idle_since) >= self.config.idle
        };
        let idle: Vec<_> = self
            .slots()
            .iter()
            .filter(|(_, slot)| is_idle(slot))
            .map(|(doc_id, slot)| (doc_id.clone(), Arc::clone(&slot.room)))
            .collect();
        for (doc_id, cell) in idle {
            if let Some(room) = cell.get() {
                room.save();
            }
            let mut slots = self.slots();
            // Somebody may have come back while the room was saved; then it stays.
            if slots.get(&doc_id).is_some_and(is_idle) {
                let dropped = slots.remove(&doc_id);
                drop(slots);
                drop(dropped);
                tracing::debug!(doc_id = doc_id.as_str(), "document left memory");
            }
        }
        self.give_back();
    }

    /// Gives memory back to the system where less than half of the rooms are left. What fewer have left
    /// behind is for those that come next.
    fn give_back(&self) {
        let left = self.slots().len();
        if left < self.most.load(Relaxed).div_ceil(2) {
            self.most.store(left, Relaxed);
            heap::trim();
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Name, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The room, opened first where it is not in memory.
    pub async fn room(&self) -> Arc<Room> {
        let open = || async {
            let (store, doc_id) = (Arc::clone(&self.hub.store), self.doc_id.clone());
            let max_waiting = self.hub.config.max_waiting_bytes;
            let opening = tokio::task::spawn_blocking(move || {
                let document = Document::open(store.open(&doc_id));
                Arc::new(Room::new(doc_id, document, max_waiting))
            });
            opening.await.expect("opening a document does not panic")
        };
        Arc::clone(self.cell.get_or_init(open).await)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = self.hub.slots();
        let Some(slot) = slots.get_mut(&self.doc_id) else {
            return;
        };
        slot.leases -= 1;
        slot.idle_since = Instant::now();
        // A document that was only looked at leaves nothing behind.
        if slot.leases == 0 && slot.room.get().is_none_or(|room| room.is_empty()) {
            slots.remove(&self.doc_id);
        }
    }
}
