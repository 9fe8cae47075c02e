//! Every engine on the same edits, round by round in turn.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use collab_reference::text::Text;
use collab_spec::message::Op;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::measure::{median, memory, now, time};
use crate::peers::Peer;
use crate::peers::ours::{Ours, runs};
#[cfg(feature = "peers")]
use crate::peers::{automerge, cola, diamond, loro, yrs};
use crate::session::Session;
use crate::trace::{Edit, Trace, ops};

/// An engine that takes longer than this for one measurement is stopped.
const LIMIT: Duration = Duration::from_secs(6);

/// What is measured, in the order of the columns.
const WHAT: [&str; 9] = [
    "decoded",
    "wire",
    "shuffled",
    "reversed",
    "live",
    "live, wire",
    "apart",
    "text",
    "load",
];

/// Something that is measured: one round's time, or nothing where it was stopped.
type Round = Box<dyn FnMut() -> Option<Duration>>;

/// The measurements of one engine.
struct Bench {
    name: &'static str,
    rounds: BTreeMap<&'static str, Round>,
    /// The sizes: held, at most held on the way, saved.
    sizes: Option<[usize; 3]>,
}

/// Runs all on a trace, and prints the tables. `most` cuts the trace short.
///
/// Errors: no engine has `only` in its name.
pub fn run(trace: &Trace, rounds: usize, most: usize, only: Option<&str>) -> Result<(), String> {
    let mut edits = trace.singles();
    let is_whole = edits.len() <= most;
    edits.truncate(most);
    let text = text_of(&edits);
    if is_whole {
        assert_eq!(text, trace.text);
    }
    let keys = (edits.len() / 8).min(4_000);
    let sessions = [Session::live(2, keys), Session::apart(2, keys)];
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let mut benches = Vec::new();
    macro_rules! add {
        ($($peer:ty),*) => {$(
            if wanted(<$peer>::NAME) {
                eprintln!("recording {}", <$peer>::NAME);
                benches.push(bench::<$peer>(&edits, &text, &sessions));
            }
        )*};
    }
    add!(Ours);
    #[cfg(feature = "peers")]
    {
        add!(cola::Cola, yrs::Yrs, loro::Loro);
        // To write each edit's bytes takes these minutes for the whole trace.
        if edits.len() <= 30_000 {
            add!(diamond::Diamond, automerge::Automerge);
        }
        if wanted(diamond::ByPosition::NAME) {
            benches.push(bench::<diamond::ByPosition>(&edits, &text, &[]));
        }
    }
    benches.extend(
        extras(&edits, &text)
            .into_iter()
            .filter(|it| wanted(it.name)),
    );
    if let (true, Some(only)) = (benches.is_empty(), only) {
        return Err(format!(
            "no engine has {only:?} in its name; without --only all are measured"
        ));
    }

    let mut times: BTreeMap<(&str, &str), Vec<Option<Duration>>> = BTreeMap::new();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for bench in &mut benches {
            for (&what, measure) in &mut bench.rounds {
                let times = times.entry((bench.name, what)).or_default();
                // What was stopped once is not tried again.
                if !times.contains(&None) {
                    eprintln!("{}: {what}", bench.name);
                    times.push(measure());
                }
            }
        }
    }
    let medians: BTreeMap<_, _> = times
        .into_iter()
        .map(|(key, times)| {
            (
                key,
                median(times.into_iter().collect::<Option<_>>().unwrap_or_default()),
            )
        })
        .collect();
    println!(
        "{} edits of one character; medians of {rounds} rounds, ms\n",
        edits.len()
    );
    print(&benches, |bench, what| {
        medians.get(&(bench, what)).map(|time| match time {
            Some(time) => format!("{:.2}", time.as_secs_f64() * 1e3),
            None => format!("> {}", LIMIT.as_millis()),
        })
    });
    println!("\nthe same, as so many times this engine's\n");
    print(&benches, |bench, what| {
        let ours = (*medians.get(&(Ours::NAME, what))?)?;
        let time = (*medians.get(&(bench, what))?)?;
        Some(format!("{:.1}", time.as_secs_f64() / ours.as_secs_f64()))
    });
    println!(
        "\n| bytes | held | held at most | saved | held a visible character |\n|---|--:|--:|--:|--:|"
    );
    for bench in &benches {
        if let Some([held, most, saved]) = bench.sizes {
            let each = held as f64 / text.chars().count() as f64;
            println!("| {} | {held} | {most} | {saved} | {each:.1} |", bench.name);
        }
    }
    Ok(())
}

fn print(benches: &[Bench], cell: impl Fn(&'static str, &'static str) -> Option<String>) {
    println!("| | {} |", WHAT.join(" | "));
    println!("|---|{}", "--:|".repeat(WHAT.len()));
    for bench in benches {
        let cells = WHAT.map(|what| cell(bench.name, what).unwrap_or_default());
        println!("| {} | {} |", bench.name, cells.join(" | "));
    }
}

/// The text that edits make.
fn text_of(edits: &[Edit]) -> String {
    let mut rope = crop::Rope::new();
    for edit in edits {
        rope.replace(edit.at..edit.at + edit.deleted, &edit.inserted);
    }
    rope.to_string()
}

fn bench<P: Peer + 'static>(edits: &[Edit], text: &str, sessions: &[Session]) -> Bench {
    let mut writer = P::writer(1);
    let bytes: Vec<Vec<u8>> = edits
        .iter()
        .map(|edit| P::edit(&mut writer, edit))
        .collect();
    drop(writer);
    let (held, most, mut reader) = memory(|| read::<P>(&bytes));
    assert_eq!(P::text(&reader), text, "{}", P::NAME);
    let saved = P::save(&mut reader);
    let sizes = Some([held, most, saved.len()]);
    let again = P::load(&saved);
    assert_eq!(P::text(&again), text, "{}: saved and loaded", P::NAME);

    let mut rounds: BTreeMap<&'static str, Round> = BTreeMap::new();
    let (characters, length) = (text.chars().count(), text.chars().count());
    if P::ANY_ORDER {
        let mut shuffled = bytes.clone();
        shuffled.shuffle(&mut StdRng::seed_from_u64(1));
        rounds.insert("shuffled", decoded::<P>(shuffled, length));
        let reversed = bytes.iter().rev().cloned().collect();
        rounds.insert("reversed", decoded::<P>(reversed, length));
    }
    rounds.insert("decoded", decoded::<P>(bytes.clone(), length));
    rounds.insert(
        "wire",
        Box::new(move || {
            let from = now();
            let reader = P::reader();
            let mut reader = reader;
            for bytes in &bytes {
                P::integrate(&mut reader, P::decode(bytes));
            }
            let took = now() - from;
            assert_eq!(P::text(&reader).chars().count(), characters);
            Some(took)
        }),
    );
    for session in sessions {
        let (bytes, length) = session.record::<P>();
        let wire = bytes.clone();
        rounds.insert(session.name, decoded::<P>(bytes, length));
        if session.name == "live" {
            rounds.insert(
                "live, wire",
                Box::new(move || Some(time(|| read::<P>(&wire)).0)),
            );
        }
    }
    rounds.insert(
        "text",
        Box::new(move || Some(time(|| black_box(P::text(&reader))).0)),
    );
    rounds.insert(
        "load",
        Box::new(move || Some(time(|| black_box(P::load(&saved))).0)),
    );
    Bench {
        name: P::NAME,
        rounds,
        sizes,
    }
}

fn read<P: Peer>(bytes: &[Vec<u8>]) -> P::Reader {
    let mut reader = P::reader();
    for bytes in bytes {
        P::integrate(&mut reader, P::decode(bytes));
    }
    reader
}

/// Integrates updates that were decoded before.
fn decoded<P: Peer + 'static>(bytes: Vec<Vec<u8>>, length: usize) -> Round {
    Box::new(move || {
        let updates: Vec<P::Update> = bytes.iter().map(|bytes| P::decode(bytes)).collect();
        let from = now();
        let mut reader = P::reader();
        for (at, update) in updates.into_iter().enumerate() {
            P::integrate(&mut reader, update);
            if at % 256 == 0 && now() - from > LIMIT {
                return None;
            }
        }
        let took = now() - from;
        assert_eq!(P::text(&reader).chars().count(), length, "{}", P::NAME);
        Some(took)
    })
}

/// Runs of this engine, and ropes without any engine: the floor.
fn extras(edits: &[Edit], text: &str) -> Vec<Bench> {
    let singles = ops(edits, "author-1");
    let mut benches = Vec::new();
    let joined = [
        ("this engine, names shared, ops kept", 1),
        ("this engine, runs of 8 at most", 8),
        ("this engine, runs", usize::MAX),
    ];
    for (name, most) in joined {
        let runs = runs(&singles, most);
        eprintln!("{name}: {} ops", runs.len());
        let json: Vec<String> = runs
            .iter()
            .map(|op| serde_json::to_string(op).expect("JSON"))
            .collect();
        let mut shuffled = runs.clone();
        shuffled.shuffle(&mut StdRng::seed_from_u64(1));
        let reversed = runs.iter().rev().cloned().collect();
        let length = text.len();
        let wire: Round = Box::new(move || {
            Some(
                time(|| {
                    let mut text = Text::new();
                    for op in &json {
                        text.integrate(&Op::from_json(op).expect("an op"));
                    }
                    text
                })
                .0,
            )
        });
        let integrate = |ops: Vec<Op>| -> Round {
            Box::new(move || {
                let (took, text) = time(|| {
                    let mut text = Text::new();
                    ops.iter().for_each(|op| text.integrate(op));
                    text
                });
                assert_eq!(text.text().len(), length);
                Some(took)
            })
        };
        let rounds = [
            ("decoded", integrate(runs)),
            ("shuffled", integrate(shuffled)),
            ("reversed", integrate(reversed)),
            ("wire", wire),
        ];
        benches.push(Bench {
            name,
            rounds: rounds.into(),
            sizes: None,
        });
    }
    let mut floor = |name, edit: fn(&[Edit]) -> String| {
        let (edits, text) = (edits.to_vec(), text.to_owned());
        let round: Round = Box::new(move || {
            let (took, made) = time(|| edit(&edits));
            assert_eq!(made, text);
            Some(took)
        });
        benches.push(Bench {
            name,
            rounds: [("decoded", round)].into(),
            sizes: None,
        });
    };
    floor("a rope alone: crop", text_of);
    floor("a rope alone: jumprope", |edits| {
        let mut rope = jumprope::JumpRope::new();
        for edit in edits {
            match edit.deleted {
                0 => rope.insert(edit.at, &edit.inserted),
                deleted => rope.remove(edit.at..edit.at + deleted),
            }
        }
        rope.to_string()
    });
    benches
}
