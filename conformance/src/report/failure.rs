//! What went wrong, in words: the requirement, what was expected and what came, and the wire.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use collab_spec::report::{Breach, CaseReport, Report, ServerExit, Verdict};
use collab_spec::requirement;

use super::{
    Detail, SHOWN_BREACHES, SHOWN_BROKEN, WIDTH, broken, command, end_words, is_news, last_words,
    log,
};

/// How many lines of a server's output are shown.
const SHOWN_LINES: usize = 20;

/// How many failures that name no requirement are written out.
const SHOWN_OTHERS: usize = 5;

/// How much of a long text is shown on either side of where two begin to differ.
const SHOWN_BESIDE: usize = 24;

/// How wide `  expected: ` is.
const LABEL: usize = 12;

/// What went wrong in a case: the requirement, what was expected and what came, the log of the
/// wire, and the command that plays the case alone, with the options that reach the server.
pub fn case_text(case: &CaseReport, server: &str) -> String {
    with_command(failure_text(case), case, server)
}

fn with_command(mut text: String, case: &CaseReport, server: &str) -> String {
    let _ = write!(
        text,
        "\n  To play it alone:\n    {}\n",
        command(case, server)
    );
    text
}

/// As [`case_text`], without the command.
pub fn failure_text(case: &CaseReport) -> String {
    detailed(case, Detail::Brief, "suite")
}

/// As [`failure_text`], of captured traffic: there the suite is no client.
pub(crate) fn captured_text(case: &CaseReport) -> String {
    detailed(case, Detail::Brief, "client")
}

fn detailed(case: &CaseReport, detail: Detail, client: &str) -> String {
    let shown = match detail {
        Detail::Brief => SHOWN_BREACHES,
        Detail::Whole => usize::MAX,
    };
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", case.id, case.title);
    if case.breaches.is_empty() && case.exit.is_none() {
        let message = case.message.as_deref().unwrap_or("without words");
        let lead = if case.verdict == Verdict::Error {
            "the harness failed: "
        } else {
            ""
        };
        for line in format!("{lead}{message}").lines() {
            wrapped(&mut text, "  ", line);
        }
    }
    for breach in case.breaches.iter().take(shown) {
        breach_text(&mut text, breach);
    }
    if case.breaches.len() > shown {
        let _ = writeln!(text, "\n  and {} more", case.breaches.len() - shown);
    }
    if let Some(exit) = &case.exit {
        exit_text(&mut text, exit);
    }
    log::write(&mut text, case, detail, client);
    text
}

/// What went over the wire in a case, a line an event; nothing where it was not kept.
pub fn frames_text(case: &CaseReport, detail: Detail) -> String {
    let mut text = String::new();
    log::write(&mut text, case, detail, "suite");
    text
}

/// The cases that warned, then those that failed, the likely cause first. In brief, one case stands for all
/// that name the same requirement. `server` is what reaches the server on a command line.
pub fn failures_text(report: &Report, server: &str, detail: Detail) -> String {
    let rows = broken::of(report);
    let named: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.cases.iter().map(|named| named.case))
        .collect();
    let place = |case: &CaseReport| match case.verdict {
        Verdict::Warn => None,
        _ => named
            .iter()
            .position(|id| *id == case.id)
            .or(Some(usize::MAX)),
    };
    let told = report.cases.iter().filter(|case| is_news(case));
    let mut told: Vec<&CaseReport> = told.collect();
    told.sort_by_cached_key(|case| place(case));
    let count = told.len();
    if detail == Detail::Brief {
        told = one_of_each(told);
    }
    let mut text = String::new();
    for case in &told {
        let lead = match case.verdict {
            Verdict::Warn => "warning: ",
            _ => "",
        };
        let words = with_command(detailed(case, detail, "suite"), case, server);
        let _ = writeln!(text, "\n{lead}{words}");
    }
    if told.len() < count {
        let more = format!(
            "{} more cases did not pass, most of them for the reasons above; --verbose writes all of \
             them out.",
            count - told.len()
        );
        text.push('\n');
        wrapped(&mut text, "", &more);
    }
    text
}

/// The first case of each requirement, and some of those that name none.
fn one_of_each(cases: Vec<&CaseReport>) -> Vec<&CaseReport> {
    let mut requirements = BTreeSet::new();
    let mut others = 0;
    let mut is_first = |case: &&CaseReport| match case.breaches.first() {
        Some(breach) if requirements.len() < SHOWN_BROKEN => {
            requirements.insert((case.verdict, breach.requirement.clone()))
        }
        Some(_) => false,
        None => {
            others += 1;
            others <= SHOWN_OTHERS
        }
    };
    cases.into_iter().filter(|case| is_first(case)).collect()
}

/// How a server that failed as a whole ended, and its last words.
pub(super) fn exit_text(text: &mut String, exit: &ServerExit) {
    let what = end_words(exit);
    let (name, said) = last_words(exit);
    text.push('\n');
    if said.is_empty() {
        wrapped(text, "  ", &format!("{what}, without a word."));
        return;
    }
    wrapped(
        text,
        "  ",
        &format!("{what}. The last lines of its {name}:"),
    );
    for line in &said[said.len().saturating_sub(SHOWN_LINES)..] {
        for part in chunks(line, WIDTH - 4) {
            let _ = writeln!(text, "    {part}");
        }
    }
}

fn breach_text(text: &mut String, breach: &Breach) {
    text.push('\n');
    match requirement::find(&breach.requirement) {
        Some(found) => {
            let _ = writeln!(
                text,
                "  [{}] spec/{}:{}",
                breach.requirement, found.file, found.line
            );
            wrapped(text, "  | ", &found.sentence);
        }
        None => {
            let _ = writeln!(
                text,
                "  [{}] (not in the specification)",
                breach.requirement
            );
        }
    }
    wrapped(text, "  ", &breach.what);
    match (&breach.expected, &breach.got) {
        (Some(expected), Some(got)) => compared(text, expected, got),
        (Some(expected), None) => labelled(text, "expected: ", expected),
        (None, Some(got)) => labelled(text, "got:      ", got),
        (None, None) => {}
    }
}

/// Expected above got, and under them where they differ.
fn compared(text: &mut String, expected: &str, got: &str) {
    // Messages in few words, where those tell them apart.
    let (brief, got_brief) = (log::words(expected), log::words(got));
    let (expected, got) = match (&brief, &got_brief) {
        (Some(brief), Some(got_brief)) if brief != got_brief => {
            (brief.as_str(), got_brief.as_str())
        }
        _ => (expected, got),
    };
    let room = WIDTH - LABEL;
    let (start, end) = difference(expected, got);
    let is_long = expected.chars().count().max(got.chars().count()) > room;
    let is_one_line = !expected.contains('\n') && !got.contains('\n');
    if !is_one_line || start == got.chars().count() && start == expected.chars().count() {
        labelled(text, "expected: ", expected);
        labelled(text, "got:      ", got);
        return;
    }
    let from = match is_long {
        true => start.saturating_sub(SHOWN_BESIDE),
        false => 0,
    };
    labelled(text, "expected: ", &part(expected, from, room));
    labelled(text, "got:      ", &part(got, from, room));
    let length = got
        .chars()
        .count()
        .saturating_sub(end)
        .saturating_sub(start);
    // Something that is missing is shown as one place.
    let begin = start - from + usize::from(from > 0);
    let marks = "^".repeat(length.max(1).min(room.saturating_sub(begin)));
    let _ = writeln!(text, "  differs:  {}{marks}", " ".repeat(begin));
}

/// How many characters are the same at the start of two texts, and how many of the others at their end.
fn difference(one: &str, other: &str) -> (usize, usize) {
    let same = |one: &mut dyn Iterator<Item = char>, other: &mut dyn Iterator<Item = char>| {
        one.zip(other)
            .take_while(|(one, other)| one == other)
            .count()
    };
    let start = same(&mut one.chars(), &mut other.chars());
    let end = same(&mut one.chars().rev(), &mut other.chars().rev());
    let shorter = one.chars().count().min(other.chars().count());
    (start, end.min(shorter - start))
}

/// A text from a character on, in a room of so many.
fn part(text: &str, from: usize, room: usize) -> String {
    let mut part = String::from(if from > 0 { "…" } else { "" });
    let room = room - part.chars().count();
    let rest: Vec<char> = text.chars().skip(from).collect();
    if rest.len() <= room {
        part.extend(rest);
    } else {
        part.extend(&rest[..room - 1]);
        part.push('…');
    }
    part
}

fn labelled(text: &mut String, label: &str, value: &str) {
    let indent = " ".repeat(label.chars().count() + 2);
    let mut first = true;
    for line in value.lines() {
        for part in chunks(line, WIDTH - indent.len()) {
            let lead = if first {
                format!("  {label}")
            } else {
                indent.clone()
            };
            let _ = writeln!(text, "{lead}{part}");
            first = false;
        }
    }
}

pub(crate) fn wrapped(text: &mut String, indent: &str, words: &str) {
    let room = WIDTH - indent.chars().count();
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            let _ = writeln!(text, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        while line.chars().count() > room {
            let rest = line.split_off(
                line.char_indices()
                    .nth(room)
                    .map_or(line.len(), |(at, _)| at),
            );
            let _ = writeln!(text, "{indent}{line}");
            line = rest;
        }
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{indent}{line}");
    }
}

pub(super) fn chunks(line: &str, room: usize) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    chars
        .chunks(room.max(1))
        .map(|part| part.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(expected: &str, got: &str) -> String {
        let mut text = String::new();
        compared(&mut text, expected, got);
        text
    }

    #[test]
    fn what_differs_is_marked() {
        assert_eq!(
            diff("\"abcd\"", "\"acbd\""),
            "  expected: \"abcd\"\n  got:      \"acbd\"\n  differs:    ^^\n"
        );
        assert!(diff("\"ab\"", "\"a\"").ends_with("  differs:    ^\n"));
        assert!(diff("a\nb", "a\nc").ends_with("  got:      a\n            c\n"));
    }

    #[test]
    fn of_messages_the_words_that_differ_are_marked() {
        let echo = |seq: u64| {
            format!(
                r#"{{"type":"op_echo","doc_id":"doc-0123456789abcdef","server_seq":{seq},"origin_client_id":"A","client_msg_id":"m","op":{{"type":"del","id":[2,"A"]}}}}"#
            )
        };
        let text = diff(&echo(3), &echo(4));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"  expected: op_echo seq 3 A m del [2,"A"]"#);
        assert_eq!(lines[2], "  differs:              ^");
    }

    #[test]
    fn of_long_texts_the_place_is_shown() {
        let (expected, got) = (
            format!("{}xyz", "a".repeat(500)),
            format!("{}xz", "a".repeat(500)),
        );
        let text = diff(&expected, &got);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        let at = lines[2].chars().position(|c| c == '^').unwrap();
        let shown: Vec<char> = [lines[0], lines[1]]
            .iter()
            .filter_map(|line| line.chars().nth(at))
            .collect();
        assert_eq!(shown, ['y', 'z'], "{text}");
    }
}
