//! The command `collab-conformance properties`: what is printed, and exit codes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use collab_conformance::properties::counterexample::counterexample;
use collab_conformance::properties::search::{Case, Findings, Search};
use collab_conformance::properties::shrink::{CONFIRMATIONS, shrink};
use collab_conformance::properties::{How, Kind};
use collab_conformance::report;
use collab_conformance::target::Target;
use collab_spec::profile::Profile;
use tokio::runtime::Runtime;

use crate::cli::Properties;
use crate::reach::random_seed;
use crate::{HARNESS, PASSED, SERVER_FAILED, Stop, USAGE, names};

pub(crate) fn run(arguments: &Properties) -> Result<u8, Stop> {
    let kinds = kinds(&arguments.kind)?;
    let scale = arguments.reach.scale()?;
    if arguments.cases == 0 || arguments.test_threads == 0 {
        let sentence = "--cases and --test-threads are 1 or more";
        return Err(Stop(USAGE, sentence.to_owned()));
    }
    let runtime = Runtime::new().map_err(|error| Stop(HARNESS, error.to_string()))?;
    let met = arguments.reach.meet(&runtime)?;
    let (target, offered) = (Arc::clone(&met.target), met.offered.clone());
    let search = Search {
        seed: arguments.seed.unwrap_or_else(random_seed),
        cases: arguments.cases,
        time_budget: arguments.time_budget.map(Duration::from_secs),
        kinds: playable(kinds, &offered)?,
        concurrency: arguments.test_threads,
        timeout_scale: scale,
        how: How {
            offered,
            chaos: false,
        },
    };
    let started = Instant::now();
    let findings = runtime.block_on(search.run(&target));
    match &findings.fault {
        Some(case) => show_fault(arguments, &search, case, &target, &runtime),
        None => without_fault(&search, &findings, started, arguments.verbose),
    }
}

fn kinds(given: &[String]) -> Result<Vec<Kind>, Stop> {
    if given.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let known = |name: &String| {
        Kind::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            let sentence = format!(
                "there is no kind `{name}`; the kinds are: {}",
                known.join(", ")
            );
            Stop(USAGE, sentence)
        })
    };
    given.iter().map(known).collect()
}

/// The kinds that say something of a server that offers these profiles.
fn playable(kinds: Vec<Kind>, offered: &[Profile]) -> Result<Vec<Kind>, Stop> {
    let possible = Search::kinds_for(offered);
    let (playable, other): (Vec<Kind>, Vec<Kind>) =
        kinds.into_iter().partition(|kind| possible.contains(kind));
    for kind in &other {
        let needs = names(kind.needs());
        eprintln!(
            "not played: {} (it needs the profiles {needs})",
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
    search: &Search,
    findings: &Findings,
    started: Instant,
    verbose: bool,
) -> Result<u8, Stop> {
    if verbose {
        println!("{}", findings.all_activity());
    }
    println!(
        "{} histories from seed {} on went right in {:.1} s",
        findings.cases,
        search.seed,
        started.elapsed().as_secs_f64()
    );
    let lacking = findings.lacking();
    for (kind, counts) in &lacking {
        for count in counts {
            eprintln!("error: {} had no {}", kind.name(), count.words());
        }
    }
    match lacking.is_empty() && findings.cases > 0 {
        true => Ok(PASSED),
        false => Err(Stop(
            USAGE,
            "so few histories show nothing; play more, by --cases or --time-budget".to_owned(),
        )),
    }
}

/// Makes a fault small, and says what it is.
fn show_fault(
    arguments: &Properties,
    search: &Search,
    case: &Case,
    target: &Arc<Target>,
    runtime: &Runtime,
) -> Result<u8, Stop> {
    let url = match arguments.reach.again() {
        again if again.is_empty() => again,
        again => format!(" {again}"),
    };
    let again = format!(
        "collab-conformance properties{url} --kind {} --seed {} --cases 1",
        case.kind.name(),
        case.seed
    );
    if case.played.broken().is_none() {
        print!("{}", report::failure_text(&case.report()));
        println!("\n  To play it again:\n    {again}");
        return Ok(HARNESS);
    }
    let within = Duration::from_secs(arguments.shrink_secs);
    let (how, scale) = (&search.how, search.timeout_scale);
    let shrunk = runtime.block_on(shrink(case, target, how, scale, within));
    let found = runtime.block_on(counterexample(&shrunk, target, how, scale));
    print!("{}", report::failure_text(&shrunk.case.report()));
    println!(
        "\n  The history, {} of its {} steps left after {} tries; {}:",
        shrunk.case.plan.steps.len(),
        case.plan.steps.len(),
        shrunk.tries,
        confirmation(shrunk.confirmed)
    );
    indented(&shrunk.case.plan.to_string());
    match found {
        None => println!("\n  No scenario shows it by itself: it may need two things at once."),
        Some(found) => {
            println!(
                "\n  A scenario of {} steps that shows it by itself; {}:",
                found.scenario.steps.len(),
                confirmation(found.confirmed)
            );
            match &arguments.out {
                None => indented(&found.text()),
                Some(folder) => {
                    let path = found.write(folder).map_err(|error| Stop(HARNESS, error))?;
                    let path = path.display();
                    println!("    collab-conformance run{url} --scenario {path}");
                }
            }
        }
    }
    if shrunk.confirmed == 0 && search.concurrency > 1 {
        println!(
            "\n  Alone it does not go wrong again: it may take others at the same time. With\n  \
             --test-threads 1 there are none."
        );
    }
    println!("\n  To play the history as it was:\n    {again}");
    Ok(SERVER_FAILED)
}

fn confirmation(times: u32) -> String {
    match times {
        CONFIRMATIONS => "deterministic".to_owned(),
        times => format!("flaky, {times} of {CONFIRMATIONS}"),
    }
}

fn indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
