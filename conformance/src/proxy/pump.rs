//! One direction of one connection: bytes pass, late or slowly or only so far.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::plan::{Cut, Direction, Faults, How, Pace, Place};
use crate::framing::Frames;
use crate::numbers::Numbers;

/// The most bytes that are read at once.
const CHUNK: usize = 8 * 1024;

/// How many chunks may wait for their time.
const WAITING: usize = 32;

/// How many parts of what may pass in a second pass at once.
const PARTS: u64 = 50;

/// How many bytes of a handshake come one by one at most. Libraries take a peer for an attacker that sends
/// a whole one so.
const HANDSHAKE: u64 = 40;

/// How long the bytes of a direction come one by one at most. Each waits for a turn of the runtime, so that
/// the other end can take it, which on a busy machine takes milliseconds, and no server waits for a `hello`
/// for ever.
const DRIBBLING: Duration = Duration::from_millis(500);

/// How late a timer may be.
const TIMER: Duration = Duration::from_millis(5);

/// Why a direction has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its sender has ended it, and its receiver has been told.
    Ended,
    /// Nothing passes any more, and nobody is told.
    HalfOpen,
    /// One end has broken the connection.
    Broken,
    /// The connection is to be cut.
    Cut(How),
}

/// A direction: its pace, and where it is cut.
#[derive(Debug)]
pub(super) struct Lane {
    pace: Pace,
    cut: Option<Cut>,
    numbers: Numbers,
    frames: Frames,
    /// Where the handshake ends, once that has come.
    opened: Option<u64>,
    handshake: Frames,
    passed: u64,
    /// When the next bytes may pass.
    free: Instant,
    /// For how long bytes have come one by one.
    dribbling: Duration,
}

impl Lane {
    pub(super) fn new(faults: &Faults, direction: Direction, seed: &Numbers) -> Self {
        Self {
            pace: faults.pace(direction),
            cut: faults.cut.filter(|cut| cut.direction == direction),
            numbers: seed.of_part(direction as u64),
            frames: Frames::new(),
            opened: None,
            handshake: Frames::new(),
            passed: 0,
            free: Instant::now(),
            dribbling: Duration::ZERO,
        }
    }

    /// How many bytes have passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// How many of these bytes pass before the cut, and whether it is right behind them.
    fn up_to_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self.cut.map(|cut| cut.place) {
            None => (bytes.len(), false),
            Some(Place::Frame(frame)) => self.frames.read_to(frame, bytes),
            Some(Place::Byte(end)) => {
                let left = usize::try_from(end - self.passed).unwrap_or(usize::MAX);
                (left.min(bytes.len()), left <= bytes.len())
            }
        }
    }

    fn look_for_end_of_handshake(&mut self, bytes: &[u8]) {
        if self.opened.is_none() {
            let (read, is_end) = self.handshake.read_to(0, bytes);
            self.opened = is_end.then_some(self.passed + read as u64);
        }
    }

    /// How many of so many bytes pass at once.
    fn at_once(&self, count: usize) -> usize {
        let dribbled = match self.dribbling < DRIBBLING {
            true => self.pace.dribbled,
            false => 0,
        };
        let count = match self.opened {
            _ if self.passed < dribbled.min(HANDSHAKE) => 1,
            // Up to the end of the handshake.
            Some(opened) if self.passed < opened => count.min((opened - self.passed) as usize),
            Some(opened) if self.passed - opened < dribbled => 1,
            _ => count,
        };
        match self.pace.bytes_per_second / PARTS {
            _ if self.pace.bytes_per_second == 0 => count,
            part => count.min((part as usize).max(1)),
        }
    }

    /// What the cut makes of the direction.
    fn stop(&self) -> Stop {
        match self.cut.map(|cut| cut.how) {
            Some(How::HalfOpen) => Stop::HalfOpen,
            Some(how) => Stop::Cut(how),
            None => Stop::Ended,
        }
    }

    /// Waits until the next bytes may pass, and notes that `count` do.
    async fn wait(&mut self, count: usize) {
        if self.pace.bytes_per_second > 0 {
            wait_until(self.free).await;
            let takes = count as f64 / self.pace.bytes_per_second as f64;
            // What a timer was late is made up for.
            let from = self.free.max(Instant::now() - TIMER);
            self.free = from + Duration::from_secs_f64(takes);
        }
        self.passed += count as u64;
    }
}

/// When chunks pass that come now and later.
#[derive(Debug)]
struct Clock {
    pace: Pace,
    numbers: Numbers,
    due: Instant,
}

impl Clock {
    fn due(&mut self) -> Instant {
        let jitter = self.pace.jitter.as_micros() as usize;
        let drawn = match jitter {
            0 => Duration::ZERO,
            most => Duration::from_micros(self.numbers.below(most + 1) as u64),
        };
        self.due = self.due.max(Instant::now() + self.pace.delay + drawn);
        self.due
    }
}

/// Passes bytes on until something ends it.
pub(super) async fn run(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, lane: &mut Lane) -> Stop {
    let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING);
    let mut clock = Clock {
        pace: lane.pace,
        numbers: lane.numbers.clone(),
        due: Instant::now(),
    };
    let mut read = std::pin::pin!(async move {
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = from.read(&mut chunk).await?;
            let sent = queue.send((clock.due(), chunk[..count].to_vec())).await;
            // The end is an empty chunk, which waits for its time like others.
            if count == 0 || sent.is_err() {
                return std::io::Result::Ok(());
            }
        }
    });
    let mut write = std::pin::pin!(async {
        if lane.up_to_cut(&[]).1 {
            return Ok(lane.stop());
        }
        while let Some((due, chunk)) = waiting.recv().await {
            wait_until(due).await;
            lane.look_for_end_of_handshake(&chunk);
            let (pass, is_cut) = lane.up_to_cut(&chunk);
            let mut rest = &chunk[..pass];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(lane.at_once(rest.len()));
                lane.wait(part.len()).await;
                to.write_all(part).await?;
                rest = behind;
                if part.len() == 1 {
                    // Lets the other end take it before the next comes.
                    let begun = Instant::now();
                    tokio::task::yield_now().await;
                    lane.dribbling += begun.elapsed();
                }
            }
            if is_cut {
                return Ok(lane.stop());
            }
        }
        to.shutdown().await?;
        std::io::Result::Ok(Stop::Ended)
    });
    let written = tokio::select! {
        written = &mut write => written,
        ended = &mut read => match ended {
            Ok(()) => write.await,
            Err(error) => Err(error),
        },
    };
    written.unwrap_or(Stop::Broken)
}

#[expect(
    clippy::disallowed_methods,
    reason = "to let time pass is what a proxy with delays is for; no case waits by it"
)]
async fn wait_until(due: Instant) {
    if due > Instant::now() {
        tokio::time::sleep_until(due).await;
    }
}
