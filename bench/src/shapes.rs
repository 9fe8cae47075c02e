//! This engine alone: cost against size, and shapes that are meant to hurt.

use std::path::Path;
use std::time::Duration;

use collab_reference::text::Text;
use collab_spec::message::Op;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::measure::{median, memory, time};
use crate::plot::{Frame, Line, draw};
use crate::trace::{id, insert, name};

type Shape = (&'static str, fn(u64) -> Vec<Op>);

const SHAPES: [Shape; 9] = [
    ("typed by one", typed),
    ("typed by two in turns", |n| in_turns(n, 2)),
    ("typed by 1,000 in turns", |n| in_turns(n, 1000)),
    ("typed, arriving in reverse", |n| reversed(typed(n))),
    ("typed, arriving shuffled", |n| shuffled(typed(n))),
    ("siblings, rising lamports", siblings),
    ("siblings, falling lamports", |n| reversed(siblings(n))),
    ("siblings, arriving shuffled", |n| shuffled(siblings(n))),
    ("each under any element before", anywhere),
];

fn typed(n: u64) -> Vec<Op> {
    in_turns(n, 1)
}

fn in_turns(n: u64, authors: u64) -> Vec<Op> {
    let names: Vec<_> = (0..authors)
        .map(|at| name(&format!("author-{at}")))
        .collect();
    let of = |lamport: u64| id(lamport, &names[(lamport % authors) as usize]);
    let ops = (1..=n).map(|at| insert((at > 1).then(|| of(at - 1)), of(at), 'x'));
    ops.collect()
}

fn siblings(n: u64) -> Vec<Op> {
    let author = name("author");
    (1..=n)
        .map(|at| insert(None, id(at, &author), 'x'))
        .collect()
}

fn anywhere(n: u64) -> Vec<Op> {
    let mut rng = StdRng::seed_from_u64(3);
    let author = name("author");
    let mut parent = |at: u64| (at > 1).then(|| id(rng.random_range(1..at), &author));
    (1..=n)
        .map(|at| insert(parent(at), id(at, &author), 'x'))
        .collect()
}

fn reversed(mut ops: Vec<Op>) -> Vec<Op> {
    ops.reverse();
    ops
}

fn shuffled(mut ops: Vec<Op>) -> Vec<Op> {
    ops.shuffle(&mut StdRng::seed_from_u64(1));
    ops
}

fn integrated(ops: &[Op]) -> Text {
    let mut text = Text::new();
    ops.iter().for_each(|op| text.integrate(op));
    text
}

/// Nanoseconds an op against the number of ops, and bytes an element at the greatest; also drawn, where a
/// file is given.
pub fn run(rounds: usize, most: u64, drawing: Option<&Path>) {
    let mut lines = Vec::new();
    let sizes: Vec<u64> = (4..=7)
        .map(|power| 10u64.pow(power))
        .filter(|&it| it <= most)
        .collect();
    let heads: Vec<String> = sizes.iter().map(|size| format!("{size}")).collect();
    println!("ns an op; medians of {rounds} rounds\n");
    println!("| | {} | bytes an element |", heads.join(" | "));
    println!("|---|{}--:|", "--:|".repeat(sizes.len()));
    for (shape, make) in SHAPES {
        let mut cells = Vec::new();
        let mut points = Vec::new();
        let mut held = 0;
        for &size in &sizes {
            let ops = make(size);
            let times: Vec<Duration> = (0..rounds)
                .map(|_| {
                    let (took, text) = time(|| integrated(&ops));
                    assert_eq!(text.text().len() as u64, size);
                    took
                })
                .collect();
            let median = median(times).unwrap_or_default();
            let nanos = median.as_nanos() as f64 / size as f64;
            cells.push(format!("{nanos:.0}"));
            points.push((size as f64, nanos));
            held = memory(|| integrated(&ops)).0 as u64 / size;
        }
        println!("| {shape} | {} | {held} |", cells.join(" | "));
        let name = shape.to_owned();
        lines.push(Line { name, points });
    }
    if let Some(path) = drawing {
        let frame = Frame {
            title: "This engine: cost against size".to_owned(),
            across: "ops in the document",
            up: "ns an op",
            words: |ops| format!("{ops}"),
        };
        draw(path, &frame, &lines).expect("it can be drawn");
        println!("\n{}", path.display());
    }
}
