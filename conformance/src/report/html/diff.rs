//! What should have come above what came, with what differs marked.

use collab_spec::report::Breach;
use maud::{Markup, html};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::words::seen;
use crate::report::log::without_document;
use crate::validate::shortened;

/// Texts up to this length are compared character by character, longer ones word by word.
const BY_CHARACTER: usize = 60;

/// How many parts are compared at most; what lies between equal ends of longer texts is marked whole.
const MOST_PARTS: usize = 1_500;

/// How much of a part is shown where both texts have it, and where only one has.
const MOST_EQUAL: usize = 400;
const MOST_DIFFERENT: usize = 2_000;

/// What stands in a scenario's frame where any value may come.
const PATTERN: &str = "{\"$";

/// A part of a text, and whether the other one lacks it.
type Marked<'a> = (&'a str, bool);

/// What a breach says of expected and got; nothing where it says neither.
pub(super) fn write(breach: &Breach) -> Markup {
    let text = |text: &String| seen(&without_document(text));
    let expected = breach.expected.as_ref().map(text);
    let got = breach.got.as_ref().map(text);
    match (expected, got) {
        // What differs from a pattern is not what is wrong; the breach says that in words.
        (Some(expected), Some(got)) if expected.contains(PATTERN) => html! { dl.diff {
            (side("expected", "want", &[(&expected, false)]))
            (side("got", "got", &[(&got, false)]))
        } },
        (Some(expected), Some(got)) => {
            let (left, right) = compare(&expected, &got);
            html! { dl.diff { (side("expected", "want", &left)) (side("got", "got", &right)) } }
        }
        (Some(expected), None) => {
            html! { dl.diff { (side("expected", "want", &[(&expected, false)])) } }
        }
        (None, Some(got)) => html! { dl.diff { (side("got", "got", &[(&got, false)])) } },
        (None, None) => html! {},
    }
}

fn side(label: &str, class: &str, parts: &[Marked<'_>]) -> Markup {
    html! {
        div class=(class) {
            dt { (label) }
            dd { @for (text, differs) in parts {
                @if *differs { mark { (shortened(text, MOST_DIFFERENT)) } }
                @else { (shortened(text, MOST_EQUAL)) }
            } }
        }
    }
}

fn compare<'a>(expected: &'a str, got: &'a str) -> (Vec<Marked<'a>>, Vec<Marked<'a>>) {
    let short = expected.len().max(got.len()) <= BY_CHARACTER;
    let (left, right) = (parts(expected, short), parts(got, short));
    let head = common(left.iter(), right.iter());
    let tail = common(left[head..].iter().rev(), right[head..].iter().rev());
    let (left_end, right_end) = (left.len() - tail, right.len() - tail);
    let (inner_left, inner_right) = (&left[head..left_end], &right[head..right_end]);
    let mut marks = (vec![false; left.len()], vec![false; right.len()]);
    if inner_left.len().max(inner_right.len()) > MOST_PARTS {
        marks.0[head..left_end].fill(true);
        marks.1[head..right_end].fill(true);
    } else {
        for op in capture_diff_slices(Algorithm::Myers, inner_left, inner_right) {
            if !matches!(op, DiffOp::Equal { .. }) {
                op.old_range().for_each(|at| marks.0[head + at] = true);
                op.new_range().for_each(|at| marks.1[head + at] = true);
            }
        }
    }
    let joined = |text: &'a str, parts: &[&'a str], marks: &[bool]| {
        let mut joined: Vec<Marked<'a>> = Vec::new();
        let mut at = 0;
        for group in marks.chunk_by(|one, other| one == other) {
            let first = joined.iter().map(|(text, _)| text.len()).sum::<usize>();
            let length: usize = parts[at..at + group.len()]
                .iter()
                .map(|part| part.len())
                .sum();
            joined.push((&text[first..first + length], group[0]));
            at += group.len();
        }
        joined
    };
    (
        joined(expected, &left, &marks.0),
        joined(got, &right, &marks.1),
    )
}

/// How many parts are equal, from the start of both on.
fn common<'a>(
    left: impl Iterator<Item = &'a &'a str>,
    right: impl Iterator<Item = &'a &'a str>,
) -> usize {
    left.zip(right)
        .take_while(|(one, other)| one == other)
        .count()
}

/// A text in characters, or in words and what stands between them.
fn parts(text: &str, by_character: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut last: Option<char> = None;
    for (at, c) in text.char_indices() {
        let goes_on =
            !by_character && last.is_some_and(|last| last.is_alphanumeric() && c.is_alphanumeric());
        if last.is_some() && !goes_on {
            parts.push(&text[begin..at]);
            begin = at;
        }
        last = Some(c);
    }
    if last.is_some() {
        parts.push(&text[begin..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked<'a>(parts: &[Marked<'a>]) -> Vec<&'a str> {
        let marked = parts.iter().filter(|(_, differs)| *differs);
        marked.map(|(text, _)| *text).collect()
    }

    fn whole(parts: &[Marked<'_>]) -> String {
        parts.iter().map(|(text, _)| *text).collect()
    }

    #[test]
    fn what_differs_is_marked_and_nothing_is_lost() {
        let rows = [
            ("\"dbc\"", "\"bcd\"", vec!["d"], vec!["d"]),
            ("same", "same", vec![], vec![]),
            ("", "x", vec![], vec!["x"]),
            ("aéb", "aèb", vec!["é"], vec!["è"]),
        ];
        for (expected, got, left, right) in rows {
            let compared = compare(expected, got);
            assert_eq!((marked(&compared.0), marked(&compared.1)), (left, right));
            assert_eq!(
                (whole(&compared.0).as_str(), whole(&compared.1).as_str()),
                (expected, got)
            );
        }
        let (one, other) = (
            "an op_echo with seq 17, ".repeat(4),
            "an op_echo with seq 4711, ".repeat(4),
        );
        let compared = compare(&one, &other);
        assert_eq!(marked(&compared.0), vec!["17"; 4]);
        assert_eq!(marked(&compared.1), vec!["4711"; 4]);
    }

    #[test]
    fn long_texts_are_compared_at_their_ends_alone() {
        let text = |middle: &str| format!("begin {} end", middle.repeat(MOST_PARTS + 1));
        let (one, other) = (text("a "), text("b "));
        let compared = compare(&one, &other);
        assert_eq!(compared.0.len(), 3);
        assert_eq!((whole(&compared.0), whole(&compared.1)), (one, other));
    }
}
