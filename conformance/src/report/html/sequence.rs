//! What went over the wire as a message sequence diagram: a lifeline for each connection, the server at
//! the right, an arrow for each message, and beside it what it says.

use std::fmt::Write as _;

use collab_spec::report::{CaseReport, FrameReport, Sender};
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::words::seen;
use crate::report::log::{self, Part, millis};
use crate::validate::shortened;

/// Diagrams up to this length are whole, longer ones are cut around what matters.
const WHOLE: usize = 48;

/// How many lifelines connections have at most; the others share one.
const MOST_LANES: usize = 6;

/// How many characters of a message stand beside its arrow.
const MOST_CHARS: usize = 84;

/// The lifeline of connections that have none of their own.
const OTHERS: &str = "others";

/// Measures in the diagram's own units, which are pixels where it is not scaled.
const TIME: usize = 62;
const LANE: usize = 118;
const ROW: usize = 27;
const HEAD: usize = 40;
const CHAR: usize = 7;

/// Where things stand.
struct Layout<'a> {
    lanes: Vec<&'a str>,
}

impl<'a> Layout<'a> {
    fn new(case: &'a CaseReport, parts: &[Part]) -> Self {
        let shown = |only_marked: bool| {
            parts.iter().filter_map(move |part| match part {
                Part::Frame { index, marked } if *marked || !only_marked => {
                    Some(&case.frames[*index])
                }
                _ => None,
            })
        };
        // In the order of time, but nobody who broke something is left out.
        let mut all: Vec<&str> = Vec::new();
        for frame in shown(false).filter(|frame| !is_at_server(frame)) {
            let name = frame.connection.as_str();
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
        if all.len() <= MOST_LANES {
            return Self { lanes: all };
        }
        let mut kept: Vec<&str> = Vec::new();
        let marked = shown(true).map(|frame| frame.connection.as_str());
        for name in marked.chain(all.iter().copied()) {
            if kept.len() < MOST_LANES - 1 && all.contains(&name) && !kept.contains(&name) {
                kept.push(name);
            }
        }
        let mut lanes: Vec<&str> = all.into_iter().filter(|name| kept.contains(name)).collect();
        lanes.push(OTHERS);
        Self { lanes }
    }

    /// The lifeline of a connection, and whether it is its own.
    fn lane(&self, name: &str) -> (usize, bool) {
        let found = self.lanes.iter().position(|lane| *lane == name);
        match found {
            Some(at) => (at, true),
            None => (self.lanes.len().saturating_sub(1), false),
        }
    }

    fn x(&self, lane: usize) -> usize {
        TIME + LANE / 2 + lane * LANE
    }

    fn server(&self) -> usize {
        self.x(self.lanes.len().max(1))
    }

    fn words(&self) -> usize {
        self.server() + 54
    }
}

pub(super) fn write(case: &CaseReport) -> Markup {
    if case.frames.is_empty() {
        return html! {};
    }
    let parts = log::selection(case, WHOLE);
    let layout = Layout::new(case, &parts);
    let height = HEAD + parts.len() * ROW + 14;
    let mut rows = String::new();
    let mut widest = 0;
    for (at, part) in parts.iter().enumerate() {
        let y = HEAD + at * ROW + 19;
        let words = match part {
            Part::LeftOut(count) => gap(&mut rows, y, &format!("{count} more"), &layout),
            Part::Frame { index, .. } if case.frames[*index].kind == "omitted" => {
                gap(&mut rows, y, &case.frames[*index].content, &layout)
            }
            Part::Frame { index, marked } => {
                event(&mut rows, y, &case.frames[*index], *marked, &layout)
            }
        };
        widest = widest.max(words);
    }
    let width = layout.words() + widest * CHAR + 12;
    html! {
        figure.sequence {
            figcaption { "What went over the wire. An arrow to the right was sent by the suite, one to the left by the server." }
            div.scroll tabindex="0" role="group" aria-label="Message sequence diagram" {
                svg role="img" aria-label="The messages between the connections and the server in the order of time; the frames are below as text"
                    width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
                    (lifelines(&layout, height))
                    (PreEscaped(rows))
                }
            }
        }
    }
}

fn lifelines(layout: &Layout<'_>, height: usize) -> Markup {
    let names = layout.lanes.iter().enumerate();
    let lanes = names.map(|(at, name)| (layout.x(at), shortened(&seen(name), 14)));
    let server = (layout.server(), "server".to_owned());
    html! {
        text.t x="4" y="18" { "ms" }
        @for (x, name) in lanes.chain([server]) {
            text.h x=(x) y="18" { (name) }
            path.life d={ "M" (x) " 26V" (height - 6) } {}
        }
    }
}

fn gap(rows: &mut String, y: usize, words: &str, layout: &Layout<'_>) -> usize {
    let text = html! { text.t x=(layout.words()) y=(y) { "… " (seen(words)) } };
    *rows += &text.into_string();
    words.chars().count() + 2
}

/// Draws an event, and gives the width of what it says, in characters.
fn event(
    rows: &mut String,
    y: usize,
    frame: &FrameReport,
    marked: bool,
    layout: &Layout<'_>,
) -> usize {
    let (kind, mut words) = said(frame);
    let at_server = is_at_server(frame);
    let (lane, own) = layout.lane(&frame.connection);
    let (x, server) = (layout.x(lane), layout.server());
    if !own && !at_server {
        words = format!("{}: {words}", seen(&frame.connection));
    }
    let words = shortened(&words, MOST_CHARS);
    let class = match (marked, frame.from) {
        (true, _) => "bad",
        (false, Sender::Client) => "out",
        (false, Sender::Server) => "in",
    };
    let arrow = y - 4;
    let mut path = String::new();
    // Writing into a string does not fail.
    let _ = match (frame.kind.as_str(), frame.from) {
        _ if at_server => write!(path, "M{} {}h16v10h-16z", server - 8, arrow - 5),
        ("end", Sender::Client) => write!(path, "M{} {}l10 10m0-10l-10 10", x - 5, arrow - 5),
        ("pause" | "resume" | "error", Sender::Client) => {
            write!(path, "M{} {}h10v10h-10z", x - 5, arrow - 5)
        }
        (_, Sender::Client) => write!(path, "M{x} {arrow}H{server}m-8-4l8 4l-8 4"),
        (_, Sender::Server) => write!(path, "M{server} {arrow}H{x}m8-4l-8 4l8 4"),
    };
    let middle = (x + server) / 2;
    let text = html! {
        @if marked { rect.hit x="0" y=(y - 19) width="100%" height=(ROW) {} }
        text.t x="4" y=(y) { (millis(frame.at_us)) }
        path class=(class) d=(path) {}
        @if !at_server && path.contains('H') { text.k x=(middle) y=(arrow - 4) { (kind) } }
        text.l x=(layout.words()) y=(y) { @if marked { tspan.flag { "◀ breach " } } (words) }
    };
    *rows += &text.into_string();
    words.chars().count() + if marked { 9 } else { 0 }
}

/// Whether it happens to the server itself.
fn is_at_server(frame: &FrameReport) -> bool {
    frame.kind == "server"
}

/// What a message is, in a word, and what it says beside that.
fn said(frame: &FrameReport) -> (String, String) {
    let parsed: Option<Value> = serde_json::from_str(&frame.content).ok();
    let named = parsed
        .as_ref()
        .and_then(|value| value.get("type")?.as_str());
    let kind = shortened(&seen(named.unwrap_or(&frame.kind)), 17);
    let brief = log::brief(&frame.content).unwrap_or_else(|| frame.content.clone());
    let words = seen(&log::without_document(&brief)).replace('\n', "⟨a⟩");
    let rest = words.strip_prefix(&kind).map(str::trim_start);
    (kind, rest.unwrap_or(&words).to_owned())
}

#[cfg(test)]
mod tests {
    use collab_spec::report::{Breach, Verdict};

    use super::*;

    fn frame(connection: &str, from: Sender, kind: &str, content: &str) -> FrameReport {
        FrameReport {
            at_us: 1_500,
            connection: connection.to_owned(),
            from,
            kind: kind.to_owned(),
            content: content.to_owned(),
        }
    }

    fn case(frames: Vec<FrameReport>, marked: usize) -> CaseReport {
        CaseReport {
            breaches: vec![Breach {
                requirement: "seq.dense".to_owned(),
                what: String::new(),
                expected: None,
                got: None,
                frame: Some(marked),
                late: false,
            }],
            frames,
            ..CaseReport::new("a/b", "", Verdict::Fail)
        }
    }

    #[test]
    fn a_hostile_message_is_text() {
        let evil = r#"{"type":"</text><script>alert(1)</script>","x":"\"><img onerror=x>"}"#;
        let text = write(&case(vec![frame("<b>", Sender::Server, "text", evil)], 0)).into_string();
        assert!(
            !text.contains("<script") && !text.contains("<img") && !text.contains("<b>"),
            "{text}"
        );
        assert!(
            text.contains("◀ breach") && text.contains("class=\"bad\""),
            "{text}"
        );
    }

    #[test]
    fn many_connections_share_a_lifeline_but_the_one_that_matters_does_not() {
        let frames = (0..30).map(|n| frame(&format!("C{n}"), Sender::Client, "text", "x"));
        let case = case(frames.collect(), 29);
        let parts = log::selection(&case, WHOLE);
        let layout = Layout::new(&case, &parts);
        assert_eq!(layout.lanes.len(), MOST_LANES);
        assert_eq!(layout.lanes.last(), Some(&OTHERS));
        assert!(layout.lane("C29").1 && layout.lane("C0").1 && !layout.lane("C20").1);
        assert!(write(&case).into_string().contains("C20: "));
    }

    #[test]
    fn the_middle_of_a_long_one_is_left_out() {
        let frames = (0..500).map(|_| frame("A", Sender::Client, "ping", "00"));
        let text = write(&case(frames.collect(), 250)).into_string();
        assert!(text.contains("… 234 more"), "{text}");
        assert!(text.matches("class=\"k\"").count() < 60);
    }
}
