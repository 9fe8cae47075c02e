//! What can be done to a message as a whole: other ways to write it, and other texts.

use serde_json::Value;

use super::change::{Put, Walk};
use super::json::{Escapes, Order, Path, Writing};
use crate::ids;

/// How a frame goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// As a text message.
    Text(String),
    /// As a text message in several frames.
    Fragments(Vec<String>),
    /// As bytes.
    Bytes {
        /// Whether they say that they are text.
        text: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// What is done to the text of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Its last character is cut off.
    Cut,
    /// Something stands around it.
    Around(&'static str, &'static str),
    /// It is another text.
    Instead(&'static str),
    /// It is a JSON string that holds the text.
    Quoted,
    /// Its first colon is another text.
    Colon(&'static str),
    /// It goes as a binary message.
    Binary,
    /// It goes with a byte in it that is not UTF-8.
    NotUtf8,
    /// It goes in several frames, of so many bytes or a little more.
    Fragments(usize),
}

impl Walk {
    /// Other ways to write the same.
    pub(super) fn writings(&mut self) {
        let plain = Writing::default();
        let with = |escapes| Writing { escapes, ..plain };
        for (writing, why) in [
            (
                Writing {
                    order: Order::Reversed,
                    ..plain
                },
                "has its fields in the opposite order",
            ),
            (
                Writing {
                    order: Order::Rotated,
                    ..plain
                },
                "has its first fields last",
            ),
            (
                Writing {
                    spaced: true,
                    ..plain
                },
                "has white space wherever there may be",
            ),
            (with(Escapes::Ascii), "has all beyond ASCII escaped"),
            (
                with(Escapes::All { upper: false }),
                "has every character escaped",
            ),
            (
                with(Escapes::All { upper: true }),
                "has every character escaped, in capitals",
            ),
            (with(Escapes::Short), "has its solidus escaped"),
            (
                Writing {
                    order: Order::Reversed,
                    spaced: true,
                    escapes: Escapes::All { upper: false },
                },
                "is written in the longest way",
            ),
        ] {
            self.add(&Path::default(), Put::Writing(writing), why, ids::ANY_JSON);
        }
    }

    /// Other texts.
    pub(super) fn texts(&mut self) {
        use Whole::{Around, Binary, Colon, Cut, Fragments, Instead, NotUtf8, Quoted};
        for (whole, why) in [
            (Cut, "lacks its last character"),
            (Around("", "}"), "has a brace too many"),
            (Around("", ","), "is followed by a comma"),
            (Around("", "{}"), "is followed by another object"),
            (Around("", "null"), "is followed by null"),
            (Around("", "\u{0}"), "is followed by a NUL"),
            (Around("", "\u{a0}"), "is followed by a no-break space"),
            (Around("", "//"), "is followed by a comment"),
            (Around("[", "]"), "stands in an array"),
            (Around("(", ")"), "stands in parentheses"),
            (Around("[", ""), "begins with a bracket too many"),
            (Instead(""), "is empty"),
            (Instead(" \n"), "is white space"),
            (Instead("null"), "is null"),
            (Instead("true"), "is true"),
            (Instead("7"), "is a number"),
            (Instead("[]"), "is an array"),
            (Instead("{"), "is a brace"),
            (Instead("{}"), "is an empty object"),
            (Quoted, "is a string that holds JSON"),
            (Colon("="), "has an equals sign for a colon"),
            (Colon(": :"), "has a colon too many"),
            (Colon(":\u{b}"), "has a vertical tab behind a colon"),
            (Colon(":/**/"), "has a comment in it"),
        ] {
            self.add(&Path::default(), Put::Whole(whole), why, ids::ANY_JSON);
        }
        self.open(
            &Path::default(),
            Put::Whole(Around("\u{feff}", "")),
            "begins with a byte order mark",
        );
        self.add(
            &Path::default(),
            Put::Whole(Binary),
            "goes as a binary message",
            ids::ANY_JSON,
        );
        self.add(
            &Path::default(),
            Put::Whole(NotUtf8),
            "holds a byte that is not UTF-8",
            ids::ANY_JSON,
        );
        for size in [1, 7, 60] {
            let why = format!("goes in up to 1,001 frames of {size} bytes or more, and empty ones");
            self.add(
                &Path::default(),
                Put::Whole(Fragments(size)),
                why,
                ids::FRAGMENTS,
            );
        }
    }
}

/// A long message is not cut into more frames than about this; a server must take 1,024.
const MOST_FRAMES: usize = 1_000;

impl Whole {
    /// What is sent in place of a text.
    pub(super) fn of(self, text: &str) -> Sending {
        let bytes = |text: bool, bytes: Vec<u8>| Sending::Bytes { text, bytes };
        match self {
            Whole::Cut => {
                let last = text.char_indices().last().map_or(0, |(at, _)| at);
                Sending::Text(text[..last].to_owned())
            }
            Whole::Around(before, after) => Sending::Text(format!("{before}{text}{after}")),
            Whole::Instead(other) => Sending::Text(other.to_owned()),
            Whole::Quoted => Sending::Text(Value::from(text).to_string()),
            Whole::Colon(other) => Sending::Text(text.replacen(':', other, 1)),
            Whole::Binary => bytes(false, text.as_bytes().to_vec()),
            Whole::NotUtf8 => {
                let mut broken = text.as_bytes().to_vec();
                let place = broken.len() / 2;
                broken.insert(place, 0xff);
                bytes(true, broken)
            }
            Whole::Fragments(size) => {
                let size = size.max(text.len().div_ceil(MOST_FRAMES));
                let mut parts = vec![String::new()];
                for c in text.chars() {
                    let full = parts.last().is_none_or(|part| part.len() >= size);
                    match parts.last_mut() {
                        Some(part) if !full => part.push(c),
                        _ => parts.push(c.to_string()),
                    }
                }
                parts.push(String::new());
                Sending::Fragments(parts)
            }
        }
    }
}
