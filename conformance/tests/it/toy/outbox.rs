//! What waits for one connection of the toy.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Messages in their order, made as they are taken.
pub(super) type Texts = Box<dyn Iterator<Item = String> + Send>;

/// One message.
pub(super) fn one(text: String) -> Texts {
    Box::new(std::iter::once(text))
}

/// What waits for one connection.
#[derive(Default)]
pub(super) struct Outbox {
    /// With the number of bytes that each entry counts for until the last of it is taken.
    queue: Mutex<VecDeque<(Texts, usize)>>,
    pub(super) waiting: AtomicUsize,
    /// The bytes of all that was ever queued.
    pub(super) sent: AtomicUsize,
    pub(super) taken: AtomicU64,
    /// What `taken` was when the connection was found not to read.
    pub(super) stalled_at: AtomicU64,
    pub(super) slow: AtomicBool,
    pub(super) kicked: AtomicBool,
    pub(super) wake: Notify,
}

impl Outbox {
    /// Queues messages that count for so many bytes together.
    pub(super) fn push(&self, texts: Texts, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::SeqCst);
        self.sent.fetch_add(bytes, Ordering::SeqCst);
        self.queue.lock().unwrap().push_back((texts, bytes));
        self.wake.notify_one();
    }

    /// Queues messages before all others, as a faulty server does.
    pub(super) fn push_first(&self, texts: Texts, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::SeqCst);
        self.queue.lock().unwrap().push_front((texts, bytes));
        self.wake.notify_one();
    }

    /// Queues a message that counts for what it is long.
    pub(super) fn push_counted(&self, text: String) {
        let bytes = text.len();
        self.push(one(text), bytes);
    }

    pub(super) fn pop(&self) -> Option<String> {
        let mut queue = self.queue.lock().unwrap();
        loop {
            let (texts, bytes) = queue.front_mut()?;
            if let Some(text) = texts.next() {
                self.taken.fetch_add(1, Ordering::SeqCst);
                return Some(text);
            }
            self.waiting.fetch_sub(*bytes, Ordering::SeqCst);
            queue.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().unwrap().is_empty()
    }

    pub(super) fn clear(&self) {
        self.queue.lock().unwrap().clear();
    }
}
