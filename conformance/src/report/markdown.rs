//! A report as Markdown, short enough for a comment on a pull request.

use std::fmt::Write as _;

use collab_spec::report::{CaseReport, Report, Verdict};
use collab_spec::requirement;

use super::broken::{self, Broken};
use super::failure_text;

/// How many broken requirements the table has.
const SHOWN_BROKEN: usize = 20;

/// How many cases are told in full, and how long each of them may be, in characters. GitHub takes 65,536
/// characters in a comment.
const SHOWN_CASES: usize = 6;
const CASE_LENGTH: usize = 6_000;

/// The report as Markdown.
pub fn write(report: &Report) -> String {
    let summary = &report.summary;
    let mut text = format!(
        "### {}: {}\n\n`{}`, {:.1} s, {} {}\n\n",
        report.suite.name,
        super::outcome(report),
        code(&report.target),
        report.duration_ms as f64 / 1000.0,
        report.suite.name,
        report.suite.version,
    );
    text.push_str("| passed | failed | warned | not applicable | untestable | errors |\n");
    text.push_str("|--:|--:|--:|--:|--:|--:|\n");
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} |",
        summary.pass,
        summary.fail,
        summary.warn,
        summary.not_applicable,
        summary.untestable,
        summary.error
    );
    let rows = broken::of(report);
    requirements(&mut text, &rows);
    cases(&mut text, report, &rows);
    text
}

fn requirements(text: &mut String, rows: &[Broken<'_>]) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\nBroken, the likely cause first:\n\n| requirement | cases | begin with |\n|---|--:|---|\n");
    for row in rows.iter().take(SHOWN_BROKEN) {
        let sentence = requirement::find(row.requirement).map(|found| cell(&found.sentence));
        let _ = writeln!(
            text,
            "| `{}`: {} | {} | `{}` |",
            row.requirement,
            sentence.unwrap_or_default(),
            row.cases.len(),
            row.cases[0].case
        );
    }
    if rows.len() > SHOWN_BROKEN {
        let _ = writeln!(text, "\nand {} more", rows.len() - SHOWN_BROKEN);
    }
}

fn cases(text: &mut String, report: &Report, rows: &[Broken<'_>]) {
    let first = rows.iter().map(|row| row.cases[0].case);
    let named = first.filter_map(|id| report.cases.iter().find(|case| case.id == id));
    let is_other = |case: &&CaseReport| match case.verdict {
        _ if case.known.is_some() => false,
        Verdict::Error => true,
        Verdict::Fail => case.breaches.is_empty(),
        _ => false,
    };
    let others = report.cases.iter().filter(is_other);
    for case in named.chain(others).take(SHOWN_CASES) {
        let details = super::cut(&failure_text(case), CASE_LENGTH);
        // A fence longer than any in what it holds.
        let fence = "`".repeat(longest_run(&details).max(2) + 1);
        let _ = write!(
            text,
            "\n<details><summary><code>{}</code></summary>\n\n{fence}text\n{}\n{fence}\n\n</details>\n",
            html(&case.id),
            details.trim_end()
        );
    }
}

/// Text within a table's cell.
fn cell(text: &str) -> String {
    let one_line = html(text).split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.replace('|', "\\|").replace('[', "\\[")
}

/// Text between backticks.
fn code(text: &str) -> String {
    text.replace('`', "'")
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The length of the longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
