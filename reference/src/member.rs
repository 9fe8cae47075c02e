//! A connection as its room knows it: how far it has read, and what waits for it.
//!
//! Deliberately absent: locks and waiting, which are the room's.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use tokio::sync::Notify;

use crate::frame;
use crate::log::LoggedOp;
use crate::presence::Inbox;
use crate::room::Room;

/// How many bytes a writer takes at a time, give or take a frame.
const BATCH_BYTES: usize = 64 << 10;

/// Senders wait for connections that have more than this part of what may wait to read.
const CROWDED_PART: u64 = 8;

/// A sender with more private answers than this to read is not read from.
pub(crate) const MAX_ANSWERS: usize = 1024;

/// The encoded echo of a whole op.
pub(crate) struct Echo {
    pub(crate) logged: Arc<LoggedOp>,
    /// The seqs of the op, kept here too: many connections ask for them.
    pub(crate) seqs: RangeInclusive<u64>,
    pub(crate) frame: Bytes,
    /// How long its text is.
    pub(crate) bytes: usize,
}

impl Echo {
    pub(crate) fn new(logged: Arc<LoggedOp>, frame: Bytes) -> Self {
        let seqs = logged.after() + 1..=logged.server_seq;
        let bytes = frame::text_bytes(&frame);
        Self {
            logged,
            seqs,
            frame,
            bytes,
        }
    }
}

/// A connection in its room.
pub(crate) struct Member {
    pub(crate) signals: Arc<Signals>,
    /// Whether an op of several elements is one echo.
    pub(crate) runs: bool,
    /// The last seq that the writer has taken.
    pub(crate) cursor: u64,
    /// The head at the end of the sync. What lies before it does not count as waiting.
    pub(crate) baseline: u64,
    /// How many bytes of echoes the room had encoded at the greater of cursor and baseline.
    pub(crate) taken: u64,
    /// The seqs of ops sent again, to be echoed to this connection alone.
    pub(crate) answers: VecDeque<u64>,
    /// Whether the writer has been told of echoes since it last took.
    pub(crate) told: bool,
    /// What others show of themselves, where the profile is on.
    pub(crate) inbox: Option<Inbox>,
}

/// What a room tells a connection, beside what there is to take.
#[derive(Debug, Default)]
pub struct Signals {
    /// There may be something to take.
    pub wake: Notify,
    /// Too much waits for the connection; it is no longer a member.
    pub too_slow: Notify,
    /// When the socket last took something, in milliseconds since the room was opened.
    pub(crate) progress: AtomicU64,
}

impl Member {
    pub(crate) fn waiting(&self, echoed: u64) -> u64 {
        echoed - self.taken
    }

    pub(crate) fn is_crowded(&self, echoed: u64, max_waiting: u64) -> bool {
        self.waiting(echoed) > max_waiting / CROWDED_PART || self.answers.len() > MAX_ANSWERS
    }

    /// Whether it has taken every echo up to `seq`, every private answer and all presence.
    pub(crate) fn has_taken(&self, seq: u64) -> bool {
        self.cursor >= seq
            && self.answers.is_empty()
            && self.inbox.as_ref().is_none_or(Inbox::is_empty)
    }

    /// Takes an echo from the tail, as [`Member::pass`].
    pub(crate) fn pass_echo(&mut self, batch: &mut Batch, room: &Room, echo: &Echo) {
        let is_whole = *echo.seqs.start() == self.cursor + 1;
        if is_whole && (self.runs || echo.seqs.start() == echo.seqs.end()) {
            self.reach(*echo.seqs.end(), echo.bytes);
            batch.push(echo.frame.clone());
        } else {
            self.pass(batch, room, &echo.logged, || echo.frame.clone());
        }
    }

    /// Tells the writer that there are echoes, once until it takes.
    pub(crate) fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.signals.wake.notify_one();
        }
    }

    /// Takes the echo of the op at the cursor, or of what of it lies behind the cursor, as far as the
    /// batch has room. `whole` is the echo of the whole op.
    ///
    /// Source: `runs.one-echo`, `runs.split`, `runs.replay-inside`.
    pub(crate) fn pass(
        &mut self,
        batch: &mut Batch,
        room: &Room,
        logged: &LoggedOp,
        whole: impl FnOnce() -> Bytes,
    ) {
        let seen = self.cursor - logged.after();
        if seen == 0 && (self.runs || logged.op.elements() == 1) {
            let whole = whole();
            self.reach(logged.server_seq, frame::text_bytes(&whole));
            batch.push(whole);
            return;
        }
        let rest = logged.op.rest(seen);
        if self.runs {
            batch.push(room.echo_of(logged, logged.server_seq, &rest));
        } else {
            for single in rest.singles() {
                if batch.is_full() {
                    return;
                }
                self.cursor += 1;
                batch.push(room.echo_of(logged, self.cursor, &single));
            }
        }
        // However it was cut, it waited as the one echo (`slow.floor`).
        self.reach(logged.server_seq, frame::text_bytes(&whole()));
    }

    /// Moves the cursor to the end of an op whose echo has so many bytes.
    fn reach(&mut self, server_seq: u64, bytes: usize) {
        self.cursor = server_seq;
        if server_seq > self.baseline {
            self.taken += bytes as u64;
        }
    }
}

/// Whole frames. Where all goes well a writer takes a few at a time, and needs no room on the heap.
pub type Frames = SmallVec<[Bytes; 4]>;

/// What a writer takes at a time.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) frames: Frames,
    bytes: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    /// Makes one of its frames.
    pub(crate) fn join(&mut self) {
        self.frames = smallvec![self.frames.concat().into()];
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}
