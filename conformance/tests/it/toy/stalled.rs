//! What clients that do not read cost the others, where that is the fault.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Fault;
use super::document::Document;
use super::outbox::Outbox;

/// From how many bytes on a client is taken not to read.
const NOT_READ: usize = 256 << 10;

/// How many clients a document that counts closes as slow.
const CLOSED: usize = 19;

impl Document {
    /// How late the next op is.
    pub(super) fn lateness(&self) -> Duration {
        let stalled = |outbox: &Outbox| {
            let waiting = outbox.waiting.load(Ordering::SeqCst);
            waiting > NOT_READ && !outbox.slow.load(Ordering::SeqCst)
        };
        let members = self.members.iter();
        let count = members.filter(|member| stalled(&member.outbox)).count() as u32;
        if count == 0 || !self.ops.len().is_multiple_of(64) {
            return Duration::ZERO;
        }
        match self.fault {
            Some(Fault::StalledCostsAll) => Duration::from_millis(150),
            Some(Fault::StalledCostsEach) => Duration::from_millis(8) * count,
            _ => Duration::ZERO,
        }
    }

    /// Whether a client for which too much waits is closed.
    pub(super) fn closes_slow(&self, outbox: &Outbox) -> bool {
        if outbox.slow.load(Ordering::SeqCst) || !self.has(Fault::SlowClosedByCount) {
            return true;
        }
        self.closed_slow.fetch_add(1, Ordering::SeqCst) < CLOSED
    }
}
