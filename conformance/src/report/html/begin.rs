//! The top of a page: each implementation with its verdict, and where to begin.

use collab_spec::profile::Profile;
use collab_spec::report::{CaseReport, Report, ServerExit, Verdict};
use collab_spec::requirement::{self, Requirement};
use maud::{Markup, html};

use super::page::{Column, Page, link, prose};
use super::words::{Mark, count, date, duration, place, seen};
use super::{case, diff, tree};
use crate::report::broken::Broken;
use crate::report::{
    Standing, end_words, is_not_played, known, last_words, outcome, reasons, standing,
};

/// How many broken requirements are told at the top of one implementation and of each of several, and how
/// many of them with what was seen.
const SHOWN: usize = 12;
const SHOWN_BESIDE: usize = 5;
const SHOWN_FULL: usize = 3;

/// The head: a card for each implementation.
pub(super) fn head(page: &Page<'_>, title: &str) -> Markup {
    html! {
        h1 { (title) }
        @if page.is_comparison() {
            p.lead { (page.columns.len()) " implementations of the collaborative text protocol, side by side." }
        }
        div.cards { @for column in &page.columns { (card(column)) } }
    }
}

fn card(column: &Column<'_>) -> Markup {
    let report = column.report;
    let (class, sign) = match standing(report) {
        Standing::Passed => ("pass", "✓"),
        Standing::Warned => ("warn", "!"),
        Standing::Failed => ("fail", "✗"),
        Standing::Unknown => ("odd", "?"),
    };
    let profiles: Vec<&str> = report.profiles.iter().map(|one| one.name()).collect();
    html! {
        section class={ "card " (class) } {
            h2 { (column.name) }
            p.verdict { span class={ "mark " (class) } { span aria-hidden="true" { (sign) } " " (verdict(column)) } }
            p { (outcome(report)) "." }
            ul.counts { @for (verdict, number) in counts(report) {
                @if number > 0 { li { (number) " " (Mark::of(Some(verdict)).full()) } }
            } }
            dl {
                @if column.name != report.target { dt { "server" } dd { (seen(&report.target)) } }
                @if let Some(server) = &report.server {
                    dt { "started by" } dd { code { (seen(&server.command)) } }
                }
                dt { "profiles" } dd { @if profiles.is_empty() { "none found" } @else { (profiles.join(", ")) } }
                dt { "run" } dd { (date(report.started_at_ms)) ", " (duration(report.duration_ms)) }
                dt { "suite" } dd { (seen(&report.suite.name)) " " (seen(&report.suite.version)) }
                @if let Some(jitter) = &report.jitter { dt { "jitter" } dd { (seen(jitter)) } }
                @if known(report) > 0 { dt { "known to fail" } dd { (known(report)) } }
            }
        }
    }
}

fn verdict(column: &Column<'_>) -> &'static str {
    match standing(column.report) {
        Standing::Passed if is_partial(column) => "right as far as played",
        Standing::Warned if is_partial(column) => "warnings as far as played",
        Standing::Passed => "conforms",
        Standing::Warned => "conforms, with warnings",
        Standing::Failed => "does not conform",
        Standing::Unknown => "nothing can be said",
    }
}

/// Whether cases were left out, by a filter or by a file of scenarios: the report does not speak of every
/// requirement of what the server offers.
fn is_partial(column: &Column<'_>) -> bool {
    let offered = &column.report.profiles;
    let is_due =
        |due: &&Requirement| due.profile == Profile::Core || offered.contains(&due.profile);
    let mut due = requirement::requirements().iter().filter(is_due);
    due.any(|due| column.verdict(&due.id).is_none())
}

fn counts(report: &Report) -> [(Verdict, usize); 6] {
    let summary = &report.summary;
    [
        (Verdict::Pass, summary.pass),
        (Verdict::Fail, summary.fail),
        (Verdict::Warn, summary.warn),
        (Verdict::NotApplicable, summary.not_applicable),
        (Verdict::Untestable, summary.untestable),
        (Verdict::Error, summary.error),
    ]
}

/// Where to begin: what each implementation breaks, the likely cause first.
pub(super) fn write(page: &Page<'_>) -> Markup {
    html! {
        section #begin aria-labelledby="begin-title" {
            h2 #begin-title { "Where to begin" }
            @for column in &page.columns {
                @if page.is_comparison() { h3 { (column.name) } }
                (broken(page, column))
                (not_played(column.report))
                (ends(page, column.report))
            }
        }
    }
}

fn broken(page: &Page<'_>, column: &Column<'_>) -> Markup {
    let most = if page.is_comparison() {
        SHOWN_BESIDE
    } else {
        SHOWN
    };
    let rows = &column.broken;
    let warned = column.report.cases.iter();
    let warned: Vec<&CaseReport> = warned
        .filter(|case| case.verdict == Verdict::Warn && case.known.is_none())
        .collect();
    html! {
        @if rows.is_empty() && warned.is_empty() {
            p { "Nothing is broken, as far as it was tested." }
        }
        @if !rows.is_empty() {
            p { (count(rows.len(), "requirement is", "requirements are"))
                " named by failed cases, the likely cause first. Most of what stands below comes of what stands above." }
            ol.broken { @for (index, row) in rows.iter().take(most).enumerate() {
                li { (one(column, row, index < SHOWN_FULL)) }
            } }
            @if rows.len() > most {
                details.tell {
                    summary { "and " (count(rows.len() - most, "more", "more")) }
                    ul { @for row in &rows[most..] { li {
                        (link(row.requirement)) ": " (count(row.cases.len(), "case", "cases"))
                    } } }
                }
            }
        }
        @if !warned.is_empty() {
            p { "A SHOULD is broken in:" }
            ul { @for case in warned { li { (case::link(&case.id)) " " (prose(&case.title)) } } }
        }
    }
}

fn one(column: &Column<'_>, row: &Broken<'_>, in_full: bool) -> Markup {
    let first = row.cases.first().and_then(|named| column.case(named.case));
    let found = requirement::find(row.requirement);
    html! {
        p { (link(row.requirement)) " in " (count(row.cases.len(), "case", "cases")) }
        @if let Some(found) = found { p.sentence { (prose(&found.sentence)) } }
        @if let Some(first) = first {
            @if in_full && let Some(breach) = first.breaches.first() {
                div.breach {
                    p { "In " (case::link(&first.id)) " (" (prose(&first.title)) "): " (prose(&breach.what)) }
                    (diff::write(breach))
                    @if let Some(words) = tree::in_words(first) { p { (words) } }
                }
            } @else {
                p { "Begin with " (case::link(&first.id)) ": " (prose(&first.title)) }
            }
        }
    }
}

/// Why cases were not played, once a reason.
fn not_played(report: &Report) -> Markup {
    html! { @for (reason, number) in reasons(report, is_not_played) {
        div.breach { p { b { (count(number, "case was", "cases were")) " not played" } } pre { (seen(reason)) } }
    } }
}

/// How servers that the suite had started failed as a whole.
fn ends(page: &Page<'_>, report: &Report) -> Markup {
    let exits = report.server.iter().flat_map(|server| &server.exits);
    html! { @for exit in exits.filter(|exit| exit.why.is_failure()) {
        div.breach {
            (end(exit))
            @if !exit.cases.is_empty() { p { "Under way: "
                @for id in exit.cases.iter().take(6) { (case::named(page, id)) " " }
                @if exit.cases.len() > 6 { "and " (exit.cases.len() - 6) " more" }
            } }
        }
    } }
}

/// How one instance of a server ended, with its last words.
pub(super) fn end(exit: &ServerExit) -> Markup {
    let (_, said) = last_words(exit);
    html! {
        p { b { (seen(&end_words(exit))) } @if said.is_empty() { ", without a word." } @else { ". Its last lines:" } }
        @if !said.is_empty() { pre { (seen(&said.join("\n"))) } }
    }
}

/// A place to link to. It stands inside what it names, so that browsers open the `details` round it.
pub(super) fn anchor(kind: &str, id: &str) -> Markup {
    html! { div.place id=(place(kind, id)) {} }
}
