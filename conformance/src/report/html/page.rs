//! What a page is made of: reports as columns, requirements by section, and the frame round everything.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collab_spec::report::{CaseReport, Report, RequirementReport, Verdict};
use collab_spec::requirement::{self, DOCUMENTS, Requirement};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Implementation;
use super::words::{Mark, place, seen};
use crate::report::broken::{self, Broken};
use crate::report::is_wrong;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How many cases are shown with all their frames, of all implementations together; a page has to stay
/// usable where a server fails everything.
const WHOLE: usize = 90;

/// The section of what the specification does not have.
const ELSEWHERE: &str = "Not in this suite's specification";

/// One or several reports, sorted.
pub(super) struct Page<'a> {
    /// The reports, beside each other.
    pub(super) columns: Vec<Column<'a>>,
    /// The requirements, in the order of the specification.
    pub(super) sections: Vec<Section<'a>>,
    /// The cases that went wrong somewhere, those to begin with first.
    pub(super) told: Vec<&'a str>,
}

/// One report.
pub(super) struct Column<'a> {
    /// The implementation's name, as it can be looked at.
    pub(super) name: String,
    /// The report.
    pub(super) report: &'a Report,
    /// What it found broken, the likely cause first.
    pub(super) broken: Vec<Broken<'a>>,
    cases: BTreeMap<&'a str, &'a CaseReport>,
    requirements: BTreeMap<&'a str, &'a RequirementReport>,
    /// The cases that are shown with all their frames.
    whole: BTreeSet<&'a str>,
}

/// A section of the specification.
pub(super) struct Section<'a> {
    /// The document that it is in.
    pub(super) file: &'a str,
    /// Its heading.
    pub(super) title: &'a str,
    /// Its requirements.
    pub(super) rows: Vec<Row<'a>>,
}

/// A requirement that a report speaks of, or that the specification has.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// What the specification says, where it knows it.
    pub(super) requirement: Option<&'a Requirement>,
}

impl Section<'_> {
    /// Its heading, with the document where that is not the protocol's own.
    pub(super) fn name(&self) -> String {
        let title = self.title.replace('`', "");
        let document = self.file.trim_end_matches(".md").to_uppercase();
        match self.file {
            "" => title,
            file if file == DOCUMENTS[0].0 => title,
            _ => format!("{document}, {title}"),
        }
    }
}

impl<'a> Page<'a> {
    pub(super) fn new(implementations: &'a [Implementation]) -> Self {
        let mut columns: Vec<Column<'_>> = implementations.iter().map(Column::new).collect();
        share(&mut columns);
        let sections = sections(&columns);
        let told = told(&columns);
        Self {
            columns,
            sections,
            told,
        }
    }

    /// Every requirement.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row<'a>> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// Whether there is anything to compare.
    pub(super) fn is_comparison(&self) -> bool {
        self.columns.len() > 1
    }

    /// A column's name where there are others, else nothing.
    pub(super) fn whose<'c>(&self, column: &'c Column<'_>) -> &'c str {
        if self.is_comparison() {
            &column.name
        } else {
            ""
        }
    }

    /// The cases that speak of a requirement, in the order of the first report that has them.
    pub(super) fn cases_of(&self, id: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for column in &self.columns {
            let of = |case: &&CaseReport| {
                case.requirements.iter().any(|tested| tested == id)
                    || case.breaches.iter().any(|breach| breach.requirement == id)
            };
            for case in column.report.cases.iter().filter(of) {
                if seen.insert(case.id.as_str()) {
                    found.push(case.id.as_str());
                }
            }
        }
        found
    }

    /// Whether a case has a place of its own on the page.
    pub(super) fn is_told(&self, case: &str) -> bool {
        self.told.contains(&case)
    }
}

impl<'a> Column<'a> {
    fn new(one: &'a Implementation) -> Self {
        let report = &one.report;
        let cases = report.cases.iter().map(|case| (case.id.as_str(), case));
        let found = report.requirements.iter();
        Self {
            name: seen(&one.name),
            report,
            broken: broken::of(report),
            cases: cases.collect(),
            requirements: found.map(|found| (found.id.as_str(), found)).collect(),
            whole: BTreeSet::new(),
        }
    }

    pub(super) fn case(&self, id: &str) -> Option<&'a CaseReport> {
        self.cases.get(id).copied()
    }

    /// The verdict on a requirement.
    pub(super) fn verdict(&self, id: &str) -> Option<Verdict> {
        self.requirements.get(id).map(|found| found.verdict)
    }

    /// The verdict on a requirement, as it is shown.
    pub(super) fn mark(&self, id: &str) -> Mark {
        let found = self.requirements.get(id).copied();
        let is_unclear = found.is_some_and(|found| {
            let mut cases = found.cases.iter().filter_map(|id| self.case(id));
            found.verdict == Verdict::Untestable && cases.any(is_wrong)
        });
        match is_unclear {
            true => Mark::UNCLEAR,
            false => Mark::of(found.map(|found| found.verdict)),
        }
    }

    pub(super) fn is_whole(&self, id: &str) -> bool {
        self.whole.contains(id)
    }
}

/// Says which cases are shown whole: of each implementation the first, then the second, and so on.
fn share(columns: &mut [Column<'_>]) {
    let ranked: Vec<Vec<&str>> = columns
        .iter()
        .map(|column| ranked(column.report, &column.broken))
        .collect();
    let longest = ranked.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| (0..ranked.len()).map(move |at| (at, turn)));
    let chosen = turns.filter_map(|(at, turn)| Some((at, *ranked[at].get(turn)?)));
    for (at, case) in chosen.take(WHOLE) {
        columns[at].whole.insert(case);
    }
}

/// The cases that went wrong: the first of each broken requirement, then the second of each, and so on.
fn ranked<'a>(report: &'a Report, broken: &[Broken<'a>]) -> Vec<&'a str> {
    let longest = broken.iter().map(|row| row.cases.len()).max().unwrap_or(0);
    let mut order: Vec<&str> = Vec::new();
    for turn in 0..longest {
        let cases = broken.iter().filter_map(|row| row.cases.get(turn));
        order.extend(cases.map(|named| named.case));
    }
    let ranked: BTreeSet<&str> = order.iter().copied().collect();
    let others = report.cases.iter().filter(|case| is_wrong(case));
    let others = others.map(|case| case.id.as_str());
    order.extend(others.filter(|id| !ranked.contains(id)));
    order
}

fn told<'a>(columns: &[Column<'a>]) -> Vec<&'a str> {
    let mut told = Vec::new();
    let mut seen = BTreeSet::new();
    for column in columns {
        // By what is broken, so that cases of one cause stand together.
        let rows = column.broken.iter();
        let first = rows.flat_map(|row| row.cases.iter().map(|named| named.case));
        for case in first.chain(ranked(column.report, &column.broken)) {
            if seen.insert(case) {
                told.push(case);
            }
        }
    }
    told
}

fn sections<'a>(columns: &[Column<'a>]) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for requirement in requirement::requirements() {
        let title = heading(requirement);
        let file = requirement.file;
        if sections
            .last()
            .is_none_or(|last| (last.file, last.title) != (file, title))
        {
            let rows = Vec::new();
            sections.push(Section { file, title, rows });
        }
        let row = Row {
            id: &requirement.id,
            requirement: Some(requirement),
        };
        sections.last_mut().expect("one was added").rows.push(row);
    }
    let unknown: BTreeSet<&str> = columns
        .iter()
        .flat_map(|column| {
            let cases = column.report.cases.iter();
            let tested = cases.clone().flat_map(|case| &case.requirements);
            let breaches = cases.flat_map(|case| &case.breaches);
            let named = column.report.requirements.iter().map(|found| &found.id);
            named
                .chain(tested)
                .chain(breaches.map(|breach| &breach.requirement))
        })
        .map(String::as_str)
        .filter(|id| requirement::find(id).is_none())
        .collect();
    if !unknown.is_empty() {
        let rows = unknown.into_iter().map(|id| Row {
            id,
            requirement: None,
        });
        sections.push(Section {
            file: "",
            title: ELSEWHERE,
            rows: rows.collect(),
        });
    }
    sections
}

/// The heading of the section that a requirement stands in.
pub(super) fn heading(requirement: &Requirement) -> &'static str {
    let document = DOCUMENTS.iter().find(|(file, _)| *file == requirement.file);
    let text = document.map_or("", |(_, text)| text);
    let before = text.lines().take(requirement.line);
    let heading = before.filter_map(|line| line.strip_prefix("## ")).last();
    heading.unwrap_or(requirement.file)
}

/// A link to where a requirement is told.
pub(super) fn link(id: &str) -> Markup {
    html! { a.id href={ "#" (place("req", id)) } { (seen(id)) } }
}

/// Text of the specification or of a report: what stands between backticks is code.
pub(super) fn prose(text: &str) -> Markup {
    let text = seen(text);
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The whole page.
pub(super) fn frame(title: &str, links: &[(&str, &str)], head: Markup, main: Markup) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("collab-conformance ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                header { (head) }
                nav aria-label="This page" {
                    ul { @for (place, words) in links { li { a href=(place) { (words) } } } }
                }
                main #main tabindex="-1" { (main) }
                footer {
                    p { "Made by collab-conformance " (env!("CARGO_PKG_VERSION"))
                        " from JSON reports. Nothing here is loaded from elsewhere." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// What a policy calls an inline text by.
fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha256-{}", STANDARD.encode(digest))
}
