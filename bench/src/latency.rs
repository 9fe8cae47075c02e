//! The latencies of servers, as `bench-peers/table.py --json` writes them, drawn by percentile.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde::Deserialize;

use crate::plot::{Frame, Line, draw};

/// What was played, and by which servers: for each part of all ops, how many ms none of it took longer than.
#[derive(Deserialize)]
struct Played {
    title: String,
    servers: BTreeMap<String, Vec<(f64, Option<f64>)>>,
}

/// Draws each table of a file into a folder, and says where.
pub fn run(file: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let tables: Vec<Played> = serde_json::from_slice(&std::fs::read(file)?)?;
    for table in tables {
        let mut lines: Vec<Line> = table.servers.into_iter().map(line).collect();
        // What it is about has the first colour.
        lines.sort_by_key(|line| line.name != "reference");
        let path = folder.join(format!("latency-{}.svg", in_file_names(&table.title)));
        let frame = Frame {
            title: format!("From an op to its own echo: {}", table.title),
            across: "percentile",
            up: "ms",
            words: |nines| format!("{}", (1e4 - 1e4 / nines).round() / 100.0),
        };
        draw(&path, &frame, &lines)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// By how many nines a part has, so that what is slow and rare is seen.
fn line((name, parts): (String, Vec<(f64, Option<f64>)>)) -> Line {
    let points = parts
        .into_iter()
        .filter_map(|(part, millis)| Some((1.0 / (1.0 - part), millis?)))
        .collect();
    Line { name, points }
}

fn in_file_names(title: &str) -> String {
    let words = title.split(|it: char| !it.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}
