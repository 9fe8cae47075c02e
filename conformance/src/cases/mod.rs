//! The cases that JSON can't say: loops, floods, slow readers, pings, many clients.
//!
//! To add one: write an `async fn(Context) -> Outcome` in its area's file and list it there.

mod sample;

use crate::case::Case;

/// Every case in code.
pub(crate) fn all() -> Vec<Case> {
    [sample::cases()].into_iter().flatten().collect()
}
