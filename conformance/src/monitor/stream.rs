//! The rules over traffic that never ends: one event at a time, and bounded memory for each connection
//! and each document.
//!
//! It judges with the pieces of the monitors of whole traces. What the traffic does not show is not
//! judged: who began before it, what others sent unseen, what is older than what is remembered. Deliberately
//! absent: rules about what should have come and did not, and reading the traffic (see `verify`).

mod connection;
mod document;
mod known;
mod recent;
mod said;
mod sent;
mod texts;
mod whole;

use std::collections::HashMap;

use collab_spec::id::Name;
use collab_spec::message::{HelloAck, OpEcho, Resync, ServerMessage};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use self::connection::{Line, Seen, View, is_ack};
use self::document::{Document, Told};
use super::{breach, close, message, presence, profiles, shown, state};
use crate::ids;
use crate::trace::{MAX_PING_BYTES, Received, ServerEvent, What, close_words};

pub use self::connection::Unjudged;
pub use self::document::WINDOW;

/// One requirement seen broken, and where; the breach's `frame` is the number of the event.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was seen.
    pub breach: Breach,
    /// The connection.
    pub connection: String,
    /// The document, where the connection has said which one.
    pub document: Option<String>,
}

/// What there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub connections: u64,
    /// Those of them that the traffic has from their opening on.
    pub from_start: u64,
    /// Documents.
    pub documents: u64,
    /// Messages of clients.
    pub sent: u64,
    /// Messages of the server.
    pub received: u64,
    /// Resyncs that were compared with the ops before them.
    pub texts: u64,
}

/// The judge.
pub struct Stream {
    /// Whether the traffic has every connection of its documents, by one clock.
    is_whole: bool,
    lines: HashMap<String, Line>,
    documents: HashMap<Name, Document>,
    counts: Counts,
    unjudged: Unjudged,
    found: Vec<Finding>,
    /// Whether the server has been told to end, or killed.
    is_ending: bool,
    /// What only whole traffic shows.
    whole: whole::Whole,
}

/// A connection's document, of which nothing is known yet.
fn document<'a>(documents: &'a mut HashMap<Name, Document>, doc_id: &Name) -> &'a mut Document {
    documents
        .entry(doc_id.clone())
        .or_insert_with(Document::new)
}

/// An echo in a breach.
fn words(echo: &OpEcho) -> String {
    let message = ServerMessage::OpEcho(echo.clone());
    shown(&serde_json::to_string(&message).unwrap_or_default())
}

impl Stream {
    /// A judge that has heard nothing. `is_whole` says that the traffic has every connection of its
    /// documents, and all events in the order of one clock.
    pub fn new(is_whole: bool) -> Self {
        Self {
            is_whole,
            lines: HashMap::new(),
            documents: HashMap::new(),
            counts: Counts::default(),
            unjudged: Unjudged::new(),
            found: Vec::new(),
            is_ending: false,
            whole: whole::Whole::default(),
        }
    }

    /// Takes the next event, `event` being a number that grows.
    pub fn hear(&mut self, event: usize, connection: &str, what: &What) {
        match what {
            What::Server(what) => return self.server(*what),
            What::Opened => {
                self.end(connection);
                self.add(connection, Seen::FromStart);
                return;
            }
            What::HttpRequest { .. } | What::HttpResponse { .. } => return,
            // Its end was told before, by a close without a frame.
            What::Dropped | What::Ended { .. } if !self.lines.contains_key(connection) => return,
            _ => {}
        }
        let mut line = match self.lines.remove(connection) {
            Some(line) => line,
            None => self.added(connection, first_seen(what)),
        };
        let found = &mut Vec::new();
        self.step(&mut line, event, what, found);
        let document = line.document.as_ref().map(|name| name.as_str().to_owned());
        self.found.extend(found.drain(..).map(|breach| Finding {
            breach,
            connection: connection.to_owned(),
            document: document.clone(),
        }));
        let is_over = matches!(what, What::Dropped | What::Ended { .. });
        self.lines.insert(connection.to_owned(), line);
        if is_over {
            self.end(connection);
        }
    }

    /// Goes on with another capture: its connections are others. Its documents are the same, unless each
    /// capture is whole for itself.
    pub fn next_capture(&mut self) {
        let names: Vec<String> = self.lines.keys().cloned().collect();
        names.iter().for_each(|name| self.end(name));
        self.is_ending = false;
        if self.is_whole {
            self.forget();
        }
        for document in self.documents.values_mut() {
            document.greatest = 0;
        }
    }

    /// The findings since the last time.
    pub fn take_found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.found)
    }

    /// What there was until now.
    pub fn counts(&self) -> Counts {
        let texts = self.documents.values().map(|one| one.texts.counts().0);
        Counts {
            texts: self.counts.texts + texts.sum::<u64>(),
            documents: self.counts.documents + self.documents.len() as u64,
            ..self.counts
        }
    }

    /// What was not judged until now.
    pub fn unjudged(&self) -> Unjudged {
        let mut unjudged = self.unjudged.clone();
        for document in self.documents.values() {
            leave(&mut unjudged, known::OLD_TEXTS, document.texts.counts().1);
            leave(&mut unjudged, known::OLD_ECHOES, document.too_old);
        }
        unjudged
    }

    /// How much is remembered: how many ops, seqs, ids and the like.
    pub fn remembered(&self) -> usize {
        let documents = self.documents.values().map(Document::remembered);
        let lines = self.lines.values().map(Line::remembered);
        documents.sum::<usize>() + lines.sum::<usize>() + self.whole.remembered()
    }

    /// The names of the connections that are open on a document.
    pub fn on_document(&self, doc_id: &str) -> impl Iterator<Item = &str> {
        let on = self.lines.iter().filter(move |(_, line)| {
            line.document
                .as_ref()
                .is_some_and(|own| own.as_str() == doc_id)
        });
        on.map(|(name, _)| name.as_str())
    }

    fn add(&mut self, connection: &str, seen: Seen) {
        let line = self.added(connection, seen);
        self.lines.insert(connection.to_owned(), line);
    }

    fn added(&mut self, connection: &str, seen: Seen) -> Line {
        let number = self.counts.connections;
        self.counts.connections += 1;
        self.counts.from_start += u64::from(seen == Seen::FromStart);
        Line::new(
            usize::try_from(number).unwrap_or(usize::MAX),
            connection,
            seen,
        )
    }

    fn end(&mut self, connection: &str) {
        let Some(mut line) = self.lines.remove(connection) else {
            return;
        };
        for (event, text) in self.waited(&mut line) {
            self.submit(&mut line, event, &text, &[Profile::Runs]);
        }
        if line.seen != Seen::FromStart {
            leave(&mut self.unjudged, known::MIDDLE, 1);
        }
        if let Some(document) = line
            .document
            .as_ref()
            .and_then(|doc_id| self.documents.get_mut(doc_id))
        {
            document.sent.end(line.number);
        }
    }

    /// Forgets all documents, and counts what they had.
    fn forget(&mut self) {
        self.counts = self.counts();
        self.unjudged = self.unjudged();
        self.documents.clear();
        self.whole = whole::Whole::default();
    }

    fn server(&mut self, what: ServerEvent) {
        self.is_ending = what != ServerEvent::Restarted;
        if what == ServerEvent::Restarted {
            self.forget();
            for line in self.lines.values_mut() {
                line.is_over = true;
            }
        }
    }

    fn step(&mut self, line: &mut Line, event: usize, what: &What, found: &mut Vec<Breach>) {
        match what {
            What::SentText { text, .. } => self.said(line, event, text),
            What::SentBytes { .. } => {
                self.counts.sent += 1;
                line.sent += 1;
                line.talk.said = true;
            }
            What::SentPing(data) => line.of_framing |= data.len() > MAX_PING_BYTES,
            What::SentClose { code } => line.closed_with = Some(*code),
            What::ReadingStopped => line.has_paused = true,
            What::Text(received) => {
                self.counts.received += 1;
                found.extend(message::invalid(&line.name, event, what));
                found.extend(message::surplus(&line.name, event, what));
                self.after_close(line, event, found);
                self.got(line, event, received, found);
            }
            What::Binary(_) => {
                self.counts.received += 1;
                found.extend(message::invalid(&line.name, event, what));
                self.after_close(line, event, found);
            }
            What::Close { code, reason } => self.closed(line, event, *code, reason, found),
            What::WebSocketError(error) => {
                let what = format!("on {} {error}", line.name);
                found.push(breach(ids::UPGRADE, event, what));
            }
            _ => {}
        }
    }

    fn got(&mut self, line: &mut Line, event: usize, received: &Received, found: &mut Vec<Breach>) {
        let message = received.message();
        if line.seen == Seen::MaybeFromStart {
            let is_start = line.talk.hello.is_some() && is_ack(message);
            line.seen = match is_start {
                true => Seen::FromStart,
                false => Seen::FromTheMiddle,
            };
            self.counts.from_start += u64::from(is_start);
            if !is_start {
                for (event, text) in self.waited(line) {
                    self.submit(line, event, &text, &[Profile::Runs]);
                }
            }
        }
        let (Some(message), Ok(valid)) = (message, &received.parsed) else {
            return;
        };
        if line.is_over {
            return;
        }
        if line.is_whole() {
            if let ServerMessage::HelloAck(ack) = message
                && line.talk.hello.is_some()
                && line.talk.ack.is_none()
            {
                self.ack(line, event, ack, &received.text, found);
            }
            if let Some((rule, what)) = profiles::out_of_profile(&line.talk, message)
                && line.talk.ack.is_some()
            {
                let what = format!("{} got {what}", line.name);
                found.push(wrong(rule, event, what, &received.text));
            }
            if line.talk.is_on(Profile::Presence) {
                if let Some(what) = line.presence.hear(&line.talk, message) {
                    let what = format!("on {} {what}", line.name);
                    found.push(wrong(ids::PRESENCE_SNAPSHOT, event, what, &received.text));
                }
                if matches!(message, ServerMessage::PresenceUpdate(_))
                    && let Some(what) = presence::surplus(valid)
                {
                    let what = format!("on {} {what}", line.name);
                    found.push(wrong(
                        ids::PRESENCE_EXACT_FIELDS,
                        event,
                        what,
                        &received.text,
                    ));
                }
            }
        }
        let last = line.session.last();
        if line.is_whole() {
            self.session(line, event, message, &received.text, found);
        }
        if self.is_whole && line.is_whole() {
            self.whole
                .heard(line, event, message, &received.text, &self.documents, found);
        }
        match message {
            ServerMessage::OpEcho(echo) => {
                self.echo(line, event, echo, last, &received.text, found);
            }
            ServerMessage::Resync(resync) => self.resync(line, event, resync, found),
            _ => {}
        }
    }

    fn session(
        &mut self,
        line: &mut Line,
        event: usize,
        message: &ServerMessage,
        text: &str,
        found: &mut Vec<Breach>,
    ) {
        let document = line
            .document
            .as_ref()
            .and_then(|doc_id| Some((doc_id, self.documents.get(doc_id)?)));
        let view = View {
            name: &line.name,
            event,
            text,
            document,
            generation: line.generation,
            is_whole: self.is_whole,
            is_early_cut: line.is_early_cut,
        };
        line.session.hear(&view, &line.talk, event, message, found);
    }

    fn ack(
        &mut self,
        line: &mut Line,
        event: usize,
        ack: &HelloAck,
        text: &str,
        found: &mut Vec<Breach>,
    ) {
        line.talk.ack = Some((event, ack.clone()));
        let is_granting = self.is_whole && self.whole.grants(ack);
        for (rule, what) in profiles::ack_problems(&line.talk, ack, is_granting) {
            let what = format!("the ack of {} {what}", line.name);
            found.push(wrong(rule, event, what, text));
        }
        let Some((_, hello)) = &line.talk.hello else {
            return;
        };
        let document = document(&mut self.documents, &hello.doc_id);
        let told = line.talk.epoch().cloned();
        let is_other_epoch = document
            .epoch
            .as_ref()
            .zip(told.as_ref())
            .is_some_and(|((_, known), told)| known != told);
        let head = ack.server_seq.value();
        let is_behind = head < line.before_hello && line.generation == document.generation;
        if self.is_whole {
            self.whole.ack(line, event, ack, document, found);
        } else if is_other_epoch || is_behind {
            // The server may have been started anew; two histories are never compared.
            document.begin_anew(head);
            leave(&mut self.unjudged, known::ANEW, 1);
        }
        line.generation = document.generation;
        if let Some(told) = told
            && document.epoch.is_none()
        {
            document.epoch = Some((event, told));
        }
        for (event, text) in self.waited(line) {
            self.submit_by_profile(line, event, &text);
        }
    }

    fn resync(&mut self, line: &mut Line, event: usize, resync: &Resync, found: &mut Vec<Breach>) {
        found.extend(state::form_of(&line.name, event, resync));
        self.meet(line, &resync.doc_id);
        if line.seen != Seen::FromStart {
            return;
        }
        let document = document(&mut self.documents, &resync.doc_id);
        if document.generation == line.generation {
            document.greatest = document.greatest.max(resync.server_seq.value());
            document.texts.add(event, &line.name, resync);
            document.judge_texts(found);
        }
    }

    /// An echo came where `last` was the last seq of the session.
    fn echo(
        &mut self,
        line: &mut Line,
        event: usize,
        echo: &OpEcho,
        last: Option<u64>,
        text: &str,
        found: &mut Vec<Breach>,
    ) {
        if echo.op.elements() > collab_spec::op::MOST_RUN {
            let what = format!(
                "{} got an echo of more elements than any op may have",
                line.name
            );
            found.push(breach(ids::RUNS_MAX_RUN, event, what));
            return;
        }
        if line.seen == Seen::FromTheMiddle {
            if let Some(next) = line.middle.hear(echo) {
                let seq = echo.server_seq.value();
                let what = format!("on {} the seq {seq} came where {next} is next", line.name);
                found.push(wrong(ids::SEQ_FROM_BASELINE, event, what, text));
            }
            self.meet(line, &echo.doc_id);
        }
        let document = document(&mut self.documents, &echo.doc_id);
        let runs = line.talk.is_on(Profile::Runs) || echo.op.elements() > 1;
        let told = Told::new(event, &line.name, echo, runs);
        let is_first = document.tell(line.generation, told, found);
        let is_next = line.is_whole()
            && last.is_some_and(|last| last < echo.server_seq.value())
            && line.session.last() == Some(echo.server_seq.value());
        if self.is_whole && line.is_whole() {
            let again = !is_first && echo.op.elements() == 1 && !line.talk.is_on(Profile::Runs);
            if !again {
                self.whole
                    .faithful(line, event, echo, document, text, found);
            }
        } else if is_next {
            known::faithful(line, event, echo, document, text, found);
        }
        if is_next {
            known::sender_order(line, event, echo, document, self.is_whole, found);
        }
        if is_first {
            self.whole.came(echo, text.len());
        }
    }

    fn after_close(&self, line: &Line, event: usize, found: &mut Vec<Breach>) {
        if line.is_closed {
            let what = format!("{} got a message after the close frame", line.name);
            found.push(breach(ids::UPGRADE, event, what));
        }
    }

    fn closed(
        &mut self,
        line: &mut Line,
        event: usize,
        code: u16,
        reason: &str,
        found: &mut Vec<Breach>,
    ) {
        line.is_closed = true;
        // What a connection's client had sent before the capture began may have asked for the code.
        let is_known = line.seen == Seen::FromStart;
        if !is_known {
            leave(&mut self.unjudged, known::MIDDLE_CLOSES, 1);
        }
        if let Some(rule) = close::wrong_code(code, line.closed_with)
            && (is_known || rule == ids::CLOSE_NO_1011)
        {
            let words = close_words(code, reason);
            let what = format!("the server closed {} with {words}", line.name);
            found.push(breach(rule, event, what));
        }
        if is_known && line.closed_with.is_none() && !line.of_framing {
            found.extend(close::wrong_reason(&line.name, event, code, reason));
        }
        if self.is_whole && line.is_whole() && !self.is_ending {
            self.whole.closed(line, event, code, reason, found);
        }
    }
}

/// What a capture has of a connection that begins with an event.
fn first_seen(what: &What) -> Seen {
    match what {
        What::SentText { .. } => Seen::MaybeFromStart,
        _ => Seen::FromTheMiddle,
    }
}

/// A breach that a message shows.
fn wrong(rule: &str, event: usize, what: String, text: &str) -> Breach {
    let mut wrong = breach(rule, event, what);
    wrong.got = Some(shown(text));
    wrong
}

/// Counts what is left unjudged.
fn leave(unjudged: &mut Unjudged, why: &'static str, count: u64) {
    if count > 0 {
        *unjudged.entry(why).or_default() += count;
    }
}
