//! The API documents are those of the types and the prose, and say all of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use collab_spec::close::CloseCode;
use collab_spec::frame::MessageType;
use collab_spec::profile::Profile;
use collab_spec::{api, requirement, schema};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::{faults, validator};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn committed(file_name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(file_name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn texts(values: &Value) -> impl Iterator<Item = &str> {
    let values = values.as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap())
}

/// The value that a `$ref` of a committed document stands for.
fn resolve(document: &Value, reference: &str) -> Option<Value> {
    let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let target = match file {
        "" => document.clone(),
        _ => serde_json::from_str(&std::fs::read_to_string(folder().join(file)).ok()?).ok()?,
    };
    target.pointer(pointer).cloned()
}

fn resolved(document: &Value, value: &Value) -> Value {
    let reference = value["$ref"].as_str().unwrap();
    resolve(document, reference).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Every `$ref` in a value, at any depth.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").map(|to| to.as_str().unwrap().to_owned()));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

/// The `type`s of the messages in the operations with this action.
fn operated(document: &Value, action: &str) -> BTreeSet<String> {
    let operations = document["operations"].as_object().unwrap().values();
    operations
        .filter(|operation| operation["action"] == action)
        .flat_map(|operation| operation["messages"].as_array().unwrap())
        .map(|message| resolved(document, &resolved(document, message))["name"].clone())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// The `type`s that a union of messages takes.
fn tags(union: &str) -> BTreeSet<String> {
    let schema = schema::find(union).unwrap();
    let members = schema["oneOf"].as_array().unwrap();
    members
        .iter()
        .map(|member| member["properties"]["type"]["const"].as_str().unwrap())
        .map(str::to_owned)
        .collect()
}

#[test]
fn committed_documents_are_those_of_the_types() {
    for file in api::all() {
        let committed = std::fs::read_to_string(folder().join(file.file_name)).unwrap();
        assert!(
            committed == file.text(),
            "spec/{} is stale: run `cargo schemas` and commit what it writes",
            file.file_name
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for file in ["asyncapi.json", "openapi.json"] {
        let document = committed(file);
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(
                resolve(&document, reference).is_some(),
                "{file}: {reference} leads nowhere"
            );
        }
        assert!(file != "asyncapi.json" || found.len() > 20, "{found:?}");
    }
}

#[test]
fn every_message_has_each_of_its_schemas() {
    let described = MessageType::json_schema(&mut SchemaGenerator::default());
    let described = described.get("oneOf").and_then(Value::as_array).unwrap();
    assert_eq!(described.len(), MessageType::ALL.len());

    let document = committed("asyncapi.json");
    let messages = document["components"]["messages"].as_object().unwrap();
    let in_channel = document["channels"]["document"]["messages"].as_object();
    assert!(in_channel.unwrap().keys().eq(messages.keys()));
    let named: BTreeSet<&str> = messages
        .values()
        .map(|message| message["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        BTreeSet::from(MessageType::ALL.map(MessageType::name))
    );

    let mut referred: Vec<String> = Vec::new();
    for (key, message) in messages {
        let payload = resolved(&document, &message["payload"]);
        assert_eq!(
            payload["properties"]["type"]["const"], message["name"],
            "{key}"
        );
        let file = Path::new(message["payload"]["$ref"].as_str().unwrap());
        referred.push(file.file_name().unwrap().to_str().unwrap().to_owned());
    }
    referred.sort();
    let of_messages: Vec<String> = schema::all()
        .into_iter()
        .filter(|file| file.schema["properties"]["type"]["const"].is_string())
        .map(|file| file.file_name)
        .collect();
    assert_eq!(referred, of_messages);
}

#[test]
fn messages_stand_in_the_operations_of_their_direction() {
    let document = committed("asyncapi.json");
    let received = operated(&document, "receive");
    let sent = operated(&document, "send");
    assert_eq!(received, tags("client-message"));
    assert_eq!(sent, tags("server-message"));
    for message in MessageType::ALL {
        assert_eq!(received.contains(message.name()), message.is_client());
    }
    let both: Vec<&String> = received.intersection(&sent).collect();
    assert_eq!(both, ["presence_update"]);
    let reply = &document["operations"]["join"]["reply"]["messages"][0];
    let reply = resolved(&document, &resolved(&document, reply));
    assert_eq!(reply["name"], "hello_ack");
}

#[test]
fn examples_fit_the_schemas_of_their_messages() {
    let document = committed("asyncapi.json");
    for (key, message) in document["components"]["messages"].as_object().unwrap() {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{key} has no example");
        for example in examples {
            let payload = &example["payload"];
            assert_eq!(
                faults(&validator(key), payload),
                Vec::<String>::new(),
                "{key}"
            );
        }
    }
    let ops = &document["components"]["messages"]["op"]["examples"];
    let ops = ops.as_array().unwrap();
    for kind in ["ins", "del"] {
        assert!(ops.iter().any(|op| op["payload"]["op"]["type"] == kind));
    }
}

#[test]
fn profiles_and_close_codes_are_those_of_the_types() {
    let document = committed("asyncapi.json");
    let tags = document["info"]["tags"].as_array().unwrap();
    let profiles: Vec<&str> = tags.iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert_eq!(profiles, Profile::ALL.map(Profile::name));
    assert!(tags.iter().all(|tag| tag["description"].is_string()));
    for (key, message) in document["components"]["messages"].as_object().unwrap() {
        let tag = message["tags"][0]["name"].as_str().unwrap();
        assert!(profiles.contains(&tag), "{key}: {tag}");
    }
    let codes = document["channels"]["document"]["x-close-codes"].as_array();
    let codes = codes.unwrap();
    let numbers: Vec<u64> = codes
        .iter()
        .filter_map(|row| row["code"].as_u64())
        .collect();
    assert_eq!(numbers, CloseCode::ALL.map(|code| u64::from(code.code())));
    for row in codes {
        let whens: Vec<&str> = texts(&row["when"]).collect();
        assert!(!whens.is_empty(), "{row}");
        assert!(whens.iter().all(|when| when.len() > 10), "{row}");
    }
}

#[test]
fn every_requirement_on_the_wire_is_quoted() {
    let mut text = String::new();
    for file in ["asyncapi.json", "openapi.json"] {
        text += &std::fs::read_to_string(folder().join(file)).unwrap();
    }
    for requirement in requirement::requirements() {
        let area = requirement.id.split('.').next().unwrap();
        let is_quoted = text.contains(&format!("\\n- [{}] ", requirement.id));
        assert_eq!(
            is_quoted,
            !["crdt", "cost"].contains(&area),
            "{}: name it in an operation of spec/src/api/asyncapi.rs",
            requirement.id
        );
    }
}

#[test]
fn the_paths_are_those_of_the_prose() {
    let document = committed("openapi.json");
    let paths = document["paths"].as_object().unwrap();
    let in_prose: BTreeSet<&str> = requirement::requirements()
        .iter()
        .flat_map(|requirement| requirement.sentence.split('`'))
        .filter_map(|code| code.strip_prefix("GET "))
        .collect();
    assert_eq!(
        paths.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        in_prose
    );
    let statuses = |path: &str| -> Vec<String> {
        assert_eq!(paths[path].as_object().unwrap().len(), 1, "{path}");
        let responses = paths[path]["get"]["responses"].as_object().unwrap();
        responses.keys().cloned().collect()
    };
    assert_eq!(statuses("/health"), ["200"]);
    assert_eq!(statuses("/ws"), ["101", "400", "426"]);
    let channel = &committed("asyncapi.json")["channels"]["document"];
    assert_eq!(channel["address"], "/ws");
    assert_eq!(channel["bindings"]["ws"]["method"], "GET");
}

#[test]
fn the_version_is_that_of_the_prose() {
    let (_, protocol) = requirement::DOCUMENTS[0];
    for file in ["asyncapi.json", "openapi.json"] {
        let version = committed(file)["info"]["version"].clone();
        let line = format!("\nVersion {}:", version.as_str().unwrap());
        assert!(protocol.contains(&line), "{file}: {version}");
    }
}
