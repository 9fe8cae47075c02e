//! A text that a document has before anybody types.

use std::sync::Arc;

use collab_spec::id::ParentId;
use collab_spec::profile::Profile;

use crate::client::{ROOT, element};
use crate::context::Context;
use crate::gate;
use crate::ids;
use crate::outcome::Outcome;
use crate::target::Target;

/// Who has typed it.
const AUTHOR: &str = "load-text";

/// The longest run that any server with the profile `runs` takes. Source: `runs.limits`.
const RUN: u64 = 1024;

/// Puts so many characters into a document that has none.
///
/// Errors: the server does not take them, in words.
pub(super) async fn put(target: &Target, doc_id: &str, characters: u64) -> Result<(), String> {
    let context = Context::new(Arc::new(target.clone()), 1.0);
    let put = put_in(&context, doc_id, characters).await;
    context.abandon_all().await;
    put.map_err(|failure| {
        let why = gate::words(&failure, &context.trace());
        format!("{doc_id} can't be filled with {characters} characters: {why}")
    })
}

async fn put_in(context: &Context, doc_id: &str, characters: u64) -> Outcome {
    let runs = [Profile::Runs];
    let mut author = context
        .join_asking_as(AUTHOR, doc_id, AUTHOR, &runs)
        .await?;
    let mut submissions = Vec::new();
    for before in (0..characters).step_by(RUN as usize) {
        let values = "a".repeat(RUN.min(characters - before) as usize);
        submissions.push(author.insert_run_at(before + 1, &place(before), &values));
    }
    author.submit_all(&submissions);
    author
        .expect_echoes(submissions.len(), ids::SEQ_FAN_OUT)
        .await?;
    Ok(())
}

/// Behind so many characters of the text.
pub(super) fn place(characters: u64) -> ParentId {
    match characters {
        0 => ROOT,
        lamport => ParentId::Element(element(lamport, AUTHOR)),
    }
}
