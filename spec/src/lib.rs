//! The specification of the collaborative text protocol, as types and as data.
//!
//! The law is the prose, `protocol.md` and `crdt.md`. Here are the messages as Rust types, the
//! requirements parsed from the prose, the JSON Schemas and API documents generated from both, and the
//! scenario, frame and vector files embedded, so that one binary carries them all.

pub mod api;
pub mod close;
pub mod data;
pub mod frame;
pub mod id;
pub mod message;
pub mod op;
pub mod plain;
pub mod profile;
pub mod report;
pub mod requirement;
pub mod scenario;
pub mod schema;
pub mod trace;
pub mod vector;
