//! The JSON Schemas of every message and file, generated from the types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::frame::{FrameTable, MessageType};
use crate::message::{
    Hello, HelloAck, Op, OpEcho, OpSubmission, PresenceSnapshot, PresenceUpdate, Resync, SingleOp,
};
use crate::profile::Profile;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::trace::TraceLine;
use crate::vector::VectorFile;

/// What every `$id` begins with. It is a name; nothing is served there.
pub const ID_BASE: &str = "https://collab-text.example/schemas/v1/";

/// A schema file.
#[derive(Clone, Debug)]
pub struct SchemaFile {
    /// The file name, such as `hello.schema.json`.
    pub file_name: String,
    /// The schema: JSON Schema draft-07, complete in itself.
    pub schema: Value,
}

impl SchemaFile {
    /// The text of the file.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema)
    }
}

/// Every schema of the specification, in the order of their names.
///
/// Messages that hold ops have two: `op` for connections with the profile `runs` off, `op-runs` for
/// those with it on.
pub fn all() -> Vec<SchemaFile> {
    let mut files = vec![
        message::<Hello>(MessageType::Hello, ""),
        message::<HelloAck>(MessageType::HelloAck, ""),
        message::<PresenceUpdate>(MessageType::PresenceUpdate, ""),
        message::<PresenceSnapshot>(MessageType::PresenceSnapshot, ""),
        document::<Scenario>("scenario"),
        document::<FrameTable>("frames"),
        document::<VectorFile>("vectors"),
        document::<Report>("report"),
        document::<TraceLine>("trace-line"),
    ];
    files.extend(messages_with_ops::<SingleOp>(""));
    files.extend(messages_with_ops::<Op>(RUNS));
    files.sort_by(|a, b| a.file_name.cmp(&b.file_name));
    files
}

/// What stands behind the name of a schema for connections with the profile `runs` on.
const RUNS: &str = "-runs";

/// The schemas of the messages that hold ops of the type `O`, and of all messages together.
fn messages_with_ops<O: JsonSchema>(suffix: &str) -> [SchemaFile; 5] {
    [
        message::<OpSubmission<O>>(MessageType::Op, suffix),
        message::<Resync<O>>(MessageType::Resync, suffix),
        message::<OpEcho<O>>(MessageType::OpEcho, suffix),
        union(
            &format!("client-message{suffix}"),
            "Any message that a client sends.",
            |generator| {
                vec![
                    tagged::<Hello>(generator, MessageType::Hello),
                    tagged::<OpSubmission<O>>(generator, MessageType::Op),
                    tagged::<PresenceUpdate>(generator, MessageType::PresenceUpdate),
                ]
            },
        ),
        union(
            &format!("server-message{suffix}"),
            "Any message that a server sends.",
            |generator| {
                vec![
                    tagged::<HelloAck>(generator, MessageType::HelloAck),
                    tagged::<Resync<O>>(generator, MessageType::Resync),
                    tagged::<OpEcho<O>>(generator, MessageType::OpEcho),
                    tagged::<PresenceUpdate>(generator, MessageType::PresenceUpdate),
                    tagged::<PresenceSnapshot>(generator, MessageType::PresenceSnapshot),
                ]
            },
        ),
    ]
}

/// The schema with a name such as `server-message`, or nothing where there is none.
pub fn find(name: &str) -> Option<Value> {
    static FILES: LazyLock<Vec<SchemaFile>> = LazyLock::new(all);
    let file_name = format!("{name}.schema.json");
    let found = FILES.iter().find(|file| file.file_name == file_name);
    found.map(|file| file.schema.clone())
}

/// The name of the schema for a message, or for a union of messages, on a connection with a profile
/// on.
pub fn name_with(name: &str, profile: Profile) -> String {
    let with_runs = format!("{name}{RUNS}");
    match profile {
        Profile::Runs if find(&with_runs).is_some() => with_runs,
        _ => name.to_owned(),
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07().into_generator()
}

/// The schema of one message: that of its struct, with the `type`.
fn message<T: JsonSchema>(kind: MessageType, suffix: &str) -> SchemaFile {
    let mut generator = generator();
    let schema = tagged::<T>(&mut generator, kind);
    file(&format!("{}{suffix}", kind.name()), schema, generator)
}

fn document<T: JsonSchema>(name: &str) -> SchemaFile {
    let mut generator = generator();
    let schema = T::json_schema(&mut generator);
    file(name, schema.into(), generator)
}

fn union(
    name: &str,
    description: &str,
    members: impl FnOnce(&mut SchemaGenerator) -> Vec<Value>,
) -> SchemaFile {
    let mut generator = generator();
    let members = members(&mut generator);
    let examples: Vec<Value> = members
        .iter()
        .filter_map(|member| member["examples"].get(0).cloned())
        .collect();
    let schema = json!({
        "title": name,
        "description": description,
        "oneOf": members,
        "examples": examples,
    });
    file(name, schema, generator)
}

/// The schema of a message's struct with `"type"` as its first, required property.
fn tagged<T: JsonSchema>(generator: &mut SchemaGenerator, kind: MessageType) -> Value {
    let mut schema: Value = T::json_schema(generator).into();
    let tag = json!({ "type": "string", "const": kind.name() });
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.shift_insert(0, "type".into(), tag);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, "type".into());
    }
    schema
}

/// Puts the definitions that a schema refers to beside it, and the draft and the id in front, and writes
/// all of it as the draft wants it.
fn file(name: &str, schema: Value, mut generator: SchemaGenerator) -> SchemaFile {
    let file_name = format!("{name}.schema.json");
    let mut head = Map::new();
    head.insert(
        "$schema".into(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    head.insert("$id".into(), json!(format!("{ID_BASE}{file_name}")));
    if let Value::Object(fields) = schema {
        head.extend(fields);
    }
    let definitions = generator.take_definitions(false);
    if !definitions.is_empty() {
        head.insert("definitions".into(), Value::Object(definitions));
    }
    let mut schema = Schema::from(head);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    Plain.transform(&mut schema);
    SchemaFile {
        file_name,
        schema: schema.into(),
    }
}

/// Drops the `format` names of Rust's integers, which are not of JSON Schema, and the line breaks
/// of doc comments.
#[derive(Clone, Debug)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove("format");
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = unwrap_lines(text);
        }
        transform_subschemas(self, schema);
    }
}

/// Joins the lines of each paragraph.
fn unwrap_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}
