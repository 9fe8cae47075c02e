//! Which profiles are on for a connection.
//!
//! Deliberately absent: what they do; that stands where core does the same without them.

use collab_spec::profile::Profile;

/// The profiles of one connection, beside `core`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    /// Epochs, in the ack and in ops.
    pub resume: bool,
    /// The elements in a resync.
    pub state: bool,
    /// Ops of several elements.
    pub runs: bool,
    /// What clients show of themselves.
    pub presence: bool,
}

impl Profiles {
    /// What a server with `offered` turns on for a client that asked for `asked`. Neither `core`, which
    /// is always on, nor unknown names count.
    ///
    /// Source: `profiles.ack`, `profiles.unknown-ignored`.
    pub fn negotiate(asked: &[String], offered: &[Profile]) -> Self {
        let on = |profile: Profile| {
            offered.contains(&profile) && asked.iter().any(|name| name == profile.name())
        };
        Self {
            resume: on(Profile::Resume),
            state: on(Profile::State),
            runs: on(Profile::Runs),
            presence: on(Profile::Presence),
        }
    }

    /// Their names on the wire, in the order of the specification.
    pub fn names(self) -> Vec<String> {
        [
            (self.resume, Profile::Resume),
            (self.state, Profile::State),
            (self.runs, Profile::Runs),
            (self.presence, Profile::Presence),
        ]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, profile)| profile.name().to_owned())
        .collect()
    }
}
