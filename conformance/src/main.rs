//! The command `collab-conformance`: arguments, exit codes, and the built-in reference server.
//!
//! Deliberately absent: everything else; that is the library's.

mod properties_command;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use collab_conformance::case::{self, Case};
use collab_conformance::mimic::{self, Arguments};
use collab_conformance::runner::{Options, Server, Session};
use collab_conformance::target::{Target, TargetError};
use collab_conformance::{catalog, files, report};
use collab_spec::profile::Profile;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const PASSED: u8 = 0;
const SERVER_FAILED: u8 = 1;
const USAGE: u8 = 2;
const HARNESS: u8 = 3;

const AFTER_HELP: &str = "\
Exit codes:
  0 every MUST held   1 the server failed
  2 wrong usage       3 no server there, or the suite itself failed

Examples:
  collab-conformance                      play against the built-in server
  collab-conformance run --url ws://127.0.0.1:8000/ws
  collab-conformance run --url wss://a.example/ws --header Origin=https://b.c
  collab-conformance run --report r.json sync/
  collab-conformance explain sync.replay-exact";

/// Plays the conformance cases of the collaborative text protocol against a server.
#[derive(Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
#[command(max_term_width = 80, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Play the cases (this is done without a command, too)
    Run(Box<Run>),
    /// Play random histories of many clients, and make small what goes wrong
    Properties(Box<properties_command::Properties>),
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
    /// Write the JSON Schemas of all messages and files
    Schemas {
        /// The folder to write them into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Work with scenario files
    #[command(subcommand)]
    Scenarios(Scenarios),
}

#[derive(Subcommand)]
enum Scenarios {
    /// Check scenario files against their schema and the specification
    Validate {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
struct Run {
    /// Play only cases with one of these in their id
    filter: Vec<String>,
    #[command(flatten)]
    reach: Reach,
    /// Play only this profile's cases (repeatable)
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Fail where the server does not offer this profile (repeatable)
    #[arg(long, value_name = "NAME")]
    require_profile: Vec<String>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Play this scenario file instead of the built-in cases (repeatable)
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// Seed the random histories of properties/
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Take the filters for whole ids
    #[arg(long)]
    exact: bool,
    /// Leave out cases with this in their id
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,
    /// Name the cases that would be played
    #[arg(long)]
    list: bool,
    /// Cases played at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    test_threads: usize,
    /// pretty, terse or json
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    format: String,
    /// Show one character a case; the same as --format terse
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Nothing is captured; taken for the sake of habit
    #[arg(long, hide = true)]
    nocapture: bool,
    /// Show what each requirement came to
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Args)]
struct Reach {
    /// The server's WebSocket URL [default: a built-in server]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Send a header with each request (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,
    /// Trust these certificates too, for wss://
    #[arg(long, value_name = "FILE.pem")]
    ca_file: Option<PathBuf>,
    /// Multiply every deadline
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    timeout_scale: f64,
}

/// Why the command ends without a verdict: the exit code and one sentence.
struct Stop(u8, String);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions are no errors, and a failed write of them is nobody's loss.
            let _ = error.print();
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return ExitCode::from(if asked { PASSED } else { USAGE });
        }
    };
    match execute(cli) {
        Ok(code) => ExitCode::from(code),
        Err(Stop(code, sentence)) => {
            eprintln!("error: {sentence}");
            ExitCode::from(code)
        }
    }
}

fn execute(cli: Cli) -> Result<u8, Stop> {
    let cases = case::all().map_err(|error| Stop(HARNESS, error.to_string()))?;
    match cli.command {
        None => run(&cli.run, &cases),
        Some(Command::Run(arguments)) => run(&arguments, &cases),
        Some(Command::Properties(arguments)) => properties_command::run(&arguments),
        Some(Command::List {
            requirements: false,
        }) => show(&catalog::cases(&cases)),
        Some(Command::List { requirements: true }) => show(&catalog::requirements(&cases)),
        Some(Command::Explain { id }) => {
            show(&catalog::explain(&id, &cases).map_err(|error| Stop(USAGE, error))?)
        }
        Some(Command::Schemas { out }) => {
            let written = files::write_schemas(&out).map_err(|error| Stop(HARNESS, error))?;
            show(&format!(
                "wrote {} schemas into {}\n",
                written.len(),
                out.display()
            ))
        }
        Some(Command::Scenarios(Scenarios::Validate { files })) => validate(&files),
    }
}

fn show(text: &str) -> Result<u8, Stop> {
    use std::io::Write as _;
    // A reader such as `head` may have gone away.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(PASSED)
}

fn validate(paths: &[PathBuf]) -> Result<u8, Stop> {
    let mut wrong = 0;
    for path in paths {
        let problems = files::scenario_problems(path);
        wrong += usize::from(!problems.is_empty());
        for problem in problems {
            println!("{}: {problem}", path.display());
        }
    }
    if wrong > 0 {
        return Err(Stop(
            USAGE,
            format!("{wrong} of {} files are wrong", paths.len()),
        ));
    }
    show(&match paths.len() {
        1 => "1 file is right\n".to_owned(),
        count => format!("{count} files are right\n"),
    })
}

fn run(arguments: &Run, cases: &[Case]) -> Result<u8, Stop> {
    let mut options = options(arguments)?;
    let from_files = scenarios(&arguments.scenario)?;
    let cases = match from_files.is_empty() {
        true => cases,
        false => from_files.as_slice(),
    };
    if arguments.reach.url.is_none() {
        options.server = Server::BuiltIn;
    }
    let libtest = libtest_arguments(arguments)?;
    // libtest takes one filter; `cargo test` users may give several.
    let named = |case: &&Case| {
        arguments.filter.is_empty()
            || arguments.filter.iter().any(|filter| match arguments.exact {
                true => case.id == *filter,
                false => case.id.contains(filter.as_str()),
            })
    };
    let cases: Vec<Case> = cases.iter().filter(named).cloned().collect();
    let cases = cases.as_slice();
    let selected = |case: &&Case| {
        mimic::selects(&libtest, case)
            && (options.profiles.is_empty() || options.profiles.contains(&case.profile))
    };
    if cases.iter().filter(selected).count() == 0 {
        let sentence = "no case fits the filters; `collab-conformance list` names the cases";
        return Err(Stop(USAGE, sentence.to_owned()));
    }
    check_report_path(arguments.report.as_deref())?;
    let runtime = Runtime::new().map_err(|error| Stop(HARNESS, error.to_string()))?;
    // A list needs no server.
    let built_in = || match arguments.list {
        true => Ok("ws://127.0.0.1/ws".to_owned()),
        false => built_in_server(&runtime),
    };
    let target = arguments.reach.target(built_in)?;
    let url = target.url().to_owned();
    let session = Arc::new(Session::new(target, options));
    if !arguments.list {
        runtime
            .block_on(session.open())
            .map_err(|why| Stop(HARNESS, unreachable_words(&url, &why)))?;
    }
    mimic::run(&session, cases, &libtest, runtime.handle());
    if arguments.list {
        return Ok(PASSED);
    }
    finish(arguments, &session, cases)
}

/// The cases of scenario files.
fn scenarios(paths: &[PathBuf]) -> Result<Vec<Case>, Stop> {
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let scenario = files::scenario(path)
            .map_err(|problems| Stop(USAGE, format!("{name}: {}", problems.join("; "))))?;
        if cases.iter().any(|case| case.id == scenario.id) {
            let sentence = format!("{name}: another file has the id {}, too", scenario.id);
            return Err(Stop(USAGE, sentence));
        }
        cases.push(Case::scenario(scenario).file(&name));
    }
    Ok(cases)
}

fn finish(arguments: &Run, session: &Session, cases: &[Case]) -> Result<u8, Stop> {
    let results = session.report(cases);
    let mut text = report::summary_text(&results);
    if arguments.verbose {
        text.insert_str(0, &report::requirements_text(&results));
    }
    // The output of `--format json` is for programs.
    if arguments.format == "json" {
        eprint!("{text}")
    } else {
        print!("{text}")
    }
    if let Some(path) = &arguments.report {
        files::write_report(path, &results).map_err(|error| Stop(HARNESS, error))?;
    }
    let lacking = session.lacking();
    for profile in &lacking {
        eprintln!(
            "error: the server does not offer the profile `{profile}`, as --require-profile demands; \
             it offers: {}",
            names(session.offered())
        );
    }
    let summary = &results.summary;
    if summary.fail > 0 || !lacking.is_empty() {
        return Ok(SERVER_FAILED);
    }
    if summary.error > 0 {
        return Ok(HARNESS);
    }
    if summary.pass + summary.warn == 0 {
        let sentence = "no case could be played with this server and these filters";
        return Err(Stop(USAGE, sentence.to_owned()));
    }
    Ok(PASSED)
}

impl Reach {
    /// The target; where no URL is given, at that of a built-in server.
    fn target(&self, built_in: impl FnOnce() -> Result<String, Stop>) -> Result<Target, Stop> {
        let usage = |error: TargetError| Stop(USAGE, error.to_string());
        let url = match &self.url {
            Some(url) => url.clone(),
            None => built_in()?,
        };
        let mut target = Target::new(&url).map_err(usage)?;
        for header in &self.header {
            target = target.with_header(header).map_err(usage)?;
        }
        match &self.ca_file {
            Some(path) => target.with_authorities(path).map_err(usage),
            None => Ok(target),
        }
    }

    /// What every deadline is multiplied by.
    fn scale(&self) -> Result<f64, Stop> {
        let scale = self.timeout_scale;
        match (0.01..=1000.0).contains(&scale) {
            true => Ok(scale),
            false => Err(Stop(
                USAGE,
                format!("--timeout-scale {scale} is not between 0.01 and 1000"),
            )),
        }
    }
}

fn unreachable_words(url: &str, why: &str) -> String {
    format!("no server can be reached at {url}: {why}; start the server, or correct --url")
}

fn options(arguments: &Run) -> Result<Options, Stop> {
    let usage = |sentence: String| Err(Stop(USAGE, sentence));
    let scale = arguments.reach.scale()?;
    if arguments.test_threads == 0 {
        return usage("--test-threads 0 plays nothing; write 1 or more".to_owned());
    }
    Ok(Options {
        timeout_scale: scale,
        concurrency: arguments.test_threads,
        profiles: profiles(&arguments.profile)?,
        required: profiles(&arguments.require_profile)?,
        seed: arguments.seed,
        ..Options::default()
    })
}

fn profiles(given: &[String]) -> Result<Vec<Profile>, Stop> {
    let known = |name: &String| {
        Profile::from_name(name).ok_or_else(|| {
            let known = names(&Profile::ALL);
            let sentence = format!("there is no profile `{name}`; the profiles are: {known}");
            Stop(USAGE, sentence)
        })
    };
    given.iter().map(known).collect()
}

fn names(profiles: &[Profile]) -> String {
    let names: Vec<_> = profiles.iter().map(|profile| profile.name()).collect();
    names.join(", ")
}

fn libtest_arguments(arguments: &Run) -> Result<Arguments, Stop> {
    let format = if arguments.quiet {
        "terse"
    } else {
        &arguments.format
    };
    let format = mimic::format(format).ok_or_else(|| {
        let sentence = format!("--format {} is not pretty, terse or json", arguments.format);
        Stop(USAGE, sentence)
    })?;
    Ok(Arguments {
        // With --exact, what is skipped is named in full, too.
        exact: arguments.exact,
        skip: arguments.skip.clone(),
        list: arguments.list,
        test_threads: Some(arguments.test_threads),
        format: Some(format),
        ..Arguments::default()
    })
}

/// Finds out before the run whether the report can be written after it; leaves no file behind.
fn check_report_path(path: Option<&Path>) -> Result<(), Stop> {
    let Some(path) = path else { return Ok(()) };
    let is_new = !path.exists();
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map(drop);
    opened
        .and_then(|()| {
            if is_new {
                std::fs::remove_file(path)
            } else {
                Ok(())
            }
        })
        .map_err(|error| {
            Stop(
                USAGE,
                format!("--report {} can't be written: {error}", path.display()),
            )
        })
}

/// Starts the reference server on a free port of this process, and gives its URL.
fn built_in_server(runtime: &Runtime) -> Result<String, Stop> {
    let failed = |error: std::io::Error| {
        Stop(
            HARNESS,
            format!("the built-in server can't start: {error}; give a server by --url"),
        )
    };
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let config = collab_reference::Config::default();
    runtime.spawn(collab_reference::serve(
        listener,
        config,
        std::future::pending(),
    ));
    Ok(format!("ws://{address}/ws"))
}
