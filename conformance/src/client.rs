//! A client of the server under test, as cases use it: it makes frames, sends them, and waits under
//! a deadline for what must come.
//!
//! Deliberately absent: a CRDT. What a text must be, the case says or `model` works out.

mod expect;
mod hello;
mod unread;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use collab_spec::id::{ElementId, Integer, Name, ParentId};
use collab_spec::message::{
    ClientMessage, Count, Delete, HelloAck, Insert, Limits, Op, OpSubmission, PresenceSnapshot,
    Resync, RunText, ServerMessage, State,
};
use serde_json::{Value, json};

use crate::context::{Context, InVain};
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::trace::{Received, What};
use crate::wire::{Arrival, Inbox, Incoming, Outgoing, Wire};
pub use hello::Ask;
use hello::Sync;

/// More bytes than stand around the value of an op that a case makes: its ids and names are short.
const AROUND_A_VALUE: u64 = 400;

/// A message that came, with its place in the trace.
#[derive(Clone, Debug)]
pub struct Message {
    /// The index of the event in the trace.
    pub event: usize,
    /// The text and what it is.
    pub received: Arc<Received>,
    /// The message.
    pub message: ServerMessage,
}

/// How a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code; 1006 for an end without a close frame.
    pub code: u16,
    /// The reason.
    pub reason: String,
}

/// One connection to the server, under a name in the trace.
#[derive(Debug)]
pub struct Client {
    context: Context,
    name: String,
    doc_id: String,
    client_id: String,
    wire: Arc<Wire>,
    inbox: Inbox,
    ack: Option<HelloAck>,
    resync: Option<(usize, Resync)>,
    snapshot: Option<PresenceSnapshot>,
    last: Option<String>,
    ended: Option<Incoming>,
    sync: Sync,
    /// What came while a ping waited for its pong.
    kept: VecDeque<Incoming>,
}

/// How long the server may take to end TCP after the closing handshake, before we do.
const TCP_END: Duration = Duration::from_millis(500);

/// The root, as a parent.
pub const ROOT: ParentId = ParentId::Root;

/// The element id `[lamport, replica_id]`.
///
/// # Panics
/// Where the specification has no such id; cases that need one write JSON.
pub fn element(lamport: u64, replica_id: &str) -> ElementId {
    Integer::new(lamport)
        .zip(Name::new(replica_id))
        .and_then(|(lamport, replica_id)| ElementId::new(lamport, replica_id))
        .expect("a case's element id is valid")
}

/// The last element that an op inserts, as the parent of another.
pub fn under(submission: &OpSubmission) -> ParentId {
    let op = &submission.op;
    ParentId::Element(op.id().later(op.elements() - 1))
}

/// A submission as a JSON frame, to be changed into something that the types can't say.
pub fn frame(submission: &OpSubmission) -> Value {
    serde_json::to_value(ClientMessage::Op(submission.clone())).expect("a message is JSON")
}

/// The echo that a submission must bring, as a pattern; its seq is any where none is given.
pub fn echo_pattern(submission: &OpSubmission, server_seq: Option<u64>) -> Value {
    let seq = server_seq.map_or_else(|| serde_json::json!({"$any": true}), Value::from);
    serde_json::json!({
        "type": "op_echo",
        "doc_id": submission.doc_id,
        "server_seq": seq,
        "origin_client_id": submission.client_id,
        "client_msg_id": submission.client_msg_id,
        "op": submission.op,
    })
}

fn named(text: &str) -> Name {
    Name::new(text).expect("a case's names have 1 to 256 characters")
}

impl Client {
    pub(crate) fn new(context: Context, name: String, wire: Arc<Wire>, inbox: Inbox) -> Self {
        Self {
            doc_id: context.doc_id().to_owned(),
            client_id: name.clone(),
            context,
            name,
            wire,
            inbox,
            ack: None,
            resync: None,
            snapshot: None,
            last: None,
            ended: None,
            sync: Sync::default(),
            kept: VecDeque::new(),
        }
    }

    /// The connection's name in the trace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `doc_id` of the last `hello`.
    pub fn doc_id(&self) -> &str {
        &self.doc_id
    }

    /// The `client_id` of the last `hello`.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The document's head by the ack.
    ///
    /// # Panics
    /// Before the ack has been expected.
    pub fn head(&self) -> u64 {
        self.ack
            .as_ref()
            .expect("the case has expected the ack")
            .server_seq
            .value()
    }

    /// The place of the last resync in the trace.
    ///
    /// # Panics
    /// Before a resync has been expected.
    pub fn synced_at(&self) -> usize {
        self.resync
            .as_ref()
            .expect("the case has expected a resync")
            .0
    }

    /// The last resync.
    ///
    /// # Panics
    /// Before a resync has been expected.
    pub fn synced(&self) -> &Resync {
        &self
            .resync
            .as_ref()
            .expect("the case has expected a resync")
            .1
    }

    /// The ack.
    ///
    /// # Panics
    /// Before the ack has been expected.
    pub fn acked(&self) -> &HelloAck {
        self.ack.as_ref().expect("the case has expected the ack")
    }

    /// The epoch of the ack.
    ///
    /// Errors: a breach of `resume.ack` where it has none.
    pub fn epoch(&self) -> Outcome<String> {
        let epoch = self.acked().epoch.as_ref();
        epoch.map(ToString::to_string).ok_or_else(|| {
            let what = format!("the ack of {} carries no epoch", self.name);
            Failure::breach(ids::RESUME_ACK, what)
        })
    }

    /// The limits of the ack.
    ///
    /// Errors: a breach of `runs.limits` where it has none.
    pub fn limits(&self) -> Outcome<Limits> {
        self.acked().limits.ok_or_else(|| {
            let what = format!("the ack of {} has no limits", self.name);
            Failure::breach(ids::RUNS_LIMITS, what)
        })
    }

    /// How many characters, of so many bytes each, an op of the client may insert: the two limits hold at once
    /// (`runs.takes-max-run`).
    ///
    /// Errors: as [`Client::limits`].
    pub fn longest_run(&self, bytes: u64) -> Outcome<u64> {
        let limits = self.limits()?;
        let fits = limits
            .max_message_bytes
            .value()
            .saturating_sub(AROUND_A_VALUE)
            / bytes;
        Ok(limits.max_run.value().min(fits))
    }

    /// The state of the last resync.
    ///
    /// Errors: a breach of `state.in-resync` where it has none.
    ///
    /// # Panics
    /// Before a resync has been expected.
    pub fn state(&self) -> Outcome<&State> {
        self.synced().state.as_ref().ok_or_else(|| {
            let what = format!("the resync of {} carries no state", self.name);
            Failure::breach(ids::STATE_IN_RESYNC, what).at(self.synced_at())
        })
    }

    /// The last presence snapshot.
    ///
    /// # Panics
    /// Before a snapshot has been expected.
    pub fn snapshot(&self) -> &PresenceSnapshot {
        self.snapshot
            .as_ref()
            .expect("the case has expected a presence snapshot")
    }

    // Making frames.

    /// An insert after `parent`, with the case's next lamport and `client_msg_id`.
    pub fn insert(&self, parent: &ParentId, value: char) -> OpSubmission {
        self.context.saw_lamport(parent.lamport());
        let lamport = self.context.next_lamport();
        self.insert_at(lamport, parent, value)
    }

    /// An insert after `parent` with a lamport of the case's choice.
    pub fn insert_at(&self, lamport: u64, parent: &ParentId, value: char) -> OpSubmission {
        self.insert_of(lamport, parent, value.into())
    }

    /// An insert of several characters after `parent`, with the case's next lamports.
    ///
    /// # Panics
    /// Where `values` is empty.
    pub fn insert_run(&self, parent: &ParentId, values: &str) -> OpSubmission {
        self.context.saw_lamport(parent.lamport());
        let lamport = self.context.next_lamport();
        self.insert_run_at(lamport, parent, values)
    }

    /// An insert of several characters after `parent`, the first with a lamport of the case's choice.
    ///
    /// # Panics
    /// Where `values` is empty.
    pub fn insert_run_at(&self, lamport: u64, parent: &ParentId, values: &str) -> OpSubmission {
        let values = RunText::new(values).expect("a case's run has a character");
        self.insert_of(lamport, parent, values)
    }

    fn insert_of(&self, lamport: u64, parent: &ParentId, value: RunText) -> OpSubmission {
        let submission = self.op(Op::Ins(Insert {
            parent_id: parent.clone(),
            id: element(lamport, &self.client_id),
            value,
        }));
        self.context.saw_lamport(submission.op.last_lamport());
        submission
    }

    /// A delete of `count` elements from `id` on, with the case's next `client_msg_id`.
    ///
    /// # Panics
    /// Where `count` is 0.
    pub fn delete_run(&self, id: &ElementId, count: u64) -> OpSubmission {
        self.op(Op::Del(Delete {
            id: id.clone(),
            count: Count::new(count).expect("a case's delete has an element"),
        }))
    }

    /// A delete, with the case's next `client_msg_id`.
    pub fn delete(&self, id: &ElementId) -> OpSubmission {
        self.op(Op::Del(Delete::one(id.clone())))
    }

    /// Inserts that type a text, each character after the one before, the first after `parent`.
    pub fn typing(&self, parent: &ParentId, text: &str) -> Vec<OpSubmission> {
        let mut parent = parent.clone();
        text.chars()
            .map(|value| {
                let submission = self.insert(&parent, value);
                parent = under(&submission);
                submission
            })
            .collect()
    }

    /// Any op, with the case's next `client_msg_id`.
    pub fn op(&self, op: Op) -> OpSubmission {
        OpSubmission {
            doc_id: named(&self.doc_id),
            client_id: named(&self.client_id),
            client_msg_id: named(&self.context.next_msg_id()),
            op,
            epoch: None,
        }
    }

    // Sending. What is sent is queued; the order stays; nothing waits. See `flush`.

    /// A `presence_update` of this connection's client, as a JSON frame.
    pub fn presence(&self, state: &Value) -> Value {
        json!({"type": "presence_update", "doc_id": self.doc_id, "client_id": self.client_id,
            "state": state})
    }

    /// Shows a state to the others, null to show nothing any more.
    pub fn send_presence(&mut self, state: &Value) {
        let frame = self.presence(state);
        self.send_json(&frame);
    }

    /// Submits an op.
    pub fn submit(&mut self, submission: &OpSubmission) {
        self.send_json(&frame(submission));
    }

    /// Submits several ops without waiting for any echo.
    pub fn submit_all<'a>(&mut self, submissions: impl IntoIterator<Item = &'a OpSubmission>) {
        for submission in submissions {
            self.submit(submission);
        }
    }

    /// Submits an op again, exactly as it was; the same as [`Client::submit`], but says so.
    pub fn resend(&mut self, submission: &OpSubmission) {
        self.submit(submission);
    }

    /// Sends a JSON frame as a text message.
    pub fn send_json(&mut self, frame: &Value) {
        self.send_text(&frame.to_string());
    }

    /// Sends a text message. A valid `hello` in it sets the document and the client.
    pub fn send_text(&mut self, text: &str) {
        self.note_hello(text);
        self.wire.send(Outgoing::Text(text.into()));
    }

    /// Sends one text message in several WebSocket frames, which need not be UTF-8 each.
    pub fn send_fragments<B: AsRef<[u8]>>(&mut self, fragments: &[B]) {
        let fragments: Vec<_> = fragments
            .iter()
            .map(|part| part.as_ref().to_vec())
            .collect();
        self.note_hello(&String::from_utf8_lossy(&fragments.concat()));
        self.wire.send(Outgoing::Fragments(fragments));
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.wire.send(Outgoing::Bytes {
            text: false,
            bytes: bytes.into(),
        });
    }

    /// Sends bytes as a text message, valid UTF-8 or not.
    pub fn send_bytes_as_text(&mut self, bytes: &[u8]) {
        self.wire.send(Outgoing::Bytes {
            text: true,
            bytes: bytes.into(),
        });
    }

    /// Sends the first frame of a text message whose others do not come.
    pub fn begin_text(&mut self, text: &str) {
        self.wire.send(Outgoing::Begun(text.as_bytes().into()));
    }

    /// Whether the server has agreed to compress messages, and to inflate ours.
    pub fn compresses(&self) -> bool {
        self.wire.compresses()
    }

    /// Sends a ping and does not wait for the answer.
    pub fn send_ping(&mut self, data: &[u8]) {
        self.wire.send(Outgoing::Ping(data.to_vec()));
    }

    /// Sends a pong that nobody asked for.
    pub fn send_pong(&mut self, data: &[u8]) {
        self.wire.send(Outgoing::Pong(data.to_vec()));
    }

    /// Sends a close frame and does not wait for the answer.
    pub fn send_close(&mut self, code: u16) {
        self.wire.send(Outgoing::Close(code));
    }

    /// Waits until all that was sent has gone to the socket (or can't any more, because the
    /// connection is closed).
    ///
    /// Errors: a breach of `requirement` where the server does not read in time.
    pub async fn flush(&mut self, requirement: &str) -> Outcome {
        let since = self.context.recorder().now();
        let flushed = self.context.wait(self.wire.flushed()).await;
        flushed.map_err(|vain| {
            let InVain::Patience(waited) = vain else {
                return self.context.out_of_time();
            };
            Failure::breach(
                requirement,
                format!(
                    "the server has not read what {} sent in {:.1?}, awaited since {:.3} s",
                    self.name,
                    waited,
                    since.as_secs_f64()
                ),
            )
            .expected("that the server reads on")
            .got(self.instead())
            .timed_out()
        })
    }

    /// Why something that was sent did not go to the socket, where that happened.
    pub fn not_sent(&self) -> Option<String> {
        let trace = self.context.recorder().snapshot();
        let own = Some(self.wire.connection());
        let mut events = trace.events.into_iter();
        events.find_map(|event| match event.what {
            What::NotSent(why) if event.connection == own => Some(why),
            _ => None,
        })
    }

    /// The sending half of a barrier.
    pub fn send_barrier(&mut self) -> [OpSubmission; 2] {
        let lamport = self.context.next_barrier_lamport();
        let id = element(lamport, &self.client_id);
        let insert = Op::Ins(Insert {
            parent_id: ROOT,
            id: id.clone(),
            value: '|'.into(),
        });
        let pair =
            [(insert, "ins"), (Op::Del(Delete::one(id)), "del")].map(|(op, kind)| OpSubmission {
                doc_id: named(&self.doc_id),
                client_id: named(&self.client_id),
                client_msg_id: named(&format!("barrier-{lamport}-{kind}")),
                op,
                epoch: None,
            });
        self.submit_all(&pair);
        pair
    }

    // Ending.

    /// Closes with the closing handshake and code 1000; messages that still come are passed over.
    ///
    /// Errors: a breach of `close.client-close` where the server does not complete the handshake.
    pub async fn close(mut self) -> Outcome {
        self.wire.send(Outgoing::Close(1000));
        let awaited = "the server's close frame, in answer to close 1000";
        loop {
            let incoming = self.receive(awaited, ids::CLOSE_CLIENT_CLOSE).await?;
            match incoming.what {
                Arrival::Close { .. } => break,
                Arrival::End { error } => {
                    return Err(Failure::breach(
                        ids::CLOSE_CLIENT_CLOSE,
                        format!("the server did not answer the close frame of {}", self.name),
                    )
                    .expected("a close frame")
                    .got(expect::end_words(error.as_deref()))
                    .at(incoming.event));
                }
                Arrival::Text(_) | Arrival::Binary(_) | Arrival::Pong(_) => {}
            }
        }
        // A server may wait for the client to end TCP before it lets go of the connection.
        self.ended_within(TCP_END).await;
        self.wire.abandon().await;
        Ok(())
    }

    /// Drops the TCP connection without a close frame. What is not flushed may not be sent.
    pub async fn abandon(self) {
        self.wire.abandon().await;
    }
}
