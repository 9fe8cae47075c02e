//! How long cases took, and the figures that they have taken.

use std::collections::BTreeMap;

use collab_spec::report::Measurement;
use maud::{Markup, html};

use super::case;
use super::page::Page;
use super::words::{Mark, duration, seen};
use crate::report::log::millis;

/// How many of the slowest cases are shown.
const SHOWN: usize = 15;

pub(super) fn write(page: &Page<'_>) -> Markup {
    html! {
        section #figures aria-labelledby="figures-title" {
            h2 #figures-title { "Times and figures" }
            (slowest(page))
            (measured(page))
        }
    }
}

fn slowest(page: &Page<'_>) -> Markup {
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    let cases = page.columns.iter().flat_map(|column| &column.report.cases);
    for case in cases {
        let known = most.entry(&case.id).or_default();
        *known = (*known).max(case.duration_ms);
    }
    let mut slowest: Vec<(&str, u64)> = most.into_iter().filter(|(_, time)| *time > 0).collect();
    slowest.sort_by_key(|(id, time)| (std::cmp::Reverse(*time), *id));
    slowest.truncate(SHOWN);
    let longest = slowest.first().map_or(1, |(_, time)| *time).max(1);
    html! {
        @if !slowest.is_empty() {
            h3 { "The slowest cases" }
            div.scroll tabindex="0" role="group" aria-label="The slowest cases" { table.bars {
                thead { tr {
                    th scope="col" { "Case" }
                    @if page.is_comparison() { th scope="col" { "Implementation" } }
                    th scope="col" { "Time" }
                    th.bar scope="col" { span.heard { "Bar" } }
                } }
                @for (id, _) in slowest {
                    @let rows = page.columns.iter().filter_map(|column| Some((column, column.case(id)?)));
                    @let rows: Vec<_> = rows.collect();
                    tbody { @for (at, (column, found)) in rows.iter().enumerate() { tr {
                        @if at == 0 { th scope="rowgroup" rowspan=(rows.len()) { (case::named(page, id)) } }
                        @if page.is_comparison() { td { (column.name) } }
                        td.number { @if found.duration_ms == 0 { (Mark::of(Some(found.verdict)).words) } @else { (duration(found.duration_ms)) } }
                        td.bar { svg.bar width="100%" height="12" aria-hidden="true" {
                            rect width={ (percent(found.duration_ms, longest)) "%" } height="12" rx="2" {}
                        } }
                    } } }
                }
            } }
        }
    }
}

/// A share in percent, with one digit behind the point.
fn percent(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1000 / u128::from(whole);
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

fn measured(page: &Page<'_>) -> Markup {
    // By case and name, in the order of the first report that has them.
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for column in &page.columns {
        for case in &column.report.cases {
            for found in &case.measurements {
                let row = (case.id.as_str(), found.name.as_str());
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
    }
    html! {
        @if !rows.is_empty() {
            h3 { "Figures" }
            div.scroll tabindex="0" role="group" aria-label="Figures" { table {
                thead { tr {
                    th scope="col" { "Case" } th scope="col" { "Measured" }
                    @for column in &page.columns { th.number scope="col" { (column.name) } }
                } }
                @for group in rows.chunk_by(|one, other| one.0 == other.0) {
                    tbody { @for (at, (id, name)) in group.iter().enumerate() { tr {
                        @if at == 0 { th scope="rowgroup" rowspan=(group.len()) { (case::named(page, id)) } }
                        th scope="row" { (seen(name)) }
                        @for column in &page.columns {
                            @let case = column.case(id);
                            @let found = case.and_then(|case| case.measurements.iter().find(|found| found.name == *name));
                            td.number { @match found { Some(found) => { (figure(found)) } None => { "–" } } }
                        }
                    } } }
                }
            } }
        }
    }
}

fn figure(found: &Measurement) -> String {
    match found.unit.as_str() {
        "bytes" => format!("{} MiB", found.value >> 20),
        "µs" => format!("{} ms", millis(found.value)),
        unit => format!("{} {}", found.value, seen(unit)),
    }
}
