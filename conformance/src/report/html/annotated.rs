//! The specification, with the verdicts in its text.
//!
//! The prose is the embedded one of `collab_spec`; a report cites ids, so what is shown is what the suite
//! that makes the page knows.

use std::fmt::Write as _;

use collab_spec::requirement::{self, DOCUMENTS};
use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::page::{self, Page, Row, link};
use super::words::{count, place};
use super::{Implementation, begin, case, matrix, requirement as told};

/// What stands where a requirement begins, until the verdicts take its place.
const MARKER: &str = "<requirement ";

/// The page.
pub fn write(implementations: &[Implementation]) -> String {
    let page = Page::new(implementations);
    let title = "The specification, with verdicts";
    let links = [
        ("#contents", "Contents"),
        ("#protocol.md", "The protocol"),
        ("#crdt.md", "The CRDT"),
        ("#cases", "What went wrong, by case"),
    ];
    let main = html! {
        (contents(&page))
        @for (file, text) in DOCUMENTS {
            article.prose id=(file) { (PreEscaped(document(&page, file, text))) }
        }
        (elsewhere(&page))
        (case::write(&page))
    };
    page::frame(title, &links, begin::head(&page, title), main)
}

/// The sections with what is broken in them.
fn contents(page: &Page<'_>) -> Markup {
    html! {
        section #contents aria-labelledby="contents-title" {
            h2 #contents-title { "Contents" }
            p { "Each requirement carries its verdict, and under it is what was seen." }
            ul.contents { @for (file, text) in DOCUMENTS {
                li { a href={ "#" (file) } { (file) }
                    ul { @for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
                        li {
                            a href={ "#" (place(file, &heading.replace('`', ""))) } { (heading.replace('`', "")) }
                            (broken_in(page, heading, file))
                        }
                    } }
                }
            } }
        }
    }
}

fn broken_in(page: &Page<'_>, heading: &str, file: &str) -> Markup {
    let rows = page.rows().filter(|row| {
        let found = row.requirement.filter(|found| found.file == file);
        found.is_some_and(|found| page::heading(found) == heading)
    });
    let broken = rows.filter(|row| matrix::flags(page, row).contains("broken"));
    let broken = broken.count();
    html! { @if broken > 0 { " " span.mark.fail { "✗ " (count(broken, "requirement", "requirements")) " broken" } } }
}

/// What reports name and the specification does not have.
fn elsewhere(page: &Page<'_>) -> Markup {
    let unknown: Vec<&Row<'_>> = page
        .rows()
        .filter(|row| row.requirement.is_none())
        .collect();
    html! { @if !unknown.is_empty() {
        section aria-labelledby="elsewhere-title" {
            h2 #elsewhere-title { "Not in this suite's specification" }
            @for row in unknown { div.requirement id=(place("req", row.id)) {
                p { (link(row.id)) " " (verdicts(page, row)) }
                (told::body(page, row))
            } }
        }
    } }
}

/// One document as HTML.
fn document(page: &Page<'_>, file: &str, text: &str) -> String {
    let marked = marked(file, text);
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut pending: Option<Row<'_>> = None;
    let mut heading: Option<(usize, String)> = None;
    let mut dropped_link = false;
    let parser = Parser::new_ext(&marked, Options::ENABLE_TABLES);
    for event in parser {
        match event {
            Event::InlineHtml(text) if text.starts_with(MARKER) => {
                let id = text[MARKER.len()..].trim_end_matches('>');
                if let Some(row) = page.rows().find(|row| row.id == id) {
                    let lead = html! { (link(row.id)) " " (verdicts(page, row)) " " };
                    events.push(Event::InlineHtml(lead.into_string().into()));
                    pending = Some(*row);
                }
            }
            Event::End(end @ (TagEnd::Paragraph | TagEnd::Item)) => {
                let body = pending.take().map(|row| details(page, &row));
                let body = body.map(|body| Event::Html(body.into_string().into()));
                let is_item = end == TagEnd::Item;
                if is_item {
                    events.extend(body);
                    events.push(Event::End(end));
                } else {
                    events.push(Event::End(end));
                    events.extend(body);
                }
            }
            Event::Start(Tag::Heading { .. }) => {
                heading = Some((events.len(), String::new()));
                events.push(event);
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((at, words)) = heading.take()
                    && let Event::Start(Tag::Heading { id, level, .. }) = &mut events[at]
                {
                    *id = Some(place(file, &words).into());
                    // The page has a heading of its own above these.
                    *level = deeper(*level);
                    let end = TagEnd::Heading(*level);
                    events.push(Event::End(end));
                }
            }
            Event::Start(Tag::Link {
                dest_url,
                link_type,
                title,
                id,
            }) => {
                let target = DOCUMENTS.iter().find(|(file, _)| *file == &*dest_url);
                dropped_link = target.is_none();
                if let Some((file, _)) = target {
                    let dest_url = CowStr::from(format!("#{file}"));
                    events.push(Event::Start(Tag::Link {
                        link_type,
                        dest_url,
                        title,
                        id,
                    }));
                }
            }
            Event::End(TagEnd::Link) if dropped_link => dropped_link = false,
            Event::Start(Tag::CodeBlock(kind)) => {
                // What can be scrolled has to be reached by the keyboard.
                let class = match &kind {
                    CodeBlockKind::Fenced(name) if &**name != "text" => "wraps",
                    _ => "drawn",
                };
                let open = format!("<pre class=\"{class}\" tabindex=\"0\">");
                events.push(Event::Html(open.into()));
            }
            Event::End(TagEnd::CodeBlock) => events.push(Event::Html("</pre>".into())),
            Event::Start(Tag::Table(_)) => {
                events.push(Event::Html("<div class=\"scroll\" tabindex=\"0\">".into()));
                events.push(event);
            }
            Event::End(TagEnd::Table) => {
                events.push(event);
                events.push(Event::Html("</div>".into()));
            }
            Event::Code(ref text) if requirement::find(text).is_some() => {
                let to = link(text).into_string();
                events.push(Event::InlineHtml(to.into()));
            }
            other => {
                if let (Some((_, words)), Event::Text(text) | Event::Code(text)) =
                    (&mut heading, &other)
                {
                    words.push_str(text);
                }
                events.push(other);
            }
        }
    }
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    html
}

fn deeper(level: HeadingLevel) -> HeadingLevel {
    use HeadingLevel::{H1, H2, H3, H4, H5, H6};
    match level {
        H1 => H2,
        H2 => H3,
        H3 => H4,
        H4 => H5,
        H5 | H6 => H6,
    }
}

/// The text with a marker in place of each requirement's id.
fn marked(file: &str, text: &str) -> String {
    let known = requirement::requirements().iter();
    let mut known = known.filter(|found| found.file == file).peekable();
    let mut marked = String::new();
    for (index, line) in text.lines().enumerate() {
        let found = known.next_if(|found| found.line == index + 1);
        let replaced = found.map(|found| {
            let id = format!("[{}]", found.id);
            line.replacen(&format!("**{id}**"), &id, 1).replacen(
                &id,
                &format!("{MARKER}{}>", found.id),
                1,
            )
        });
        // Writing into a string does not fail.
        let _ = writeln!(marked, "{}", replaced.as_deref().unwrap_or(line));
    }
    marked
}

/// A mark for each implementation.
fn verdicts(page: &Page<'_>, row: &Row<'_>) -> Markup {
    html! {
        span.verdicts id=(place("req", row.id)) {
            @for column in &page.columns {
                @let mark = column.mark(row.id);
                @if page.is_comparison() {
                    span.of { (column.name) " " (mark.full()) } " "
                } @else { (mark.full()) " " }
            }
        }
    }
}

/// What was seen of a requirement; nothing where there is no case.
fn details(page: &Page<'_>, row: &Row<'_>) -> Markup {
    let is_broken = matrix::flags(page, row).contains("broken");
    html! { @if !page.cases_of(row.id).is_empty() {
        @if is_broken { div.seen.broken { (told::body(page, row)) } }
        @else { div.seen { (told::body(page, row)) } }
    } }
}
