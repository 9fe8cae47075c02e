//! A report in words, 80 columns wide, for someone who did not write the suite.
//!
//! Everything here is made from the report's data alone.

mod log;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use collab_spec::report::{Breach, CaseReport, Report, Verdict};
use collab_spec::requirement;

/// The width of all output.
const WIDTH: usize = 80;

/// How many broken requirements the summary names.
const SHOWN_BROKEN: usize = 15;

/// How many breaches of one case are written out.
const SHOWN_BREACHES: usize = 5;

/// What went wrong in a case: the requirement, what was expected and what came, the log of the
/// wire, and the command that plays the case alone.
pub fn case_text(case: &CaseReport, url: &str) -> String {
    let mut text = failure_text(case);
    alone(&mut text, &command(&case.id, url));
    text
}

/// As [`case_text`], of a case that was read from a file.
pub fn file_text(case: &CaseReport, file: &str, url: &str) -> String {
    let mut text = failure_text(case);
    let url = match url {
        "" => String::new(),
        url => format!(" --url {url}"),
    };
    alone(
        &mut text,
        &format!("collab-conformance run{url} --scenario {file}"),
    );
    text
}

fn alone(text: &mut String, command: &str) {
    let _ = write!(text, "\n  To play it alone:\n    {command}\n");
}

/// As [`case_text`], without the command.
pub fn failure_text(case: &CaseReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", case.id, case.title);
    if case.breaches.is_empty() {
        let message = case.message.as_deref().unwrap_or("without words");
        let lead = if case.verdict == Verdict::Error {
            "the harness failed: "
        } else {
            ""
        };
        wrapped(&mut text, "  ", &format!("{lead}{message}"));
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
    if !case.frames.is_empty() {
        log::write(&mut text, case);
    }
    text
}

/// The command that plays one case alone; against the built-in server where there is no URL.
pub fn command(id: &str, url: &str) -> String {
    match url {
        "" => format!("collab-conformance run --exact {id}"),
        url => format!("collab-conformance run --url {url} --exact {id}"),
    }
}

/// The last lines of a run: what was warned of, and a count for each verdict.
pub fn summary_text(report: &Report) -> String {
    let mut text = String::new();
    let warned = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Warn);
    for case in warned {
        let _ = write!(text, "\nwarning: {}", case_text(case, &report.target));
    }
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
    text
}

/// The requirements that cases saw broken first, the shortest case of each: where to begin.
fn broken(text: &mut String, report: &Report) {
    let mut by_requirement: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
    let failed = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail);
    for case in failed {
        if let Some(breach) = case.breaches.first() {
            by_requirement
                .entry(&breach.requirement)
                .or_default()
                .push(case);
        }
    }
    let mut rows: Vec<(&CaseReport, &str, usize)> = by_requirement
        .into_iter()
        .filter_map(|(requirement, cases)| {
            let shortest = cases.iter().min_by_key(|case| case.frames.len())?;
            Some((*shortest, requirement, cases.len()))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(case, _, count)| (std::cmp::Reverse(*count), case.frames.len()));
    text.push_str("\nbroken, with the number of cases and the shortest one, to begin with:\n");
    for (case, requirement, count) in rows.iter().take(SHOWN_BROKEN) {
        let _ = writeln!(text, "  {count:>4}  {requirement:<28} {}", case.id);
    }
    if rows.len() > SHOWN_BROKEN {
        let _ = writeln!(text, "        and {} more", rows.len() - SHOWN_BROKEN);
    }
}

/// Why cases were not played, once a reason.
fn not_played(text: &mut String, report: &Report) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &report.cases {
        if case.verdict == Verdict::Fail && case.breaches.is_empty() {
            let reason = case.message.as_deref().unwrap_or("not played");
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        let _ = writeln!(text, "\n{count} of the failed:");
        wrapped(text, "  ", reason);
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
