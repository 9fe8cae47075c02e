//! One document with its connections: order, log and fan-out under one lock, never held across a
//! wait.
//!
//! A connection has no queue of echoes. It has a cursor, the last seq that its writer has taken, and
//! takes what lies behind the cursor whenever its socket is ready. Replay and live echoes are thus
//! one thing, and nothing can fall between them. An echo is encoded once, when its op is accepted;
//! only what has left the short tail is encoded again from the log. An op of several elements is cut
//! into single echoes for those who have the profile `runs` off, a batch at a time, as their sockets
//! take them.
//!
//! Presence has no order of its own: of each client, the newest waits in the inbox of each connection.
//! It counts for nothing when it is asked who is slow (`presence.never-slow`).
//!
//! Deliberately absent: sockets and close frames (the connection's), the life of rooms (the hub's).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use collab_spec::id::{Integer, Name};
use collab_spec::message::{Hello, HelloAck, Limits, Op, OpEcho, Resync, ServerMessage, SyncKind};
use tokio::sync::Notify;

use crate::config::Config;
use crate::document::{Accepted, Document, Submitted, Sync};
use crate::frame;
use crate::log::LoggedOp;
use crate::member::{Batch, Echo, MAX_ANSWERS, Member};
pub use crate::member::{Frames, Signals};
use crate::presence::{self, Inbox, Presence, State};
use crate::profiles::Profiles;
use crate::violation::Violation;

/// How many bytes of encoded echoes a room keeps for its connections to share.
const TAIL_BYTES: usize = 1 << 20;

/// How many ops a writer takes at a time from the log.
const BATCH_OPS: usize = 256;

/// A connection whose socket took nothing for so long has stopped reading: nobody waits for it. A
/// client that reads takes 64 KiB a second, though not evenly.
///
/// Source: `slow.no-delay`, `slow.readers-safe`.
const STALLED_AFTER: Duration = Duration::from_millis(1500);

/// A document and the connections that have it open.
pub struct Room {
    doc_id: Name,
    epoch: Name,
    inner: Mutex<Inner>,
    opened: Instant,
    /// Whether some connection had much to read when the last op was accepted.
    crowded: AtomicBool,
    /// Told when such a connection has read; senders wait for it.
    relief: Notify,
}

struct Inner {
    document: Document,
    presence: Presence,
    /// How many bytes may wait for a connection.
    max_waiting: u64,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    /// The encoded echoes of the newest ops, up to the head.
    tail: VecDeque<Echo>,
    tail_bytes: usize,
    /// The last seq before the tail.
    tail_from: u64,
    /// The bytes of all echoes encoded since the room was opened.
    echoed: u64,
    /// What the last who took several echoes took: those who wake together mostly lack the same.
    joined: Option<Joined>,
}

/// Echoes, one behind the other.
struct Joined {
    /// The cursor before them, the head, and whether they are for those with the profile `runs`.
    of: (u64, u64, bool),
    frames: Bytes,
    /// What they count as waiting.
    bytes: u64,
}

/// A connection's place in a room; leaves the room when dropped.
pub struct Seat {
    room: Arc<Room>,
    member: u64,
    client_id: Name,
    profiles: Profiles,
    max_run: u64,
    signals: Arc<Signals>,
}

/// What a writer has taken.
pub struct Taken {
    /// What is to be sent.
    pub frames: Frames,
    /// Nothing was left.
    pub is_all: bool,
    /// Senders may wait for this.
    relieves: bool,
}

/// Why a `hello` is refused though its form is right, if it is.
///
/// Source: `resume.hello-epoch-invalid`.
pub fn refuses(hello: &Hello, config: &Config) -> Option<Violation> {
    let asked = hello.capabilities.as_deref().unwrap_or_default();
    let resume = Profiles::negotiate(asked, &config.profiles).resume;
    (resume && hello.epoch().is_err()).then_some(Violation::Malformed)
}

impl Room {
    /// Opens a room for a document. Units: `max_waiting` is in bytes.
    pub fn new(doc_id: Name, document: Document, max_waiting: usize) -> Self {
        let (epoch, head) = (document.epoch(), document.head());
        let inner = Inner {
            document,
            presence: Presence::default(),
            max_waiting: max_waiting as u64,
            members: BTreeMap::new(),
            next_member: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_from: head,
            echoed: 0,
            joined: None,
        };
        Self {
            doc_id,
            epoch,
            inner: Mutex::new(inner),
            opened: Instant::now(),
            crowded: AtomicBool::new(false),
            relief: Notify::new(),
        }
    }

    /// Whether the document has no op. Never waits: a room that is being saved is not empty.
    pub fn is_empty(&self) -> bool {
        self.inner
            .try_lock()
            .is_ok_and(|inner| inner.document.head() == 0)
    }

    /// Puts a snapshot into the store.
    pub fn save(&self) {
        self.lock().document.save();
    }

    /// Takes a connection in; gives its seat and the messages that begin it: the ack and, where the
    /// sync is not a replay, the resync.
    ///
    /// Source: `session.ack-first`, `session.sync-before-live`, sections 7 and 14 to 16 of the protocol.
    pub fn join(self: &Arc<Self>, hello: &Hello, config: &Config) -> (Seat, Vec<Bytes>) {
        let asked = hello.capabilities.as_deref();
        let profiles = Profiles::negotiate(asked.unwrap_or_default(), &config.profiles);
        let last_seen = hello.last_seen_server_seq.value();
        // A malformed one was refused before, where it matters.
        let epoch = hello.epoch().ok().flatten();
        let signals = Arc::new(Signals::default());
        let (member, head, resync) = {
            let mut inner = self.lock();
            let head = inner.document.head();
            let sync = match profiles.resume {
                true => inner.document.resume(epoch.as_ref(), last_seen),
                false => inner.document.sync(last_seen),
            };
            let (cursor, resync) = match sync {
                Sync::Replay => (last_seen, None),
                Sync::Resync => {
                    let state = profiles.state.then(|| match profiles.runs {
                        true => inner.document.state_in_runs(),
                        false => inner.document.state(),
                    });
                    (head, Some((inner.document.text(), state)))
                }
            };
            let member = inner.next_member;
            inner.next_member += 1;
            let state = Member {
                signals: Arc::clone(&signals),
                runs: profiles.runs,
                cursor,
                baseline: head,
                taken: inner.echoed,
                answers: VecDeque::new(),
                told: false,
                inbox: profiles.presence.then(Inbox::default),
            };
            inner.members.insert(member, state);
            (member, head, resync)
        };
        let server_seq = on_wire(head);
        let sync = match resync {
            None => SyncKind::Replay,
            Some(_) => SyncKind::Resync,
        };
        let answers_asked = asked.is_some() && config.offers_profiles();
        let mut opening = vec![encode(&ServerMessage::HelloAck(HelloAck {
            doc_id: self.doc_id.clone(),
            server_seq,
            capabilities: answers_asked.then(|| profiles.names()),
            epoch: profiles.resume.then(|| self.epoch.clone()),
            sync: profiles.resume.then_some(sync),
            limits: profiles.runs.then(|| limits(config)),
        }))];
        if let Some((full_text, state)) = resync {
            opening.push(encode(&ServerMessage::Resync(Resync {
                doc_id: self.doc_id.clone(),
                server_seq,
                full_text,
                state,
            })));
        }
        let seat = Seat {
            room: Arc::clone(self),
            member,
            client_id: hello.client_id.clone(),
            profiles,
            max_run: config.max_run,
            signals,
        };
        (seat, opening)
    }

    /// The echo of a whole op.
    pub(crate) fn echo(&self, logged: &LoggedOp) -> Bytes {
        self.echo_of(logged, logged.server_seq, &logged.op)
    }

    /// The echo of `op`, a part of a logged one that ends with `server_seq`.
    pub(crate) fn echo_of(&self, logged: &LoggedOp, server_seq: u64, op: &Op) -> Bytes {
        frame::text(&ServerMessage::OpEcho(OpEcho {
            doc_id: self.doc_id.clone(),
            server_seq: on_wire(server_seq),
            origin_client_id: logged.origin_client_id.clone(),
            client_msg_id: logged.client_msg_id.clone(),
            op,
        }))
    }

    /// Milliseconds since the room was opened.
    fn clock(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Locks. A panic under the lock is a bug of this crate; going on serves the others best.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// What the room tells this connection.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The profiles that are on for this connection.
    pub fn profiles(&self) -> Profiles {
        self.profiles
    }

    /// The greatest number of elements of one op.
    pub fn max_run(&self) -> u64 {
        self.max_run
    }

    /// The name of the document's history.
    pub fn epoch(&self) -> &Name {
        &self.room.epoch
    }

    /// Takes no more presence for this connection; gives the seq of the document's last accepted op.
    pub fn wind_up(&self) -> u64 {
        let mut inner = self.room.lock();
        let member = inner.members.get_mut(&self.member);
        if let Some(inbox) = member.and_then(|member| member.inbox.as_mut()) {
            inbox.close();
        }
        inner.document.head()
    }

    /// Whether the writer has taken every echo up to `seq`, every private answer and all presence.
    pub fn has_taken(&self, seq: u64) -> bool {
        let inner = self.room.lock();
        let member = inner.members.get(&self.member);
        member.is_none_or(|member| member.has_taken(seq))
    }

    /// Shows a state of this connection's client to the others, or that it shows nothing any more.
    ///
    /// Source: `presence.passed-on`.
    pub fn show(&self, state: Option<State>) {
        let mut inner = self.room.lock();
        inner.show(&self.room.doc_id, &self.client_id, state, self.member);
    }

    /// Submits an op: a new one goes to every connection, one sent again is answered here alone.
    ///
    /// Errors: a breach of the rules on ids.
    ///
    /// Source: `seq.fan-out`, `submit.answer-private`.
    pub fn submit(
        &self,
        client_id: &Name,
        client_msg_id: &Name,
        op: &Op,
    ) -> Result<Submitted, Violation> {
        let mut inner = self.room.lock();
        match inner.document.accept(client_id, client_msg_id, op)? {
            Accepted::New(logged) => {
                let server_seq = logged.server_seq;
                let frame = self.room.echo(&logged);
                let crowded = inner.publish(Echo::new(logged, frame));
                self.room.crowded.store(crowded, Relaxed);
                Ok(Submitted::New(server_seq))
            }
            Accepted::Duplicate(seq) => {
                if let Some(member) = inner.members.get_mut(&self.member) {
                    member.answers.push_back(seq);
                    member.signals.wake.notify_one();
                    if member.answers.len() > MAX_ANSWERS {
                        self.room.crowded.store(true, Relaxed);
                    }
                }
                Ok(Submitted::Duplicate(seq))
            }
        }
    }

    /// The next frames for this connection. Where that is all, its signal tells of more.
    ///
    /// A private answer comes once the cursor has reached its seq (`submit.answer-order`).
    pub fn take(&self) -> Taken {
        let taken = self.room.lock().take(&self.room, self.member);
        if taken.relieves {
            self.room.relief.notify_waiters();
        }
        taken
    }

    /// Notes that the socket has taken something.
    pub fn progressed(&self) {
        self.signals.progress.store(self.room.clock(), Relaxed);
    }

    /// Waits until this connection may submit again: until its own echoes do not pile up, nor those
    /// of others that still read.
    ///
    /// Source: `slow.pause-senders`, `slow.readers-safe`, `slow.no-delay`.
    pub async fn clearance(&self) {
        while self.room.crowded.load(Relaxed) {
            let relief = self.room.relief.notified();
            tokio::pin!(relief);
            relief.as_mut().enable();
            let Some(wait) = self.room.lock().crowded(self.member, self.room.clock()) else {
                return;
            };
            // Timing out means that a connection may have stopped reading in the meantime.
            let _ = tokio::time::timeout(wait, relief).await;
        }
    }

    /// Leaves the room but keeps the seat, to submit what has been received and nothing more.
    pub fn stop_listening(&self) {
        self.room.lock().members.remove(&self.member);
        self.room.relief.notify_waiters();
    }
}

impl Drop for Seat {
    /// Source: `presence.leaving`, `presence.replaced`.
    fn drop(&mut self) {
        self.stop_listening();
        let mut inner = self.room.lock();
        if inner.presence.is_from(&self.client_id, self.member) {
            inner.show(&self.room.doc_id, &self.client_id, None, self.member);
        }
    }
}

impl Inner {
    /// Gives an echo to every member, and drops those for whom it is too much. Whether anyone has
    /// much to read then.
    fn publish(&mut self, echo: Echo) -> bool {
        self.echoed += echo.bytes as u64;
        self.tail_bytes += echo.frame.len();
        self.tail.push_back(echo);
        while self.tail_bytes > TAIL_BYTES
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= oldest.frame.len();
            self.tail_from = *oldest.seqs.end();
        }
        let (echoed, max_waiting) = (self.echoed, self.max_waiting);
        let mut crowded = false;
        self.members.retain(|_, member| {
            let fits = member.waiting(echoed) <= max_waiting;
            match fits {
                true => member.tell(),
                false => member.signals.too_slow.notify_one(),
            }
            crowded |= member.is_crowded(echoed, max_waiting);
            fits
        });
        crowded
    }

    /// Keeps a client's newest state and gives it to every member but the one that it came from.
    fn show(&mut self, doc_id: &Name, client_id: &Name, state: Option<State>, from: u64) {
        let frame = presence::update(doc_id, client_id, state.as_ref());
        let gone = state.is_none();
        let since = self.presence.put(client_id, state, from);
        for (&id, member) in &mut self.members {
            let Some(inbox) = &mut member.inbox else {
                continue;
            };
            if id == from {
                inbox.forget(client_id);
            } else {
                inbox.put(client_id, frame.clone(), gone.then_some(since));
                member.signals.wake.notify_one();
            }
        }
    }

    fn take(&mut self, room: &Room, member: u64) -> Taken {
        let is_shared = self.members.len() > 2;
        let Some(member) = self.members.get_mut(&member) else {
            return Taken {
                frames: Frames::new(),
                is_all: true,
                relieves: false,
            };
        };
        member.told = false;
        let relieves = member.is_crowded(self.echoed, self.max_waiting);
        let mut batch = Batch::default();
        if member.cursor < self.tail_from {
            for logged in self.document.ops_since(member.cursor, BATCH_OPS) {
                member.pass(&mut batch, room, &logged, || room.echo(&logged));
                if batch.is_full() {
                    break;
                }
            }
        }
        let (after, head) = (member.cursor, self.document.head());
        let of = (after, head, member.runs);
        let is_live = batch.frames.is_empty() && after >= member.baseline;
        match &self.joined {
            Some(joined) if is_live && joined.of == of => {
                member.cursor = head;
                member.taken += joined.bytes;
                batch.push(joined.frames.clone());
            }
            _ if after >= self.tail_from => {
                let taken = member.taken;
                // Most have read all but the last few.
                let is_behind = |echo: &&Echo| *echo.seqs.end() > after;
                let behind = self.tail.iter().rev().take_while(is_behind).count();
                for echo in self.tail.range(self.tail.len() - behind..) {
                    if batch.is_full() {
                        break;
                    }
                    member.pass_echo(&mut batch, room, echo);
                }
                if is_live && is_shared && member.cursor == head && batch.frames.len() > 1 {
                    batch.join();
                    self.joined = Some(Joined {
                        of,
                        frames: batch.frames[0].clone(),
                        bytes: member.taken - taken,
                    });
                }
            }
            _ => {}
        }
        while let Some(&seq) = member.answers.front()
            && seq <= member.cursor
            && !batch.is_full()
        {
            member.answers.pop_front();
            batch.push(room.echo(&self.document.op(seq)));
        }
        if member.cursor >= member.baseline
            && let Some(inbox) = &mut member.inbox
        {
            // Beside the ops, however many there are: neither waits for the other to run dry.
            batch
                .frames
                .extend(inbox.take(&self.presence, &room.doc_id));
        }
        Taken {
            frames: batch.frames,
            is_all: member.has_taken(head),
            relieves,
        }
    }

    /// How long a sender has to wait before it looks again; nothing where it may go on.
    fn crowded(&self, sender: u64, now: u64) -> Option<Duration> {
        let crowded = |member: &Member| member.is_crowded(self.echoed, self.max_waiting);
        self.members
            .iter()
            .filter(|(_, member)| crowded(member))
            .filter_map(|(&id, member)| {
                if id == sender {
                    return Some(STALLED_AFTER);
                }
                let idle = now.saturating_sub(member.signals.progress.load(Relaxed));
                STALLED_AFTER.checked_sub(Duration::from_millis(idle))
            })
            .max()
    }
}

/// Source: `runs.limits`.
fn limits(config: &Config) -> Limits {
    let integer = |limit: u64| Integer::new(limit).expect("a limit is below 2^53");
    Limits {
        max_run: integer(config.max_run),
        max_message_bytes: integer(config.max_message_bytes as u64),
    }
}

fn on_wire(seq: u64) -> Integer {
    Integer::new(seq).expect("a document has fewer than 2^53 ops")
}

fn encode(message: &ServerMessage) -> Bytes {
    frame::text(message)
}
