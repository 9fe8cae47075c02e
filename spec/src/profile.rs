//! The profiles of the protocol. `core` is what every server speaks; the others are negotiated for
//! each connection by `capabilities`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A profile of the protocol.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// What every server speaks.
    #[default]
    Core,
    /// Epochs: a history is told apart from another, and a client at the head gets nothing again.
    Resume,
    /// A resync carries the elements, so that who joins by it can edit.
    State,
    /// Ops of several elements.
    Runs,
    /// Cursors and the like, beside the ops.
    Presence,
}

impl Profile {
    /// Every profile that the specification defines.
    pub const ALL: [Self; 5] = [
        Self::Core,
        Self::Resume,
        Self::State,
        Self::Runs,
        Self::Presence,
    ];

    /// The profile of a name on the wire, or nothing where the specification has none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The name on the wire and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Resume => "resume",
            Self::State => "state",
            Self::Runs => "runs",
            Self::Presence => "presence",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
