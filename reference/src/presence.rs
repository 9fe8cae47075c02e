//! What clients show of themselves: the newest state of each, and what of it waits for whom.
//!
//! A state is kept as the text that the client wrote, without white space and escapes that JSON does
//! not ask for: a server that reads numbers and writes them again would change some.
//!
//! Deliberately absent: who is connected (the room's), locks, tokio, and any look at what a state says.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use collab_spec::id::Name;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::frame;
use crate::violation::Violation;

/// The longest state, in bytes of its compact JSON. Source: `presence.takes-4k`, `presence.too-big`.
pub const MAX_STATE_BYTES: usize = 4096;

/// How deep a state may be nested. Inside a snapshot it is deeper than when it came, and must not be
/// too deep for the JSON libraries of those who get it. Source: `transport.nesting`.
const MAX_DEPTH: usize = 64;

/// How much presence a writer takes at a time, give or take a frame, so that ops wait for little.
const TURN_BYTES: usize = 16 << 10;

/// Of more clients than this, those that came and went while a connection took nothing are kept from
/// it; it never heard of them.
const MAX_WAITING: usize = 64;

/// What a client shows, as compact JSON of an object.
#[derive(Clone, Debug, Serialize)]
pub struct State(Arc<RawValue>);

impl State {
    /// The state in the text of a `presence_update` that fits its schema; `read` is what serde made of
    /// the same state.
    ///
    /// Errors: a state that is too long, too deep, or has a key twice in one object.
    pub fn new(message: &str, read: &Map<String, Value>) -> Result<Self, Violation> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            state: &'a RawValue,
        }
        let Fields { state } = serde_json::from_str(message).map_err(|_| Violation::Malformed)?;
        let (compact, members) = compact(state.get()).ok_or(Violation::Malformed)?;
        if members != read.values().map(count_members).sum::<usize>() + read.len() {
            // To pass it on would be to write a key twice (`transport.unique-keys`).
            return Err(Violation::Malformed);
        }
        if compact.len() > MAX_STATE_BYTES {
            return Err(Violation::StateTooBig);
        }
        let raw = RawValue::from_string(compact).map_err(|_| Violation::Malformed)?;
        Ok(Self(raw.into()))
    }
}

/// A JSON text without white space and needless escapes, and how many members its objects have;
/// nothing where it is nested too deep.
fn compact(json: &str) -> Option<(String, usize)> {
    let mut compact = String::with_capacity(json.len().min(2 * MAX_STATE_BYTES));
    let (mut members, mut depth) = (0, 0_usize);
    let mut rest = json;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let string = strings.next()?.ok()?;
                taken = strings.byte_offset();
                compact.push_str(&serde_json::to_string(&string).ok()?);
            }
            other => {
                match other {
                    ':' => members += 1,
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                compact.push(other);
            }
        }
        if depth > MAX_DEPTH {
            return None;
        }
        rest = &rest[taken..];
    }
    Some((compact, members))
}

/// How many members the objects in a value have.
fn count_members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(count_members).sum::<usize>(),
        Value::Array(items) => items.iter().map(count_members).sum(),
        _ => 0,
    }
}

/// A `presence_update` as it is passed on. Source: `presence.exact-fields`.
pub fn update(doc_id: &Name, client_id: &Name, state: Option<&State>) -> Bytes {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "presence_update")]
    struct Update<'a> {
        doc_id: &'a Name,
        client_id: &'a Name,
        state: Option<&'a State>,
    }
    frame::text(&Update {
        doc_id,
        client_id,
        state,
    })
}

/// The newest state of each client of a document that shows anything.
#[derive(Debug, Default)]
pub struct Presence {
    clients: BTreeMap<Name, Held>,
    /// How many clients have begun to show something.
    begun: u64,
}

#[derive(Debug)]
struct Held {
    state: State,
    /// The member that it came from.
    from: u64,
    /// What [`Presence::begun`] was when the client began.
    since: u64,
}

impl Presence {
    /// Takes a client's newest state, or that it shows nothing any more. Gives when the client began
    /// to show anything, for [`Inbox::put`].
    pub fn put(&mut self, client_id: &Name, state: Option<State>, from: u64) -> u64 {
        let since = match self.clients.get(client_id) {
            Some(held) => held.since,
            None => self.begun,
        };
        match state {
            Some(state) => {
                let held = Held { state, from, since };
                if self.clients.insert(client_id.clone(), held).is_none() {
                    self.begun += 1;
                }
            }
            None => drop(self.clients.remove(client_id)),
        }
        since
    }

    /// Whether the state held of a client came from this member.
    ///
    /// Source: `presence.leaving`, `presence.replaced`.
    pub fn is_from(&self, client_id: &Name, member: u64) -> bool {
        self.clients
            .get(client_id)
            .is_some_and(|held| held.from == member)
    }

    /// Source: `presence.snapshot`.
    fn snapshot(&self, doc_id: &Name) -> Bytes {
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "presence_snapshot")]
        struct Snapshot<'a> {
            doc_id: &'a Name,
            states: BTreeMap<&'a Name, &'a State>,
        }
        let states = self.clients.iter();
        frame::text(&Snapshot {
            doc_id,
            states: states.map(|(name, held)| (name, &held.state)).collect(),
        })
    }
}

/// What of the others' presence waits for one connection: of each client the newest, in the order in
/// which the clients began to wait, so that none is put off for ever.
///
/// Source: `presence.newest`, `presence.coalesced`.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Before the snapshot is taken nothing need be put in: the snapshot will hold it.
    snapshot_taken: bool,
    /// Nothing more is put in.
    closed: bool,
    order: VecDeque<Name>,
    newest: HashMap<Name, Bytes>,
    /// What [`Presence::begun`] was when something was last taken.
    taken_at: u64,
}

impl Inbox {
    /// Puts in the newest of a client; `gone_since` is there where the client shows nothing any more,
    /// and says when it began to.
    pub fn put(&mut self, client_id: &Name, frame: Bytes, gone_since: Option<u64>) {
        if !self.snapshot_taken || self.closed {
            return;
        }
        let never_taken = gone_since.is_some_and(|since| since >= self.taken_at);
        if never_taken && self.order.len() >= MAX_WAITING {
            self.forget(client_id);
        } else if self.newest.insert(client_id.clone(), frame).is_none() {
            self.order.push_back(client_id.clone());
        }
    }

    /// Takes back what waits of a client: the connection itself has sent something newer.
    pub fn forget(&mut self, client_id: &Name) {
        if self.newest.remove(client_id).is_some() {
            self.order.retain(|waiting| waiting != client_id);
        }
    }

    /// Puts nothing in any more; what waits can still be taken.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.snapshot_taken && self.order.is_empty()
    }

    /// The next frames: first the snapshot, then some of what waits.
    pub fn take(&mut self, presence: &Presence, doc_id: &Name) -> Vec<Bytes> {
        self.taken_at = presence.begun;
        if !std::mem::replace(&mut self.snapshot_taken, true) {
            return vec![presence.snapshot(doc_id)];
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while bytes < TURN_BYTES
            && let Some(client_id) = self.order.pop_front()
        {
            if let Some(frame) = self.newest.remove(&client_id) {
                bytes += frame.len();
                frames.push(frame);
            }
        }
        frames
    }
}
