//! Measures the reference's text engine beside its peers.

mod allocations;
mod latency;
mod measure;
mod peers;
mod plot;
mod session;
mod shapes;
mod side_by_side;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use trace::Trace;

/// Measures the reference's text engine beside its peers.
#[derive(Debug, Parser)]
#[command(name = "collab-bench", version)]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every engine on the same edits
    Peers {
        #[command(flatten)]
        edits: Edits,
        /// The medians are of so many rounds
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// The engines whose name has this in it alone
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
    },
    /// This engine against size and hard shapes
    Shapes {
        /// The medians are of so many rounds
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// The sizes are 10,000 ops and each ten times as many, up to this
        #[arg(long, value_name = "OPS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
        most: u64,
        /// Draws the table as SVG
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// How often the server allocates for an op; without --edits of the first 10,000
    Allocations {
        #[command(flatten)]
        edits: Edits,
    },
    /// Draws the curves of `bench-peers/table.py --json` as SVG
    Latency {
        /// What `table.py --json` wrote
        file: PathBuf,
        /// Where the drawings go
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Edits {
    /// One author's edits in the form of the published editing-traces, packed with gzip or not; without it
    /// the trace automerge-paper
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// So many of the first edits alone
    #[arg(long)]
    edits: Option<usize>,
}

fn main() -> ExitCode {
    match run(Bench::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(what: What) -> Result<(), String> {
    match what {
        What::Peers {
            edits,
            rounds,
            only,
        } => {
            let most = edits.edits.unwrap_or(usize::MAX);
            side_by_side::run(&edits.trace()?, rounds as usize, most, only.as_deref())?;
        }
        What::Shapes { rounds, most, svg } => shapes::run(rounds as usize, most, svg.as_deref()),
        What::Allocations { edits } => {
            allocations::run(&edits.trace()?, edits.edits.unwrap_or(10_000));
        }
        What::Latency { file, folder } => latency::run(&file, &folder)
            .map_err(|error| format!("{} can't be drawn: {error}", file.display()))?,
    }
    Ok(())
}

impl Edits {
    fn trace(&self) -> Result<Trace, String> {
        let Some(path) = &self.trace else {
            return Ok(Trace::automerge_paper());
        };
        Trace::read(path)
            .map_err(|error| format!("{} can't be read as a trace: {error}", path.display()))
    }
}
