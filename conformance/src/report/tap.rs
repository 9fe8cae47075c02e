//! A report in the Test Anything Protocol, version 13: Perl's `prove` reads no later one.

use std::fmt::Write as _;

use collab_spec::report::{CaseReport, Report, Verdict};
use serde_json::json;

use super::{failure_text, headline, why_not_tested};

/// The report as TAP, a test point for each case.
pub fn write(report: &Report) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", report.cases.len());
    for (case, number) in report.cases.iter().zip(1..) {
        let word = match case.verdict {
            Verdict::Fail | Verdict::Error => "not ok",
            _ => "ok",
        };
        let _ = write!(text, "{word} {number} - {}", escaped(&case.id));
        if matches!(case.verdict, Verdict::NotApplicable | Verdict::Untestable) {
            let _ = write!(text, " # SKIP {}", escaped(&why_not_tested(case)));
        }
        let failed = word == "not ok";
        if let Some(reason) = case.known.as_ref().filter(|_| failed) {
            // A test point that is not ok, and of which that is known.
            let _ = write!(text, " # TODO {}", escaped(reason));
        }
        text.push('\n');
        diagnose(&mut text, case);
    }
    text
}

/// What went wrong, as a YAML block; its values are written as JSON, which is YAML.
fn diagnose(text: &mut String, case: &CaseReport) {
    let severity = match case.verdict {
        Verdict::Warn => "warning",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        _ => return,
    };
    let mut values = vec![
        ("message", json!(headline(case))),
        ("severity", json!(severity)),
    ];
    if let Some(breach) = case.breaches.first() {
        values.push(("requirement", json!(breach.requirement)));
        let sides = [("expected", &breach.expected), ("actual", &breach.got)];
        let sides = sides
            .into_iter()
            .filter_map(|(key, side)| Some((key, json!(side.as_ref()?))));
        values.extend(sides);
    }
    values.push(("details", json!(failure_text(case))));
    text.push_str("  ---\n");
    for (key, value) in values {
        let _ = writeln!(text, "  {key}: {value}");
    }
    text.push_str("  ...\n");
}

/// Text in a line of TAP, in which a hash begins a directive.
fn escaped(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.replace('\\', "\\\\").replace('#', "\\#")
}
