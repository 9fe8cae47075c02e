//! How long echoes take for those who read, beside one client that does not and beside twenty.
//!
//! Times are compared within one run: those with the clients that do not read with the times before they
//! came and after they have gone, since load and distance change all of them alike.

use std::time::{Duration, Instant};

use crate::case::{Case, Weight};
use crate::client::Client;
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::slow::{DROPPED_WITHIN, IN_BUFFERS, MIB, Names, Writer, drain, join_small};

/// How many times longer echoes may take (`slow.latency`).
const FACTOR: u64 = 5;

/// How long echoes may take in any case (`slow.latency`): below it a ratio says more of the scheduler
/// than of the server.
const FLOOR: Duration = Duration::from_millis(100);

/// How often it is measured, where the times are too long.
const TRIES: usize = 3;

/// What is sent at a time, in bytes of echoes.
const TURN: usize = 128 * 1024;

/// How many turns there are before they come and after they have gone, in each case.
const WITHOUT: usize = 32;

/// How many turns are measured while they do not read: 8 MiB of echoes, of which 1 MiB at least has to
/// wait for them.
const WITH: usize = 64;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    [
        (1, "one", "a client that does not read"),
        (20, "twenty", "twenty clients that do not read"),
    ]
    .into_iter()
    .map(|(count, name, who)| {
        Case::code(
            &format!("slow/latency-{name}"),
            &format!("beside {who} echoes take about as long as without, and each is closed"),
            &[
                "slow.latency",
                "slow.ceiling",
                "slow.alone",
                "slow.no-delay",
            ],
            move |context| latency(context, count),
        )
        .weight(Weight::Slow)
    })
    .collect()
}

async fn latency(context: Context, count: usize) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    witness
        .expect_echoes_of(writer.history(), ids::SEQ_FAN_OUT)
        .await?;
    let mut before = turns(&mut writer, &mut witness, WITHOUT).await?;
    let mut tries = 1;
    let (stalled, with) = loop {
        let mut stalled = Vec::with_capacity(count);
        for number in 0..count {
            let mut client = join_small(&context, &format!("stalled-{tries}-{number}")).await?;
            client.stop_reading();
            stalled.push(client);
        }
        let with = turns(&mut writer, &mut witness, WITH).await?;
        if with.median() <= most(before.median()) {
            break (stalled, with);
        }
        // Load may have come by chance: the times after they have gone decide, and only what is so each
        // time is the server's.
        for client in stalled {
            client.abandon().await;
        }
        let after = turns(&mut writer, &mut witness, WITHOUT).await?;
        let times = [&before, &with, &after];
        let compared = compare(count, times);
        if compared.is_ok() || tries == TRIES {
            note(&context, times);
            return compared;
        }
        tries += 1;
        before = after;
    };
    for _ in 0..(16 * MIB + IN_BUFFERS - WITH * TURN) / MIB {
        let from = writer.submit_bytes(MIB);
        writer.goes_on(from, &mut witness, "slow.alone").await?;
    }
    all_closed(stalled, writer.history().len()).await?;
    let after = turns(&mut writer, &mut witness, WITHOUT).await?;
    let times = [&before, &with, &after];
    note(&context, times);
    compare(count, times)
}

/// The longest median that is right where it is so long without them, in microseconds.
fn most(without: u64) -> u64 {
    (without * FACTOR).max(micros(FLOOR))
}

/// Puts the times before, with and after into the report.
fn note(context: &Context, times: [&Times; 3]) {
    for (name, times) in ["before", "with", "after"].into_iter().zip(times) {
        context.measured(&format!("median echo time, {name}"), times.median(), "µs");
        context.measured(&format!("p90 of echo times, {name}"), times.of(9), "µs");
    }
}

/// Holds the times while `count` clients do not read against those before and after.
fn compare(count: usize, times: [&Times; 3]) -> Outcome {
    let [before, with, after] = times;
    let without = before.median().max(after.median());
    let most = most(without);
    if with.median() <= most {
        return Ok(());
    }
    let what = format!("the others' echoes take too long while {count} of the clients do not read");
    let words = |micros: u64| format!("{:.1?}", Duration::from_micros(micros));
    Err(Failure::breach("slow.latency", what)
        .expected(format!(
            "a median of at most {}: {FACTOR} times the {} without them, or {FLOOR:?}",
            words(most),
            words(without)
        ))
        .got(format!(
            "a median of {} for {} KiB of echoes",
            words(with.median()),
            TURN / 1024
        )))
}

/// Times in microseconds, the shortest first.
struct Times(Vec<u64>);

impl Times {
    /// The time that so many of ten do not exceed.
    fn of(&self, tenths: usize) -> u64 {
        let place = (self.0.len() * tenths / 10).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }

    fn median(&self) -> u64 {
        self.of(5)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Sends in turns, each when the one before has come back: how long each took to come to the writer and to
/// the witness.
async fn turns(writer: &mut Writer, witness: &mut Client, count: usize) -> Outcome<Times> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let from = writer.submit_bytes(TURN);
        writer.goes_on(from, witness, "slow.alone").await?;
        times.push(micros(started.elapsed()));
    }
    times.sort_unstable();
    Ok(Times(times))
}

/// Each was closed, as they find when they read again.
async fn all_closed(mut stalled: Vec<Client>, echoes: usize) -> Outcome {
    for client in &mut stalled {
        client.resume_reading();
    }
    for client in &mut stalled {
        client.ended_within(DROPPED_WITHIN).await;
        let seen = drain(client, echoes).await?;
        if !seen.closed {
            let what = format!(
                "24 MiB of echoes came while {} did not read, and it was not closed",
                client.name()
            );
            return Err(Failure::breach("slow.ceiling", what)
                .expected("close 1013, or an end of TCP, before 16 MiB wait")
                .got(format!(
                    "{} echoes, and the connection is open",
                    seen.echoes
                )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let times = |times: &[u64]| Times(times.to_vec());
        assert_eq!(times(&[]).median(), 0);
        assert_eq!(times(&[7]).of(9), 7);
        assert_eq!(times(&[1, 2, 3]).median(), 2);
        assert_eq!(times(&(0..100).collect::<Vec<_>>()).of(9), 90);
    }
}
