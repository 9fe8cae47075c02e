//! What a server offers, and its limits, each with its unit, its default and what it may be.
//!
//! Deliberately absent: the address and the log format, which are the program's.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use collab_spec::op::{LEAST_RUN, MOST_RUN};
use collab_spec::profile::Profile;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What [`Config::max_message_bytes`] may be. Source: `transport.takes-64k`, `transport.bounds-16m`.
pub const MESSAGE_BYTES: RangeInclusive<usize> = 64 * KIB..=16 * MIB;

/// What [`Config::max_waiting_bytes`] may be. Source: `slow.floor`, `slow.ceiling`.
pub const WAITING_BYTES: RangeInclusive<usize> = MIB..=15 * MIB;

/// What [`Config::max_run`] may be, in elements. Source: `runs.limits`.
pub const RUN: RangeInclusive<u64> = LEAST_RUN..=MOST_RUN;

/// What [`Config::hello_timeout`] may be, in seconds. Source: `close.hello-timeout`.
pub const HELLO_SECONDS: RangeInclusive<u64> = 5..=60;

/// What a server offers, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The profiles that clients may ask for; without any but `core`, a plain core server.
    pub profiles: Vec<Profile>,
    /// The greatest message taken from a client, in bytes of the whole message.
    pub max_message_bytes: usize,
    /// The greatest op taken from a client with the profile `runs`, in elements.
    pub max_run: u64,
    /// How many bytes of echoes may wait for one connection before it is closed as slow.
    pub max_waiting_bytes: usize,
    /// How long a client has for its `hello`, from the opening of the WebSocket.
    pub hello_timeout: Duration,
    /// How long a document without connections stays in memory.
    pub idle: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: Profile::ALL.to_vec(),
            max_message_bytes: MIB,
            max_run: MOST_RUN,
            max_waiting_bytes: 8 * MIB,
            hello_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Whether there is any profile beside `core` to ask for.
    pub fn offers_profiles(&self) -> bool {
        self.profiles
            .iter()
            .any(|&profile| profile != Profile::Core)
    }

    /// Errors: a limit outside of what it may be, as [`io::ErrorKind::InvalidInput`].
    pub fn check(&self) -> io::Result<()> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if !MESSAGE_BYTES.contains(&self.max_message_bytes) {
            return wrong("max_message_bytes must be 64 KiB to 16 MiB");
        }
        if !RUN.contains(&self.max_run) {
            return wrong("max_run must be 1,024 to 65,536 elements");
        }
        if !WAITING_BYTES.contains(&self.max_waiting_bytes) {
            return wrong("max_waiting_bytes must be 1 MiB to 15 MiB");
        }
        if !HELLO_SECONDS.contains(&self.hello_timeout.as_secs()) {
            return wrong("hello_timeout must be 5 to 60 seconds");
        }
        Ok(())
    }
}
