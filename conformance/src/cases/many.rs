//! What a server has to keep of everything, however much there is: ops, missing elements, clients, documents.

use collab_spec::id::ParentId;
use collab_spec::profile::Profile;
use serde_json::Value;

use crate::case::{Case, Weight};
use crate::client::{Ask, ROOT, element, frame, under};
use crate::context::Context;
use crate::ids;
use crate::model::Model;
use crate::outcome::{Failure, Outcome};

use super::follow::{expect_text, letters, type_on};
use super::runs::{RUNS, expect_due};
use super::transport::{expect_too_big, padded, pieces};

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
            &["runs.pending", "runs.overlap", ids::STATE_CANONICAL, ids::RUNS_LIMITS],
            longest_deleted_before,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "runs/max-message-in-frames",
            "a message of exactly max_message_bytes is taken in frames of 64 KiB",
            &["runs.max-message", "transport.fragments", ids::RUNS_LIMITS],
            max_message_in_frames,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "runs/max-message-in-bytes",
            "a message is too long by its bytes in UTF-8, however few characters they are",
            &["runs.max-message", ids::RUNS_LIMITS],
            max_message_in_bytes,
        )
        .profile(Profile::Runs)
        .weight(Weight::Slow),
        Case::code(
            "state/of-a-long-text",
            "a text of more than a mebibyte has its state, whole",
            &[ids::STATE_WHOLE, ids::STATE_IN_RESYNC],
            state_of_a_long_text,
        )
        .profile(Profile::State)
        .needs(&[Profile::Runs])
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
    expect_due(&mut anna, &[(2, history[1].clone())], "submit.kept").await?;
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
    for number in 0..300 {
        let document = match number {
            0 => context.doc_id().to_owned(),
            _ => format!("{}-{number}", context.doc_id()),
        };
        let mut anna = context.join_as("anna", &document, "anna").await?;
        let typed = type_on(&mut anna, &ROOT, 1);
        anna.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
        anna.abandon().await;
    }
    expect_text(&context, "a", "session.outlives-connections").await?;
    Ok(())
}

async fn longest_deleted_before(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join_asking("bo", RUNS).await?;
    // Each may have limits of its own.
    let longest = anna.longest_run(1)?.min(bo.limits()?.max_run.value());
    let paste = anna.insert_run(&ROOT, &letters(longest as usize));
    let delete = bo.delete_run(paste.op.id(), longest);
    bo.submit(&delete);
    bo.expect_echo(&delete, "runs.pending").await?;
    anna.expect_echo(&delete, "runs.pending").await?;
    anna.submit(&paste);
    anna.expect_echo(&paste, ids::SEQ_FAN_OUT).await?;
    let first = element(paste.op.last_lamport(), "anna");
    let mut last = first.clone();
    while last.lamport() <= paste.op.id().lamport() + LONGEST_SPAN {
        let values = letters(longest as usize);
        let next = anna.insert_run_at(last.lamport() + 1, &ParentId::Element(last), &values);
        last = element(next.op.last_lamport(), "anna");
        let delete = anna.delete_run(next.op.id(), longest);
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
    let bytes = anna.limits()?.max_message_bytes.value() as usize;
    let submission = anna.insert_run(&ROOT, "abc");
    anna.send_fragments(&pieces(&padded(&frame(&submission), bytes), 65_536));
    anna.expect_echo(&submission, "transport.fragments").await?;
    Ok(())
}

async fn max_message_in_bytes(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let bytes = anna.limits()?.max_message_bytes.value() as usize;
    let mut frame = frame(&anna.insert_run(&ROOT, "abc"));
    // Two bytes each: more than the limit, and fewer characters than it by far.
    frame["padding"] = Value::from("é".repeat(bytes / 2));
    anna.send_text(&frame.to_string());
    expect_too_big(&mut anna, "runs.max-message").await?;
    expect_text(&context, "", "close.no-effect").await?;
    Ok(())
}

async fn state_of_a_long_text(context: Context) -> Outcome {
    // Four bytes each.
    const LENGTH: u64 = 270_000;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let piece = anna.longest_run(4)?;
    let (mut parent, mut length) = (ROOT, 0);
    while length < LENGTH {
        let paste = anna.insert_run(&parent, &"😀".repeat(piece as usize));
        parent = under(&paste);
        length += piece;
        anna.submit(&paste);
        anna.expect_echo(&paste, ids::SEQ_FAN_OUT).await?;
    }
    let both = [Profile::Runs, Profile::State];
    let late = context.join_asking("late", &both).await?;
    // That it has all elements, the monitor looks at: its text is that of the resync.
    late.state().map(drop)
}
