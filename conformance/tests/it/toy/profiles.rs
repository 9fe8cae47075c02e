//! What the profiles add to a document of the toy: grants, epochs, states, presence.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use collab_spec::id::MAX_INTEGER;
use collab_spec::message::{Hello, Insert, Op};
use serde_json::{Value, json};

use super::Fault;
use super::document::{Document, Member, Refusal};
use super::outbox::one;
use super::text::walk;

/// What is on for a connection.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct On {
    pub(super) resume: bool,
    pub(super) state: bool,
    pub(super) presence: bool,
    pub(super) runs: bool,
}

impl On {
    pub(super) fn is_plain(self) -> bool {
        self == Self::default()
    }
}

/// A state that a client shows, and the connection that it came from.
pub(super) struct Shown {
    pub(super) by: u64,
    pub(super) first: Value,
    pub(super) state: Value,
}

static EPOCHS: AtomicU64 = AtomicU64::new(0);

pub(super) fn new_epoch() -> String {
    format!("epoch-{}", EPOCHS.fetch_add(1, Ordering::SeqCst))
}

/// What the ack grants, where it says so, and what is on.
pub(super) fn grant(
    hello: &Hello,
    fault: Option<Fault>,
) -> Result<(Option<Vec<String>>, On), Refusal> {
    let has = |other| fault == Some(other);
    let known: &[&str] = match fault {
        Some(Fault::OffersNothing) => return Ok((None, On::default())),
        Some(Fault::OffersState) => &["state"],
        _ => &["resume", "state", "presence", "runs"],
    };
    let all = || known.iter().map(|name| (*name).to_owned()).collect();
    let asked = match &hello.capabilities {
        None if has(Fault::GrantsNothingUnasked) => return Ok((Some(vec![]), On::default())),
        None if !has(Fault::GrantsUnasked) => return Ok((None, On::default())),
        None => all(),
        Some(_) if has(Fault::GrantsAll) => all(),
        Some(asked) => asked.clone(),
    };
    let is_known = |name: &String| known.contains(&name.as_str());
    if has(Fault::UnknownProfileRefused) && !asked.iter().all(is_known) {
        return Err((1002, "unknown profile"));
    }
    let mut granted: Vec<String> = Vec::new();
    for name in asked {
        let again = granted.contains(&name) && !has(Fault::GrantsTwice);
        if !again && (is_known(&name) || has(Fault::GrantsUnknown)) {
            granted.push(name);
        }
    }
    let on = |name: &str| granted.iter().any(|granted| granted == name);
    let on = On {
        resume: on("resume"),
        state: on("state"),
        presence: on("presence"),
        runs: on("runs"),
    };
    Ok((Some(granted), on))
}

/// Whether an op stands before what it depends on.
fn waited(ops: &[Op], op: &Op) -> bool {
    let own = ops.iter().position(|other| other == op);
    let needed = op.dependency();
    let there = ops
        .iter()
        .position(|other| matches!(other, Op::Ins(insert) if Some(&insert.id) == needed));
    there.is_some() && there > own
}

impl Member {
    /// Whether something of its replay, or what comes behind that at its join, is still to be taken.
    pub(super) fn begins(&self) -> bool {
        self.outbox.taken.load(Ordering::SeqCst) <= self.replayed as u64
    }
}

impl Document {
    /// The epoch that a connection is told.
    pub(super) fn epoch(&self) -> String {
        if self.has(Fault::EpochOfConnection) {
            new_epoch()
        } else {
            self.epoch.clone()
        }
    }

    /// Whether a client that has seen L in an epoch gets a replay, which may be of nothing.
    pub(super) fn resumes(&self, hello: &Hello) -> bool {
        let seen = hello.last_seen_server_seq.value();
        let known = match &hello.epoch {
            None => self.has(Fault::NoEpochTaken),
            Some(epoch) => {
                let folded = |epoch: &str| epoch.eq_ignore_ascii_case(&self.epoch);
                epoch.as_str() == Some(self.epoch.as_str())
                    || self.has(Fault::EpochIgnored)
                    || self.has(Fault::EpochFolded) && epoch.as_str().is_some_and(folded)
            }
        };
        let least = if self.has(Fault::AtHeadResynced) {
            seen + 1
        } else {
            seen
        };
        known && 0 < seen && (least <= self.head || self.has(Fault::BeyondHeadResumed))
    }

    /// The state behind the first `upto` ops, for a connection with the profile `runs` or without.
    pub(super) fn state(&self, upto: usize, runs: bool) -> Value {
        let upto = upto - usize::from(self.has(Fault::StateStale) && upto > 0);
        let ops = self.elements(upto);
        let mut elements = walk(ops.iter(), self.fault);
        let there: HashSet<_> = elements.iter().map(|(insert, _)| &insert.id).collect();
        if self.has(Fault::StateByArrival) {
            let places = ops.iter().enumerate().rev();
            let places: HashMap<_, _> = places.map(|(place, op)| (op.id(), place)).collect();
            elements.sort_by_key(|(insert, _)| places.get(&insert.id));
        }
        if self.has(Fault::StateWithoutTombstones) {
            elements.retain(|(_, deleted)| !deleted);
        }
        if self.has(Fault::StateDeletedShown) {
            elements
                .iter_mut()
                .for_each(|(_, deleted)| *deleted = false);
        }
        let mut known: HashSet<&Op> = HashSet::new();
        let mut pending: Vec<Op> = Vec::new();
        for op in &ops {
            let waits = op.dependency().is_some_and(|id| !there.contains(id))
                || (self.has(Fault::PendingForEver) && waited(&ops, op));
            let left_out = !waits || self.has(Fault::PendingLeftOut);
            if !left_out && (known.insert(op) || self.has(Fault::PendingTwice)) {
                pending.push(op.clone());
            }
        }
        if self.has(Fault::PendingDeleteWhole) {
            let known: HashSet<Op> = pending.iter().cloned().collect();
            pending.extend(self.whole_deletes(upto, &known));
        }
        let runs = runs || self.has(Fault::StateRunsWhereOff);
        json!({"elements": self.spans(&elements), "pending": super::runs::pending(&pending, runs)})
    }

    fn spans(&self, elements: &[(&Insert, bool)]) -> Vec<Value> {
        let one = |(a, a_deleted): &(&Insert, bool), (b, b_deleted): &(&Insert, bool)| {
            let gap = self.has(Fault::SpansOverGaps) && b.id.lamport() > a.id.lamport();
            let next = a.id.lamport() + 1 == b.id.lamport() || gap;
            let same = a.id.replica_id() == b.id.replica_id() || self.has(Fault::SpansOverReplicas);
            let place = |insert: &Insert| self.by_insert.get(&insert.id);
            let apart = self.has(Fault::SpansEndWithRuns) && place(a) != place(b);
            let alone = apart
                || self.has(Fault::SpansOfOne)
                || (self.has(Fault::TombstonesOfOne) && *a_deleted);
            next && same && a_deleted == b_deleted && !alone
        };
        let span = |run: &[(&Insert, bool)]| {
            let text: String = run
                .iter()
                .map(|(insert, _)| insert.value.as_str())
                .collect();
            if run[0].1 {
                let most = MAX_INTEGER - run[0].0.id.lamport();
                let claims_all = self.has(Fault::TombstonesClaimAll);
                let deleted = if claims_all { most } else { run.len() as u64 };
                json!({"id": run[0].0.id, "deleted": deleted})
            } else {
                json!({"id": run[0].0.id, "text": text})
            }
        };
        elements.chunk_by(one).map(span).collect()
    }

    /// The snapshot for a member that joins.
    pub(super) fn snapshot(&self, doc_id: &str) -> String {
        let first = self.has(Fault::SnapshotOfFirst);
        let state = |shown: &Shown| if first { &shown.first } else { &shown.state }.clone();
        let states: serde_json::Map<String, Value> = self
            .presence
            .iter()
            .filter(|(_, shown)| !shown.state.is_null() || self.has(Fault::SnapshotWithNulls))
            .map(|(client, shown)| (client.clone(), state(shown)))
            .take(if self.has(Fault::SnapshotOf100) {
                100
            } else {
                usize::MAX
            })
            .collect();
        json!({"type": "presence_snapshot", "doc_id": doc_id, "states": states}).to_string()
    }

    /// Keeps a state and passes it on.
    pub(super) fn show(&mut self, by: u64, message: &Value) -> Result<(), Refusal> {
        self.check_state(message)?;
        let client = message["client_id"].as_str().unwrap_or_default().to_owned();
        let mut state = message["state"].clone();
        if let Some(fields) = state.as_object_mut() {
            if self.has(Fault::PresenceNullsDropped) {
                fields.retain(|_, value| !value.is_null());
            }
            if self.has(Fault::DollarsDropped) {
                fields.retain(|name, _| !name.starts_with('$'));
            }
            if self.has(Fault::PresenceKnownOnly) {
                fields.retain(|name, _| name == "cursor" || name == "selection");
            }
        }
        if self.has(Fault::PresenceTakesSeq) {
            self.head += 1;
        }
        let before = self.presence.get(&client);
        let older = before.map(|shown| shown.state.clone());
        let first = before.map_or_else(|| state.clone(), |shown| shown.first.clone());
        let shown = Shown {
            by,
            first,
            state: state.clone(),
        };
        let of_twin = before.is_some_and(|shown| shown.by != by);
        if !(self.has(Fault::NullOfTwinPassedOnly) && of_twin && state.is_null()) {
            self.presence.insert(client.clone(), shown);
        }
        let mut frame = json!({"type": "presence_update", "doc_id": message["doc_id"],
            "client_id": client, "state": state});
        if self.has(Fault::PresenceWithExtras) {
            frame = message.clone();
        }
        if self.has(Fault::PresenceWithTime) {
            frame["at"] = json!(0);
        }
        self.pass_on(by, &client, &frame);
        if let Some(older) = older.filter(|_| self.has(Fault::PresenceOlderLast)) {
            frame["state"] = older;
            self.pass_on(by, &client, &frame);
        }
        Ok(())
    }

    pub(super) fn check_state(&self, message: &Value) -> Result<(), Refusal> {
        let text = message["state"].to_string();
        let length = match self.fault {
            Some(Fault::PresenceSizeInChars) => text.chars().count(),
            Some(Fault::PresenceSizeOfMessage) => message.to_string().len(),
            Some(Fault::PresenceAnySize) => 0,
            Some(Fault::PresenceSizeEscaped) => {
                text.len() + 5 * text.matches(['<', '>', '&']).count()
            }
            _ => text.len(),
        };
        if length > 4_096 {
            return Err((1009, "state too big"));
        }
        let anchor = &message["state"]["cursor"]["anchor_id"];
        let known = |id: &Value| self.by_insert.keys().any(|known| json!(known) == *id);
        if self.has(Fault::AnchorsChecked) && !anchor.is_null() && !known(anchor) {
            return Err((1008, "unknown anchor"));
        }
        Ok(())
    }

    fn pass_on(&self, by: u64, client: &str, frame: &Value) {
        let takes = |member: &&Member| {
            let own = member.number == by && !self.has(Fault::PresenceToSender);
            let twin = self.has(Fault::PresenceNotToTwins) && member.client_id == client;
            let off = !member.on.presence && !self.has(Fault::PresenceToPlain);
            let early = self.has(Fault::SnapshotAtHello) && member.begins();
            !own && !twin && !off && !early
        };
        for member in self.members.iter().filter(takes) {
            let counts = self.has(Fault::PresenceSlow);
            match counts {
                true => member.outbox.push_counted(frame.to_string()),
                false => member.outbox.push(one(frame.to_string()), 0),
            }
            if counts && member.outbox.waiting.load(Ordering::SeqCst) > 1 << 20 {
                member.outbox.slow.store(true, Ordering::SeqCst);
            }
        }
    }

    /// A connection has ended: what came from it is shown no more.
    pub(super) fn shown_no_more(&mut self, by: u64, client: &str, doc_id: &str, clean: bool) {
        let held = self.presence.get(client).is_some_and(|shown| {
            !shown.state.is_null() && (shown.by == by || self.has(Fault::LeavingErases))
        });
        if !held || self.has(Fault::LeavingUnsaid) || (self.has(Fault::LeavingCleanOnly) && !clean)
        {
            return;
        }
        if !self.has(Fault::PresenceKept) {
            self.presence.remove(client);
        }
        let frame = json!({"type": "presence_update", "doc_id": doc_id, "client_id": client,
            "state": null});
        self.pass_on(by, client, &frame);
    }
}
