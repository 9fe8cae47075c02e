//! What a server has to keep of everything, however much there is: ops, missing elements, clients, documents.

use collab_spec::id::ParentId;
use collab_spec::profile::Profile;
use serde_json::Value;

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT, element, frame};
use crate::context::Context;
use crate::ids;
use crate::model::Model;
use crate::outcome::{Failure, Outcome};

use super::follow::{expect_text, letters, type_on};
use super::runs::RUNS;
use super::transport::{expect_too_big, padded};

/// More than a byte numbers.
const CLIENTS: usize = 270;
/// How many of them are asked for all echoes; all get them.
const ASKED: usize = 9;

/// More than sixteen bits number.
const LONGEST_SPAN: u64 = 65_600;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "submit/resend-after-1500",
            "the first of 1,500 deletes, sent again after the last, is answered with its echo",
            &["submit.kept", ids::SUBMIT_RESEND, ids::SUBMIT_ANSWER],
            resend_after_1500,
        )
        .weight(Weight::Slow),
        Case::code(
            "crdt/5000-waiting",
            "5,000 inserts of which each waits for the next all show when the last has come",
            &["crdt.pending-applies", ids::RESYNC_TEXT],
            waiting_5000,
        )
        .weight(Weight::Slow),
        Case::code(
            "session/270-clients",
            "of 270 clients in one document each types a character, and all get all",
            &[ids::SEQ_FAN_OUT, "seq.one-order", "crdt.element-id"],
            clients_270,
        )
        .weight(Weight::Slow),
        Case::code(
            "session/300-documents",
            "the first of 300 documents that were left one after the other is as it was left",
            &["session.outlives-connections"],
            documents_300,
        )
        .weight(Weight::Slow),
        Case::code(
            "runs/longest-deleted-before",
            "a delete of max_run elements that comes before their insert deletes each, and their ids stay taken",
            &["runs.pending", "runs.overlap", ids::STATE_CANONICAL],
            longest_deleted_before,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "runs/max-message-in-frames",
            "a message of exactly max_message_bytes is taken in frames of 64 KiB",
            &["runs.max-message", "transport.fragments"],
            max_message_in_frames,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "runs/max-message-in-bytes",
            "a message is too long by its bytes in UTF-8, however few characters they are",
            &["runs.max-message"],
            max_message_in_bytes,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
    ]
}

async fn resend_after_1500(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let insert = anna.insert(&ROOT, 'x');
    let mut history = vec![insert.clone()];
    history.extend((0..1_500).map(|_| anna.delete(insert.op.id())));
    anna.submit_all(&history);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    anna.resend(&history[1]);
    let answer = anna.expect_echo(&history[1], "submit.kept").await?;
    let seq = answer.server_seq.value();
    if seq != 2 {
        let what = "a delete that was sent again has another seq than at first";
        return Err(Failure::breach("submit.kept", what)
            .expected("server_seq 2")
            .got(format!("server_seq {seq}")));
    }
    anna.barrier(&mut [], ids::SUBMIT_RESEND).await
}

async fn waiting_5000(context: Context) -> Outcome {
    const LENGTH: usize = 5_000;
    let mut anna = context.join("anna").await?;
    let typed = anna.typing(&ROOT, &letters(LENGTH));
    anna.submit_all(typed.iter().rev());
    anna.expect_echoes(LENGTH, ids::SEQ_FAN_OUT).await?;
    expect_text(&context, &letters(LENGTH), "crdt.pending-applies").await?;
    Ok(())
}

async fn clients_270(context: Context) -> Outcome {
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        clients.push(context.join(&format!("c-{number}")).await?);
    }
    // All with one lamport: their names alone tell the elements apart.
    let mut model = Model::new();
    for (client, value) in clients.iter_mut().zip(letters(CLIENTS).chars()) {
        let submission = client.insert_at(1, &ROOT, value);
        client.submit(&submission);
        model.integrate(&submission.op);
    }
    let apart = CLIENTS.div_ceil(ASKED);
    let last = CLIENTS - 1;
    for at in (0..CLIENTS).step_by(apart).chain([last]) {
        clients[at].expect_echoes(CLIENTS, ids::SEQ_FAN_OUT).await?;
    }
    expect_text(&context, &model.text(), "crdt.element-id").await?;
    Ok(())
}

async fn documents_300(context: Context) -> Outcome {
    const BROKEN: &str = "session.outlives-connections";
    let name = |number: usize| format!("{}-{number}", context.doc_id());
    for number in 0..300 {
        let mut anna = context.join_as("anna", &name(number), "anna").await?;
        let typed = type_on(&mut anna, &ROOT, 1);
        anna.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
        anna.abandon().await;
    }
    let back = context.join_as("back", &name(0), "back").await?;
    let text = &back.synced().full_text;
    if text == "a" {
        return Ok(());
    }
    Err(Failure::breach(
        BROKEN,
        "after 299 other documents the first has another text",
    )
    .expected("\"a\"")
    .got(format!("{text:?}"))
    .at(back.synced_at()))
}

/// `max_run` and `max_message_bytes`.
fn most(client: &Client) -> Outcome<(u64, u64)> {
    let limits = client.acked().limits.as_ref();
    let limits =
        limits.ok_or_else(|| Failure::breach(ids::RUNS_LIMITS, "the ack has no limits"))?;
    Ok((limits.max_run.value(), limits.max_message_bytes.value()))
}

async fn longest_deleted_before(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join_asking("bo", RUNS).await?;
    let (max_run, _) = most(&anna)?;
    let paste = anna.insert_run(&ROOT, &letters(max_run as usize));
    let delete = bo.delete_run(paste.op.id(), max_run);
    bo.submit(&delete);
    bo.expect_echo(&delete, "runs.pending").await?;
    anna.expect_echo(&delete, "runs.pending").await?;
    anna.submit(&paste);
    anna.expect_echo(&paste, ids::SEQ_FAN_OUT).await?;
    let first = element(paste.op.last_lamport(), "anna");
    let mut last = first.clone();
    while last.lamport() <= paste.op.id().lamport() + LONGEST_SPAN {
        let values = letters(max_run as usize);
        let next = anna.insert_run_at(last.lamport() + 1, &ParentId::Element(last), &values);
        last = element(next.op.last_lamport(), "anna");
        let delete = anna.delete_run(next.op.id(), max_run);
        anna.submit_all([&next, &delete]);
        anna.expect_echoes_of([&next, &delete], ids::SEQ_FAN_OUT)
            .await?;
    }
    let behind = anna.insert_at(last.lamport() + 1, &ParentId::Element(last), 'z');
    anna.submit(&behind);
    anna.expect_echo(&behind, ids::SEQ_FAN_OUT).await?;
    expect_text(&context, "z", "runs.pending").await?;
    deleted_in_one_span(&context).await?;
    let taken = anna.insert_run_at(first.lamport(), &ROOT, "q");
    anna.submit(&taken);
    anna.expect_close(&[1008], "runs.overlap").await?;
    Ok(())
}

/// Where the server offers the profile `state`, too.
async fn deleted_in_one_span(context: &Context) -> Outcome {
    let mut late = context.connect("late-with-state").await?;
    let ask = Ask::of(&[Profile::Runs, Profile::State]);
    late.hello_asking(context.doc_id(), "late", &ask);
    late.expect_joined().await?;
    let Some(state) = &late.synced().state else {
        return Ok(());
    };
    let spans = state.elements.len();
    if spans == 2 {
        return Ok(());
    }
    let what = "what was deleted of one client in a row, and a character, are more than two spans";
    Err(Failure::breach(ids::STATE_CANONICAL, what)
        .expected("2 spans")
        .got(format!("{spans} spans"))
        .at(late.synced_at()))
}

async fn max_message_in_frames(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let (_, bytes) = most(&anna)?;
    let submission = anna.insert_run(&ROOT, "abc");
    let text = padded(&frame(&submission), bytes as usize);
    let pieces = text.as_bytes().chunks(65_536);
    let pieces = pieces.map(|piece| String::from_utf8_lossy(piece).into_owned());
    anna.send_fragments(&pieces.collect::<Vec<_>>());
    anna.expect_echo(&submission, "transport.fragments").await?;
    Ok(())
}

async fn max_message_in_bytes(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let (_, bytes) = most(&anna)?;
    let mut frame = frame(&anna.insert_run(&ROOT, "abc"));
    // Two bytes each: more than the limit, and fewer characters than it by far.
    frame["padding"] = Value::from("é".repeat(bytes as usize / 2));
    anna.send_text(&frame.to_string());
    expect_too_big(&mut anna, "runs.max-message").await?;
    expect_text(&context, "", "close.no-effect").await?;
    Ok(())
}
