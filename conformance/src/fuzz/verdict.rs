//! What a right server makes of a message: by the schemas, and by the order of section 10 of the
//! specification.
//!
//! Deliberately absent: any server. What this says of a frame was never asked of one.

use std::collections::HashSet;

use collab_spec::frame::MessageType;
use collab_spec::id::{ElementId, MAX_INTEGER, Name};
use collab_spec::message::{ClientMessage, Insert, Op, OpSubmission};
use collab_spec::profile::Profile;
use serde_json::Value;

use crate::ids;
use crate::validate;

/// The greatest state, as compact JSON (`presence.too-big`).
const MOST_STATE: usize = 4096;

/// What decides over the messages of a connection.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The document of the connection.
    pub doc_id: String,
    /// The client of the connection.
    pub client_id: String,
    /// The profiles that are on.
    pub on: Vec<Profile>,
    /// The profiles that the server offers.
    pub offered: Vec<Profile>,
    /// The document's epoch, where the profile `resume` is on.
    pub epoch: Option<String>,
    /// The greatest number of elements of one op.
    pub max_run: u64,
    /// The document's ops, in the order of their seqs.
    pub accepted: Vec<OpSubmission>,
}

/// What a right server makes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is taken for this.
    Taken(Box<ClientMessage>),
    /// It is taken for an accepted op, and answered.
    Answered {
        /// The index of the accepted op.
        known: usize,
        /// The message id under which it was sent.
        msg_id: Name,
    },
    /// The connection is closed with this code.
    Closed(u16),
}

/// A verdict and why it is so.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// The requirement by which a server closes; nothing where the message is taken.
    pub requirement: &'static str,
    /// Why a server closes.
    pub why: String,
    /// Whether the specification leaves open whether the message is taken as the verdict says or
    /// refused with 1002.
    pub open: bool,
}

impl Ruling {
    fn closed(code: u16, requirement: &'static str, why: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Closed(code),
            requirement,
            why: why.into(),
            open: false,
        }
    }

    fn taken(verdict: Verdict) -> Self {
        Self {
            verdict,
            requirement: "",
            why: String::new(),
            open: false,
        }
    }
}

/// What is no JSON.
pub fn not_json(why: String) -> Ruling {
    Ruling::closed(1002, ids::CLOSE_NOT_JSON, why)
}

/// What is no text.
pub fn not_text(is_binary: bool) -> Ruling {
    match is_binary {
        true => Ruling::closed(1003, "close.binary", "it is a binary message"),
        false => Ruling::closed(1007, "close.not-utf8", "it is not UTF-8"),
    }
}

impl Setting {
    /// What a right server makes of a JSON value, as the first message of a connection or a later one.
    pub fn rule(&self, value: &Value, is_first: bool) -> Ruling {
        let Some(fields) = value.as_object() else {
            return Ruling::closed(1002, ids::CLOSE_NOT_JSON, "it is no object");
        };
        let Some(Value::String(name)) = fields.get("type") else {
            let why = "it has no `type` that is a string";
            return Ruling::closed(1002, ids::CLOSE_UNKNOWN_TYPE, why);
        };
        let presence = self.has(Profile::Presence) && !is_first;
        let kind = match name.as_str() {
            "hello" => MessageType::Hello,
            "op" => MessageType::Op,
            "presence_update" if presence => MessageType::PresenceUpdate,
            "presence_update" => {
                let why = "the profile presence is off, so that its type is unknown";
                return Ruling::closed(1002, ids::PROFILES_OFF, why);
            }
            _ => {
                let why = format!("no client's message has the type {name:?}");
                return Ruling::closed(1002, ids::CLOSE_UNKNOWN_TYPE, why);
            }
        };
        let (known, is_odd) = self.without_unknown(kind, value);
        let runs = self.has(Profile::Runs);
        if let Some(problem) = validate::client_problem(kind, runs, &known) {
            let requirement = self.schema_rule(kind, &problem.place);
            return Ruling::closed(1002, requirement, problem.what);
        }
        let read = |value: &Value| validate::client_message(&value.to_string(), &self.on);
        let (message, is_respelled) = match read(&known) {
            Some(message) => (message, false),
            None => match read(&plain_integers(&known)) {
                Some(message) => (message, true),
                None => {
                    let why = "its last lamport is above 2^53-1";
                    return Ruling::closed(1002, ids::RUNS_SCHEMA, why);
                }
            },
        };
        let mut ruling = self.rule_message(message, is_first);
        ruling.open |= is_odd || is_respelled;
        ruling
    }

    fn has(&self, profile: Profile) -> bool {
        self.on.contains(&profile)
    }

    /// The message without fields that are unknown where their profile is off, and whether it holds
    /// something of which the specification does not say what a server makes of it.
    pub(super) fn without_unknown(&self, kind: MessageType, value: &Value) -> (Value, bool) {
        let mut known = value.clone();
        let mut is_odd = false;
        let Some(fields) = known.as_object_mut() else {
            return (known, is_odd);
        };
        match kind {
            MessageType::Hello => {
                let names = fields.get("capabilities").map(|names| {
                    let names = names.as_array()?.iter().map(Value::as_str);
                    names.collect::<Option<Vec<&str>>>()
                });
                let asks_resume = names
                    .iter()
                    .flatten()
                    .flatten()
                    .any(|name| *name == Profile::Resume.name());
                is_odd = names.is_some_and(|names| names.is_none());
                if is_odd {
                    fields.shift_remove("capabilities");
                }
                if !asks_resume || !self.offered.contains(&Profile::Resume) {
                    fields.shift_remove("epoch");
                }
            }
            MessageType::Op if !self.has(Profile::Resume) => drop(fields.shift_remove("epoch")),
            _ => {}
        }
        (known, is_odd)
    }

    /// The requirement that a message breaks that does not fit its schema at a place.
    fn schema_rule(&self, kind: MessageType, place: &str) -> &'static str {
        let runs = self.has(Profile::Runs);
        match (kind, place) {
            (MessageType::PresenceUpdate, _) => "presence.schema",
            (MessageType::Hello, "/epoch") => "resume.hello-epoch-invalid",
            (MessageType::Op, "/epoch") => ids::RESUME_OP_EPOCH_INVALID,
            (MessageType::Op, "/op/value" | "/op/count") if runs => ids::RUNS_SCHEMA,
            _ => ids::CLOSE_SCHEMA,
        }
    }

    fn rule_message(&self, message: ClientMessage, is_first: bool) -> Ruling {
        let closed = Ruling::closed;
        match &message {
            ClientMessage::Hello(_) if is_first => Ruling::taken(Verdict::Taken(Box::new(message))),
            _ if is_first => closed(1002, "close.no-hello", "the first message is no hello"),
            ClientMessage::Hello(_) => closed(1003, "close.second-hello", "it is a second hello"),
            ClientMessage::PresenceUpdate(update) => {
                let own = update.doc_id.as_str() == self.doc_id
                    && update.client_id.as_str() == self.client_id;
                if !own {
                    let why = "its names are not those of the connection's hello";
                    return closed(1008, "presence.ids", why);
                }
                let state = update.state.clone().map(Value::Object);
                let bytes = state.map_or(0, |state| state.to_string().len());
                if bytes > MOST_STATE {
                    let why = format!("its state has {bytes} bytes, over {MOST_STATE}");
                    return Ruling::closed(1009, "presence.too-big", why);
                }
                Ruling::taken(Verdict::Taken(Box::new(message)))
            }
            ClientMessage::Op(submission) => match self.rule_op(submission) {
                Ok(None) => Ruling::taken(Verdict::Taken(Box::new(message))),
                Ok(Some(known)) => {
                    let msg_id = submission.client_msg_id.clone();
                    Ruling::taken(Verdict::Answered { known, msg_id })
                }
                Err(ruling) => ruling,
            },
        }
    }

    /// Whether an op is taken as new or for an accepted one.
    ///
    /// Errors: why it is refused.
    fn rule_op(&self, sent: &OpSubmission) -> Result<Option<usize>, Ruling> {
        let refused = |code, requirement, why: &str| Err(Ruling::closed(code, requirement, why));
        if sent.doc_id.as_str() != self.doc_id {
            return refused(
                1008,
                ids::CLOSE_OTHER_DOC,
                "its doc_id is not the connection's",
            );
        }
        if sent.client_id.as_str() != self.client_id {
            return refused(
                1008,
                ids::CLOSE_OTHER_CLIENT,
                "its client_id is not the connection's",
            );
        }
        let elements = sent.op.elements();
        if elements > self.max_run {
            let why = format!(
                "it has {elements} elements, and max_run is {}",
                self.max_run
            );
            return refused(1009, ids::RUNS_MAX_RUN, &why);
        }
        if self.has(Profile::Resume)
            && let Ok(Some(epoch)) = sent.epoch()
            && self.epoch.as_deref() != Some(epoch.as_str())
        {
            return refused(
                1008,
                ids::RESUME_OTHER_OP_EPOCH,
                "its epoch is not the document's",
            );
        }
        self.rule_ids(sent)
    }

    fn rule_ids(&self, sent: &OpSubmission) -> Result<Option<usize>, Ruling> {
        let refused = |requirement, why: &str| Err(Ruling::closed(1008, requirement, why));
        let same_name = |known: &OpSubmission| {
            known.client_id == sent.client_id && known.client_msg_id == sent.client_msg_id
        };
        if let Some(place) = self.accepted.iter().position(same_name) {
            if self.accepted[place].op == sent.op {
                return Ok(Some(place));
            }
            let requirement = match self.has(Profile::Runs) {
                true => ids::RUNS_CONTENT,
                false => ids::SUBMIT_MSG_ID_REUSED,
            };
            return refused(requirement, "its client_msg_id is that of another op");
        }
        let Op::Ins(insert) = &sent.op else {
            return Ok(None);
        };
        if insert.id.replica_id().as_str() != self.client_id {
            return refused(ids::CRDT_OWN_REPLICA, "its replica_id is not the client's");
        }
        if insert.id.lamport() <= insert.parent_id.lamport() {
            return refused(
                ids::CRDT_LAMPORT_ABOVE_PARENT,
                "its lamport is not above its parent's",
            );
        }
        match self.taken_by(insert) {
            None => Ok(None),
            Some(place) if self.accepted[place].op == sent.op => Ok(Some(place)),
            Some(_) if self.has(Profile::Runs) => refused(
                ids::RUNS_OVERLAP,
                "one of its ids is taken by another insert",
            ),
            Some(_) => refused(ids::SUBMIT_ID_TAKEN, "its id is taken by another insert"),
        }
    }

    /// The accepted insert that has one of the ids of an insert.
    fn taken_by(&self, insert: &Insert) -> Option<usize> {
        let elements = insert.value.elements();
        let mine = insert.id.lamport()..insert.id.lamport() + elements;
        let takes = |known: &OpSubmission| {
            let Op::Ins(first) = &known.op else {
                return false;
            };
            let theirs = first.id.lamport()..first.id.lamport() + first.value.elements();
            first.id.replica_id() == insert.id.replica_id()
                && mine.start < theirs.end
                && theirs.start < mine.end
        };
        self.accepted.iter().position(takes)
    }
}

/// The names and ids that accepted ops take from later ones.
#[derive(Clone, Debug, Default)]
pub struct Used {
    names: HashSet<Name>,
    ids: HashSet<ElementId>,
}

impl Used {
    /// Takes what ops take of which one may come to stand in the document; whether all of it was free.
    pub fn take(&mut self, ops: &[&OpSubmission]) -> bool {
        let ids = |sent: &OpSubmission| -> Vec<ElementId> {
            match &sent.op {
                Op::Ins(_) => (0..sent.op.elements())
                    .map(|at| sent.op.id().later(at))
                    .collect(),
                Op::Del(_) => Vec::new(),
            }
        };
        let is_free = |sent: &&OpSubmission| {
            let free = |id: &ElementId| !self.ids.contains(id);
            !self.names.contains(&sent.client_msg_id) && ids(sent).iter().all(free)
        };
        if !ops.iter().all(is_free) {
            return false;
        }
        for sent in ops {
            self.names.insert(sent.client_msg_id.clone());
            self.ids.extend(ids(sent));
        }
        true
    }

    /// Takes a message id; whether it was free.
    pub fn take_name(&mut self, msg_id: &Name) -> bool {
        self.names.insert(msg_id.clone())
    }
}

/// A value with its integers as digits alone, where they are written as `3.0` or `1e2`.
fn plain_integers(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is one"
            )]
            Some(float)
                if number.is_f64()
                    && float.fract() == 0.0
                    && (0.0..=MAX_INTEGER as f64).contains(&float) =>
            {
                Value::from(float as u64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(plain_integers).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.clone(), plain_integers(value)))
                .collect()
        }
        other => other.clone(),
    }
}
