//! What waits for clients that do not read: for which of them, what is counted, and what others see of it.

use std::collections::BTreeMap;
use std::time::Duration;

use collab_spec::message::ServerMessage;
use collab_spec::profile::Profile;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT, echo_pattern};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::validate::shortened;
use crate::wire::{Arrival, Buffers};

use super::follow::{follow, type_on};
use super::presence::{self, PRESENCE, until_newest};
use super::slow::{DROPPED_WITHIN, Drained, IN_BUFFERS, MIB, Names, Writer, drain, join_small};

/// How long a server has for ops that are sent again before it is taken for one that reads no more of them.
const HANDLED_WITHIN: Duration = Duration::from_secs(3);

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let cases = [
        Case::code(
            "slow/twin-reads-on",
            "while one connection of a client does not read and is closed, its other one gets every echo",
            &["slow.alone", "slow.no-delay"],
            twin_reads_on,
        ),
        Case::code(
            "slow/flood-during-a-sync",
            "a client that stops reading in mid-sync is closed before 16 MiB of later echoes wait for it",
            &["slow.ceiling", "slow.alone", "slow.no-delay"],
            flood_during_a_sync,
        ),
        Case::code(
            "slow/answers-unread",
            "who sends an op again and again and reads no answer is closed, or not read from",
            &["slow.ceiling", "slow.alone"],
            answers_unread,
        ),
        Case::code(
            "presence/closed-as-slow",
            "a client that is closed since it does not read is shown no more",
            &[ids::PRESENCE_LEAVING, "slow.alone"],
            closed_as_slow,
        )
        .profile(Profile::Presence),
        Case::code(
            "presence/shown-during-a-sync",
            "who takes long over its sync has the newest states behind it, and nobody who has left",
            &[
                ids::PRESENCE_SNAPSHOT,
                ids::PRESENCE_NEWEST,
                ids::PRESENCE_LEAVING,
            ],
            shown_during_a_sync,
        )
        .profile(Profile::Presence),
    ];
    let slow = |case: Case| case.weight(Weight::Slow);
    cases.into_iter().map(slow).collect()
}

async fn twin_reads_on(context: Context) -> Outcome {
    let mut stalled = join_small(&context, "stalled").await?;
    let mut twin = context.join_as("twin", context.doc_id(), "stalled").await?;
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    twin.expect_echoes_of(writer.history(), ids::SEQ_FAN_OUT)
        .await?;
    stalled.stop_reading();
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    writer.goes_on(from, &mut twin, "slow.alone").await?;
    stalled.resume_reading();
    stalled.ended_within(DROPPED_WITHIN).await;
    twin.barrier(&mut [], "slow.alone").await
}

async fn flood_during_a_sync(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    witness
        .expect_echoes_of(writer.history(), ids::SEQ_FAN_OUT)
        .await?;
    let from = writer.submit_bytes(4 * MIB);
    writer.goes_on(from, &mut witness, ids::SEQ_FAN_OUT).await?;
    let mut back = context.connect_with("back", Buffers::Small).await?;
    back.hello(context.doc_id(), "back", Some(1));
    back.expect_ack().await?;
    back.stop_reading();
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    writer.goes_on(from, &mut witness, "slow.alone").await?;
    back.resume_reading();
    back.ended_within(DROPPED_WITHIN).await;
    if has_ended(&mut back, writer.history().len() as u64).await? {
        return Ok(());
    }
    let what =
        "24 MiB of echoes came while a client took in no more of its sync, and it was not closed";
    Err(Failure::breach("slow.ceiling", what)
        .expected("close 1013, or an end of TCP, before 16 MiB wait")
        .got("the sync and every echo, and the connection is open"))
}

/// Takes what comes: whether the connection ends before the echo of the last seq.
async fn has_ended(client: &mut Client, last: u64) -> Outcome<bool> {
    let awaited = format!("echoes up to seq {last}, or the end of the connection");
    loop {
        let incoming = client.receive(&awaited, "slow.ceiling").await?;
        match &incoming.what {
            Arrival::Close { .. } | Arrival::End { .. } => return Ok(true),
            Arrival::Text(received) => {
                if let Some(ServerMessage::OpEcho(echo)) = received.message()
                    && echo.server_seq.value() == last
                {
                    return Ok(false);
                }
            }
            Arrival::Binary(_) | Arrival::Pong(_) => {}
        }
    }
}

/// A server that reads no more from who does not read its answers has no more of them to hold.
async fn answers_unread(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut stalled = context.connect_with("stalled", Buffers::Small).await?;
    stalled.hello(context.doc_id(), &Names::Wide.name("stalled"), None);
    stalled.expect_joined().await?;
    let typed = type_on(&mut stalled, &ROOT, 100);
    for client in [&mut stalled, &mut witness] {
        client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
    }
    let bytes = echo_pattern(&typed[0], Some(1)).to_string().len();
    stalled.stop_reading();
    let count = (16 * MIB + IN_BUFFERS) / bytes;
    for submission in typed.iter().cycle().take(count) {
        stalled.resend(submission);
    }
    // What others get of the op behind them tells that all of them have been handled.
    let last = stalled.insert(&ROOT, 'x');
    stalled.submit(&last);
    let handled = witness.expect_echo(&last, "slow.alone");
    let handled = timeout(context.scaled(HANDLED_WITHIN), handled).await;
    let Ok(handled) = handled else {
        return witness.ping(b"still there?", "slow.alone").await;
    };
    handled?;
    witness.barrier(&mut [], "slow.alone").await?;
    stalled.resume_reading();
    stalled.ended_within(DROPPED_WITHIN).await;
    // The answers, the op behind them, and those of the barrier.
    let Drained { echoes, closed } = drain(&mut stalled, count + 3).await?;
    if closed {
        return Ok(());
    }
    let what = format!(
        "the answers to {} MiB of ops that were sent again waited for {}, and it was not closed",
        count * bytes / MIB,
        stalled.name()
    );
    Err(Failure::breach("slow.ceiling", what)
        .expected("close 1013, an end of TCP, or that the server reads no more")
        .got(format!("{echoes} echoes, and the connection is open")))
}

async fn closed_as_slow(context: Context) -> Outcome {
    let mut stalled = presence::join_small(&context, "stalled").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    for client in [&mut stalled, &mut witness] {
        client
            .expect_echoes_of(writer.history(), ids::SEQ_FAN_OUT)
            .await?;
    }
    let shown = json!({"here": true});
    stalled.send_presence(&shown);
    witness
        .expect_presence("stalled", &shown, ids::PRESENCE_PASSED_ON)
        .await?;
    stalled.stop_reading();
    let from = writer.submit_bytes(16 * MIB + IN_BUFFERS);
    let mut is_shown = true;
    let mut missing = writer.history().len() - from;
    while missing > 0 {
        let awaited = format!("another {missing} echoes");
        let message = witness.next_message(&awaited, "slow.no-delay").await;
        let message = message.map_err(|failure| failure.unless_late("slow.alone"))?;
        match message.message {
            ServerMessage::OpEcho(_) => missing -= 1,
            ServerMessage::PresenceUpdate(update) if is_shown && update.state.is_none() => {
                is_shown = false;
            }
            _ => {
                let what = "something else than echoes, and null for the one that left, came";
                return Err(Failure::breach(ids::PRESENCE_LEAVING, what)
                    .expected(awaited)
                    .got(shortened(&message.received.text, 600))
                    .at(message.event));
            }
        }
    }
    writer.expect_from(from, "slow.alone").await?;
    stalled.resume_reading();
    stalled.ended_within(DROPPED_WITHIN).await;
    if is_shown {
        witness
            .expect_presence("stalled", &Value::Null, ids::PRESENCE_LEAVING)
            .await?;
    }
    witness.barrier(&mut [], "slow.alone").await
}

async fn shown_during_a_sync(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let mut guest = context.join_asking("guest", PRESENCE).await?;
    for client in [&mut anna, &mut guest] {
        client.send_presence(&json!({"n": 1}));
    }
    guest
        .expect_presence("anna", &json!({"n": 1}), ids::PRESENCE_PASSED_ON)
        .await?;
    anna.expect_presence("guest", &json!({"n": 1}), ids::PRESENCE_PASSED_ON)
        .await?;
    let mut writer = Writer::join(&context).await?;
    let from = writer.submit_bytes(4 * MIB);
    writer.expect_from(from, ids::SEQ_FAN_OUT).await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;

    let mut back = context.connect_with("back", Buffers::Small).await?;
    let ask = Ask::of(PRESENCE).seen(1);
    back.hello_asking(context.doc_id(), "back", &ask);
    back.expect_ack_asking(&ask).await?;
    back.stop_reading();
    guest.close().await?;
    witness
        .expect_presence("guest", &Value::Null, ids::PRESENCE_LEAVING)
        .await?;
    let newest = json!({"n": 2});
    anna.send_presence(&newest);
    witness
        .expect_presence("anna", &newest, ids::PRESENCE_PASSED_ON)
        .await?;
    back.resume_reading();
    follow(&mut back, 1, writer.history(), ids::SYNC_REPLAY_EXACT).await?;
    let snapshot = back.expect_snapshot().await?;
    let mut wanted = BTreeMap::from([("anna".to_owned(), newest)]);
    if snapshot.states.keys().any(|name| name.as_str() == "guest") {
        wanted.insert("guest".to_owned(), Value::Null);
    }
    until_newest(&mut back, wanted, ids::PRESENCE_NEWEST).await
}
