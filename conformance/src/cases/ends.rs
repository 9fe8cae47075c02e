//! How connections begin and end: hellos at once, the codes that clients close with, frames of every length.

use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;

use super::follow::{letters, type_on};
use super::runs::RUNS;

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
            "whatever code a client closes with, the server answers its close frame",
            &[ids::CLOSE_CLIENT_CLOSE],
            codes_of_clients,
        ),
        Case::code(
            "transport/frames-of-64k",
            "resyncs of 65,535 and of 65,536 bytes arrive",
            &["transport.upgrade", ids::RESYNC_TEXT],
            frames_of_64k,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
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
    for code in [1001, 3000, 4999] {
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
    let most = anna.acked().limits.as_ref();
    let most = most.map_or(1_024, |limits| limits.max_run.value() as usize);
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
