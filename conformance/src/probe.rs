//! What a server is, on one page: its profiles and limits, how it closes, how long things take.
//!
//! Deliberately absent: verdicts. What differs from the specification is said, but whether the server is right
//! is for the cases to find out.

mod closes;
mod page;
mod times;

use std::sync::Arc;
use std::time::{Duration, Instant};

use collab_spec::profile::Profile;
use serde_json::Value;

use crate::client::{Ask, Client};
use crate::context::Context;
use crate::http;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::target::Target;

/// Within which sizes of messages the limit is looked for, in bytes (section 3.4).
const SIZES: std::ops::RangeInclusive<usize> = 64 << 10..=32 << 20;

/// How exactly, in bytes.
const SIZE_STEP: usize = 16 << 10;

/// How long everything may take, but for the last step begun.
const IN_ALL: Duration = Duration::from_secs(10);

/// What was found out about a server.
#[derive(Clone, Debug)]
pub struct Page {
    url: String,
    /// Status, body and `Server` header of `/health`, or why there is none.
    health: Result<http::Page, String>,
    profiles: Vec<Profile>,
    /// The fields of an ack with all profiles.
    ack: Value,
    /// The longest message taken and the shortest refused, in bytes.
    size: (usize, Option<usize>),
    closes: Vec<closes::Close>,
    times: Vec<times::Row>,
    /// What could not be found out, and why.
    missing: Vec<String>,
    took: Duration,
}

/// Finds out what a server is that has passed the first contact. `offered` are the profiles it has granted.
///
/// Errors: the harness failed.
pub async fn probe(target: &Arc<Target>, offered: &[Profile], scale: f64) -> Result<Page, String> {
    let started = Instant::now();
    let context = Context::new(Arc::clone(target), scale);
    let mut page = Page {
        url: target.url().to_owned(),
        health: health(&context, target).await,
        profiles: offered.to_vec(),
        ack: Value::Null,
        size: (0, None),
        closes: Vec::new(),
        times: Vec::new(),
        missing: Vec::new(),
        took: Duration::ZERO,
    };
    let outcome = fill(&mut page, &context, started).await;
    context.abandon_all().await;
    match outcome {
        Err(Failure::Harness(why)) => return Err(why),
        Err(failure) => page.missing.push(words(&failure)),
        Ok(()) => {}
    }
    page.took = started.elapsed();
    Ok(page)
}

/// What `/health` answers.
async fn health(context: &Context, target: &Target) -> Result<http::Page, String> {
    let answer = context.wait(http::get(target, "/health")).await;
    answer.unwrap_or_else(|_| Err("nothing came".to_owned()))
}

async fn fill(page: &mut Page, context: &Context, started: Instant) -> Outcome {
    page.ack = ack(context, &page.profiles).await?;
    page.closes = closes::all(context, &page.profiles).await?;
    let left = || IN_ALL.saturating_sub(started.elapsed());
    page.times = times::all(context, left() / 2).await?;
    match tokio::time::timeout(left(), size(context, &mut page.size)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let why = "the time was too short for the longest message";
            page.missing.push(why.to_owned());
            Ok(())
        }
    }
}

/// The ack of a client that asks for all the server offers.
async fn ack(context: &Context, offered: &[Profile]) -> Outcome<Value> {
    let asked: Vec<Profile> = offered
        .iter()
        .copied()
        .filter(|profile| *profile != Profile::Core)
        .collect();
    let mut client = context.connect("asks").await?;
    if asked.is_empty() {
        client.hello(context.doc_id(), "asks", Some(0));
        client.expect_joined().await?;
    } else {
        let ask = Ask::of(&asked);
        client.hello_asking(context.doc_id(), "asks", &ask);
        client.expect_joined_asking(&ask).await?;
    }
    let ack = serde_json::to_value(client.acked());
    ack.map_err(|error| Failure::Harness(error.to_string()))
}

/// Finds the longest message taken and the shortest refused: a hello with white space before it.
async fn size(context: &Context, found: &mut (usize, Option<usize>)) -> Outcome {
    let mut next = *SIZES.start();
    while next <= *SIZES.end() && found.1.is_none() {
        match is_taken(context, next).await? {
            true => (found.0, next) = (next, next * 2),
            false => found.1 = Some(next),
        }
    }
    while let (taken, Some(refused)) = *found
        && refused - taken > SIZE_STEP
    {
        let middle = taken + (refused - taken) / 2;
        match is_taken(context, middle).await? {
            true => found.0 = middle,
            false => found.1 = Some(middle),
        }
    }
    Ok(())
}

async fn is_taken(context: &Context, bytes: usize) -> Outcome<bool> {
    let mut client = context.connect("long").await?;
    let hello = hello(context, "long");
    let space = " ".repeat(bytes.saturating_sub(hello.len()));
    client.send_text(&(space + &hello));
    let is_taken = client.expect_ack().await.is_ok();
    client.abandon().await;
    Ok(is_taken)
}

fn hello(context: &Context, client_id: &str) -> String {
    let doc_id = context.doc_id();
    serde_json::json!({"type":"hello","doc_id":doc_id,"client_id":client_id,"last_seen_server_seq":0})
        .to_string()
}

/// A client of the probe's document.
async fn joined(context: &Context, name: &str) -> Outcome<Client> {
    context.join_as(name, context.doc_id(), name).await
}

/// What went wrong, in a line.
fn words(failure: &Failure) -> String {
    match failure {
        Failure::Untestable(why) | Failure::Harness(why) => why.clone(),
        Failure::Breach(fault) => format!("[{}] {}", fault.breach.requirement, fault.breach.what),
    }
}

/// What a probe cites where nothing came.
const AWAITED: &str = ids::SEQ_FAN_OUT;
