//! What several code cases do: type a history, and follow a document through sync and live echoes.

use collab_spec::id::ParentId;
use collab_spec::message::{OpSubmission, ServerMessage};

use crate::client::{Client, ROOT, echo_pattern, under};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::validate::shortened;

/// How a connection was brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    Replay,
    Resync,
}

/// Some text of a length: the letters over and over.
pub(super) fn letters(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}

/// Types a text of `length` characters into the fresh document as `anna`, and waits for the echoes.
pub(super) async fn typed_history(
    context: &Context,
    length: usize,
) -> Outcome<(Client, Vec<OpSubmission>)> {
    let mut anna = context.join("anna").await?;
    let history = type_on(&mut anna, &ROOT, length);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    Ok((anna, history))
}

/// Submits `length` inserts, each after the one before, and waits for nothing.
pub(super) fn type_on(client: &mut Client, parent: &ParentId, length: usize) -> Vec<OpSubmission> {
    let typed = client.typing(parent, &letters(length));
    client.submit_all(&typed);
    typed
}

/// The parent that typing goes on from.
pub(super) fn end_of(history: &[OpSubmission]) -> ParentId {
    history.last().map_or(ROOT, under)
}

/// Follows the document from behind the ack until op `history.len()`, where `history[n]` is the op
/// with `server_seq` n + 1: a replay from `last_seen` or one resync, then the echoes that follow.
///
/// Errors: a breach of `sync.replay-exact`, or of `requirement` where too little comes.
pub(super) async fn follow(
    client: &mut Client,
    last_seen: u64,
    history: &[OpSubmission],
    requirement: &str,
) -> Outcome<Sync> {
    let mut seen = last_seen as usize;
    let mut sync = Sync::Replay;
    let mut first = true;
    while seen < history.len() {
        let awaited = format!("op {} of {}, or a resync first", seen + 1, history.len());
        let message = client.next_message(&awaited, requirement).await?;
        match message.message {
            ServerMessage::Resync(resync) if first => {
                sync = Sync::Resync;
                seen = resync.server_seq.value() as usize;
            }
            ServerMessage::OpEcho(echo)
                if echo.server_seq.value() == seen as u64 + 1
                    && echo.op == history[seen].op
                    && echo.client_msg_id == history[seen].client_msg_id =>
            {
                seen += 1;
            }
            _ => {
                let expected = echo_pattern(&history[seen], Some(seen as u64 + 1));
                return Err(Failure::breach(
                    ids::SYNC_REPLAY_EXACT,
                    format!("{} does not get {awaited}", client.name()),
                )
                .expected(shortened(&expected.to_string(), 600))
                .got(shortened(&message.received.text, 600))
                .at(message.event));
            }
        }
        first = false;
    }
    Ok(sync)
}

/// Joins as somebody new: the text must be `text`.
pub(super) async fn expect_text(
    context: &Context,
    text: &str,
    requirement: &str,
) -> Outcome<Client> {
    let late = context
        .join("late")
        .await
        .map_err(|failure| failure.unless_late(requirement))?;
    let got = &late.synced().full_text;
    if got == text {
        return Ok(late);
    }
    Err(another_text(requirement, "the text", text, got).at(late.synced_at()))
}

/// That a text is another than it should be, and from where on.
pub(super) fn another_text(requirement: &str, what: &str, text: &str, got: &str) -> Failure {
    let at = got
        .chars()
        .zip(text.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let excerpt = |text: &str| -> String {
        let from = at.saturating_sub(10);
        text.chars().skip(from).take(40).collect()
    };
    let shown = |text: &str| {
        format!(
            "{} characters, here {:?}",
            text.chars().count(),
            excerpt(text)
        )
    };
    let words = format!("{what} is another from character {at} on");
    Failure::breach(requirement, words)
        .expected(shown(text))
        .got(shown(got))
}
