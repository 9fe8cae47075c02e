//! A load on a server: many clients that type, and how long their ops take to come back.
//!
//! One thread does all, so that what it costs itself can be told. Nothing is judged here: echoes are
//! counted, and of each one field is read.

mod client;
mod figures;
mod frame;
pub mod relay;
mod socket;
mod text;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::LocalSet;
use tokio::time::Instant;

use self::client::{Client, Document};
pub use self::figures::{Figures, Generator, Latencies};
use self::figures::{Look, Tally};
use crate::target::Target;

/// How many clients join at once.
const JOINS: usize = 64;

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How many documents, each with clients of its own.
    pub documents: usize,
    /// How many clients a document.
    pub clients: usize,
    /// How many characters each document has before they come.
    pub characters: u64,
    /// When ops are sent.
    pub pace: Pace,
    /// How long is played before anything counts.
    pub warm_up: Duration,
    /// How long is counted.
    pub time: Duration,
}

/// When ops are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many a second, of all clients together, at times that do not depend on the server. Latency
    /// counts from when an op was due, so a server that stalls is charged for all that it holds up.
    Rate(f64),
    /// Each client has so many under way.
    InFlight(u64),
}

impl Plan {
    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.documents * self.clients
    }
}

/// Plays a plan on new documents, whose names begin with `name`.
///
/// Errors: the documents can't be filled, or clients can't join, in words.
pub fn run(target: &Target, plan: &Plan, name: &str) -> Result<Figures, String> {
    on_this_thread(play(target, plan, name)).map_err(|error| error.to_string())?
}

/// Plays on this thread alone, tasks that are not `Send` too.
///
/// Errors: the runtime does not start.
pub fn on_this_thread<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}

async fn play(target: &Target, plan: &Plan, name: &str) -> Result<Figures, String> {
    let tally = Rc::new(RefCell::new(Tally::new(plan)));
    let documents: Vec<_> = (0..plan.documents)
        .map(|number| {
            Rc::new(Document {
                doc_id: format!("{name}-{number}"),
                characters: plan.characters,
                sent: Cell::new(0),
                senders: Cell::new(plan.clients),
            })
        })
        .collect();
    if plan.characters > 0 {
        for document in &documents {
            text::put(target, &document.doc_id, plan.characters).await?;
        }
    }
    let joins = (0..plan.connections()).map(|number| {
        let document = Rc::clone(&documents[number / plan.clients]);
        // The clients of a document type all over its text.
        let part = (number % plan.clients) as u64;
        let place = text::place(plan.characters * part / plan.clients as u64);
        Client::join(target, document, number, place, Rc::clone(&tally))
    });
    let joined: Vec<_> = stream::iter(joins).buffer_unordered(JOINS).collect().await;
    let count = joined.len();
    let clients: Result<Vec<_>, _> = joined.into_iter().collect();
    let clients = clients.map_err(|why| format!("of {count} clients not all can join: {why}"))?;
    let begin = Instant::now();
    let plan = *plan;
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let tally = Rc::clone(&tally);
            tokio::task::spawn_local(async move {
                match client.play(&plan, begin).await {
                    Ok(0) => {}
                    Ok(missing) => tally
                        .borrow_mut()
                        .fail_times("an echo did not come", missing),
                    Err(why) => tally.borrow_mut().fail(&format!("connection lost: {why}")),
                }
                // Kept open, so that an end does not disturb the others.
                client
            })
        })
        .collect();
    let generator = watch(begin + plan.warm_up, plan.time).await;
    for ended in futures_util::future::join_all(tasks).await {
        ended.map_err(|error| format!("a client failed: {error}"))?;
    }
    let tally = tally.borrow();
    Ok(tally.figures(&plan, generator))
}

/// What this thread does in a span of time.
async fn watch(from: Instant, time: Duration) -> Option<Generator> {
    let until = |at: Instant| tokio::time::timeout_at(at, std::future::pending::<()>());
    let _ = until(from).await;
    let before = Look::at_this_thread();
    let _ = until(from + time).await;
    Generator::between(before, Look::at_this_thread(), time)
}
