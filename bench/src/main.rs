//! Measures the reference's text engine beside its peers.
//!
//! `collab-bench peers [--trace FILE] [--rounds N] [--edits N] [--only NAME]`: every engine on the same edits.
//! `collab-bench shapes [--rounds N] [--most N] [--svg FILE]`: this engine against size and hard shapes.
//! `collab-bench allocations [--trace FILE] [--edits N]`: how often the server allocates for an op.
//! `collab-bench latency FILE.json FOLDER`: the curves of `bench-peers/table.py --json`, as SVG.

mod allocations;
mod latency;
mod measure;
mod peers;
mod plot;
mod session;
mod shapes;
mod side_by_side;
mod trace;

use std::path::Path;

use trace::Trace;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|it| it == flag)?;
        arguments.get(at + 1).cloned()
    };
    let number = |flag: &str, usual: usize| {
        value(flag).map_or(usual, |it| it.parse().expect("a number after the flag"))
    };
    match arguments.first().map(String::as_str) {
        Some("peers") => side_by_side::run(
            &trace(value("--trace")),
            number("--rounds", 5),
            number("--edits", usize::MAX),
            value("--only").as_deref(),
        ),
        Some("shapes") => shapes::run(
            number("--rounds", 3),
            number("--most", 1_000_000) as u64,
            value("--svg").as_deref().map(Path::new),
        ),
        Some("allocations") => {
            allocations::run(&trace(value("--trace")), number("--edits", 10_000));
        }
        Some("latency") if arguments.len() == 3 => {
            let [file, folder] = [1, 2].map(|at| Path::new(&arguments[at]));
            if let Err(error) = latency::run(file, folder) {
                eprintln!("{} can't be drawn: {error}", file.display());
                std::process::exit(1);
            }
        }
        _ => {
            eprintln!("collab-bench peers [--trace FILE] [--rounds N] [--edits N] [--only NAME]");
            eprintln!("collab-bench shapes [--rounds N] [--most N] [--svg FILE]");
            eprintln!("collab-bench allocations [--trace FILE] [--edits N]");
            eprintln!("collab-bench latency FILE.json FOLDER");
            std::process::exit(2);
        }
    }
}

fn trace(path: Option<String>) -> Trace {
    let Some(path) = path else {
        return Trace::automerge_paper();
    };
    Trace::read(Path::new(&path)).unwrap_or_else(|error| {
        eprintln!("{path} can't be read as a trace: {error}");
        std::process::exit(2);
    })
}
