//! Replays of every length, and syncs while others write.

use futures_util::future::try_join_all;

use crate::case::{Case, Weight};
use crate::client::ROOT;
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{Sync, end_of, expect_text, follow, letters, type_on, typed_history};

/// How many missed ops a server should still replay (`sync.replay-kept`).
const REPLAY_KEPT: usize = 1_000;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let replays = [1, 2, 10, 255, 256, 257, 499, 500, 501, 1_000, 5_000, 10_000];
    let mut cases: Vec<Case> = replays.into_iter().map(replay_of).collect();
    cases.extend([
        Case::code(
            "sync/every-last-seen",
            "every last_seen_server_seq from 0 to beyond the head gets its sync",
            &["sync.never-closes", ids::SYNC_REPLAY_EXACT, ids::RESYNC_TEXT],
            every_last_seen,
        ),
        Case::code(
            "sync/many-at-once",
            "twenty clients that come back at once, each from elsewhere, all get their sync",
            &[ids::SYNC_REPLAY_EXACT, "sync.never-closes"],
            many_at_once,
        )
        .weight(Weight::Heavy),
        Case::code(
            "sync/ops-during-replay",
            "ops submitted while a replay of 3,000 is under way follow it, each once",
            &["sync.live-during", ids::SEQ_FROM_BASELINE, ids::SYNC_REPLAY_EXACT],
            ops_during_replay,
        )
        .weight(Weight::Heavy),
        Case::code(
            "sync/ops-during-resync",
            "ops submitted while a resync of 3,000 characters is under way follow it, each once",
            &["sync.live-during", ids::SEQ_FROM_BASELINE, ids::RESYNC_TEXT],
            ops_during_resync,
        )
        .weight(Weight::Heavy),
        Case::code(
            "sync/joins-during-typing",
            "each of thirty joins in the midst of typing gets a text and exactly the echoes after it",
            &["sync.live-during", ids::RESYNC_TEXT, ids::RESYNC_HEAD],
            joins_during_typing,
        ),
        Case::code(
            "sync/reconnect-over-and-over",
            "a client that comes back twenty times, a little later each time, misses nothing",
            &[ids::SYNC_REPLAY_EXACT, "sync.live-during"],
            reconnect_over_and_over,
        ),
    ]);
    cases
}

fn replay_of(missed: usize) -> Case {
    let kept = if missed <= REPLAY_KEPT {
        ids::SYNC_REPLAY_KEPT
    } else {
        "sync.replay-or-resync"
    };
    let requirements = [ids::SYNC_REPLAY_EXACT, "sync.never-closes", kept];
    let s = if missed == 1 { "" } else { "s" };
    let case = Case::code(
        &format!("sync/replay-of-{missed}"),
        &format!("a client that missed {missed} op{s} is brought up to date"),
        &requirements,
        move |context| replay(context, missed),
    );
    if missed < REPLAY_KEPT {
        case
    } else {
        case.weight(Weight::Heavy)
    }
}

async fn replay(context: Context, missed: usize) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, missed + 1).await?;
    let mut bo = context.reconnect("bo", "bo", 1).await?;
    let sync = follow(&mut bo, 1, &history, "sync.never-closes").await?;
    history.extend(type_on(&mut anna, &end_of(&history), 1));
    let live = &history[history.len() - 1..];
    bo.expect_echoes_of(live, ids::SEQ_FAN_OUT).await?;
    anna.expect_echoes_of(live, ids::SEQ_FAN_OUT).await?;
    if sync == Sync::Resync && missed <= REPLAY_KEPT {
        return Err(Failure::breach(
            ids::SYNC_REPLAY_KEPT,
            format!("{missed} missed ops brought a resync"),
        )
        .expected("a replay")
        .got("a resync"));
    }
    Ok(())
}

async fn every_last_seen(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 8).await?;
    let deletes = [2, 5].map(|index: usize| anna.delete(history[index].op.id()));
    anna.submit_all(&deletes);
    anna.expect_echoes_of(&deletes, ids::SEQ_FAN_OUT).await?;
    history.extend(deletes);
    let head = history.len() as u64;
    for last_seen in 0..=head + 2 {
        let name = format!("from-{last_seen}");
        let mut bo = context.reconnect(&name, "bo", last_seen).await?;
        if bo.head() != head {
            return Err(
                Failure::breach(ids::ACK_FIELDS, "the ack does not carry the head")
                    .expected(head.to_string())
                    .got(bo.head().to_string()),
            );
        }
        match last_seen {
            0 => drop(bo.expect_resync(ids::SYNC_ZERO).await?),
            seen if seen == head => drop(bo.expect_resync(ids::SYNC_AT_HEAD).await?),
            seen if seen > head => drop(bo.expect_resync(ids::SYNC_BEYOND_HEAD).await?),
            seen => drop(follow(&mut bo, seen, &history, ids::SYNC_REPLAY_OR_RESYNC).await?),
        }
        bo.close().await?;
    }
    anna.barrier(&mut [], "session.no-effect-of-hello").await
}

async fn many_at_once(context: Context) -> Outcome {
    let (_anna, history) = typed_history(&context, 600).await?;
    // None waits with its hello for the others: on a busy machine a server may be tired of waiting.
    let coming = (0..20).map(async |number| {
        let mut client = context.connect(&format!("back-{number}")).await?;
        let last_seen = 1 + 29 * number;
        client.hello(context.doc_id(), &format!("c-{number}"), Some(last_seen));
        Ok((client, last_seen))
    });
    for (mut client, last_seen) in try_join_all(coming).await? {
        client.expect_ack().await?;
        follow(&mut client, last_seen, &history, "sync.never-closes").await?;
    }
    Ok(())
}

async fn ops_during_replay(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 3_000).await?;
    let mut bo = context.connect("bo").await?;
    let before = type_on(&mut anna, &end_of(&history), 250);
    history.extend(before);
    bo.hello(context.doc_id(), "bo", Some(1));
    history.extend(type_on(&mut anna, &end_of(&history), 250));
    bo.expect_ack().await?;
    follow(&mut bo, 1, &history, "sync.live-during").await?;
    anna.expect_echoes_of(&history[3_000..], ids::SEQ_FAN_OUT)
        .await?;
    anna.barrier(&mut [&mut bo], "sync.live-during").await
}

async fn ops_during_resync(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 3_000).await?;
    let mut bo = context.connect("bo").await?;
    history.extend(type_on(&mut anna, &end_of(&history), 250));
    bo.hello(context.doc_id(), "bo", Some(0));
    history.extend(type_on(&mut anna, &end_of(&history), 250));
    bo.expect_joined().await?;
    let resync = bo.synced().clone();
    let seen = resync.server_seq.value();
    if resync.full_text.chars().count() as u64 != seen {
        return Err(
            Failure::breach(ids::RESYNC_TEXT, "the text is not that of its server_seq")
                .expected(format!("{seen} characters"))
                .got(format!("{} characters", resync.full_text.chars().count())),
        );
    }
    bo.expect_echoes_of(&history[seen as usize..], "sync.live-during")
        .await?;
    anna.expect_echoes_of(&history[3_000..], ids::SEQ_FAN_OUT)
        .await?;
    anna.barrier(&mut [&mut bo], "sync.live-during").await
}

async fn joins_during_typing(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut history = Vec::new();
    let mut joined = Vec::new();
    for number in 0..30 {
        let mut bo = context.connect(&format!("join-{number}")).await?;
        bo.hello(context.doc_id(), &format!("c-{number}"), None);
        history.extend(type_on(&mut anna, &end_of(&history), 10));
        joined.push(bo);
    }
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    let text = letters(10).repeat(30);
    for bo in &mut joined {
        bo.expect_joined().await?;
        let resync = bo.synced().clone();
        let seen = resync.server_seq.value() as usize;
        if resync.full_text != text[..seen.min(text.len())] {
            return Err(Failure::breach(
                ids::RESYNC_TEXT,
                "the text is not that of its server_seq",
            )
            .expected(format!("{:?}", &text[..seen.min(text.len())]))
            .got(format!("{:?}", resync.full_text)));
        }
        bo.expect_echoes_of(&history[seen..], "sync.live-during")
            .await?;
    }
    Ok(())
}

async fn reconnect_over_and_over(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut history = type_on(&mut anna, &ROOT, 1);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    let mut seen = 1;
    for round in 0..20 {
        history.extend(type_on(&mut anna, &end_of(&history), 7));
        let mut bo = context.connect(&format!("bo-{round}")).await?;
        bo.hello(context.doc_id(), "bo", Some(seen));
        history.extend(type_on(&mut anna, &end_of(&history), 7));
        bo.expect_ack().await?;
        follow(&mut bo, seen, &history, "sync.live-during").await?;
        seen = history.len() as u64;
        bo.abandon().await;
    }
    anna.expect_echoes_of(&history[1..], ids::SEQ_FAN_OUT)
        .await?;
    let text: String = letters(1) + &letters(7).repeat(40);
    expect_text(&context, &text, ids::RESYNC_TEXT).await?;
    Ok(())
}
