//! The conformance suite of the collaborative text protocol.
//!
//! It plays cases against a server, records every frame, checks each for itself and all together,
//! and says which sentence of the specification was broken. It never sees the reference server: that
//! is one target among others.

pub mod case;
mod cases;
pub mod catalog;
pub mod client;
pub mod context;
mod deflate;
pub mod dial;
pub mod exec;
pub mod expect;
pub mod files;
pub mod frames;
mod framing;
pub mod fuzz;
pub mod gate;
pub mod http;
pub mod ids;
pub mod load;
pub mod mimic;
pub mod model;
pub mod monitor;
pub mod numbers;
pub mod outcome;
pub mod paint;
pub mod pattern;
pub mod player;
pub mod probe;
pub mod progress;
pub mod properties;
pub mod proxy;
pub mod recorder;
pub mod report;
pub mod runner;
mod strain;
pub mod target;
pub mod trace;
pub mod validate;
pub mod verify;
pub mod wire;

use std::sync::Arc;

use collab_spec::report::Report;
use futures_util::StreamExt as _;

use crate::case::Case;
use crate::runner::{Options, Servers, Session};

/// Plays cases against a target, or against servers that an `Exec` starts, without a word on the
/// terminal.
///
/// Errors: why nobody could be reached.
pub async fn run(
    servers: impl Into<Servers>,
    cases: &[Case],
    options: Options,
) -> Result<Report, String> {
    let session = Arc::new(Session::new(servers, options));
    session.open().await?;
    let selected: Vec<Case> = session
        .start_order(cases)
        .into_iter()
        .filter(|case| session.selects(case))
        .collect();
    session.expect(&selected);
    let at_once = session.at_once(&selected);
    futures_util::stream::iter(selected)
        .for_each_concurrent(at_once, |case| {
            let session = Arc::clone(&session);
            // A task each: a case that computes does not hold up the others.
            let played = tokio::spawn(async move {
                let _place = session.place(&case).await;
                session.play_unless_failed(&case).await
            });
            async move {
                played.await.expect("a panic of a case is its failure");
            }
        })
        .await;
    session.close().await;
    Ok(session.report(cases))
}
