//! How connections begin and end: hellos at once, the codes that clients close with, frames of every length.

use std::collections::BTreeMap;

use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT, frame};
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;

use super::follow::{letters, type_on};
use super::presence::{PRESENCE, expect_states, until_newest};
use super::runs::RUNS;
use super::transport::{padded, pieces};

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "session/first-hellos-at-once",
            "ten times six clients open a new document at once, and all get what one of them types",
            &[ids::SEQ_FAN_OUT, "session.new-document", "seq.one-order"],
            first_hellos_at_once,
        ),
        Case::code(
            "close/codes-of-clients",
            "whatever code a client closes with, or none, the server answers its close frame",
            &[ids::CLOSE_CLIENT_CLOSE],
            codes_of_clients,
        ),
        Case::code(
            "transport/frames-of-64k",
            "resyncs of 65,535 and of 65,536 bytes arrive",
            &["transport.upgrade", ids::RESYNC_TEXT, ids::RUNS_LIMITS],
            frames_of_64k,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "transport/handshakes",
            "a handshake is taken however its Connection and Upgrade headers are written",
            &[ids::UPGRADE],
            handshakes,
        ),
        Case::code(
            "transport/compressed",
            "who offers compression is served, and what it compresses is taken where that was agreed to",
            &["transport.extensions", ids::SEQ_FAN_OUT],
            compressed,
        ),
        Case::code(
            "transport/pongs-unasked",
            "a pong that nobody asked for, before the hello or after it, changes nothing",
            &["close.only-then", ids::UPGRADE],
            pongs_unasked,
        ),
        Case::code(
            "session/sent-before-the-end-of-tcp",
            "ten times an op, with the end of the connection right behind it, is handled",
            &["session.sent-before-close", ids::VANISHED],
            sent_before_the_end,
        ),
        Case::code(
            "presence/leaves-behind-updates",
            "ten times a client shows something twice and leaves at once, and is shown no more",
            &[
                "presence.ephemeral",
                ids::PRESENCE_LEAVING,
                ids::PRESENCE_NEWEST,
            ],
            leaves_behind_updates,
        )
        .profile(Profile::Presence),
    ]
}

async fn first_hellos_at_once(context: Context) -> Outcome {
    for round in 0..10 {
        let document = format!("{}-{round}", context.doc_id());
        let mut clients = Vec::new();
        for number in 0..6 {
            clients.push(context.connect(&format!("c{number}-{round}")).await?);
        }
        for client in &mut clients {
            let name = client.name().to_owned();
            client.hello(&document, &name, Some(0));
        }
        for client in &mut clients {
            client.expect_joined().await?;
        }
        let typed = type_on(&mut clients[0], &ROOT, 1);
        for client in &mut clients {
            client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
        }
    }
    Ok(())
}

async fn codes_of_clients(context: Context) -> Outcome {
    // 1005 stands for none.
    for code in [1001, 3000, 4999, 1005] {
        let mut anna = context.join(&format!("anna-{code}")).await?;
        anna.send_close(code);
        anna.expect_close(&[code, 1000, 1001, 1005], ids::CLOSE_CLIENT_CLOSE)
            .await?;
    }
    Ok(())
}

/// How many bytes the resync of a newcomer has.
async fn resync_bytes(context: &Context, name: &str) -> Outcome<usize> {
    let mut late = context.connect(name).await?;
    late.hello(context.doc_id(), "late", Some(0));
    late.expect_ack().await?;
    let resync = late.next_message("the resync", "transport.upgrade").await?;
    Ok(resync.received.text.len())
}

async fn paste(anna: &mut Client, length: usize) -> Outcome {
    let paste = anna.insert_run(&ROOT, &letters(length));
    anna.submit(&paste);
    anna.expect_echo(&paste, ids::SEQ_FAN_OUT).await.map(drop)
}

async fn frames_of_64k(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let most = anna.longest_run(1)? as usize;
    let mut length = 0;
    while length < 65_000 {
        let next = most.min(65_000 - length);
        paste(&mut anna, next).await?;
        length += next;
    }
    let short = 65_535_usize.saturating_sub(resync_bytes(&context, "first").await?);
    if short > 0 {
        paste(&mut anna, short).await?;
    }
    resync_bytes(&context, "second").await?;
    paste(&mut anna, 1).await?;
    resync_bytes(&context, "third").await?;
    Ok(())
}

/// Names in these headers have no case, and `Connection` is a list (RFC 6455, 4.2.1).
async fn handshakes(context: Context) -> Outcome {
    let headers = [
        "Connection=keep-alive, Upgrade",
        "Connection=upgrade",
        "Connection=Upgrade, keep-alive",
        "Upgrade=WebSocket",
    ];
    for (number, header) in headers.iter().enumerate() {
        let name = format!("anna-{number}");
        let mut anna = context.connect_saying(&name, header).await?;
        anna.hello(context.doc_id(), &name, None);
        anna.expect_joined().await?;
    }
    Ok(())
}

/// Agreed to or not, and whatever the answer asks for. Where it was, every other message is compressed.
async fn compressed(context: Context) -> Outcome {
    const BROKEN: &str = "transport.extensions";
    let offers = [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "nobody-knows-this, permessage-deflate",
    ];
    let mut witness = context.join("witness").await?;
    for (number, offer) in offers.iter().enumerate() {
        let name = format!("anna-{number}");
        let header = format!("Sec-WebSocket-Extensions={offer}");
        let mut anna = context.connect_saying(&name, &header).await?;
        let agreed = anna.compresses();
        let said = say_compressed(&mut anna, &mut witness).await;
        said.map_err(|failure| match agreed {
            true => failure
                .unless_late(BROKEN)
                .context("after the server has agreed to permessage-deflate"),
            false => failure.context(format!("after an offer of {offer}")),
        })?;
    }
    Ok(())
}

/// A hello and some ops, one of them long and in frames, one behind a ping.
async fn say_compressed(anna: &mut Client, witness: &mut Client) -> Outcome {
    const BROKEN: &str = "transport.extensions";
    let (doc_id, name) = (anna.doc_id().to_owned(), anna.name().to_owned());
    anna.hello(&doc_id, &name, None);
    anna.expect_joined().await?;
    // The long one is the 21st message: an odd one, which is compressed.
    let mut typed = type_on(anna, &ROOT, 19);
    let long = anna.insert(&ROOT, 'x');
    anna.send_fragments(&pieces(&padded(&frame(&long), 60_000), 64));
    let last = anna.insert(&ROOT, 'y');
    anna.send_ping(b"between messages");
    anna.submit(&last);
    typed.extend([long, last]);
    for client in [&mut *anna, &mut *witness] {
        client.expect_echoes_of(&typed, BROKEN).await?;
    }
    anna.barrier(&mut [witness], BROKEN).await
}

/// They may serve as a heartbeat (RFC 6455, 5.5.3).
async fn pongs_unasked(context: Context) -> Outcome {
    let mut anna = context.connect("anna").await?;
    anna.send_pong(b"before the hello");
    anna.ping(b"still there?", "close.only-then").await?;
    anna.hello(context.doc_id(), "anna", None);
    anna.expect_joined().await?;
    anna.send_pong(&[]);
    anna.barrier(&mut [], "close.only-then").await
}

async fn sent_before_the_end(context: Context) -> Outcome {
    const BROKEN: &str = "session.sent-before-close";
    let mut witness = context.join("witness").await?;
    for round in 0..10 {
        let mut anna = context.join(&format!("anna-{round}")).await?;
        let typed = type_on(&mut anna, &ROOT, 1);
        anna.flush(BROKEN).await?;
        anna.abandon().await;
        witness.expect_echoes_of(&typed, BROKEN).await?;
    }
    witness.barrier(&mut [], ids::VANISHED).await
}

async fn leaves_behind_updates(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut bo = context.join_asking("bo", PRESENCE).await?;
    let state = |number: usize| json!({"n": number});
    for round in 0..10 {
        let name = format!("anna-{round}");
        let mut anna = context.join_asking(&name, PRESENCE).await?;
        anna.send_presence(&state(0));
        let shown = BTreeMap::from([(name.clone(), state(0))]);
        until_newest(&mut witness, shown, ids::PRESENCE_PASSED_ON).await?;
        anna.send_presence(&state(1));
        anna.send_presence(&state(2));
        anna.close().await?;
        let left = BTreeMap::from([(name, Value::Null)]);
        until_newest(&mut witness, left, ids::PRESENCE_LEAVING).await?;
    }
    // What a server holds back for a while of anybody, it holds back of this one, and no less long.
    for number in 0..3 {
        bo.send_presence(&state(number));
    }
    let newest = BTreeMap::from([("bo".to_owned(), state(2))]);
    until_newest(&mut witness, newest.clone(), ids::PRESENCE_NEWEST).await?;
    let late = context.join_asking("late", PRESENCE).await?;
    expect_states(&late, newest, "presence.ephemeral")
}
