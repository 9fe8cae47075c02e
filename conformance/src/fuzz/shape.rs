//! The committed JSON Schemas of a client's messages, read into what a generator walks.
//!
//! A schema with a word that is not understood here is an error, so that no rule is passed over.

use serde_json::Value;

/// What a part of a message must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A string of so many Unicode scalar values.
    Text {
        /// The least length.
        min: usize,
        /// The greatest length, where there is one.
        max: Option<usize>,
    },
    /// An integer.
    Integer {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// One value alone.
    Only(Value),
    /// An array of exactly these.
    Tuple(Vec<Shape>),
    /// An array of any length.
    List(Box<Shape>),
    /// An object.
    Object(Vec<Field>),
    /// An object that may hold anything, or null.
    AnyObjectOrNull,
    /// One of these.
    Either(Vec<Shape>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it must be.
    pub shape: Shape,
}

/// Words that say something to people.
const SPOKEN: [&str; 7] = [
    "$schema",
    "$id",
    "title",
    "description",
    "examples",
    "default",
    "definitions",
];

/// The shape of a schema file.
///
/// Errors: what is not understood.
pub fn read(schema: &Value) -> Result<Shape, String> {
    part(schema, schema)
}

fn part(schema: &Value, root: &Value) -> Result<Shape, String> {
    let words = schema.as_object().ok_or("a schema is no object")?;
    let told: Vec<&str> = words
        .keys()
        .map(String::as_str)
        .filter(|word| !SPOKEN.contains(word))
        .collect();
    let only = |known: &[&str]| match told.iter().find(|word| !known.contains(word)) {
        Some(word) => Err(format!("the word {word:?} is not understood in {schema}")),
        None => Ok(()),
    };
    if let Some(Value::String(place)) = schema.get("$ref") {
        only(&["$ref"])?;
        let pointer = place.trim_start_matches('#');
        let found = root.pointer(pointer);
        return part(found.ok_or_else(|| format!("there is no {place}"))?, root);
    }
    if let Some(value) = schema.get("const") {
        only(&["const", "type"])?;
        return Ok(Shape::Only(value.clone()));
    }
    if let Some(members) = ["oneOf", "anyOf"].iter().find_map(|word| schema.get(word)) {
        only(&["oneOf", "anyOf"])?;
        let members = members.as_array().ok_or("a union is no array")?;
        let shapes: Result<_, _> = members.iter().map(|member| part(member, root)).collect();
        return Ok(Shape::Either(shapes?));
    }
    let all_of = schema.get("allOf").and_then(Value::as_array);
    match &schema["type"] {
        Value::Null => match all_of.map(Vec::as_slice) {
            Some([one]) => {
                only(&["allOf"])?;
                part(one, root)
            }
            _ => Err(format!("{schema} says nothing")),
        },
        Value::Array(types) if *types == ["object", "null"] => {
            only(&["type"])?;
            Ok(Shape::AnyObjectOrNull)
        }
        Value::String(name) => match name.as_str() {
            "string" => {
                only(&["type", "minLength", "maxLength"])?;
                let length =
                    |word: &str| schema[word].as_u64().and_then(|n| usize::try_from(n).ok());
                Ok(Shape::Text {
                    min: length("minLength").unwrap_or(0),
                    max: length("maxLength"),
                })
            }
            "integer" => {
                only(&["type", "minimum", "maximum"])?;
                let bound = |word: &str| {
                    let bound = schema[word].as_u64();
                    bound.ok_or_else(|| format!("{schema} has no {word}"))
                };
                Ok(Shape::Integer {
                    min: bound("minimum")?,
                    max: bound("maximum")?,
                })
            }
            "array" => array(schema, root, &only),
            "object" => {
                only(&["type", "properties", "required", "allOf"])?;
                let mut fields = own_fields(schema, root)?;
                for one in all_of.into_iter().flatten() {
                    match part(one, root)? {
                        Shape::Object(more) => fields.extend(more),
                        other => return Err(format!("{other:?} can't be joined to an object")),
                    }
                }
                Ok(Shape::Object(fields))
            }
            other => Err(format!("the type {other:?} is not understood")),
        },
        other => Err(format!("the type {other} is not understood")),
    }
}

fn array(
    schema: &Value,
    root: &Value,
    only: &dyn Fn(&[&str]) -> Result<(), String>,
) -> Result<Shape, String> {
    match &schema["items"] {
        Value::Array(items) => {
            only(&["type", "items", "minItems", "additionalItems"])?;
            let exact = schema["minItems"].as_u64() == Some(items.len() as u64)
                && schema["additionalItems"] == false;
            if !exact {
                return Err(format!("{schema} has no exact length"));
            }
            let shapes: Result<_, _> = items.iter().map(|item| part(item, root)).collect();
            Ok(Shape::Tuple(shapes?))
        }
        items => {
            only(&["type", "items"])?;
            Ok(Shape::List(Box::new(part(items, root)?)))
        }
    }
}

fn own_fields(schema: &Value, root: &Value) -> Result<Vec<Field>, String> {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            Ok(Field {
                name: name.clone(),
                required: is_required(name),
                shape: part(schema, root)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use collab_spec::schema;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schemas_of_a_clients_messages_are_understood() {
        for name in ["hello", "op", "op-runs", "presence_update"] {
            let schema = schema::find(name).unwrap();
            let Shape::Object(fields) = read(&schema).unwrap() else {
                panic!("{name} is no object");
            };
            assert!(fields.iter().filter(|field| field.required).count() >= 3);
        }
    }

    #[test]
    fn a_word_that_is_not_understood_is_an_error() {
        for schema in [
            json!({"type": "string", "pattern": "^a"}),
            json!({"type": "integer", "minimum": 0}),
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "array", "items": [{"type": "string"}], "minItems": 1}),
            json!({"not": {}}),
        ] {
            assert!(read(&schema).is_err(), "{schema}");
        }
    }
}
