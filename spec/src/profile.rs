//! The profiles of the protocol. `core` is what every server speaks; the others are negotiated for
//! each connection by `capabilities`, and are not specified yet.

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
}

impl Profile {
    /// Every profile that the specification defines.
    pub const ALL: [Self; 1] = [Self::Core];

    /// The name on the wire and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
