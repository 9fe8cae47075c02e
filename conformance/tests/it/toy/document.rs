//! One document of the toy: order, duplicates, fan-out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collab_spec::id::ElementId;
use collab_spec::message::{Insert, Op, RunText};
use serde_json::{Value, json};

use super::outbox::Outbox;
use super::profiles::{On, Shown, new_epoch};
use super::runs;
use super::text::text_of;
use super::{Fault, misreads};

/// Why a message is refused: close code and words.
pub(super) type Refusal = (u16, &'static str);

const LIMIT: usize = 8 << 20;

/// How long a replay takes, where what comes meanwhile is lost.
const REPLAYING: Duration = Duration::from_millis(100);
/// How long a join takes, where what is sequenced meanwhile is lost.
const HANDOVER: Duration = Duration::from_millis(20);

pub(super) struct Member {
    pub(super) number: u64,
    pub(super) client_id: String,
    pub(super) outbox: Arc<Outbox>,
    pub(super) on: On,
    /// When it joined, and how many ops were replayed then.
    pub(super) joined: Instant,
    pub(super) replayed: usize,
}

pub(super) struct Accepted {
    /// The seq of its last element.
    pub(super) seq: u64,
    pub(super) elements: u64,
    pub(super) client_id: String,
    pub(super) op: Op,
    raw: Value,
    epoch: Option<Value>,
    by: u64,
    /// The echo of the whole op.
    pub(super) frame: Value,
}

impl Accepted {
    /// The seq of its first element.
    pub(super) fn first(&self) -> u64 {
        (self.seq + 1).saturating_sub(self.elements)
    }
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
    pub(super) ever_on: On,
    deleted: HashSet<ElementId>,
    /// What a faulty server keeps of refused ops.
    pub(super) half_taken: Vec<Op>,
    pub(super) members: Vec<Member>,
    /// Those whom a faulty server does not let in again.
    pub(super) banned: Vec<String>,
    /// How many times a client was to be closed as slow.
    pub(super) closed_slow: AtomicUsize,
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
            half_taken: Vec::new(),
            members: Vec::new(),
            banned: Vec::new(),
            closed_slow: AtomicUsize::new(0),
        }))
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn text(&self, upto: usize) -> String {
        let with_deleted = self.has(Fault::ResyncWithTombstones);
        let elements = self.elements(upto);
        let ops = elements
            .iter()
            .filter(|op| !(with_deleted && matches!(op, Op::Del(_))));
        text_of(ops, self.fault)
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
        let is_forgotten = self.has(Fault::DeletedForgotten)
            && matches!(op, Op::Ins(_))
            && self.deleted.contains(op.id());
        if let Some(&index) = self.by_message.get(&key).filter(|_| !is_forgotten) {
            let known = &self.ops[index];
            let mine = !self.has(Fault::ResendOfConnectionOnly) || known.by == by;
            let epochs =
                !self.has(Fault::EpochCompared) || known.epoch == message.get("epoch").cloned();
            let same = (self.same_content(&known.op, &op)
                && epochs
                && (!self.has(Fault::UnknownFieldsCompared) || known.raw == message["op"]))
                || self.has(Fault::MessageIdMeansSame);
            let beyond = known.seq > 65_536 && self.has(Fault::IndexOf16Bits);
            if same && (beyond || self.has(Fault::ResendRefused)) {
                return Err((1008, "sent before"));
            }
            let again = self.has(Fault::ResendSequenced)
                || (self.has(Fault::ResentRunSequenced) && known.elements > 1);
            if same && mine && !again {
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
            if self.has(Fault::RefusedRunHalfKept)
                && let Some(part) = self.free_part(&op)
            {
                self.half_taken.push(part);
            }
            if self.has(Fault::RefusedRunHalfTaken)
                && let Some(part) = self.free_part(&op)
            {
                self.accept(by, key, client_id, msg_id, part, message);
                return Err(refusal);
            }
            if self.has(Fault::RefusedIdBurnt)
                && !self.by_message.contains_key(&key)
                && !self.ops.is_empty()
            {
                self.by_message.insert(key, 0);
            }
            return if refusal.0 == 0 { Ok(()) } else { Err(refusal) };
        }
        if self.has(Fault::MaxRunLate) {
            runs::check_size(&op, self.fault)?;
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
                let checked = match self.has(Fault::LamportOfLastChecked) {
                    true => op.last_lamport(),
                    false => insert.id.lamport(),
                };
                let parents = match self.has(Fault::LamportRuleIn32Bits) {
                    true => insert.parent_id.lamport() & 0xffff_ffff,
                    false => insert.parent_id.lamport(),
                };
                if checked <= parents && !self.has(Fault::LamportUnchecked) {
                    return Err((1008, "lamport not above the parent's"));
                }
                if self.has(Fault::LamportJumpRefused) && insert.id.lamport() > 1 << 40 {
                    return Err((1008, "absurd lamport"));
                }
                let free = (self.has(Fault::TombstoneIdFree) && self.deleted.contains(&insert.id))
                    || (self.has(Fault::PendingIdFree) && early)
                    || self.has(Fault::IdTakenAccepted);
                let Some(index) = self.taken_by(insert) else {
                    return Ok(());
                };
                let Op::Ins(first) = &self.ops[index].op else {
                    return Ok(());
                };
                let waits = first.parent_id.element().is_some_and(|id| !known(id));
                let deleted = self.deleted.contains(&first.id);
                let free = free
                    || (self.has(Fault::WaitingRunIdsFree) && waits)
                    || (self.has(Fault::DeletedRunIdsFree) && deleted);
                if !self.same_insert(first, insert) {
                    return if free {
                        Ok(())
                    } else {
                        Err((1008, "element id taken"))
                    };
                }
                let run = self.ops[index].elements > 1;
                if self.has(Fault::SameInsertRefused) || (self.has(Fault::SameRunRefused) && run) {
                    return Err((1008, "element id taken"));
                }
                let again = self.has(Fault::SameInsertSequenced)
                    || self.has(Fault::ResendSequenced)
                    || self.has(Fault::ResendOfConnectionOnly)
                    || (self.has(Fault::DeletedForgotten) && deleted)
                    || (self.has(Fault::ResentRunSequenced) && run);
                if !again {
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

    /// Whether two ops under one message id are the same.
    fn same_content(&self, known: &Op, op: &Op) -> bool {
        let of_run = match (known, op) {
            (Op::Ins(first), Op::Ins(insert)) => {
                let (value, other) = (first.value.as_str(), insert.value.as_str());
                let ids = first.id == insert.id && first.parent_id == insert.parent_id;
                match self.fault {
                    Some(Fault::RunContentById) => ids,
                    Some(Fault::RunContentByFirst) => {
                        ids && value.chars().next() == other.chars().next()
                    }
                    Some(Fault::RunContentByLength) => ids && value.len() == other.len(),
                    fault => ids && misreads::alike(value, other, fault),
                }
            }
            (Op::Del(first), Op::Del(delete)) => {
                first.id == delete.id && self.has(Fault::CountNotContent)
            }
            _ => false,
        };
        known == op || of_run
    }

    /// The accepted op that has taken an id of an insert.
    fn taken_by(&self, insert: &Insert) -> Option<usize> {
        if self.has(Fault::IdsGlued) {
            let glued = |id: &ElementId| format!("{}{}", id.lamport(), id.replica_id().as_str());
            let mut known = self.by_insert.iter();
            let same = known.find(|(id, _)| glued(id) == glued(&insert.id));
            return same.map(|(_, index)| *index);
        }
        let elements = insert.value.as_str().chars().count() as u64;
        let looked_at = match self.fault {
            Some(Fault::FirstIdLookedAt) => 1,
            _ => elements,
        };
        (0..looked_at).find_map(|index| self.by_insert.get(&insert.id.later(index)).copied())
    }

    /// Whether an insert that has an id of an accepted one is the same.
    fn same_insert(&self, first: &Insert, insert: &Insert) -> bool {
        let same_parent =
            first.parent_id == insert.parent_id || self.has(Fault::IdTakenIgnoresParent);
        let (value, other) = (first.value.as_str(), insert.value.as_str());
        let same_value = match self.fault {
            Some(Fault::IdTakenIgnoresValue) => true,
            Some(Fault::PartMeansSame) => value.starts_with(other),
            Some(Fault::MoreMeansSame) => other.starts_with(value),
            Some(Fault::InsideMeansSame) => value.contains(other),
            _ => value == other,
        };
        let same_id = first.id == insert.id;
        (same_id && same_parent && same_value) || (self.has(Fault::InsideMeansSame) && same_value)
    }

    /// The elements of a refused insert before the first whose id is taken.
    fn free_part(&self, op: &Op) -> Option<Op> {
        let Op::Ins(insert) = op else {
            return None;
        };
        let free = |index: &u64| !self.by_insert.contains_key(&insert.id.later(*index));
        let values = (0..).zip(insert.value.as_str().chars());
        let part: String = values
            .take_while(|(index, _)| free(index))
            .map(|(_, value)| value)
            .collect();
        let value = RunText::new(&part)?;
        Some(Op::Ins(Insert {
            value,
            ..insert.clone()
        }))
    }

    fn answer(&mut self, by: u64, index: usize) {
        let Accepted {
            frame, elements, ..
        } = &self.ops[index];
        let (mut frame, elements) = (frame.clone(), *elements);
        if self.has(Fault::ResendAtHead) {
            frame["server_seq"] = json!(self.head);
        }
        if self.has(Fault::SeqSkipsOnResend) {
            self.head += 1;
        }
        let from = match self.fault {
            Some(Fault::ResentRunTail) => elements - 1,
            _ => 0,
        };
        let everyone = self.has(Fault::ResendBroadcast);
        for member in self
            .members
            .iter()
            .filter(|member| member.number == by || everyone)
        {
            if self.has(Fault::ResendUnanswered) {
                continue;
            }
            let on = member.on.runs && !self.has(Fault::ResentRunSplit);
            let texts = || runs::echoes(&frame, elements, from, on, self.fault);
            let bytes = frame.to_string().len();
            if self.has(Fault::AnswerOvertakes) {
                member.outbox.push_first(texts(), bytes);
                continue;
            }
            match self.fault {
                Some(Fault::AnswersUncounted) => member.outbox.push(texts(), 0),
                Some(Fault::AnswersLate) => {
                    let (outbox, texts) = (Arc::clone(&member.outbox), texts());
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(30)).await;
                        outbox.push(texts, bytes);
                    });
                }
                _ => member.outbox.push(texts(), bytes),
            }
            if self.has(Fault::ResendAnsweredTwice) {
                member.outbox.push(texts(), bytes);
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
        let elements = runs::elements(&op, self.fault);
        let existing = || {
            let ids = (0..elements).map(|index| op.id().later(index));
            ids.filter(|id| self.by_insert.contains_key(id)).count() as u64
        };
        self.head += match (self.fault, &op) {
            (Some(Fault::RunTakesOneSeq), _) => 1,
            (Some(Fault::DeleteTakesOneSeq), Op::Del(_)) => 1,
            (Some(Fault::DeleteSeqsOfExisting), Op::Del(_)) => existing().max(1),
            _ => elements,
        };
        if self.has(Fault::SeqOfServer) {
            self.head = SERVER_SEQ.fetch_add(elements, Ordering::SeqCst) + elements;
        }
        let seq = self.head;
        let shown = seq - u64::from(self.has(Fault::SeqFromZero));
        let mut op_json = serde_json::to_value(&op).unwrap();
        if self.has(Fault::EchoWithExtras) {
            op_json = message["op"].clone();
        }
        let replaced = match op_json["value"].as_str() {
            Some("\0") if self.has(Fault::NulDropped) => Some(" ".to_owned()),
            Some("\r") if self.has(Fault::CrToLf) => Some("\n".to_owned()),
            Some(text) if self.has(Fault::RunCrToLf) => Some(text.replace('\r', "\n")),
            _ => None,
        };
        if let Some(value) = replaced {
            op_json["value"] = json!(value);
        }
        if self.has(Fault::EchoComposed) {
            let composed = op_json.to_string().replace("e\u{301}", "é");
            op_json = serde_json::from_str(&composed).unwrap();
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
        for index in 0..elements {
            let id = op.id().later(index);
            match &op {
                Op::Ins(_) if index > 0 && self.has(Fault::FirstIdKept) => break,
                Op::Ins(_) => drop(self.by_insert.entry(id).or_insert(self.ops.len())),
                Op::Del(_) => drop(self.deleted.insert(id)),
            }
        }
        let raw = message["op"].clone();
        self.ops.push(Accepted {
            seq,
            elements,
            client_id,
            op,
            raw,
            epoch: message.get("epoch").cloned(),
            by,
            frame: frame.clone(),
        });
        self.fan_out(by, &frame, elements);
    }

    fn fan_out(&mut self, by: u64, frame: &Value, elements: u64) {
        let origin = &frame["origin_client_id"];
        let mut banned = Vec::new();
        for member in &self.members {
            let own = member.number == by;
            let left_out = match self.fault {
                Some(Fault::SenderNotEchoed) => own,
                Some(Fault::OthersNotEchoed) => !own,
                Some(Fault::SameClientNotEchoed) => !own && *origin == member.client_id.as_str(),
                Some(Fault::PlainForgotten) => {
                    member.on.is_plain() && !self.members.iter().all(|other| other.on.is_plain())
                }
                Some(Fault::LiveDuringReplayLost) => {
                    member.replayed >= 100 && member.joined.elapsed() < REPLAYING
                }
                _ => false,
            };
            let late = member.joined.elapsed() > HANDOVER;
            if left_out || (self.has(Fault::JoinMissesEchoes) && !late) {
                continue;
            }
            let mut frame = frame.clone();
            if self.has(Fault::EchoOriginLost) {
                frame["origin_client_id"] = json!(member.client_id);
            }
            let on = match self.fault {
                Some(Fault::RunWholeToSenderOnly) => member.on.runs && own,
                _ => member.on.runs,
            };
            let texts = || runs::echoes(&frame, elements, 0, on, self.fault);
            // The single echoes of a run count as much as its one echo.
            let bytes = match self.has(Fault::SinglesCountedEach) {
                true => texts().map(|text| text.len()).sum(),
                false => frame.to_string().len(),
            };
            let waiting = member.outbox.waiting.load(Ordering::SeqCst);
            if self.has(Fault::SlowLosesEchoes) && waiting > 256 << 10 {
                continue;
            }
            let limit = match self.fault {
                Some(Fault::SlowNeverClosed | Fault::SlowHoldsUp) => usize::MAX,
                Some(Fault::SlowClosedEarly) => 64 << 10,
                Some(Fault::LimitShared) => LIMIT / self.members.len(),
                Some(Fault::UncountedInSync) if member.begins() => usize::MAX,
                _ => LIMIT,
            };
            let sent = member.outbox.sent.load(Ordering::SeqCst);
            let is_slow = waiting > limit && self.closes_slow(&member.outbox);
            if is_slow || (self.has(Fault::ReadersClosed) && sent > LIMIT) {
                let all = self.has(Fault::SlowEndsAll);
                let twins = self.has(Fault::SlowEndsTwins);
                let ends = |other: &&Member| {
                    let twin = twins && other.client_id == member.client_id;
                    all || twin || other.number == member.number
                };
                for other in self.members.iter().filter(ends) {
                    other.outbox.slow.store(true, Ordering::SeqCst);
                    other.outbox.wake.notify_one();
                    banned.push(other.client_id.clone());
                }
            }
            if self.has(Fault::EchoTwice) {
                member.outbox.push(texts(), bytes);
            }
            member.outbox.push(texts(), bytes);
        }
        if self.has(Fault::SlowBanned) {
            self.banned.extend(banned);
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
        let slow = gone.outbox.slow.load(Ordering::SeqCst);
        if !(slow && self.has(Fault::SlowShownOn)) {
            self.shown_no_more(number, &gone.client_id, doc_id, clean);
        }
        if self.has(Fault::CutForgetsIds) && !clean {
            self.by_message
                .retain(|(client, _), _| *client != gone.client_id);
            let ops = &self.ops;
            self.by_insert
                .retain(|_, index| ops[*index].client_id != gone.client_id);
        }
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
            member.outbox.push_counted(text.to_owned());
        }
    }

    /// The newest echo.
    pub(super) fn newest(&self) -> Option<String> {
        self.ops.last().map(|accepted| accepted.frame.to_string())
    }
}
