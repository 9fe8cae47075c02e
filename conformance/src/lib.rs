//! The conformance suite of the collaborative text protocol.
//!
//! It plays cases against a server, records every frame, checks each for itself and all together,
//! and says which sentence of the specification was broken. It never sees the reference server: that
//! is one target among others.

pub mod case;
mod cases;
pub mod client;
pub mod context;
pub mod dial;
pub mod frames;
pub mod http;
pub mod ids;
pub mod outcome;
pub mod pattern;
pub mod player;
pub mod recorder;
pub mod target;
pub mod trace;
pub mod validate;
pub mod wire;
