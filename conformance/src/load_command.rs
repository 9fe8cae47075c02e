//! The commands `collab-conformance load` and `relay`: what is printed, and exit codes.

use std::io::Write as _;
use std::time::Duration;

use collab_conformance::load::{self, Pace, Plan, relay};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::cli::Load;
use crate::reach::random_seed;
use crate::{HARNESS, PASSED, SERVER_FAILED, Stop, USAGE};

/// As much as a load can be, so that a slip of the finger does not take the machine down.
const MOST_CONNECTIONS: usize = 100_000;
const MOST_CHARACTERS: u64 = 10_000_000;

pub(crate) fn run(arguments: &Load) -> Result<u8, Stop> {
    let plan = plan(arguments)?;
    let runtime = Runtime::new().map_err(|error| Stop(HARNESS, error.to_string()))?;
    let met = arguments.reach.meet(&runtime)?;
    let target = runtime.block_on(met.server.target());
    let target = target.map_err(|why| arguments.reach.unreachable("", &why))?;
    let name = format!("load-{}", random_seed());
    let figures = load::run(&target, &plan, &name).map_err(|why| Stop(SERVER_FAILED, why))?;
    let json = serde_json::to_string(&figures).map_err(|error| Stop(HARNESS, error.to_string()))?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{json}\n")).map_err(|error| {
            let sentence = format!("--json {} can't be written: {error}", path.display());
            Stop(HARNESS, sentence)
        })?;
    }
    print!("{}", figures.words());
    if arguments.reach.is_built_in() {
        println!("note: the built-in server ran in the same process; --url or --exec measures one");
    }
    let code = match figures.has_failed() {
        true => SERVER_FAILED,
        false => PASSED,
    };
    Ok(met.end(&runtime, code))
}

fn plan(arguments: &Load) -> Result<Plan, Stop> {
    let usage = |sentence: &str| Err(Stop(USAGE, sentence.to_owned()));
    let (documents, clients) = (arguments.docs, arguments.clients);
    if documents == 0 || clients == 0 {
        return usage("--docs and --clients are 1 or more");
    }
    if documents.saturating_mul(clients) > MOST_CONNECTIONS {
        return usage("--docs times --clients is at most 100000 connections");
    }
    if arguments.chars > MOST_CHARACTERS {
        return usage("--chars is at most 10000000 characters a document");
    }
    let secs = |name: &str, secs: f64| match (0.0..=86_400.0).contains(&secs) {
        true => Ok(Duration::from_secs_f64(secs)),
        false => Err(Stop(USAGE, format!("{name} {secs} is not from 0 to 86400"))),
    };
    let time = secs("--secs", arguments.secs)?;
    if time.is_zero() {
        return usage("--secs 0 measures nothing; write more");
    }
    let pace = match (arguments.rate, arguments.in_flight) {
        (Some(rate), _) if (0.001..=10_000_000.0).contains(&rate) => Pace::Rate(rate),
        (Some(_), _) => return usage("--rate is from 0.001 to 10000000 ops a second"),
        (None, Some(most @ 1..=10_000)) => Pace::InFlight(most),
        (None, None) => Pace::InFlight(1),
        (None, Some(_)) => return usage("--in-flight is from 1 to 10000 ops"),
    };
    Ok(Plan {
        documents,
        clients,
        characters: arguments.chars,
        pace,
        warm_up: secs("--warm-up", arguments.warm_up)?,
        time,
    })
}

/// Serves as the null relay, until it is ended.
pub(crate) fn relay(port: u16) -> Result<u8, Stop> {
    let served = load::on_this_thread(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let told = crate::reach::told_to_end()?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on ws://{}/ws", listener.local_addr()?)?;
        stdout.flush()?;
        tokio::select! {
            served = relay::serve(listener) => served,
            () = told => Ok(()),
        }
    });
    let served = served.and_then(|served| served);
    served.map_err(|error| Stop(HARNESS, format!("the relay can't serve: {error}")))?;
    Ok(PASSED)
}
