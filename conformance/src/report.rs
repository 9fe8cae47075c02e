//! A report in words, 80 columns wide, for someone who did not write the suite.
//!
//! Everything here is made from the report's data alone.

pub mod badge;
pub mod broken;
mod failure;
pub mod html;
pub mod junit;
mod log;
pub mod markdown;
mod summary;
pub mod tap;

pub(crate) use failure::captured_text;
pub(crate) use failure::wrapped;
pub use failure::{case_text, failure_text, failures_text, frames_text};
pub use summary::{areas_text, line, measurements_text, one_line, requirements_text, summary_text};

use std::collections::BTreeMap;

use collab_spec::report::{
    CaseReport, ExitReason, Report, ServerExit, ServerReport, Suite, Verdict,
};

use crate::runner::NOT_PLAYED;

/// The width of all output.
const WIDTH: usize = 80;

/// How many broken requirements the summary names.
pub(crate) const SHOWN_BROKEN: usize = 15;

/// How many breaches of one case are written out.
const SHOWN_BREACHES: usize = 5;

/// How much of a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What is needed to see the fault.
    Brief,
    /// All there is.
    Whole,
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

/// Whether a case went wrong, and says something by itself.
pub fn is_wrong(case: &CaseReport) -> bool {
    let wrong = [Verdict::Fail, Verdict::Warn, Verdict::Error].contains(&case.verdict);
    wrong && !is_not_played(case)
}

/// Whether a case went wrong, by itself and other than a list of known failures has it.
pub fn is_news(case: &CaseReport) -> bool {
    is_wrong(case) && case.known.is_none()
}

/// Why cases ended as they did, and how many for each reason.
fn reasons(report: &Report, is_meant: impl Fn(&CaseReport) -> bool) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for case in report.cases.iter().filter(|case| is_meant(case)) {
        let reason = case.message.as_deref().unwrap_or_default();
        *reasons.entry(reason).or_default() += 1;
    }
    reasons
}

/// How a server ended that failed as a whole.
fn end_words(exit: &ServerExit) -> String {
    match exit.why {
        ExitReason::Hung => "The server stopped answering".to_owned(),
        _ => format!("The server ended by itself ({})", exit.status),
    }
}

/// The last lines of a server, and where it wrote them.
fn last_words(exit: &ServerExit) -> (&'static str, &[String]) {
    match exit.stderr_tail.is_empty() {
        true => ("stdout", &exit.stdout_tail),
        false => ("stderr", &exit.stderr_tail),
    }
}

/// This suite.
pub(crate) fn suite() -> Suite {
    Suite {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Whether something else kept the case from being played.
pub fn is_not_played(case: &CaseReport) -> bool {
    let message = case.message.as_deref();
    message.is_some_and(|message| message.starts_with(NOT_PLAYED))
}
