//! A trace sorted by connection, submission and echo, once for all monitors.

use std::collections::HashMap;

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{ClientMessage, Hello, Op, OpEcho, OpSubmission, ServerMessage};

use crate::ids;
use crate::trace::{Connection, Event, Trace, What};
use crate::validate;

/// What a client calls an op: the document, the client, and its `client_msg_id`.
pub(super) type OpKey = (Name, Name, Name);

/// The trace and what is looked up in it.
pub(super) struct Digest<'a> {
    pub(super) trace: &'a Trace,
    /// By connection.
    pub(super) talks: Vec<Talk>,
    /// In the order sent.
    pub(super) submissions: Vec<Submission>,
    /// The submissions under each key.
    pub(super) by_key: HashMap<OpKey, Vec<usize>>,
    /// The submissions of inserts with each element id.
    pub(super) by_element: HashMap<(Name, ElementId), Vec<usize>>,
    /// The echoes of all connections, in the order received.
    pub(super) echoes: Vec<Echo<'a>>,
    /// The first echo of each seq of each document: an index into `echoes`.
    pub(super) by_seq: HashMap<(Name, u64), usize>,
}

/// What was said on one connection.
#[derive(Default)]
pub(super) struct Talk {
    /// The event and the `hello`, where the connection's first message is a valid one.
    pub(super) hello: Option<(usize, Hello)>,
    /// The indices of the connection's events.
    pub(super) events: Vec<usize>,
    said: bool,
}

/// An op that the suite sent.
pub(super) struct Submission {
    pub(super) event: usize,
    pub(super) connection: Connection,
    pub(super) message: OpSubmission,
    /// The requirement by which a server must refuse it, where one look shows that.
    pub(super) refused: Option<&'static str>,
}

/// An echo that came.
#[derive(Clone, Copy)]
pub(super) struct Echo<'a> {
    pub(super) event: usize,
    pub(super) echo: &'a OpEcho,
}

impl Submission {
    pub(super) fn key(&self) -> OpKey {
        let message = &self.message;
        (
            message.doc_id.clone(),
            message.client_id.clone(),
            message.client_msg_id.clone(),
        )
    }
}

impl<'a> Digest<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut digest = Self {
            trace,
            talks: Vec::new(),
            submissions: Vec::new(),
            by_key: HashMap::new(),
            by_element: HashMap::new(),
            echoes: Vec::new(),
            by_seq: HashMap::new(),
        };
        digest
            .talks
            .resize_with(trace.connections.len(), Talk::default);
        for (index, event) in trace.events.iter().enumerate() {
            digest.add(index, event);
        }
        digest
    }

    fn add(&mut self, index: usize, event: &'a Event) {
        let Some(connection) = event.connection else {
            return;
        };
        self.talks[connection.0].events.push(index);
        match &event.what {
            What::SentText { text, .. } => self.sent(index, connection, text),
            What::SentBytes { .. } => self.talks[connection.0].said = true,
            What::Text(received) => {
                if let Some(ServerMessage::OpEcho(echo)) = received.message() {
                    let key = (echo.doc_id.clone(), echo.server_seq.value());
                    self.by_seq.entry(key).or_insert(self.echoes.len());
                    self.echoes.push(Echo { event: index, echo });
                }
            }
            _ => {}
        }
    }

    fn sent(&mut self, index: usize, connection: Connection, text: &str) {
        let talk = &mut self.talks[connection.0];
        let first = !std::mem::replace(&mut talk.said, true);
        match validate::client_message(text) {
            Some(ClientMessage::Hello(hello)) if first => talk.hello = Some((index, hello)),
            Some(ClientMessage::Op(message)) => {
                let refused = refused(&message, talk.hello.as_ref().map(|(_, hello)| hello));
                let submission = Submission {
                    event: index,
                    connection,
                    message,
                    refused,
                };
                let place = self.submissions.len();
                self.by_key.entry(submission.key()).or_default().push(place);
                if let Op::Ins(insert) = &submission.message.op {
                    let key = (submission.message.doc_id.clone(), insert.id.clone());
                    self.by_element.entry(key).or_default().push(place);
                }
                self.submissions.push(submission);
            }
            Some(ClientMessage::Hello(_) | ClientMessage::PresenceUpdate(_)) | None => {}
        }
    }

    /// The submissions of an echo's op that precede an event: under its key, or of the same insert.
    pub(super) fn submissions_of(
        &self,
        echo: &OpEcho,
        before: usize,
    ) -> impl Iterator<Item = &Submission> {
        let key = (
            echo.doc_id.clone(),
            echo.origin_client_id.clone(),
            echo.client_msg_id.clone(),
        );
        let under_key = self.by_key.get(&key).map_or(&[][..], Vec::as_slice);
        let inserting = match &echo.op {
            Op::Ins(insert) => self
                .by_element
                .get(&(echo.doc_id.clone(), insert.id.clone()))
                .map_or(&[][..], Vec::as_slice),
            Op::Del(_) => &[],
        };
        let op = &echo.op;
        under_key
            .iter()
            .chain(
                inserting
                    .iter()
                    .filter(move |place| !under_key.contains(place)),
            )
            .map(|place| &self.submissions[*place])
            .filter(move |submission| submission.event < before && submission.message.op == *op)
    }

    /// Whether a document is the case's own, so that the trace knows all that happened in it.
    pub(super) fn is_fresh(&self, doc_id: &Name) -> bool {
        !self.trace.doc_id.is_empty() && doc_id.as_str().contains(&self.trace.doc_id)
    }

    /// The name of an event's connection.
    pub(super) fn name(&self, event: usize) -> &str {
        let connection = self
            .trace
            .events
            .get(event)
            .and_then(|event| event.connection);
        connection.map_or("?", |connection| self.trace.name(connection))
    }

    /// What was said on an event's connection.
    pub(super) fn talk_of(&self, event: usize) -> Option<&Talk> {
        let connection = self.trace.events.get(event)?.connection?;
        self.talks.get(connection.0)
    }

    /// The length of an event's message.
    pub(super) fn bytes(&self, event: usize) -> usize {
        match self.trace.events.get(event).map(|event| &event.what) {
            Some(What::Text(received)) => received.text.len(),
            _ => 0,
        }
    }

    /// The text of an event's message.
    pub(super) fn text(&self, event: usize) -> String {
        match self.trace.events.get(event).map(|event| &event.what) {
            Some(What::Text(received)) => validate::shortened(&received.text, 600),
            _ => String::new(),
        }
    }
}

fn refused(message: &OpSubmission, hello: Option<&Hello>) -> Option<&'static str> {
    let Some(hello) = hello else {
        return Some("close.no-hello");
    };
    if message.doc_id != hello.doc_id {
        return Some(ids::CLOSE_OTHER_DOC);
    }
    if message.client_id != hello.client_id {
        return Some(ids::CLOSE_OTHER_CLIENT);
    }
    match &message.op {
        Op::Ins(insert) if insert.id.lamport() <= insert.parent_id.lamport() => {
            Some(ids::CRDT_LAMPORT_ABOVE_PARENT)
        }
        Op::Ins(insert) if insert.id.replica_id() != &message.client_id => {
            Some(ids::CRDT_OWN_REPLICA)
        }
        _ => None,
    }
}
