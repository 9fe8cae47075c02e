//! The committed schemas are those of the types, are schemas, and their examples fit them.

use std::path::Path;

use collab_spec::schema;
use serde_json::Value;

use crate::{faults, validator};

#[test]
fn committed_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = schema::all()
        .into_iter()
        .map(|file| file.file_name)
        .collect();
    assert_eq!(
        names, expected,
        "run `cargo schemas` and remove what it does not write"
    );
    for file in schema::all() {
        let committed = std::fs::read_to_string(folder.join(&file.file_name)).unwrap();
        assert!(
            committed == file.text(),
            "spec/schemas/{} is stale: run `cargo schemas` and commit what it writes",
            file.file_name
        );
    }
}

#[test]
fn schemas_are_valid_and_described() {
    for file in schema::all() {
        let name = &file.file_name;
        jsonschema::meta::validate(&file.schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        for key in ["$schema", "$id", "title", "description"] {
            assert!(file.schema[key].is_string(), "{name} has no {key}");
        }
        assert!(
            file.schema["$id"].as_str().unwrap().ends_with(name),
            "{name}: wrong $id"
        );
    }
}

#[test]
fn examples_fit_their_schemas() {
    let mut seen = 0;
    for file in schema::all() {
        let name = file.file_name.trim_end_matches(".schema.json");
        let examples = file.schema["examples"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in &examples {
            assert_eq!(
                faults(&validator(name), example),
                Vec::<String>::new(),
                "{name}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 5, "every message has an example, found {seen}");
}

#[test]
fn unions_hold_every_message() {
    for (union, count) in [
        ("client-message", 3),
        ("client-message-runs", 3),
        ("server-message", 5),
        ("server-message-runs", 5),
    ] {
        let schema = schema::find(union).unwrap();
        assert_eq!(
            schema["oneOf"].as_array().map(Vec::len),
            Some(count),
            "{union}"
        );
        let tags: Vec<&Value> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| &member["properties"]["type"]["const"])
            .collect();
        assert!(tags.iter().all(|tag| tag.is_string()), "{union}: {tags:?}");
    }
}

/// The draft drops what stands beside a `$ref`.
#[test]
fn nothing_stands_beside_a_reference() {
    fn check(file: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                let beside = fields.len() - usize::from(fields.contains_key("$ref"));
                assert!(beside == 0 || beside == fields.len(), "{file}: {value}");
                fields.values().for_each(|inner| check(file, inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| check(file, inner)),
            _ => {}
        }
    }
    for file in schema::all() {
        check(&file.file_name, &file.schema);
    }
}
