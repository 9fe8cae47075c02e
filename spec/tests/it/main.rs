//! Tests of the specification: the prose, the schemas, the types and the data agree.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod api;
mod data;
mod frames;
mod plain;
mod prose;
mod schemas;

use jsonschema::Validator;
use serde_json::Value;

/// A validator of the schema with this name, such as `server-message`.
fn validator(name: &str) -> Validator {
    let schema = collab_spec::schema::find(name).unwrap_or_else(|| panic!("no schema {name}"));
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the schema says against the value, one line a fault.
fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    validator
        .iter_errors(value)
        .map(|error| format!("at '{}': {error}", error.instance_path()))
        .collect()
}
