//! What is left of a document that nobody has had open for as long as a server waits for a `hello`, and of one
//! that was quiet for so long.

use collab_spec::message::SyncKind;
use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{Ask, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;

use super::follow::type_on;
use super::resume::{RESUME, announces};
use super::runs::{RUNS, expect_due};
use super::session::wait_for_long;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "submit/all-left-for-long",
            "ops of a document that nobody has had open for long are known when they are sent again",
            &["submit.kept", ids::SUBMIT_RESEND, ids::SUBMIT_SAME_INSERT, "submit.id-taken"],
            sent_again,
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/quiet-for-long",
            "in a document in which nothing has happened for long everyone gets what is typed then",
            &[ids::SEQ_FAN_OUT, "seq.one-order"],
            quiet,
        )
        .weight(Weight::Waiting),
        Case::code(
            "resume/all-left-for-long",
            "the epoch is the same after nobody has had the document open for long",
            &["resume.one-epoch", ids::RESUME_AT_HEAD],
            epoch,
        )
        .profile(Profile::Resume)
        .weight(Weight::Waiting),
        Case::code(
            "runs/all-left-for-long",
            "a run of a document that nobody has had open for long is answered whole when it is sent again",
            &["runs.answer", ids::SUBMIT_RESEND],
            run_sent_again,
        )
        .profile(Profile::Runs)
        .weight(Weight::Waiting),
    ]
}

async fn sent_again(context: Context) -> Outcome {
    let mut silent = context.connect("silent").await?;
    let mut anna = context.join("anna").await?;
    let insert = anna.insert(&ROOT, 'a');
    let delete = anna.delete(insert.op.id());
    let history = [insert, delete];
    anna.submit_all(&history);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    anna.close().await?;
    wait_for_long(&mut silent).await;

    let mut anna = context
        .join_as("anna-again", context.doc_id(), "anna")
        .await?;
    anna.resend(&history[1]);
    expect_due(&mut anna, &[(2, history[1].clone())], "submit.kept").await?;
    anna.submit(&anna.op(history[0].op.clone()));
    anna.expect_echo(&history[0], ids::SUBMIT_SAME_INSERT)
        .await?;
    anna.submit(&anna.insert_at(history[0].op.id().lamport(), &ROOT, 'b'));
    anna.expect_close(&[1008], "submit.id-taken").await?;
    Ok(())
}

async fn quiet(context: Context) -> Outcome {
    let mut silent = context.connect("silent").await?;
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    wait_for_long(&mut silent).await;
    let mut carl = context.join("carl").await?;
    let typed = type_on(&mut anna, &ROOT, 3);
    for client in [&mut anna, &mut bo, &mut carl] {
        client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
    }
    carl.barrier(&mut [&mut anna, &mut bo], ids::SEQ_FAN_OUT)
        .await
}

async fn epoch(context: Context) -> Outcome {
    let mut silent = context.connect("silent").await?;
    let mut anna = context.join_asking("anna", RESUME).await?;
    let epoch = anna.epoch()?;
    let typed = type_on(&mut anna, &ROOT, 3);
    anna.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
    anna.close().await?;
    wait_for_long(&mut silent).await;
    let ask = Ask::of(RESUME).seen(3).epoch(&epoch);
    let mut back = context.reconnect_asking("back", "anna", &ask).await?;
    announces(&back, SyncKind::Replay, "resume.one-epoch")?;
    back.barrier(&mut [], ids::RESUME_AT_HEAD).await
}

async fn run_sent_again(context: Context) -> Outcome {
    let mut silent = context.connect("silent").await?;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let paste = anna.insert_run(&ROOT, "abcdef");
    anna.submit(&paste);
    anna.expect_echo(&paste, ids::SEQ_FAN_OUT).await?;
    anna.close().await?;
    wait_for_long(&mut silent).await;
    let mut back = context
        .join_asking_as("back", context.doc_id(), "anna", RUNS)
        .await?;
    back.resend(&paste);
    expect_due(&mut back, &[(6, paste)], "runs.answer").await?;
    back.barrier(&mut [], ids::SUBMIT_RESEND).await
}
