//! What the command takes.
//!
//! Deliberately absent: what it does (see `main`).

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use collab_conformance::{fuzz, properties};

const AFTER_HELP: &str = "\
Exit codes:
  0 every MUST held   1 the server failed
  2 wrong usage       3 no server there, or the suite itself failed

Examples:
  collab-conformance run --url ws://127.0.0.1:8000/ws
  collab-conformance run --exec './my-server --port {port}'";

const WHOLE_HELP: &str = "\
The other options of `run`: collab-conformance run --help

Exit codes:
  0 every MUST held   1 the server failed
  2 wrong usage       3 no server there, or the suite itself failed

Examples:
  collab-conformance
                  the suite against its own server
  collab-conformance run --url ws://127.0.0.1:8000/ws
  collab-conformance run --exec './my-server --port {port}' --report r.json
  collab-conformance explain sync.replay-exact";

const PROPERTIES_HELP: &str = "\
A seed makes the same histories for ever. The seed of a fault is printed;
with it and --cases 1 the faulty history alone is played.

Kinds: one-document, early, lossy, resuming, late-joins, mixed-profiles,
  many-documents

Exit codes:
  0 no history went wrong   1 the server failed
  2 wrong usage, or the histories were too few to show anything
  3 no server there, or the suite itself failed";

const FUZZ_HELP: &str = "\
A seed makes the same frame for ever. The seed of a fault is printed; with
it and --cases 1 that frame alone is sent. Seeds that follow each other go
through all changes of a kind.

Kinds: hello, hello-resume, op, op-resume, op-runs, presence

Exit codes:
  0 all was right    1 the server failed
  2 wrong usage      3 no server there, or the suite itself failed";

const LOAD_HELP: &str = "\
Each client types into its document, one character an op. Without --rate
and --in-flight, each has one op under way.

Exit codes:
  0 every echo came    1 the server failed
  2 wrong usage        3 no server there, or the load itself failed

Examples:
  collab-conformance load --url ws://127.0.0.1:8000/ws --clients 50
  collab-conformance load --exec 'my-server --port {port}' --rate 100
  collab-conformance load --exec 'collab-conformance relay --port {port}'
                          the floor: a relay that decodes nothing";

const PROBE_HELP: &str = "\
It takes ten seconds at most, on documents of its own. The verdict is that
of `run`.

Exit codes:
  0 the page was made  1 the first contact failed
  2 wrong usage        3 no server there, or the suite itself failed

Examples:
  collab-conformance probe --url wss://example.org/ws
  collab-conformance probe --exec './my-server --port {port}'";
const VERIFY_HELP: &str = "\
docs/verifying-traffic.md has the format, and what is judged of it. A HAR of
a browser with WebSocket messages is read as well.

Exit codes:
  0 no rule is broken    1 the server broke one
  2 wrong usage, a line that can't be read, or nothing to judge
  3 the suite itself failed

Examples:
  collab-conformance verify capture.jsonl
  collab-conformance verify --whole traces/sync/*.jsonl
  zcat proxy.jsonl.gz | collab-conformance verify -
  collab-conformance verify page.har";

const REPORT_HELP: &str = "\
The exit code says whether it was written; the verdict is that of `run`.

Examples:
  collab-conformance run --url ws://127.0.0.1:8000/ws --report report.json
  collab-conformance report junit report.json --out junit.xml
  collab-conformance report markdown report.json >> \"$GITHUB_STEP_SUMMARY\"
  collab-conformance report html mine=a.json theirs=b.json --out report.html
  collab-conformance report spec report.json --out spec.html";

/// Plays the conformance cases of the collaborative text protocol against a server.
#[derive(Parser)]
#[command(version, after_help = WHOLE_HELP, args_conflicts_with_subcommands = true)]
#[command(max_term_width = 80, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// The options of `run` that are shown in the help of the whole command, too.
const SHOWN: [&str; 5] = ["filter", "url", "exec", "report", "verbose"];

impl Cli {
    /// What the arguments of this process say.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let brief = |arg: clap::Arg| {
            let is_shown = SHOWN.contains(&arg.get_id().as_str());
            arg.hide(!is_shown)
        };
        let matches = Self::command().mut_args(brief).try_get_matches()?;
        Self::from_arg_matches(&matches)
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Play the cases (this is done without a command, too)
    Run(Box<Run>),
    /// Play random histories of many clients
    Properties(Box<Properties>),
    /// Send frames made from the schemas, with at most one thing wrong
    Fuzz(Box<Fuzz>),
    /// Put a load on the server, and measure how long ops take
    Load(Box<Load>),
    /// Say on one page what a server is: profiles, limits, closes, times
    #[command(after_help = PROBE_HELP)]
    Probe(Reach),
    /// Grade captured traffic by the rules that always hold
    Verify(Verify),
    /// Serve as the null relay of `load`: fan ops out, and decode none
    #[command(hide = true)]
    Relay {
        /// The port; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Name the cases, or the requirements with their cases
    List {
        /// The requirements instead
        #[arg(long)]
        requirements: bool,
    },
    /// Say what stands behind a requirement's or a case's id
    Explain {
        /// Such as `sync.replay-exact` or `sync/replay-middle`
        #[arg(value_name = "REQUIREMENT-OR-CASE")]
        id: String,
    },
    /// Write JSON reports as HTML, JUnit XML, TAP, Markdown or a badge
    #[command(after_help = REPORT_HELP)]
    Report {
        /// The form
        form: Form,
        /// The report, as `run --report FILE.json` wrote it; html and spec
        /// take several, each with a name for its column
        #[arg(required = true, value_name = "[NAME=]FILE.json")]
        reports: Vec<String>,
        /// The file to write [default: stdout]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write the completions of a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a man page, or one for each command into a folder
    #[command(hide = true)]
    Man {
        /// The folder [default: the page of the whole command, to stdout]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Write the JSON Schemas, and the AsyncAPI and OpenAPI documents
    Schemas {
        /// The folder to write them into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Serve as the built-in server does, until SIGTERM or SIGINT
    #[command(hide = true)]
    Serve {
        /// The port; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Work with scenario files
    #[command(subcommand)]
    Scenarios(Scenarios),
}

/// A form of a report.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    /// JUnit XML, which CI systems read
    Junit,
    /// The Test Anything Protocol, version 13
    Tap,
    /// A comment on a pull request
    Markdown,
    /// A small SVG
    Badge,
    /// One page: every requirement, and each failure with its drawings
    Html,
    /// The specification, with the verdicts in its text
    Spec,
}

#[derive(Subcommand)]
pub(crate) enum Scenarios {
    /// Check scenario files against their schema and the specification
    Validate {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct Verify {
    /// JSON Lines as `run --trace` writes, or a HAR; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Each file has every connection of its documents, by one clock
    #[arg(long)]
    pub(crate) whole: bool,
    /// Write what was found as a JSON report
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Run {
    /// Play only cases with one of these in their id
    pub(crate) filter: Vec<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// Play only this profile's cases (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// Fail where it is not offered (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) require_profile: Vec<String>,
    /// Play only this scenario file (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Vec<PathBuf>,
    /// Seed the random cases, properties/ and fuzz/
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Keep every frame of every case there (JSON Lines)
    #[arg(long, value_name = "DIR")]
    pub(crate) trace: Option<PathBuf>,
    /// Cases known to fail; a stale line fails the run
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// Write that file anew, by what came of this run
    #[arg(long, requires = "expect")]
    pub(crate) update_expect: bool,
    /// Take the filters for whole ids
    #[arg(long)]
    pub(crate) exact: bool,
    /// Leave out cases with this in their id
    #[arg(long, value_name = "FILTER")]
    pub(crate) skip: Vec<String>,
    /// Name the cases that would be played, as libtest does; see the command `list`
    #[arg(long, hide = true)]
    pub(crate) list: bool,
    /// Let bytes come up to so many ms later
    #[arg(long, value_name = "MS[:SEED]")]
    pub(crate) jitter: Option<String>,
    /// Play each case so often
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) repeat: usize,
    /// Fail where a SHOULD is broken, too
    #[arg(long)]
    pub(crate) strict: bool,
    /// End with the first case that fails
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Cases played at once, beside those that only wait
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) test_threads: usize,
    /// progress (the default), pretty, terse or json
    #[arg(long, value_name = "FORMAT", default_value = "progress")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) format: Format,
    /// Show what went wrong, and one line
    #[arg(short, long, conflicts_with_all = ["format", "verbose"])]
    pub(crate) quiet: bool,
    /// Nothing is captured; taken for the sake of habit
    #[arg(long, hide = true)]
    pub(crate) nocapture: bool,
    /// Show every case, frame, requirement and figure
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What is shown of the cases while they are played.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What goes wrong, and on a terminal how far the run is
    Progress,
    /// As libtest: a line a case
    Pretty,
    /// As libtest: a character a case
    Terse,
    /// As libtest: an object a line
    Json,
}

/// How the server is reached.
#[derive(Args)]
pub(crate) struct Reach {
    /// The server's WebSocket URL [default: built in]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Start the server; {port} stands for a free port
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// Send a header with each request (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) header: Vec<String>,
    /// Trust these certificates too, for wss://
    #[arg(long, value_name = "FILE.pem")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Multiply every deadline
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) timeout_scale: f64,
}

#[derive(Args)]
#[command(after_help = PROPERTIES_HELP)]
pub(crate) struct Properties {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The seed of the first history [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many histories are played, or more until all they are for came about
    #[arg(long, value_name = "N", default_value_t = 350)]
    pub(crate) cases: u64,
    /// Begin no further history after so long
    #[arg(long, value_name = "SECS")]
    pub(crate) time_budget: Option<u64>,
    /// Play only this kind of history (repeatable)
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    kind: Vec<properties::Kind>,
    /// Cut, delay and throttle connections on their way
    #[arg(long)]
    pub(crate) chaos: bool,
    /// Histories played at once [default: 4; with --chaos, which has to wait
    /// a lot, 32]
    #[arg(long, value_name = "N")]
    pub(crate) test_threads: Option<usize>,
    /// Make a fault small for so long at most
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub(crate) shrink_secs: u64,
    /// Write a fault as a scenario file below this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Show what the histories have brought about
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Args)]
#[command(after_help = FUZZ_HELP)]
pub(crate) struct Fuzz {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The seed of the first frame [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many frames of each kind are sent
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) cases: u64,
    /// Begin no further frames after so long
    #[arg(long, value_name = "SECS")]
    pub(crate) time_budget: Option<u64>,
    /// Send only this kind of frame (repeatable)
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    kind: Vec<fuzz::Kind>,
    /// Show the frames and what is due, and send none
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Args)]
#[command(after_help = LOAD_HELP)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How many documents
    #[arg(long, value_name = "D", default_value_t = 1)]
    pub(crate) docs: usize,
    /// How many clients each document has
    #[arg(long, value_name = "C", default_value_t = 10)]
    pub(crate) clients: usize,
    /// Put so many characters into each document first, with the profile runs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) chars: u64,
    /// Send so many ops a second, of all clients together
    #[arg(long, value_name = "R", conflicts_with = "in_flight")]
    pub(crate) rate: Option<f64>,
    /// Let each client have so many ops under way
    #[arg(long, value_name = "K")]
    pub(crate) in_flight: Option<u64>,
    /// How long is measured
    #[arg(long, value_name = "SECS", default_value_t = 5.0)]
    pub(crate) secs: f64,
    /// How long is played before that
    #[arg(long, value_name = "SECS", default_value_t = 1.0)]
    pub(crate) warm_up: f64,
    /// Write the figures as JSON, too
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,
}

impl Properties {
    /// The kinds that are asked for.
    pub(crate) fn kinds(&self) -> Vec<properties::Kind> {
        chosen(&self.kind)
    }
}

impl Fuzz {
    /// The kinds that are asked for.
    pub(crate) fn kinds(&self) -> Vec<fuzz::Kind> {
        chosen(&self.kind)
    }
}

/// What is given, or all where nothing is.
fn chosen<K: ValueEnum>(given: &[K]) -> Vec<K> {
    match given {
        [] => K::value_variants().to_vec(),
        given => given.to_vec(),
    }
}
