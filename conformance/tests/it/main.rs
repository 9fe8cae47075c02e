//! The tests of the suite: against servers that do nothing right, of its command line, of what it
//! covers, and of the house's order.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod chaos;
mod cli;
mod coverage;
mod exec;
mod expect;
mod forms;
mod fuzz;
mod load;
mod matrix;
mod mutants;
mod null;
mod offers;
mod pages;
mod play;
mod properties;
mod proxy;
mod reference;
mod tidy;
mod tls;
mod toy;
mod verify;
mod words;

/// Held by tests that play the whole suite or hunt faults: beside each other they would starve the
/// servers, whose time limits on `hello` are real.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
