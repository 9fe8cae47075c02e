//! Frames made from the schemas, some hundreds of each kind, the same in every run.
//!
//! More of them: `collab-conformance fuzz`.

use crate::case::{Case, Weight};
use crate::context::Context;
use crate::fuzz::Kind;
use crate::fuzz::search::search;
use crate::ids;
use crate::outcome::Outcome;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    Kind::ALL.into_iter().map(case).collect()
}

fn case(kind: Kind) -> Case {
    let (title, requirements) = about(kind);
    let id = format!("fuzz/{}", kind.name());
    Case::code(&id, title, requirements, move |context| {
        frames(context, kind)
    })
    .profile(kind.profile())
    .weight(Weight::Heavy)
}

/// How many frames a case sends.
fn frames_of(kind: Kind) -> u64 {
    match kind {
        Kind::Hello | Kind::HelloResume | Kind::Presence => 240,
        Kind::OpResume => 120,
        Kind::Op => 480,
        Kind::OpRuns => 320,
    }
}

fn about(kind: Kind) -> (&'static str, &'static [&'static str]) {
    match kind {
        Kind::Hello => (
            "hellos at the edges of their schema are answered, and those beyond refused",
            &[
                ids::CLOSE_SCHEMA,
                ids::CLOSE_NOT_JSON,
                ids::CLOSE_UNKNOWN_TYPE,
                ids::ANY_JSON,
                ids::UNKNOWN_FIELDS,
                ids::NAMES,
                ids::CLOSE_ISOLATED,
            ],
        ),
        Kind::HelloResume => (
            "hellos with epochs of all shapes are answered or refused as the schema says",
            &[
                "resume.hello-epoch-invalid",
                ids::RESUME_OTHER_EPOCH,
                "profiles.unknown-ignored",
            ],
        ),
        Kind::Op => (
            "ops with one thing changed are taken, answered or refused, and bystanders see only the right ones",
            &[
                ids::CLOSE_SCHEMA,
                ids::CLOSE_NOT_JSON,
                ids::CLOSE_UNKNOWN_TYPE,
                ids::ANY_JSON,
                ids::UNKNOWN_FIELDS,
                ids::NAMES,
                ids::OP_VALUE,
                ids::CLOSE_OTHER_DOC,
                ids::CLOSE_OTHER_CLIENT,
                ids::CRDT_OWN_REPLICA,
                ids::CRDT_LAMPORT_ABOVE_PARENT,
                ids::SUBMIT_MSG_ID_REUSED,
                ids::SUBMIT_ID_TAKEN,
                ids::CLOSE_ORDER,
                ids::CLOSE_ISOLATED,
            ],
        ),
        Kind::OpResume => (
            "ops with epochs of all shapes are taken or refused",
            &[
                ids::RESUME_OP_EPOCH_INVALID,
                ids::RESUME_OTHER_OP_EPOCH,
                ids::RESUME_OP_EPOCH,
            ],
        ),
        Kind::OpRuns => (
            "ops of several elements with one thing changed are taken whole or refused whole",
            &[
                ids::RUNS_SCHEMA,
                ids::RUNS_INS,
                ids::RUNS_DEL,
                ids::RUNS_MAX_RUN,
                ids::RUNS_CONTENT,
                ids::RUNS_OVERLAP,
                "runs.whole",
            ],
        ),
        Kind::Presence => (
            "states at the edges of what is allowed are passed on, and those beyond refused",
            &[
                "presence.schema",
                ids::PRESENCE_OPAQUE,
                "presence.ids",
                "presence.too-big",
                ids::PRESENCE_TAKES_4K,
            ],
        ),
    }
}

async fn frames(context: Context, kind: Kind) -> Outcome {
    let first = context.seed().unwrap_or(0);
    let seeds = (0..frames_of(kind)).map(|number| first.wrapping_add(number));
    match search(&context, kind, seeds).await {
        None => Ok(()),
        Some(found) => Err(found.again(&context).await),
    }
}
