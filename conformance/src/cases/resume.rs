//! The profile `resume`: coming back after a loss, every L with every epoch, epochs that last.

use collab_spec::message::{OpSubmission, SyncKind};
use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{Sync, end_of, expect_text, follow, letters, type_on, typed_history};
use super::submit::expect_confirmed;

pub(super) const RESUME: &[Profile] = &[Profile::Resume];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::code(
            "resume/every-last-seen",
            "every last_seen_server_seq with the right, a wrong and no epoch gets its sync",
            &[
                ids::RESUME_AT_HEAD,
                ids::RESUME_REPLAY,
                ids::RESUME_ZERO,
                ids::RESUME_NO_EPOCH,
                ids::RESUME_OTHER_EPOCH,
                ids::RESUME_BEYOND_HEAD,
            ],
            every_last_seen,
        ),
        Case::code(
            "resume/fifty-joins",
            "fifty clients that come and go are told one epoch, and so is one who comes after all left",
            &[ids::RESUME_ONE_EPOCH, ids::RESUME_ACK],
            fifty_joins,
        ),
        Case::code(
            "resume/replay-of-3000",
            "a client that missed 3,000 ops gets the sync that its ack announces",
            &[
                ids::RESUME_REPLAY,
                ids::SYNC_REPLAY_EXACT,
                "sync.never-closes",
            ],
            replay_of_3000,
        )
        .weight(Weight::Heavy),
        Case::code(
            "resume/at-head-over-and-over",
            "a client at the head that comes back fifty times gets nothing but what is new",
            &[ids::RESUME_AT_HEAD, ids::SEQ_FROM_BASELINE],
            at_head_over_and_over,
        ),
        Case::code(
            "resume/epoch-in-other-case",
            "an epoch whose letters are large for small is another",
            &[ids::RESUME_OTHER_EPOCH, "transport.names-exact"],
            epoch_in_other_case,
        ),
        Case::code(
            "resume/lost-in-flight",
            "a client whose connection broke in mid-typing resends what it has not seen, and all is there once",
            &[ids::RESUME_REPLAY, ids::SUBMIT_RESEND, "session.vanished"],
            |context| lost_in_flight(context, true),
        ),
        Case::code(
            "resume/lost-in-flight-resync",
            "a client that comes back by a resync of its epoch resends what it has not seen, and all is there once",
            &[ids::SUBMIT_RESEND, ids::RESUME_ZERO, "session.vanished"],
            |context| lost_in_flight(context, false),
        ),
    ];
    // Right before and right after the server got the last ops, and in the midst.
    cases.extend([0, 10, 20].map(|arrived| {
        Case::code(
            &format!("resume/lost-after-{arrived}-of-20"),
            &format!("a client that lost its connection when {arrived} of 20 ops had arrived loses and doubles none"),
            &[ids::RESUME_REPLAY, ids::SUBMIT_RESEND, ids::RESUME_AT_HEAD],
            move |context| lost(context, arrived),
        )
    }));
    cases
        .into_iter()
        .map(|case| case.profile(Profile::Resume))
        .collect()
}

/// The ack announces `wanted`.
pub(super) fn announces(client: &Client, wanted: SyncKind, requirement: &str) -> Outcome {
    if client.acked().sync == Some(wanted) {
        return Ok(());
    }
    let what = format!("the ack of {} announces another sync", client.name());
    Err(Failure::breach(requirement, what)
        .expected(format!("{wanted:?}"))
        .got(format!("{:?}", client.acked().sync)))
}

/// Follows the sync between 0 and the head that the ack announces, and what follows it.
pub(super) async fn follow_announced(
    client: &mut Client,
    seen: u64,
    history: &[OpSubmission],
) -> Outcome {
    let wanted = match client.acked().sync {
        Some(SyncKind::Resync) => Sync::Resync,
        _ => Sync::Replay,
    };
    let came = follow(client, seen, history, ids::RESUME_REPLAY).await?;
    if came == wanted {
        return Ok(());
    }
    let what = format!(
        "{} did not get the sync that its ack announced",
        client.name()
    );
    Err(Failure::breach(ids::RESUME_REPLAY, what)
        .expected(format!("{wanted:?}"))
        .got(format!("{came:?}")))
}

async fn every_last_seen(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 8).await?;
    let deletes = [2, 5].map(|index: usize| anna.delete(history[index].op.id()));
    anna.submit_all(&deletes);
    anna.expect_echoes_of(&deletes, ids::SEQ_FAN_OUT).await?;
    history.extend(deletes);
    let head = history.len() as u64;
    let first = context.join_asking("first", RESUME).await?;
    let right = first.epoch()?;
    let mut back = Vec::new();
    for last_seen in 0..=head + 2 {
        for (name, epoch) in [
            ("right", Some(right.as_str())),
            ("wrong", Some("another-epoch")),
            ("none", None),
        ] {
            let mut ask = Ask::of(RESUME).seen(last_seen);
            if let Some(epoch) = epoch {
                ask = ask.epoch(epoch);
            }
            let name = format!("from-{last_seen}-{name}");
            let mut bo = context.reconnect_asking(&name, &name, &ask).await?;
            let requirement = match (last_seen, epoch) {
                (0, _) => ids::RESUME_ZERO,
                (_, None) => ids::RESUME_NO_EPOCH,
                (_, Some(epoch)) if epoch != right => ids::RESUME_OTHER_EPOCH,
                (seen, _) if seen == head => ids::RESUME_AT_HEAD,
                (seen, _) if seen > head => ids::RESUME_BEYOND_HEAD,
                _ => ids::RESUME_REPLAY,
            };
            match requirement {
                ids::RESUME_REPLAY => follow_announced(&mut bo, last_seen, &history).await?,
                ids::RESUME_AT_HEAD => announces(&bo, SyncKind::Replay, requirement)?,
                _ => {
                    announces(&bo, SyncKind::Resync, requirement)?;
                    bo.expect_resync(requirement).await?;
                }
            }
            back.push((bo, requirement));
        }
    }
    let pair = anna.send_barrier();
    for (bo, requirement) in &mut back {
        bo.expect_barrier(&pair, requirement).await?;
    }
    anna.expect_barrier(&pair, "session.no-effect-of-hello")
        .await
}

async fn fifty_joins(context: Context) -> Outcome {
    let mut epoch = None;
    let mut same = |client: &Client| -> Outcome {
        let told = client.epoch()?;
        let first = epoch.get_or_insert_with(|| told.clone());
        if *first == told {
            return Ok(());
        }
        let what = format!("{} was told another epoch than the first", client.name());
        Err(Failure::breach(ids::RESUME_ONE_EPOCH, what)
            .expected(first.as_str())
            .got(told))
    };
    let mut here = Vec::new();
    let mut history = Vec::new();
    for number in 0..50 {
        let mut client = context.join_asking(&format!("c-{number}"), RESUME).await?;
        same(&client)?;
        let typed = type_on(&mut client, &end_of(&history), 1);
        client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
        history.extend(typed);
        match number % 3 {
            0 => client.close().await?,
            1 => client.abandon().await,
            _ => here.push(client),
        }
    }
    for client in here {
        client.close().await?;
    }
    for number in 0..3 {
        let client = context
            .join_asking(&format!("late-{number}"), RESUME)
            .await?;
        same(&client)?;
        client.close().await?;
    }
    Ok(())
}

async fn replay_of_3000(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 3_001).await?;
    let epoch = context.join_asking("first", RESUME).await?.epoch()?;
    let ask = Ask::of(RESUME).seen(1).epoch(&epoch);
    let mut bo = context.reconnect_asking("bo", "bo", &ask).await?;
    follow_announced(&mut bo, 1, &history).await?;
    history.extend(type_on(&mut anna, &end_of(&history), 1));
    let live = &history[history.len() - 1..];
    bo.expect_echoes_of(live, ids::SEQ_FAN_OUT).await?;
    anna.expect_echoes_of(live, ids::SEQ_FAN_OUT).await?;
    Ok(())
}

async fn at_head_over_and_over(context: Context) -> Outcome {
    let (mut anna, mut history) = typed_history(&context, 3).await?;
    let epoch = context.join_asking("first", RESUME).await?.epoch()?;
    for round in 0..50 {
        let ask = Ask::of(RESUME).seen(history.len() as u64).epoch(&epoch);
        let mut bo = context
            .reconnect_asking(&format!("bo-{round}"), "bo", &ask)
            .await?;
        announces(&bo, SyncKind::Replay, ids::RESUME_AT_HEAD)?;
        let new = type_on(&mut anna, &end_of(&history), 1);
        anna.expect_echoes_of(&new, ids::SEQ_FAN_OUT).await?;
        bo.expect_echoes_of(&new, ids::RESUME_AT_HEAD).await?;
        history.extend(new);
        bo.abandon().await;
    }
    expect_text(&context, &(letters(3) + &"a".repeat(50)), ids::RESYNC_TEXT).await?;
    Ok(())
}

/// Of an epoch without letters this says nothing.
async fn epoch_in_other_case(context: Context) -> Outcome {
    typed_history(&context, 3).await?;
    let epoch = context.join_asking("first", RESUME).await?.epoch()?;
    let turned = |letter: char| match letter.is_ascii_lowercase() {
        true => letter.to_ascii_uppercase(),
        false => letter.to_ascii_lowercase(),
    };
    let other: String = epoch.chars().map(turned).collect();
    if other == epoch {
        return Ok(());
    }
    for seen in [1, 3] {
        let ask = Ask::of(RESUME).seen(seen).epoch(&other);
        let mut bo = context.connect(&format!("bo-{seen}")).await?;
        bo.hello_asking(context.doc_id(), "bo", &ask);
        bo.expect_ack().await?;
        announces(&bo, SyncKind::Resync, ids::RESUME_OTHER_EPOCH)?;
        bo.expect_resync(ids::RESUME_OTHER_EPOCH).await?;
    }
    Ok(())
}

/// The client of a lost connection knows five of its ops as accepted; `arrived` of the twenty that
/// followed had arrived.
async fn lost(context: Context, arrived: usize) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut anna = context.join_asking("anna", RESUME).await?;
    let epoch = anna.epoch()?;
    let typed = anna.typing(&ROOT, &letters(25));
    anna.submit_all(&typed[..5]);
    anna.expect_echoes_of(&typed[..5], ids::SEQ_FAN_OUT).await?;
    anna.submit_all(&typed[5..5 + arrived]);
    witness
        .expect_echoes_of(&typed[..5 + arrived], ids::SEQ_FAN_OUT)
        .await?;
    anna.abandon().await;

    let ask = Ask::of(RESUME).seen(5).epoch(&epoch);
    let mut anna = context.reconnect_asking("anna-again", "anna", &ask).await?;
    if arrived == 0 {
        announces(&anna, SyncKind::Replay, ids::RESUME_AT_HEAD)?;
    } else {
        follow_announced(&mut anna, 5, &typed[..5 + arrived]).await?;
    }
    // It has caught up; what it has not seen was not accepted.
    let unseen = &typed[5 + arrived..];
    anna.submit_all(unseen);
    anna.expect_echoes_of(unseen, ids::SEQ_FAN_OUT).await?;
    witness.expect_echoes_of(unseen, ids::SUBMIT_RESEND).await?;
    anna.barrier(&mut [&mut witness], ids::SUBMIT_RESEND)
        .await?;
    expect_text(&context, &letters(25), ids::RESYNC_TEXT).await?;
    Ok(())
}

/// The connection breaks while 300 ops are on their way; how many arrive is open.
async fn lost_in_flight(context: Context, replay: bool) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut anna = context.join_asking("anna", RESUME).await?;
    let epoch = anna.epoch()?;
    let typed = type_on(&mut anna, &ROOT, 300);
    let confirmed = 20;
    anna.expect_echoes_of(&typed[..confirmed], ids::SEQ_FAN_OUT)
        .await?;
    anna.abandon().await;

    let seen = if replay { confirmed as u64 } else { 0 };
    let ask = Ask::of(RESUME).seen(seen).epoch(&epoch);
    let mut anna = context.reconnect_asking("anna-again", "anna", &ask).await?;
    if !replay {
        announces(&anna, SyncKind::Resync, ids::RESUME_ZERO)?;
    }
    // Whatever comes as the sync: what has not been echoed to this client is sent again.
    anna.submit_all(&typed[confirmed..]);
    let end = anna.send_barrier();
    expect_confirmed(&mut anna, typed[confirmed..].iter().chain(&end)).await?;
    witness.expect_echoes_of(&typed, ids::SUBMIT_RESEND).await?;
    witness.expect_barrier(&end, ids::SUBMIT_RESEND).await?;
    expect_text(&context, &letters(300), ids::RESYNC_TEXT).await?;
    Ok(())
}
