//! Characters from all over Unicode.

use crate::case::{Case, Weight};
use crate::client::ROOT;
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;

use super::follow::expect_text;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "text/every-control-character",
            "the first 256 code points come back as they were, NUL among them",
            &["text.verbatim", ids::ECHO_FAITHFUL],
            |context| verbatim(context, (0..256).filter_map(char::from_u32).collect()),
        ),
        Case::code(
            "text/across-all-planes",
            "two thousand characters from all planes come back as they were",
            &["text.verbatim", ids::ECHO_FAITHFUL, "op.value"],
            |context| {
                verbatim(
                    context,
                    (0..0x11_0000)
                        .step_by(557)
                        .filter_map(char::from_u32)
                        .collect(),
                )
            },
        )
        .weight(Weight::Heavy),
        Case::code(
            "text/edges-of-planes",
            "the first and the last characters of each plane, noncharacters too, come back",
            &["text.verbatim", "op.value"],
            |context| verbatim(context, edges()),
        ),
    ]
}

fn edges() -> String {
    (0..=16_u32)
        .flat_map(|plane| [0, 1, 0xfffd, 0xfffe, 0xffff].map(|offset| plane << 16 | offset))
        .chain([0xd7ff, 0xe000, 0xfdd0, 0xfdef, 0x2028, 0x2029, 0xfeff])
        .filter_map(char::from_u32)
        .collect()
}

async fn verbatim(context: Context, text: String) -> Outcome {
    let mut anna = context.join("anna").await?;
    let typed = anna.typing(&ROOT, &text);
    anna.submit_all(&typed);
    anna.expect_echoes_of(&typed, "text.verbatim").await?;
    expect_text(&context, &text, "text.verbatim").await?;
    Ok(())
}
