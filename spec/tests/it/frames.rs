//! The table of frames: schema, serde and prose agree on what is valid.

use std::collections::BTreeSet;
use std::fmt::Debug;

use collab_spec::frame::{FrameRow, MessageType};
use collab_spec::message::{ClientMessage, Op, ServerMessage, SingleOp};
use collab_spec::plain::PlainOp;
use collab_spec::profile::Profile;
use collab_spec::{data, requirement, schema};
use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::validator;

/// The validators of a message's own schema and of the union that it belongs to, with a profile on.
fn validators(message: MessageType, profile: Profile) -> [Validator; 2] {
    let union = if message.is_client() {
        "client-message"
    } else {
        "server-message"
    };
    [message.name(), union].map(|name| validator(&schema::name_with(name, profile)))
}

/// Whether the text is JSON and fits each of the schemas.
fn schemas_take([own, union]: &[Validator; 2], text: &str) -> (bool, bool) {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return (false, false);
    };
    (own.is_valid(&value), union.is_valid(&value))
}

fn serde_takes<O>(message: MessageType, text: &str) -> bool
where
    O: DeserializeOwned + PartialEq + Debug + for<'a> TryFrom<PlainOp<'a>>,
{
    if message.is_client() {
        let read = serde_json::from_str::<ClientMessage<O>>(text);
        let quickly = ClientMessage::<O>::from_json(text);
        assert_eq!(quickly.as_ref().ok(), read.as_ref().ok(), "{text}");
        if let Ok(Value::Object(fields)) = serde_json::from_str(text)
            && let Some(op) = fields.get("op").map(Value::to_string)
        {
            let read = serde_json::from_str::<Op>(&op).ok();
            assert_eq!(Op::from_json(&op).ok(), read, "{op}");
        }
        match read {
            Ok(ClientMessage::Hello(hello)) => hello.epoch().is_ok(),
            Ok(ClientMessage::Op(op)) => op.epoch().is_ok(),
            Ok(ClientMessage::PresenceUpdate(_)) => true,
            Err(_) => false,
        }
    } else {
        serde_json::from_str::<ServerMessage<O>>(text).is_ok()
    }
}

fn check(message: MessageType, schemas: &[Validator; 2], row: &FrameRow) -> Option<String> {
    let FrameRow {
        name,
        valid,
        text,
        profile,
        ..
    } = row;
    let (own, union) = schemas_take(schemas, text);
    let serde = match profile {
        Profile::Runs => serde_takes::<Op>(message, text),
        _ => serde_takes::<SingleOp>(message, text),
    };
    ([own, union, serde] != [*valid; 3]).then(|| {
        format!(
            "{}/{name}: prose says {valid}, schema {own}, union {union}, serde {serde}",
            message.name()
        )
    })
}

#[test]
fn schema_serde_and_prose_agree() {
    let tables = data::frames().unwrap();
    assert_eq!(tables.len(), 7, "one table a message");
    let mut rows = 0;
    let mut disagreements = Vec::new();
    for table in &tables {
        let message = table.content.message;
        assert_eq!(table.path, message.name().replace('_', "-"));
        let [plain, runs] =
            [Profile::Core, Profile::Runs].map(|profile| validators(message, profile));
        rows += table.content.frames.len();
        disagreements.extend(
            table
                .content
                .frames
                .iter()
                .filter_map(|row| match row.profile {
                    Profile::Runs => check(message, &runs, row),
                    _ => check(message, &plain, row),
                }),
        );
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(rows > 300, "{rows} rows");
}

#[test]
fn rows_are_named_once_and_cite_requirements() {
    for table in data::frames().unwrap() {
        let mut names = BTreeSet::new();
        for row in &table.content.frames {
            assert!(
                names.insert(&row.name),
                "{}: {} stands twice",
                table.path,
                row.name
            );
            for id in &row.requirements {
                assert!(
                    requirement::find(id).is_some(),
                    "{}/{}: no {id}",
                    table.path,
                    row.name
                );
            }
        }
    }
}

#[test]
fn every_message_has_valid_and_invalid_rows() {
    for table in data::frames().unwrap() {
        let valid = table.content.frames.iter().filter(|row| row.valid).count();
        assert!(
            valid > 1 && valid < table.content.frames.len(),
            "{}",
            table.path
        );
    }
}
