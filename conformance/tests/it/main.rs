//! The tests of the suite: against servers that do nothing right, of its command line, of what it
//! covers, and of the house's order.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod cli;
mod coverage;
mod mutants;
mod null;
mod offers;
mod play;
mod reference;
mod tidy;
mod tls;
mod toy;
