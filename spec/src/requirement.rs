//! The requirements, parsed from the prose and kept nowhere else.
//!
//! A requirement is a paragraph or a list item of `protocol.md` or `crdt.md` that begins with its
//! id in brackets, `[sync.replay-exact]`. Its level is the strongest key word of RFC 2119 in it.
//! `(untestable: why)` at its end says that no one can observe it from outside.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;

/// The normative documents: file name and text, in reading order.
pub const DOCUMENTS: [(&str, &str); 2] = [
    ("protocol.md", include_str!("../protocol.md")),
    ("crdt.md", include_str!("../crdt.md")),
];

/// How strongly a requirement binds (RFC 2119).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MAY: a permission.
    May,
    /// SHOULD, SHOULD NOT.
    Should,
    /// MUST, MUST NOT.
    Must,
}

/// One requirement of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The stable id, such as `sync.replay-exact`.
    pub id: String,
    /// How strongly it binds.
    pub level: Level,
    /// The text without the id and without markup, in one line.
    pub sentence: String,
    /// Why no one can observe it from outside, where that is so.
    pub untestable: Option<String>,
    /// The profile whose section it stands in.
    pub profile: Profile,
    /// The file it stands in.
    pub file: &'static str,
    /// The line it begins at, from 1.
    pub line: usize,
}

/// Why a document can't be read as requirements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ParseError {
    /// The file.
    pub file: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Every requirement of the specification, in reading order.
///
/// # Panics
/// Where the prose does not parse, which a test of this package rules out.
pub fn requirements() -> &'static [Requirement] {
    static ALL: LazyLock<Vec<Requirement>> = LazyLock::new(|| {
        DOCUMENTS
            .into_iter()
            .flat_map(|(file, text)| parse(file, text).expect("the prose parses"))
            .collect()
    });
    &ALL
}

/// The requirement with an id, or nothing where there is none.
pub fn find(id: &str) -> Option<&'static Requirement> {
    static BY_ID: LazyLock<BTreeMap<&'static str, &'static Requirement>> = LazyLock::new(|| {
        requirements()
            .iter()
            .map(|requirement| (requirement.id.as_str(), requirement))
            .collect()
    });
    BY_ID.get(id).copied()
}

/// A paragraph or list item: the line it begins at, its text in one line, and the profile that the
/// last heading above it names (`## Profile NAME`), `core` where it names none.
struct Block {
    line: usize,
    text: String,
    profile: Profile,
}

/// Reads the requirements of one document.
///
/// Errors: a key word outside a requirement, a requirement without a key word, an id that is not
/// `area.name`.
pub fn parse(file: &'static str, text: &str) -> Result<Vec<Requirement>, ParseError> {
    let mut found = Vec::new();
    for Block {
        line,
        text,
        profile,
    } in blocks(text)
    {
        let error = |problem: String| ParseError {
            file,
            line,
            problem,
        };
        let level = level_of(&text);
        let Some((id, sentence)) = split_id(&text) else {
            if let Some(level) = level
                && !text.contains("RFC 2119")
            {
                return Err(error(format!(
                    "{level:?} stands outside a requirement: begin the paragraph with [area.name]"
                )));
            }
            continue;
        };
        if !is_id(id) {
            return Err(error(format!("[{id}] is not of the form [area.name]")));
        }
        let level =
            level.ok_or_else(|| error(format!("[{id}] says neither MUST, SHOULD nor MAY")))?;
        let (sentence, untestable) = split_untestable(sentence);
        let sentence = without_links(sentence);
        found.push(Requirement {
            id: id.to_owned(),
            level,
            sentence: sentence.trim().to_owned(),
            untestable: untestable.map(str::to_owned),
            profile,
            file,
            line,
        });
    }
    Ok(found)
}

/// Cuts a document into paragraphs and list items, without code blocks, tables and headings.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    let mut profile = Profile::Core;
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.starts_with("```") {
            fenced = !fenced;
            open = false;
            continue;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            profile = profile_of(heading);
        }
        let prose = !line.is_empty() && !line.starts_with('#') && !line.starts_with('|');
        if fenced || !prose {
            open = false;
            continue;
        }
        let item = line.strip_prefix("- ");
        if item.is_some() || !open {
            blocks.push(Block {
                line: index + 1,
                text: item.unwrap_or(line).to_owned(),
                profile,
            });
            open = true;
        } else if let Some(block) = blocks.last_mut() {
            block.text.push(' ');
            block.text.push_str(line);
        }
    }
    blocks
}

/// The profile that a heading names (`N. Profile NAME`), `core` where it names none.
pub(crate) fn profile_of(heading: &str) -> Profile {
    let named = heading
        .split_once("Profile `")
        .and_then(|(_, name)| name.split_once('`'));
    named
        .and_then(|(name, _)| Profile::from_name(name))
        .unwrap_or_default()
}

fn split_id(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("**").unwrap_or(text).strip_prefix('[')?;
    let (id, rest) = text.split_once(']')?;
    // A link is not an id.
    if rest.starts_with('(') {
        return None;
    }
    Some((id, rest.strip_prefix("**").unwrap_or(rest)))
}

fn is_id(id: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    id.split_once('.')
        .is_some_and(|(area, name)| word(area) && word(name))
}

/// Keeps the words of links and drops where they lead.
fn without_links(sentence: &str) -> String {
    let mut plain = String::new();
    let mut rest = sentence;
    while let Some((before, words, behind)) = next_link(rest) {
        plain.push_str(before);
        plain.push_str(words);
        rest = behind;
    }
    plain + rest
}

/// What stands before the next `[words](target)`, its words, and what stands behind it.
fn next_link(text: &str) -> Option<(&str, &str, &str)> {
    let (head, behind) = text.split_once("](")?;
    let (before, words) = head.rsplit_once('[')?;
    let (_, behind) = behind.split_once(')')?;
    Some((before, words, behind))
}

fn split_untestable(sentence: &str) -> (&str, Option<&str>) {
    sentence
        .rsplit_once("(untestable: ")
        .and_then(|(before, why)| Some((before, Some(why.strip_suffix(')')?))))
        .unwrap_or((sentence, None))
}

fn level_of(text: &str) -> Option<Level> {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter_map(|word| match word {
            "MUST" | "SHALL" | "REQUIRED" => Some(Level::Must),
            "SHOULD" | "RECOMMENDED" => Some(Level::Should),
            "MAY" | "OPTIONAL" => Some(Level::May),
            _ => None,
        })
        .max()
}
