//! The engines that are measured, each behind one trait.
//!
//! A writer is a replica that its user edits, by position. Its edits leave it as bytes in the engine's
//! own wire form. A reader has no user: it takes in what writers made, and has the whole text.

#[cfg(feature = "peers")]
pub mod automerge;
#[cfg(feature = "peers")]
pub mod cola;
#[cfg(feature = "peers")]
pub mod diamond;
#[cfg(feature = "peers")]
pub mod loro;
pub mod ours;
#[cfg(feature = "peers")]
pub mod yrs;

use crate::trace::Edit;

/// An engine.
pub trait Peer {
    /// What it is called in the tables.
    const NAME: &'static str;
    /// Whether it takes updates before those that they depend on.
    const ANY_ORDER: bool = true;
    type Writer;
    type Reader;
    type Update;

    fn writer(author: u64) -> Self::Writer;
    /// Does an edit of one character; gives its bytes.
    fn edit(writer: &mut Self::Writer, edit: &Edit) -> Vec<u8>;
    /// Takes in another writer's edit.
    fn receive(writer: &mut Self::Writer, bytes: &[u8]);
    /// How many characters a writer sees.
    fn length(writer: &Self::Writer) -> usize;

    fn reader() -> Self::Reader;
    fn decode(bytes: &[u8]) -> Self::Update;
    fn integrate(reader: &mut Self::Reader, update: Self::Update);
    fn text(reader: &Self::Reader) -> String;
    fn save(reader: &mut Self::Reader) -> Vec<u8>;
    /// A reader from what was saved, with its text at hand.
    fn load(bytes: &[u8]) -> Self::Reader;
}
