//! One connection of captured traffic, as far as it has come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use collab_spec::id::Name;
use collab_spec::message::{OpEcho, ServerMessage};

use super::document::{Document, Generation};
use crate::monitor::around::{Around, Sent, Told};
use crate::monitor::digest::Talk;
use crate::monitor::presence::Order;
use crate::monitor::session::Session;
use crate::monitor::shown;
use crate::trace::Connection;

/// How many texts, of how many bytes, wait for the ack that says how they are to be read.
const MOST_EARLY: usize = 1_024;
const MOST_EARLY_BYTES: usize = 1 << 20;

/// How much of a connection the capture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All from the opening on.
    FromStart,
    /// Its first message is a `hello`; an ack tells that it was the first one.
    MaybeFromStart,
    /// It was under way already.
    FromTheMiddle,
}

/// One connection.
pub(super) struct Line {
    /// Its number; no other connection ever has it.
    pub(super) number: Connection,
    pub(super) name: Arc<str>,
    pub(super) seen: Seen,
    pub(super) talk: Talk,
    pub(super) session: Session,
    pub(super) presence: Order,
    pub(super) document: Option<Name>,
    pub(super) generation: Generation,
    /// The greatest seq that had come in the document before the `hello`.
    pub(super) before_hello: u64,
    early: VecDeque<(usize, Arc<str>)>,
    early_bytes: usize,
    /// Whether texts were too many to wait for the ack.
    pub(super) is_early_cut: bool,
    /// How many messages the client has sent.
    pub(super) sent: usize,
    /// The code with which the client has closed.
    pub(super) closed_with: Option<u16>,
    pub(super) is_closed: bool,
    /// Whether the client has sent a frame that RFC 6455 does not allow.
    pub(super) of_framing: bool,
    /// Whether the client may not have read all the time.
    pub(super) has_paused: bool,
    /// The newest of its ops of which the echo has come.
    pub(super) newest: Option<Newest>,
    /// The place of the newest presence of each client that has come.
    pub(super) shown: HashMap<Name, usize>,
    /// Where its echoes stand, on a connection that was under way.
    pub(super) middle: Middle,
    /// Whether the server was started anew behind it.
    pub(super) is_over: bool,
}

/// An op of a connection that has its seq.
#[derive(Clone)]
pub(super) struct Newest {
    pub(super) event: usize,
    pub(super) seq: u64,
    /// The lamport of an insert.
    pub(super) lamport: Option<u64>,
    pub(super) msg_id: Name,
}

/// What is known of a connection that was under way when the capture began.
#[derive(Default)]
pub(super) struct Middle {
    /// The client, once it has sent an op.
    pub(super) client: Option<Name>,
    last: Option<u64>,
}

impl Middle {
    /// Takes the next echo, and gives the seq that should have come in place of a wrong one. Those of
    /// the client itself may be answers, which stand outside the order.
    pub(super) fn hear(&mut self, echo: &OpEcho) -> Option<u64> {
        let client = self.client.as_ref()?;
        let (seq, elements) = (echo.server_seq.value(), echo.op.elements());
        let is_own = echo.origin_client_id == *client;
        match self.last {
            None if is_own => None,
            None => {
                self.last = Some(seq);
                None
            }
            Some(last) if seq == last.saturating_add(elements) => {
                self.last = Some(seq);
                None
            }
            Some(_) if is_own => None,
            Some(last) => {
                self.last = Some(last.max(seq));
                Some(last.saturating_add(elements))
            }
        }
    }
}

impl Line {
    pub(super) fn new(number: usize, name: &str, seen: Seen) -> Self {
        Self {
            number: Connection(number),
            name: Arc::from(name),
            seen,
            talk: Talk::default(),
            session: Session::new(Connection(number)),
            presence: Order::default(),
            document: None,
            generation: 0,
            before_hello: 0,
            early: VecDeque::new(),
            early_bytes: 0,
            is_early_cut: false,
            sent: 0,
            closed_with: None,
            is_closed: false,
            of_framing: false,
            has_paused: false,
            newest: None,
            shown: HashMap::new(),
            middle: Middle::default(),
            is_over: false,
        }
    }

    pub(super) fn remembered(&self) -> usize {
        self.early.len() + self.shown.len() + self.session.repeats()
    }

    /// Whether its session can be judged.
    pub(super) fn is_whole(&self) -> bool {
        self.seen == Seen::FromStart && !self.is_over
    }

    /// Lets a text wait for the ack.
    pub(super) fn wait(&mut self, event: usize, text: &Arc<str>) {
        if self.early.len() >= MOST_EARLY || self.early_bytes + text.len() > MOST_EARLY_BYTES {
            self.is_early_cut = true;
            return;
        }
        self.early_bytes += text.len();
        self.early.push_back((event, Arc::clone(text)));
    }

    /// The texts that have waited.
    pub(super) fn waited(&mut self) -> VecDeque<(usize, Arc<str>)> {
        self.early_bytes = 0;
        std::mem::take(&mut self.early)
    }
}

/// What the session of a connection can know of all else.
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) event: usize,
    pub(super) text: &'a str,
    pub(super) document: Option<(&'a Name, &'a Document)>,
    pub(super) generation: Generation,
    /// Whether all connections of the document are there, by one clock.
    pub(super) is_whole: bool,
    pub(super) is_early_cut: bool,
}

impl View<'_> {
    fn of(&self, doc_id: &Name) -> Option<&Document> {
        let (own, document) = self.document?;
        (own == doc_id).then_some(document)
    }
}

impl Around for View<'_> {
    fn name(&self, _: Connection) -> &str {
        self.name
    }

    fn text(&self, event: usize) -> String {
        if event == self.event {
            return shown(self.text);
        }
        let echo = self
            .document
            .and_then(|(_, document)| document.echo_at(event));
        echo.map(super::words).unwrap_or_default()
    }

    fn joins(&self, doc_id: &Name, from: usize, to: usize) -> bool {
        self.of(doc_id)
            .is_some_and(|document| document.has_hello(from, to))
    }

    fn sent(&self, connection: Connection, echo: &OpEcho, _: usize) -> Option<Sent> {
        let Some(document) = self.of(&echo.doc_id) else {
            return Some(Sent::default());
        };
        let sent = &document.sent;
        if self.is_early_cut || sent.may_have_forgotten(connection, echo.server_seq.value()) {
            return None;
        }
        let mut counted = Sent {
            all_seen: self.is_whole && !sent.has_forgotten() && document.base == Some(0),
            ..Sent::default()
        };
        for submission in sent.of(echo) {
            counted.count(submission, connection);
        }
        Some(counted)
    }

    fn is_part_of_sent(
        &self,
        connection: Connection,
        client_id: &Name,
        echo: &OpEcho,
        _: usize,
    ) -> bool {
        let Some(document) = self.of(&echo.doc_id) else {
            return false;
        };
        let mut sent = document
            .sent
            .under_key(client_id, &echo.client_msg_id)
            .iter();
        sent.any(|sent| sent.connection == connection && sent.is_more_than(&echo.op))
    }

    fn told(&self, _: Connection, doc_id: &Name, seq: u64) -> Option<Told<'_>> {
        let (told, piece) = self.of(doc_id)?.known(self.generation, seq)?;
        Some(Told {
            event: told.event,
            echo: &told.echo,
            piece,
        })
    }
}

/// What was left unjudged, and why: how often, by the reason.
pub type Unjudged = BTreeMap<&'static str, u64>;

/// Whether a message is an ack.
pub(super) fn is_ack(message: Option<&ServerMessage>) -> bool {
    matches!(message, Some(ServerMessage::HelloAck(_)))
}
