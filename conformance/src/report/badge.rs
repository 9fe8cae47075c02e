//! A report as a badge: one small SVG, which needs nothing from elsewhere.

use collab_spec::report::Report;

use super::{Standing, outcome, standing};

/// The width of a character at 11 px, about; `textLength` makes it exact in every font.
const CHARACTER: usize = 7;

const PADDING: usize = 6;

/// The report as SVG.
pub fn write(report: &Report) -> String {
    let colour = match standing(report) {
        Standing::Passed => "#1a7f37",
        Standing::Warned => "#9a6700",
        Standing::Failed => "#cf222e",
        Standing::Unknown => "#57606a",
    };
    let (label, message) = ("collab-conformance", outcome(report));
    let width = |text: &str| text.chars().count() * CHARACTER;
    let (left, right) = (width(label) + 2 * PADDING, width(&message) + 2 * PADDING);
    let all = left + right;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{label}: {message}">
<title>{label}: {message}</title>
<clipPath id="round"><rect width="{all}" height="20" rx="3"/></clipPath>
<g clip-path="url(#round)"><rect width="{left}" height="20" fill="#24292f"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{PADDING}" y="14" textLength="{}">{label}</text><text x="{}" y="14" textLength="{}">{message}</text></g>
</svg>
"##,
        width(label),
        left + PADDING,
        width(&message),
    )
}
