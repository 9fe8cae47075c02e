//! CRDT vectors: op lists with what they make, for testing a CRDT without a server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::message::{Op, State};

/// A file of vectors about one rule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "vectors", example = json!({"title":"one letter","requirements":["crdt.walk"],"vectors":[{"name":"a","ops":[{"type":"ins","parent_id":[0,"root"],"id":[1,"A"],"value":"a"}],"text":"a"}]}))]
pub struct VectorFile {
    /// The schema that the file follows, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What the vectors are about.
    pub title: String,
    /// The requirements that they exercise.
    pub requirements: Vec<String>,
    /// The vectors.
    pub vectors: Vec<Vector>,
}

/// Ops and what integrating them from an empty document makes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The vector's name, unique in its file.
    pub name: String,
    /// The ops, in the order of integration.
    pub ops: Vec<Op>,
    /// The visible text after all of them.
    pub text: String,
    /// The ops that still wait for their dependency, in any order.
    #[serde(default)]
    pub pending: Vec<Op>,
    /// Whether every order of the ops must make the same text and the same pending ops.
    #[serde(default)]
    pub any_order: bool,
    /// What the profile `state` makes of it: canonical spans, and the same pending ops, in any order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}
