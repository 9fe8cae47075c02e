//! What a server still does, and does no more, for a client that broke a rule.

use std::time::Duration;

use collab_spec::profile::Profile;
use serde_json::json;

use crate::case::{Case, Weight};
use crate::client::ROOT;
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::type_on;
use super::presence::PRESENCE;
use super::slow::{MIB, Writer, join_small};

/// How long TCP may live after a violation (`close.drops-tcp`), and what the scheduler may add.
const GONE_WITHIN: Duration = Duration::from_secs(62);

/// Not JSON.
const OFFENCE: &str = "{";

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "close/flush-answers",
            "the answers to ops that were sent again before a violation come before its close",
            &["close.flush"],
            flush_answers,
        ),
        Case::code(
            "close/unread-violation",
            "who breaks a rule and does not read is let go of, though mebibytes wait for it",
            &["close.drops-tcp", ids::CLOSE_ISOLATED],
            unread_violation,
        )
        .weight(Weight::Waiting),
        Case::code(
            "presence/behind-a-violation",
            "what a client shows behind a violation, with 300 ops before it, nobody gets",
            &["close.nothing-after", "close.flush"],
            shown_behind_a_violation,
        )
        .profile(Profile::Presence),
    ]
}

async fn flush_answers(context: Context) -> Outcome {
    const AGAIN: usize = 50;
    let mut anna = context.join("anna").await?;
    let typed = anna.insert(&ROOT, 'x');
    anna.submit(&typed);
    anna.expect_echo(&typed, ids::SEQ_FAN_OUT).await?;
    anna.resend(&typed);
    anna.expect_echo(&typed, ids::SUBMIT_ANSWER).await?;
    for _ in 0..AGAIN {
        anna.resend(&typed);
    }
    anna.send_text(OFFENCE);
    for _ in 0..AGAIN {
        anna.expect_echo(&typed, "close.flush").await?;
    }
    anna.expect_close(&[1002, 1006], "close.not-json").await?;
    Ok(())
}

async fn unread_violation(context: Context) -> Outcome {
    let mut unread = join_small(&context, "unread").await?;
    let mut witness = context.join("witness").await?;
    let mut writer = Writer::join(&context).await?;
    witness
        .expect_echoes_of(writer.history(), ids::SEQ_FAN_OUT)
        .await?;
    unread.stop_reading();
    // More than the system takes. Where so much must not wait, the connection ends as slow, which is as good.
    let from = writer.submit_bytes(6 * MIB);
    writer.goes_on(from, &mut witness, ids::SEQ_FAN_OUT).await?;
    unread.send_text(OFFENCE);
    let gone = unread.refused_within(GONE_WITHIN).await;
    witness.barrier(&mut [], ids::CLOSE_ISOLATED).await?;
    if gone {
        return Ok(());
    }
    let name = unread.name();
    let what = format!("TCP still takes what {name} sends, 60 s after it broke a rule");
    Err(Failure::breach("close.drops-tcp", what)
        .expected("the end of the TCP connection, unsent data or not")
        .got("every ping is taken"))
}

async fn shown_behind_a_violation(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let typed = type_on(&mut anna, &ROOT, 300);
    anna.send_text(OFFENCE);
    for number in 0..10 {
        anna.send_presence(&json!({"n": number}));
    }
    anna.expect_echoes_of(&typed, "close.flush").await?;
    anna.expect_close(&[1002, 1006], "close.not-json").await?;
    witness.expect_echoes_of(&typed, "close.flush").await?;
    witness.barrier(&mut [], "close.nothing-after").await
}
