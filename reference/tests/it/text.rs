//! The text against a naive oracle, in random orders of delivery, and at sizes that punish
//! recursion and scans.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use collab_reference::text::Text;
use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::Op;
use proptest::prelude::*;

use crate::{del, id, ins, typed};

/// The text of a set of ops and those that wait, by the letter of the definition.
fn oracle(ops: &[Op]) -> (String, BTreeSet<String>) {
    let mut children: BTreeMap<ParentId, BTreeMap<ElementId, char>> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    for op in ops {
        match op {
            Op::Ins(insert) => {
                let siblings = children.entry(insert.parent_id.clone()).or_default();
                let value = insert.value.as_str().chars().next().unwrap();
                siblings.insert(insert.id.clone(), value);
            }
            Op::Del(delete) => {
                deleted.insert(delete.id.clone());
            }
        }
    }
    fn walk(
        parent: &ParentId,
        children: &BTreeMap<ParentId, BTreeMap<ElementId, char>>,
        visit: &mut impl FnMut(&ElementId, char),
    ) {
        for (id, value) in children.get(parent).into_iter().flatten().rev() {
            visit(id, *value);
            walk(&ParentId::Element(id.clone()), children, visit);
        }
    }
    let mut text = String::new();
    let mut present = BTreeSet::new();
    walk(&ParentId::Root, &children, &mut |id, value| {
        present.insert(id.clone());
        if !deleted.contains(id) {
            text.push(value);
        }
    });
    let waits = |op: &&Op| op.dependency().is_some_and(|id| !present.contains(id));
    (text, ops.iter().filter(waits).map(shown).collect())
}

fn shown(op: &Op) -> String {
    serde_json::to_string(op).unwrap()
}

fn integrated(ops: &[Op]) -> Text {
    let mut text = Text::new();
    ops.iter().for_each(|op| text.integrate(op));
    text
}

fn agrees(text: &Text, ops: &[Op]) {
    let (visible, pending) = oracle(ops);
    assert_eq!(text.text(), visible);
    let waiting: Vec<_> = text.pending().iter().map(shown).collect();
    assert_eq!(
        waiting.len(),
        pending.len(),
        "a waiting op stands twice: {waiting:?}"
    );
    assert_eq!(waiting.into_iter().collect::<BTreeSet<_>>(), pending);
}

/// Histories in which every lamport is above its parent's and deletes hit anything.
fn history(max: usize) -> impl Strategy<Value = Vec<Op>> {
    let replicas = prop::sample::select(vec!["A", "B", "a", "ab", "\u{ff5e}", "😀"]);
    let step = (
        any::<prop::sample::Index>(),
        0..4u64,
        replicas,
        any::<char>(),
        0..4u8,
    );
    prop::collection::vec(step, 1..max).prop_map(|steps| {
        let mut ids: Vec<Option<ElementId>> = vec![None];
        let mut ops = Vec::new();
        for (at, jump, replica, value, kind) in steps {
            match (kind, ids[at.index(ids.len())].clone()) {
                (0, Some(target)) => ops.push(del(target.lamport(), target.replica_id().as_str())),
                (_, parent) => {
                    let under = parent.as_ref().map_or(0, ElementId::lamport);
                    let mut lamport = under + 1 + jump;
                    while ids.contains(&Some(id(lamport, replica))) {
                        lamport += 1;
                    }
                    let parent = parent.as_ref().map_or("", |id| id.replica_id().as_str());
                    ops.push(ins((under, parent), (lamport, replica), value));
                    ids.push(Some(id(lamport, replica)));
                }
            }
        }
        ops
    })
}

proptest! {
    #[test]
    fn every_prefix_in_any_order_agrees_with_the_oracle(ops in history(24).prop_shuffle()) {
        let mut text = Text::new();
        for (index, op) in ops.iter().enumerate() {
            text.integrate(op);
            text.integrate(op);
            agrees(&text, &ops[..=index]);
        }
    }

    #[test]
    fn every_order_of_a_small_history_makes_one_text(ops in history(6)) {
        let mut orders = vec![Vec::new()];
        for op in &ops {
            orders = orders
                .iter()
                .flat_map(|order: &Vec<Op>| (0..=order.len()).map(|at| {
                    let mut longer = order.clone();
                    longer.insert(at, op.clone());
                    longer
                }))
                .collect();
        }
        for order in orders {
            agrees(&integrated(&order), &ops);
        }
    }

    #[test]
    fn spans_hold_the_whole_text(ops in history(40).prop_shuffle(), cut in 0..40usize) {
        let (before, after) = ops.split_at(cut.min(ops.len()));
        let mut live = integrated(before);
        let mut rebuilt = Text::from_state(&live.state());
        for op in after {
            live.integrate(op);
            rebuilt.integrate(op);
        }
        prop_assert_eq!(live.text(), rebuilt.text());
        prop_assert_eq!(live.pending(), rebuilt.pending());
        let (lived, spans) = (live.spans(), rebuilt.spans());
        prop_assert_eq!(&lived, &spans);
        for pair in spans.windows(2) {
            prop_assert!(!pair[0].goes_on_in(&pair[1]), "{pair:?} are one span");
        }
    }
}

/// Figure 1 of the specification's `crdt.md`.
#[test]
fn figure_1() {
    let ops = [
        ins((0, ""), (1, "A"), 'a'),
        ins((1, "A"), (2, "A"), 'c'),
        ins((1, "A"), (3, "B"), 'x'),
        ins((1, "A"), (3, "A"), 'b'),
        ins((3, "B"), (4, "B"), 'y'),
    ];
    assert_eq!(integrated(&ops).text(), "axybc");
}

#[test]
fn the_vectors_of_the_specification() {
    for file in collab_spec::data::vectors().unwrap() {
        for vector in file.content.vectors {
            let text = integrated(&vector.ops);
            assert_eq!(text.text(), vector.text, "{} {}", file.path, vector.name);
            let pending: BTreeSet<_> = text.pending().iter().map(shown).collect();
            let expected: BTreeSet<_> = vector.pending.iter().map(shown).collect();
            assert_eq!(pending, expected, "{} {}", file.path, vector.name);
        }
    }
}

/// Far above what it takes, far below what a scan or a walk for each op would.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn depth_and_breadth_cost_nothing() {
    const N: u64 = 200_000;
    let chain = typed("A", &"x".repeat(N as usize));
    let falling: Vec<_> = (1..=N)
        .rev()
        .map(|at| ins((0, ""), (at, "A"), 'x'))
        .collect();
    let backwards: Vec<_> = chain.iter().rev().cloned().collect();
    for ops in [chain, falling, backwards] {
        let started = Instant::now();
        let text = integrated(&ops);
        assert_eq!(text.text().len() as u64, N);
        assert_eq!(Text::from_state(&text.state()).text().len() as u64, N);
        assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    }
}
