//! A server that is told to end. Each case has a server of its own.

use crate::case::{Case, Weight};
use crate::client::ROOT;
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;
use crate::wire::{Arrival, Buffers};

use super::follow::type_on;
use super::slow;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let cases = [
        Case::code(
            "close/shutdown",
            "a server that is told to end closes every connection with 1001, whatever its document or stage",
            &[ids::CLOSE_SHUTDOWN],
            every_connection,
        ),
        Case::code(
            "close/shutdown-in-mid-typing",
            "a server that is told to end in the midst of typing closes with 1001, and the echoes before it have no gap",
            &[ids::CLOSE_SHUTDOWN, ids::SEQ_FROM_BASELINE],
            in_mid_typing,
        ),
        Case::code(
            "close/shutdown-beside-a-stalled-reader",
            "a client that does not read keeps nobody else from being closed with 1001",
            &[ids::CLOSE_SHUTDOWN, "slow.no-delay"],
            beside_a_stalled_reader,
        ),
        Case::code(
            "close/shutdown-of-one-behind",
            "a client that reads, but is behind when the server is told to end, gets echoes without a gap, and 1001",
            &[ids::CLOSE_SHUTDOWN],
            of_one_behind,
        ),
        Case::code(
            "close/shutdown-in-mid-sync",
            "a client that takes in a long sync when the server is told to end is closed with 1001",
            &[ids::CLOSE_SHUTDOWN],
            in_mid_sync,
        ),
    ];
    let own = |case: Case| case.own_server().weight(Weight::Heavy);
    cases.into_iter().map(own).collect()
}

async fn every_connection(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    let elsewhere = format!("{}-2", context.doc_id());
    let mut carl = context.join_as("carl", &elsewhere, "carl").await?;
    let mut silent = context.connect("before-hello").await?;
    // The server has taken the connection and not only its handshake.
    silent.ping(b"there?", ids::PING).await?;
    anna.barrier(&mut [&mut bo], ids::SEQ_FAN_OUT).await?;
    context.terminate_server()?;
    for client in [&mut anna, &mut bo, &mut carl, &mut silent] {
        client.expect_close(&[1001], ids::CLOSE_SHUTDOWN).await?;
    }
    Ok(())
}

async fn in_mid_typing(context: Context) -> Outcome {
    let mut reader = context.join("reader").await?;
    let mut anna = context.join("anna").await?;
    type_on(&mut anna, &ROOT, 3_000);
    reader.expect_echoes(100, ids::SEQ_FAN_OUT).await?;
    context.terminate_server()?;
    let seen = reader.expect_echoes_until_close(&[1001], ids::CLOSE_SHUTDOWN);
    seen.await?;
    // What a server has not read makes TCP reset the connection, and the close frame may be lost.
    let seen = anna.expect_echoes_until_close(&[1001, 1006], ids::CLOSE_SHUTDOWN);
    seen.await.map(drop)
}

async fn beside_a_stalled_reader(context: Context) -> Outcome {
    let mut stalled = slow::join_small(&context, "stalled").await?;
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    stalled.stop_reading();
    let typed = type_on(&mut anna, &ROOT, 3_000);
    for client in [&mut anna, &mut bo] {
        client.expect_echoes_of(&typed, "slow.no-delay").await?;
    }
    context.terminate_server()?;
    for client in [&mut anna, &mut bo] {
        client.expect_close(&[1001], ids::CLOSE_SHUTDOWN).await?;
    }
    Ok(())
}

async fn of_one_behind(context: Context) -> Outcome {
    // Less than the 1 MiB that may wait (`slow.floor`), and enough that something waits in a server whose
    // own buffers are small.
    const BEHIND: usize = 3 * slow::MIB / 4;
    let mut behind = slow::join_small(&context, "behind").await?;
    let mut writer = slow::Writer::join(&context).await?;
    behind.stop_reading();
    let from = writer.submit_bytes(BEHIND);
    writer.expect_from(from, ids::SEQ_FAN_OUT).await?;
    behind.resume_reading();
    context.terminate_server()?;
    let seen = behind.expect_echoes_until_close(&[1001], ids::CLOSE_SHUTDOWN);
    seen.await.map(drop)
}

async fn in_mid_sync(context: Context) -> Outcome {
    let mut writer = slow::Writer::join(&context).await?;
    // More than the system takes.
    let from = writer.submit_bytes(6 * slow::MIB);
    writer.expect_from(from, ids::SEQ_FAN_OUT).await?;
    let mut back = context.connect_with("back", Buffers::Small).await?;
    back.hello(context.doc_id(), "back", Some(1));
    back.expect_ack().await?;
    back.stop_reading();
    context.terminate_server()?;
    back.resume_reading();
    // Of the sync it may get all, a part or nothing.
    loop {
        let awaited = "more of the sync, or close 1001";
        let incoming = back.receive(awaited, ids::CLOSE_SHUTDOWN).await?;
        if let Arrival::Text(_) = incoming.what {
            continue;
        }
        return back
            .closed(&incoming, &[1001], ids::CLOSE_SHUTDOWN)
            .map(drop);
    }
}
