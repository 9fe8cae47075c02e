//! The command `collab-conformance verify`: which files are read, what is printed, and exit codes.

use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use collab_conformance::files;
use collab_conformance::verify::Verifier;

use crate::cli::Verify;
use crate::{HARNESS, PASSED, SERVER_FAILED, Stop, USAGE};

pub(crate) fn run(arguments: &Verify) -> Result<u8, Stop> {
    crate::check_report_path(arguments.report.as_deref())?;
    let (started_at, started) = (SystemTime::now(), Instant::now());
    let mut verifier = Verifier::new(arguments.whole);
    for path in &arguments.files {
        read(&mut verifier, path)?;
    }
    let graded = verifier.finish();
    if !graded.is_judged() {
        let names = graded.files.join(", ");
        let sentence = format!(
            "nothing in {names} can be judged: there is no message of a server; see \
             docs/verifying-traffic.md"
        );
        return Err(Stop(USAGE, sentence));
    }
    crate::show(&graded.text())?;
    if let Some(path) = &arguments.report {
        let since = started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis());
        let report = graded.report(
            millis(since).unwrap_or_default(),
            millis(started.elapsed()).unwrap_or_default(),
        );
        files::write_report(path, &report).map_err(|error| Stop(HARNESS, error))?;
    }
    Ok(match graded.has_failed() {
        true => SERVER_FAILED,
        false => PASSED,
    })
}

fn read(verifier: &mut Verifier, path: &Path) -> Result<(), Stop> {
    let read = if path == Path::new("-") {
        verifier.read("stdin", stdin().lock())
    } else {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|error| Stop(USAGE, format!("{name} can't be read: {error}")))?;
        verifier.read(&name, BufReader::new(file))
    };
    read.map_err(|why| Stop(USAGE, why))
}
