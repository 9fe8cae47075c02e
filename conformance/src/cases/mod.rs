//! The cases that JSON can't say: loops, floods, slow readers, pings, many clients.
//!
//! To add one: write an `async fn(Context) -> Outcome` in its area's file and list it there.

mod crdt;
mod follow;
mod presence;
mod profiles;
mod properties;
mod resume;
mod session;
mod slow;
mod state;
mod submit;
mod sync;
mod text;
mod transport;

use crate::case::Case;

/// Every case in code.
pub(crate) fn all() -> Vec<Case> {
    [
        crdt::cases(),
        presence::cases(),
        profiles::cases(),
        properties::cases(),
        resume::cases(),
        session::cases(),
        slow::cases(),
        state::cases(),
        submit::cases(),
        sync::cases(),
        text::cases(),
        transport::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
