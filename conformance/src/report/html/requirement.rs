//! Each requirement with its sentence and its cases.

use collab_spec::report::{CaseReport, Verdict};
use maud::{Markup, html};

use super::begin::anchor;
use super::case;
use super::matrix::flags;
use super::page::{Column, Page, Row, prose};
use super::words::{Mark, count, level, place, seen};
use crate::report::headline;

pub(super) fn write(page: &Page<'_>) -> Markup {
    html! {
        section #requirements aria-labelledby="requirements-title" {
            h2 #requirements-title { "By requirement" }
            @for section in &page.sections {
                section.group {
                    h3 { (section.name()) }
                    @for row in &section.rows { (one(page, row)) }
                }
            }
        }
    }
}

fn one(page: &Page<'_>, row: &Row<'_>) -> Markup {
    let flags = flags(page, row);
    let is_broken = flags.contains("broken");
    html! {
        details.req.tell[is_broken] data-of=(place("req", row.id)) data-is=(flags) {
            summary {
                h4 { (seen(row.id)) }
                @for column in &page.columns { (column.mark(row.id).short(page.whose(column))) }
                @if let Some(found) = row.requirement { span.level { (level(found.level)) } }
            }
            (anchor("req", row.id))
            @if let Some(found) = row.requirement {
                p.sentence { (prose(&found.sentence)) }
                p.source { "spec/" (found.file) ", line " (found.line) }
            }
            (body(page, row))
        }
    }
}

/// What the reports say of a requirement.
pub(super) fn body(page: &Page<'_>, row: &Row<'_>) -> Markup {
    let cases = page.cases_of(row.id);
    let of = |id: &str| {
        page.columns
            .iter()
            .map(|column| column.case(id))
            .collect::<Vec<_>>()
    };
    let passes = |id: &str| {
        let mut found = of(id).into_iter();
        found.all(|case| case.is_some_and(|case| case.verdict == Verdict::Pass))
    };
    let (passed, others): (Vec<&str>, Vec<&str>) = cases.into_iter().partition(|id| passes(id));
    let why = row
        .requirement
        .and_then(|found| found.untestable.as_deref());
    html! {
        @if let Some(why) = why { p { "No case can test it: " (prose(why)) "." } }
        @for column in &page.columns {
            @if let Some(first) = first(column, row.id, &others) {
                p { b { (column.name) } " " (column.mark(row.id).full()) ": "
                    (prose(&seen_of(first, row.id))) " (" (case::link(&first.id)) ")" }
            }
        }
        @if !others.is_empty() {
            div.scroll tabindex="0" role="group" aria-label={ "Cases of " (seen(row.id)) } { table.cases {
                thead { tr {
                    th scope="col" { "Case" }
                    @for column in &page.columns { th scope="col" { (column.name) } }
                } }
                tbody { @for id in &others { (line(page, id)) } }
            } }
        }
        @if !passed.is_empty() { (all_passed(page, row, &passed)) }
        @if passed.is_empty() && others.is_empty() && why.is_none() {
            p { "No case of its own; the suite watches it in every case, or the reports don't speak of it." }
        }
    }
}

/// Cases that passed, folded.
fn all_passed(page: &Page<'_>, row: &Row<'_>, passed: &[&str]) -> Markup {
    html! {
        details.passed {
            summary {
                (count(passed.len(), "case", "cases")) " passed"
                @if page.is_comparison() { " everywhere" }
                span.heard { ", of " (seen(row.id)) }
            }
            p { @for (index, id) in passed.iter().enumerate() {
                @if index > 0 { ", " } code { (seen(id)) }
            } }
        }
    }
}

fn line(page: &Page<'_>, id: &str) -> Markup {
    let found = page.columns.iter().find_map(|column| column.case(id));
    html! {
        tr {
            th scope="row" {
                (case::named(page, id))
                @if let Some(found) = found { " " (prose(&found.title)) }
            }
            @for column in &page.columns {
                @let found = column.case(id);
                @let mark = Mark::of(found.map(|case| case.verdict));
                td class=(mark.class) {
                    (mark.full())
                    @if let Some(found) = found {
                        @if let Some(known) = &found.known { " " small { "known: " (prose(known)) } }
                        @else if matches!(found.verdict, Verdict::Untestable | Verdict::Error) {
                            " " small { (prose(&headline(found))) }
                        }
                    }
                }
            }
        }
    }
}

/// The case to begin with where a requirement is broken.
fn first<'a>(column: &Column<'a>, id: &str, cases: &[&str]) -> Option<&'a CaseReport> {
    let row = column.broken.iter().find(|row| row.requirement == id);
    let ranked = row.and_then(|row| column.case(row.cases.first()?.case));
    let mut broke = cases.iter().filter_map(|id| column.case(id));
    ranked.or_else(|| broke.find(|case| breaks(case, id)))
}

fn breaks(case: &CaseReport, id: &str) -> bool {
    case.breaches.iter().any(|breach| breach.requirement == id)
}

/// What a case saw of a requirement first.
fn seen_of(case: &CaseReport, id: &str) -> String {
    let mut breaches = case.breaches.iter();
    let found = breaches.find(|breach| breach.requirement == id);
    found.map_or_else(String::new, |breach| breach.what.clone())
}
