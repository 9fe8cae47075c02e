//! Texts so long that a server keeps them in parts, with edits all over them.

use std::collections::HashSet;

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Delete, Insert, Op};
use collab_spec::profile::Profile;

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT, element, under};
use crate::context::Context;
use crate::ids;
use crate::model::Model;
use crate::numbers::Numbers;
use crate::outcome::Outcome;

use super::follow::{expect_text, type_on};
use super::state::compare;

/// Who writes.
const AUTHORS: [&str; 3] = ["anna", "bo", "Zoë"];

/// How many pieces the text is typed in, and how long each is.
const PIECES: (usize, usize) = (10, 400);

/// How far apart the lamports of a piece are: there is room for others between them.
const APART: u64 = 4;

/// How many edits follow.
const EDITS: usize = 800;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "crdt/long-text-edited-everywhere",
            "800 edits all over 4,000 characters, with lamports from the gaps, end in the right text",
            &[ids::RESYNC_TEXT, "cost.any-length", "crdt.any-lamport"],
            |context| edited_everywhere(context, &[]),
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/wide-filled-in",
            "2,000 inserts at one place with falling lamports, and 200 between them, stand newest first",
            &[ids::RESYNC_TEXT, "cost.any-length", "crdt.any-lamport"],
            filled_in,
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/gaps-filled-from-afar",
            "elements with lamports from the gaps of a long text, all at its start, are found again",
            &[ids::RESYNC_TEXT, "cost.any-length", "crdt.any-lamport"],
            filled_from_afar,
        )
        .weight(Weight::Heavy),
        Case::code(
            "state/long-text-edited-everywhere",
            "800 edits all over 4,000 characters, with lamports from the gaps, end in the right state",
            &[ids::STATE_ELEMENTS, ids::STATE_CANONICAL, "cost.any-length"],
            |context| edited_everywhere(context, &[Profile::State]),
        )
        .profile(Profile::State)
        .weight(Weight::Heavy),
        Case::code(
            "state/all-of-5000-deleted",
            "5,000 characters typed in a row and deleted are one span of a state",
            &[ids::STATE_CANONICAL, ids::STATE_ELEMENTS],
            all_deleted,
        )
        .profile(Profile::State)
        .weight(Weight::Heavy),
    ]
}

/// The elements of a text in the making.
#[derive(Default)]
struct Elements {
    all: Vec<ElementId>,
    taken: HashSet<ElementId>,
}

impl Elements {
    fn any(&self, numbers: &mut Numbers) -> Option<&ElementId> {
        self.all.get(numbers.below(self.all.len().max(1)))
    }

    fn insert(&mut self, parent: ParentId, id: ElementId, number: usize) -> Op {
        self.taken.insert(id.clone());
        self.all.push(id.clone());
        Op::Ins(Insert {
            parent_id: parent,
            id,
            value: letter(number as u64).into(),
        })
    }
}

/// The ops with their authors: pieces typed one after the other, each somewhere in those before; then
/// characters with lamports that nobody has taken, and deletes, anywhere.
fn edits(numbers: &mut Numbers) -> Vec<(usize, Op)> {
    let mut elements = Elements::default();
    let mut ops = Vec::new();
    let mut lamport = 0;
    for piece in 0..PIECES.0 {
        let author = piece % AUTHORS.len();
        let place = elements.any(numbers).cloned();
        let mut parent = place.map_or(ROOT, ParentId::Element);
        for number in 0..PIECES.1 {
            lamport += APART;
            let id = element(lamport, AUTHORS[author]);
            ops.push((author, elements.insert(parent, id.clone(), number)));
            parent = ParentId::Element(id);
        }
    }
    for number in 0..EDITS {
        let author = numbers.below(AUTHORS.len());
        let place = elements.any(numbers).cloned();
        let place = place.expect("the pieces have elements");
        if numbers.below(4) == 0 {
            ops.push((author, Op::Del(Delete::one(place))));
            continue;
        }
        let mut lamport = place.lamport() + 1 + numbers.below(40) as u64;
        while elements.taken.contains(&element(lamport, AUTHORS[author])) {
            lamport += 1;
        }
        let id = element(lamport, AUTHORS[author]);
        let op = elements.insert(ParentId::Element(place), id, number);
        ops.push((author, op));
    }
    ops
}

async fn edited_everywhere(context: Context, profiles: &[Profile]) -> Outcome {
    let mut numbers = Numbers::new(1);
    let ops = edits(&mut numbers);
    let mut authors: Vec<Client> = Vec::new();
    for name in AUTHORS {
        authors.push(context.join(name).await?);
    }
    let mut model = Model::new();
    for (author, op) in &ops {
        let submission = authors[*author].op(op.clone());
        authors[*author].submit(&submission);
        model.integrate(op);
    }
    for author in &mut authors {
        author.expect_echoes(ops.len(), ids::SEQ_FAN_OUT).await?;
    }
    if profiles.is_empty() {
        return expect_text(&context, &model.text(), ids::RESYNC_TEXT)
            .await
            .map(drop);
    }
    let late = context.join_asking("late", profiles).await?;
    compare(&late, late.state()?, &model)
}

/// Falling lamports put each behind all others; then every tenth gap gets one, the last gap first.
async fn filled_in(context: Context) -> Outcome {
    const WIDE: u64 = 2_000;
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    let falling: Vec<_> = (1..=WIDE)
        .rev()
        .map(|number| anna.insert_at(2 * number, &ROOT, letter(number)))
        .collect();
    anna.submit_all(&falling);
    bo.expect_echoes_of(&falling, ids::SEQ_FAN_OUT).await?;
    let between: Vec<_> = (1..=WIDE)
        .step_by(10)
        .map(|number| bo.insert_at(2 * number + 1, &ROOT, letter(number).to_ascii_uppercase()))
        .collect();
    bo.submit_all(&between);
    bo.expect_echoes_of(&between, ids::SEQ_FAN_OUT).await?;
    let mut model = Model::new();
    for submission in falling.iter().chain(&between) {
        model.integrate(&submission.op);
    }
    expect_text(&context, &model.text(), ids::RESYNC_TEXT)
        .await
        .map(drop)
}

/// One types with every third lamport; the two between stand at the text's start. Then what was typed is
/// deleted, and the second of each two: a server that looks elements up by their lamports has to find
/// neighbours there that stand far apart.
async fn filled_from_afar(context: Context) -> Outcome {
    const TYPED: u64 = 400;
    let mut anna = context.join("anna").await?;
    let mut parent = ROOT;
    let mut submissions = Vec::new();
    for number in 1..=TYPED {
        let typed = anna.insert_at(3 * number, &parent, letter(number));
        parent = under(&typed);
        submissions.push(typed);
    }
    let first = under(&submissions[0]);
    for lamport in (4..3 * TYPED).filter(|lamport| lamport % 3 != 0) {
        submissions.push(anna.insert_at(lamport, &first, letter(lamport).to_ascii_uppercase()));
    }
    let deletes: Vec<_> = submissions[1..]
        .iter()
        .map(|submission| submission.op.id())
        .filter(|id| id.lamport() % 3 != 1)
        .map(|id| anna.delete(id))
        .collect();
    submissions.extend(deletes);
    anna.submit_all(&submissions);
    anna.expect_echoes(submissions.len(), ids::SEQ_FAN_OUT)
        .await?;
    let mut model = Model::new();
    for submission in &submissions {
        model.integrate(&submission.op);
    }
    expect_text(&context, &model.text(), ids::RESYNC_TEXT)
        .await
        .map(drop)
}

fn letter(number: u64) -> char {
    char::from(b'a' + (number % 26) as u8)
}

async fn all_deleted(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let typed = type_on(&mut anna, &ROOT, 5_000);
    let deletes: Vec<_> = typed
        .iter()
        .map(|submission| anna.delete(submission.op.id()))
        .collect();
    anna.submit_all(&deletes);
    let mut model = Model::new();
    for submission in typed.iter().chain(&deletes) {
        model.integrate(&submission.op);
    }
    anna.expect_echoes(typed.len() + deletes.len(), ids::SEQ_FAN_OUT)
        .await?;
    let late = context.join_asking("late", &[Profile::State]).await?;
    compare(&late, late.state()?, &model)
}
