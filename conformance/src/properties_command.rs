//! The command `collab-conformance properties`: what is printed, and exit codes.

use std::path::Path;
use std::time::{Duration, Instant};

use collab_conformance::properties::activity::Count;
use collab_conformance::properties::counterexample::{Counterexample, counterexample};
use collab_conformance::properties::search::{Case, Findings, Search};
use collab_conformance::properties::server::{End, Server};
use collab_conformance::properties::shrink::{CONFIRMATIONS, Shrunk, shrink};
use collab_conformance::properties::{How, Kind};
use collab_conformance::report;
use collab_spec::profile::Profile;

use crate::cli::Properties;
use crate::reach::random_seed;
use crate::{HARNESS, PASSED, SERVER_FAILED, Stop, USAGE, names};

pub(crate) fn run(arguments: &Properties) -> Result<u8, Stop> {
    let kinds = arguments.kinds();
    let scale = arguments.reach.scale()?;
    if arguments.cases == 0 || arguments.test_threads == Some(0) {
        let sentence = "--cases and --test-threads are 1 or more";
        return Err(Stop(USAGE, sentence.to_owned()));
    }
    let runtime = crate::runtime()?;
    let met = arguments.reach.meet(&runtime)?;
    let (server, offered) = (&met.server, met.offered.clone());
    let search = Search {
        seed: arguments.seed.unwrap_or_else(random_seed),
        cases: arguments.cases,
        // One history is asked for by itself.
        until_all: arguments.cases > 1,
        time_budget: arguments.time_budget.map(Duration::from_secs),
        kinds: playable(kinds, &offered)?,
        concurrency: arguments.test_threads.unwrap_or(match arguments.chaos {
            true => 32,
            false => 4,
        }),
        timeout_scale: scale,
        how: How {
            offered,
            chaos: None,
        },
        chaos: arguments.chaos,
    };
    // For whom it takes too long.
    eprintln!("histories from seed {} on", search.seed);
    let started = Instant::now();
    let findings = runtime.block_on(search.run(server));
    let code = match &findings.fault {
        Some(case) => runtime.block_on(show_fault(arguments, &search, case, server))?,
        None => without_fault(arguments, &search, &findings, started)?,
    };
    Ok(met.end(&runtime, code))
}

/// The kinds that say something of a server that offers these profiles.
fn playable(kinds: Vec<Kind>, offered: &[Profile]) -> Result<Vec<Kind>, Stop> {
    let possible = Search::kinds_for(offered);
    let (playable, other): (Vec<Kind>, Vec<Kind>) =
        kinds.into_iter().partition(|kind| possible.contains(kind));
    for kind in &other {
        let profiles = names(kind.profiles());
        eprintln!(
            "not played: {} (the server offers none of the profiles {profiles})",
            kind.name()
        );
    }
    match playable.is_empty() {
        true => Err(Stop(
            USAGE,
            "no history can be played with this server".to_owned(),
        )),
        false => Ok(playable),
    }
}

fn without_fault(
    arguments: &Properties,
    search: &Search,
    findings: &Findings,
    started: Instant,
) -> Result<u8, Stop> {
    if arguments.verbose {
        println!("{}", findings.all_activity());
    }
    let took = started.elapsed().as_secs_f64();
    let seed = search.seed;
    if (findings.cases, arguments.seed) == (1, Some(seed)) {
        // One history that somebody asks for is played for its own sake.
        println!("the history of seed {seed} went right in {took:.1} s");
        return Ok(PASSED);
    }
    let count = findings.cases;
    let a_second = |count: u64| count as f64 / took.max(0.001);
    let ops = findings.all_activity().of(Count::Ops);
    println!(
        "{count} histories from seed {seed} on went right in {took:.1} s: {:.0} and {:.0} ops a second",
        a_second(count),
        a_second(ops)
    );
    let lacking = findings.lacking();
    for (kind, counts) in &lacking {
        for count in counts {
            eprintln!("error: {} had no {}", kind.name(), count.words());
        }
    }
    match lacking.is_empty() && count > 0 {
        true => Ok(PASSED),
        false => Err(Stop(
            USAGE,
            "so few histories show nothing; play more, by --cases or --time-budget".to_owned(),
        )),
    }
}

/// Makes a fault small, and says what it is.
async fn show_fault(
    arguments: &Properties,
    search: &Search,
    case: &Case,
    server: &Server,
) -> Result<u8, Stop> {
    let reach = arguments.reach.again();
    let again = format!(
        "  To play the history as it was:\n    {} --kind {} --seed {} --cases 1{}",
        command("properties", &reach),
        case.kind.name(),
        case.seed,
        if search.chaos { " --chaos" } else { "" }
    );
    if case.played.broken().is_none() {
        println!("{}\n{again}", report::failure_text(&case.report()));
        return Ok(HARNESS);
    }
    if let Some(End::Silent) = case.played.end {
        let silent = "  The server does not answer any more, so nothing smaller is tried.";
        let failure = report::failure_text(&case.report());
        println!("{failure}\n{silent}\n\n{again}");
        return Ok(SERVER_FAILED);
    }
    let within = Duration::from_secs(arguments.shrink_secs);
    let how = &match search.chaos {
        true => search.plainest_how(case, server).await,
        false => search.how.clone(),
    };
    let scale = search.timeout_scale;
    let shrunk = shrink(case, server, how, scale, within).await;
    let found = counterexample(&shrunk, server, how, scale).await;
    let scenario = match &found {
        None => "  No scenario shows it by itself: it may need two things at once.\n".to_owned(),
        Some(found) => scenario_text(found, arguments.out.as_deref(), &reach)?,
    };
    let failure = report::failure_text(&shrunk.case.report());
    println!("{failure}\n{}\n{scenario}", history_text(case, &shrunk));
    if shrunk.confirmed == 0 && search.concurrency > 1 {
        println!(
            "  Alone it does not go wrong again: it may take others at the same time. With\n  \
             --test-threads 1 there are none.\n"
        );
    }
    println!("{again}");
    Ok(SERVER_FAILED)
}

/// A history made small.
fn history_text(case: &Case, shrunk: &Shrunk) -> String {
    format!(
        "  The history, {} of its {} steps left after {} tries; {}:\n{}",
        shrunk.case.plan.steps.len(),
        case.plan.steps.len(),
        shrunk.tries,
        confirmation(shrunk.confirmed),
        indented(&shrunk.case.plan.to_string())
    )
}

/// A scenario, written into a file where there is a folder for it.
fn scenario_text(
    found: &Counterexample,
    folder: Option<&Path>,
    reach: &str,
) -> Result<String, Stop> {
    let scenario = match folder {
        None => {
            let text = indented(&found.text());
            format!("{text}  With --out DIR it is written into a file.\n")
        }
        Some(folder) => {
            let path = found.write(folder).map_err(|error| Stop(HARNESS, error))?;
            let option = report::option("--scenario", &path.display().to_string());
            format!("    {} {option}\n", command("run", reach))
        }
    };
    Ok(format!(
        "  A scenario of {} steps that shows it by itself; {}:\n{scenario}",
        found.scenario.steps.len(),
        confirmation(found.confirmed)
    ))
}

/// The command with the options that reach the server.
fn command(name: &str, reach: &str) -> String {
    let words = ["collab-conformance", name, reach];
    words.join(" ").trim_end().to_owned()
}

fn confirmation(times: u32) -> String {
    match times {
        CONFIRMATIONS => "deterministic".to_owned(),
        times => format!("flaky, {times} of {CONFIRMATIONS}"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
