//! The messages of the wire. One struct a message; the two unions add the `type`.
//!
//! Types drop the fields that they do not know, as receivers must (`transport.unknown-fields`); who
//! grades a frame validates the raw JSON against the schema first.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::id::{CowStr, ElementId, Integer, MAX_INTEGER, Name};
pub use crate::op::{Count, Delete, Insert, Op, RunText, SingleDelete, SingleInsert, SingleOp};
use crate::op::{LEAST_RUN, MOST_RUN, Untyped};

/// Any message that a client sends; its ops are of the type `O`, [`SingleOp`] for a connection that
/// has the profile `runs` off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[serde(from = "Object<ClientFields<O>>")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
pub enum ClientMessage<O = Op> {
    /// The first message of a connection.
    Hello(Hello),
    /// One edit.
    Op(OpSubmission<O>),
    /// What the client shows of itself (profile `presence`).
    PresenceUpdate(PresenceUpdate),
}

/// Any message that a server sends; its ops are of the type `O`, [`SingleOp`] for a connection that
/// has the profile `runs` off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[serde(from = "Object<ServerFields<O>>")]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
pub enum ServerMessage<O = Op> {
    /// The answer to `hello`.
    HelloAck(HelloAck),
    /// A snapshot of the document.
    Resync(Resync<O>),
    /// An accepted op.
    OpEcho(OpEcho<O>),
    /// What another client shows of itself (profile `presence`).
    PresenceUpdate(PresenceUpdate),
    /// What all others show of themselves (profile `presence`).
    PresenceSnapshot(PresenceSnapshot),
}

/// `hello`: the first message of a client on a connection. It names the document, the client and
/// the last `server_seq` that the client has integrated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "hello", example = json!({"type":"hello","doc_id":"doc-123","client_id":"A","last_seen_server_seq":42}))]
pub struct Hello {
    /// The document that the connection serves from now on.
    pub doc_id: Name,
    /// The client; also the `replica_id` of every element that it inserts.
    pub client_id: Name,
    /// The greatest `server_seq` that the client has integrated; 0 where it has none.
    #[serde(default)]
    pub last_seen_server_seq: Integer,
    /// The profiles that the client asks for; unknown ones are ignored.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Vec<String>")]
    pub capabilities: Option<Vec<String>>,
    /// Profile `resume`: the epoch to which `last_seen_server_seq` belongs. Any value where the
    /// profile is not asked for, since the field is unknown then.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Name")]
    pub epoch: Option<Value>,
}

impl Hello {
    /// The epoch to which `last_seen_server_seq` belongs, for a client that asks for the profile
    /// `resume`.
    ///
    /// Errors: a value that is no name.
    pub fn epoch(&self) -> Result<Option<Name>, serde_json::Error> {
        self.epoch.as_ref().map(Name::deserialize).transpose()
    }
}

/// `op`: a client submits one edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "op", example = json!({"type":"op","doc_id":"doc-123","client_id":"A","client_msg_id":"m-1","op":{"type":"ins","parent_id":[0,"root"],"id":[1001,"A"],"value":"H"}}))]
pub struct OpSubmission<O = Op> {
    /// The document of the connection's `hello`.
    pub doc_id: Name,
    /// The client of the connection's `hello`.
    pub client_id: Name,
    /// The client's own name for this op; a resent op keeps it.
    pub client_msg_id: Name,
    /// The edit.
    pub op: O,
    /// Profile `resume`: the epoch in which the op was made. Any value where the profile is off,
    /// since the field is unknown then.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Name")]
    pub epoch: Option<Value>,
}

impl<O> OpSubmission<O> {
    /// The epoch in which the op was made, for a connection with the profile `resume`.
    ///
    /// Errors: a value that is no name.
    pub fn epoch(&self) -> Result<Option<Name>, serde_json::Error> {
        self.epoch.as_ref().map(Name::deserialize).transpose()
    }
}

/// `hello_ack`: the server's first message, with the document's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "hello_ack", example = json!({"type":"hello_ack","doc_id":"doc-123","server_seq":43}))]
pub struct HelloAck {
    /// The document of the `hello`.
    pub doc_id: Name,
    /// The `server_seq` of the last accepted op; 0 where there is none.
    pub server_seq: Integer,
    /// The profiles that are on for this connection, where the `hello` asked for any.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Vec<String>")]
    pub capabilities: Option<Vec<String>>,
    /// Profile `resume`: the epoch of the document's history.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Name")]
    pub epoch: Option<Name>,
    /// Profile `resume`: how the client is brought to the head.
    #[serde(
        default,
        deserialize_with = "present_word",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "SyncKind")]
    pub sync: Option<SyncKind>,
    /// Profile `runs`: how large the client's ops and messages may be.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Limits")]
    pub limits: Option<Limits>,
}

/// How large a client's ops and messages may be.
///
/// Source: `runs.limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// The greatest number of elements of one op.
    #[serde(deserialize_with = "run_limit")]
    #[schemars(range(min = LEAST_RUN, max = MOST_RUN))]
    pub max_run: Integer,
    /// The greatest message, in bytes of UTF-8.
    #[serde(deserialize_with = "message_limit")]
    #[schemars(range(min = 65_536, max = 16_777_216))]
    pub max_message_bytes: Integer,
}

/// How a client is brought to the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncKind {
    /// By the ops that it has missed, which may be none.
    Replay,
    /// By a `resync`.
    Resync,
}

/// `resync`: the whole text after all ops up to `server_seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "resync", example = json!({"type":"resync","doc_id":"doc-123","server_seq":100,"full_text":"Hello"}))]
#[serde(bound(deserialize = "O: Deserialize<'de>"))]
pub struct Resync<O = Op> {
    /// The document of the `hello`.
    pub doc_id: Name,
    /// The last op that the text holds.
    pub server_seq: Integer,
    /// The visible text.
    pub full_text: String,
    /// Profile `state`: the elements behind the text.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "State<O>")]
    pub state: Option<State<O>>,
}

/// Profile `state`: all that a client needs to go on editing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "State")]
pub struct State<O = Op> {
    /// The elements in document order, tombstones included; adjacent spans that could be one are one.
    pub elements: Vec<Span>,
    /// The ops that still wait for an element, each once, in no order that means anything.
    pub pending: Vec<O>,
}

/// Elements of one replica with consecutive lamports, adjacent in document order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Span {
    /// Elements that are not deleted.
    Text {
        /// The first element's id.
        id: ElementId,
        /// The values, one scalar value an element.
        #[schemars(length(min = 1))]
        text: String,
    },
    /// Tombstones.
    Deleted {
        /// The first element's id.
        id: ElementId,
        /// How many.
        #[schemars(range(min = 1))]
        deleted: Integer,
    },
}

impl Span {
    /// The first element's id.
    pub fn id(&self) -> &ElementId {
        match self {
            Self::Text { id, .. } | Self::Deleted { id, .. } => id,
        }
    }

    /// The values of elements that are not deleted.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::Deleted { .. } => None,
        }
    }

    /// How many elements there are.
    pub fn elements(&self) -> u64 {
        match self {
            Self::Text { text, .. } => text.chars().count() as u64,
            Self::Deleted { deleted, .. } => deleted.value(),
        }
    }

    /// The ids of the elements, up to the greatest that there is: a wrong server may claim any number.
    pub fn ids(&self) -> impl Iterator<Item = ElementId> {
        let first = self.id();
        let lamports = (first.lamport()..).zip(0..self.elements());
        lamports.map_while(|(lamport, _)| {
            ElementId::new(Integer::new(lamport)?, first.replica_id().clone())
        })
    }

    /// Whether the next span's elements could be this one's as well.
    ///
    /// Source: `state.canonical`.
    pub fn goes_on_in(&self, next: &Self) -> bool {
        self.text().is_some() == next.text().is_some()
            && self.id().replica_id() == next.id().replica_id()
            && self.id().lamport().checked_add(self.elements()) == Some(next.id().lamport())
    }
}

/// A span's fields before it is known which kind it is: what the other kind defines is unknown to it.
#[derive(Deserialize)]
struct SpanFields<'a> {
    id: ElementId,
    #[serde(borrow, default)]
    text: Untyped<'a>,
    #[serde(borrow, default)]
    deleted: Untyped<'a>,
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(SpanFields { id, text, deleted }) = Object::deserialize(deserializer)?;
        if let Untyped::Text(text) = text
            && !text.is_empty()
        {
            let text = text.into_owned();
            return Ok(Self::Text { id, text });
        }
        let deleted = match deleted {
            Untyped::Integer(count) if count > 0 => Integer::new(count),
            _ => None,
        };
        deleted
            .map(|deleted| Self::Deleted { id, deleted })
            .ok_or_else(|| D::Error::custom("a span has a text, or how many are deleted"))
    }
}

/// `presence_update`: what a client shows of itself beside its ops, such as its cursor. The server
/// passes it to the document's other connections with the profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "presence_update", example = json!({"type":"presence_update","doc_id":"doc-123","client_id":"A","state":{"cursor":{"anchor_id":[1001,"A"],"affinity":"right"}}}))]
pub struct PresenceUpdate {
    /// The document of the connection's `hello`.
    pub doc_id: Name,
    /// The client whose state it is.
    pub client_id: Name,
    /// The state, opaque to the server; null when the client shows nothing any more.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(schema_with = "object_or_null")]
    pub state: Option<Map<String, Value>>,
}

/// `presence_snapshot`: the states of the document's clients, once after the sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "presence_snapshot", example = json!({"type":"presence_snapshot","doc_id":"doc-123","states":{"A":{"cursor":{"anchor_id":[1001,"A"],"affinity":"right"}}}}))]
pub struct PresenceSnapshot {
    /// The document of the `hello`.
    pub doc_id: Name,
    /// By `client_id`.
    pub states: BTreeMap<Name, Map<String, Value>>,
}

/// `op_echo`: an accepted op, sent to every connection of its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "op_echo", example = json!({"type":"op_echo","doc_id":"doc-123","server_seq":43,"origin_client_id":"A","client_msg_id":"m-1","op":{"type":"ins","parent_id":[0,"root"],"id":[1001,"A"],"value":"H"}}))]
pub struct OpEcho<O = Op> {
    /// The document of the op.
    pub doc_id: Name,
    /// The op's place in the document's one order, from 1.
    #[serde(deserialize_with = "from_1")]
    #[schemars(range(min = 1))]
    pub server_seq: Integer,
    /// The `client_id` of the client that submitted the op.
    pub origin_client_id: Name,
    /// The `client_msg_id` under which it was accepted.
    pub client_msg_id: Name,
    /// The edit, as submitted.
    pub op: O,
}

/// Reads a field that may be missing, but is not null.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads one of several words. The derived reading also takes an object with the word for its key, which
/// is no string (`close.schema`).
pub(crate) fn word<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let CowStr(word) = CowStr::deserialize(deserializer)?;
    T::deserialize(word.into_deserializer())
}

/// Reads one of several words that may be missing.
fn present_word<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    word(deserializer).map(Some)
}

/// Reads an object that may be missing.
fn present_object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| Some(value))
}

/// A field that must be there, though it may be null.
fn object_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["object", "null"] })
}

/// Reads an integer of 1 … 2^53−1.
fn from_1<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Integer, D::Error> {
    bounded(deserializer, 1..=MAX_INTEGER)
}

/// Reads an integer within bounds.
fn bounded<'de, D: Deserializer<'de>>(
    deserializer: D,
    bounds: RangeInclusive<u64>,
) -> Result<Integer, D::Error> {
    let integer = Integer::deserialize(deserializer)?;
    if !bounds.contains(&integer.value()) {
        let (least, most) = bounds.into_inner();
        return Err(D::Error::custom(format_args!(
            "{} is not from {least} to {most}",
            integer.value()
        )));
    }
    Ok(integer)
}

fn run_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Integer, D::Error> {
    bounded(deserializer, LEAST_RUN..=MOST_RUN)
}

fn message_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Integer, D::Error> {
    bounded(deserializer, 65_536..=16_777_216)
}

impl From<ClientMessage<SingleOp>> for ClientMessage {
    fn from(message: ClientMessage<SingleOp>) -> Self {
        match message {
            ClientMessage::Hello(hello) => Self::Hello(hello),
            ClientMessage::Op(submission) => Self::Op(OpSubmission {
                doc_id: submission.doc_id,
                client_id: submission.client_id,
                client_msg_id: submission.client_msg_id,
                op: submission.op.into(),
                epoch: submission.epoch,
            }),
            ClientMessage::PresenceUpdate(update) => Self::PresenceUpdate(update),
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientFields<O> {
    Hello(Hello),
    Op(OpSubmission<O>),
    PresenceUpdate(PresenceUpdate),
}

impl<O> From<Object<ClientFields<O>>> for ClientMessage<O> {
    fn from(Object(fields): Object<ClientFields<O>>) -> Self {
        match fields {
            ClientFields::Hello(hello) => Self::Hello(hello),
            ClientFields::Op(op) => Self::Op(op),
            ClientFields::PresenceUpdate(update) => Self::PresenceUpdate(update),
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerFields<O> {
    HelloAck(HelloAck),
    Resync(Resync<O>),
    OpEcho(OpEcho<O>),
    PresenceUpdate(PresenceUpdate),
    PresenceSnapshot(PresenceSnapshot),
}

impl<O> From<Object<ServerFields<O>>> for ServerMessage<O> {
    fn from(Object(fields): Object<ServerFields<O>>) -> Self {
        match fields {
            ServerFields::HelloAck(ack) => Self::HelloAck(ack),
            ServerFields::Resync(resync) => Self::Resync(resync),
            ServerFields::OpEcho(echo) => Self::OpEcho(echo),
            ServerFields::PresenceUpdate(update) => Self::PresenceUpdate(update),
            ServerFields::PresenceSnapshot(snapshot) => Self::PresenceSnapshot(snapshot),
        }
    }
}

/// What is read from a JSON object alone. The derived reading also takes an array of the fields'
/// values, which is no message (`close.not-json`, `close.schema`).
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
