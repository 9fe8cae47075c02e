//! Fuzz of messages: frames made from the JSON Schemas, right ones and ones with one thing wrong, each
//! with what a right server makes of it.
//!
//! A seed makes a frame, for ever. What it is (`frame`) and what a right server makes of it (`verdict`)
//! is worked out from the schemas and the prose, without any server; `play` sends it into a room where
//! others look on; `search` sends many, and makes small what goes wrong.

pub mod change;
mod fields;
pub mod frame;
pub mod json;
pub mod kind;
mod make;
mod play;
mod room;
pub mod search;
pub mod shape;
#[cfg(test)]
mod tests;
mod texts;
pub mod verdict;
pub mod whole;

pub use frame::{Frame, Recipe};
pub use kind::Kind;
