//! The table of frames: single messages, each with the verdict of the specification.
//!
//! A client's message stands as it would be sent in a connection that has said `hello` for the
//! document `${doc}` as client `A` (a `hello` stands as a connection's first message). A server's
//! message stands for itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::profile::Profile;

/// A file of the table: the frames of one message.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "frames", example = json!({"message":"op","frames":[{"name":"array","valid":false,"requirements":["close.not-json"],"text":"[]"}]}))]
pub struct FrameTable {
    /// The schema that the file follows, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The message that the frames are, or fail to be.
    pub message: MessageType,
    /// The rows.
    pub frames: Vec<FrameRow>,
}

/// One frame and its verdict.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrameRow {
    /// The row's name, unique in its file.
    #[schemars(regex(pattern = "^[a-z0-9-]+$"))]
    pub name: String,
    /// The text message, literally.
    pub text: String,
    /// The profile that must be on for the row to be graded.
    #[serde(default)]
    pub profile: Profile,
    /// Whether the frame is valid; where a client's is not, the server closes with 1002.
    pub valid: bool,
    /// The requirement that decides, and others that the frame touches.
    #[schemars(length(min = 1))]
    pub requirements: Vec<String>,
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// From the client.
    Hello,
    /// From the client.
    Op,
    /// From the server.
    HelloAck,
    /// From the server.
    Resync,
    /// From the server.
    OpEcho,
    /// From the client, or from the server.
    PresenceUpdate,
    /// From the server.
    PresenceSnapshot,
}

impl MessageType {
    /// Every message that the specification defines.
    pub const ALL: [Self; 7] = [
        Self::Hello,
        Self::Op,
        Self::HelloAck,
        Self::Resync,
        Self::OpEcho,
        Self::PresenceUpdate,
        Self::PresenceSnapshot,
    ];

    /// The `type` on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Op => "op",
            Self::HelloAck => "hello_ack",
            Self::Resync => "resync",
            Self::OpEcho => "op_echo",
            Self::PresenceUpdate => "presence_update",
            Self::PresenceSnapshot => "presence_snapshot",
        }
    }

    /// The profile without which nobody sends it.
    pub fn profile(self) -> Profile {
        match self {
            Self::PresenceUpdate | Self::PresenceSnapshot => Profile::Presence,
            Self::Hello | Self::Op | Self::HelloAck | Self::Resync | Self::OpEcho => Profile::Core,
        }
    }

    /// Whether a client sends it (a server may as well).
    pub fn is_client(self) -> bool {
        matches!(self, Self::Hello | Self::Op | Self::PresenceUpdate)
    }
}
