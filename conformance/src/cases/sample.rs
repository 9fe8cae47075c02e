//! Cases about the transport and length that need code.

use crate::case::{Case, Weight};
use crate::client::ROOT;
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "transport/ping-while-joined",
            "a ping is answered with its data, and disturbs nothing",
            &[ids::PING],
            ping,
        ),
        Case::code(
            "cost/deep-typing",
            "20,000 consecutively typed characters are a document like any other",
            &["cost.any-length", ids::RESYNC_TEXT, "slow.readers-safe"],
            deep_typing,
        )
        .weight(Weight::Heavy),
    ]
}

async fn ping(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    anna.ping(b"are you there?", ids::PING).await?;
    let typed = anna.insert(&ROOT, 'a');
    anna.submit(&typed);
    anna.ping(&[], ids::PING).await?;
    anna.expect_echo(&typed, ids::SEQ_FAN_OUT).await?;
    anna.barrier(&mut [], ids::PING).await
}

async fn deep_typing(context: Context) -> Outcome {
    const LENGTH: usize = 20_000;
    let text: String = ('a'..='z').cycle().take(LENGTH).collect();
    let mut anna = context.join("anna").await?;
    let typed = anna.typing(&ROOT, &text);
    anna.submit_all(&typed);
    anna.expect_echoes_of(&typed, "cost.any-length").await?;
    let late = context.join("late").await?;
    if late.synced().full_text != text {
        return Err(
            Failure::breach(ids::RESYNC_TEXT, "the text after the typing is wrong")
                .expected(format!(
                    "{} characters, typed one after the other",
                    text.len()
                ))
                .got(format!(
                    "{} characters",
                    late.synced().full_text.chars().count()
                )),
        );
    }
    Ok(())
}
