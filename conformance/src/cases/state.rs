//! The profile `state`: histories joined at every seq, seeded clients that go on, volume.

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Delete, Insert, Op, OpSubmission, State};
use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT, element, under};
use crate::context::Context;
use crate::ids;
use crate::model::Model;
use crate::numbers::Numbers;
use crate::outcome::{Failure, Outcome};
use crate::validate::shortened;

use super::follow::{end_of, expect_text, letters, type_on};

const STATE: &[Profile] = &[Profile::State];

/// The clients of a made-up history.
const AUTHORS: [&str; 3] = ["anna", "bo", "Zoë"];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::code(
            "state/seeded-goes-on",
            "a client seeded from a state and one that replayed everything stay equal through further edits",
            &[ids::STATE_ELEMENTS, ids::STATE_PENDING, ids::STATE_TEXT],
            seeded_goes_on,
        ),
        Case::code(
            "state/every-third-of-20000-deleted",
            "20,000 characters with every third deleted are 13,333 spans",
            &[
                ids::STATE_CANONICAL,
                ids::STATE_ELEMENTS,
                ids::STATE_WHOLE,
                "cost.any-length",
            ],
            every_third_deleted,
        )
        .weight(Weight::Slow),
        Case::code(
            "state/a-thousand-pending",
            "a thousand ops that wait are all pending, and none of them once what they wait for is there",
            &[ids::STATE_PENDING, "crdt.pending-applies"],
            a_thousand_pending,
        ),
        Case::code(
            "state/joins-during-typing",
            "each of twenty joins in the midst of typing gets the state of its own server_seq",
            &[ids::STATE_ELEMENTS, ids::STATE_IN_RESYNC],
            joins_during_typing,
        ),
    ];
    cases.extend((1..=5).map(|seed| {
        Case::code(
            &format!("state/every-seq-of-history-{seed}"),
            &format!(
                "history {seed} of edits, deletes and ops that wait can be joined at every seq"
            ),
            &[
                ids::STATE_ELEMENTS,
                ids::STATE_PENDING,
                ids::STATE_CANONICAL,
                ids::STATE_TEXT,
                ids::STATE_IN_RESYNC,
            ],
            move |context| every_seq(context, seed),
        )
    }));
    cases
        .into_iter()
        .map(|case| case.profile(Profile::State))
        .collect()
}

/// Ops with their authors, an index into [`AUTHORS`]: runs of typing, inserts anywhere, deletes,
/// tombstones deleted again; some stand before what they depend on.
fn made_up(seed: u64, count: usize) -> Vec<(usize, Op)> {
    let mut numbers = Numbers::new(seed);
    let mut elements: Vec<ElementId> = Vec::new();
    let mut ops = Vec::new();
    let mut lamport = 0;
    let mut last = (0, ROOT);
    for index in 0..count {
        let author = if numbers.below(3) == 0 {
            numbers.below(AUTHORS.len())
        } else {
            last.0
        };
        let any = |numbers: &mut Numbers| elements.get(numbers.below(elements.len() + 1)).cloned();
        let op = match (numbers.below(10), any(&mut numbers)) {
            (0..=2, Some(id)) => Op::Del(Delete::one(id)),
            (kind, place) => {
                let parent_id = match place {
                    _ if kind < 8 => last.1.clone(),
                    Some(id) => ParentId::Element(id),
                    None => ROOT,
                };
                // Now and then two authors take one lamport.
                lamport = (lamport + u64::from(numbers.below(6) > 0)).max(parent_id.lamport() + 1);
                let mut id = element(lamport, AUTHORS[author]);
                if elements.contains(&id) {
                    lamport += 1;
                    id = element(lamport, AUTHORS[author]);
                }
                last = (author, ParentId::Element(id.clone()));
                elements.push(id.clone());
                let value = char::from(b'a' + (index % 26) as u8);
                Op::Ins(Insert {
                    parent_id,
                    id,
                    value: value.into(),
                })
            }
        };
        ops.push((author, op));
    }
    for index in 0..count {
        if numbers.below(4) == 0 {
            let other = (index + 1 + numbers.below(6)).min(count - 1);
            ops.swap(index, other);
        }
    }
    ops
}

async fn authors(context: &Context) -> Outcome<Vec<Client>> {
    let mut authors = Vec::new();
    for name in AUTHORS {
        authors.push(context.join(name).await?);
    }
    Ok(authors)
}

/// One author submits an op, and everyone gets it.
async fn perform(authors: &mut [Client], author: usize, op: &Op) -> Outcome<OpSubmission> {
    let submission = authors[author].op(op.clone());
    authors[author].submit(&submission);
    for client in authors {
        client.expect_echo(&submission, ids::SEQ_FAN_OUT).await?;
    }
    Ok(submission)
}

/// A state equals the model's; the ops that wait in any order and in any pieces.
pub(super) fn compare(client: &Client, state: &State, model: &Model) -> Outcome {
    let known = model.state();
    let wrong = |requirement: &str, expected: String, got: String| {
        let what = format!("the state that {} got is not the document's", client.name());
        Err(Failure::breach(requirement, what)
            .expected(shortened(&expected, 600))
            .got(shortened(&got, 600))
            .at(client.synced_at()))
    };
    if known.elements != state.elements {
        return wrong(
            ids::STATE_ELEMENTS,
            json(&known.elements),
            json(&state.elements),
        );
    }
    let sorted = |ops: &[Op]| {
        let singles = ops.iter().flat_map(Op::singles);
        let mut ops: Vec<String> = singles.map(|op| json(&op)).collect();
        ops.sort();
        ops
    };
    let (expected, got) = (sorted(&known.pending), sorted(&state.pending));
    if expected != got {
        return wrong(
            ids::STATE_PENDING,
            format!("[{}]", expected.join(",")),
            format!("[{}]", got.join(",")),
        );
    }
    Ok(())
}

/// A part of a state, as it stands on the wire.
fn json(part: &impl serde::Serialize) -> String {
    serde_json::to_string(part).expect("a part of a state is JSON")
}

async fn every_seq(context: Context, seed: u64) -> Outcome {
    let mut authors = authors(&context).await?;
    let mut model = Model::new();
    let mut seeded: Vec<Model> = Vec::new();
    for (index, (author, op)) in made_up(seed, 70).into_iter().enumerate() {
        perform(&mut authors, author, &op).await?;
        model.integrate(&op);
        seeded.iter_mut().for_each(|seeded| seeded.integrate(&op));
        let late = context.join_asking(&format!("late-{index}"), STATE).await?;
        compare(&late, late.state()?, &model)?;
        seeded.push(Model::seeded(late.state()?));
        late.close().await?;
    }
    let unequal = seeded.iter().position(|seeded| {
        seeded.text() != model.text() || seeded.state().elements != model.state().elements
    });
    match unequal {
        None => Ok(()),
        Some(index) => {
            let what = format!("a client seeded at seq {} went another way", index + 1);
            Err(Failure::breach(ids::STATE_ELEMENTS, what).expected(model.text()))
        }
    }
}

async fn seeded_goes_on(context: Context) -> Outcome {
    let mut authors = authors(&context).await?;
    let ops = made_up(99, 160);
    let (before, after) = ops.split_at(80);
    let mut replayed = Model::new();
    for (author, op) in before {
        perform(&mut authors, *author, op).await?;
        replayed.integrate(op);
    }
    let mut late = context.join_asking("late", STATE).await?;
    let mut seeded = Model::seeded(late.state()?);
    // Three authors and the seeded client write at once.
    let mut submitted = 0;
    for (index, (author, op)) in after.iter().enumerate() {
        let submission = authors[*author].op(op.clone());
        authors[*author].submit(&submission);
        submitted += 1;
        if index % 4 == 0 {
            let op = match (index % 8, after[index / 2].1.id(), before[index].1.id()) {
                (0, _, tombstone) => late.delete(tombstone),
                (_, parent, _) => {
                    let parent = ParentId::Element(parent.clone());
                    late.insert_at(10_000 + index as u64, &parent, '*')
                }
            };
            late.submit(&op);
            submitted += 1;
        }
    }
    for echo in late.expect_echoes(submitted, ids::SEQ_FAN_OUT).await? {
        seeded.integrate(&echo.op);
        replayed.integrate(&echo.op);
    }
    let last = context.join_asking("last", STATE).await?;
    compare(&last, last.state()?, &replayed)?;
    compare(&last, last.state()?, &seeded)
}

async fn every_third_deleted(context: Context) -> Outcome {
    const COUNT: usize = 20_000;
    let mut anna = context.join("anna").await?;
    let history = type_on(&mut anna, &ROOT, COUNT);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    let deletes: Vec<_> = history
        .iter()
        .skip(2)
        .step_by(3)
        .map(|submission| anna.delete(submission.op.id()))
        .collect();
    anna.submit_all(&deletes);
    anna.expect_echoes_of(&deletes, ids::SEQ_FAN_OUT).await?;
    let late = context.join_asking("late", STATE).await?;
    let state = late.state();
    let state = state.map_err(|failure| failure.unless_late(ids::STATE_WHOLE))?;
    let spans = state.elements.len();
    // Two characters, a tombstone, and so on; the last two characters have none behind them.
    let wanted = 2 * deletes.len() + 1;
    if spans != wanted {
        let what = "the state of 20,000 characters has another number of spans";
        return Err(Failure::breach(ids::STATE_CANONICAL, what)
            .expected(wanted.to_string())
            .got(spans.to_string())
            .at(late.synced_at()));
    }
    let mut model = Model::seeded(late.state()?);
    let go_on = type_on(&mut anna, &end_of(&history), 3);
    anna.expect_echoes_of(&go_on, ids::SEQ_FAN_OUT).await?;
    go_on
        .iter()
        .for_each(|submission| model.integrate(&submission.op));
    let last = context.join_asking("last", STATE).await?;
    compare(&last, last.state()?, &model)
}

async fn a_thousand_pending(context: Context) -> Outcome {
    const COUNT: u64 = 500;
    let mut anna = context.join("anna").await?;
    let mut ghost = context.join("ghost").await?;
    let mut waiting = Vec::new();
    for number in 1..=COUNT {
        let absent = element(number, "ghost");
        waiting.push(anna.insert_at(10_000 + number, &ParentId::Element(absent.clone()), 'w'));
        waiting.push(anna.delete(&absent));
    }
    anna.submit_all(&waiting);
    anna.expect_echoes_of(&waiting, ids::SEQ_FAN_OUT).await?;
    ghost.expect_echoes_of(&waiting, ids::SEQ_FAN_OUT).await?;
    let mut model = Model::new();
    waiting
        .iter()
        .for_each(|submission| model.integrate(&submission.op));
    let late = context.join_asking("late", STATE).await?;
    compare(&late, late.state()?, &model)?;
    let mut seeded = Model::seeded(late.state()?);
    let mut parent = ROOT;
    let mut arriving = Vec::new();
    for number in 1..=COUNT {
        let submission = ghost.insert_at(number, &parent, 'g');
        parent = under(&submission);
        arriving.push(submission);
    }
    ghost.submit_all(&arriving);
    ghost.expect_echoes_of(&arriving, ids::SEQ_FAN_OUT).await?;
    arriving
        .iter()
        .for_each(|submission| seeded.integrate(&submission.op));
    let last = context.join_asking("last", STATE).await?;
    compare(&last, last.state()?, &seeded)?;
    if last.synced().full_text == "w".repeat(500) {
        return Ok(());
    }
    let what = "what waited is not all in the text";
    Err(Failure::breach("crdt.pending-applies", what).at(last.synced_at()))
}

async fn joins_during_typing(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut history = Vec::new();
    let mut joining = Vec::new();
    for number in 0..20 {
        let mut bo = context.connect(&format!("join-{number}")).await?;
        let ask = Ask::of(STATE);
        bo.hello_asking(context.doc_id(), &format!("c-{number}"), &ask);
        history.extend(type_on(&mut anna, &end_of(&history), 10));
        joining.push((bo, ask));
    }
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    for (bo, ask) in &mut joining {
        bo.expect_joined_asking(ask).await?;
        let seen = bo.synced().server_seq.value() as usize;
        let mut model = Model::new();
        for submission in &history[..seen.min(history.len())] {
            model.integrate(&submission.op);
        }
        compare(bo, bo.state()?, &model)?;
        bo.expect_echoes_of(&history[seen..], "sync.live-during")
            .await?;
    }
    let text = letters(10).repeat(20);
    expect_text(&context, &text, ids::RESYNC_TEXT).await?;
    Ok(())
}
