//! What the suite has, in words: its cases, the requirements, and what stands behind each.

use std::fmt::Write as _;

use collab_spec::requirement::{self, Level, Requirement};
use collab_spec::scenario::{BytesKind, Step};
use serde_json::json;

use crate::case::{Case, Source};
use crate::{monitor, player};

/// Every case: id, profile and title, a line each.
pub fn cases(cases: &[Case]) -> String {
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    cases.iter().fold(String::new(), |mut text, case| {
        let _ = writeln!(
            text,
            "{:<width$}  {}  {}",
            case.id, case.profile, case.title
        );
        text
    })
}

/// Every requirement with its level and its cases.
pub fn requirements(cases: &[Case]) -> String {
    let mut text = String::new();
    for requirement in requirement::requirements() {
        let _ = writeln!(text, "{} ({})", requirement.id, level(requirement.level));
        for case in cases_of(requirement, cases) {
            let _ = writeln!(text, "    {}", case.id);
        }
        if monitor::WATCHED.contains(&requirement.id.as_str()) {
            text.push_str("    (watched in every case)\n");
        }
        if let Some(why) = &requirement.untestable {
            let _ = writeln!(text, "    untestable: {why}");
        }
    }
    text
}

/// What stands behind a requirement's or a case's id.
///
/// Errors: an id that is neither, with what is close to it.
pub fn explain(id: &str, cases: &[Case]) -> Result<String, String> {
    let id = id.trim_start_matches('[').trim_end_matches(']');
    if let Some(requirement) = requirement::find(id) {
        return Ok(explain_requirement(requirement, cases));
    }
    if let Some(case) = cases.iter().find(|case| case.id == id) {
        return Ok(explain_case(case));
    }
    let known = requirement::requirements()
        .iter()
        .map(|requirement| requirement.id.as_str());
    let close: Vec<&str> = known
        .chain(cases.iter().map(|case| case.id.as_str()))
        .filter(|known| known.contains(id))
        .take(5)
        .collect();
    let hint = if close.is_empty() {
        "`list` names the cases, `list --requirements` the requirements".to_owned()
    } else {
        format!("is it one of: {}?", close.join(", "))
    };
    Err(format!("`{id}` is no requirement and no case; {hint}"))
}

fn explain_requirement(requirement: &Requirement, cases: &[Case]) -> String {
    let mut text = format!(
        "[{}] {}, spec/{}:{}\n\n",
        requirement.id,
        level(requirement.level),
        requirement.file,
        requirement.line
    );
    crate::report::wrapped(&mut text, "  ", &requirement.sentence);
    if let Some(why) = &requirement.untestable {
        text.push('\n');
        crate::report::wrapped(&mut text, "  ", &format!("No case can test it: {why}."));
    }
    let testing: Vec<_> = cases_of(requirement, cases).collect();
    if !testing.is_empty() {
        text.push_str("\nCases:\n");
    }
    for case in testing {
        let _ = writeln!(text, "  {}\n      {}", case.id, case.title);
    }
    if monitor::WATCHED.contains(&requirement.id.as_str()) {
        text.push_str("\nThe monitors watch it in every case.\n");
    }
    text
}

fn explain_case(case: &Case) -> String {
    let mut text = format!(
        "{} ({})\n  {}\n\nRequirements:\n",
        case.id, case.profile, case.title
    );
    for id in &case.requirements {
        let sentence =
            requirement::find(id).map_or("(not in the specification)", |found| &found.sentence);
        let _ = writeln!(text, "  [{id}]");
        crate::report::wrapped(&mut text, "      ", sentence);
    }
    match &case.source {
        Source::Code(file) => {
            // Of a path outside of the workspace, only what is the package's.
            let file = file.rfind("src").map_or(*file, |at| &file[at..]);
            let _ = writeln!(text, "\nThe case is code, in conformance/{file}.");
        }
        Source::Frame(row) => {
            let verdict = if row.valid {
                "valid"
            } else {
                "invalid: the server closes with 1002"
            };
            let _ = writeln!(text, "\nThe frame ({verdict}):\n  {}", row.text);
        }
        Source::Scenario(scenario) => {
            let _ = writeln!(text, "\nThe steps, of spec/scenarios/{}.json:", scenario.id);
            for (index, step) in scenario.steps.iter().enumerate() {
                let _ = writeln!(text, "  {:>2} {}", index + 1, step_line(step));
            }
        }
    }
    text
}

/// A step in one line, as the frames of the specification's examples are written.
fn step_line(step: &Step) -> String {
    let name = player::name(step);
    match step {
        Step::Connect { on, .. } => format!("{name} {}", on.names().join(", ")),
        Step::Join {
            on,
            head,
            text,
            capabilities,
            ..
        } => {
            let names: Vec<_> = capabilities.iter().map(|profile| profile.name()).collect();
            let with = if names.is_empty() {
                String::new()
            } else {
                format!(" with {}", names.join(", "))
            };
            format!("{name} {on}{with}: head {head}, text {text:?}")
        }
        Step::Send { on, frame, .. } => format!("{on} > {frame}"),
        Step::SendText { on, text } => format!("{on} > (text) {text}"),
        Step::SendFragments { on, fragments } => format!("{on} > (fragments) {}", json!(fragments)),
        Step::SendBytes { on, kind, hex } => {
            let kind = if *kind == BytesKind::Text {
                "text"
            } else {
                "binary"
            };
            format!("{on} > ({kind} bytes) {hex}")
        }
        Step::Expect { on, frame, .. } => format!("{} < {frame}", on.names().join(", ")),
        Step::ExpectUnordered { on, frames, .. } => {
            format!(
                "{} < (in any order) {}",
                on.names().join(", "),
                json!(frames)
            )
        }
        Step::ExpectClose { on, codes, .. } => format!("{on} < close {codes:?}"),
        Step::Barrier { via, on, .. } => {
            format!(
                "{name} via {via}: nothing else came on {}",
                on.names().join(", ")
            )
        }
        Step::Disconnect { on }
        | Step::Drop { on }
        | Step::StopReading { on }
        | Step::ResumeReading { on } => format!("{name} {on}"),
        Step::Get { path, status, body } => {
            let body = body
                .as_ref()
                .map_or_else(String::new, |body| format!(" {body}"));
            format!("GET {path}: {status}{body}")
        }
    }
}

fn cases_of<'a>(requirement: &'a Requirement, cases: &'a [Case]) -> impl Iterator<Item = &'a Case> {
    cases
        .iter()
        .filter(|case| case.requirements.contains(&requirement.id))
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}
