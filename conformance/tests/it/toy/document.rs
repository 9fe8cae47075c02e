//! One document of the toy: order, duplicates, sync, fan-out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use collab_spec::id::ElementId;
use collab_spec::message::{Hello, Op};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Fault;
use super::profiles::{On, Shown, grant, new_epoch};
use super::text::text_of;

/// Why a message is refused: close code and words.
pub(super) type Refusal = (u16, &'static str);

const LIMIT: usize = 8 << 20;

/// What waits for one connection.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<VecDeque<(String, bool)>>,
    pub(super) waiting: AtomicUsize,
    pub(super) taken: AtomicU64,
    /// What `taken` was when the connection was found not to read.
    pub(super) stalled_at: AtomicU64,
    pub(super) slow: AtomicBool,
    pub(super) kicked: AtomicBool,
    pub(super) wake: Notify,
}

impl Outbox {
    pub(super) fn push(&self, text: String, counts: bool) {
        if counts {
            self.waiting.fetch_add(text.len(), Ordering::SeqCst);
        }
        self.queue.lock().unwrap().push_back((text, counts));
        self.wake.notify_one();
    }

    pub(super) fn pop(&self) -> Option<String> {
        let (text, counts) = self.queue.lock().unwrap().pop_front()?;
        if counts {
            self.waiting.fetch_sub(text.len(), Ordering::SeqCst);
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(text)
    }

    pub(super) fn clear(&self) {
        self.queue.lock().unwrap().clear();
    }
}

pub(super) struct Member {
    pub(super) number: u64,
    pub(super) client_id: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) on: On,
}

pub(super) struct Accepted {
    seq: u64,
    client_id: String,
    pub(super) op: Op,
    raw: Value,
    epoch: Option<Value>,
    by: u64,
    frame: Value,
}

pub(super) struct Document {
    pub(super) fault: Option<Fault>,
    pub(super) head: u64,
    pub(super) ops: Vec<Accepted>,
    by_message: HashMap<(String, String), usize>,
    pub(super) by_insert: HashMap<ElementId, usize>,
    pub(super) epoch: String,
    pub(super) presence: BTreeMap<String, Shown>,
    /// What anybody has ever asked for.
    ever_on: On,
    deleted: HashSet<ElementId>,
    pub(super) members: Vec<Member>,
}

/// The next seq of a server that counts over all documents.
static SERVER_SEQ: AtomicU64 = AtomicU64::new(0);

impl Document {
    pub(super) fn new(fault: Option<Fault>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            fault,
            head: 0,
            ops: Vec::new(),
            by_message: HashMap::new(),
            by_insert: HashMap::new(),
            epoch: new_epoch(),
            presence: BTreeMap::new(),
            ever_on: On::default(),
            deleted: HashSet::new(),
            members: Vec::new(),
        }))
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn text(&self, upto: usize) -> String {
        let with_deleted = self.has(Fault::ResyncWithTombstones);
        let ops = self.ops[..upto]
            .iter()
            .map(|accepted| &accepted.op)
            .filter(|op| !(with_deleted && matches!(op, Op::Del(_))));
        text_of(ops, self.fault)
    }

    /// Adds a member and queues its ack and sync.
    pub(super) fn join(
        &mut self,
        doc_id: &str,
        hello: &Hello,
        mut member: Member,
    ) -> Result<On, Refusal> {
        let last_seen = hello.last_seen_server_seq.value();
        let (granted, mut on) = grant(hello, self.fault)?;
        self.ever_on.state |= on.state;
        if self.has(Fault::ProfilesOfDocument) {
            on.state = self.ever_on.state;
        }
        member.on = on;
        let same_client = self
            .members
            .iter()
            .any(|other| other.client_id == member.client_id);
        if self.has(Fault::SecondConnectionRefused) && same_client {
            return Err((1008, "the client is connected already"));
        }
        if self.has(Fault::OldConnectionKicked) {
            for other in self
                .members
                .iter()
                .filter(|other| other.client_id == member.client_id)
            {
                other.outbox.kicked.store(true, Ordering::SeqCst);
                other.outbox.wake.notify_one();
            }
        }
        if self.has(Fault::BeyondHeadRefused) && last_seen > self.head {
            return Err((1008, "last_seen_server_seq is beyond the head"));
        }
        if self.has(Fault::SeqTakenByJoin) && self.head > 0 {
            self.head += 1;
        }
        let behind = u64::from(self.has(Fault::AckBehind) && self.head > 0);
        let mut ack =
            json!({"type": "hello_ack", "doc_id": doc_id, "server_seq": self.head - behind});
        if let Some(granted) = granted {
            ack["capabilities"] = json!(granted);
        }
        if on.resume && !self.has(Fault::EpochUnsaid) {
            ack["epoch"] = json!(self.epoch());
        }
        if on.resume && !self.has(Fault::SyncUnsaid) {
            let replay = self.resumes(hello) || self.has(Fault::SyncAlwaysReplay);
            ack["sync"] = json!(if replay { "replay" } else { "resync" });
        }
        let ack = ack.to_string();
        let mut messages: Vec<String> = match self.sync(doc_id, hello, &member) {
            Ok(messages) => messages,
            Err(refusal) => {
                member.outbox.push(ack, false);
                return Err(refusal);
            }
        };
        let live_first = self.has(Fault::LiveBeforeSync) && self.ops.len() > 1;
        if live_first && let Some(newest) = self.ops.last() {
            messages.insert(0, newest.frame.to_string());
        }
        if on.presence && !self.has(Fault::SnapshotMissing) {
            let early = self.has(Fault::SnapshotBeforeSync);
            let place = if early { 0 } else { messages.len() };
            messages.insert(place, self.snapshot(doc_id));
            if self.has(Fault::SnapshotTwice) {
                messages.push(self.snapshot(doc_id));
            }
        }
        if self.has(Fault::AckAfterResync) {
            messages.insert(1.min(messages.len()), ack);
        } else {
            messages.insert(0, ack.clone());
            if self.has(Fault::AckTwice) {
                messages.insert(1, ack);
            }
        }
        for message in messages {
            member.outbox.push(message, false);
        }
        self.members.push(member);
        Ok(on)
    }

    fn sync(&self, doc_id: &str, hello: &Hello, member: &Member) -> Result<Vec<String>, Refusal> {
        let last_seen = hello.last_seen_server_seq.value();
        let resync = || {
            let stale = usize::from(self.has(Fault::ResyncStale) && !self.ops.is_empty());
            let text = self.text(self.ops.len() - stale);
            let behind = u64::from(self.has(Fault::ResyncBehind) && self.head > 0);
            let mut resync = json!({"type": "resync", "doc_id": doc_id,
                "server_seq": self.head - behind, "full_text": text});
            if member.on.state && !(self.has(Fault::StateAtZeroOnly) && last_seen > 0) {
                resync["state"] = self.state(self.ops.len() - stale);
            }
            resync.to_string()
        };
        let replay_zero = self.has(Fault::ReplayOfZero) && last_seen == 0 && self.head > 0;
        let replays = match member.on.resume {
            true => self.resumes(hello),
            false => (0 < last_seen && last_seen < self.head) || replay_zero,
        };
        if replays && last_seen >= self.head {
            let last = self
                .ops
                .last()
                .filter(|_| self.has(Fault::AtHeadRepeatsLast));
            return Ok(last
                .map(|last| last.frame.to_string())
                .into_iter()
                .collect());
        }
        if !replays || self.has(Fault::ResyncAlways) {
            let nothing =
                (self.has(Fault::NothingAtHead) && last_seen == self.head && self.head > 0)
                    || (self.has(Fault::NothingBeyondHead) && last_seen > self.head);
            return Ok(match nothing {
                true => vec![],
                false if self.has(Fault::ResyncTwice) => vec![resync(), resync()],
                false => vec![resync()],
            });
        }
        let from = match self.fault {
            Some(Fault::ReplayFromL) => last_seen,
            Some(Fault::ReplaySkipsFirst) => last_seen + 2,
            _ => last_seen + 1,
        };
        let mut frames: Vec<&Accepted> = self.ops.iter().filter(|op| op.seq >= from).collect();
        match self.fault {
            Some(Fault::ReplayMissesLast) => drop(frames.pop()),
            Some(Fault::ReplayReversed) => frames.reverse(),
            Some(Fault::ReplayOfOthers) => frames.retain(|op| op.client_id != member.client_id),
            Some(Fault::ReplayOverflows) if frames.len() >= 256 => {
                return Err((1013, "outbox full"));
            }
            _ => {}
        }
        let mut messages: Vec<String> = frames
            .into_iter()
            .map(|accepted| {
                let mut frame = accepted.frame.clone();
                if self.has(Fault::ReplayRenamed) {
                    frame["origin_client_id"] = json!(member.client_id);
                }
                frame.to_string()
            })
            .collect();
        if self.has(Fault::ReplayThenResync) {
            messages.push(resync());
        }
        Ok(messages)
    }

    /// Takes one op of a member.
    pub(super) fn submit(&mut self, by: u64, message: &Value, op: Op) -> Result<(), Refusal> {
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        let (client_id, msg_id) = (text("client_id"), text("client_msg_id"));
        let scope = if self.has(Fault::MessageIdOfAll) {
            String::new()
        } else {
            client_id.clone()
        };
        let key = (scope, msg_id.clone());
        if let Some(&index) = self.by_message.get(&key) {
            let known = &self.ops[index];
            let mine = !self.has(Fault::ResendOfConnectionOnly) || known.by == by;
            let epochs =
                !self.has(Fault::EpochCompared) || known.epoch == message.get("epoch").cloned();
            let same = (known.op == op
                && epochs
                && (!self.has(Fault::UnknownFieldsCompared) || known.raw == message["op"]))
                || self.has(Fault::MessageIdMeansSame);
            if same && self.has(Fault::ResendRefused) {
                return Err((1008, "sent before"));
            }
            if same && mine && !self.has(Fault::ResendSequenced) {
                self.answer(by, index);
                return Ok(());
            }
            if !same && !self.has(Fault::MessageIdReused) {
                if self.has(Fault::ViolationTakesEffect) {
                    self.accept(by, key, client_id, msg_id, op, message);
                }
                return Err((1008, "client_msg_id used before with other content"));
            }
        }
        if let Err(refusal) = self.check_ids(by, &client_id, &op, &key) {
            if self.has(Fault::RefusedIdBurnt)
                && !self.by_message.contains_key(&key)
                && !self.ops.is_empty()
            {
                self.by_message.insert(key, 0);
            }
            return if refusal.0 == 0 { Ok(()) } else { Err(refusal) };
        }
        self.accept(by, key, client_id, msg_id, op, message);
        Ok(())
    }

    /// Checks the rules on ids; code 0 says that the op was a duplicate and is answered.
    fn check_ids(
        &mut self,
        by: u64,
        client_id: &str,
        op: &Op,
        key: &(String, String),
    ) -> Result<(), Refusal> {
        let known = |id: &ElementId| self.by_insert.contains_key(id);
        let early = op.dependency().is_some_and(|id| !known(id));
        if early && self.has(Fault::EarlyOpRefused) {
            return Err((1008, "unknown element"));
        }
        match op {
            Op::Del(delete) => {
                if self.has(Fault::ForeignDeleteRefused)
                    && delete.id.replica_id().as_str() != client_id
                {
                    return Err((1008, "not your element"));
                }
                if self.deleted.contains(&delete.id) {
                    if self.has(Fault::DeleteAgainRefused) {
                        return Err((1008, "deleted already"));
                    }
                    let first = self.ops.iter().position(|a| a.op == *op);
                    if self.has(Fault::DeleteAgainDropped)
                        && let Some(first) = first
                    {
                        self.answer(by, first);
                        return Err((0, ""));
                    }
                }
            }
            Op::Ins(insert) => {
                if insert.id.replica_id().as_str() != client_id
                    && !self.has(Fault::ReplicaUnchecked)
                {
                    return Err((1008, "replica_id is not the client_id"));
                }
                if insert.id.lamport() <= insert.parent_id.lamport()
                    && !self.has(Fault::LamportUnchecked)
                {
                    return Err((1008, "lamport not above the parent's"));
                }
                let free = (self.has(Fault::TombstoneIdFree) && self.deleted.contains(&insert.id))
                    || (self.has(Fault::PendingIdFree) && early)
                    || self.has(Fault::IdTakenAccepted);
                let Some(&index) = self.by_insert.get(&insert.id) else {
                    return Ok(());
                };
                let Op::Ins(first) = &self.ops[index].op else {
                    return Ok(());
                };
                let same_parent =
                    first.parent_id == insert.parent_id || self.has(Fault::IdTakenIgnoresParent);
                let same_value =
                    first.value == insert.value || self.has(Fault::IdTakenIgnoresValue);
                if !(same_parent && same_value) {
                    return if free {
                        Ok(())
                    } else {
                        Err((1008, "element id taken"))
                    };
                }
                if self.has(Fault::SameInsertRefused) {
                    return Err((1008, "element id taken"));
                }
                if !self.has(Fault::SameInsertSequenced)
                    && !self.has(Fault::ResendSequenced)
                    && !self.has(Fault::ResendOfConnectionOnly)
                {
                    if self.has(Fault::SameInsertBurnsId) {
                        self.by_message.insert(key.clone(), index);
                    }
                    if self.has(Fault::SameInsertNewName) {
                        self.ops[index].frame["client_msg_id"] = json!(key.1);
                    }
                    self.answer(by, index);
                    return Err((0, ""));
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, by: u64, index: usize) {
        let mut frame = self.ops[index].frame.clone();
        if self.has(Fault::ResendAtHead) {
            frame["server_seq"] = json!(self.head);
        }
        if self.has(Fault::SeqSkipsOnResend) {
            self.head += 1;
        }
        let text = frame.to_string();
        let everyone = self.has(Fault::ResendBroadcast);
        for member in self
            .members
            .iter()
            .filter(|member| member.number == by || everyone)
        {
            if self.has(Fault::ResendUnanswered) {
                continue;
            }
            member.outbox.push(text.clone(), true);
            if self.has(Fault::ResendAnsweredTwice) {
                member.outbox.push(text.clone(), true);
            }
        }
    }

    fn accept(
        &mut self,
        by: u64,
        key: (String, String),
        client_id: String,
        msg_id: String,
        op: Op,
        message: &Value,
    ) {
        self.head += 1;
        if self.has(Fault::SeqOfServer) {
            self.head = SERVER_SEQ.fetch_add(1, Ordering::SeqCst) + 1;
        }
        let seq = self.head;
        let shown = seq - u64::from(self.has(Fault::SeqFromZero));
        let mut op_json = serde_json::to_value(&op).unwrap();
        if self.has(Fault::EchoWithExtras) {
            op_json = message["op"].clone();
        }
        let replaced = match op_json["value"].as_str() {
            Some("\0") if self.has(Fault::NulDropped) => Some(" "),
            Some("\r") if self.has(Fault::CrToLf) => Some("\n"),
            _ => None,
        };
        if let Some(value) = replaced {
            op_json["value"] = json!(value);
        }
        let mut frame = json!({"type": "op_echo", "doc_id": message["doc_id"], "server_seq": shown,
            "origin_client_id": client_id, "client_msg_id": msg_id, "op": op_json});
        if self.has(Fault::EchoWithServerField) {
            frame["at"] = json!(0);
        }
        if self.has(Fault::EpochEchoed)
            && let Some(epoch) = message.get("epoch")
        {
            frame["epoch"] = epoch.clone();
        }
        self.by_message.insert(key, self.ops.len());
        match &op {
            Op::Ins(insert) => drop(
                self.by_insert
                    .entry(insert.id.clone())
                    .or_insert(self.ops.len()),
            ),
            Op::Del(delete) => drop(self.deleted.insert(delete.id.clone())),
        }
        let raw = message["op"].clone();
        self.ops.push(Accepted {
            seq,
            client_id,
            op,
            raw,
            epoch: message.get("epoch").cloned(),
            by,
            frame: frame.clone(),
        });
        self.fan_out(by, &frame);
    }

    fn fan_out(&self, by: u64, frame: &Value) {
        let origin = &frame["origin_client_id"];
        for member in &self.members {
            let own = member.number == by;
            let left_out = match self.fault {
                Some(Fault::SenderNotEchoed) => own,
                Some(Fault::OthersNotEchoed) => !own,
                Some(Fault::SameClientNotEchoed) => !own && *origin == member.client_id.as_str(),
                _ => false,
            };
            if left_out {
                continue;
            }
            let mut text = frame.to_string();
            if self.has(Fault::EchoOriginLost) {
                let mut frame = frame.clone();
                frame["origin_client_id"] = json!(member.client_id);
                text = frame.to_string();
            }
            let waiting = member.outbox.waiting.load(Ordering::SeqCst);
            if self.has(Fault::SlowLosesEchoes) && waiting > 256 << 10 {
                continue;
            }
            let limit = match self.fault {
                Some(Fault::SlowNeverClosed | Fault::SlowHoldsUp) => usize::MAX,
                Some(Fault::SlowClosedEarly) => 64 << 10,
                _ => LIMIT,
            };
            if waiting > limit {
                let all = self.has(Fault::SlowEndsAll);
                for other in self
                    .members
                    .iter()
                    .filter(|other| all || other.number == member.number)
                {
                    other.outbox.slow.store(true, Ordering::SeqCst);
                    other.outbox.wake.notify_one();
                }
            }
            if self.has(Fault::EchoTwice) {
                member.outbox.push(text.clone(), true);
            }
            member.outbox.push(text, true);
        }
    }

    pub(super) fn leave(&mut self, number: u64, doc_id: &str, clean: bool) {
        let Some(place) = self
            .members
            .iter()
            .position(|member| member.number == number)
        else {
            return;
        };
        let gone = self.members.remove(place);
        self.shown_no_more(number, &gone.client_id, doc_id, clean);
        if self.members.is_empty() {
            match self.fault {
                Some(Fault::EpochEndsWithLast) => self.epoch = new_epoch(),
                Some(Fault::DocumentForgotten) => {
                    self.ops.clear();
                    self.by_message.clear();
                    self.by_insert.clear();
                    self.head = 0;
                }
                Some(Fault::ForgetsWhenAlone) => {
                    self.by_message.clear();
                    self.by_insert.clear();
                }
                _ => {}
            }
        }
    }

    /// Sends a text to every member, as a server does that mixes up its documents.
    pub(super) fn intrude(&self, text: &str) {
        for member in &self.members {
            member.outbox.push(text.to_owned(), true);
        }
    }

    /// The newest echo.
    pub(super) fn newest(&self) -> Option<String> {
        self.ops.last().map(|accepted| accepted.frame.to_string())
    }
}
