//! How a member of a document of the toy begins: the ack, and the replay or resync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use collab_spec::message::Hello;
use serde_json::{Value, json};

use super::Fault;
use super::document::{Accepted, Document, Member, Refusal};
use super::outbox::{Texts, one};
use super::profiles::{On, grant};
use super::runs;

impl Document {
    /// Adds a member and queues its ack and sync.
    pub(super) fn join(
        &mut self,
        doc_id: &str,
        hello: &Hello,
        mut member: Member,
    ) -> Result<On, Refusal> {
        let last_seen = hello.last_seen_server_seq.value();
        if self.banned.contains(&member.client_id) {
            return Err((1008, "was too slow"));
        }
        if self.has(Fault::NewDocumentAtLastSeen) && self.ops.is_empty() && self.head == 0 {
            self.head = last_seen;
        }
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
        let told = on.runs && !self.has(Fault::LimitsUnsaid);
        if told || self.has(Fault::LimitsWhereOff) {
            ack["limits"] = runs::limits(self.fault);
        }
        if on.resume && !self.has(Fault::EpochUnsaid) {
            ack["epoch"] = json!(self.epoch());
        }
        if on.resume && !self.has(Fault::SyncUnsaid) {
            let unsaid = self.has(Fault::ReplayAnnouncedAsResync) && last_seen < self.head;
            let replay = (self.resumes(hello) && !unsaid) || self.has(Fault::SyncAlwaysReplay);
            ack["sync"] = json!(if replay { "replay" } else { "resync" });
        }
        let ack = ack.to_string();
        let mut messages = match self.sync(doc_id, hello, &member) {
            Ok(messages) => messages,
            Err(refusal) => {
                member.outbox.push(one(ack), 0);
                return Err(refusal);
            }
        };
        member.replayed = messages.len();
        let live_first = self.has(Fault::LiveBeforeSync) && self.ops.len() > 1;
        if live_first && let Some(newest) = self.ops.last() {
            messages.insert(0, one(newest.frame.to_string()));
        }
        if on.presence && !self.has(Fault::SnapshotMissing) {
            let early = self.has(Fault::SnapshotBeforeSync);
            let place = if early { 0 } else { messages.len() };
            messages.insert(place, one(self.snapshot(doc_id)));
            if self.has(Fault::SnapshotTwice) {
                messages.push(one(self.snapshot(doc_id)));
            }
        }
        if self.has(Fault::AckAfterResync) {
            messages.insert(1.min(messages.len()), one(ack));
        } else {
            messages.insert(0, one(ack.clone()));
            if self.has(Fault::AckTwice) {
                messages.insert(1, one(ack));
            }
        }
        if self.has(Fault::SyncLate) {
            let outbox = Arc::clone(&member.outbox);
            let late = messages.split_off(1);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                late.into_iter().for_each(|message| outbox.push(message, 0));
            });
        }
        for message in messages {
            member.outbox.push(message, 0);
        }
        self.members.push(member);
        Ok(on)
    }

    fn sync(&self, doc_id: &str, hello: &Hello, member: &Member) -> Result<Vec<Texts>, Refusal> {
        let last_seen = hello.last_seen_server_seq.value();
        let resync = || {
            let stale = usize::from(self.has(Fault::ResyncStale) && !self.ops.is_empty());
            let text = self.text(self.ops.len() - stale);
            let behind = u64::from(self.has(Fault::ResyncBehind) && self.head > 0);
            let mut resync = json!({"type": "resync", "doc_id": doc_id,
                "server_seq": self.head - behind, "full_text": text});
            if self.has(Fault::ResyncWithoutText) && resync["full_text"] == "" && self.head > 0 {
                resync.as_object_mut().unwrap().shift_remove("full_text");
            }
            if member.on.state && !(self.has(Fault::StateAtZeroOnly) && last_seen > 0) {
                let state = self.state(self.ops.len() - stale, member.on.runs);
                let spans = state["elements"].as_array().map_or(0, Vec::len);
                let long = self.has(Fault::StateOfLongTextsLeftOut) && text.len() > 1 << 20;
                if !(self.has(Fault::StateLeftOut) && spans > 10_000 || long) {
                    resync["state"] = state;
                }
            }
            one(resync.to_string())
        };
        let replay_zero = self.has(Fault::ReplayOfZero) && last_seen == 0 && self.head > 0;
        let replays = match member.on.resume {
            true => self.resumes(hello),
            false => (0 < last_seen && last_seen < self.head) || replay_zero,
        };
        let inside = self
            .ops
            .iter()
            .any(|op| op.first() <= last_seen && last_seen < op.seq);
        if inside && self.has(Fault::ReplayInsideResynced) {
            return Ok(vec![resync()]);
        }
        if replays && last_seen >= self.head {
            let last = self
                .ops
                .last()
                .filter(|_| self.has(Fault::AtHeadRepeatsLast));
            return Ok(last
                .map(|last| one(last.frame.to_string()))
                .into_iter()
                .collect());
        }
        let even =
            self.has(Fault::ResyncsTheEven) && !member.on.resume && last_seen.is_multiple_of(2);
        if !replays || even || self.has(Fault::ResyncAlways) {
            let nothing =
                (self.has(Fault::NothingAtHead) && last_seen == self.head && self.head > 0)
                    || (self.has(Fault::NothingBeyondHead) && last_seen > self.head);
            if self.has(Fault::ResyncToAll) {
                let others = self.members.iter();
                others.for_each(|other| other.outbox.push(resync(), 0));
            }
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
        let mut messages = self.replayed(&frames, from, member);
        if self.has(Fault::ReplayDoublesLast) {
            messages.extend(frames.last().map(|last| one(last.frame.to_string())));
        }
        if self.has(Fault::ReplayThenResync) {
            messages.push(resync());
        }
        Ok(messages)
    }

    /// The echoes of ops, of the first from the element with the seq `from` on.
    fn replayed(&self, ops: &[&Accepted], from: u64, member: &Member) -> Vec<Texts> {
        let on = member.on.runs;
        let mut frames: Vec<(Value, u64, u64)> = Vec::new();
        for accepted in ops {
            let mut skip = from.saturating_sub(accepted.first());
            match self.fault {
                Some(Fault::ReplaySkipsRest) if skip > 0 => continue,
                Some(Fault::ReplayOfWholeRun) if on => skip = 0,
                Some(Fault::ReplayOfAllSingles) if !on => skip = 0,
                _ => {}
            }
            let mut frame = accepted.frame.clone();
            if self.has(Fault::ReplayRenamed) {
                frame["origin_client_id"] = json!(member.client_id);
            }
            if self.has(Fault::ReplayMerges)
                && on
                && let Some((last, elements, _)) = frames.last_mut()
                && let Some(both) = runs::merged(last, &frame)
            {
                *last = both;
                *elements += accepted.elements;
                continue;
            }
            frames.push((frame, accepted.elements, skip));
        }
        frames
            .into_iter()
            .map(|(frame, elements, skip)| runs::echoes(&frame, elements, skip, on, self.fault))
            .collect()
    }
}
