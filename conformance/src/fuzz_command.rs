//! The command `collab-conformance fuzz`: what is printed, and exit codes.

use std::time::{Duration, Instant};

use collab_conformance::context::Context;
use collab_conformance::fuzz::search::{Found, search};
use collab_conformance::fuzz::{Kind, Recipe};
use collab_conformance::report;
use collab_conformance::validate::shortened;
use tokio::runtime::Runtime;

use crate::cli::Fuzz;
use crate::reach::Met;
use crate::reach::random_seed;
use crate::{HARNESS, PASSED, SERVER_FAILED, Stop, USAGE};

/// How many frames are sent before the clock is looked at.
const BATCH: u64 = 250;

pub(crate) fn run(arguments: &Fuzz) -> Result<u8, Stop> {
    let kinds = arguments.kinds();
    if arguments.cases == 0 {
        return Err(Stop(USAGE, "--cases is 1 or more".to_owned()));
    }
    let seed = arguments.seed.unwrap_or_else(random_seed);
    if arguments.list {
        return Ok(list(&kinds, seed, arguments.cases));
    }
    let runtime = crate::runtime()?;
    let met = arguments.reach.meet(&runtime)?;
    let started = Instant::now();
    let ends = arguments
        .time_budget
        .map(|secs| started + Duration::from_secs(secs));
    let mut sent = 0;
    let (playable, other): (Vec<Kind>, Vec<Kind>) = kinds
        .into_iter()
        .partition(|kind| met.offered.contains(&kind.profile()));
    for kind in other {
        eprintln!(
            "not sent: {} (it needs the profile {})",
            kind.name(),
            kind.profile()
        );
    }
    let mut from = 0;
    while from < arguments.cases && ends.is_none_or(|ends| Instant::now() < ends) {
        let count = BATCH.min(arguments.cases - from);
        for &kind in &playable {
            let context = context(arguments, &met, &runtime)?;
            let seeds = (from..from + count).map(|number| seed.wrapping_add(number));
            if let Some(found) = runtime.block_on(search(&context, kind, seeds)) {
                let code = show(arguments, &met, kind, &found, &runtime)?;
                return Ok(met.end(&runtime, code));
            }
            sent += count;
        }
        from += count;
    }
    if sent == 0 {
        return Err(Stop(
            USAGE,
            "no frame can be sent to this server".to_owned(),
        ));
    }
    println!(
        "{sent} frames from seed {seed} on went right in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(met.end(&runtime, PASSED))
}

/// Surroundings with a document that no one else uses.
fn context(arguments: &Fuzz, met: &Met, runtime: &Runtime) -> Result<Context, Stop> {
    let reach = &arguments.reach;
    let target = runtime.block_on(met.server.target());
    let target = target.map_err(|why| reach.unreachable("", &why))?;
    Ok(Context::new(target, reach.scale()?))
}

fn list(kinds: &[Kind], seed: u64, count: u64) -> u8 {
    let mut text = String::new();
    for &kind in kinds {
        for seed in (0..count).map(|number| seed.wrapping_add(number)) {
            let frame = Recipe::new(kind, seed).example();
            let row = [
                format!("{} {seed}: {}", kind.name(), frame.words()),
                format!("    {}", frame.due()),
                format!("    {}", shortened(&frame.text(), 400)),
            ];
            text.push_str(&row.join("\n"));
            text.push('\n');
        }
    }
    // A reader such as `head` may have gone away.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    PASSED
}

fn show(
    arguments: &Fuzz,
    met: &Met,
    kind: Kind,
    found: &Found,
    runtime: &Runtime,
) -> Result<u8, Stop> {
    let context = context(arguments, met, runtime)?;
    let case = runtime.block_on(found.report(&context, kind));
    print!("{}", report::failure_text(&case));
    if let Some(row) = found.row() {
        println!("\n  The frame as a row of the table of frames:\n    {row}");
    }
    let reach = match arguments.reach.again() {
        again if again.is_empty() => again,
        again => format!(" {again}"),
    };
    println!(
        "\n  To send the frame as it was:\n    collab-conformance fuzz{reach} --kind {} --seed {} --cases 1",
        kind.name(),
        found.seed
    );
    match case.breaches.is_empty() {
        true => Ok(HARNESS),
        false => Ok(SERVER_FAILED),
    }
}
