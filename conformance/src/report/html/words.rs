//! How a page says things: verdicts, names of places, texts that somebody else has written.

use std::time::{Duration, UNIX_EPOCH};

use collab_spec::report::Verdict;
use collab_spec::requirement::Level;
use maud::{Markup, html};

/// A verdict as a page shows it: never by its colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The class that colours it.
    pub(super) class: &'static str,
    /// A sign, for the eye.
    pub(super) sign: &'static str,
    /// The verdict in words.
    pub(super) words: &'static str,
}

impl Mark {
    /// The mark of a verdict; of none where the report does not say.
    pub(super) fn of(verdict: Option<Verdict>) -> Self {
        let (class, sign, words) = match verdict {
            Some(Verdict::Pass) => ("pass", "✓", "pass"),
            Some(Verdict::Warn) => ("warn", "!", "warn"),
            Some(Verdict::Fail) => ("fail", "✗", "fail"),
            Some(Verdict::NotApplicable) => ("none", "–", "not offered"),
            Some(Verdict::Untestable) => ("none", "–", "not tested"),
            Some(Verdict::Error) => ("odd", "?", "suite failed"),
            None => ("none", "·", "not in the report"),
        };
        Self { class, sign, words }
    }

    /// What is said of a requirement whose cases broke others before they came to it.
    pub(super) const UNCLEAR: Self = Self {
        class: "none",
        sign: "~",
        words: "unclear",
    };

    /// The sign and the words.
    pub(super) fn full(self) -> Markup {
        html! { span class={ "mark " (self.class) } { span aria-hidden="true" { (self.sign) } " " (self.words) } }
    }

    /// The sign, with whose it is and the words for those who hear the page or point at it.
    pub(super) fn short(self, of: &str) -> Markup {
        let words = if of.is_empty() {
            self.words.to_owned()
        } else {
            format!("{of}: {}", self.words)
        };
        html! {
            span class={ "mark " (self.class) } title=(words) {
                span aria-hidden="true" { (self.sign) }
                span.heard { (words) }
            }
        }
    }
}

/// The name of a place on the page: what is odd in an id is written in hexadecimal digits.
pub(super) fn place(kind: &str, id: &str) -> String {
    let mut name = format!("{kind}-");
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'/' | b'-' | b'_' => {
                name.push(char::from(byte));
            }
            other => name += &format!("~{other:02x}"),
        }
    }
    name
}

/// A text as it can be looked at: characters that can't be seen, or that turn others round, by their
/// number.
pub(super) fn seen(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
        if (c.is_control() && c != '\n') || hidden {
            seen += &format!("⟨{:x}⟩", u32::from(c));
        } else {
            seen.push(c);
        }
    }
    seen
}

/// A count with its word.
pub(super) fn count(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    }
}

/// The words of RFC 2119.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}

/// A time in words, as HTTP writes it.
pub(super) fn date(millis: u64) -> String {
    // What HTTP can write ends with the year 9999.
    let last = 253_402_300_799_000;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(millis.min(last)))
}

/// A span of time, with a unit that fits.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        _ => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_plain_and_tell_ids_apart() {
        assert_eq!(place("case", "sync/replay.x"), "case-sync/replay.x");
        assert_eq!(place("case", "a \"<b"), "case-a~20~22~3cb");
        assert_ne!(place("case", "a b"), place("case", "a~20b"));
    }

    #[test]
    fn what_hides_is_seen() {
        assert_eq!(seen("a\u{0}b\u{202e}c\nd"), "a⟨0⟩b⟨202e⟩c\nd");
    }

    #[test]
    fn any_time_can_be_said() {
        assert_eq!(date(1_700_000_000_000), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert!(date(u64::MAX).contains("9999"));
    }
}
