//! The frames of a case as a table.

use collab_spec::report::{CaseReport, Sender};
use maud::{Markup, html};

use super::words::seen;
use crate::report::log::{self, Part, millis};
use crate::validate::shortened;

/// Tables up to this length are whole, longer ones are cut around what matters.
const WHOLE: usize = 80;

/// How many characters of a frame are shown; the report holds some more.
const MOST_CHARS: usize = 600;

pub(super) fn write(case: &CaseReport) -> Markup {
    if case.frames.is_empty() {
        return html! {};
    }
    html! {
        details.frames {
            summary { "The frames as text (" (case.frames.len()) ")" }
            div.scroll tabindex="0" role="group" aria-label="Frames" { table {
                thead { tr {
                    th scope="col" { "ms" } th scope="col" { "connection" } th scope="col" { "by" }
                    th scope="col" { "content" }
                } }
                tbody { @for part in log::selection(case, WHOLE) { (row(case, part)) } }
            } }
        }
    }
}

fn row(case: &CaseReport, part: Part) -> Markup {
    let (index, marked) = match part {
        Part::LeftOut(count) => return html! { tr { td colspan="4" { "… " (count) " more …" } } },
        Part::Frame { index, marked } => (index, marked),
    };
    let frame = &case.frames[index];
    let by = match frame.from {
        Sender::Client => "suite",
        Sender::Server => "server",
    };
    html! {
        tr.hit[marked] {
            td { (millis(frame.at_us)) }
            td { (seen(&frame.connection)) }
            td { (by) @if frame.kind != "text" { " " (seen(&frame.kind)) } @if marked { " " b { "◀ breach" } } }
            td.content { (seen(&shortened(&log::without_document(&frame.content), MOST_CHARS))) }
        }
    }
}
