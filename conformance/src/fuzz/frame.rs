//! Frames from numbers: a plain message, one thing that is done to it, and now and then some that make
//! no difference.

use std::fmt::Write as _;
use std::sync::{LazyLock, OnceLock};

use collab_spec::message::{ClientMessage, OpSubmission};
use collab_spec::profile::Profile;
use collab_spec::schema;
use serde_json::{Value, json};

use super::change::{Change, Put, Walk};
use super::json::{Json, Path, Writing};
use super::kind::{Base, Kind, furnishing};
use super::make::make;
use super::shape::{self, Shape};
use super::verdict::{self, Ruling, Setting, Verdict};
use super::whole::{Sending, Whole};
use crate::ids;
use crate::numbers::Numbers;
use crate::validate::shortened;

/// Seeds that follow each other make changes that are far apart.
const STRIDE: u64 = 7_919;

/// Of so many frames one has two things wrong.
const TWO_WRONG: usize = 12;

/// Names of clients, the plain one first.
static CLIENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    vec![
        "A".to_owned(),
        "root".to_owned(),
        "\"\u{0}e\u{301}\\".to_owned(),
        "😀".repeat(256),
    ]
});

/// How a frame is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The kind.
    pub kind: Kind,
    /// What tells it apart from others.
    pub seed: u64,
    /// Which of the kind's plain messages it is made of.
    base: usize,
    /// Which of its changes it has, the one that it is about first.
    changes: Vec<usize>,
    /// Which of the names its client has.
    pub(super) client: usize,
}

/// A frame, and what a right server makes of it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How it was made.
    pub recipe: Recipe,
    /// What was changed.
    pub base: Base,
    /// What was done to it.
    pub changes: Vec<Change>,
    /// What is sent.
    pub sending: Sending,
    /// What a right server may make of it; where it is open, one of these, or a close with 1002.
    pub rulings: Vec<Ruling>,
    /// Whether the specification leaves open what a server makes of it.
    pub is_open: bool,
}

/// A kind's changes, and what each does by itself.
struct Table {
    setting: Setting,
    bases: Vec<Base>,
    shapes: Vec<Shape>,
    /// By plain message.
    changes: Vec<Vec<Change>>,
    /// By plain message: of each change whether the frame is then taken or answered, closed, or open.
    alone: Vec<Vec<Alone>>,
    /// How many changes there are in all.
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    Left,
    Closed(u16, &'static str),
    Open,
    /// Another kind's matter, or nothing at all.
    Not,
}

impl Table {
    fn of(kind: Kind) -> &'static Self {
        static TABLES: [OnceLock<Table>; Kind::ALL.len()] = [const { OnceLock::new() }; 6];
        TABLES[kind as usize].get_or_init(|| Self::new(kind))
    }

    fn new(kind: Kind) -> Self {
        let setting = example(kind);
        let bases = kind.bases(&setting, 0);
        let shapes: Vec<Shape> = bases.iter().map(|base| shape_of(base.schema)).collect();
        let mut alone = Vec::new();
        let mut all = Vec::new();
        for (base, shape) in bases.iter().zip(&shapes) {
            let changes = changes(kind, base, shape, &setting, 0, Vec::new());
            let plain = Json::from(&base.frame);
            let of_one = |change: &Change| {
                let (sending, rulings, is_open) = make(kind, &plain, &[change], &setting);
                // What changes nothing is no change.
                if sending == Sending::Text(plain.write(&Writing::default())) {
                    return Alone::Not;
                }
                match rulings.first().map(|ruling| &ruling.verdict) {
                    _ if is_open => Alone::Open,
                    Some(Verdict::Closed(code)) => Alone::Closed(*code, rulings[0].requirement),
                    _ => Alone::Left,
                }
            };
            alone.push(changes.iter().map(of_one).collect::<Vec<_>>());
            all.push(changes);
        }
        let real = |one: &&Alone| **one != Alone::Not;
        let count = alone.iter().flatten().filter(real).count() as u64;
        Self {
            setting,
            bases,
            shapes,
            changes: all,
            alone,
            count,
        }
    }

    /// The change with a number, counted through all plain messages.
    fn find(&self, number: u64) -> (usize, usize) {
        let mut left = number;
        for (base, alone) in self.alone.iter().enumerate() {
            for (change, alone) in alone.iter().enumerate() {
                if *alone != Alone::Not {
                    if left == 0 {
                        return (base, change);
                    }
                    left -= 1;
                }
            }
        }
        (0, 0)
    }
}

/// How many different changes there are of a kind.
pub fn count(kind: Kind) -> u64 {
    Table::of(kind).count
}

/// What each change of a kind makes by itself, for tests.
#[cfg(test)]
pub(super) fn singles(kind: Kind) -> impl Iterator<Item = Frame> {
    (0..count(kind)).map(move |number| {
        let (base, change) = Table::of(kind).find(number);
        let recipe = Recipe {
            kind,
            seed: 1,
            base,
            changes: vec![change],
            client: 0,
        };
        recipe.example()
    })
}

/// The schema of a message as a shape.
fn shape_of(name: &str) -> Shape {
    let schema = schema::find(name).expect("the specification has a schema for each message");
    shape::read(&schema).expect("a test sees to it that the schemas are understood")
}

/// A setting in which frames are thought of before there is one.
pub(super) fn example(kind: Kind) -> Setting {
    let mut setting = Setting {
        doc_id: "doc-00000000000000000000".to_owned(),
        client_id: CLIENTS[0].clone(),
        on: kind.on(),
        offered: Profile::ALL.to_vec(),
        epoch: Some("e-1".to_owned()),
        max_run: collab_spec::op::MOST_RUN,
        accepted: Vec::new(),
    };
    setting.accepted = furnishing(&setting);
    setting
}

/// The changes of a message, or those of the parts that are wanted.
fn changes(
    kind: Kind,
    base: &Base,
    shape: &Shape,
    setting: &Setting,
    seed: u64,
    wanted: Vec<Path>,
) -> Vec<Change> {
    let mut walk = Walk {
        mark: format!("m-{seed}"),
        max_run: setting.max_run,
        wanted,
        found: Vec::new(),
    };
    walk.whole(shape, &Json::from(&base.frame));
    for change in &mut walk.found {
        change.requirement = match (kind, change.requirement) {
            (Kind::OpResume, ids::PROFILES_OFF) => ids::RESUME_OP_EPOCH,
            (Kind::HelloResume, ids::PROFILES_OFF) => ids::RESUME_OTHER_EPOCH,
            (_, requirement) => requirement,
        };
    }
    let about = |change: &Change| {
        let first = change.path.first();
        let only = base.only.zip(first);
        kind.is_about(&change.path) && only.is_none_or(|(only, first)| only.contains(&first))
    };
    walk.found.into_iter().filter(about).collect()
}

/// The place of a change among those of its part.
fn ordinal(all: &[Change], place: usize) -> usize {
    let path = &all[place].path;
    all[..place]
        .iter()
        .filter(|change| change.path == *path)
        .count()
}

impl Recipe {
    /// The recipe of a seed. Seeds that follow each other go through all changes of the kind.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let table = Table::of(kind);
        let (base, main) = table.find(seed.wrapping_mul(STRIDE) % table.count);
        let mut numbers = Numbers::new(seed).of_part(kind as u64);
        let client = match numbers.below(2) {
            0 => 0,
            _ => numbers.below(CLIENTS.len()),
        };
        let mut recipe = Self {
            kind,
            seed,
            base,
            changes: vec![main],
            client,
        };
        let two_wrong = numbers.below(TWO_WRONG) == 0;
        let companions = numbers.below(3);
        for _ in 0..companions + usize::from(two_wrong) {
            recipe.add_companion(numbers.below(table.alone[base].len()), two_wrong);
        }
        recipe
    }

    /// Adds a change that leaves the verdict as it is, or, where a second thing may be wrong, the code.
    fn add_companion(&mut self, change: usize, two_wrong: bool) {
        let table = Table::of(self.kind);
        let alone = &table.alone[self.base];
        let is_harmless = alone[change] == Alone::Left;
        let is_wrong = matches!(alone[change], Alone::Closed(..)) && two_wrong;
        if alone[self.changes[0]] == Alone::Open || !(is_harmless || is_wrong) {
            return;
        }
        let all = &table.changes[self.base];
        let stands = |&one: &usize| can_stand_together(&all[one], &all[change]);
        if !self.changes.iter().all(stands) {
            return;
        }
        let plain = Json::from(&table.bases[self.base].frame);
        let mut chosen: Vec<&Change> = self.changes.iter().map(|&one| &all[one]).collect();
        let before = make(self.kind, &plain, &chosen, &table.setting);
        chosen.push(&all[change]);
        let after = make(self.kind, &plain, &chosen, &table.setting);
        let same = |a: &Ruling, b: &Ruling| match (&a.verdict, &b.verdict) {
            (Verdict::Closed(a_code), Verdict::Closed(b_code)) => {
                is_wrong || (a_code == b_code && a.requirement == b.requirement)
            }
            (Verdict::Closed(_), _) | (_, Verdict::Closed(_)) => false,
            _ => true,
        };
        let rulings = before.1.first().zip(after.1.first());
        if !after.2 && rulings.is_some_and(|(a, b)| same(a, b)) {
            self.changes.push(change);
        }
    }

    /// Simpler recipes, the simplest first: the plain message, one change of it, all with a plain name.
    pub fn simpler(&self) -> Vec<Self> {
        let with = |changes: Vec<usize>, client: usize| Self {
            changes,
            client,
            ..self.clone()
        };
        let mut found = vec![with(Vec::new(), 0)];
        let single = |change: &usize| vec![*change];
        found.extend(self.changes.iter().map(single).map(|one| with(one, 0)));
        if self.client != 0 {
            found.push(with(Vec::new(), self.client));
            found.extend(
                self.changes
                    .iter()
                    .map(single)
                    .map(|one| with(one, self.client)),
            );
        }
        if self.changes.len() > 2 {
            for left_out in (0..self.changes.len()).rev() {
                let mut pair = self.changes.clone();
                pair.remove(left_out);
                found.push(with(pair, 0));
            }
        }
        found.push(with(self.changes.clone(), 0));
        found.retain(|simpler| simpler != self);
        found
    }

    /// The frame as a row of the table of frames, where it says by itself all that it takes.
    pub fn row(&self) -> Option<Value> {
        let frame = self.example();
        let valid = match frame.rulings.as_slice() {
            [
                Ruling {
                    verdict: Verdict::Taken(_),
                    ..
                },
            ] => true,
            [
                Ruling {
                    verdict: Verdict::Closed(1002),
                    ..
                },
            ] => false,
            _ => return None,
        };
        let stands_alone = self.base == 0 && self.client == 0 && self.kind != Kind::HelloResume;
        let doc_id = &Table::of(self.kind).setting.doc_id;
        let Sending::Text(text) = &frame.sending else {
            return None;
        };
        let is_spelled_out = text.contains(doc_id) || !text.contains("\\u0064");
        if frame.is_open || !stands_alone || !is_spelled_out {
            return None;
        }
        Some(
            json!({"name": format!("fuzz-{}", self.seed), "valid": valid,
            "profile": self.kind.profile(), "requirements": [frame.requirement()],
            "text": text.replace(doc_id, "${doc}")}),
        )
    }

    /// The plain message and the change that it is about.
    #[cfg(test)]
    pub(super) fn main(&self) -> (usize, usize) {
        (self.base, self.changes[0])
    }

    /// The name of the client.
    pub fn client_id(&self) -> &'static str {
        &CLIENTS[self.client]
    }

    /// The frame in a setting that stands for any.
    pub fn example(&self) -> Frame {
        let mut setting = Table::of(self.kind).setting.clone();
        self.client_id().clone_into(&mut setting.client_id);
        setting.accepted = furnishing(&setting);
        self.frame(&setting)
    }

    /// The frame in a setting.
    pub fn frame(&self, setting: &Setting) -> Frame {
        let table = Table::of(self.kind);
        let base = self.kind.bases(setting, self.seed).swap_remove(self.base);
        let known = &table.changes[self.base];
        let wanted: Vec<Path> = self
            .changes
            .iter()
            .map(|&at| known[at].path.clone())
            .collect();
        let shape = &table.shapes[self.base];
        let changes: Vec<Change> = match wanted.is_empty() {
            true => Vec::new(),
            false => {
                let found = changes(self.kind, &base, shape, setting, self.seed, wanted);
                let same = |&at: &usize| {
                    let mut of_part = found.iter().filter(|change| change.path == known[at].path);
                    of_part.nth(ordinal(known, at)).cloned()
                };
                self.changes.iter().filter_map(same).collect()
            }
        };
        let chosen: Vec<&Change> = changes.iter().collect();
        let (sending, rulings, is_open) =
            make(self.kind, &Json::from(&base.frame), &chosen, setting);
        Frame {
            recipe: self.clone(),
            base,
            changes,
            sending,
            rulings,
            is_open,
        }
    }
}

/// Whether two changes do not get into each other's way.
fn can_stand_together(a: &Change, b: &Change) -> bool {
    match (&a.put, &b.put) {
        (Put::Whole(Whole::Instead(_)), _) | (_, Put::Whole(Whole::Instead(_))) => false,
        (Put::Writing(_), Put::Writing(_)) | (Put::Whole(_), Put::Whole(_)) => false,
        // Another writing or another text of the same message.
        (Put::Writing(_) | Put::Whole(_), _) | (_, Put::Writing(_) | Put::Whole(_)) => true,
        _ => !a.path.touches(&b.path),
    }
}

impl Frame {
    /// The code with which a right server closes, where it must.
    pub fn must_close(&self) -> Option<u16> {
        match self.rulings.as_slice() {
            [
                Ruling {
                    verdict: Verdict::Closed(code),
                    ..
                },
            ] if !self.is_open => Some(*code),
            _ => None,
        }
    }

    /// The ops for which a right server may take it.
    pub(super) fn taken_as(&self) -> impl Iterator<Item = &OpSubmission> {
        self.rulings
            .iter()
            .filter_map(|ruling| match &ruling.verdict {
                Verdict::Taken(message) => match &**message {
                    ClientMessage::Op(sent) => Some(sent),
                    _ => None,
                },
                _ => None,
            })
    }

    /// The requirement that is broken where a right server would have made something else of it.
    pub fn requirement(&self) -> &'static str {
        let alone = &Table::of(self.recipe.kind).alone[self.recipe.base];
        let changes = self.recipe.changes.iter();
        let wrong = changes.filter(|&&change| matches!(alone[change], Alone::Closed(..)));
        if wrong.count() > 1 {
            return ids::CLOSE_ORDER;
        }
        match (self.rulings.first(), self.changes.first()) {
            (Some(ruling), _) if !ruling.requirement.is_empty() => ruling.requirement,
            (_, Some(change)) => change.requirement,
            (_, None) => self.base.requirement,
        }
    }

    /// What it is and what is wrong with it, in words.
    pub fn words(&self) -> String {
        let mut words = self.base.name.to_owned();
        for (index, change) in self.changes.iter().enumerate() {
            let joint = if index == 0 { " in which" } else { " and" };
            let _ = write!(words, "{joint} {change}");
        }
        match self.rulings.first().filter(|ruling| !ruling.why.is_empty()) {
            Some(ruling) => format!("{words} ({})", shortened(&ruling.why, 160)),
            None => words,
        }
    }

    /// What a right server does, in words.
    pub fn due(&self) -> String {
        let one = |ruling: &Ruling| match &ruling.verdict {
            Verdict::Taken(_) if self.recipe.kind.is_first() => "the ack and the sync".to_owned(),
            Verdict::Taken(_) if self.recipe.kind == Kind::Presence => {
                "that it is passed on".to_owned()
            }
            Verdict::Taken(_) => "its echo".to_owned(),
            Verdict::Answered { .. } => "the echo of the accepted op".to_owned(),
            Verdict::Closed(code) => format!("close {code}"),
        };
        let mut all: Vec<String> = self.rulings.iter().map(one).collect();
        if self.is_open {
            all.push(one(&verdict::not_json(String::new())));
        }
        all.dedup();
        all.join(" or ")
    }

    /// The text, as far as it is one.
    pub fn text(&self) -> String {
        match &self.sending {
            Sending::Text(text) => text.clone(),
            Sending::Fragments(parts) => parts.concat(),
            Sending::Bytes { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}
