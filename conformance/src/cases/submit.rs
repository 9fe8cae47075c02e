//! Resending after a lost connection, in bulk.

use collab_spec::message::{OpSubmission, ServerMessage};

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
    ]
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
    let confirmations = echoes_until(&mut anna, &end[1]).await?;
    for submission in &typed[confirmed..] {
        if !confirmations.contains(&submission.client_msg_id.to_string()) {
            return Err(Failure::breach(
                ids::SUBMIT_ANSWER,
                format!(
                    "{} was sent again and never confirmed",
                    submission.client_msg_id
                ),
            )
            .expected(format!("an echo of {}", submission.client_msg_id)));
        }
    }
    witness.expect_echoes_of(&typed, ids::SUBMIT_RESEND).await?;
    witness
        .expect_barrier(&end, ids::SUBMIT_ANSWER_PRIVATE)
        .await?;
    expect_text(&context, &letters(300), ids::RESYNC_TEXT).await?;
    Ok(())
}

/// The `client_msg_id`s of all echoes up to that of `last`; one resync may stand before them.
async fn echoes_until(client: &mut Client, last: &OpSubmission) -> Outcome<Vec<String>> {
    let mut confirmed = Vec::new();
    loop {
        let awaited = format!("echoes up to that of {}", last.client_msg_id);
        let message = client.next_message(&awaited, ids::SUBMIT_ANSWER).await?;
        if let ServerMessage::OpEcho(echo) = message.message {
            confirmed.push(echo.client_msg_id.to_string());
            if echo.client_msg_id == last.client_msg_id {
                return Ok(confirmed);
            }
        }
    }
}

async fn resend_whole_history(context: Context) -> Outcome {
    let (anna, history) = typed_history(&context, 500).await?;
    let mut witness = context.join("witness").await?;
    anna.close().await?;
    let mut anna = context
        .join_as("anna-again", context.doc_id(), "anna")
        .await?;
    anna.submit_all(&history);
    let answers = anna.expect_echoes_of(&history, ids::SUBMIT_ANSWER).await?;
    for (index, answer) in answers.iter().enumerate() {
        let original = index as u64 + 1;
        if answer.server_seq.value() != original {
            return Err(Failure::breach(
                ids::SUBMIT_ANSWER,
                "an answer carries another seq than the original",
            )
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
    let [_, end] = anna.send_barrier();
    bo.expect_echoes(202, ids::SEQ_FAN_OUT).await?;
    let confirmed = echoes_until(&mut anna, &end).await?;
    let answers = confirmed
        .iter()
        .filter(|id| history.iter().any(|op| op.client_msg_id.as_str() == **id));
    let answers = answers.count();
    if answers != history.len() {
        return Err(Failure::breach(
            ids::SUBMIT_ANSWER,
            "not every resent op was answered once, before what followed it",
        )
        .expected(format!("{} answers", history.len()))
        .got(format!("{answers} answers")));
    }
    // Bo's ops may still follow; the monitors see to their order.
    let seen = confirmed.len() - answers - 2;
    anna.expect_echoes_of(&others[seen..], ids::SEQ_FAN_OUT)
        .await?;
    Ok(())
}

async fn two_connections_race(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut one = context.join_as("one", context.doc_id(), "anna").await?;
    let mut two = context.join_as("two", context.doc_id(), "anna").await?;
    let typed = one.typing(&ROOT, &letters(200));
    one.submit_all(&typed);
    two.submit_all(&typed);
    let one_end = one.send_barrier();
    echoes_until(&mut one, &one_end[1]).await?;
    let two_end = two.send_barrier();
    echoes_until(&mut two, &two_end[1]).await?;
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
