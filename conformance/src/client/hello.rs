//! The `hello` of a client, and the sync that answers it.

use collab_spec::id::Integer;
use collab_spec::message::{ClientMessage, Hello, Op, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use super::{Client, Message, named};

/// What a `hello` asks for beside the document: `Ask::of(&[…]).seen(l).epoch(e)`.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    last_seen: u64,
    pub(super) profiles: Vec<Profile>,
    epoch: Option<String>,
}

impl Ask {
    /// These profiles, and nothing seen.
    pub fn of(profiles: &[Profile]) -> Self {
        Self {
            profiles: profiles.to_vec(),
            ..Self::default()
        }
    }

    /// With a `last_seen_server_seq`.
    #[must_use]
    pub fn seen(self, last_seen: u64) -> Self {
        Self { last_seen, ..self }
    }

    /// With an epoch.
    #[must_use]
    pub fn epoch(self, epoch: &str) -> Self {
        Self {
            epoch: Some(epoch.to_owned()),
            ..self
        }
    }

    /// Whether a profile is asked for.
    pub fn has(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }
}

/// How far the sync of a connection is known.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// The `last_seen_server_seq` of the last `hello`.
    seen: u64,
    /// Whether the ack was the last message.
    is_next: bool,
}

impl Client {
    /// Says `hello`; `last_seen` is left out where there is none.
    pub fn hello(&mut self, doc_id: &str, client_id: &str, last_seen: Option<u64>) {
        let hello = Hello {
            doc_id: named(doc_id),
            client_id: named(client_id),
            last_seen_server_seq: Integer::new(last_seen.unwrap_or(0))
                .expect("a case's seqs are at most 2^53-1"),
            capabilities: None,
            epoch: None,
        };
        let mut frame =
            serde_json::to_value(ClientMessage::<Op>::Hello(hello)).expect("a message is JSON");
        if last_seen.is_none()
            && let Some(fields) = frame.as_object_mut()
        {
            fields.shift_remove("last_seen_server_seq");
        }
        self.send_json(&frame);
    }

    /// Says `hello` and asks for profiles, in this order.
    pub fn hello_asking(&mut self, doc_id: &str, client_id: &str, ask: &Ask) {
        let names: Vec<&str> = ask.profiles.iter().map(|profile| profile.name()).collect();
        let mut frame = json!({"type": "hello", "doc_id": doc_id, "client_id": client_id,
            "last_seen_server_seq": ask.last_seen, "capabilities": names});
        if let Some(epoch) = &ask.epoch {
            frame["epoch"] = json!(epoch);
        }
        self.send_json(&frame);
    }

    pub(super) fn note_hello(&mut self, text: &str) {
        if !text.contains("hello") {
            return;
        }
        // A wrong hello counts as far as it goes: the player must know whom a barrier speaks for.
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return;
        };
        if frame["type"] == "hello"
            && let (Some(doc_id), Some(client_id)) =
                (frame["doc_id"].as_str(), frame["client_id"].as_str())
        {
            self.doc_id = doc_id.to_owned();
            self.client_id = client_id.to_owned();
            self.sync = Sync {
                seen: frame["last_seen_server_seq"].as_u64().unwrap_or(0),
                is_next: false,
            };
        }
    }

    /// Takes note of a message that the case has waited for.
    pub(super) fn note_sync(&mut self, message: &ServerMessage) {
        self.sync.is_next = matches!(message, ServerMessage::HelloAck(_));
    }

    /// Whether a message is a resync in place of a replay, which is a server's to choose
    /// (`sync.replay-or-resync`).
    pub(super) fn is_resync_for_replay(&self, message: &Message) -> bool {
        let Some(ack) = self.ack.as_ref().filter(|_| self.sync.is_next) else {
            return false;
        };
        matches!(message.message, ServerMessage::Resync(_))
            && (1..ack.server_seq.value()).contains(&self.sync.seen)
            && ack.sync != Some(SyncKind::Replay)
    }
}
