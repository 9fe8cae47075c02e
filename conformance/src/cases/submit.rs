//! Resending after a lost connection, in bulk.

use std::collections::{BTreeMap, BTreeSet};

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{Op, OpEcho, OpSubmission, ServerMessage};

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{expect_text, letters, type_on, typed_history};

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "submit/resend-after-lost-connection",
            "what a client resends after its connection broke in mid-typing stands in the text once",
            &[ids::SUBMIT_RESEND, ids::SUBMIT_ANSWER, "session.vanished"],
            resend_after_lost_connection,
        ),
        Case::code(
            "submit/resend-whole-history",
            "resending 500 ops on a later connection brings 500 answers and no new op",
            &[
                ids::SUBMIT_RESEND,
                ids::SUBMIT_ANSWER,
                ids::SUBMIT_ANSWER_PRIVATE,
            ],
            resend_whole_history,
        ),
        Case::code(
            "submit/resend-while-others-write",
            "answers to resent ops and the echoes of others' ops do not disturb each other",
            &[
                ids::SUBMIT_ANSWER,
                ids::SEQ_FROM_BASELINE,
                "submit.answer-order",
            ],
            resend_while_others_write,
        ),
        Case::code(
            "submit/two-connections-race",
            "the same 200 ops sent by two connections of one client at once are accepted once each",
            &[
                ids::SUBMIT_RESEND,
                "session.same-client-id",
                ids::SEQ_ONE_ORDER,
            ],
            two_connections_race,
        )
        .weight(Weight::Heavy),
        Case::code(
            "close/only-then",
            "who sends 1,500 right messages, many of them for the second time, is not closed",
            &[ids::CLOSE_ONLY_THEN],
            only_then,
        ),
    ]
}

async fn only_then(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    let typed = type_on(&mut anna, &ROOT, 600);
    anna.expect_echoes_of(&typed, ids::CLOSE_ONLY_THEN).await?;
    bo.expect_echoes_of(&typed, ids::CLOSE_ONLY_THEN).await?;
    // What bo deletes is anna's, and anna deletes it once more.
    let elements = typed.iter().filter_map(|submission| match &submission.op {
        Op::Ins(insert) => Some(&insert.id),
        Op::Del(_) => None,
    });
    let elements: Vec<_> = elements.take(300).collect();
    delete(&elements, &mut bo, &mut anna).await?;
    delete(&elements, &mut anna, &mut bo).await?;
    for submission in &typed {
        anna.resend(submission);
    }
    let confirmed = expect_confirmed(&mut anna, typed.iter()).await;
    confirmed.map_err(|failure| failure.unless_late(ids::CLOSE_ONLY_THEN))?;
    anna.ping(b"still there", ids::PING).await?;
    anna.barrier(&mut [&mut bo], ids::CLOSE_ONLY_THEN).await
}

async fn delete(elements: &[&ElementId], by: &mut Client, other: &mut Client) -> Outcome {
    let deletes: Vec<_> = elements.iter().map(|id| by.delete(id)).collect();
    by.submit_all(&deletes);
    for client in [by, other] {
        client
            .expect_echoes_of(&deletes, ids::CLOSE_ONLY_THEN)
            .await?;
    }
    Ok(())
}

async fn resend_after_lost_connection(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut anna = context.join("anna").await?;
    let typed = type_on(&mut anna, &ROOT, 300);
    let confirmed = 100;
    anna.expect_echoes_of(&typed[..confirmed], ids::SEQ_FAN_OUT)
        .await?;
    anna.abandon().await;

    let mut anna = context
        .reconnect("anna-again", "anna", confirmed as u64)
        .await?;
    anna.submit_all(&typed[confirmed..]);
    let end = anna.send_barrier();
    let resent = &typed[confirmed..];
    expect_confirmed(&mut anna, resent.iter().chain(&end)).await?;
    witness.expect_echoes_of(&typed, ids::SUBMIT_RESEND).await?;
    witness
        .expect_barrier(&end, ids::SUBMIT_ANSWER_PRIVATE)
        .await?;
    expect_text(&context, &letters(300), ids::RESYNC_TEXT).await?;
    Ok(())
}

/// Takes messages until each of the ops has been confirmed by an echo, in whatever order: answers
/// stand outside the order of echoes (`submit.answer-order`). Gives those echoes.
pub(super) async fn expect_confirmed<'a>(
    client: &mut Client,
    submissions: impl IntoIterator<Item = &'a OpSubmission>,
) -> Outcome<Vec<OpEcho>> {
    let mut echoes = Vec::new();
    let mut missing: BTreeSet<&Name> = submissions
        .into_iter()
        .map(|submission| &submission.client_msg_id)
        .collect();
    while let Some(first) = missing.first() {
        let awaited = format!("an echo of {first} and of {} more", missing.len() - 1);
        let message = client.next_message(&awaited, ids::SUBMIT_ANSWER).await?;
        if let ServerMessage::OpEcho(echo) = message.message
            && missing.remove(&echo.client_msg_id)
        {
            echoes.push(echo);
        }
    }
    Ok(echoes)
}

async fn resend_whole_history(context: Context) -> Outcome {
    let (anna, history) = typed_history(&context, 500).await?;
    let mut witness = context.join("witness").await?;
    anna.close().await?;
    let mut anna = context
        .join_as("anna-again", context.doc_id(), "anna")
        .await?;
    anna.submit_all(&history);
    let answers = expect_confirmed(&mut anna, &history).await?;
    let names = history.iter().map(|submission| &submission.client_msg_id);
    let originals: BTreeMap<&Name, u64> = names.zip(1..).collect();
    for answer in answers {
        let original = originals[&answer.client_msg_id];
        if answer.server_seq.value() != original {
            let what = format!(
                "the answer to {} carries another seq than the original",
                answer.client_msg_id
            );
            return Err(Failure::breach(ids::SUBMIT_ANSWER, what)
                .expected(original.to_string())
                .got(answer.server_seq.value().to_string()));
        }
    }
    witness
        .barrier(&mut [&mut anna], ids::SUBMIT_ANSWER_PRIVATE)
        .await
}

async fn resend_while_others_write(context: Context) -> Outcome {
    let (mut anna, history) = typed_history(&context, 100).await?;
    let mut bo = context.join("bo").await?;
    let others = type_on(&mut bo, &ROOT, 200);
    anna.submit_all(&history);
    bo.expect_echoes_of(&others, ids::SUBMIT_ANSWER_PRIVATE)
        .await?;
    // Answers and echoes come in any order among each other; of each there is a known number, and a
    // barrier shows that there is no more.
    let both = anna
        .expect_echoes(history.len() + others.len(), ids::SUBMIT_ANSWER)
        .await?;
    for submission in history.iter().chain(&others) {
        let id = &submission.client_msg_id;
        let times = both.iter().filter(|echo| echo.client_msg_id == *id).count();
        if times != 1 {
            let what = format!("{id} came {times} times");
            return Err(Failure::breach(ids::SUBMIT_ANSWER, what).expected("once"));
        }
    }
    anna.barrier(&mut [&mut bo], ids::SUBMIT_ANSWER).await
}

async fn two_connections_race(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut one = context.join_as("one", context.doc_id(), "anna").await?;
    let mut two = context.join_as("two", context.doc_id(), "anna").await?;
    let typed = one.typing(&ROOT, &letters(200));
    one.submit_all(&typed);
    two.submit_all(&typed);
    for client in [&mut one, &mut two] {
        let end = client.send_barrier();
        expect_confirmed(client, typed.iter().chain(&end)).await?;
    }
    let all = witness
        .expect_echoes(typed.len() + 4, ids::SEQ_FAN_OUT)
        .await?;
    for submission in &typed {
        let times = all
            .iter()
            .filter(|echo| echo.client_msg_id == submission.client_msg_id)
            .count();
        if times != 1 {
            return Err(Failure::breach(
                ids::SUBMIT_RESEND,
                format!("{} was accepted {times} times", submission.client_msg_id),
            )
            .expected("once"));
        }
    }
    expect_text(&context, &letters(200), ids::RESYNC_TEXT).await?;
    Ok(())
}
