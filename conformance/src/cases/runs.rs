//! The profile `runs`: replays from inside, pastes that meet, histories. Limits and volume are in
//! `pastes`.

use collab_spec::id::ParentId;
use collab_spec::message::{Op, OpEcho, OpSubmission, ServerMessage};
use collab_spec::profile::Profile;

use crate::case::Case;
use crate::client::{Ask, Client, ROOT, echo_pattern, under};
use crate::context::Context;
use crate::ids;
use crate::model::Model;
use crate::numbers::Numbers;
use crate::outcome::{Failure, Outcome};
use crate::validate::shortened;

use super::follow::{another_text, expect_text, letters};
use super::state::compare;
use super::submit::expect_confirmed;

pub(super) const RUNS: &[Profile] = &[Profile::Runs];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::code(
            "runs/every-last-seen",
            "every last_seen_server_seq, inside ops too, gets a replay of exactly the rest",
            &[
                ids::RUNS_REPLAY_INSIDE,
                ids::RUNS_SPLIT,
                ids::SYNC_REPLAY_EXACT,
                ids::SYNC_REPLAY_KEPT,
            ],
            every_last_seen,
        ),
        Case::code(
            "runs/replay-from-inside-a-paste",
            "a replay begins inside an op of 1,024 elements, for clients with runs and without",
            &[
                ids::RUNS_REPLAY_INSIDE,
                ids::RUNS_SPLIT,
                ids::SYNC_REPLAY_KEPT,
            ],
            replay_inside_a_paste,
        ),
        Case::code(
            "runs/boundaries-never-show",
            "one text typed one by one, in pairs and in pastes is one text, and one state",
            &[ids::RUNS_TEXT, ids::STATE_CANONICAL],
            boundaries,
        )
        .needs(&[Profile::State]),
        Case::code(
            "runs/pastes-at-one-place",
            "four clients, with runs and without, that paste and type at one place end with one text",
            &[ids::RUNS_TEXT, ids::SEQ_ONE_ORDER, "profiles.mixed"],
            pastes_at_one_place,
        ),
        Case::code(
            "runs/no-seq-between",
            "while others type, no seq of theirs stands between those of a run",
            &[ids::RUNS_SEQS, ids::RUNS_SPLIT],
            no_seq_between,
        ),
        Case::code(
            "runs/lost-in-flight",
            "a client whose connection broke among its pastes sends them again, and all is there once",
            &[ids::RUNS_ANSWER, ids::SUBMIT_RESEND, "session.vanished"],
            lost_in_flight,
        ),
    ];
    cases.extend((1..=5).map(|seed| {
        Case::code(
            &format!("runs/history-{seed}"),
            &format!("history {seed} of pastes, deletes and ops that wait is the same for everyone, at every seq"),
            &[
                ids::RUNS_TEXT,
                ids::RUNS_DEL,
                "runs.pending",
                ids::RUNS_STATE_PENDING,
                ids::RUNS_REPLAY_INSIDE,
            ],
            move |context| history(context, seed),
        )
        .needs(&[Profile::State])
    }));
    cases
        .into_iter()
        .map(|case| case.profile(Profile::Runs))
        .collect()
}

/// How a connection gets ops of several elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Whole,
    OneByOne,
}

impl View {
    const BOTH: [Self; 2] = [Self::Whole, Self::OneByOne];

    fn name(self) -> &'static str {
        match self {
            Self::Whole => "with",
            Self::OneByOne => "without",
        }
    }
}

/// The echoes that a connection has to get of these ops after a seq, each with its seq.
pub(super) fn due(
    history: &[OpSubmission],
    last_seen: u64,
    view: View,
) -> Vec<(u64, OpSubmission)> {
    let mut seq = 0;
    let mut due = Vec::new();
    for submission in history {
        let elements = submission.op.elements();
        let seen = last_seen.saturating_sub(seq).min(elements);
        let after = seq + seen;
        seq += elements;
        if seen == elements {
            continue;
        }
        let with = |op: Op| OpSubmission {
            op,
            ..submission.clone()
        };
        let rest = submission.op.rest(seen);
        match view {
            View::Whole => due.push((seq, with(rest))),
            View::OneByOne => due.extend((after + 1..).zip(rest.singles().map(with))),
        }
    }
    due
}

/// The next messages must be these echoes under these seqs.
pub(super) async fn expect_due(
    client: &mut Client,
    due: &[(u64, OpSubmission)],
    requirement: &str,
) -> Outcome {
    for (seq, submission) in due {
        let awaited = format!("the echo with seq {seq}, of {}", submission.client_msg_id);
        let message = client.next_message(&awaited, requirement).await?;
        let right = matches!(&message.message, ServerMessage::OpEcho(echo)
            if echo.server_seq.value() == *seq && is_of(echo, submission));
        if let ServerMessage::OpEcho(echo) = &message.message
            && echo.client_msg_id == submission.client_msg_id
            && let (Op::Ins(sent), Op::Ins(got)) = (&submission.op, &echo.op)
            && (&sent.id, sent.value.elements()) == (&got.id, got.value.elements())
            && sent.value != got.value
        {
            let what = format!("the value in {awaited}");
            let (sent, got) = (sent.value.as_str(), got.value.as_str());
            return Err(another_text(ids::ECHO_FAITHFUL, &what, sent, got).at(message.event));
        }
        if !right {
            let expected = echo_pattern(submission, Some(*seq)).to_string();
            let what = format!("the next message of {} is not {awaited}", client.name());
            return Err(Failure::breach(requirement, what)
                .expected(shortened(&expected, 600))
                .got(shortened(&message.received.text, 600))
                .at(message.event));
        }
    }
    Ok(())
}

fn is_of(echo: &OpEcho, submission: &OpSubmission) -> bool {
    echo.origin_client_id == submission.client_id
        && echo.client_msg_id == submission.client_msg_id
        && echo.op == submission.op
}

async fn every_last_seen(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join_asking("bo", RUNS).await?;
    let mut history = vec![anna.insert_run(&ROOT, "one😀")];
    history.push(anna.insert(&under(&history[0]), ','));
    history.push(anna.delete_run(history[0].op.id(), 3));
    history.push(anna.insert_run(&ParentId::Element(history[0].op.id().later(1)), "two\r\n"));
    history.push(anna.delete(history[1].op.id()));
    anna.submit_all(&history);
    for client in [&mut anna, &mut bo] {
        expect_due(client, &due(&history, 0, View::Whole), ids::RUNS_ONE_ECHO).await?;
    }
    let head: u64 = history.iter().map(|sent| sent.op.elements()).sum();
    let mut back = Vec::new();
    for last_seen in 1..head {
        for view in View::BOTH {
            let name = format!("from-{last_seen}-{}", view.name());
            let mut client = reconnect(&context, &name, last_seen, view).await?;
            replayed(&mut client, &history, last_seen, view).await?;
            back.push(client);
        }
    }
    let pair = anna.send_barrier();
    for client in back.iter_mut().chain([&mut anna, &mut bo]) {
        client.expect_barrier(&pair, ids::SYNC_REPLAY_EXACT).await?;
    }
    Ok(())
}

async fn reconnect(context: &Context, name: &str, last_seen: u64, view: View) -> Outcome<Client> {
    match view {
        View::Whole => {
            let ask = Ask::of(RUNS).seen(last_seen);
            context.reconnect_asking(name, name, &ask).await
        }
        View::OneByOne => context.reconnect(name, name, last_seen).await,
    }
}

/// The sync from a seq below the head: a replay of the rest, or one resync.
async fn replayed(
    client: &mut Client,
    history: &[OpSubmission],
    last_seen: u64,
    view: View,
) -> Outcome {
    let due = due(history, last_seen, view);
    let (seq, first) = &due[0];
    let awaited = format!("the echo with seq {seq}, or a resync");
    let message = client
        .next_message(&awaited, ids::SYNC_REPLAY_EXACT)
        .await?;
    let requirement = match view {
        View::Whole => ids::RUNS_REPLAY_INSIDE,
        View::OneByOne => ids::RUNS_SPLIT,
    };
    match &message.message {
        ServerMessage::OpEcho(echo) if echo.server_seq.value() == *seq && is_of(echo, first) => {
            expect_due(client, &due[1..], requirement).await
        }
        ServerMessage::Resync(_) => {
            let what = format!("{} is resynced where so few ops are missed", client.name());
            Err(Failure::breach(ids::SYNC_REPLAY_KEPT, what).at(message.event))
        }
        _ => {
            let expected = echo_pattern(first, Some(*seq)).to_string();
            let what = format!("the replay of {} begins with another op", client.name());
            Err(Failure::breach(requirement, what)
                .expected(shortened(&expected, 600))
                .got(shortened(&message.received.text, 600))
                .at(message.event))
        }
    }
}

async fn replay_inside_a_paste(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RUNS).await?;
    let paste = [anna.insert_run(&ROOT, &letters(1_024))];
    anna.submit_all(&paste);
    expect_due(&mut anna, &due(&paste, 0, View::Whole), ids::RUNS_ONE_ECHO).await?;
    let mut back = Vec::new();
    for last_seen in [24, 25, 512, 1_000, 1_023] {
        for view in View::BOTH {
            let name = format!("from-{last_seen}-{}", view.name());
            let mut client = reconnect(&context, &name, last_seen, view).await?;
            replayed(&mut client, &paste, last_seen, view).await?;
            back.push(client);
        }
    }
    let pair = anna.send_barrier();
    for client in &mut back {
        client.expect_barrier(&pair, ids::SYNC_REPLAY_EXACT).await?;
    }
    Ok(())
}

async fn boundaries(context: Context) -> Outcome {
    let text = letters(600);
    let mut states: Vec<Model> = Vec::new();
    for (name, lengths) in [
        ("ones", &[1][..]),
        ("pairs", &[2]),
        ("mixed", &[1, 7, 64, 2]),
        ("one", &[600]),
    ] {
        let doc_id = format!("{}-{name}", context.doc_id());
        let both = [Profile::Runs, Profile::State];
        let mut anna = context.join_asking_as(name, &doc_id, "anna", &both).await?;
        let mut rest = text.as_str();
        let mut history = Vec::new();
        let mut lamport = 1;
        for &length in lengths.iter().cycle() {
            let (values, behind) = rest.split_at(length.min(rest.len()));
            let parent = history.last().map_or(ROOT, under);
            history.push(anna.insert_run_at(lamport, &parent, values));
            lamport += values.len() as u64;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        // In the midst of the text, whatever it was typed in: an insert and a delete.
        let middle = history[0].op.id().later(300);
        history.push(anna.insert_at(700, &ParentId::Element(middle.clone()), '*'));
        history.push(anna.delete_run(&middle, 50));
        anna.submit_all(&history);
        expect_due(
            &mut anna,
            &due(&history, 0, View::Whole),
            ids::RUNS_ONE_ECHO,
        )
        .await?;
        let late = context
            .join_asking_as(&format!("late-{name}"), &doc_id, "late", &both)
            .await?;
        states.push(Model::seeded(late.state()?));
        if late.state()?.elements.len() != 5 {
            let what = format!("the text typed in {name} is another state than five spans");
            return Err(Failure::breach(ids::STATE_CANONICAL, what)
                .got(format!("{} spans", late.state()?.elements.len()))
                .at(late.synced_at()));
        }
        if states[0].text() != late.synced().full_text {
            let what = format!("the text typed in {name} is another than that typed one by one");
            return Err(Failure::breach(ids::RUNS_TEXT, what)
                .expected(shortened(&states[0].text(), 300))
                .got(shortened(&late.synced().full_text, 300))
                .at(late.synced_at()));
        }
    }
    Ok(())
}

async fn pastes_at_one_place(context: Context) -> Outcome {
    let mut clients = Vec::new();
    for (name, view) in [
        ("anna", View::Whole),
        ("bo", View::OneByOne),
        ("cleo", View::Whole),
        ("dan", View::OneByOne),
    ] {
        let client = match view {
            View::Whole => context.join_asking(name, RUNS).await?,
            View::OneByOne => context.join(name).await?,
        };
        clients.push((client, view));
    }
    let mut elements = 0;
    let mut ops = 0;
    for (client, view) in &mut clients {
        for _ in 0..10 {
            let sent = match view {
                View::Whole => {
                    let paste = client.insert_run(&ROOT, &letters(20));
                    let middle = ParentId::Element(paste.op.id().later(9));
                    let inside = client.insert_run(&middle, "<>");
                    let delete = client.delete_run(paste.op.id(), 5);
                    vec![paste, inside, delete]
                }
                View::OneByOne => client.typing(&ROOT, &letters(5)),
            };
            client.submit_all(&sent);
            ops += sent.len();
            elements += sent
                .iter()
                .map(|sent| sent.op.elements() as usize)
                .sum::<usize>();
        }
    }
    for (client, view) in &mut clients {
        let count = match view {
            View::Whole => ops,
            View::OneByOne => elements,
        };
        client.expect_echoes(count, ids::SEQ_FAN_OUT).await?;
    }
    let [(anna, _), (bo, _), (cleo, _), (dan, _)] = &mut clients[..] else {
        return Err(Failure::Harness("there are four clients".to_owned()));
    };
    anna.barrier(&mut [bo, cleo, dan], ids::SEQ_FAN_OUT).await?;
    // What the text must be, the monitors work out from the echoes.
    context.join("late").await?;
    Ok(())
}

async fn no_seq_between(context: Context) -> Outcome {
    const PASTES: usize = 60;
    let mut watcher = context.join("watcher").await?;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join("bo").await?;
    let pastes: Vec<_> = (0..PASTES)
        .map(|_| anna.insert_run(&ROOT, &letters(40)))
        .collect();
    let typed: Vec<_> = (0..PASTES).map(|_| bo.insert(&ROOT, '.')).collect();
    for (paste, typed) in pastes.iter().zip(&typed) {
        anna.submit(paste);
        bo.submit(typed);
    }
    let echoes = watcher.expect_echoes(PASTES * 41, ids::SEQ_FAN_OUT).await?;
    let blocks = echoes.chunk_by(|one, next| one.client_msg_id == next.client_msg_id);
    let torn = blocks
        .filter(|block| block[0].origin_client_id.as_str() == "anna")
        .find(|block| block.len() != 40);
    match torn {
        None => Ok(()),
        Some(block) => {
            let what = format!(
                "the echoes of {} are not together: the seqs of something else stand between",
                block[0].client_msg_id
            );
            Err(Failure::breach(ids::RUNS_SEQS, what)
                .expected("40 echoes, one after the other")
                .got(format!(
                    "{} from seq {} on",
                    block.len(),
                    block[0].server_seq.value()
                )))
        }
    }
}

async fn lost_in_flight(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", RUNS).await?;
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut history: Vec<OpSubmission> = Vec::new();
    for number in 0..100 {
        let parent = history.last().map_or(ROOT, under);
        history.push(anna.insert_run(&parent, &letters(1 + number % 17)));
    }
    anna.submit_all(&history);
    let confirmed = due(&history[..20], 0, View::Whole);
    expect_due(&mut anna, &confirmed, ids::SEQ_FAN_OUT).await?;
    let seen = confirmed.last().map_or(0, |(seq, _)| *seq);
    anna.abandon().await;

    let ask = Ask::of(RUNS).seen(seen);
    let mut anna = context.reconnect_asking("anna-again", "anna", &ask).await?;
    anna.submit_all(&history[20..]);
    let end = anna.send_barrier();
    expect_confirmed(&mut anna, history[20..].iter().chain(&end)).await?;
    expect_due(
        &mut witness,
        &due(&history, 0, View::Whole),
        ids::SUBMIT_RESEND,
    )
    .await?;
    witness.expect_barrier(&end, ids::SUBMIT_RESEND).await?;
    let text: String = (0..100).map(|number| letters(1 + number % 17)).collect();
    expect_text(&context, &text, ids::RESYNC_TEXT).await?;
    Ok(())
}

/// Pastes, deletes of several elements, some of which come later; everyone, at every seq.
async fn history(context: Context, seed: u64) -> Outcome {
    let mut numbers = Numbers::new(seed);
    let mut anna = context.join_asking("anna", RUNS).await?;
    let mut bo = context.join("bo").await?;
    let mut model = Model::new();
    let mut history: Vec<OpSubmission> = Vec::new();
    // What is made now and sent later, so that others wait for it.
    let mut held: Vec<OpSubmission> = Vec::new();
    for round in 0..24 {
        let known: Vec<&OpSubmission> = history.iter().chain(&held).collect();
        let any = |numbers: &mut Numbers| {
            let inserts: Vec<_> = known
                .iter()
                .filter(|sent| matches!(sent.op, Op::Ins(_)))
                .collect();
            let sent = inserts.get(numbers.below(inserts.len() + 1))?;
            let skip = numbers.below(sent.op.elements() as usize) as u64;
            Some(sent.op.id().later(skip))
        };
        let submission = match (numbers.below(3), any(&mut numbers)) {
            (0, Some(id)) => anna.delete_run(&id, 1 + numbers.below(6) as u64),
            (_, place) => {
                let parent = place.map_or(ROOT, ParentId::Element);
                let length = 1 + numbers.below(9);
                let values: String = letters(26)
                    .chars()
                    .cycle()
                    .skip(round)
                    .take(length)
                    .collect();
                anna.insert_run(&parent, &values)
            }
        };
        let sent = match numbers.below(4) {
            0 => {
                held.push(submission);
                continue;
            }
            1 if !held.is_empty() => vec![submission, held.remove(numbers.below(held.len()))],
            _ => vec![submission],
        };
        anna.submit_all(&sent);
        let before: u64 = history.iter().map(|sent| sent.op.elements()).sum();
        sent.iter().for_each(|sent| model.integrate(&sent.op));
        history.extend(sent);
        let head: u64 = history.iter().map(|sent| sent.op.elements()).sum();
        expect_due(
            &mut anna,
            &due(&history, before, View::Whole),
            ids::RUNS_ONE_ECHO,
        )
        .await?;
        expect_due(
            &mut bo,
            &due(&history, before, View::OneByOne),
            ids::RUNS_SPLIT,
        )
        .await?;
        // At this seq, with runs and without.
        for (name, profiles) in [
            ("with", &[Profile::Runs, Profile::State][..]),
            ("without", &[Profile::State]),
        ] {
            let late = context
                .join_asking(&format!("{name}-{round}"), profiles)
                .await?;
            compare(&late, late.state()?, &model)?;
            late.abandon().await;
        }
        let last_seen = 1 + numbers.below(before as usize + 1) as u64;
        for view in View::BOTH {
            let name = format!("from-{last_seen}-{}-{round}", view.name());
            if last_seen < head {
                let mut client = reconnect(&context, &name, last_seen, view).await?;
                replayed(&mut client, &history, last_seen, view).await?;
                client.abandon().await;
            }
        }
    }
    Ok(())
}
