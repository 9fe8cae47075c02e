//! The command `collab-conformance`: arguments, exit codes, and the built-in reference server.
//!
//! Deliberately absent: everything else; that is the library's.

mod cli;
mod fuzz_command;
mod load_command;
mod probe_command;
mod properties_command;
mod reach;
mod report_command;
mod verify_command;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use collab_conformance::case::{self, Case};
use collab_conformance::expect::Expected;
use collab_conformance::mimic::{self, Arguments, FormatSetting};
use collab_conformance::progress::{self, Telling};
use collab_conformance::proxy::Jitter;
use collab_conformance::report::{self, Detail, Standing};
use collab_conformance::runner::{Options, Server, Session};
use collab_conformance::{catalog, files, paint};
use collab_spec::profile::Profile;
use collab_spec::report::{Report, Verdict};
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command, Format, Run, Scenarios};
use crate::reach::random_seed;

const PASSED: u8 = 0;
const SERVER_FAILED: u8 = 1;
const USAGE: u8 = 2;
const HARNESS: u8 = 3;
/// As shells have it for what SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Why the command ends without a verdict: the exit code and one sentence.
struct Stop(u8, String);

fn main() -> ExitCode {
    let cli = match Cli::read() {
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
        Some(Command::Fuzz(arguments)) => fuzz_command::run(&arguments),
        Some(Command::Load(arguments)) => load_command::run(&arguments),
        Some(Command::Probe(reach)) => probe_command::run(&reach),
        Some(Command::Verify(arguments)) => verify_command::run(&arguments),
        Some(Command::Relay { port }) => load_command::relay(port),
        Some(Command::List {
            requirements: false,
        }) => show(&catalog::cases(&cases)),
        Some(Command::List { requirements: true }) => show(&catalog::requirements(&cases)),
        Some(Command::Explain { id }) => {
            show(&catalog::explain(&id, &cases).map_err(|error| Stop(USAGE, error))?)
        }
        Some(Command::Report { form, reports, out }) => {
            report_command::run(form, &reports, out.as_deref())
        }
        Some(Command::Completions { shell }) => report_command::completions(shell),
        Some(Command::Man { out }) => report_command::man(out.as_deref()),
        Some(Command::Schemas { out }) => {
            let written = files::write_schemas(&out).map_err(|error| Stop(HARNESS, error))?;
            show(&format!(
                "wrote {} schemas and documents into {}\n",
                written.len(),
                out.display()
            ))
        }
        Some(Command::Serve { port }) => reach::serve(port),
        Some(Command::Scenarios(Scenarios::Validate { files })) => validate(&files),
    }
}

/// After how many turns of tasks a thread looks at its sockets, and at the tasks that let others go first.
/// A turn takes milliseconds where processors are short: with the usual 61, a connection could wait for
/// longer than a server waits for its `hello`.
const TURNS: u32 = 4;

/// What the commands run in. It has more threads than there are processors: while some take messages of
/// megabytes apart, the others read on, and nobody is taken for a client that has stopped reading.
fn runtime() -> Result<Runtime, Stop> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let built = Builder::new_multi_thread()
        .worker_threads((4 * processors).max(8))
        .event_interval(TURNS)
        .enable_all()
        .build();
    built.map_err(|error| Stop(HARNESS, error.to_string()))
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

fn run(arguments: &Run, all: &[Case]) -> Result<u8, Stop> {
    let mut options = options(arguments)?;
    let from_files = scenarios(&arguments.scenario)?;
    let cases = match from_files.is_empty() {
        true => all,
        false => from_files.as_slice(),
    };
    if arguments.reach.is_built_in() {
        options.server = Server::BuiltIn;
    }
    let libtest = libtest_arguments(arguments);
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
    let runtime = runtime()?;
    let jitter = options.jitter;
    let source = arguments.reach.source(&runtime, jitter, arguments.list)?;
    let (servers, _kept) = source.servers();
    let session = Arc::new(Session::new(servers, options));
    if !arguments.list {
        runtime
            .block_on(session.open())
            .map_err(|why| arguments.reach.unreachable(session.url(), &why))?;
    }
    let selected = mimic::selected(&session, cases, &libtest);
    let mut left_out = 0;
    if arguments.list || libtest.format.is_some() {
        mimic::run(&session, selected, &libtest, runtime.handle());
    } else {
        let telling = telling(arguments);
        left_out = progress::run(&session, &selected, telling, runtime.handle());
    }
    if arguments.list {
        return Ok(PASSED);
    }
    runtime.block_on(session.close());
    let code = finish(arguments, &session, cases, all)?;
    if left_out > 0 {
        paint::print(&format!(
            "{left_out:>5} not played: a case has failed (--fail-fast)\n"
        ));
    }
    Ok(code)
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

/// Writes what came of the cases. `all` are those of the suite, played or not.
fn finish(arguments: &Run, session: &Session, cases: &[Case], all: &[Case]) -> Result<u8, Stop> {
    let results = session.report(cases);
    let detail = match arguments.verbose {
        true => Detail::Whole,
        false => Detail::Brief,
    };
    let failures = report::failures_text(&results, &session.again(), detail);
    let mut text = String::new();
    if arguments.verbose {
        text += &report::requirements_text(&results);
        text += &report::measurements_text(&results);
    }
    if !arguments.quiet {
        text += &report::areas_text(&results);
    }
    // The output of `--format json` is for programs, and has the failures.
    if arguments.format == Format::Json {
        eprint!("{text}{}", report::summary_text(&results))
    } else if arguments.quiet && report::standing(&results) == Standing::Passed {
        paint::print(&report::one_line(&results));
    } else {
        paint::print(&(text + &failures + &report::summary_text(&results)))
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
    if let Some(why) = session.traces_failed() {
        return Err(Stop(HARNESS, format!("traces are missing: {why}")));
    }
    let stale = compare(arguments, session, &results, all)?;
    let count = |verdict| report::unexpected(&results, verdict);
    let has_failed = count(Verdict::Fail) > 0 || report::has_server_failed(&results);
    let has_warned = arguments.strict && count(Verdict::Warn) > 0;
    // A list that has just been written has all that went wrong, but for cases that were not played.
    let is_cut_short = results.cases.iter().any(report::is_not_played);
    let is_listed = arguments.update_expect && !is_cut_short;
    let has_failed = (has_failed || has_warned) && !is_listed;
    if has_failed || stale || !lacking.is_empty() {
        return Ok(SERVER_FAILED);
    }
    let summary = &results.summary;
    if count(Verdict::Error) > 0 && !is_listed {
        return Ok(HARNESS);
    }
    let known = report::known(&results);
    if summary.pass + summary.warn + known == 0 && !is_listed {
        let sentence = "no case could be played with this server and these filters";
        return Err(Stop(USAGE, sentence.to_owned()));
    }
    Ok(PASSED)
}

/// What is told of the cases while they are played.
fn telling(arguments: &Run) -> Telling {
    match (arguments.quiet, arguments.verbose) {
        (true, _) => Telling::Nothing,
        (_, true) => Telling::Everything,
        _ => Telling::Wrong,
    }
}

/// The folder of the traces, which is there then.
fn traces(arguments: &Run) -> Result<Option<PathBuf>, Stop> {
    let Some(folder) = &arguments.trace else {
        return Ok(None);
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        let sentence = format!("--trace {} can't be made: {error}", folder.display());
        Stop(USAGE, sentence)
    })?;
    Ok(Some(folder.clone()))
}

/// Says what the list of known failures has wrong, or writes it anew. Whether it is stale.
fn compare(
    arguments: &Run,
    session: &Session,
    results: &Report,
    all: &[Case],
) -> Result<bool, Stop> {
    let Some(path) = &arguments.expect else {
        return Ok(false);
    };
    let name = path.display();
    if arguments.update_expect {
        let text = session.expected().updated(results, all);
        return match std::fs::write(path, text) {
            Ok(()) => Ok(false),
            Err(error) => Err(Stop(USAGE, format!("{name} can't be written: {error}"))),
        };
    }
    let stale = session.expected().stale(results, all);
    for sentence in &stale {
        eprintln!("error: {name}: {sentence}; mend the line, or write --update-expect");
    }
    Ok(!stale.is_empty())
}

/// The list of known failures. One that is to be written may not be there yet.
fn expected(arguments: &Run) -> Result<Expected, Stop> {
    let Some(path) = &arguments.expect else {
        return Ok(Expected::default());
    };
    let name = path.display();
    match std::fs::read_to_string(path) {
        Ok(text) => Expected::read(&text).map_err(|error| Stop(USAGE, format!("{name}: {error}"))),
        Err(_) if arguments.update_expect && !path.exists() => Ok(Expected::default()),
        Err(error) => Err(Stop(USAGE, format!("{name} can't be read: {error}"))),
    }
}

fn options(arguments: &Run) -> Result<Options, Stop> {
    let usage = |sentence: String| Err(Stop(USAGE, sentence));
    let scale = arguments.reach.scale()?;
    if arguments.repeat == 0 {
        return usage("--repeat 0 plays nothing; write 1 or more".to_owned());
    }
    if arguments.test_threads == 0 {
        return usage("--test-threads 0 plays nothing; write 1 or more".to_owned());
    }
    let jitter = arguments.jitter.as_deref();
    let jitter = jitter.map(|text| Jitter::read(text, random_seed()));
    let jitter = jitter.transpose().map_err(|why| Stop(USAGE, why))?;
    Ok(Options {
        timeout_scale: scale,
        concurrency: arguments.test_threads,
        // A list names each case once.
        repeat: if arguments.list { 1 } else { arguments.repeat },
        fail_fast: arguments.fail_fast,
        strict: arguments.strict,
        profiles: profiles(&arguments.profile)?,
        required: profiles(&arguments.require_profile)?,
        seed: arguments.seed,
        jitter,
        expected: expected(arguments)?,
        traces: traces(arguments)?,
        every_frame: arguments.verbose,
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

fn libtest_arguments(arguments: &Run) -> Arguments {
    let format = match arguments.format {
        Format::Progress => None,
        Format::Pretty => Some(FormatSetting::Pretty),
        Format::Terse => Some(FormatSetting::Terse),
        Format::Json => Some(FormatSetting::Json),
    };
    Arguments {
        // With --exact, what is skipped is named in full, too.
        exact: arguments.exact,
        skip: arguments.skip.clone(),
        list: arguments.list,
        format,
        ..Arguments::default()
    }
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
