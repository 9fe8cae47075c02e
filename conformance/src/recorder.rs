//! Writes a case's trace while it happens: a clock, a lock and the trace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::trace::{Connection, Trace, What};

/// The trace of a case that is under way.
#[derive(Debug)]
pub struct Recorder {
    started: Instant,
    trace: Mutex<Trace>,
}

impl Recorder {
    /// A trace that begins now.
    pub fn new(doc_id: &str) -> Self {
        Self {
            started: Instant::now(),
            trace: Mutex::new(Trace::new(doc_id)),
        }
    }

    /// Since the case began.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds a connection.
    pub fn add_connection(&self, name: &str) -> Connection {
        self.lock().add_connection(name)
    }

    /// Adds an event that happens now and gives its index.
    pub fn record(&self, connection: Option<Connection>, what: What) -> usize {
        let mut trace = self.lock();
        // Read under the lock, so that the times of the events rise.
        let at = self.started.elapsed();
        trace.push(at, connection, what)
    }

    /// The trace until now.
    pub fn snapshot(&self) -> Trace {
        self.lock().clone()
    }

    /// The name of a connection.
    pub fn name(&self, connection: Connection) -> String {
        self.lock().name(connection).to_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
