//! Colours for the words of a report, on a terminal that shows them.
//!
//! The words are made without colours, since files get the same ones. Here each line gets its colours by
//! how it begins; what stands in it is left as it is.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const BOLD: Style = Style::new().bold();

/// How lines begin, and the colour of the beginning or of the whole line.
const BEGINNINGS: [(&str, Extent, Style); 12] = [
    ("FAIL ", Extent::Beginning, RED.bold()),
    ("warn ", Extent::Beginning, YELLOW.bold()),
    ("pass ", Extent::Beginning, GREEN),
    ("warning: ", Extent::Beginning, YELLOW.bold()),
    ("  FAIL ", Extent::Beginning, RED.bold()),
    ("  warn ", Extent::Beginning, YELLOW.bold()),
    ("  pass ", Extent::Beginning, GREEN),
    ("  expected: ", Extent::Beginning, GREEN),
    ("  got:      ", Extent::Beginning, RED),
    ("  differs:  ", Extent::Line, RED.bold()),
    ("=>", Extent::Line, RED.bold()),
    ("  | ", Extent::Line, CYAN),
];

/// The words of the last lines, after a count.
const COUNTED: [(&str, Style); 4] = [
    (" passed", GREEN),
    (" failed", RED.bold()),
    (" warned", YELLOW.bold()),
    (" errors", RED.bold()),
];

#[derive(Clone, Copy)]
enum Extent {
    Beginning,
    Line,
}

/// The text with colours, as control sequences.
pub fn painted(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(line).collect()
}

/// Prints on stdout, with colours where it is a terminal and `NO_COLOR` is not set.
pub fn print(text: &str) {
    // A reader such as `head` may have gone away.
    let _ = anstream::stdout()
        .lock()
        .write_all(painted(text).as_bytes());
}

fn line(line: &str) -> String {
    let (words, end) = match line.strip_suffix('\n') {
        Some(words) => (words, "\n"),
        None => (line, ""),
    };
    let known = |(beginning, _, _): &&(&str, Extent, Style)| words.starts_with(beginning);
    if let Some((beginning, extent, style)) = BEGINNINGS.iter().find(known) {
        let painted = match extent {
            Extent::Beginning => beginning.trim_end().len(),
            Extent::Line => words.len(),
        };
        let (painted, rest) = words.split_at(painted);
        return format!("{style}{painted}{style:#}{rest}{end}");
    }
    let count = words
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let counted = count.len() < words.trim_start().len();
    let of_count = |(word, _): &&(&str, Style)| counted && count.starts_with(word);
    if let Some((_, style)) = COUNTED.iter().find(of_count) {
        return format!("{style}{words}{style:#}{end}");
    }
    match is_heading(words) {
        true => format!("{BOLD}{words}{BOLD:#}{end}"),
        false => line.to_owned(),
    }
}

/// Whether a line names a case and says what it is about: `sync/at-head: …`.
fn is_heading(line: &str) -> bool {
    let id = line.split_once(": ").map_or("", |(id, _)| id);
    let mut parts = id.split('/');
    let is_slug = |part: Option<&str>| {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        part.is_some_and(|part| !part.is_empty() && part.chars().all(slug))
    };
    is_slug(parts.next()) && is_slug(parts.next()) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_add_nothing_to_the_words() {
        let text = "\nsync/at-head: a client\n  | A server MUST.\n  expected: \"a\"\n  got:      \"b\"\n\
                    =>   1.0 A < x\n    2 failed  (a MUST)\n   12 passed\nno colour: here\n";
        let painted = painted(text);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), text);
        let coloured = painted.lines().filter(|line| line.contains('\u{1b}'));
        assert_eq!(coloured.count(), 7, "{painted:?}");
    }
}
