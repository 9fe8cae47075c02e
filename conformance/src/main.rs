//! The command `collab-conformance`: arguments, exit codes, and the built-in reference server.
//!
//! Deliberately absent: everything else; that is the library's.

mod cli;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use collab_conformance::case::{self, Case};
use collab_conformance::exec::{Exec, Leash};
use collab_conformance::mimic::{self, Arguments};
use collab_conformance::proxy::{Faults, Plan, Proxy};
use collab_conformance::runner::{Options, Server, Servers, Session};
use collab_conformance::target::{Target, TargetError};
use collab_conformance::{catalog, files, report};
use collab_spec::profile::Profile;
use collab_spec::report::ExitReason;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, Run, Scenarios};

const PASSED: u8 = 0;
const SERVER_FAILED: u8 = 1;
const USAGE: u8 = 2;
const HARNESS: u8 = 3;
/// As shells have it for what SIGINT has ended.
const INTERRUPTED: u8 = 130;

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
                "wrote {} schemas and documents into {}\n",
                written.len(),
                out.display()
            ))
        }
        Some(Command::Serve { port }) => serve(port),
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
    if arguments.url.is_none() && arguments.exec.is_none() {
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
    let (servers, _kept) = servers(arguments, &runtime)?;
    let session = Arc::new(Session::new(servers, options));
    if !arguments.list {
        runtime.block_on(session.open()).map_err(|why| {
            let sentence = match &arguments.exec {
                Some(_) => format!("no server can be tested: {why}"),
                None => format!(
                    "no server can be reached at {}: {why}; start the server, or correct --url",
                    session.url()
                ),
            };
            Stop(HARNESS, sentence)
        })?;
    }
    mimic::run(&session, cases, &libtest, runtime.handle());
    if arguments.list {
        return Ok(PASSED);
    }
    runtime.block_on(session.close());
    finish(arguments, &session, cases)
}

/// What stays as long as the run: it ends with it.
#[derive(Default)]
struct Kept {
    _leash: Option<Leash>,
    _proxy: Option<Proxy>,
}

/// Where the servers under test come from, and what has to end with the run.
fn servers(arguments: &Run, runtime: &Runtime) -> Result<(Servers, Kept), Stop> {
    let usage = |error: TargetError| Stop(USAGE, error.to_string());
    let url = match (&arguments.url, &arguments.exec) {
        (Some(url), None) => url.clone(),
        // A list needs no server, and what is started says itself where it is.
        (None, None) if !arguments.list => built_in_server(runtime)?,
        _ => "ws://127.0.0.1/ws".to_owned(),
    };
    let mut target = Target::new(&url).map_err(usage)?;
    for header in &arguments.header {
        target = target.with_header(header).map_err(usage)?;
    }
    if let Some(path) = &arguments.ca_file {
        target = target.with_authorities(path).map_err(usage)?;
    }
    let Some(command) = &arguments.exec else {
        let mut kept = Kept::default();
        if let Some(jitter) = arguments.jitter {
            let authority = target.authority();
            let proxy = runtime.block_on(Proxy::start(&authority, jitter_plan(jitter)));
            let proxy = proxy.map_err(|error| Stop(HARNESS, error.to_string()))?;
            target = proxy.target(&target);
            kept._proxy = Some(proxy);
        }
        return Ok((target.into(), kept));
    };
    let url = arguments.url.as_deref();
    let exec = Exec::new(command, url, &target, arguments.timeout_scale).map_err(usage)?;
    let exec = Arc::new(match arguments.jitter {
        Some(jitter) => exec.through(jitter_plan(jitter)),
        None => exec,
    });
    let _guard = runtime.enter();
    let told = told_to_end().map_err(|error| Stop(HARNESS, error.to_string()))?;
    let ended = Arc::clone(&exec);
    runtime.spawn(async move {
        told.await;
        eprintln!("\ninterrupted; the servers are told to end");
        ended.end_all().await;
        std::process::exit(INTERRUPTED.into());
    });
    let kept = Kept {
        _leash: Some(exec.leash()),
        _proxy: None,
    };
    Ok((exec.into(), kept))
}

/// Each chunk of bytes comes up to so many milliseconds later, in both directions.
fn jitter_plan(millis: u64) -> Plan {
    let jitter = Duration::from_millis(millis);
    Plan::new(move |number| Faults::none().jitter(jitter, number))
}

/// Ready on the first SIGINT, SIGTERM or SIGHUP.
fn told_to_end() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
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
    let exits = results.server.iter().flat_map(|server| &server.exits);
    let has_failed = exits.map(|exit| exit.why).any(ExitReason::is_failure);
    if summary.fail > 0 || has_failed || !lacking.is_empty() {
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

fn options(arguments: &Run) -> Result<Options, Stop> {
    let usage = |sentence: String| Err(Stop(USAGE, sentence));
    let scale = arguments.timeout_scale;
    if !(0.01..=1000.0).contains(&scale) {
        return usage(format!(
            "--timeout-scale {scale} is not between 0.01 and 1000"
        ));
    }
    if arguments.repeat == 0 {
        return usage("--repeat 0 plays nothing; write 1 or more".to_owned());
    }
    if arguments.test_threads == 0 {
        return usage("--test-threads 0 plays nothing; write 1 or more".to_owned());
    }
    Ok(Options {
        timeout_scale: scale,
        concurrency: arguments.test_threads,
        // A list names each case once.
        repeat: if arguments.list { 1 } else { arguments.repeat },
        profiles: profiles(&arguments.profile)?,
        required: profiles(&arguments.require_profile)?,
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
    let (listener, url) = runtime.block_on(listen(0))?;
    let config = collab_reference::Config::default();
    runtime.spawn(collab_reference::serve(
        listener,
        config,
        std::future::pending(),
    ));
    Ok(url)
}

/// Serves as the built-in server does until it is told to end, to have a command for `--exec`.
fn serve(port: u16) -> Result<u8, Stop> {
    let failed = |error: io::Error| Stop(HARNESS, error.to_string());
    let runtime = Runtime::new().map_err(failed)?;
    let served = runtime.block_on(async {
        let (listener, url) = listen(port).await?;
        let told = told_to_end().map_err(failed)?;
        println!("listening on {url}");
        let config = collab_reference::Config::default();
        let served = collab_reference::serve(listener, config, told).await;
        served.map_err(failed)
    });
    runtime.shutdown_background();
    served.map(|()| PASSED)
}

/// A listener on a local port, and the URL of a server that takes its connections.
async fn listen(port: u16) -> Result<(TcpListener, String), Stop> {
    let bound = async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("ws://{}/ws", listener.local_addr()?);
        Ok((listener, url))
    };
    bound.await.map_err(|error: io::Error| {
        let sentence = format!("the built-in server can't start: {error}; give a server by --url");
        Stop(HARNESS, sentence)
    })
}
