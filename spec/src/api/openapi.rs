//! The OpenAPI document: the two addresses of a server, before a WebSocket is one.

use serde_json::{Value, json};

use super::{VERSION, license, with_rules};

pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Collaborative text: the HTTP side",
            "version": VERSION,
            "description": "A server has two addresses: its health, and the WebSocket. What goes over \
                            the WebSocket is in `asyncapi.json`.",
            "license": license(),
        },
        "servers": [
            {
                "url": "http://127.0.0.1:8000",
                "description": "Where the reference server listens unless it is told otherwise.",
            },
            {
                "url": "https://{host}",
                "description": "Any other server.",
                "variables": { "host": { "default": "collab-text.example" } },
            },
        ],
        "tags": [{ "name": "core", "description": "What every server speaks." }],
        "paths": {
            "/health": { "get": health() },
            "/ws": { "get": upgrade() },
        },
    })
}

fn health() -> Value {
    json!({
        "operationId": "health",
        "summary": "Whether the server is well.",
        "description": with_rules("The law:", &["http.health"]),
        "tags": ["core"],
        "security": [],
        "responses": { "200": {
            "description": "The server is well.",
            "content": { "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["status"],
                    "properties": { "status": { "type": "string", "const": "ok" } },
                },
                "examples": { "well": { "value": { "status": "ok" } } },
            } },
        } },
    })
}

fn upgrade() -> Value {
    let refused = json!({
        "Upgrade": header("The protocol to ask for.", json!({ "const": "websocket" })),
        "Sec-WebSocket-Version": header("The version to ask for.", json!({ "const": "13" })),
    });
    json!({
        "operationId": "upgrade",
        "summary": "Opens the WebSocket (RFC 6455).",
        "description": with_rules(
            "What a request that is no upgrade brings is not graded; the answers here are those of the \
             reference server. The law:",
            &["transport.upgrade"],
        ),
        "tags": ["core"],
        "security": [],
        "parameters": [
            parameter("Connection", "Lists `Upgrade`.", json!({}), json!("Upgrade")),
            parameter("Upgrade", "Lists `websocket`.", json!({}), json!("websocket")),
            parameter(
                "Sec-WebSocket-Version",
                "The version of the WebSocket protocol.",
                json!({ "const": "13" }),
                json!("13"),
            ),
            parameter(
                "Sec-WebSocket-Key",
                "16 random bytes in base64, new for each connection.",
                json!({ "contentEncoding": "base64" }),
                json!("dGhlIHNhbXBsZSBub25jZQ=="),
            ),
        ],
        "responses": {
            "101": {
                "description": "The connection is a WebSocket from here on; see `asyncapi.json`.",
                "headers": {
                    "Connection": header("Always `Upgrade`.", json!({})),
                    "Upgrade": header("Always `websocket`.", json!({})),
                    "Sec-WebSocket-Accept": header(
                        "The hash of the request's key (RFC 6455, section 4.2.2).",
                        json!({ "contentEncoding": "base64" }),
                    ),
                },
            },
            "400": plain("The key is missing.", "The header Sec-WebSocket-Key is missing.\n", &refused),
            "426": plain(
                "The request asks for no upgrade to a WebSocket, or for another version of it.",
                "This address speaks WebSocket only.\n",
                &refused,
            ),
        },
    })
}

/// A schema of text, narrowed.
fn text(narrowed: Value) -> Value {
    let mut schema = json!({ "type": "string" });
    if let (Some(schema), Value::Object(fields)) = (schema.as_object_mut(), narrowed) {
        schema.extend(fields);
    }
    schema
}

fn header(description: &str, narrowed: Value) -> Value {
    json!({ "description": description, "required": true, "schema": text(narrowed) })
}

fn parameter(name: &str, description: &str, narrowed: Value, example: Value) -> Value {
    json!({
        "name": name,
        "in": "header",
        "required": true,
        "description": description,
        "schema": text(narrowed),
        "example": example,
    })
}

/// An answer in words.
fn plain(description: &str, example: &str, headers: &Value) -> Value {
    json!({
        "description": description,
        "headers": headers,
        "content": { "text/plain": { "schema": { "type": "string" }, "example": example } },
    })
}
