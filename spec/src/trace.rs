//! One line of captured traffic: what `run --trace` writes and `verify` reads.
//!
//! Deliberately absent: what the lines mean together; that is the suite's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::report::Sender;

/// One event on a connection, as JSON on a line of its own. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "trace-line", example = json!({"at_us":1_250,"connection":"A","from":"client","kind":"text","content":"{\"type\":\"hello\",\"doc_id\":\"doc-123\",\"client_id\":\"A\"}"}))]
pub struct TraceLine {
    /// Microseconds since any moment, the same for all lines of a capture.
    #[serde(default)]
    pub at_us: u64,
    /// The connection: a name that no other one of the capture has at the time.
    #[serde(default)]
    pub connection: String,
    /// Who did it.
    pub from: Sender,
    /// What happened.
    pub kind: TraceKind,
    /// The text of a message; of another event words for people, which nothing reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The text of a message in place of `content`, where that says more than it; of a `server` line
    /// `terminated`, `killed` or `restarted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes of a binary message, of a ping or pong, or of a text message that is not UTF-8, in
    /// base64 (RFC 4648, section 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The code of a `close`; without one, the frame had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The reason of a `close`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a line of captured traffic tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceKind {
    /// The WebSocket is open; from here on the capture has all of the connection.
    Open,
    /// A text message, whole.
    Text,
    /// A binary message, whole.
    Binary,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close frame.
    Close,
    /// The TCP connection ended; the name is free again.
    End,
    /// From the server: a breach of RFC 6455. From the client: its last message was not sent.
    Error,
    /// The client stops reading.
    Pause,
    /// The client reads again.
    Resume,
    /// The server was told to end, was killed, or runs again; `text` says which.
    Server,
    /// A request or an answer over HTTP; nothing reads it.
    Http,
}

impl TraceKind {
    /// The kind as the wire has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close => "close",
            Self::End => "end",
            Self::Error => "error",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Server => "server",
            Self::Http => "http",
        }
    }
}
