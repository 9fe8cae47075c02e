//! The close codes of the protocol, one table.
//!
//! Deliberately absent: which breach leads to which code in a server; that is the server's table.

/// A WebSocket close code that a server may use, as the error table of the specification has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// 1000: the answer to a client's normal close.
    Normal = 1000,
    /// 1001: the server shuts down in good order, or answers a client that goes away.
    GoingAway = 1001,
    /// 1002: not JSON, not an object, unknown `type`, not fitting its schema; no `hello` first or in time.
    ProtocolError = 1002,
    /// 1003: a binary message; a second `hello`.
    Unsupported = 1003,
    /// 1007: a text message that is not UTF-8.
    InvalidPayload = 1007,
    /// 1008: another `doc_id` or `client_id` than the connection's; a breach of the rules on ids; with
    /// `resume`, an op of another epoch.
    PolicyViolation = 1008,
    /// 1009: a message over the server's size limit; with `presence`, a `state` over 4,096 bytes; with
    /// `runs`, an op of more than `max_run` elements.
    MessageTooBig = 1009,
    /// 1013: the client reads too slowly.
    TryAgainLater = 1013,
}

impl CloseCode {
    /// Every code that a conforming server may send first or in answer.
    pub const ALL: [Self; 8] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::Unsupported,
        Self::InvalidPayload,
        Self::PolicyViolation,
        Self::MessageTooBig,
        Self::TryAgainLater,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The table's entry for a number on the wire, or nothing where the table has none.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Whether the close reason must start with [`REASON_PREFIX`].
    ///
    /// Source: `close.reason`.
    pub fn has_protocol_reason(self) -> bool {
        matches!(
            self,
            Self::ProtocolError | Self::Unsupported | Self::PolicyViolation
        )
    }
}

/// What the reasons of 1002, 1003 and 1008 start with.
///
/// Source: `close.reason`.
pub const REASON_PREFIX: &str = "protocol: ";

/// The greatest length of a close reason, in bytes (RFC 6455, section 5.5).
pub const MAX_REASON_BYTES: usize = 123;
