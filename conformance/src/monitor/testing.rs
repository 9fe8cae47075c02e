//! Traces written by hand, for the tests of the monitors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::check;
use crate::trace::{Connection, Received, ServerEvent, Trace, What};

/// The document of all traces here.
pub(super) const DOC: &str = "doc-t";

/// A trace that is being written.
#[derive(Clone)]
pub(super) struct Tape {
    trace: Trace,
    names: HashMap<String, Connection>,
    /// Each op and its echo, by seq.
    ops: HashMap<u64, (String, String)>,
}

/// The submission of an insert at the root.
pub(super) fn op(client: &str, lamport: u64, msg_id: &str, value: &str) -> String {
    json!({"type": "op", "doc_id": DOC, "client_id": client, "client_msg_id": msg_id,
        "op": {"type": "ins", "parent_id": [0, "root"], "id": [lamport, client], "value": value}})
    .to_string()
}

/// The echo of [`op`].
pub(super) fn echo(seq: u64, client: &str, lamport: u64, msg_id: &str, value: &str) -> String {
    json!({"type": "op_echo", "doc_id": DOC, "server_seq": seq, "origin_client_id": client,
        "client_msg_id": msg_id,
        "op": {"type": "ins", "parent_id": [0, "root"], "id": [lamport, client], "value": value}})
    .to_string()
}

impl Tape {
    pub(super) fn new() -> Self {
        Self {
            trace: Trace::new(DOC),
            names: HashMap::new(),
            ops: HashMap::new(),
        }
    }

    pub(super) fn event(&mut self, name: &str, what: What) -> &mut Self {
        let connection = *self
            .names
            .entry(name.to_owned())
            .or_insert_with(|| self.trace.add_connection(name));
        let at = Duration::from_millis(self.trace.events.len() as u64);
        self.trace.push(at, Some(connection), what);
        self
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Something that the suite does to the server.
    pub(super) fn server(&mut self, event: ServerEvent) -> &mut Self {
        let at = Duration::from_millis(self.trace.events.len() as u64);
        self.trace.push(at, None, What::Server(event));
        self
    }

    pub(super) fn open(&mut self, name: &str) -> &mut Self {
        self.event(name, What::Opened)
    }

    pub(super) fn sent(&mut self, name: &str, text: &str) -> &mut Self {
        self.event(
            name,
            What::SentText {
                text: text.into(),
                fragments: 1,
            },
        )
    }

    pub(super) fn got(&mut self, name: &str, text: &str) -> &mut Self {
        self.event(name, What::Text(Arc::new(Received::new(text))))
    }

    pub(super) fn got_json(&mut self, name: &str, message: Value) -> &mut Self {
        self.got(name, &message.to_string())
    }

    /// A hello with further fields, or others.
    pub(super) fn hello_json(&mut self, name: &str, fields: Value) -> &mut Self {
        let mut hello = json!({"type": "hello", "doc_id": DOC, "client_id": name});
        for (field, value) in fields.as_object().unwrap() {
            hello[field] = value.clone();
        }
        self.open(name).sent(name, &hello.to_string())
    }

    /// Any op under the seq's name, and its echo to the sender.
    pub(super) fn submitted(&mut self, name: &str, seq: u64, op: Value) -> &mut Self {
        let msg_id = format!("m-{seq}");
        let submission = json!({"type": "op", "doc_id": DOC, "client_id": name,
            "client_msg_id": msg_id, "op": op});
        self.sent(name, &submission.to_string());
        self.got_json(
            name,
            json!({"type": "op_echo", "doc_id": DOC, "server_seq": seq,
            "origin_client_id": name, "client_msg_id": msg_id, "op": op}),
        )
    }

    pub(super) fn hello(&mut self, name: &str, last_seen: u64) -> &mut Self {
        self.hello_as(name, name, last_seen)
    }

    pub(super) fn hello_as(&mut self, name: &str, client: &str, last_seen: u64) -> &mut Self {
        let hello = json!({"type": "hello", "doc_id": DOC, "client_id": client,
            "last_seen_server_seq": last_seen});
        self.open(name).sent(name, &hello.to_string())
    }

    pub(super) fn ack(&mut self, name: &str, seq: u64) -> &mut Self {
        let ack = json!({"type": "hello_ack", "doc_id": DOC, "server_seq": seq});
        self.got(name, &ack.to_string())
    }

    pub(super) fn resync(&mut self, name: &str, seq: u64, text: &str) -> &mut Self {
        let resync = json!({"type": "resync", "doc_id": DOC, "server_seq": seq, "full_text": text});
        self.got(name, &resync.to_string())
    }

    pub(super) fn joined(&mut self, name: &str, seq: u64, text: &str) -> &mut Self {
        self.hello(name, 0).ack(name, seq).resync(name, seq, text)
    }

    /// An insert at the root, with its seq as lamport, and its echo to the sender.
    pub(super) fn typed(&mut self, name: &str, seq: u64, value: &str) -> &mut Self {
        let msg_id = format!("m-{seq}");
        let submission = op(name, seq, &msg_id, value);
        let answer = echo(seq, name, seq, &msg_id, value);
        self.ops.insert(seq, (submission.clone(), answer.clone()));
        self.sent(name, &submission).got(name, &answer)
    }

    /// The echo of a [`Tape::typed`] op comes on a connection.
    pub(super) fn echo_again(&mut self, name: &str, seq: u64) -> &mut Self {
        let answer = self.ops[&seq].1.clone();
        self.got(name, &answer)
    }

    /// A [`Tape::typed`] op is sent again, on any connection.
    pub(super) fn submit_again(&mut self, name: &str, seq: u64) -> &mut Self {
        let submission = self.ops[&seq].0.clone();
        self.sent(name, &submission)
    }
}

/// No monitor finds anything.
pub(super) fn assert_holds(tape: &Tape) {
    assert_eq!(check(&tape.trace), []);
}

/// A monitor finds the requirement broken.
pub(super) fn assert_breaks(tape: &Tape, requirement: &str) {
    let found = check(&tape.trace);
    assert!(
        found.iter().any(|breach| breach.requirement == requirement),
        "{found:#?}"
    );
}
