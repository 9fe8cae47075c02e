//! All requirements by all implementations.

use collab_spec::report::Verdict;
use maud::{Markup, html};

use super::page::{Column, Page, Row, Section};
use super::words::{Mark, level, place, seen};

pub(super) fn write(page: &Page<'_>) -> Markup {
    let rows = page.rows().count();
    html! {
        section #matrix aria-labelledby="matrix-title" {
            h2 #matrix-title { "All requirements" }
            form #filter hidden {
                p { label for="words" { "Show requirements with" }
                    input #words type="search" autocomplete="off" placeholder="sync, crdt.walk, MUST…"; }
                fieldset {
                    legend { "and of these" }
                    (choice("all", "all", true))
                    (choice("broken", "what is broken", false))
                    (choice("open", "what was not tested", false))
                    @if page.is_comparison() { (choice("differs", "where they differ", false)) }
                }
                p #shown role="status" { (rows) " of " (rows) " requirements are shown." }
            }
            div.scroll tabindex="0" role="group" aria-labelledby="matrix-title" {
                table.matrix {
                    caption.heard { "Requirements by section, with the verdict on each implementation" }
                    thead { tr {
                        th scope="col" { "Requirement" }
                        @for column in &page.columns { th.column scope="col" { (column.name) } }
                    } }
                    @for section in &page.sections { (group(page, section)) }
                }
            }
        }
    }
}

/// Several implementations at a glance: each section with what is broken in it.
pub(super) fn glance(page: &Page<'_>) -> Markup {
    if !page.is_comparison() {
        return html! {};
    }
    html! {
        section #glance aria-labelledby="glance-title" {
            h2 #glance-title { "At a glance" }
            div.scroll tabindex="0" role="group" aria-labelledby="glance-title" { table {
                thead { tr {
                    th scope="col" { "Section" }
                    @for column in &page.columns { th.column scope="col" { (column.name) } }
                } }
                tbody { @for section in &page.sections { tr {
                    th scope="row" {
                        a href={ "#" (place("section", &section.name())) } { (section.name()) }
                    }
                    @for column in &page.columns { td { (counted(column, section)) } }
                } } }
            } }
        }
    }
}

fn choice(value: &str, words: &str, chosen: bool) -> Markup {
    html! { label { input type="radio" name="only" value=(value) checked[chosen]; " " (words) } }
}

fn group(page: &Page<'_>, section: &Section<'_>) -> Markup {
    html! {
        tbody {
            tr.section id=(place("section", &section.name())) {
                th scope="rowgroup" { (section.name()) }
                @for column in &page.columns { td { (counted(column, section)) } }
            }
            @for row in &section.rows { (line(page, row)) }
        }
    }
}

/// How many of a section's requirements are broken, or how many of those that can be tested were held.
fn counted(column: &Column<'_>, section: &Section<'_>) -> Markup {
    let verdicts = section.rows.iter().map(|row| column.verdict(row.id));
    let count = |wanted| {
        verdicts
            .clone()
            .filter(|found| *found == Some(wanted))
            .count()
    };
    let (failed, warned, passed) = (
        count(Verdict::Fail),
        count(Verdict::Warn),
        count(Verdict::Pass),
    );
    let tested = failed + warned + passed;
    let rows = section.rows.iter();
    let testable = rows.filter(|row| {
        row.requirement
            .is_none_or(|found| found.untestable.is_none())
    });
    let testable = testable.count();
    let marks = section.rows.iter().map(|row| column.mark(row.id));
    let unclear = marks.filter(|mark| *mark == Mark::UNCLEAR).count();
    let (class, words) = match (failed, warned, passed) {
        (0, 0, _) if unclear > 0 => ("unclear", format!("{passed} of {testable} held")),
        (0, 0, 0) if count(Verdict::NotApplicable) > 0 => ("none", "not offered".to_owned()),
        (0, 0, 0) => ("none", "none tested".to_owned()),
        (0, 0, passed) if passed < testable => ("pass", format!("{passed} of {testable} held")),
        (0, 0, passed) => ("pass", format!("{passed} held")),
        (0, warned, _) => ("warn", format!("{warned} of {tested} warned")),
        (failed, _, _) => ("fail", format!("{failed} of {tested} broken")),
    };
    let sign = match class {
        "pass" => "✓",
        "warn" => "!",
        "fail" => "✗",
        "unclear" => "~",
        _ => "–",
    };
    html! { span class={ "mark " (class) } { span aria-hidden="true" { (sign) } " " (words) } }
}

fn line(page: &Page<'_>, row: &Row<'_>) -> Markup {
    let target = format!("#{}", place("req", row.id));
    html! {
        tr data-of=(place("req", row.id)) data-is=(flags(page, row)) {
            th scope="row" {
                a.id href=(target) { (seen(row.id)) }
                @if let Some(found) = row.requirement { " " span.level { (level(found.level)) } }
            }
            @for column in &page.columns {
                @let mark = column.mark(row.id);
                td class=(mark.class) { a href=(target) { (mark.full()) } (share(page, column, row)) }
            }
        }
    }
}

/// How many of the cases that speak of a requirement failed, where one did.
fn share(page: &Page<'_>, column: &Column<'_>, row: &Row<'_>) -> Markup {
    let verdict = column.verdict(row.id);
    if !matches!(verdict, Some(Verdict::Fail | Verdict::Warn)) {
        return html! {};
    }
    let cases = page.cases_of(row.id);
    let found = cases.iter().filter_map(|id| column.case(id));
    let broke = found.clone().filter(|case| {
        let mut breaches = case.breaches.iter();
        breaches.any(|breach| breach.requirement == row.id)
    });
    html! { " " small { (broke.count()) "/" (found.count()) } }
}

/// What the filter asks for.
pub(super) fn flags(page: &Page<'_>, row: &Row<'_>) -> String {
    let verdicts = page.columns.iter().map(|column| column.verdict(row.id));
    let verdicts: Vec<Option<Verdict>> = verdicts.collect();
    let has = |wanted: &[Option<Verdict>]| verdicts.iter().any(|found| wanted.contains(found));
    let mut flags = Vec::new();
    if has(&[
        Some(Verdict::Fail),
        Some(Verdict::Warn),
        Some(Verdict::Error),
    ]) {
        flags.push("broken");
    }
    if has(&[
        None,
        Some(Verdict::NotApplicable),
        Some(Verdict::Untestable),
    ]) {
        flags.push("open");
    }
    let mut marks = page.columns.iter().map(|column| column.mark(row.id).words);
    let first = marks.next();
    if marks.any(|words| Some(words) != first) {
        flags.push("differs");
    }
    flags.join(" ")
}
