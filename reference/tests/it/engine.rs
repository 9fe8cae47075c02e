//! The text against the definition, in long random histories of every shape and every order of
//! arrival, and what always holds of its tree.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use collab_reference::text::Text;
use collab_spec::id::{ElementId, Integer, ParentId};
use collab_spec::message::{Op, Span, State};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::{del_run, id, run};

/// What a history is rich in.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A few authors who type and delete, now here, now there.
    Typing,
    /// Many siblings of few parents.
    Broad,
    /// Every insert anywhere, lamports with gaps.
    Scattered,
    /// More deletes than inserts, of what is there and of what is not.
    Deleting,
}

const SHAPES: [Shape; 4] = [
    Shape::Typing,
    Shape::Broad,
    Shape::Scattered,
    Shape::Deleting,
];

/// Names in an order that is not that of their first use, some of them ordered otherwise in UTF-16.
const NAMES: [&str; 6] = ["b", "A", "😀", "ab", "\u{ff5e}", "a"];

const VALUES: [char; 8] = ['a', 'b', 'c', ' ', '\n', 'é', '漢', '😀'];

struct History {
    rng: StdRng,
    shape: Shape,
    ops: Vec<Op>,
    ids: Vec<(u64, &'static str)>,
    taken: HashSet<(u64, &'static str)>,
    /// The greatest lamport of all, and what each author last typed.
    newest: u64,
    last: BTreeMap<&'static str, (u64, &'static str)>,
}

impl History {
    fn of(seed: u64, shape: Shape, length: usize) -> Self {
        let mut history = Self {
            rng: StdRng::seed_from_u64(seed),
            shape,
            ops: Vec::new(),
            ids: Vec::new(),
            taken: HashSet::new(),
            newest: 0,
            last: BTreeMap::new(),
        };
        while history.ops.len() < length {
            let deletes = match shape {
                Shape::Deleting => 0.6,
                Shape::Broad => 0.1,
                _ => 0.25,
            };
            match history.rng.random_bool(deletes) {
                true => history.delete(),
                false => history.insert(),
            }
        }
        history
    }

    fn insert(&mut self) {
        let author = *NAMES.choose(&mut self.rng).unwrap();
        let goes_on = match self.shape {
            Shape::Typing => 0.9,
            Shape::Broad => 0.02,
            _ => 0.3,
        };
        let anywhere = match self.shape {
            Shape::Broad => self.ids.get(self.rng.random_range(0..4)).copied(),
            _ => self.ids.choose(&mut self.rng).copied(),
        };
        let last = self.last.get(author).copied();
        let (parent, parent_author) = last
            .filter(|_| self.rng.random_bool(goes_on))
            .or(anywhere)
            .unwrap_or((0, ""));
        let mut lamport = match self.shape {
            Shape::Typing if self.rng.random_bool(0.9) => self.newest + 1,
            Shape::Broad => parent + self.rng.random_range(1..1_000_000),
            _ => parent + self.rng.random_range(1..6),
        };
        let elements = match self.rng.random_range(0..100) {
            0 => self.rng.random_range(1..2000),
            1..20 => self.rng.random_range(1..12),
            _ => 1,
        };
        let of_run = |lamport: u64| (lamport..lamport + elements).map(|it| (it, author));
        while of_run(lamport).any(|id| self.taken.contains(&id)) {
            lamport += 1;
        }
        let values: String = (0..elements)
            .map(|_| *VALUES.choose(&mut self.rng).unwrap())
            .collect();
        self.ops
            .push(run((parent, parent_author), (lamport, author), &values));
        self.ids.extend(of_run(lamport).take(20));
        self.taken.extend(of_run(lamport));
        let end = lamport + elements - 1;
        self.newest = self.newest.max(end);
        self.last.insert(author, (end, author));
    }

    fn delete(&mut self) {
        let author = *NAMES.choose(&mut self.rng).unwrap();
        let at_last = self.last.get(author).copied();
        let target = at_last
            .filter(|_| self.rng.random_bool(0.5))
            .or_else(|| self.ids.choose(&mut self.rng).copied())
            .unwrap_or((7, "a"));
        let count = match self.rng.random_range(0..10) {
            0 => self.rng.random_range(1..60),
            _ => 1,
        };
        if target.0 > 1 && at_last == Some(target) {
            self.last.insert(author, (target.0 - 1, target.1));
            if !self.taken.contains(&(target.0 - 1, target.1)) {
                self.last.remove(author);
            }
        }
        self.ops.push(del_run(target.0, target.1, count));
    }

    /// The ops in another order, some of them twice.
    fn arrived(&mut self, order: usize) -> Vec<Op> {
        let mut ops = self.ops.clone();
        match order {
            0 => {}
            1 => ops.reverse(),
            2 => ops.shuffle(&mut self.rng),
            _ => ops.chunks_mut(50).for_each(|some| some.reverse()),
        }
        for _ in 0..ops.len() / 20 {
            let again = ops.choose(&mut self.rng).unwrap().clone();
            ops.insert(self.rng.random_range(0..=ops.len()), again);
        }
        ops
    }
}

/// Every element in document order, `None` where it is deleted, and the ops that wait: by the letter
/// of the definition.
fn definition(ops: &[Op]) -> (Vec<(ElementId, Option<char>)>, BTreeSet<String>) {
    let singles: Vec<Op> = ops.iter().flat_map(Op::singles).collect();
    let mut children: BTreeMap<ParentId, BTreeMap<ElementId, char>> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    for op in &singles {
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
    let of = |parent: &ParentId| children.get(parent).into_iter().flatten();
    let mut elements = Vec::new();
    let mut next: Vec<_> = of(&ParentId::Root).collect();
    while let Some((id, &value)) = next.pop() {
        let value = (!deleted.contains(id)).then_some(value);
        elements.push((id.clone(), value));
        next.extend(of(&ParentId::Element(id.clone())));
    }
    let there: HashSet<_> = elements.iter().map(|(id, _)| id).collect();
    let waits = |op: &&Op| op.dependency().is_some_and(|id| !there.contains(id));
    let waiting = singles.iter().filter(waits).map(shown).collect();
    (elements, waiting)
}

fn shown(op: &Op) -> String {
    format!("{op:?}")
}

fn elements(spans: &[Span]) -> Vec<(ElementId, Option<char>)> {
    let of = |span: &Span| -> Vec<_> {
        let mut values = span.text().map(str::chars);
        let ids = span.ids();
        ids.map(|id| (id, values.as_mut().and_then(Iterator::next)))
            .collect()
    };
    spans.iter().flat_map(of).collect()
}

/// A text is what the definition makes of ops.
fn assert_agrees(text: &Text, ops: &[Op], context: &str) {
    let (expected, waiting) = definition(ops);
    assert_eq!(elements(&text.spans()), expected, "{context}");
    let visible: String = expected.iter().filter_map(|(_, value)| *value).collect();
    assert_eq!(text.text(), visible, "{context}");
    let pending = text.pending();
    assert_eq!(pending.len(), waiting.len(), "{context}: twice");
    assert_eq!(
        pending.iter().map(shown).collect::<BTreeSet<_>>(),
        waiting,
        "{context}"
    );
}

/// Plays a history in some order; gives the number of ops.
fn play(seed: u64, shape: Shape, length: usize, checks: usize) -> usize {
    let order = (seed % 4) as usize;
    let mut history = History::of(seed, shape, length);
    let ops = history.arrived(order);
    let context = format!("seed {seed}, {shape:?}, order {order}");
    let mut text = Text::new();
    for (at, op) in ops.iter().enumerate() {
        text.integrate(op);
        if at == ops.len() / 2 {
            assert_agrees(&text, &ops[..=at], &context);
        }
        if at % (ops.len() / checks + 1) == 0 {
            text.check_invariants();
        }
        // From here on with a text that was rebuilt.
        if at == ops.len() / 3 && seed.is_multiple_of(3) {
            let rebuilt = Text::from_state(&text.state());
            rebuilt.check_invariants();
            assert_eq!(rebuilt.spans(), text.spans());
            text = rebuilt;
        }
    }
    text.check_invariants();
    assert_agrees(&text, &ops, &context);
    ops.len()
}

#[test]
fn random_histories_agree_with_the_definition() {
    for seed in 0..400 {
        for shape in SHAPES {
            play(seed, shape, 1 + (seed as usize) / 2, 200);
        }
    }
    for seed in 1000..1004 {
        for shape in SHAPES {
            play(seed, shape, 6_000, 20);
        }
    }
}

/// Millions of ops: `cargo test --release -p collab-reference -- --ignored engine`.
#[test]
#[ignore = "takes minutes"]
fn millions_of_ops_agree_with_the_definition() {
    let mut ops = 0;
    for seed in 10_000.. {
        for shape in SHAPES {
            ops += play(seed, shape, 200, 200);
            ops += play(seed, shape, 20_000, 10);
        }
        eprintln!("{ops} ops after seed {seed}");
        if ops > 4_000_000 {
            return;
        }
    }
}

#[test]
fn an_empty_text() {
    let text = Text::new();
    text.check_invariants();
    assert_eq!(
        (text.text(), text.spans(), text.pending()),
        (String::new(), vec![], vec![])
    );
    let rebuilt = Text::from_state(&State {
        elements: Vec::new(),
        pending: vec![run((3, "B"), (4, "A"), "xy")],
    });
    rebuilt.check_invariants();
    assert_eq!(
        rebuilt.pending(),
        [run((3, "B"), (4, "A"), "x"), run((4, "A"), (5, "A"), "y")]
    );
}

/// A deleted run may be longer than memory has elements.
#[test]
fn a_tombstone_of_any_length() {
    let state = State {
        elements: vec![Span::Deleted {
            id: id(1, "A"),
            deleted: Integer::new(1 << 40).unwrap(),
        }],
        pending: Vec::new(),
    };
    let mut text = Text::from_state(&state);
    text.check_invariants();
    assert_eq!(text.state(), state);
    text.integrate(&run((1 << 39, "A"), (1 << 41, "B"), "middle"));
    text.check_invariants();
    assert_eq!((text.text().as_str(), text.spans().len()), ("middle", 3));
}
