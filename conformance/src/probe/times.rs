//! How long a server takes: a few round trips of each kind, one after the other.

use std::time::{Duration, Instant};

use super::{AWAITED, joined};
use crate::client::{ROOT, under};
use crate::context::Context;
use crate::outcome::Outcome;

/// How many round trips of a kind are made at most.
const TRIPS: usize = 200;

/// How many kinds of round trips there are that share the time.
const KINDS: u32 = 3;

/// The times of one kind.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// From what to what.
    pub(super) what: &'static str,
    /// The least first.
    pub(super) sorted: Vec<Duration>,
}

impl Row {
    fn new(what: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            what,
            sorted: times,
        }
    }

    /// The time that so many of a hundred do not pass.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let at = (self.sorted.len() * percent)
            .div_ceil(100)
            .saturating_sub(1);
        self.sorted.get(at.min(last)).copied().unwrap_or_default()
    }
}

/// The times of all kinds, within a time.
pub(super) async fn all(context: &Context, within: Duration) -> Outcome<Vec<Row>> {
    let each = within / KINDS;
    let mut rows = joins(context, each).await?;
    rows.extend(ops(context, each).await?);
    rows.push(pings(context, each).await?);
    Ok(rows)
}

/// Whether there is to be another round trip.
fn goes_on(count: usize, since: Instant, within: Duration) -> bool {
    count == 0 || count < TRIPS && since.elapsed() < within
}

async fn joins(context: &Context, within: Duration) -> Outcome<Vec<Row>> {
    let (mut opens, mut syncs) = (Vec::new(), Vec::new());
    let since = Instant::now();
    while goes_on(opens.len(), since, within) {
        let begun = Instant::now();
        let mut client = context.connect("joins").await?;
        let open = Instant::now();
        client.hello(context.doc_id(), "joins", Some(0));
        client.expect_joined().await?;
        opens.push(open - begun);
        syncs.push(open.elapsed());
        client.abandon().await;
    }
    Ok(vec![
        Row::new("TCP and upgrade", opens),
        Row::new("hello to resync", syncs),
    ])
}

async fn ops(context: &Context, within: Duration) -> Outcome<Vec<Row>> {
    let mut writer = joined(context, "writes").await?;
    let mut reader = joined(context, "reads").await?;
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let since = Instant::now();
    let mut parent = ROOT;
    while goes_on(own.len(), since, within) {
        let op = writer.insert(&parent, 'x');
        parent = under(&op);
        let sent = Instant::now();
        writer.submit(&op);
        let mut came = (Duration::ZERO, Duration::ZERO);
        let to_own = async {
            let echo = writer.expect_echo(&op, AWAITED).await;
            came.0 = sent.elapsed();
            echo
        };
        let to_other = async {
            let echo = reader.expect_echo(&op, AWAITED).await;
            came.1 = sent.elapsed();
            echo
        };
        let (own_echo, other_echo) = tokio::join!(to_own, to_other);
        own_echo?;
        other_echo?;
        own.push(came.0);
        others.push(came.1);
    }
    Ok(vec![
        Row::new("op to own echo", own),
        Row::new("op to another's echo", others),
    ])
}

async fn pings(context: &Context, within: Duration) -> Outcome<Row> {
    let mut client = joined(context, "pings").await?;
    let mut times = Vec::new();
    let since = Instant::now();
    while goes_on(times.len(), since, within) {
        let sent = Instant::now();
        client.ping(b"probe", AWAITED).await?;
        times.push(sent.elapsed());
    }
    Ok(Row::new("ping to pong", times))
}
