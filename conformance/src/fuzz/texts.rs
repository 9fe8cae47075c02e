//! Strings at the edges of a length and of Unicode.

/// The greatest length to which a string without a bound is made long.
const LONG: usize = 300;

/// JSON strings that no Unicode string is, and what they hold.
pub(super) const ILL_FORMED: &[(&str, &str)] = &[
    (r#""\ud800""#, "a lone surrogate"),
    (r#""a\uDFFFb""#, "a lone low surrogate"),
    (r#""\ude00\ud83d""#, "surrogates the wrong way round"),
    (r#""\ud83d\u0041""#, "a surrogate and a letter"),
    (r#""\ud83d\\ude00""#, "a surrogate and a backslash"),
    (r#""\u12""#, "an escape that is cut"),
    (r#""\x41""#, "an escape that JSON does not have"),
    ("\"\n\"", "a line feed that is not escaped"),
    ("\"\u{1f}\"", "a control character that is not escaped"),
    ("\"", "a quotation mark that is not closed"),
];

/// Characters that somebody drops, joins, cuts or takes for something else, and what they are called.
const EDGES: &[(char, &str)] = &[
    ('x', "a letter"),
    (' ', "a space"),
    ('\0', "NUL"),
    ('\n', "LF"),
    ('\r', "CR"),
    ('"', "a quotation mark"),
    ('\\', "a backslash"),
    ('/', "a solidus"),
    ('\u{7f}', "DEL"),
    ('\u{85}', "NEL"),
    ('\u{301}', "a combining accent"),
    ('\u{200d}', "a zero-width joiner"),
    ('\u{2028}', "a line separator"),
    ('\u{d7ff}', "U+D7FF, the last before the surrogates"),
    ('\u{e000}', "U+E000, the first behind the surrogates"),
    ('\u{feff}', "a byte order mark"),
    ('\u{fffd}', "the replacement character"),
    ('\u{ffff}', "U+FFFF"),
    ('\u{10000}', "U+10000, the first of two UTF-16 code units"),
    ('😀', "an emoji"),
    ('\u{10ffff}', "U+10FFFF"),
];

/// Strings of allowed lengths, with what each is; those that are long enough hold the mark.
pub(super) fn within(min: usize, max: Option<usize>, mark: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let least = min.max(1);
    for (c, words) in EDGES {
        found.push((c.to_string().repeat(least), (*words).to_owned()));
    }
    if min == 0 {
        found.push((String::new(), "empty".to_owned()));
    }
    let most = max.unwrap_or(LONG);
    if most >= LONG.min(mark.len() + 8) {
        for (unit, words) in [
            ("n", "letters"),
            ("😀", "emoji"),
            ("e\u{301}", "letters and combining accents"),
            ("\0", "NULs"),
            ("\"\\", "characters that JSON escapes"),
        ] {
            let fill: String = unit.chars().cycle().take(most - mark.len()).collect();
            found.push((format!("{mark}{fill}"), format!("of {most} {words}")));
        }
        for name in [
            "__proto__",
            "constructor",
            "null",
            "0",
            "root",
            "../..",
            "%00",
        ] {
            found.push((name.to_owned(), format!("{name:?}")));
        }
    }
    found
}

/// Strings that are shorter or longer by one than is allowed, with what each is.
pub(super) fn beyond(min: usize, max: Option<usize>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if min > 0 {
        let shorter = "s".repeat(min - 1);
        let words = match min {
            1 => "empty, and has to have a character".to_owned(),
            _ => format!("of {} letters, below the minimum {min}", min - 1),
        };
        found.push((shorter, words));
    }
    if let Some(max) = max {
        for (unit, words) in [
            ("n", "letters"),
            ("😀", "emoji"),
            ("e\u{301}", "letters and combining accents"),
            ("\r\n", "CRs and LFs"),
        ] {
            let longer = unit.chars().cycle().take(max + 1).collect();
            found.push((
                longer,
                format!("of {} {words}, above the maximum {max}", max + 1),
            ));
        }
    }
    found
}

/// Strings that somebody takes for a name, and what is done to it in them.
pub(super) fn near(name: &str) -> Vec<(String, String)> {
    let shorter: String = {
        let mut all: Vec<char> = name.chars().collect();
        all.pop();
        all.into_iter().collect()
    };
    [
        (name.to_uppercase(), "in capitals"),
        (name.to_lowercase(), "in small letters"),
        (format!("{name} "), "with a space behind it"),
        (format!(" {name}"), "with a space before it"),
        (format!("{name}\0"), "with a NUL behind it"),
        (
            format!("{name}\u{301}"),
            "with a combining accent behind it",
        ),
        (
            format!("\u{feff}{name}"),
            "with a byte order mark before it",
        ),
        (format!("{name}\n"), "with a line feed behind it"),
        (format!("{name}{name}"), "twice"),
        (shorter, "without its last character"),
    ]
    .into_iter()
    .map(|(other, words)| (other, format!("another, the same {words}")))
    .collect()
}

/// Allowed strings that begin with a name, so that nobody else has them.
pub(super) fn behind(name: &str, max: usize) -> Vec<(String, String)> {
    let edges = EDGES.iter();
    let mut found: Vec<(String, String)> = edges
        .map(|(c, words)| {
            (
                format!("{name}{c}"),
                format!("another, with {words} behind it"),
            )
        })
        .collect();
    let left = max.saturating_sub(name.chars().count());
    for (unit, words) in [
        ("n", "letters"),
        ("😀", "emoji"),
        ("e\u{301}", "letters and accents"),
    ] {
        let fill: String = unit.chars().cycle().take(left).collect();
        found.push((
            format!("{name}{fill}"),
            format!("another, of {max} characters, most of them {words}"),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn lengths_are_what_they_are_called() {
        for (min, max) in [(1, Some(1)), (1, Some(256)), (1, None), (0, None)] {
            for (text, words) in within(min, max, "m-17") {
                let length = text.chars().count();
                assert!(
                    length >= min && max.is_none_or(|max| length <= max),
                    "{words}"
                );
            }
            for (text, words) in beyond(min, max) {
                let length = text.chars().count();
                let over = max.map(|max| max + 1);
                assert!(length + 1 == min || Some(length) == over, "{words}");
            }
        }
        let has_full = |(text, _): &(String, String)| text.chars().count() == 256;
        assert!(within(1, Some(256), "m").iter().any(has_full));
    }

    #[test]
    fn what_is_ill_formed_is_no_json() {
        for (raw, words) in ILL_FORMED {
            assert!(serde_json::from_str::<Value>(raw).is_err(), "{words}");
        }
    }
}
