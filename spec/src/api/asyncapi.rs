//! The AsyncAPI document: the messages of the WebSocket, as the server sees them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{VERSION, license, with_rules};
use crate::close::CloseCode;
use crate::frame::MessageType;
use crate::profile::Profile;
use crate::requirement::{self, DOCUMENTS};
use crate::schema;

/// Something that the server does with messages. `receive` and `send` are the server's.
struct Operation {
    name: &'static str,
    action: &'static str,
    summary: &'static str,
    messages: &'static [MessageType],
    reply: &'static [MessageType],
    rules: &'static [&'static str],
}

const OPERATIONS: [Operation; 7] = [
    Operation {
        name: "join",
        action: "receive",
        summary: "A client opens a document. This is the first message of a connection, and comes once.",
        messages: &[MessageType::Hello],
        reply: &[MessageType::HelloAck],
        rules: &["hello.", "session.hello-first", "session.new-document"],
    },
    Operation {
        name: "acknowledge",
        action: "send",
        summary: "The server answers the `hello` with the document's head and the profiles that are on.",
        messages: &[MessageType::HelloAck],
        reply: &[],
        rules: &["ack.", "session.ack-first", "runs.limits"],
    },
    Operation {
        name: "sync",
        action: "send",
        summary: "The server brings a new connection to the head: by one `resync`, or by the echoes that \
                  the client has missed.",
        messages: &[MessageType::Resync, MessageType::OpEcho],
        reply: &[],
        rules: &[
            "resync.",
            "sync.",
            "session.sync-before-live",
            "resume.",
            "state.",
            "runs.replay-inside",
            "runs.state-pending",
        ],
    },
    Operation {
        name: "submit",
        action: "receive",
        summary: "A client submits an edit, or sends one again that it has not seen echoed.",
        messages: &[MessageType::Op],
        reply: &[],
        rules: &[
            "op.",
            "session.early-ops",
            "seq.sender-order",
            "submit.",
            "runs.max-run",
            "runs.takes-max-run",
            "runs.max-message",
            "runs.ins",
            "runs.del",
            "runs.schema",
            "runs.text",
            "runs.whole",
            "runs.pending",
            "runs.content",
            "runs.overlap",
            "runs.resends-unsplit",
            "runs.off-later",
        ],
    },
    Operation {
        name: "echo",
        action: "send",
        summary: "The server sends an accepted edit to every connection of its document, or to one that \
                  sent it again.",
        messages: &[MessageType::OpEcho],
        reply: &[],
        rules: &[
            "echo.",
            "text.",
            "seq.dense",
            "seq.one-order",
            "seq.from-baseline",
            "seq.fan-out",
            "runs.seqs",
            "runs.one-echo",
            "runs.count-echoed",
            "runs.split",
            "runs.answer",
        ],
    },
    Operation {
        name: "show_presence",
        action: "receive",
        summary: "A client shows its cursor and the like (profile `presence`).",
        messages: &[MessageType::PresenceUpdate],
        reply: &[],
        rules: &[
            "presence.fields",
            "presence.schema",
            "presence.ids",
            "presence.takes-4k",
            "presence.too-big",
        ],
    },
    Operation {
        name: "pass_presence_on",
        action: "send",
        summary: "The server passes on what clients show of themselves (profile `presence`): all of it \
                  once after the sync, then each change.",
        messages: &[MessageType::PresenceSnapshot, MessageType::PresenceUpdate],
        reply: &[],
        rules: &[
            "presence.snapshot",
            "presence.passed-on",
            "presence.opaque",
            "presence.exact-fields",
            "presence.newest",
            "presence.coalesced",
            "presence.leaving",
            "presence.replaced",
            "presence.ephemeral",
            "presence.no-seq",
            "presence.never-slow",
            "presence.anchors",
        ],
    },
];

/// A message with one of its schemas. A message has a second one where a profile changes it: the file
/// `op-runs.schema.json` would be that of `op` for connections with the profile `runs`.
struct Variant {
    message: MessageType,
    profile: Option<Profile>,
    schema: Value,
}

impl Variant {
    fn name(&self) -> String {
        match self.profile {
            None => self.message.name().to_owned(),
            Some(profile) => format!("{}-{profile}", self.message.name()),
        }
    }
}

/// The message as every connection knows it, and as the profiles change it.
fn variants(message: MessageType) -> Vec<Variant> {
    let profiles = Profile::ALL.into_iter().map(Some);
    std::iter::once(None)
        .chain(profiles)
        .filter_map(|profile| {
            let mut variant = Variant {
                message,
                profile,
                schema: Value::Null,
            };
            variant.schema = schema::find(&variant.name())?;
            Some(variant)
        })
        .collect()
}

pub(super) fn document() -> Value {
    let mut messages = Map::new();
    for variant in MessageType::ALL.into_iter().flat_map(variants) {
        messages.insert(variant.name(), message(&variant));
    }
    let names: Vec<String> = messages.keys().cloned().collect();
    let operations: Map<String, Value> = OPERATIONS
        .iter()
        .map(|known| (known.name.to_owned(), operation(known)))
        .collect();
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Collaborative text",
            "version": VERSION,
            "description": with_rules(
                "Many clients edit one plain text at once, over a WebSocket. The server puts the edits \
                 of a document into one order and tells everyone. The edits commute, so that every \
                 client ends with the same text; `crdt.md` says how.\n\nThe law is `protocol.md` and \
                 `crdt.md`. This document is generated from their sentences and from the schemas. It \
                 describes a server: what it receives, clients send. Each tag is a profile: `core` is \
                 what every server speaks, the others are negotiated for each connection.\n\nWhat binds \
                 clients:",
                &["client."],
            ),
            "license": license(),
            "tags": profiles(),
        },
        "defaultContentType": "application/json",
        "servers": {
            "reference": {
                "host": "127.0.0.1:8000",
                "protocol": "ws",
                "title": "The reference server",
                "description": "Where the reference server listens unless it is told otherwise.",
            },
            "yours": {
                "host": "{host}",
                "protocol": "wss",
                "title": "Any other server",
                "description": "The protocol asks for no TLS; a server on the internet needs it.",
                "variables": { "host": {
                    "default": "collab-text.example",
                    "description": "Host, and port where it is not 443.",
                } },
            },
        },
        "channels": { "document": {
            "address": "/ws",
            "title": "One document",
            "summary": "A connection serves the one document that its `hello` names.",
            "description": channel_description(),
            "servers": [{ "$ref": "#/servers/reference" }, { "$ref": "#/servers/yours" }],
            "messages": names
                .iter()
                .map(|name| (name.clone(), reference(&["components", "messages", name])))
                .collect::<Map<_, _>>(),
            "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
            "x-close-codes": close_codes(),
        } },
        "operations": operations,
        "components": {
            "correlationIds": { "client_msg_id": {
                "description": "An `op` is confirmed by the `op_echo` with its client's id and the same \
                                `client_msg_id`.",
                "location": "$message.payload#/client_msg_id",
            } },
            "messages": messages,
        },
    })
}

fn reference(path: &[&str]) -> Value {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

fn message(variant: &Variant) -> Value {
    let Variant {
        message, schema, ..
    } = variant;
    let mut description = schema["description"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match variant.profile {
        Some(profile) => {
            description +=
                &format!(" This is its form for connections with the profile `{profile}`.");
        }
        None => {
            for other in variants(*message).iter().skip(1) {
                description += &format!(
                    " A connection with the profile `{}` has `{}` in its place.",
                    other.profile.unwrap_or_default(),
                    other.name()
                );
            }
        }
    }
    let profile = variant.profile.unwrap_or(message.profile());
    let mut found = json!({
        "name": message.name(),
        "title": variant.name(),
        "summary": description,
        "tags": [{ "name": profile.name() }],
        "payload": { "$ref": format!("./schemas/{}.schema.json", variant.name()) },
        "examples": examples(variant),
    });
    if !schema["properties"]["client_msg_id"].is_null() {
        found["correlationId"] = reference(&["components", "correlationIds", "client_msg_id"]);
    }
    found
}

fn operation(known: &Operation) -> Value {
    let channel = || reference(&["channels", "document"]);
    let messages = |kinds: &[MessageType]| -> Vec<Value> {
        kinds
            .iter()
            .flat_map(|&kind| variants(kind))
            .map(|variant| reference(&["channels", "document", "messages", &variant.name()]))
            .collect()
    };
    let mut found = json!({
        "action": known.action,
        "channel": channel(),
        "summary": known.summary,
        "description": with_rules("The law:", known.rules),
        "messages": messages(known.messages),
    });
    if !known.reply.is_empty() {
        found["reply"] = json!({ "channel": channel(), "messages": messages(known.reply) });
    }
    found
}

/// The example of the message's schema, and those that the prose has in sections that speak of it.
fn examples(variant: &Variant) -> Vec<Value> {
    let own = variant.schema["examples"].as_array().cloned();
    let mut found = own.unwrap_or_default();
    let others: Vec<Option<Profile>> = variants(variant.message)
        .iter()
        .map(|other| other.profile)
        .collect();
    for (section, example) in prose_examples() {
        let section = others.contains(&Some(section)).then_some(section);
        let is_known = found.contains(&example);
        if example["type"] == variant.message.name() && section == variant.profile && !is_known {
            found.push(example);
        }
    }
    found
        .into_iter()
        .map(|payload| json!({ "payload": payload }))
        .collect()
}

/// The lines of the prose's JSON blocks, each with the profile of its section.
fn prose_examples() -> Vec<(Profile, Value)> {
    let mut found = Vec::new();
    for (_, text) in DOCUMENTS {
        let mut section = Profile::Core;
        let mut is_json = false;
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                section = requirement::profile_of(heading);
            } else if let Some(info) = line.strip_prefix("```") {
                is_json = info == "json";
            } else if is_json && let Ok(example) = serde_json::from_str(line) {
                found.push((section, example));
            }
        }
    }
    found
}

fn channel_description() -> String {
    let transport = with_rules(
        "One WebSocket, opened by `GET /ws`. Every message is one JSON object in one text message.",
        &["transport."],
    );
    let session = with_rules(
        "Between messages:",
        &[
            "session.outlives-connections",
            "session.same-client-id",
            "session.vanished",
            "session.sent-before-close",
            "session.no-effect-of-hello",
            "session.documents-apart",
        ],
    );
    let profiles = with_rules("Profiles:", &["profiles."]);
    let close = with_rules(
        "A violation closes the connection; `x-close-codes` has the codes:",
        &["close."],
    );
    let slow = with_rules("Clients that read slowly:", &["slow."]);
    [transport, session, profiles, close, slow].join("\n\n")
}

/// The close codes, each with what the prose's table says of it.
fn close_codes() -> Vec<Value> {
    let mut table: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (_, text) in DOCUMENTS {
        for line in text.lines() {
            let row = line
                .strip_prefix("| ")
                .and_then(|row| row.strip_suffix(" |"));
            let cells = row.and_then(|row| row.rsplit_once(" | "));
            if let Some((when, code)) = cells
                && let Ok(code) = code.parse()
            {
                table.entry(code).or_default().push(when);
            }
        }
    }
    CloseCode::ALL
        .into_iter()
        .map(|code| {
            let when = match code {
                CloseCode::Normal => vec!["the answer to a client's close with 1000"],
                CloseCode::GoingAway => vec!["the server shuts down in good order"],
                _ => table.remove(&code.code()).unwrap_or_default(),
            };
            json!({ "code": code.code(), "when": when })
        })
        .collect()
}

/// The profiles as tags, with what their type says of them.
fn profiles() -> Vec<Value> {
    let schema = Profile::json_schema(&mut SchemaGenerator::default());
    let described = schema.get("oneOf").and_then(Value::as_array);
    described
        .into_iter()
        .flatten()
        .map(|one| json!({ "name": one["const"], "description": one["description"] }))
        .collect()
}
