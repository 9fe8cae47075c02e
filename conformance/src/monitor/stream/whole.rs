//! Rules over traffic that has every connection of its documents, all events in the order of one clock:
//! what nobody has sent can't come, and what has come is known to the server.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use collab_spec::close::CloseCode;
use collab_spec::id::Name;
use collab_spec::message::{HelloAck, OpEcho, OpSubmission, PresenceUpdate, ServerMessage};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use super::connection::Line;
use super::document::{Document, WINDOW};
use super::known::unfaithful;
use super::recent::Recent;
use super::wrong;
use crate::ids;
use crate::monitor::breach;
use crate::monitor::close::MAY_WAIT;
use crate::monitor::digest::{Shown, Submission, presence_refused};
use crate::monitor::presence::{Listener, Shows};
use crate::trace::{Connection, close_words};

/// How many states of one client are remembered.
const MOST_SHOWN: usize = 64;

/// How many clients that have sent what no server may take are remembered.
const MOST_UNFIT: usize = 4_096;

/// What is known of whole traffic, beside its documents.
#[derive(Default)]
pub(super) struct Whole {
    /// How many texts of clients wait for an ack that says how to read them.
    pub(super) waiting: usize,
    /// Whether any ack had capabilities.
    has_granted: bool,
    submitted: HashMap<Name, Submitted>,
    unfit: HashSet<(Name, Name)>,
    unfit_documents: HashSet<Name>,
    shown: HashMap<(Name, Name), States>,
    /// How many bytes of echoes have come in each document, each seq once.
    bytes: HashMap<Name, usize>,
}

/// How many elements the ops have that were sent for a document, each as often as it is remembered.
struct Submitted {
    elements: u64,
    keys: Recent<(Name, Name), u64>,
}

/// The newest states that a client has shown.
#[derive(Default)]
struct States {
    shown: VecDeque<Shown>,
    /// The place of the first one that is remembered.
    first: usize,
}

impl Whole {
    pub(super) fn remembered(&self) -> usize {
        let keys = self.submitted.values().map(|of| of.keys.len());
        let shown = self.shown.values().map(|states| states.shown.len());
        self.unfit.len() + keys.sum::<usize>() + shown.sum::<usize>()
    }

    pub(super) fn unfit(&mut self, line: &Line) {
        let Some((_, hello)) = &line.talk.hello else {
            return;
        };
        self.unfit_documents.insert(hello.doc_id.clone());
        if self.unfit.len() < MOST_UNFIT {
            self.unfit
                .insert((hello.doc_id.clone(), hello.client_id.clone()));
        }
    }

    fn is_unfit(&self, doc_id: &Name, client: &Name) -> bool {
        self.unfit.len() >= MOST_UNFIT || self.unfit.contains(&(doc_id.clone(), client.clone()))
    }

    pub(super) fn submitted(&mut self, message: &OpSubmission) {
        let submitted = self
            .submitted
            .entry(message.doc_id.clone())
            .or_insert_with(|| Submitted {
                elements: 0,
                keys: Recent::new(WINDOW),
            });
        let elements = message.op.elements();
        let key = (message.client_id.clone(), message.client_msg_id.clone());
        let known = submitted.keys.get(&key).copied().unwrap_or(0);
        submitted.elements += elements.saturating_sub(known);
        submitted.keys.insert(key, known.max(elements));
    }

    pub(super) fn showed(&mut self, line: &Line, event: usize, update: PresenceUpdate) {
        let key = (update.doc_id.clone(), update.client_id.clone());
        let states = self.shown.entry(key).or_default();
        states.shown.push_back(Shown {
            event,
            connection: line.number,
            // Before the ack nobody knows whether the profile is on.
            refused: match line.talk.ack {
                Some(_) => presence_refused(&update, &line.talk),
                None => None,
            },
            update,
        });
        if states.shown.len() > MOST_SHOWN {
            states.shown.pop_front();
            states.first += 1;
        }
    }

    /// Whether the server has turned on a profile for anybody.
    pub(super) fn grants(&mut self, ack: &HelloAck) -> bool {
        self.has_granted |= ack.capabilities.is_some();
        self.has_granted
    }

    /// An ack's head is not below what had come before its hello; one history has one epoch.
    pub(super) fn ack(
        &mut self,
        line: &Line,
        event: usize,
        ack: &HelloAck,
        document: &mut Document,
        found: &mut Vec<Breach>,
    ) {
        let (seq, before) = (ack.server_seq.value(), line.before_hello);
        document.base.get_or_insert(seq);
        if seq < before {
            let what = format!(
                "the head in the ack of {} is {seq}, though the seq {before} had come before its hello",
                line.name
            );
            found.push(breach(ids::ACK_FIELDS, event, what));
        }
        if let (Some((_, known)), Some(told)) = (&document.epoch, line.talk.epoch())
            && known != told
        {
            let what = format!("{} was told another epoch than others before", line.name);
            let mut wrong = breach(ids::RESUME_ONE_EPOCH, event, what);
            wrong.expected = Some(format!("{:?}", known.as_str()));
            wrong.got = Some(format!("{:?}", told.as_str()));
            found.push(wrong);
        }
    }

    /// No seq is above the number of elements in the ops that were sent; presence is what others show.
    pub(super) fn heard(
        &mut self,
        line: &mut Line,
        event: usize,
        message: &ServerMessage,
        text: &str,
        documents: &HashMap<Name, Document>,
        found: &mut Vec<Breach>,
    ) {
        let (doc_id, seq) = match message {
            ServerMessage::HelloAck(ack) => (&ack.doc_id, ack.server_seq.value()),
            ServerMessage::Resync(resync) => (&resync.doc_id, resync.server_seq.value()),
            ServerMessage::OpEcho(echo) => (&echo.doc_id, echo.server_seq.value()),
            ServerMessage::PresenceUpdate(_) | ServerMessage::PresenceSnapshot(_) => {
                if line.talk.is_on(Profile::Presence) {
                    self.presence(line, event, message, text, found);
                }
                return;
            }
        };
        let base = documents.get(doc_id).and_then(|document| document.base);
        let Some(base) = base.filter(|_| !self.unfit_documents.contains(doc_id)) else {
            return;
        };
        let ops = self.submitted.get(doc_id).map_or(0, |of| of.elements);
        if seq > base.saturating_add(ops) && self.waiting == 0 {
            let name = &line.name;
            let what =
                format!("{name} got the seq {seq} when ops of {ops} elements had been submitted");
            found.push(wrong(ids::SEQ_DENSE, event, what, text));
        }
    }

    fn presence(
        &self,
        line: &mut Line,
        event: usize,
        message: &ServerMessage,
        text: &str,
        found: &mut Vec<Breach>,
    ) {
        if line.shown.len() > WINDOW {
            line.shown.clear();
        }
        let around = Around {
            whole: self,
            name: &line.name,
            text,
        };
        let mut listener = Listener {
            around: &around,
            connection: line.number,
            newest: &mut line.shown,
            found,
        };
        listener.hear(event, message);
    }

    /// Every echo is of an op that was submitted before, and that the server need not refuse.
    pub(super) fn faithful(
        &self,
        line: &Line,
        event: usize,
        echo: &OpEcho,
        document: &Document,
        text: &str,
        found: &mut Vec<Breach>,
    ) {
        if document.base != Some(0) {
            return;
        }
        let sent = document
            .sent
            .under_key(&echo.origin_client_id, &echo.client_msg_id);
        let sent: Vec<&Arc<Submission>> = sent.iter().collect();
        let is_unseen = document.sent.has_forgotten()
            || self.waiting > 0
            || self.is_unfit(&echo.doc_id, &echo.origin_client_id);
        if sent.is_empty() && !is_unseen {
            let seq = echo.server_seq.value();
            let what = format!(
                "the echo with seq {seq} is of an op that nobody submitted under that client and client_msg_id"
            );
            found.push(wrong(ids::ECHO_FIELDS, event, what, text));
        }
        found.extend(unfaithful(line, event, echo, &sent, text));
    }

    /// An echo that is the first to tell its seq.
    pub(super) fn came(&mut self, echo: &OpEcho, bytes: usize) {
        *self.bytes.entry(echo.doc_id.clone()).or_default() += bytes;
    }

    /// Nobody is closed for a valid `hello` alone, nor as slow who reads, nor where too little has come
    /// for anything to wait.
    pub(super) fn closed(
        &self,
        line: &Line,
        event: usize,
        code: u16,
        reason: &str,
        found: &mut Vec<Breach>,
    ) {
        let words = close_words(code, reason);
        let name = &line.name;
        let Some((_, hello)) = &line.talk.hello else {
            return;
        };
        let is_slow = code == CloseCode::TryAgainLater.code();
        let is_left = line.closed_with.is_some() || line.has_paused || line.of_framing;
        let is_alone = line.sent == 1 && hello.epoch().is_ok();
        if !is_left && is_alone && code != CloseCode::GoingAway.code() {
            let rule = match (&line.talk.ack, hello.last_seen_server_seq.value()) {
                (None, 0) => ids::ACK_FIRST,
                _ => ids::SYNC_NEVER_CLOSES,
            };
            let what = format!("the server closed {name} after its hello: {words}");
            found.push(breach(rule, event, what));
        }
        if !is_left && is_slow {
            let what = format!("the server closed {name}, which reads, as slow");
            found.push(breach(ids::SLOW_READERS_SAFE, event, what));
        }
        let came = self.bytes.get(&hello.doc_id).copied().unwrap_or(0);
        if is_slow && came < MAY_WAIT {
            let what = format!(
                "the server closed {name} as slow when {came} bytes of echoes had come in all"
            );
            let shown = self.shown.keys().any(|(doc_id, _)| *doc_id == hello.doc_id);
            let rule = match shown {
                true => ids::PRESENCE_NEVER_SLOW,
                false => ids::SLOW_FLOOR,
            };
            let mut wrong = breach(rule, event, what);
            wrong.expected = Some(format!("no close 1013 below {MAY_WAIT} bytes"));
            found.push(wrong);
        }
    }
}

/// What is known of those who show something.
struct Around<'a> {
    whole: &'a Whole,
    name: &'a str,
    text: &'a str,
}

impl Around<'_> {
    fn states(&self, doc_id: &Name, client: &Name) -> Option<&States> {
        self.whole.shown.get(&(doc_id.clone(), client.clone()))
    }
}

impl Shows for Around<'_> {
    fn shown(&self, doc_id: &Name, client: &Name, _: usize) -> Vec<(usize, &Shown)> {
        let states = self.states(doc_id, client).into_iter();
        let placed = |states: &'_ States| states.first;
        states
            .flat_map(|states| (placed(states)..).zip(&states.shown))
            .collect()
    }

    fn has_forgotten(&self, doc_id: &Name, client: &Name) -> bool {
        self.states(doc_id, client)
            .is_some_and(|states| states.first > 0)
    }

    /// That a client has left, the others may hear before the capture shows it.
    fn left(&self, _: &Name, _: &Name, _: usize) -> bool {
        true
    }

    fn is_unfit(&self, doc_id: &Name, client: &Name) -> bool {
        self.whole.is_unfit(doc_id, client)
    }

    fn connection_name(&self, _: Connection) -> &str {
        self.name
    }

    fn message_text(&self, _: usize) -> String {
        crate::monitor::shown(self.text)
    }
}
