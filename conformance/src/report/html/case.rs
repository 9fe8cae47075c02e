//! Each case that went wrong somewhere: what was seen, what went over the wire, and how to play it again.

use collab_spec::report::{CaseReport, Verdict};
use maud::{Markup, html};

use super::begin::{anchor, end};
use super::page::{Column, Page, link as requirement_link, prose};
use super::words::{Mark, duration, place, seen};
use super::{diff, frames, sequence, tree};
use crate::report::{SHOWN_BREACHES, command, is_wrong, server_options, with_jitter};

/// A link to where a case is told.
pub(super) fn link(id: &str) -> Markup {
    html! { a.id href={ "#" (place("case", id)) } { (seen(id)) } }
}

/// As [`link`], or the id alone where the case is not told.
pub(super) fn named(page: &Page<'_>, id: &str) -> Markup {
    if page.is_told(id) {
        return link(id);
    }
    html! { code { (seen(id)) } }
}

pub(super) fn write(page: &Page<'_>) -> Markup {
    html! {
        section #cases aria-labelledby="cases-title" {
            h2 #cases-title { "By case" }
            @if page.told.is_empty() {
                p { "No case went wrong." }
            } @else {
                p { "The cases that went wrong, those to begin with first." }
            }
            @for id in &page.told { (one(page, id)) }
        }
    }
}

fn one(page: &Page<'_>, id: &str) -> Markup {
    let found: Vec<_> = page
        .columns
        .iter()
        .map(|column| (column, column.case(id)))
        .collect();
    let title = found
        .iter()
        .find_map(|(_, case)| Some(&case.as_ref()?.title));
    html! {
        details.case.tell {
            summary {
                h3 { (seen(id)) }
                @for (column, case) in &found { (Mark::of(case.map(|case| case.verdict)).short(page.whose(column))) }
                @if let Some(title) = title { span.title { (prose(title)) } }
            }
            (anchor("case", id))
            @for (column, case) in found {
                @match case {
                    Some(case) if is_wrong(case) => { (wrong(page, column, case)) }
                    _ => @if page.is_comparison() {
                        p.other { b { (column.name) } " " (Mark::of(case.map(|case| case.verdict)).full()) }
                    }
                }
            }
        }
    }
}

fn wrong(page: &Page<'_>, column: &Column<'_>, case: &CaseReport) -> Markup {
    let report = column.report;
    let server = server_options(&report.target, report.server.as_ref());
    let command = command(case, &with_jitter(server, report.jitter.as_deref()));
    html! {
        section.run {
            h4 { @if page.is_comparison() { (column.name) " " } (Mark::of(Some(case.verdict)).full())
                span.source { " in " (duration(case.duration_ms)) } }
            @if let Some(known) = &case.known { p { "Known to end so: " (prose(known)) } }
            @if let Some(repeats) = case.repeats {
                p { (repeats.failed) " of " (repeats.played) " times it failed, "
                    (repeats.warned) " times it warned." }
            }
            @if case.breaches.is_empty() && case.exit.is_none() {
                pre { @if case.verdict == Verdict::Error { "The harness failed: " }
                    (seen(case.message.as_deref().unwrap_or("without words"))) }
            }
            @for breach in case.breaches.iter().take(SHOWN_BREACHES) {
                div.breach {
                    p { (requirement_link(&breach.requirement)) " " (prose(&breach.what)) }
                    (diff::write(breach))
                }
            }
            @if case.breaches.len() > SHOWN_BREACHES {
                p { "and " (case.breaches.len() - SHOWN_BREACHES) " more" }
            }
            @if let Some(exit) = &case.exit { div.breach { (end(exit)) } }
            @if column.is_whole(&case.id) {
                (tree::write(case))
                (sequence::write(case))
                (frames::write(case))
            } @else if !case.frames.is_empty() {
                p { "So many cases went wrong that the frames of this one are left to the JSON report." }
            }
            p.again { "To play it alone: " code { (seen(&command)) } }
            p.source { "Tests " @for (index, id) in case.requirements.iter().enumerate() {
                @if index > 0 { ", " } (requirement_link(id))
            } "." }
        }
    }
}
