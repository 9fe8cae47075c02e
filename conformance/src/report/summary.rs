//! The last lines of a run: how it stands, by area and by requirement.

use std::fmt::Write as _;

use collab_spec::report::{CaseReport, ExitReason, Repeats, Report, Verdict};

use super::failure::{exit_text, wrapped};
use super::{
    SHOWN_BROKEN, WIDTH, area, broken, headline, is_not_played, known, outcome, reasons,
    why_not_tested,
};

/// What the areas are counted by, and the word above the column.
const COLUMNS: [(Verdict, &str); 6] = [
    (Verdict::Pass, "pass"),
    (Verdict::Warn, "warn"),
    (Verdict::Fail, "FAIL"),
    (Verdict::Error, "error"),
    (Verdict::NotApplicable, "n/a"),
    (Verdict::Untestable, "untestable"),
];

/// A case in one line: its verdict, its id, and in a few words what went wrong.
pub fn line(case: &CaseReport) -> String {
    let (verdict, words) = match (case.verdict, &case.known) {
        (verdict, Some(reason)) => (word(verdict), format!("known to fail: {reason}")),
        (Verdict::Pass, None) => ("pass", format!("{} ms", case.duration_ms)),
        (Verdict::NotApplicable | Verdict::Untestable, None) => {
            (word(case.verdict), why_not_tested(case))
        }
        (verdict, None) => (word(verdict), headline(case)),
    };
    let line = format!("{verdict:<4} {}  {words}", case.id);
    let mut line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if let Some((at, _)) = line.char_indices().nth(WIDTH - 1)
        && line.chars().count() > WIDTH
    {
        line.truncate(at);
        line.push('…');
    }
    line + "\n"
}

fn word(verdict: Verdict) -> &'static str {
    let column = COLUMNS.iter().find(|(column, _)| *column == verdict);
    column.map_or("", |(_, word)| word)
}

/// The cases of each area, counted by what came of them; verdicts that nobody has are left out.
pub fn areas_text(report: &Report) -> String {
    let mut areas: Vec<(&str, Vec<&CaseReport>)> = Vec::new();
    for case in &report.cases {
        let name = area(&case.id);
        match areas.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cases)) => cases.push(case),
            None => areas.push((name, vec![case])),
        }
    }
    let columns: Vec<_> = COLUMNS
        .into_iter()
        .filter(|(verdict, _)| {
            let has = |case: &CaseReport| case.verdict == *verdict;
            *verdict == Verdict::Pass || report.cases.iter().any(has)
        })
        .collect();
    let width = areas.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0).max("area".len());
    let mut text = format!("\n      {:<width$}", "area");
    for (_, word) in &columns {
        let _ = write!(text, "  {word:>5}");
    }
    text.push('\n');
    for (name, cases) in areas {
        let has = |verdict: Verdict| cases.iter().any(|case| case.verdict == verdict);
        let lead = match () {
            () if has(Verdict::Fail) || has(Verdict::Error) => "FAIL",
            () if has(Verdict::Warn) => "warn",
            () => "",
        };
        let mut row = format!("{name:<width$}");
        for (verdict, word) in &columns {
            let count = cases.iter().filter(|case| case.verdict == *verdict).count();
            let column = word.len().max(5);
            let _ = match count {
                0 => write!(row, "  {:>column$}", "."),
                count => write!(row, "  {count:>column$}"),
            };
        }
        let _ = writeln!(text, "{lead:<4}  {row}");
    }
    text
}

/// The last lines of a run: what is broken, and a count for each verdict.
pub fn summary_text(report: &Report) -> String {
    let mut text = String::new();
    repeated(&mut text, report);
    failed_servers(&mut text, report);
    broken(&mut text, report);
    not_tested(&mut text, report);
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

/// What there is to say of a run in which all went well.
pub fn one_line(report: &Report) -> String {
    let seconds = report.duration_ms as f64 / 1_000.0;
    format!(
        "{} in {seconds:.1} s against {}\n",
        outcome(report),
        report.target
    )
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

/// Why cases were not played, or could not be brought about, once a reason.
fn not_tested(text: &mut String, report: &Report) {
    let is_untestable = |case: &CaseReport| case.verdict == Verdict::Untestable;
    let not_played = reasons(report, is_not_played).into_iter();
    for (reason, count) in not_played.chain(reasons(report, is_untestable)) {
        let _ = writeln!(text, "\n{count} of the cases:");
        reason.lines().for_each(|line| wrapped(text, "  ", line));
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
