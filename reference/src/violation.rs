//! Every breach that ends a connection, and the one table from breach to close frame.
//!
//! Deliberately absent: the checks themselves, which stand where the facts are: in the connection
//! for what concerns one message, in the document for the rules on ids.

use collab_spec::close::CloseCode;

/// What a client did against the protocol.
///
/// Source: section 10 of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The bytes are not WebSocket frames. Source: RFC 6455, section 7.4.1.
    Framing,
    /// A message is over the server's limit. Source: `close.too-big`.
    MessageTooBig,
    /// A text message is not UTF-8. Source: `close.not-utf8`.
    NotUtf8,
    /// A message is binary. Source: `close.binary`.
    Binary,
    /// A message does not fit the schema of a client's message. Source: `close.not-json`,
    /// `close.unknown-type`, `close.schema`, `resume.op-epoch-invalid`, `runs.schema`,
    /// `presence.schema`.
    Malformed,
    /// The first message is not a `hello`. Source: `close.no-hello`.
    NoHello,
    /// No `hello` has come in time. Source: `close.hello-timeout`.
    HelloTimeout,
    /// A `hello` has come before. Source: `close.second-hello`.
    SecondHello,
    /// The message names another document. Source: `close.other-doc`, `presence.ids`.
    OtherDocument,
    /// The message names another client. Source: `close.other-client`, `presence.ids`.
    OtherClient,
    /// The op was made in another history. Source: `resume.other-op-epoch`.
    OtherEpoch,
    /// What the client shows of itself is too long. Source: `presence.too-big`.
    StateTooBig,
    /// The op has too many elements. Source: `runs.max-run`.
    RunTooLong,
    /// The op's `client_msg_id` stands for another op. Source: `submit.msg-id-reused`.
    MessageIdReused,
    /// The insert's id is of another replica. Source: `crdt.own-replica`.
    ForeignReplica,
    /// The insert's lamport is not above its parent's. Source: `crdt.lamport-above-parent`.
    LamportNotAboveParent,
    /// The insert's ids are, in part or all, those of other inserts. Source: `submit.id-taken`,
    /// `runs.overlap`.
    ElementIdTaken,
    /// The client does not read what is sent to it. Source: `slow.ceiling`.
    TooSlow,
}

impl Violation {
    /// The close code and the close reason.
    ///
    /// Source: section 10 of the protocol, `close.reason`.
    pub fn close(self) -> (CloseCode, &'static str) {
        use CloseCode::{
            InvalidPayload, MessageTooBig, PolicyViolation, ProtocolError, TryAgainLater,
            Unsupported,
        };
        match self {
            Self::Framing => (ProtocolError, "protocol: not valid WebSocket frames"),
            Self::MessageTooBig => (MessageTooBig, "the message is over the size limit"),
            Self::NotUtf8 => (InvalidPayload, "the text is not UTF-8"),
            Self::Binary => (Unsupported, "protocol: binary messages are not supported"),
            Self::Malformed => (ProtocolError, "protocol: not a valid message of a client"),
            Self::NoHello => (ProtocolError, "protocol: the first message must be a hello"),
            Self::HelloTimeout => (ProtocolError, "protocol: no hello came in time"),
            Self::SecondHello => (Unsupported, "protocol: hello was said before"),
            Self::OtherDocument => (PolicyViolation, "protocol: doc_id is not that of the hello"),
            Self::OtherClient => (
                PolicyViolation,
                "protocol: client_id is not that of the hello",
            ),
            Self::OtherEpoch => (
                PolicyViolation,
                "protocol: epoch is not that of the document",
            ),
            Self::StateTooBig => (MessageTooBig, "the presence state is over 4096 bytes"),
            Self::RunTooLong => (MessageTooBig, "the op has more than max_run elements"),
            Self::MessageIdReused => (
                PolicyViolation,
                "protocol: client_msg_id stands for another op",
            ),
            Self::ForeignReplica => (
                PolicyViolation,
                "protocol: replica_id of an insert must be the client_id",
            ),
            Self::LamportNotAboveParent => (
                PolicyViolation,
                "protocol: lamport must be above that of the parent",
            ),
            Self::ElementIdTaken => (
                PolicyViolation,
                "protocol: the id stands for another insert",
            ),
            Self::TooSlow => (TryAgainLater, "too many messages wait for this client"),
        }
    }
}
