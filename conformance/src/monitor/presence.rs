//! Presence: what comes was shown by somebody else, newest last, behind one snapshot.

use std::collections::HashMap;

use collab_spec::id::Name;
use collab_spec::message::{Hello, PresenceSnapshot, PresenceUpdate, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;
use serde_json::{Map, Value};

use super::breach;
use super::digest::{Digest, Shown, Talk};
use crate::ids;
use crate::pattern::same_fields;
use crate::trace::{Connection, What};
use crate::validate::Valid;

/// One snapshot after the sync, before any update; updates as others sent them, in their order.
pub(super) fn check(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, talk) in digest.talks.iter().enumerate() {
        if !talk.is_on(Profile::Presence) {
            continue;
        }
        let mut order = Order::default();
        let mut listener = Listener {
            around: digest,
            connection: Connection(index),
            newest: &mut HashMap::new(),
            found: &mut found,
        };
        for &event in &talk.events {
            if let What::Text(received) = &digest.trace.events[event].what
                && let Ok(valid) = &received.parsed
            {
                if let Some(what) = order.hear(talk, &valid.message) {
                    listener.wrong(ids::PRESENCE_SNAPSHOT, event, what.to_owned());
                }
                if let Some(what) = surplus(valid) {
                    listener.wrong(ids::PRESENCE_EXACT_FIELDS, event, what);
                }
                listener.hear(event, &valid.message);
            }
        }
    }
    found
}

/// What has to be known of those who show something.
pub(super) trait Shows {
    /// What a client has shown before an event, with places that grow.
    fn shown(&self, doc_id: &Name, client: &Name, before: usize) -> Vec<(usize, &Shown)>;
    /// Whether some of it may be missing.
    fn has_forgotten(&self, doc_id: &Name, client: &Name) -> bool;
    /// Whether a connection of a client may have ended before an event.
    fn left(&self, doc_id: &Name, client: &Name, event: usize) -> bool;
    /// Whether a client has sent what no server may take.
    fn is_unfit(&self, doc_id: &Name, client: &Name) -> bool;
    /// The name of a connection.
    fn connection_name(&self, connection: Connection) -> &str;
    /// The text of an event's message.
    fn message_text(&self, event: usize) -> String;
}

impl Shows for Digest<'_> {
    fn shown(&self, doc_id: &Name, client: &Name, before: usize) -> Vec<(usize, &Shown)> {
        let key = (doc_id.clone(), client.clone());
        let all = self.shown.get(&key).map_or(&[][..], Vec::as_slice);
        let sent = all.iter().enumerate();
        sent.filter(|(_, shown)| shown.event < before).collect()
    }

    fn has_forgotten(&self, _: &Name, _: &Name) -> bool {
        false
    }

    /// When the server ends a connection, the others may hear of it first; and one that does not read
    /// may end unseen.
    fn left(&self, doc_id: &Name, client: &Name, event: usize) -> bool {
        self.talks.iter().any(|talk| {
            let same = |hello: &Hello| hello.doc_id == *doc_id && hello.client_id == *client;
            let mut events = talk.events.iter();
            let ending = events.find_map(|&at| match &self.trace.events[at].what {
                What::SentClose { .. } | What::Dropped => Some(at < event),
                What::Close { .. } | What::Ended { .. } | What::ReadingStopped => Some(true),
                _ => None,
            });
            talk.hello.as_ref().is_some_and(|(_, hello)| same(hello)) && ending == Some(true)
        })
    }

    fn is_unfit(&self, doc_id: &Name, client: &Name) -> bool {
        self.sent_unfit(doc_id, client)
    }

    fn connection_name(&self, connection: Connection) -> &str {
        self.trace.name(connection)
    }

    fn message_text(&self, event: usize) -> String {
        self.text(event)
    }
}

/// Whether the sync is a replay of nothing.
fn at_head(talk: &Talk) -> bool {
    talk.hello
        .as_ref()
        .zip(talk.ack.as_ref())
        .is_some_and(|((_, hello), (_, ack))| {
            ack.sync == Some(SyncKind::Replay) && hello.last_seen_server_seq == ack.server_seq
        })
}

/// Where the snapshot stands on a connection that has the profile on.
#[derive(Default)]
pub(super) struct Order {
    synced: bool,
    snapshot: bool,
}

impl Order {
    /// Takes the next message, and says what is wrong with its place.
    pub(super) fn hear(&mut self, talk: &Talk, message: &ServerMessage) -> Option<&'static str> {
        let head = talk
            .ack
            .as_ref()
            .map_or(0, |(_, ack)| ack.server_seq.value());
        self.synced |= at_head(talk);
        match message {
            ServerMessage::HelloAck(_) => {}
            ServerMessage::Resync(_) => self.synced = true,
            ServerMessage::OpEcho(echo) => self.synced |= echo.server_seq.value() >= head,
            ServerMessage::PresenceSnapshot(_) => {
                let first = !std::mem::replace(&mut self.snapshot, true);
                return match (first, self.synced) {
                    (false, _) => Some("a second presence_snapshot came"),
                    (true, false) => Some("the presence_snapshot came before the end of the sync"),
                    (true, true) => None,
                };
            }
            ServerMessage::PresenceUpdate(_) if !self.snapshot => {
                return Some("a presence_update came before the presence_snapshot");
            }
            ServerMessage::PresenceUpdate(_) => {}
        }
        None
    }
}

/// The fields that a presence_update has too many.
pub(super) fn surplus(valid: &Valid) -> Option<String> {
    if !matches!(valid.message, ServerMessage::PresenceUpdate(_)) {
        return None;
    }
    let fields = valid.unknown_fields.join(", ");
    (!fields.is_empty()).then(|| format!("the presence has other fields: {fields}"))
}

/// One connection that has the profile on.
pub(super) struct Listener<'a> {
    pub(super) around: &'a dyn Shows,
    pub(super) connection: Connection,
    /// The place, among what each client has shown, of the last that came here.
    pub(super) newest: &'a mut HashMap<Name, usize>,
    pub(super) found: &'a mut Vec<Breach>,
}

impl Listener<'_> {
    /// Takes the next message.
    pub(super) fn hear(&mut self, event: usize, message: &ServerMessage) {
        match message {
            ServerMessage::PresenceSnapshot(snapshot) => self.snapshot(event, snapshot),
            ServerMessage::PresenceUpdate(update) => self.update(event, update),
            _ => {}
        }
    }

    fn snapshot(&mut self, event: usize, snapshot: &PresenceSnapshot) {
        for (client, state) in &snapshot.states {
            let shown = self.around.shown(&snapshot.doc_id, client, event);
            let place = shown
                .iter()
                .find(|(_, shown)| shown.refused.is_none() && is(shown, Some(state)))
                .map(|(place, _)| *place);
            match place {
                Some(place) => drop(self.newest.insert(client.clone(), place)),
                None if self.around.has_forgotten(&snapshot.doc_id, client) => {}
                None => {
                    let (requirement, why) = not_shown(&shown, ids::PRESENCE_SNAPSHOT);
                    let what = format!("the presence_snapshot has a state of {client} that {why}");
                    self.wrong(requirement, event, what);
                }
            }
        }
    }

    fn update(&mut self, event: usize, update: &PresenceUpdate) {
        let client = &update.client_id;
        let shown = self.around.shown(&update.doc_id, client, event);
        let others: Vec<_> = shown
            .iter()
            .copied()
            .filter(|(_, shown)| shown.connection != self.connection)
            .collect();
        let matching = |least: usize| {
            let fits = |(place, shown): &&(usize, &Shown)| {
                *place >= least && shown.refused.is_none() && is(shown, update.state.as_ref())
            };
            others.iter().find(fits).map(|(place, _)| *place)
        };
        if update.state.is_none() && self.around.left(&update.doc_id, client, event) {
            return;
        }
        let last = self.newest.get(client).copied().unwrap_or(0);
        if let Some(place) = matching(last) {
            self.newest.insert(client.clone(), place);
            return;
        }
        let is_shown = matching(0).is_some();
        let may_be_shown = self.around.has_forgotten(&update.doc_id, client)
            || self.around.is_unfit(&update.doc_id, client);
        if !is_shown && may_be_shown {
            return;
        }
        match (is_shown, update.state.is_none()) {
            // Of several connections only the server knows which one came first.
            (true, _) if several(&others) => {}
            (true, _) => {
                let what = format!("an older state of {client} came after a newer one");
                self.wrong(ids::PRESENCE_NEWEST, event, what);
            }
            (false, true) => {
                let what = format!("null came for {client}, who has not left");
                self.wrong(ids::PRESENCE_LEAVING, event, what);
            }
            (false, false) => {
                let own = shown.len() > others.len()
                    && shown
                        .iter()
                        .any(|(_, shown)| is(shown, update.state.as_ref()));
                let (requirement, why) = if own && others.is_empty() {
                    (ids::PRESENCE_PASSED_ON, "this connection itself has sent")
                } else {
                    not_shown(&others, ids::PRESENCE_PASSED_ON)
                };
                let what = format!("a state of {client} came that {why}");
                self.wrong(requirement, event, what);
            }
        }
    }

    fn wrong(&mut self, requirement: &str, event: usize, what: String) {
        let name = self.around.connection_name(self.connection);
        let mut wrong = breach(requirement, event, format!("on {name} {what}"));
        wrong.got = Some(self.around.message_text(event));
        self.found.push(wrong);
    }
}

fn is(shown: &Shown, state: Option<&Map<String, Value>>) -> bool {
    match (&shown.update.state, state) {
        (Some(shown), Some(state)) => same_fields(shown, state),
        (shown, state) => shown.is_none() && state.is_none(),
    }
}

/// Why a state is wrong that is none of those shown.
fn not_shown(shown: &[(usize, &Shown)], otherwise: &'static str) -> (&'static str, &'static str) {
    let refused = shown.iter().find_map(|(_, shown)| shown.refused);
    match (
        shown.iter().any(|(_, shown)| shown.refused.is_none()),
        refused,
    ) {
        (true, _) => (ids::PRESENCE_OPAQUE, "is none of those sent"),
        (false, Some(requirement)) => (requirement, "must not have any effect"),
        (false, None) => (otherwise, "nobody has sent"),
    }
}

fn several(shown: &[(usize, &Shown)]) -> bool {
    shown
        .windows(2)
        .any(|pair| pair[0].1.connection != pair[1].1.connection)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::monitor::testing::{DOC, Tape, assert_breaks, assert_holds};

    fn join(tape: &mut Tape, name: &str, states: Value) {
        tape.hello_json(name, json!({"capabilities": ["presence"]}));
        tape.got_json(
            name,
            json!({"type": "hello_ack", "doc_id": DOC, "server_seq": 0,
            "capabilities": ["presence"]}),
        );
        tape.resync(name, 0, "");
        tape.got_json(
            name,
            json!({"type": "presence_snapshot", "doc_id": DOC, "states": states}),
        );
    }

    fn presence(client: &str, state: Value) -> Value {
        json!({"type": "presence_update", "doc_id": DOC, "client_id": client, "state": state})
    }

    fn show(tape: &mut Tape, name: &str, state: Value) {
        tape.sent(name, &presence(name, state).to_string());
    }

    /// A and B with presence; A has shown 1 and 2.
    fn shown() -> Tape {
        let mut tape = Tape::new();
        join(&mut tape, "A", json!({}));
        join(&mut tape, "B", json!({}));
        show(&mut tape, "A", json!({"n": 1}));
        show(&mut tape, "A", json!({"n": 2}));
        tape
    }

    fn then(client: &str, states: &[Value]) -> Tape {
        let mut tape = shown();
        for state in states {
            tape.got_json("B", presence(client, state.clone()));
        }
        tape
    }

    #[test]
    fn what_is_shown_is_passed_on_in_order_and_may_be_left_out() {
        assert_holds(&then("A", &[json!({"n": 1}), json!({"n": 2})]));
        assert_holds(&then("A", &[json!({"n": 2.0})]));
        assert_holds(&then("A", &[]));
        let mut late = shown();
        join(&mut late, "C", json!({"A": {"n": 2}}));
        assert_holds(&late);
    }

    #[test]
    fn what_was_not_shown_is_found() {
        assert_breaks(&then("A", &[json!({"n": 3})]), ids::PRESENCE_OPAQUE);
        assert_breaks(&then("C", &[json!({"n": 1})]), ids::PRESENCE_PASSED_ON);
        assert_breaks(
            &then("A", &[json!({"n": 2}), json!({"n": 1})]),
            ids::PRESENCE_NEWEST,
        );
        let mut back = shown();
        back.got_json("A", presence("A", json!({"n": 1})));
        assert_breaks(&back, ids::PRESENCE_PASSED_ON);
        let mut extra = shown();
        let mut message = presence("A", json!({"n": 1}));
        message["server_seq"] = json!(3);
        extra.got_json("B", message);
        assert_breaks(&extra, ids::PRESENCE_EXACT_FIELDS);
        let mut snapshot = shown();
        join(&mut snapshot, "C", json!({"D": {}}));
        assert_breaks(&snapshot, ids::PRESENCE_SNAPSHOT);
        let mut stale = shown();
        join(&mut stale, "C", json!({"A": {"n": 2}}));
        stale.got_json("C", presence("A", json!({"n": 1})));
        assert_breaks(&stale, ids::PRESENCE_NEWEST);
    }

    #[test]
    fn null_is_for_who_left() {
        assert_breaks(&then("A", &[Value::Null]), ids::PRESENCE_LEAVING);
        let mut left = shown();
        left.event("A", What::Dropped);
        left.got_json("B", presence("A", Value::Null));
        assert_holds(&left);
        let mut ended = shown();
        ended.got_json("B", presence("A", Value::Null));
        ended.event("A", What::Ended { error: None });
        assert_holds(&ended);
        let mut null = shown();
        show(&mut null, "A", Value::Null);
        null.got_json("B", presence("A", Value::Null));
        assert_holds(&null);
        show(&mut null, "A", json!({"n": 3}));
        null.got_json("B", presence("A", json!({"n": 3})));
        null.event("A", What::Dropped);
        null.got_json("B", presence("A", Value::Null));
        assert_holds(&null);
    }

    #[test]
    fn one_snapshot_stands_behind_the_sync() {
        let mut twice = shown();
        twice.got_json(
            "B",
            json!({"type": "presence_snapshot", "doc_id": DOC, "states": {}}),
        );
        assert_breaks(&twice, ids::PRESENCE_SNAPSHOT);
        let mut early = Tape::new();
        early.hello_json("A", json!({"capabilities": ["presence"]}));
        early.got_json(
            "A",
            json!({"type": "hello_ack", "doc_id": DOC, "server_seq": 0,
            "capabilities": ["presence"]}),
        );
        let mut before = early.clone();
        before.got_json(
            "A",
            json!({"type": "presence_snapshot", "doc_id": DOC, "states": {}}),
        );
        assert_breaks(&before, ids::PRESENCE_SNAPSHOT);
        join(&mut early, "B", json!({}));
        show(&mut early, "B", json!({}));
        early.resync("A", 0, "");
        early.got_json("A", presence("B", json!({})));
        assert_breaks(&early, ids::PRESENCE_SNAPSHOT);
    }

    #[test]
    fn what_must_be_refused_is_not_passed_on() {
        let mut tape = shown();
        join(&mut tape, "C", json!({}));
        let big = json!({"x": "x".repeat(4_096)});
        show(&mut tape, "C", big.clone());
        tape.got_json("B", presence("C", big));
        assert_breaks(&tape, "presence.too-big");
        let mut tape = shown();
        tape.sent("A", &presence("D", json!({})).to_string());
        tape.got_json("B", presence("D", json!({})));
        assert_breaks(&tape, "presence.ids");
        let mut tape = shown();
        tape.joined("D", 0, "");
        show(&mut tape, "D", json!({}));
        tape.got_json("B", presence("D", json!({})));
        assert_breaks(&tape, ids::PROFILES_OFF);
    }
}
