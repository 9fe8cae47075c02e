//! The profile `runs`: ops as long as the server's limits allow, and longer.

use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{ROOT, frame, under};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::wire::Buffers;

use super::follow::{expect_text, letters};
use super::runs::{RUNS, View, due, expect_due};
use super::transport::{expect_too_big, padded};

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let cases = [
        Case::code(
            "runs/max-run-taken",
            "an op of max_run elements is taken, shows, and is deleted by one op",
            &[
                "runs.takes-max-run",
                ids::RUNS_SEQS,
                ids::RUNS_ONE_ECHO,
                ids::RUNS_DEL,
            ],
            max_run_taken,
        ),
        Case::code(
            "runs/max-run-astral",
            "an insert of max_run characters outside the basic plane counts each as one",
            &["runs.takes-max-run", ids::RUNS_INS],
            max_run_astral,
        ),
        Case::code(
            "runs/over-max-run-ins",
            "an insert of one character more than max_run is closed with 1009, and has no effect",
            &[ids::RUNS_MAX_RUN, "close.no-effect", "runs.whole"],
            |context| over_max_run(context, Over::Insert),
        ),
        Case::code(
            "runs/over-max-run-del",
            "a delete of one element more than max_run is closed with 1009, and has no effect",
            &[ids::RUNS_MAX_RUN, "close.no-effect", "runs.whole"],
            |context| over_max_run(context, Over::Delete),
        ),
        Case::code(
            "runs/max-message",
            "a message of exactly max_message_bytes is taken, one of a byte more closed with 1009",
            &["runs.max-message", ids::RUNS_LIMITS],
            max_message,
        )
        .weight(Weight::Heavy),
        Case::code(
            "runs/paste-seen-one-by-one",
            "a client without runs gets an op of max_run elements as so many echoes",
            &[ids::RUNS_SPLIT, ids::SEQ_FROM_BASELINE, "slow.readers-safe"],
            paste_seen_one_by_one,
        )
        .weight(Weight::Slow),
        Case::code(
            "runs/seqs-beyond-a-million",
            "behind a million seqs they are as dense as before, and ops that are sent again get theirs",
            &[ids::SEQ_DENSE, ids::SUBMIT_ANSWER, ids::RUNS_SEQS],
            seqs_beyond_a_million,
        )
        .weight(Weight::Heavy),
        Case::code(
            "runs/two-units-at-every-boundary",
            "characters of two UTF-16 units come through, wherever a buffer of 4,096 units may end",
            &[ids::RESYNC_TEXT, ids::RUNS_INS, "text.verbatim"],
            two_units_at_every_boundary,
        ),
        Case::code(
            "runs/paste-while-paused",
            "the single echoes of one op are no reason to close a client that pauses",
            &["slow.floor", ids::RUNS_SPLIT],
            paste_while_paused,
        )
        .weight(Weight::Slow),
        Case::code(
            "runs/a-long-document",
            "a document of 250,000 characters is pasted, and joined in one message with its state",
            &["state.whole", "cost.any-length", ids::STATE_ELEMENTS],
            long_document,
        )
        .needs(&[Profile::State])
        .weight(Weight::Slow),
    ];
    cases
        .map(|case| case.profile(Profile::Runs))
        .into_iter()
        .collect()
}

#[derive(Clone, Copy)]
enum Over {
    Insert,
    Delete,
}

async fn max_run_taken(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join_asking("bo", RUNS).await?;
    let max_run = anna.limits()?.max_run.value();
    let pasted = anna.longest_run(1)?;
    let paste = anna.insert_run(&ROOT, &letters(pasted as usize));
    let delete = anna.delete_run(&paste.op.id().later(1), pasted - 2);
    // One element more than there are: the last waits.
    let over = anna.delete_run(&paste.op.id().later(1), max_run);
    let history = [paste, delete, over];
    anna.submit_all(&history);
    for client in [&mut anna, &mut bo] {
        expect_due(client, &due(&history, 0, View::Whole), "runs.takes-max-run").await?;
    }
    anna.barrier(&mut [&mut bo], ids::RUNS_ONE_ECHO).await?;
    expect_text(&context, "a", ids::RUNS_DEL).await?;
    Ok(())
}

async fn max_run_astral(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let values = "😀".repeat(anna.longest_run(4)? as usize);
    let paste = anna.insert_run(&ROOT, &values);
    anna.submit(&paste);
    let paste = [paste];
    expect_due(&mut anna, &due(&paste, 0, View::Whole), ids::RUNS_INS).await?;
    expect_text(&context, &values, ids::RUNS_INS).await?;
    Ok(())
}

async fn over_max_run(context: Context, over: Over) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join("bo").await?;
    let max_run = anna.limits()?.max_run.value();
    let typed = anna.insert_run(&ROOT, "abc");
    let submission = match over {
        Over::Insert => anna.insert_run(&under(&typed), &"x".repeat(max_run as usize + 1)),
        Over::Delete => anna.delete_run(typed.op.id(), max_run + 1),
    };
    let typed = [typed];
    anna.submit_all(&typed);
    // Before a close with 1009 an echo may stay unsent (`close.flush-early`).
    expect_due(&mut anna, &due(&typed, 0, View::Whole), "runs.ins").await?;
    anna.submit(&submission);
    anna.expect_close(&[1009], ids::RUNS_MAX_RUN).await?;
    expect_due(&mut bo, &due(&typed, 0, View::OneByOne), ids::RUNS_SPLIT).await?;
    bo.barrier(&mut [], "close.no-effect").await?;
    expect_text(&context, "abc", "close.no-effect").await?;
    Ok(())
}

async fn max_message(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let bytes = anna.limits()?.max_message_bytes.value() as usize;
    let submission = anna.insert_run(&ROOT, "abc");
    anna.send_text(&padded(&frame(&submission), bytes));
    let taken = [submission];
    expect_due(&mut anna, &due(&taken, 0, View::Whole), "runs.max-message").await?;
    let over = anna.insert_run(&ROOT, "xyz");
    anna.send_text(&padded(&frame(&over), bytes + 1));
    expect_too_big(&mut anna, "runs.max-message").await?;
    expect_text(&context, "abc", "close.no-effect").await?;
    Ok(())
}

async fn paste_seen_one_by_one(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join("bo").await?;
    let pasted = anna.longest_run(1)?;
    let paste = anna.insert_run(&ROOT, &letters(pasted as usize));
    let behind = anna.insert(&under(&paste), '.');
    let history = [paste, behind];
    anna.submit_all(&history);
    expect_due(
        &mut anna,
        &due(&history, 0, View::Whole),
        ids::RUNS_ONE_ECHO,
    )
    .await?;
    expect_due(&mut bo, &due(&history, 0, View::OneByOne), ids::RUNS_SPLIT).await?;
    bo.barrier(&mut [&mut anna], ids::RUNS_SPLIT).await
}

async fn seqs_beyond_a_million(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let count = anna.longest_run(1)?;
    let mut history = vec![anna.insert_run(&ROOT, &letters(count as usize))];
    let first = history[0].op.id().clone();
    // What is deleted already takes seqs all the same, and costs nobody anything.
    let deletes = (1 << 20) / count + 1;
    history.extend((0..deletes).map(|_| anna.delete_run(&first, count)));
    history.push(anna.insert_run(&ROOT, "end"));
    history.push(anna.delete_run(&first, 1));
    anna.submit_all(&history);
    let due = due(&history, 0, View::Whole);
    expect_due(&mut anna, &due, ids::SEQ_DENSE).await?;
    let last = due.len() - 1;
    for again in [1, last / 2, last - 1, last] {
        anna.submit(&history[again]);
        expect_due(&mut anna, &due[again..=again], ids::SUBMIT_ANSWER).await?;
    }
    anna.barrier(&mut [], ids::SEQ_DENSE).await?;
    expect_text(&context, "end", ids::RESYNC_TEXT).await?;
    Ok(())
}

async fn two_units_at_every_boundary(context: Context) -> Outcome {
    const UNITS: usize = 140_000;
    const BUFFER: usize = 4_096;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let (mut values, mut units) = (Vec::new(), 0);
    let mut letters = ('a'..='z').cycle();
    while units < UNITS {
        let value = match units % BUFFER {
            last if last == BUFFER - 1 => '😀',
            _ => letters.next().unwrap_or('a'),
        };
        units += value.len_utf16();
        values.push(value);
    }
    let mut history = Vec::new();
    for piece in values.chunks(anna.longest_run(2)? as usize) {
        let parent = history.last().map_or(ROOT, under);
        history.push(anna.insert_run(&parent, &String::from_iter(piece)));
    }
    anna.submit_all(&history);
    expect_due(&mut anna, &due(&history, 0, View::Whole), ids::RUNS_INS).await?;
    expect_text(&context, &String::from_iter(values), ids::RESYNC_TEXT).await?;
    Ok(())
}

/// As much as a server must keep for a client that does not read, though its single echoes are more.
async fn paste_while_paused(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut pausing = context.connect_with("pausing", Buffers::Small).await?;
    pausing.hello(context.doc_id(), "pausing", None);
    pausing.expect_joined().await?;
    pausing.stop_reading();
    let max_run = anna.longest_run(1)?.min(16_384);
    let mut history = Vec::new();
    for _ in 0..6 {
        let parent = history.last().map_or(ROOT, under);
        let paste = anna.insert_run(&parent, &letters(max_run as usize));
        anna.submit(&paste);
        history.push(paste);
    }
    expect_due(&mut anna, &due(&history, 0, View::Whole), "slow.no-delay").await?;
    pausing.resume_reading();
    expect_due(
        &mut pausing,
        &due(&history, 0, View::OneByOne),
        "slow.floor",
    )
    .await?;
    anna.barrier(&mut [&mut pausing], "slow.floor").await
}

async fn long_document(context: Context) -> Outcome {
    const LENGTH: usize = 250_000;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let most = anna.longest_run(1)? as usize;
    let text = letters(LENGTH);
    let mut history = Vec::new();
    for at in (0..LENGTH).step_by(most) {
        let parent = history.last().map_or(ROOT, under);
        let values = &text[at..(at + most).min(LENGTH)];
        history.push(anna.insert_run(&parent, values));
    }
    // One after the other, so that a server of one thread gets to its other clients.
    for (seq, paste) in due(&history, 0, View::Whole) {
        anna.submit(&paste);
        expect_due(&mut anna, &[(seq, paste)], "cost.any-length").await?;
    }
    let both = [Profile::Runs, Profile::State];
    let late = context.join_asking("late", &both).await?;
    let state = late.state();
    let state = state.map_err(|failure| failure.unless_late(ids::STATE_WHOLE))?;
    let spans = state.elements.len();
    if spans != 1 {
        let what = format!("250,000 characters of one client are {spans} spans");
        return Err(Failure::breach(ids::STATE_CANONICAL, what).at(late.synced_at()));
    }
    if late.synced().full_text != text {
        let what = "the text of 250,000 characters is another";
        return Err(Failure::breach("cost.any-length", what).at(late.synced_at()));
    }
    Ok(())
}
