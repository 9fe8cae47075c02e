//! Scenario files: one behaviour each, as literal steps that a suite in any language can play.
//!
//! Deliberately absent: loops, conditions, sleeps. What needs them is a code case of a suite.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::close::CloseCode;
use crate::profile::Profile;
use crate::requirement;

/// A scenario: a short conversation with a server and what must come back.
///
/// Strings may hold `${doc}`, which stands for a document id that is fresh for each run and 26
/// characters long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "scenario", example = json!({"id":"transport/ack","title":"a hello is answered with an ack","requirements":["session.ack-first"],"steps":[{"step":"connect","on":"A"},{"step":"send","on":"A","frame":{"type":"hello","doc_id":"${doc}","client_id":"A"}},{"step":"expect","on":"A","frame":{"type":"hello_ack","doc_id":"${doc}","server_seq":0}}]}))]
pub struct Scenario {
    /// The schema that the file follows, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The id: the file's path below `scenarios`, without the ending.
    #[schemars(regex(pattern = "^[a-z0-9-]+/[a-z0-9-]+$"))]
    pub id: String,
    /// What a right server does here, in one line.
    pub title: String,
    /// The profile that the scenario belongs to, which the server must offer.
    #[serde(default)]
    pub profile: Profile,
    /// Further profiles that the server must offer for the scenario to be played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Profile>,
    /// The requirements that the scenario tests, the one that it is about first.
    #[schemars(length(min = 1))]
    pub requirements: Vec<String>,
    /// What happens, in order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
}

/// One or several names of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Connections {
    /// One connection.
    One(String),
    /// Several connections, each for itself.
    Several(Vec<String>),
}

impl Connections {
    /// The names, in the file's order.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// One step of a scenario.
///
/// An expected frame is a pattern. An object matches when every field of the pattern matches
/// (other fields may be there), an array when it has as many items and all match, anything else
/// when it is equal, a number whatever way it is written. In a pattern `{"$bind":NAME}` matches any
/// value and remembers it, `{"$var":NAME}` matches the value remembered, `{"$any":true}` matches any
/// value and `{"$absent":true}` matches where the field is missing. In frames that are sent,
/// `{"$var":NAME}` stands for the value remembered.
///
/// Every text message of a server must be expected by some step, in the order in which the
/// connection gets them: a message that comes where another is expected fails the scenario.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Opens a WebSocket and names it.
    Connect {
        /// The new connection.
        on: Connections,
        /// Why the step is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Opens a WebSocket, sends `hello` with `last_seen_server_seq` 0, and expects exactly
    /// `hello_ack` and a `resync`, both at the head; where `capabilities` has `presence`, also one
    /// `presence_snapshot`.
    Join {
        /// The new connection; also its `client_id` where none is given.
        on: String,
        /// The `client_id` of the `hello`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The `doc_id` of the `hello`; `${doc}` where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doc_id: Option<String>,
        /// The `capabilities` of the `hello`, all of which must be granted; none are asked for where
        /// there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        capabilities: Vec<Profile>,
        /// The `server_seq` that the ack and the resync must carry.
        #[serde(default)]
        head: u64,
        /// The `full_text` that the resync must carry.
        #[serde(default)]
        text: String,
        /// The requirement that is broken when the text or the head is another. Where none is
        /// given: `session.new-document` for the head 0, else the first of the scenario.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// Sends a frame as one text message.
    Send {
        /// The sending connection.
        on: String,
        /// The frame.
        frame: Value,
        /// Why the step is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Sends a text message as it is written here.
    SendText {
        /// The sending connection.
        on: String,
        /// The text, which need not be JSON.
        text: String,
    },
    /// Sends one text message in several WebSocket frames.
    SendFragments {
        /// The sending connection.
        on: String,
        /// The parts of the text, one a frame.
        #[schemars(length(min = 2))]
        fragments: Vec<String>,
    },
    /// Sends a message of bytes.
    SendBytes {
        /// The sending connection.
        on: String,
        /// Whether the message says that it is text or binary.
        kind: BytesKind,
        /// The bytes, two hexadecimal digits each.
        #[schemars(regex(pattern = "^([0-9a-f]{2})*$"))]
        hex: String,
    },
    /// Expects the next message of each named connection to match a pattern.
    Expect {
        /// The connections.
        on: Connections,
        /// The pattern.
        frame: Value,
        /// The requirement that is broken when another message, or none, comes; the first of the
        /// scenario where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// Expects the next messages of each named connection to match the patterns, in any order.
    ExpectUnordered {
        /// The connections.
        on: Connections,
        /// The patterns, each for one message.
        #[schemars(length(min = 2))]
        frames: Vec<Value>,
        /// As in `expect`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// Expects the server to close the connection next, with one of the codes.
    ExpectClose {
        /// The connection.
        on: String,
        /// The close codes that are right here; 1006 stands for an end without a close frame.
        #[schemars(length(min = 1))]
        codes: Vec<u16>,
        /// As in `expect`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// Shows that nothing else has come: `via` inserts an element at the root and deletes it again,
    /// and the two echoes must be the next messages of every named connection.
    Barrier {
        /// The connection that sends the two ops.
        via: String,
        /// The connections that must get nothing before them.
        on: Connections,
        /// The requirement that is broken when something comes before them; the first of the
        /// scenario where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requirement: Option<String>,
    },
    /// Closes the connection with the WebSocket closing handshake and code 1000.
    Disconnect {
        /// The connection.
        on: String,
    },
    /// Drops the TCP connection without a close frame.
    Drop {
        /// The connection.
        on: String,
    },
    /// Stops reading from the connection's socket.
    StopReading {
        /// The connection.
        on: String,
    },
    /// Reads from the connection's socket again.
    ResumeReading {
        /// The connection.
        on: String,
    },
    /// Makes an HTTP GET request beside the WebSocket's address.
    Get {
        /// The path, such as `/health`.
        path: String,
        /// The status that must come.
        status: u16,
        /// The pattern that the JSON body must match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
}

impl Step {
    /// The connections that the step opens.
    pub fn opens(&self) -> &[String] {
        match self {
            Self::Connect { on, .. } => on.names(),
            Self::Join { on, .. } => std::slice::from_ref(on),
            _ => &[],
        }
    }

    /// The connections that must be open before the step.
    pub fn uses(&self) -> Vec<&str> {
        match self {
            Self::Connect { .. } | Self::Join { .. } | Self::Get { .. } => Vec::new(),
            Self::Send { on, .. }
            | Self::SendText { on, .. }
            | Self::SendFragments { on, .. }
            | Self::SendBytes { on, .. }
            | Self::ExpectClose { on, .. }
            | Self::Disconnect { on }
            | Self::Drop { on }
            | Self::StopReading { on }
            | Self::ResumeReading { on } => vec![on],
            Self::Expect { on, .. } | Self::ExpectUnordered { on, .. } => {
                on.names().iter().map(String::as_str).collect()
            }
            Self::Barrier { via, on, .. } => std::iter::once(via)
                .chain(on.names())
                .map(String::as_str)
                .collect(),
        }
    }

    /// The requirement that the step names itself.
    pub fn requirement(&self) -> Option<&str> {
        match self {
            Self::Join { requirement, .. }
            | Self::Expect { requirement, .. }
            | Self::ExpectUnordered { requirement, .. }
            | Self::ExpectClose { requirement, .. }
            | Self::Barrier { requirement, .. } => requirement.as_deref(),
            _ => None,
        }
    }

    /// Whether a failure of the step names the requirement, in a scenario that is about `about`.
    fn names(&self, requirement: &str, about: &str) -> bool {
        let standard = match self {
            Self::Join { head: 0, .. } => "session.new-document",
            Self::Disconnect { .. } => "close.client-close",
            _ => about,
        };
        self.looks() && self.requirement().unwrap_or(standard) == requirement
    }

    /// Whether a server can fail the step.
    pub fn looks(&self) -> bool {
        !matches!(
            self,
            Self::Connect { .. }
                | Self::Send { .. }
                | Self::SendText { .. }
                | Self::SendFragments { .. }
                | Self::SendBytes { .. }
                | Self::Drop { .. }
                | Self::StopReading { .. }
                | Self::ResumeReading { .. }
        )
    }
}

impl Scenario {
    /// What no schema can say is wrong, a sentence each: requirements that do not exist, connections
    /// opened twice or not at all, close codes that no server may send, nothing looked at.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.title.trim().is_empty() || self.title.chars().count() > 100 {
            problems.push("/title: a title has 1 to 100 characters".to_owned());
        }
        for (index, id) in self.requirements.iter().enumerate() {
            if requirement::find(id).is_none() {
                problems.push(format!(
                    "/requirements/{index}: the specification has no {id:?}"
                ));
            }
        }
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for (index, step) in self.steps.iter().enumerate() {
            let mut wrong = |what: String| problems.push(format!("/steps/{index}: {what}"));
            for name in step.opens() {
                if !open.insert(name) {
                    wrong(format!("the connection {name:?} is opened twice"));
                }
            }
            for name in step.uses() {
                if !open.contains(name) {
                    wrong(format!("the connection {name:?} is not open"));
                }
            }
            if let Some(id) = step.requirement()
                && requirement::find(id).is_none()
            {
                wrong(format!("the specification has no requirement {id:?}"));
            }
            if let Step::ExpectClose { codes, .. } = step {
                let unknown = codes.iter().find(|code| !is_close_code(**code));
                if let Some(code) = unknown {
                    wrong(format!("no server may close with {code}"));
                }
            }
        }
        let about = self.requirements.first().map_or("", String::as_str);
        if !self.steps.iter().any(|step| step.names(about, about)) {
            problems.push(format!(
                "/requirements/0: no step that fails names {about:?}, which the scenario is about"
            ));
        }
        if !self.steps.iter().any(Step::looks) {
            problems.push("/steps: no step looks at what the server does".to_owned());
        }
        problems
    }
}

fn is_close_code(code: u16) -> bool {
    code == 1006 || CloseCode::from_code(code).is_some()
}

/// What a message of bytes says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BytesKind {
    /// A text message, whose bytes should be UTF-8.
    Text,
    /// A binary message.
    Binary,
}
