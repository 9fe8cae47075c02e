//! A report in words, 80 columns wide, for someone who did not write the suite.
//!
//! Everything here is made from the report's data alone.

pub mod badge;
pub mod broken;
pub mod html;
pub mod junit;
mod log;
pub mod markdown;
pub mod tap;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use collab_spec::report::{
    Breach, CaseReport, ExitReason, Repeats, Report, ServerExit, ServerReport, Verdict,
};
use collab_spec::requirement;

use crate::runner::NOT_PLAYED;

/// The width of all output.
const WIDTH: usize = 80;

/// How many broken requirements the summary names.
const SHOWN_BROKEN: usize = 15;

/// How many lines of a server's output are shown.
const SHOWN_LINES: usize = 20;

/// How many breaches of one case are written out.
const SHOWN_BREACHES: usize = 5;

/// What went wrong in a case: the requirement, what was expected and what came, the log of the
/// wire, and the command that plays the case alone, with the options that reach the server.
pub fn case_text(case: &CaseReport, server: &str) -> String {
    let mut text = failure_text(case);
    let _ = write!(
        text,
        "\n  To play it alone:\n    {}\n",
        command(case, server)
    );
    text
}

/// As [`case_text`], without the command.
pub fn failure_text(case: &CaseReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", case.id, case.title);
    if case.breaches.is_empty() && case.exit.is_none() {
        let message = case.message.as_deref().unwrap_or("without words");
        let lead = if case.verdict == Verdict::Error {
            "the harness failed: "
        } else {
            ""
        };
        for line in format!("{lead}{message}").lines() {
            wrapped(&mut text, "  ", line);
        }
    }
    for breach in case.breaches.iter().take(SHOWN_BREACHES) {
        breach_text(&mut text, breach);
    }
    if case.breaches.len() > SHOWN_BREACHES {
        let _ = writeln!(
            text,
            "\n  and {} more",
            case.breaches.len() - SHOWN_BREACHES
        );
    }
    if let Some(exit) = &case.exit {
        exit_text(&mut text, exit);
    }
    if !case.frames.is_empty() {
        log::write(&mut text, case);
    }
    text
}

/// How a run stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All that was played passed.
    Passed,
    /// A SHOULD is broken, and no MUST.
    Warned,
    /// A MUST is broken, or the server died or hung.
    Failed,
    /// The harness failed, or nothing could be played.
    Unknown,
}

/// How many cases ended as a list of known failures has it.
pub fn known(report: &Report) -> usize {
    let cases = report.cases.iter();
    cases.filter(|case| case.known.is_some()).count()
}

/// How many cases ended so, those apart that are known to.
pub fn unexpected(report: &Report, verdict: Verdict) -> usize {
    let cases = report.cases.iter();
    let unexpected = cases.filter(|case| case.verdict == verdict && case.known.is_none());
    unexpected.count()
}

/// Whether the server died or hung, other than in a case that is known to fail.
pub fn has_server_failed(report: &Report) -> bool {
    let is_known = |id: &String| {
        let mut cases = report.cases.iter();
        cases.any(|case| case.id == *id && case.known.is_some())
    };
    let mut exits = report.server.iter().flat_map(|server| &server.exits);
    exits.any(|exit| exit.why.is_failure() && !exit.cases.iter().any(is_known))
}

/// How a run stands, by its own verdicts.
pub fn standing(report: &Report) -> Standing {
    let ended = |verdict| unexpected(report, verdict) > 0;
    if ended(Verdict::Fail) || has_server_failed(report) {
        Standing::Failed
    } else if ended(Verdict::Error) || report.summary.pass + report.summary.warn == 0 {
        Standing::Unknown
    } else if ended(Verdict::Warn) {
        Standing::Warned
    } else {
        Standing::Passed
    }
}

/// The same in a few words.
fn outcome(report: &Report) -> String {
    let summary = &report.summary;
    let played = summary.pass + summary.warn + summary.fail + summary.error;
    let (failed, warned) = (
        unexpected(report, Verdict::Fail),
        unexpected(report, Verdict::Warn),
    );
    let known = match known(report) {
        0 => String::new(),
        known => format!(", {known} known to fail"),
    };
    match standing(report) {
        Standing::Passed => format!("{} passed{known}", summary.pass),
        Standing::Warned => format!("{} passed, {warned} warned{known}", summary.pass),
        Standing::Failed if failed == 0 => "the server died or hung".to_owned(),
        Standing::Failed => format!("{failed} of {played} failed{known}"),
        Standing::Unknown if played == 0 => "nothing was played".to_owned(),
        Standing::Unknown => {
            let errors = unexpected(report, Verdict::Error);
            format!("{errors} of {played} with errors{known}")
        }
    }
}

/// What went wrong in a case, in one line: the first breach with its requirement, or the message.
pub(crate) fn headline(case: &CaseReport) -> String {
    match case.breaches.first() {
        Some(breach) => format!("[{}] {}", breach.requirement, breach.what),
        None => {
            let message = case.message.as_deref().unwrap_or("without words");
            message.lines().next().unwrap_or_default().to_owned()
        }
    }
}

/// Why a case says nothing of the server.
fn why_not_tested(case: &CaseReport) -> String {
    let message = case.message.as_deref().map(str::to_owned);
    message.unwrap_or_else(|| "the server does not offer the profile".to_owned())
}

/// The area of a case: its id up to the slash.
fn area(id: &str) -> &str {
    id.split_once('/').map_or(id, |(area, _)| area)
}

/// Text of a length at most, in characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}\n…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The command that plays one case alone; against the built-in server where there are no options.
pub fn command(case: &CaseReport, server: &str) -> String {
    let mut words = vec!["collab-conformance run".to_owned()];
    if !server.is_empty() {
        words.push(server.to_owned());
    }
    words.push(match &case.file {
        Some(file) => option("--scenario", file),
        None => option("--exact", &case.id),
    });
    words.join(" ")
}

/// The options that reach a server again: its URL, or the command that starts it.
pub fn server_options(url: &str, started: Option<&ServerReport>) -> String {
    match started {
        None => reach_options(Some(url), None),
        Some(started) => reach_options(started.url.as_deref(), Some(&started.command)),
    }
}

/// The options with a URL and a command, as far as there are any.
pub fn reach_options(url: Option<&str>, command: Option<&str>) -> String {
    let options = [("--exec", command), ("--url", url)];
    let given = options
        .into_iter()
        .filter_map(|(name, value)| Some(option(name, value?)));
    given.collect::<Vec<_>>().join(" ")
}

/// The options with the one that delays bytes, where they were delayed.
pub(crate) fn with_jitter(options: String, jitter: Option<&str>) -> String {
    let jitter = jitter.map(|jitter| option("--jitter", jitter));
    let given = Some(options).filter(|options| !options.is_empty());
    given
        .into_iter()
        .chain(jitter)
        .collect::<Vec<_>>()
        .join(" ")
}

/// An option as a shell takes it.
pub fn option(name: &str, value: &str) -> String {
    // What can't be quoted is shown as it is.
    match shlex::try_quote(value) {
        Ok(quoted) => format!("{name} {quoted}"),
        Err(_) => format!("{name} {value}"),
    }
}

/// The cases that warned, then those that failed, the likely cause first. `server` is what reaches the
/// server on a command line.
pub fn failures_text(report: &Report, server: &str) -> String {
    let rows = broken::of(report);
    let named: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.cases.iter().map(|named| named.case))
        .collect();
    let place = |case: &CaseReport| match case.verdict {
        Verdict::Warn => None,
        _ => named
            .iter()
            .position(|id| *id == case.id)
            .or(Some(usize::MAX)),
    };
    let is_told = |case: &&CaseReport| {
        let told = [Verdict::Warn, Verdict::Fail, Verdict::Error].contains(&case.verdict);
        told && case.known.is_none() && !is_not_played(case)
    };
    let mut told: Vec<&CaseReport> = report.cases.iter().filter(is_told).collect();
    told.sort_by_cached_key(|case| place(case));
    let mut text = String::new();
    for case in told {
        let lead = match case.verdict {
            Verdict::Warn => "warning: ",
            _ => "",
        };
        let _ = writeln!(text, "\n{lead}{}", case_text(case, server));
    }
    text
}

/// Whether something else kept the case from being played.
pub fn is_not_played(case: &CaseReport) -> bool {
    let message = case.message.as_deref();
    message.is_some_and(|message| message.starts_with(NOT_PLAYED))
}

/// The last lines of a run: what is broken, and a count for each verdict.
pub fn summary_text(report: &Report) -> String {
    let mut text = String::new();
    repeated(&mut text, report);
    failed_servers(&mut text, report);
    broken(&mut text, report);
    not_played(&mut text, report);
    let summary = &report.summary;
    let counts = [
        (summary.pass, "passed", ""),
        (summary.fail, "failed", "the server broke a MUST"),
        (summary.warn, "warned", "the server broke a SHOULD"),
        (
            summary.not_applicable,
            "not applicable",
            "the server does not offer the profile",
        ),
        (
            summary.untestable,
            "untestable",
            "the case could not be brought about here",
        ),
        (
            summary.error,
            "errors",
            "the harness failed; nothing is said of the server",
        ),
    ];
    text.push('\n');
    for (count, verdict, meaning) in counts {
        if count > 0 || verdict == "passed" {
            let meaning = if meaning.is_empty() {
                String::new()
            } else {
                format!("  ({meaning})")
            };
            let _ = writeln!(text, "{count:>5} {verdict}{meaning}");
        }
    }
    let known = known(report);
    if known > 0 {
        let _ = writeln!(text, "      {known} of these as expected (--expect)");
    }
    if !report.profiles.is_empty() {
        let names: Vec<_> = report
            .profiles
            .iter()
            .map(|profile| profile.name())
            .collect();
        let _ = writeln!(
            text,
            "      the server offers the profiles: {}",
            names.join(", ")
        );
    }
    let _ = writeln!(
        text,
        "{:>5}.{} s against {}",
        report.duration_ms / 1000,
        report.duration_ms % 1000 / 100,
        report.target
    );
    if let Some(jitter) = &report.jitter {
        let _ = writeln!(
            text,
            "        with bytes that came late, by --jitter {jitter}"
        );
    }
    text
}

/// The requirements that cases name first, the likely cause at the top: where to begin.
fn broken(text: &mut String, report: &Report) {
    let rows = broken::of(report);
    if rows.is_empty() {
        return;
    }
    text.push_str("\nbroken, with the number of cases and the one to begin with:\n");
    for row in rows.iter().take(SHOWN_BROKEN) {
        let count = row.cases.len();
        let _ = writeln!(
            text,
            "  {count:>4}  {:<28} {}",
            row.requirement, row.cases[0].case
        );
    }
    if rows.len() > SHOWN_BROKEN {
        let _ = writeln!(text, "        and {} more", rows.len() - SHOWN_BROKEN);
    }
}

/// The rates of failures of the cases that failed at least once, the most frequent first.
fn repeated(text: &mut String, report: &Report) {
    let cases = report.cases.iter();
    let mut rows: Vec<(&str, Repeats)> = cases
        .filter_map(|case| Some((case.id.as_str(), case.repeats?)))
        .filter(|(_, repeats)| repeats.failed + repeats.warned > 0)
        .collect();
    rows.sort_by_key(|(_, repeats)| std::cmp::Reverse((repeats.failed, repeats.warned)));
    let Some(width) = rows.iter().map(|(id, _)| id.len()).max() else {
        return;
    };
    text.push_str("\nnot passed every time:\n");
    for (
        id,
        Repeats {
            played,
            failed,
            warned,
        },
    ) in rows
    {
        let _ = write!(text, "  {id:<width$}  {failed} of {played} failed");
        let _ = match warned {
            0 => writeln!(text),
            warned => writeln!(text, ", {warned} warned"),
        };
    }
}

/// Why cases were not played, once a reason.
fn not_played(text: &mut String, report: &Report) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &report.cases {
        if let Some(message) = &case.message
            && is_not_played(case)
        {
            *reasons.entry(message).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        let _ = writeln!(text, "\n{count} of the cases:");
        reason.lines().for_each(|line| wrapped(text, "  ", line));
    }
}

/// How a server that failed as a whole ended, and its last words.
fn exit_text(text: &mut String, exit: &ServerExit) {
    let what = match exit.why {
        ExitReason::Hung => "The server stopped answering".to_owned(),
        _ => format!("The server ended by itself ({})", exit.status),
    };
    let (name, said) = match exit.stderr_tail.is_empty() {
        true => ("stdout", &exit.stdout_tail),
        false => ("stderr", &exit.stderr_tail),
    };
    text.push('\n');
    if said.is_empty() {
        wrapped(text, "  ", &format!("{what}, without a word."));
        return;
    }
    wrapped(
        text,
        "  ",
        &format!("{what}. The last lines of its {name}:"),
    );
    for line in &said[said.len().saturating_sub(SHOWN_LINES)..] {
        for part in chunks(line, WIDTH - 4) {
            let _ = writeln!(text, "    {part}");
        }
    }
}

/// The servers that the suite has started and that failed as a whole, or did not end in time.
fn failed_servers(text: &mut String, report: &Report) {
    let exits = report.server.iter().flat_map(|server| &server.exits);
    for exit in exits.clone().filter(|exit| exit.why.is_failure()) {
        let _ = match exit.cases.len() {
            0 => writeln!(text, "\nBetween two cases:"),
            1..=3 => writeln!(text, "\nIn {}:", exit.cases.join(", ")),
            more => writeln!(
                text,
                "\nIn {} and {} more:",
                exit.cases[..3].join(", "),
                more - 3
            ),
        };
        exit_text(text, exit);
    }
    let overdue = exits.filter(|exit| exit.why == ExitReason::Overdue).count();
    if overdue > 0 {
        let words = format!(
            "{overdue} times the server did not end within 10 s of SIGTERM and was killed."
        );
        text.push('\n');
        wrapped(text, "", &words);
    }
}

/// What each requirement came to, a line each.
pub fn requirements_text(report: &Report) -> String {
    let mut text = String::from("\nrequirements:\n");
    for found in &report.requirements {
        let verdict = match found.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Warn => "warn",
            Verdict::NotApplicable | Verdict::Untestable | Verdict::Error => "-",
        };
        let _ = writeln!(
            text,
            "  {verdict:<4} {} ({} cases)",
            found.id,
            found.cases.len()
        );
    }
    text
}

/// The figures that cases have taken; nothing where there are none.
pub fn measurements_text(report: &Report) -> String {
    let mut text = String::new();
    for case in report
        .cases
        .iter()
        .filter(|case| !case.measurements.is_empty())
    {
        let _ = writeln!(text, "\nmeasured in {}:", case.id);
        for found in &case.measurements {
            let (value, unit) = match found.unit.as_str() {
                "bytes" => (found.value >> 20, "MiB"),
                "µs" => (found.value / 1_000, "ms"),
                unit => (found.value, unit),
            };
            let _ = writeln!(text, "  {value:>6} {unit}  {}", found.name);
        }
    }
    text
}

fn breach_text(text: &mut String, breach: &Breach) {
    text.push('\n');
    match requirement::find(&breach.requirement) {
        Some(found) => {
            let _ = writeln!(
                text,
                "  [{}] spec/{}:{}",
                breach.requirement, found.file, found.line
            );
            wrapped(text, "  | ", &found.sentence);
        }
        None => {
            let _ = writeln!(
                text,
                "  [{}] (not in the specification)",
                breach.requirement
            );
        }
    }
    wrapped(text, "  ", &breach.what);
    match (&breach.expected, &breach.got) {
        (Some(expected), Some(got)) => compared(text, expected, got),
        (Some(expected), None) => labelled(text, "expected: ", expected),
        (None, Some(got)) => labelled(text, "got:      ", got),
        (None, None) => {}
    }
}

/// Expected above got, and under them where they begin to differ.
fn compared(text: &mut String, expected: &str, got: &str) {
    labelled(text, "expected: ", expected);
    labelled(text, "got:      ", got);
}

fn labelled(text: &mut String, label: &str, value: &str) {
    let indent = " ".repeat(label.chars().count() + 2);
    let mut first = true;
    for line in value.lines() {
        for part in chunks(line, WIDTH - indent.len()) {
            let lead = if first {
                format!("  {label}")
            } else {
                indent.clone()
            };
            let _ = writeln!(text, "{lead}{part}");
            first = false;
        }
    }
}

pub(crate) fn wrapped(text: &mut String, indent: &str, words: &str) {
    let room = WIDTH - indent.chars().count();
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            let _ = writeln!(text, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        while line.chars().count() > room {
            let rest = line.split_off(
                line.char_indices()
                    .nth(room)
                    .map_or(line.len(), |(at, _)| at),
            );
            let _ = writeln!(text, "{indent}{line}");
            line = rest;
        }
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{indent}{line}");
    }
}

fn chunks(line: &str, room: usize) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    chars
        .chunks(room.max(1))
        .map(|part| part.iter().collect())
        .collect()
}
