//! The documents for API tools, generated from the types and the prose: AsyncAPI for the messages,
//! OpenAPI for the HTTP side.
//!
//! Deliberately absent: the rules of the CRDT and of cost, which no such document can hold.

mod asyncapi;
mod openapi;

use serde_json::{Value, json};

use crate::requirement;

/// The version that the first lines of `protocol.md` give.
const VERSION: &str = "1";

/// A document for API tools.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file name, such as `asyncapi.json`. The schemas stand in the folder `schemas` beside it.
    pub file_name: &'static str,
    /// The document.
    pub content: Value,
}

impl Document {
    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.content)
    }
}

/// Every document, in the order of their names.
pub fn all() -> Vec<Document> {
    vec![
        Document {
            file_name: "asyncapi.json",
            content: asyncapi::document(),
        },
        Document {
            file_name: "openapi.json",
            content: openapi::document(),
        },
    ]
}

fn license() -> Value {
    json!({ "name": "MIT", "url": "https://opensource.org/license/mit" })
}

/// A text, and under it the sentences of the law that it rests on, as Markdown. A rule is the id of a
/// requirement, or an area with its dot, such as `sync.`, for all of the area.
///
/// # Panics
/// Where a rule names no requirement, which a test of this package rules out.
fn with_rules(text: &str, rules: &[&str]) -> String {
    let mut whole = format!("{text}\n");
    for rule in rules {
        let before = whole.len();
        for requirement in requirement::requirements() {
            let named =
                requirement.id == *rule || rule.ends_with('.') && requirement.id.starts_with(*rule);
            if named {
                whole += &format!("\n- [{}] {}", requirement.id, requirement.sentence);
            }
        }
        assert!(whole.len() > before, "the prose has no {rule}");
    }
    whole
}
