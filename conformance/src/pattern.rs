//! Patterns of frames: matching with a readable account of what differs, and filling in.
//!
//! The language is that of scenario files (see `collab_spec::scenario::Step`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::validate::shortened;

/// The values that `$bind` has remembered.
pub type Bindings = BTreeMap<String, Value>;

/// One place in which a value is not as the pattern wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The place, a JSON pointer; empty for the whole.
    pub path: String,
    /// What the pattern wants there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "the message"
        } else {
            &self.path
        };
        write!(f, "{path} is {}, not {}", self.got, self.expected)
    }
}

enum Special<'a> {
    Any,
    Absent,
    Bind(&'a str),
    Var(&'a str),
}

/// Matches a value, and remembers what the pattern binds where it matches.
///
/// Errors: every place that differs.
pub fn match_value(
    pattern: &Value,
    value: &Value,
    bindings: &mut Bindings,
) -> Result<(), Vec<Mismatch>> {
    let mut matching = Matching {
        bindings: bindings.clone(),
        mismatches: Vec::new(),
    };
    matching.visit(pattern, Some(value), String::new());
    if matching.mismatches.is_empty() {
        *bindings = matching.bindings;
        Ok(())
    } else {
        Err(matching.mismatches)
    }
}

/// A frame with every `{"$var":NAME}` replaced by the value remembered.
///
/// Errors: a name that nothing has bound.
pub fn fill_in(frame: &Value, bindings: &Bindings) -> Result<Value, String> {
    if let Some(Special::Var(name)) = special(frame) {
        return bindings
            .get(name)
            .cloned()
            .ok_or_else(|| format!("nothing has bound ${name}"));
    }
    Ok(match frame {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| fill_in(item, bindings))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill_in(value, bindings)?)))
                .collect::<Result<Map<_, _>, String>>()?;
            Value::Object(fields)
        }
        other => other.clone(),
    })
}

/// A value with `${doc}` replaced in all its strings.
pub fn interpolate(value: &Value, doc_id: &str) -> Value {
    match value {
        Value::String(text) => Value::String(interpolate_text(text, doc_id)),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| interpolate(item, doc_id)).collect())
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), interpolate(value, doc_id)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A text with `${doc}` replaced.
pub fn interpolate_text(text: &str, doc_id: &str) -> String {
    text.replace("${doc}", doc_id)
}

/// Whether two values are the same JSON: the order of fields and the spelling of numbers aside.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => same_fields(a, b),
        _ => a == b,
    }
}

/// As [`same`], of two objects.
pub fn same_fields(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let field = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| same(a, b));
    a.len() == b.len() && a.iter().all(field)
}

/// The mismatches in one sentence.
pub fn sentence(mismatches: &[Mismatch]) -> String {
    const NAMED: usize = 4;
    let mut words: Vec<String> = mismatches
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    if mismatches.len() > NAMED {
        words.push(format!("and {} more", mismatches.len() - NAMED));
    }
    words.join("; ")
}

fn special(pattern: &Value) -> Option<Special<'_>> {
    let fields = pattern.as_object().filter(|fields| fields.len() == 1)?;
    let (key, value) = fields.iter().next()?;
    match (key.as_str(), value) {
        ("$any", Value::Bool(true)) => Some(Special::Any),
        ("$absent", Value::Bool(true)) => Some(Special::Absent),
        ("$bind", Value::String(name)) => Some(Special::Bind(name)),
        ("$var", Value::String(name)) => Some(Special::Var(name)),
        _ => None,
    }
}

struct Matching {
    bindings: Bindings,
    mismatches: Vec<Mismatch>,
}

impl Matching {
    fn visit(&mut self, pattern: &Value, value: Option<&Value>, path: String) {
        match (special(pattern), value) {
            (Some(Special::Absent), None) | (Some(Special::Any), Some(_)) => {}
            (Some(Special::Absent), Some(_)) => self.miss(path, "missing".to_owned(), value),
            (_, None) => self.miss(path, wanted(pattern), None),
            (Some(Special::Bind(name)), Some(value)) => {
                self.bindings.insert(name.to_owned(), value.clone());
            }
            (Some(Special::Var(name)), Some(value)) => match self.bindings.get(name) {
                Some(bound) if same(bound, value) => {}
                Some(bound) => {
                    let expected = format!("{} (${name})", shown(bound));
                    self.miss(path, expected, Some(value));
                }
                None => self.miss(
                    path,
                    format!("${name}, which nothing has bound"),
                    Some(value),
                ),
            },
            (None, Some(value)) => self.plain(pattern, value, path),
        }
    }

    fn plain(&mut self, pattern: &Value, value: &Value, path: String) {
        match (pattern, value) {
            (Value::Object(fields), Value::Object(values)) => {
                for (name, pattern) in fields {
                    self.visit(pattern, values.get(name), format!("{path}/{name}"));
                }
            }
            (Value::Array(items), Value::Array(values)) if items.len() == values.len() => {
                for (index, (pattern, value)) in items.iter().zip(values).enumerate() {
                    self.visit(pattern, Some(value), format!("{path}/{index}"));
                }
            }
            (pattern, value) if same(pattern, value) => {}
            _ => self.miss(path, wanted(pattern), Some(value)),
        }
    }

    fn miss(&mut self, path: String, expected: String, got: Option<&Value>) {
        let got = got.map_or_else(|| "missing".to_owned(), shown);
        self.mismatches.push(Mismatch {
            path,
            expected,
            got,
        });
    }
}

fn wanted(pattern: &Value) -> String {
    match special(pattern) {
        Some(Special::Any | Special::Bind(_)) => "there".to_owned(),
        Some(Special::Var(name)) => format!("${name}"),
        Some(Special::Absent) | None => shown(pattern),
    }
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string(), 120)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mismatches(pattern: Value, value: Value) -> Vec<String> {
        match match_value(&pattern, &value, &mut Bindings::new()) {
            Ok(()) => Vec::new(),
            Err(found) => found.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn objects_may_have_more_and_arrays_may_not() {
        assert!(mismatches(json!({"a":1}), json!({"a":1,"b":2})).is_empty());
        assert_eq!(
            mismatches(json!([1]), json!([1, 2])),
            ["the message is [1,2], not [1]"]
        );
        assert_eq!(
            mismatches(json!({"a":{"b":[1,2]},"c":3}), json!({"a":{"b":[1,4]}})),
            ["/a/b/1 is 4, not 2", "/c is missing, not 3"]
        );
    }

    #[test]
    fn numbers_may_be_written_in_another_way() {
        let written = serde_json::from_str(r#"{"a":[1.0,-0.5e0,1E2]}"#).unwrap();
        assert!(mismatches(json!({"a":[1,-0.5,100]}), written).is_empty());
        assert_eq!(
            mismatches(json!({"a":1}), json!({"a":1.5})),
            ["/a is 1.5, not 1"]
        );
    }

    #[test]
    fn specials_match_as_documented() {
        let any = json!({"$any":true});
        let absent = json!({"$absent":true});
        assert!(mismatches(json!({"a":any,"b":absent}), json!({"a":null})).is_empty());
        assert_eq!(
            mismatches(json!({"a":any}), json!({})),
            ["/a is missing, not there"]
        );
        assert_eq!(
            mismatches(json!({"a":absent}), json!({"a":1})),
            ["/a is 1, not missing"]
        );
    }

    #[test]
    fn what_is_bound_is_remembered_and_compared() {
        let mut bindings = Bindings::new();
        match_value(
            &json!({"s":{"$bind":"seq"}}),
            &json!({"s":7}),
            &mut bindings,
        )
        .unwrap();
        let again = match_value(&json!({"s":{"$var":"seq"}}), &json!({"s":8}), &mut bindings);
        assert_eq!(again.unwrap_err()[0].to_string(), "/s is 8, not 7 ($seq)");
        assert_eq!(fill_in(&json!([{"$var":"seq"}]), &bindings), Ok(json!([7])));
        assert!(fill_in(&json!({"$var":"other"}), &bindings).is_err());
    }

    #[test]
    fn a_failed_match_binds_nothing() {
        let mut bindings = Bindings::new();
        let pattern = json!({"a":{"$bind":"x"},"b":1});
        assert!(match_value(&pattern, &json!({"a":1,"b":2}), &mut bindings).is_err());
        assert!(bindings.is_empty());
    }

    #[test]
    fn doc_is_filled_in_everywhere() {
        let value = interpolate(&json!({"d":["${doc}","x-${doc}"]}), "doc-1");
        assert_eq!(value, json!({"d":["doc-1","x-doc-1"]}));
    }
}
