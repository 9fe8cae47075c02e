//! Checks each message of a server: JSON, then its schema, then its type. The only user of
//! `jsonschema`.
//!
//! Deliberately absent: what a message means in its place of the conversation (see `monitor`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use collab_spec::frame::MessageType;
use collab_spec::message::{ClientMessage, Op, OpEcho, ServerMessage, SingleOp};
use collab_spec::profile::Profile;
use collab_spec::schema;
use serde_json::Value;

use crate::ids;

/// A valid message of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// The message.
    pub message: ServerMessage,
    /// Paths of the fields that the message has and its type has not.
    pub unknown_fields: Vec<String>,
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The requirement that it breaks.
    pub requirement: &'static str,
    /// What is wrong and where.
    pub what: String,
}

const SERVER_TYPES: [MessageType; 5] = [
    MessageType::HelloAck,
    MessageType::Resync,
    MessageType::OpEcho,
    MessageType::PresenceUpdate,
    MessageType::PresenceSnapshot,
];

static VALIDATORS: LazyLock<BTreeMap<&'static str, jsonschema::Validator>> = LazyLock::new(|| {
    SERVER_TYPES
        .into_iter()
        .map(|kind| {
            // Whether a connection may get runs is the monitors' matter.
            let schema = schema::name_with(kind.name(), Profile::Runs);
            (kind.name(), validator(&schema))
        })
        .collect()
});

/// The messages of a client, with the profile `runs` off and on.
static CLIENTS: LazyLock<Vec<((MessageType, bool), jsonschema::Validator)>> = LazyLock::new(|| {
    [
        MessageType::Hello,
        MessageType::Op,
        MessageType::PresenceUpdate,
    ]
    .into_iter()
    .flat_map(|kind| [(kind, false), (kind, true)])
    .map(|(kind, runs)| {
        let name = match runs {
            true => schema::name_with(kind.name(), Profile::Runs),
            false => kind.name().to_owned(),
        };
        ((kind, runs), validator(&name))
    })
    .collect()
});

static SCENARIO: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator("scenario"));

fn validator(name: &str) -> jsonschema::Validator {
    let schema = schema::find(name).expect("the specification has a schema for each of its types");
    jsonschema::draft7::new(&schema).expect("the specification's schemas are schemas")
}

/// Checks a text message of a server.
///
/// Errors: the first thing that is wrong with it.
pub fn server_message(text: &str) -> Result<Valid, Problem> {
    let problem = |requirement, what: String| Err(Problem { requirement, what });
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return problem(
                ids::TEXT_MESSAGES,
                format!("the message is not JSON: {error}"),
            );
        }
    };
    let Some(object) = value.as_object() else {
        return problem(
            ids::TEXT_MESSAGES,
            format!("the message is {}, not an object", kind(&value)),
        );
    };
    let name = match object.get("type") {
        Some(Value::String(name)) => name,
        Some(other) => {
            return problem(
                ids::TEXT_MESSAGES,
                format!("`type` is {}, not a string", kind(other)),
            );
        }
        None => return problem(ids::TEXT_MESSAGES, "the message has no `type`".to_owned()),
    };
    let Some(validator) = VALIDATORS.get(name.as_str()) else {
        return problem(
            ids::SERVER_VALID,
            format!(
                "`type` is {name:?}; a server sends {}",
                SERVER_TYPES.map(MessageType::name).join(", ")
            ),
        );
    };
    // Asking whether it fits is much cheaper than asking why not.
    if !validator.is_valid(&value) {
        let errors = errors(validator, &value);
        let requirement = match lacks_a_field(validator, &value) {
            true => fields_of(name),
            false => ids::SERVER_VALID,
        };
        return problem(
            requirement,
            format!("the {name} does not fit its schema: {errors}"),
        );
    }
    match ServerMessage::deserialize_from(&value) {
        Ok(message) => {
            let unknown_fields = unknown_fields(&message, &value);
            Ok(Valid {
                message,
                unknown_fields,
            })
        }
        // What fits the schema and not the type is a number such as 3.0.
        Err(error) => problem(
            ids::PLAIN_INTEGERS,
            format!("the {name} has a number that is not written as digits alone: {error}"),
        ),
    }
}

/// The client's message in a text, on a connection with these profiles on, or nothing where it is none
/// that a server must take.
pub fn client_message(text: &str, on: &[Profile]) -> Option<ClientMessage> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    // Without the profile `resume` a hello's epoch is an unknown field, which may hold anything.
    let asks_resume = |value: &Value| {
        let names = value["capabilities"].as_array();
        names.is_some_and(|names| names.iter().any(|name| name == Profile::Resume.name()))
    };
    if value["type"] == MessageType::Hello.name() && !asks_resume(&value) {
        value.as_object_mut()?.shift_remove("epoch");
    }
    // Tagged types would take an array of their fields as well.
    if !value.is_object() || value.get("op").is_some_and(|op| !op.is_object()) {
        return None;
    }
    if on.contains(&Profile::Runs) {
        return serde_json::from_value(value).ok();
    }
    let message: ClientMessage<SingleOp> = serde_json::from_value(value).ok()?;
    Some(message.into())
}

/// Where a client's message does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The place, a JSON pointer.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Where a client's message does not fit the schema of its type, on a connection with the profile
/// `runs` on or off.
pub fn client_problem(kind: MessageType, runs: bool, value: &Value) -> Option<Misfit> {
    let (_, validator) = CLIENTS.iter().find(|(key, _)| *key == (kind, runs))?;
    if validator.is_valid(value) {
        return None;
    }
    let error = validator.iter_errors(value).next()?;
    Some(Misfit {
        place: deepest(&error).instance_path().to_string(),
        what: describe(&error),
    })
}

/// What is wrong with a scenario file's JSON under the schema of scenarios, a line each.
pub fn scenario_problems(value: &Value) -> Vec<String> {
    SCENARIO
        .iter_errors(value)
        .map(|error| describe(&error))
        .collect()
}

/// Parses a message out of a JSON value.
trait DeserializeFrom: Sized {
    fn deserialize_from(value: &Value) -> Result<Self, serde_json::Error>;
}

impl DeserializeFrom for ServerMessage {
    fn deserialize_from(value: &Value) -> Result<Self, serde_json::Error> {
        serde::Deserialize::deserialize(value)
    }
}

/// Whether a message lacks a field of its own.
fn lacks_a_field(validator: &jsonschema::Validator, value: &Value) -> bool {
    use jsonschema::error::ValidationErrorKind::Required;
    validator.iter_errors(value).any(|error| {
        matches!(error.kind(), Required { .. }) && error.instance_path().to_string().is_empty()
    })
}

/// The requirement that says which fields a message of a server has.
fn fields_of(name: &str) -> &'static str {
    let rules = [
        (MessageType::HelloAck, ids::ACK_FIELDS),
        (MessageType::Resync, ids::RESYNC_FIELDS),
        (MessageType::OpEcho, ids::ECHO_FIELDS),
    ];
    let rule = rules.iter().find(|(message, _)| message.name() == name);
    rule.map_or(ids::SERVER_VALID, |(_, requirement)| requirement)
}

fn errors(validator: &jsonschema::Validator, value: &Value) -> String {
    let mut text = String::new();
    for error in validator.iter_errors(value).take(3) {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{}", describe(&error));
    }
    text
}

/// The error itself; of a union, that of the member that fits best.
fn deepest<'a, 'b>(
    error: &'a jsonschema::ValidationError<'b>,
) -> &'a jsonschema::ValidationError<'b> {
    use jsonschema::error::ValidationErrorKind::{AnyOf, OneOfNotValid};
    match error.kind() {
        OneOfNotValid { context } | AnyOf { context } => closest(context).map_or(error, deepest),
        _ => error,
    }
}

fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let error = deepest(error);
    let path = error.instance_path().to_string();
    let what = shortened(&error.to_string(), 160);
    if path.is_empty() {
        what
    } else {
        format!("{path}: {what}")
    }
}

/// Of a union's members that all do not fit, the error of the one that fits best: not one whose
/// constant, such as the `type`, is another; then the deepest.
fn closest<'a, 'b>(
    context: &'a [Vec<jsonschema::ValidationError<'b>>],
) -> Option<&'a jsonschema::ValidationError<'b>> {
    use jsonschema::error::ValidationErrorKind::Constant;
    let depth = |error: &jsonschema::ValidationError<'_>| {
        error.instance_path().to_string().matches('/').count()
    };
    context
        .iter()
        .filter(|errors| {
            !errors
                .iter()
                .any(|error| matches!(error.kind(), Constant { .. }))
        })
        .filter_map(|errors| errors.iter().max_by_key(|error| depth(error)))
        .max_by_key(|error| depth(error))
}

/// A text cut in its middle to about `limit` characters.
pub fn shortened(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let mark = format!(" …{} bytes… ", text.len());
    let keep = limit.saturating_sub(mark.chars().count());
    let head: String = text.chars().take(keep - keep / 3).collect();
    let tail: String = text.chars().skip(length - keep / 3).collect();
    format!("{head}{mark}{tail}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The paths of fields that a type dropped: those of `raw` that the message, written again, has not.
fn unknown_fields(message: &ServerMessage, raw: &Value) -> Vec<String> {
    let fields = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    // It is valid, so that the defined fields are all there: counting them is enough, mostly.
    let (defined, defined_in_op) = match message {
        ServerMessage::HelloAck(ack) => {
            let optional = [
                ack.capabilities.is_some(),
                ack.epoch.is_some(),
                ack.sync.is_some(),
                ack.limits.is_some(),
            ];
            (3 + optional.into_iter().filter(|there| *there).count(), 0)
        }
        ServerMessage::Resync(resync) => (4 + usize::from(resync.state.is_some()), 0),
        ServerMessage::PresenceUpdate(_) => (4, 0),
        ServerMessage::PresenceSnapshot(_) => (3, 0),
        ServerMessage::OpEcho(OpEcho { op: Op::Ins(_), .. }) => (6, 4),
        ServerMessage::OpEcho(OpEcho {
            op: Op::Del(delete),
            ..
        }) => (6, 2 + usize::from(delete.count.value() > 1)),
    };
    if fields(raw) == defined && fields(&raw["op"]) == defined_in_op {
        return Vec::new();
    }
    let known = serde_json::to_value(message).expect("a message is JSON");
    let mut found = Vec::new();
    compare(&known, raw, String::new(), &mut found);
    found
}

fn compare(known: &Value, raw: &Value, path: String, found: &mut Vec<String>) {
    let (Some(known), Some(raw)) = (known.as_object(), raw.as_object()) else {
        return;
    };
    for (name, value) in raw {
        let path = format!("{path}/{name}");
        match known.get(name) {
            Some(known) => compare(known, value, path, found),
            None => found.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (&'static str, String) {
        let problem = server_message(text).unwrap_err();
        (problem.requirement, problem.what)
    }

    #[test]
    fn a_right_message_passes() {
        let valid = server_message(r#"{"type":"hello_ack","doc_id":"d","server_seq":3,"x":{}}"#);
        assert_eq!(valid.unwrap().unknown_fields, ["/x"]);
    }

    #[test]
    fn each_step_finds_its_fault() {
        assert_eq!(problem("x").0, ids::TEXT_MESSAGES);
        assert_eq!(problem("[]").0, ids::TEXT_MESSAGES);
        assert_eq!(problem("{}").0, ids::TEXT_MESSAGES);
        assert_eq!(problem(r#"{"type":3}"#).0, ids::TEXT_MESSAGES);
        assert_eq!(
            problem(r#"{"type":"hello","doc_id":"d","client_id":"A"}"#).0,
            ids::SERVER_VALID
        );
        let (requirement, what) = problem(r#"{"type":"hello_ack","doc_id":"d","server_seq":"3"}"#);
        assert_eq!(requirement, ids::SERVER_VALID);
        assert!(what.contains("/server_seq"), "{what}");
        let (requirement, what) = problem(r#"{"type":"hello_ack","doc_id":"d","server_seq":3.0}"#);
        assert_eq!(requirement, ids::PLAIN_INTEGERS, "{what}");
    }

    #[test]
    fn an_echo_without_a_character_is_wrong() {
        let text = r#"{"type":"op_echo","doc_id":"d","server_seq":1,"origin_client_id":"A",
            "client_msg_id":"m","op":{"type":"ins","parent_id":[0,"root"],"id":[1,"A"],"value":""}}"#;
        let (requirement, what) = problem(text);
        assert_eq!(requirement, ids::SERVER_VALID);
        assert!(what.contains("/op/value"), "{what}");
    }
}
