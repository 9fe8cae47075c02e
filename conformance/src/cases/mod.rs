//! The cases that JSON can't say: loops, floods, slow readers, pings, many clients.
//!
//! To add one: write an `async fn(Context) -> Outcome` in its area's file and list it there.

mod closing;
mod crdt;
mod crowd;
mod ends;
mod follow;
mod fuzz;
mod idle;
mod long;
mod many;
mod memory;
mod pastes;
mod presence;
mod profiles;
mod properties;
mod restart;
mod resume;
mod runs;
mod session;
mod shutdown;
mod slow;
mod stalled;
mod state;
mod submit;
mod sync;
mod text;
mod transport;
mod waiting;

use crate::case::Case;

/// Every case in code.
pub(crate) fn all() -> Vec<Case> {
    [
        closing::cases(),
        crdt::cases(),
        crowd::cases(),
        ends::cases(),
        fuzz::cases(),
        idle::cases(),
        long::cases(),
        many::cases(),
        memory::cases(),
        pastes::cases(),
        presence::cases(),
        profiles::cases(),
        properties::cases(),
        restart::cases(),
        resume::cases(),
        runs::cases(),
        session::cases(),
        shutdown::cases(),
        slow::cases(),
        stalled::cases(),
        state::cases(),
        submit::cases(),
        sync::cases(),
        text::cases(),
        transport::cases(),
        waiting::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
