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

fn choice(value: &str, words: &str, chosen: bool) -> Markup {
    html! { label { input type="radio" name="only" value=(value) checked[chosen]; " " (words) } }
}

fn group(page: &Page<'_>, section: &Section<'_>) -> Markup {
    html! {
        tbody {
            tr.section {
                th scope="rowgroup" { (seen(&section.title.replace('`', ""))) }
                @for column in &page.columns { td { (counted(column, section)) } }
            }
            @for row in &section.rows { (line(page, row)) }
        }
    }
}

/// How many of a section's requirements are broken, or that none is.
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
    let (class, words) = match (failed, warned, passed) {
        (0, 0, 0) => ("none", "none tested".to_owned()),
        (0, 0, passed) => ("pass", format!("{passed} held")),
        (0, warned, _) => ("warn", format!("{warned} of {tested} warned")),
        (failed, _, _) => ("fail", format!("{failed} of {tested} broken")),
    };
    html! { span class={ "mark " (class) } { (words) } }
}

fn line(page: &Page<'_>, row: &Row<'_>) -> Markup {
    let target = format!("#{}", place("req", row.id));
    html! {
        tr data-of=(row.id) data-is=(flags(page, row)) {
            th scope="row" {
                a.id href=(target) { (seen(row.id)) }
                @if let Some(found) = row.requirement { " " span.level { (level(found.level)) } }
            }
            @for column in &page.columns {
                @let mark = Mark::of(column.verdict(row.id));
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
    let mut verdicts: Vec<Option<Verdict>> = page
        .columns
        .iter()
        .map(|column| column.verdict(row.id))
        .collect();
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
    verdicts.dedup();
    if verdicts.len() > 1 {
        flags.push("differs");
    }
    flags.join(" ")
}
