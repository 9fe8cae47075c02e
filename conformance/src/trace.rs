//! What happened on the wire in one case: the events of all its connections in the order of time.
//!
//! Deliberately absent: clocks and sockets (see `wire`), and any judgement (see `monitor`).

pub mod line;

use std::sync::Arc;
use std::time::Duration;

use collab_spec::message::ServerMessage;
use collab_spec::report::{FrameReport, Sender};
use collab_spec::trace::TraceKind;

use crate::validate::{self, Problem, Valid, shortened};

/// The greatest number of characters of a text that goes into a report.
const REPORTED_CHARS: usize = 2_000;

/// The longest data of a ping that RFC 6455 allows.
pub const MAX_PING_BYTES: usize = 125;

/// The events of one case.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The part of every `doc_id` of the case that no other case has.
    pub doc_id: String,
    /// The names of the connections; a [`Connection`] is an index.
    pub connections: Vec<String>,
    /// The events, the first first.
    pub events: Vec<Event>,
}

/// A connection of a trace: its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub usize);

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Since the case began.
    pub at: Duration,
    /// Where; nothing for HTTP requests.
    pub connection: Option<Connection>,
    /// What.
    pub what: What,
}

/// A message that came from the server as text.
#[derive(Clone, Debug)]
pub struct Received {
    /// The text.
    pub text: Arc<str>,
    /// What it is, or what is wrong with it.
    pub parsed: Result<Valid, Problem>,
}

impl Received {
    /// Takes a text for a server's message.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let parsed = validate::server_message(&text);
        Self { text, parsed }
    }

    /// The message, where it is valid.
    pub fn message(&self) -> Option<&ServerMessage> {
        self.parsed.as_ref().ok().map(|valid| &valid.message)
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// The WebSocket is open.
    Opened,
    /// The suite sent a text message, in one WebSocket frame or several.
    SentText {
        /// The whole text.
        text: Arc<str>,
        /// In how many frames.
        fragments: usize,
    },
    /// The suite sent a message of bytes.
    SentBytes {
        /// Whether the message says that it is text.
        text: bool,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// The suite sent a ping.
    SentPing(Vec<u8>),
    /// The suite sent a pong that nobody asked for.
    SentPong(Vec<u8>),
    /// The suite sent a close frame.
    SentClose {
        /// The code.
        code: u16,
    },
    /// The last message of the suite could not be sent.
    NotSent(String),
    /// The suite dropped the TCP connection.
    Dropped,
    /// The suite stopped reading.
    ReadingStopped,
    /// The suite reads again.
    ReadingResumed,
    /// A text message came.
    Text(Arc<Received>),
    /// A binary message came.
    Binary(Arc<[u8]>),
    /// A pong came.
    Pong(Vec<u8>),
    /// A close frame came.
    Close {
        /// The code; 1005 where the frame has none.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The server broke the rules of WebSocket itself.
    WebSocketError(String),
    /// The TCP connection ended.
    Ended {
        /// The error of the connection, where it did not end in good order.
        error: Option<String>,
    },
    /// The suite asked for a page over HTTP.
    HttpRequest {
        /// The path.
        path: String,
    },
    /// The page came.
    HttpResponse {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The suite did something to the server itself.
    Server(ServerEvent),
}

/// What the suite can do to a server that it has started itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Tell it to end in good order.
    Terminated,
    /// End it at once.
    Killed,
    /// Start it again.
    Restarted,
}

impl Trace {
    /// An empty trace of a case with the documents that `doc_id` stands in.
    pub fn new(doc_id: &str) -> Self {
        Self {
            doc_id: doc_id.to_owned(),
            ..Self::default()
        }
    }

    /// The same case and connections, with other events.
    #[must_use]
    pub fn with_events(&self, events: Vec<Event>) -> Self {
        Self {
            doc_id: self.doc_id.clone(),
            connections: self.connections.clone(),
            events,
        }
    }

    /// Adds a connection; one of a name that is taken gets a number behind it.
    pub fn add_connection(&mut self, name: &str) -> Connection {
        let mut label = name.to_owned();
        let mut number = 1;
        while self.connections.contains(&label) {
            number += 1;
            label = format!("{name}#{number}");
        }
        self.connections.push(label);
        Connection(self.connections.len() - 1)
    }

    /// Adds an event and gives its index.
    pub fn push(&mut self, at: Duration, connection: Option<Connection>, what: What) -> usize {
        self.events.push(Event {
            at,
            connection,
            what,
        });
        self.events.len() - 1
    }

    /// The name of a connection.
    pub fn name(&self, connection: Connection) -> &str {
        self.connections
            .get(connection.0)
            .map_or("?", String::as_str)
    }

    /// The events as a report has them; an index stays an index.
    pub fn report(&self) -> Vec<FrameReport> {
        self.events
            .iter()
            .map(|event| self.frame_report(event, REPORTED_CHARS))
            .collect()
    }

    /// The events as JSON Lines: each as a report has it, with the whole of its text, and exact where a
    /// report has words for people.
    pub fn json_lines(&self) -> String {
        let mut lines = String::new();
        for event in &self.events {
            let line = line::written(self.frame_report(event, usize::MAX), &event.what);
            lines += &serde_json::to_string(&line).expect("strings and numbers are JSON");
            lines.push('\n');
        }
        lines
    }

    fn frame_report(&self, event: &Event, most: usize) -> FrameReport {
        let connection = event.connection.map(|connection| self.name(connection));
        let at_us = u64::try_from(event.at.as_micros()).unwrap_or(u64::MAX);
        event.what.report(at_us, connection, most)
    }
}

impl What {
    /// The event as a report has it, with so many characters of its content at most.
    pub fn report(&self, at_us: u64, connection: Option<&str>, most: usize) -> FrameReport {
        let (from, content) = self.describe();
        FrameReport {
            at_us,
            connection: match (self, connection) {
                (_, Some(connection)) => connection,
                (Self::Server(_), None) => "server",
                (_, None) => "http",
            }
            .to_owned(),
            from,
            kind: self.kind().name().to_owned(),
            content: shortened(&content, most),
        }
    }

    /// What it is, in a word.
    fn kind(&self) -> TraceKind {
        match self {
            Self::Opened => TraceKind::Open,
            Self::SentText { .. } | Self::SentBytes { text: true, .. } | Self::Text(_) => {
                TraceKind::Text
            }
            Self::SentBytes { .. } | Self::Binary(_) => TraceKind::Binary,
            Self::SentPing(_) => TraceKind::Ping,
            Self::SentPong(_) | Self::Pong(_) => TraceKind::Pong,
            Self::SentClose { .. } | Self::Close { .. } => TraceKind::Close,
            Self::Dropped | Self::Ended { .. } => TraceKind::End,
            Self::NotSent(_) | Self::WebSocketError(_) => TraceKind::Error,
            Self::ReadingStopped => TraceKind::Pause,
            Self::ReadingResumed => TraceKind::Resume,
            Self::HttpRequest { .. } | Self::HttpResponse { .. } => TraceKind::Http,
            Self::Server(_) => TraceKind::Server,
        }
    }

    /// Who did it, and its content.
    fn describe(&self) -> (Sender, String) {
        use Sender::{Client, Server};
        match self {
            Self::Opened => (Client, "WebSocket open".to_owned()),
            Self::SentText { text, fragments: 1 } => (Client, text.to_string()),
            Self::SentText { text, fragments } => {
                (Client, format!("{text} (in {fragments} WebSocket frames)"))
            }
            Self::SentBytes { text: true, bytes } => {
                (Client, format!("bytes that say text: {}", hex(bytes)))
            }
            Self::SentBytes { text: false, bytes } => (Client, hex(bytes)),
            Self::SentPing(data) | Self::SentPong(data) => (Client, hex(data)),
            Self::SentClose { code } => (Client, format!("close {code}")),
            Self::NotSent(error) => (Client, format!("not sent: {error}")),
            Self::Dropped => (Client, "TCP connection dropped by the suite".to_owned()),
            Self::ReadingStopped => (Client, "stops reading".to_owned()),
            Self::ReadingResumed => (Client, "reads again".to_owned()),
            Self::Text(received) => (Server, received.text.to_string()),
            Self::Binary(bytes) => (Server, hex(bytes)),
            Self::Pong(data) => (Server, hex(data)),
            Self::Close { code, reason } => (Server, close_words(*code, reason)),
            Self::WebSocketError(error) => (Server, error.clone()),
            Self::Ended { error: None } => (Server, "TCP connection ended".to_owned()),
            Self::Ended { error: Some(error) } => {
                (Server, format!("TCP connection ended: {error}"))
            }
            Self::HttpRequest { path } => (Client, format!("GET {path}")),
            Self::HttpResponse { status, body } => (Server, format!("{status} {body}")),
            Self::Server(event) => {
                let words = match event {
                    ServerEvent::Terminated => "SIGTERM: the server is told to end",
                    ServerEvent::Killed => "SIGKILL: the server is ended",
                    ServerEvent::Restarted => "the server has been started again",
                };
                (Client, words.to_owned())
            }
        }
    }
}

/// A close in words: `close 1002 "protocol: …"`.
pub fn close_words(code: u16, reason: &str) -> String {
    match (code, reason) {
        (1005, _) => "close without a code".to_owned(),
        (_, "") => format!("close {code} without a reason"),
        _ => format!("close {code} {reason:?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let digits: String = bytes
        .iter()
        .take(SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    format!("{digits}{more} ({} bytes)", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_name_are_told_apart() {
        let mut trace = Trace::new("d");
        let first = trace.add_connection("A");
        let second = trace.add_connection("A");
        assert_eq!((trace.name(first), trace.name(second)), ("A", "A#2"));
    }

    #[test]
    fn long_texts_are_cut_in_the_middle_with_their_length() {
        let mut trace = Trace::new("d");
        let on = trace.add_connection("A");
        let text = format!("start{}end", "x".repeat(5_000));
        trace.push(
            Duration::ZERO,
            Some(on),
            What::SentText {
                text: text.into(),
                fragments: 1,
            },
        );
        let content = &trace.report()[0].content;
        assert!(
            content.starts_with("start") && content.ends_with("end"),
            "{content}"
        );
        assert!(content.contains("…5008 bytes…"), "{content}");
    }
}
