//! Clients that stop reading, and clients that read all the time.
//!
//! How much waits for a connection is counted in bytes of echoes that a witness has got.

use std::time::Duration;

use collab_spec::message::OpSubmission;

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::proxy::{Faults, Plan};
use crate::wire::Buffers;

use super::follow::follow;

pub(super) const MIB: usize = 1 << 20;
/// What the buffers of the server's and our own TCP may hold beside what waits in the server.
pub(super) const IN_BUFFERS: usize = 8 * MIB;
/// How long TCP may live after a close with 1013 (`slow.drops-tcp`).
pub(super) const DROPPED_WITHIN: Duration = Duration::from_secs(10);

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "slow/stalled-reader",
            "a client that stops reading is closed before 16 MiB wait for it, and alone",
            &[
                "slow.ceiling",
                "slow.alone",
                "slow.no-delay",
                "slow.drops-tcp",
                "slow.catches-up",
            ],
            stalled_reader,
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/pause",
            "a client that pauses while less than 1 MiB comes gets all of it afterwards",
            &["slow.floor", ids::SEQ_FROM_BASELINE],
            |context| pause(context, 1, Names::Short),
        ),
        Case::code(
            "slow/twenty-pause",
            "twenty clients that pause at once while less than 1 MiB comes get all of it afterwards",
            &["slow.floor"],
            |context| pause(context, 20, Names::Long),
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/readers-stay",
            "while one client sends 12 MiB without waiting, nobody who reads is closed",
            &["slow.readers-safe", ids::SEQ_FAN_OUT],
            readers_stay,
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/slow-reader",
            "a client that takes 6 MiB a second gets all of the 32 MiB that are sent without waiting",
            &["slow.readers-safe", ids::SEQ_FAN_OUT],
            slow_reader,
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/dropped-unread",
            "the TCP connection of a slow client ends though the client does not read on",
            &["slow.drops-tcp", "slow.no-delay"],
            dropped_unread,
        )
        .weight(Weight::Waiting),
        Case::code(
            "slow/stalled-pings",
            "a client that pings on and does not read is waited for no longer than a silent one",
            &["slow.no-delay", "slow.alone"],
            stalled_pings,
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/stalled-in-sync",
            "a client that pauses in mid-replay of 4 MiB is not closed as slow",
            &["slow.floor", ids::SYNC_REPLAY_EXACT, "sync.never-closes"],
            stalled_in_sync,
        )
        .weight(Weight::Slow),
        Case::code(
            "slow/others-go-on",
            "while a client does not read, the others get every echo one by one",
            &["slow.no-delay"],
            others_go_on,
        ),
    ]
}

/// How long the names of what a [`Writer`] sends are, and so its echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// As they come: a great many messages for so many bytes.
    Short,
    /// As long as a name may be.
    Long,
    /// As long as a name may be, and three bytes a character: few messages for so many bytes, of which each
    /// is less work.
    Wide,
}

impl Names {
    pub(super) fn name(self, text: &str) -> String {
        match self {
            Self::Short => text.to_owned(),
            Self::Long => format!("{text:-<256}"),
            Self::Wide => format!("{text:ー<256}"),
        }
    }
}

/// Joins with a small receive buffer, so that the server soon feels that nothing is read.
pub(super) async fn join_small(context: &Context, name: &str) -> Outcome<Client> {
    let mut client = context.connect_with(name, Buffers::Small).await?;
    client.hello(context.doc_id(), name, None);
    client.expect_joined().await?;
    Ok(client)
}

/// Who makes so many bytes of echoes.
pub(super) struct Writer {
    client: Client,
    names: Names,
    history: Vec<OpSubmission>,
    echo_bytes: usize,
}

impl Writer {
    /// Joins as [`Writer::join_with`], with long names.
    pub(super) async fn join(context: &Context) -> Outcome<Self> {
        Self::join_with(context, Names::Long).await
    }

    /// Joins, and submits one op to see how long an echo is.
    pub(super) async fn join_with(context: &Context, names: Names) -> Outcome<Self> {
        let client = context
            .join_as("writer", context.doc_id(), &names.name("writer"))
            .await?;
        let mut writer = Self {
            client,
            names,
            history: Vec::new(),
            echo_bytes: 1,
        };
        writer.submit(1);
        let message = writer
            .client
            .next_message("the echo of the first op", ids::SEQ_FAN_OUT)
            .await?;
        writer.echo_bytes = message.received.text.len();
        Ok(writer)
    }

    /// All that it has submitted.
    pub(super) fn history(&self) -> &[OpSubmission] {
        &self.history
    }

    /// Submits ops without waiting: the index of the first one.
    fn submit(&mut self, count: usize) -> usize {
        let from = self.history.len();
        for _ in 0..count {
            let mut submission = self.client.insert(&ROOT, 'x');
            let name = self.names.name(submission.client_msg_id.as_str());
            submission.client_msg_id = collab_spec::id::Name::new(&name).expect("256 characters");
            self.client.submit(&submission);
            self.history.push(submission);
        }
        from
    }

    /// Submits as many ops as make `bytes` of echoes: the index of the first one.
    pub(super) fn submit_bytes(&mut self, bytes: usize) -> usize {
        self.submit(bytes / self.echo_bytes)
    }

    pub(super) async fn expect_from(&mut self, from: usize, requirement: &str) -> Outcome {
        self.client
            .expect_echoes_of(&self.history[from..], requirement)
            .await?;
        Ok(())
    }

    /// The echoes from `from` on come to the writer and to a witness.
    ///
    /// Errors: a breach of `slow.no-delay` where they are late, of `requirement` where they end.
    pub(super) async fn goes_on(
        &mut self,
        from: usize,
        witness: &mut Client,
        requirement: &str,
    ) -> Outcome {
        for client in [&mut self.client, witness] {
            client
                .expect_echoes_of(&self.history[from..], "slow.no-delay")
                .await
                .map_err(|failure| failure.unless_late(requirement))?;
        }
        Ok(())
    }
}

async fn stalled_reader(context: Context) -> Outcome {
    let (mut stalled, mut witness, mut writer) = stall(&context).await?;
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    writer.goes_on(from, &mut witness, "slow.alone").await?;
    stalled.resume_reading();
    let ended = stalled.ended_within(DROPPED_WITHIN).await;
    let seen = drain(&mut stalled, writer.history.len()).await?;
    if !ended && seen.closed {
        return Err(Failure::breach(
            "slow.drops-tcp",
            "TCP still stands 10 s after the close of a slow client",
        )
        .expected("the end of the TCP connection")
        .got("the close frame alone"));
    }
    if !seen.closed {
        return Err(Failure::breach(
            "slow.ceiling",
            format!(
                "24 MiB of echoes came while {} did not read, and it was not closed",
                stalled.name()
            ),
        )
        .expected("close 1013, or an end of TCP, before 16 MiB wait")
        .got(format!(
            "{} of {} echoes, and the connection is open",
            seen.echoes,
            writer.history.len()
        )));
    }
    witness
        .barrier(&mut [&mut writer.client], "slow.alone")
        .await?;
    // The one that was closed comes back.
    let last = seen.echoes as u64;
    let back = context.reconnect("stalled-again", "stalled", last).await;
    let mut back = back.map_err(|failure| failure.unless_late(ids::SLOW_CATCHES_UP))?;
    if last > 0 {
        follow(&mut back, last, &writer.history, "slow.catches-up").await?;
    } else {
        back.expect_resync("slow.catches-up").await?;
    }
    Ok(())
}

/// What a connection got until it had all echoes, or was closed.
pub(super) struct Drained {
    pub(super) echoes: usize,
    pub(super) closed: bool,
}

/// Takes the echoes of seqs 1, 2, … until `count` have come or the connection ends.
pub(super) async fn drain(client: &mut Client, count: usize) -> Outcome<Drained> {
    for echoes in 0..count {
        let next = client.expect_echo_or_close(&[1013, 1006], "slow.ceiling");
        if next.await?.is_none() {
            return Ok(Drained {
                echoes,
                closed: true,
            });
        }
    }
    Ok(Drained {
        echoes: count,
        closed: false,
    })
}

async fn pause(context: Context, count: usize, names: Names) -> Outcome {
    let mut pausing = Vec::with_capacity(count);
    for number in 0..count {
        pausing.push(join_small(&context, &format!("pausing-{number}")).await?);
    }
    let mut witness = context.join("witness").await?;
    let mut writer = Writer::join_with(&context, names).await?;
    for client in pausing.iter_mut().chain([&mut witness]) {
        client
            .expect_echoes_of(&writer.history, ids::SEQ_FAN_OUT)
            .await?;
    }
    for client in &mut pausing {
        client.stop_reading();
    }
    let from = writer.submit_bytes(MIB * 15 / 16);
    writer.goes_on(from, &mut witness, "slow.floor").await?;
    for client in &mut pausing {
        client.resume_reading();
    }
    for client in &mut pausing {
        client
            .expect_echoes_of(&writer.history[from..], "slow.floor")
            .await?;
    }
    let mut all: Vec<&mut Client> = pausing.iter_mut().collect();
    writer.client.barrier(&mut all, "slow.floor").await
}

async fn readers_stay(context: Context) -> Outcome {
    let mut one = context.join("one").await?;
    let mut two = context.join("two").await?;
    let mut writer = Writer::join(&context).await?;
    let from = writer.submit_bytes(12 * MIB);
    writer.expect_from(from, "slow.readers-safe").await?;
    one.expect_echoes_of(&writer.history, "slow.readers-safe")
        .await?;
    two.expect_echoes_of(&writer.history, "slow.readers-safe")
        .await?;
    one.barrier(&mut [&mut two, &mut writer.client], "slow.readers-safe")
        .await
}

/// More is sent than may wait for anybody beside what is in buffers and what the client takes meanwhile: who
/// reads more slowly than others send is waited for.
async fn slow_reader(context: Context) -> Outcome {
    let slowly = Faults::none().throttle(6 * MIB as u64);
    let way = context.start_proxy(Plan::same(slowly)).await?;
    let mut slow = context.connect_through(&way, "slow").await?;
    slow.hello(context.doc_id(), "slow", None);
    slow.expect_joined().await?;
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    writer.submit_bytes(32 * MIB);
    slow.expect_echoes_of(&writer.history, "slow.readers-safe")
        .await?;
    writer.expect_from(1, "slow.readers-safe").await?;
    slow.barrier(&mut [&mut writer.client], "slow.readers-safe")
        .await
}

/// Whatever the system still holds for the client, it takes nothing from it once the server has let go.
async fn dropped_unread(context: Context) -> Outcome {
    let (mut stalled, mut witness, mut writer) = stall(&context).await?;
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    writer.goes_on(from, &mut witness, "slow.no-delay").await?;
    if stalled.refused_within(DROPPED_WITHIN).await {
        return Ok(());
    }
    let name = stalled.name();
    let what = format!("TCP still takes what {name} sends, 10 s after too much waited for it");
    Err(Failure::breach("slow.drops-tcp", what)
        .expected("the end of the TCP connection, unsent data or not")
        .got("every ping is taken"))
}

/// What a client sends says nothing of what it reads.
async fn stalled_pings(context: Context) -> Outcome {
    let (mut stalled, mut witness, mut writer) = stall(&context).await?;
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    tokio::select! {
        never = stalled.ping_on() => match never {},
        gone_on = writer.goes_on(from, &mut witness, "slow.alone") => gone_on,
    }
}

/// A client that does not read, one that does, and a writer.
async fn stall(context: &Context) -> Outcome<(Client, Client, Writer)> {
    let mut stalled = join_small(context, "stalled").await?;
    let mut witness = context.join("witness").await?;
    let writer = Writer::join_with(context, Names::Wide).await?;
    witness
        .expect_echoes_of(&writer.history, ids::SEQ_FAN_OUT)
        .await?;
    stalled.stop_reading();
    Ok((stalled, witness, writer))
}

async fn stalled_in_sync(context: Context) -> Outcome {
    let mut writer = Writer::join(&context).await?;
    let from = writer.submit_bytes(4 * MIB);
    writer.expect_from(from, ids::SEQ_FAN_OUT).await?;
    let mut back = context.connect_with("back", Buffers::Small).await?;
    back.hello(context.doc_id(), "back", Some(1));
    back.expect_ack().await?;
    back.stop_reading();
    let live = writer.submit(20);
    writer.expect_from(live, "slow.no-delay").await?;
    back.resume_reading();
    follow(&mut back, 1, &writer.history, "slow.floor").await?;
    writer.client.barrier(&mut [&mut back], "slow.floor").await
}

async fn others_go_on(context: Context) -> Outcome {
    let (_stalled, mut witness, mut writer) = stall(&context).await?;
    for _ in 0..500 {
        let from = writer.submit(1);
        writer.goes_on(from, &mut witness, "slow.alone").await?;
    }
    Ok(())
}
