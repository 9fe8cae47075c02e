//! Sizes, fragments and pings.

use std::time::Duration;

use serde_json::Value;

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT, frame};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::trace::MAX_PING_BYTES;

use super::follow::{follow, letters, type_on, typed_history};
use super::slow::join_small;

/// The size that every server takes (`transport.takes-64k`), in bytes.
const TAKEN: usize = 65_536;
/// The size that no server takes more than (`transport.bounds-16m`), in bytes.
const REFUSED_ABOVE: usize = 16_777_216;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "transport/op-of-64k",
            "an op of 65,536 bytes, most of it in a field that nobody knows, is taken",
            &["transport.takes-64k", ids::ECHO_EXACT_FIELDS],
            op_of_64k,
        ),
        Case::code(
            "transport/hello-of-64k",
            "a hello of 65,536 bytes is taken",
            &["transport.takes-64k"],
            hello_of_64k,
        ),
        Case::code(
            "transport/op-of-64k-in-fragments",
            "an op of 65,536 bytes in 64 frames is taken",
            &["transport.takes-64k", "transport.fragments"],
            op_of_64k_in_fragments,
        ),
        Case::code(
            "transport/op-in-fragments-of-one-byte",
            "an op in frames of one byte each, pings behind it, is taken, whatever its characters are",
            &["transport.fragments", ids::PING],
            op_in_fragments_of_one_byte,
        ),
        Case::code(
            "transport/over-16m",
            "a message of more than 16 MiB is refused with 1009, and nobody else notices",
            &[
                "close.too-big",
                "transport.bounds-16m",
                "close.delivered",
                ids::CLOSE_ISOLATED,
            ],
            over_16m,
        )
        .weight(Weight::Heavy),
        Case::code(
            "transport/fragments-over-16m",
            "fragments that join to more than 16 MiB are refused with 1009",
            &["close.too-big", "transport.bounds-16m", "close.delivered"],
            fragments_over_16m,
        )
        .weight(Weight::Heavy),
        Case::code(
            "close/delivered-unread",
            "who sends on after a refusal, and reads the close frame only then, is not cut off",
            &["close.delivered", "close.too-big", "transport.bounds-16m"],
            delivered_unread,
        )
        .weight(Weight::Heavy),
        Case::code(
            "transport/ping",
            "a ping is answered with its data before the hello, after it, and in mid-typing",
            &[ids::PING],
            ping,
        ),
        Case::code(
            "transport/pings-unread",
            "a client that sends 8 MiB of pings before it reads gets whole frames, and pongs on",
            &[ids::PING, ids::UPGRADE],
            pings_unread,
        )
        .weight(Weight::Heavy),
        Case::code(
            "close/delivered-under-load",
            "the close frame of a violation arrives though a mebibyte more was on its way",
            &["close.delivered", "close.nothing-after", "close.flush"],
            delivered_under_load,
        ),
        Case::code(
            "close/flush-of-a-long-sync",
            "who breaks a rule right behind the hello gets the 3,000 missed ops, and then the close",
            &["close.flush", ids::SYNC_REPLAY_EXACT],
            flush_of_a_long_sync,
        ),
        Case::code(
            "close/broken-frame",
            "a ping that RFC 6455 does not allow is answered with 1002, and nobody else notices",
            &["close.framing", ids::CLOSE_ISOLATED],
            broken_frame,
        ),
    ]
}

/// A frame as text of exactly `bytes` bytes, filled up in a field that nobody knows.
pub(super) fn padded(frame: &Value, bytes: usize) -> String {
    let mut frame = frame.clone();
    frame["padding"] = Value::from("");
    let empty = frame.to_string().len();
    frame["padding"] = Value::from("x".repeat(bytes.saturating_sub(empty)));
    frame.to_string()
}

/// Cuts a text into pieces of `bytes` bytes, in the midst of a character where it comes so.
pub(super) fn pieces(text: &str, bytes: usize) -> Vec<&[u8]> {
    text.as_bytes().chunks(bytes).collect()
}

async fn op_of_64k(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.send_text(&padded(&frame(&submission), TAKEN));
    anna.expect_echo(&submission, "transport.takes-64k").await?;
    bo.expect_echo(&submission, "transport.takes-64k").await?;
    Ok(())
}

async fn hello_of_64k(context: Context) -> Outcome {
    let mut anna = context.connect("anna").await?;
    let hello =
        serde_json::json!({"type": "hello", "doc_id": context.doc_id(), "client_id": "anna"});
    anna.send_text(&padded(&hello, TAKEN));
    anna.expect_joined().await?;
    anna.barrier(&mut [], "transport.takes-64k").await
}

async fn op_of_64k_in_fragments(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.send_fragments(&pieces(&padded(&frame(&submission), TAKEN), 1_024));
    anna.expect_echo(&submission, "transport.fragments").await?;
    Ok(())
}

async fn op_in_fragments_of_one_byte(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    for value in ['x', '😀', 'y'] {
        let submission = anna.insert(&ROOT, value);
        anna.send_fragments(&pieces(&frame(&submission).to_string(), 1));
        anna.ping(b"behind fragments", ids::PING).await?;
        anna.expect_echo(&submission, "transport.fragments").await?;
    }
    Ok(())
}

async fn over_16m(context: Context) -> Outcome {
    let mut bystander = context.join("bystander").await?;
    let mut anna = context.join("anna").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.send_text(&padded(&frame(&submission), REFUSED_ABOVE + 1));
    expect_too_big(&mut anna, "close.too-big").await?;
    bystander.barrier(&mut [], ids::CLOSE_ISOLATED).await
}

async fn fragments_over_16m(context: Context) -> Outcome {
    let mut bystander = context.join("bystander").await?;
    let mut anna = context.join("anna").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.send_fragments(&pieces(
        &padded(&frame(&submission), REFUSED_ABOVE + 1),
        256 * 1_024,
    ));
    expect_too_big(&mut anna, "close.too-big").await?;
    bystander.barrier(&mut [], ids::CLOSE_ISOLATED).await
}

/// Close 1009; an end without it is a matter of `close.delivered`.
pub(super) async fn expect_too_big(client: &mut Client, requirement: &str) -> Outcome {
    let closed = client.expect_close(&[1009, 1006], requirement).await?;
    if closed.code == 1006 {
        return Err(Failure::breach(
            "close.delivered",
            "the connection ended without the close frame",
        )
        .expected("close 1009")
        .got(closed.reason));
    }
    Ok(())
}

/// Writing fails where the server has let TCP go with data unread: more is sent than the buffers of both
/// ends hold.
async fn delivered_unread(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.stop_reading();
    anna.send_text(&padded(&frame(&submission), REFUSED_ABOVE + 1));
    anna.flush("close.delivered").await?;
    if let Some(why) = anna.not_sent() {
        return Err(Failure::breach(
            "close.delivered",
            "the server let go of TCP while a refused message was still coming",
        )
        .expected("that the server reads on, so that its close frame is not lost")
        .got(why));
    }
    anna.resume_reading();
    expect_too_big(&mut anna, "close.too-big").await
}

async fn ping(context: Context) -> Outcome {
    let mut anna = context.connect("anna").await?;
    anna.ping(b"before the hello", ids::PING).await?;
    anna.hello(context.doc_id(), "anna", None);
    anna.expect_joined().await?;
    anna.ping(&[0, 255, 128], ids::PING).await?;
    let typed = type_on(&mut anna, &ROOT, 50);
    anna.ping(&[b'p'; 125], ids::PING).await?;
    anna.ping(&[], ids::PING).await?;
    anna.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
    Ok(())
}

/// A server may answer the last of several pings alone (RFC 6455, section 5.5.3), or read no more until its
/// pongs are taken.
async fn pings_unread(context: Context) -> Outcome {
    let mut anna = join_small(&context, "anna").await?;
    anna.stop_reading();
    for number in 0..(8 << 20) / 125 {
        anna.send_ping(format!("{number:0>125}").as_bytes());
    }
    anna.taken_within(Duration::from_secs(1)).await;
    anna.resume_reading();
    anna.ping(b"behind all that", ids::PING).await?;
    anna.barrier(&mut [], ids::UPGRADE).await
}

async fn delivered_under_load(context: Context) -> Outcome {
    let mut bystander = context.join("bystander").await?;
    let mut anna = context.join("anna").await?;
    let before = type_on(&mut anna, &ROOT, 100);
    anna.send_json(&serde_json::json!({"type": "nonsense"}));
    let behind = anna.typing(&ROOT, &letters(5_000));
    anna.submit_all(&behind);
    anna.expect_echoes_of(&before, "close.flush").await?;
    let closed = anna
        .expect_close(&[1002, 1006], "close.unknown-type")
        .await?;
    bystander.expect_echoes_of(&before, "close.flush").await?;
    bystander.barrier(&mut [], "close.nothing-after").await?;
    if closed.code == 1006 {
        return Err(Failure::breach(
            "close.delivered",
            "the connection ended without the close frame",
        )
        .expected("close 1002")
        .got(closed.reason));
    }
    Ok(())
}

async fn flush_of_a_long_sync(context: Context) -> Outcome {
    let (_anna, history) = typed_history(&context, 3_000).await?;
    let mut bo = context.connect("bo").await?;
    bo.hello(context.doc_id(), "bo", Some(1));
    bo.send_json(&serde_json::json!({"type": "nonsense"}));
    bo.expect_ack().await?;
    follow(&mut bo, 1, &history, "close.flush").await?;
    bo.expect_close(&[1002, 1006], "close.unknown-type").await?;
    Ok(())
}

async fn broken_frame(context: Context) -> Outcome {
    let mut bystander = context.join("bystander").await?;
    let mut anna = context.join("anna").await?;
    let submission = anna.insert(&ROOT, 'x');
    anna.submit(&submission);
    anna.expect_echo(&submission, ids::SEQ_FAN_OUT).await?;
    bystander.expect_echo(&submission, ids::SEQ_FAN_OUT).await?;
    anna.send_ping(&[b'p'; MAX_PING_BYTES + 1]);
    let closed = anna.expect_close(&[1002, 1006], "close.framing").await?;
    bystander.barrier(&mut [], ids::CLOSE_ISOLATED).await?;
    if closed.code == 1006 {
        return Err(Failure::breach(
            "close.framing",
            "the connection ended without a close frame",
        )
        .expected("close 1002")
        .got(closed.reason));
    }
    Ok(())
}
