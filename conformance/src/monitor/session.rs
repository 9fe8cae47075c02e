//! Each connection for itself: the ack, the sync, and the seqs that go on from it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use collab_spec::id::Name;
use collab_spec::message::{Hello, HelloAck, OpEcho, Resync, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use super::around::Around;
use super::breach;
use super::digest::{Digest, Talk};
use super::pieces::{Pieces, values};
use crate::ids;
use crate::trace::{Connection, What};

/// The ack first and once, the sync next, whole and once, then seqs without gaps; nothing of another
/// document.
pub(super) fn check(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, talk) in digest.talks.iter().enumerate() {
        let mut session = Session::new(Connection(index));
        for &event in &talk.events {
            if let What::Text(received) = &digest.trace.events[event].what
                && let Some(message) = received.message()
            {
                session.hear(digest, talk, event, message, &mut found);
            }
        }
    }
    found
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeAck,
    BeforeSync,
    /// In a replay that began, or past it.
    Replayed,
    Resynced,
    /// Something is so wrong that what follows says nothing.
    Lost,
}

/// One connection, as far as it has come.
pub(super) struct Session {
    connection: Connection,
    stage: Stage,
    head: u64,
    last: u64,
    /// The event of the resync.
    synced_at: usize,
    /// The requirement that says what the sync is.
    rule: &'static str,
    /// The sync that the ack announces, with the profile `resume`.
    announced: Option<SyncKind>,
    /// How often each seq has come again, the newest ones.
    repeats: BTreeMap<u64, usize>,
}

/// How many seqs that came again are remembered of one connection.
const MOST_REPEATS: usize = 65_536;

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            stage: Stage::BeforeAck,
            head: 0,
            last: 0,
            synced_at: 0,
            rule: ids::SYNC_ZERO,
            announced: None,
            repeats: BTreeMap::new(),
        }
    }

    /// The last seq that came in its order, once the sync has begun.
    pub(super) fn last(&self) -> Option<u64> {
        matches!(self.stage, Stage::Replayed | Stage::Resynced).then_some(self.last)
    }

    /// How many seqs that came again are remembered.
    pub(super) fn repeats(&self) -> usize {
        self.repeats.len()
    }

    /// Takes the next message of the server.
    pub(super) fn hear(
        &mut self,
        around: &dyn Around,
        talk: &Talk,
        event: usize,
        message: &ServerMessage,
        found: &mut Vec<Breach>,
    ) {
        if self.stage == Stage::Lost {
            return;
        }
        let mut listener = Listener {
            session: self,
            around,
            talk,
            found,
        };
        listener.hear(event, message);
    }
}

/// A session that hears a message.
struct Listener<'a> {
    session: &'a mut Session,
    around: &'a dyn Around,
    talk: &'a Talk,
    found: &'a mut Vec<Breach>,
}

impl Deref for Listener<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl DerefMut for Listener<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
    }
}

impl Listener<'_> {
    fn hear(&mut self, event: usize, message: &ServerMessage) {
        let Some((_, hello)) = self.talk.hello.as_ref().filter(|(said, _)| *said < event) else {
            self.lost(
                ids::ACK_FIRST,
                event,
                "a message came before any valid hello".to_owned(),
            );
            return;
        };
        self.same_document(event, hello, message);
        match (self.stage, message) {
            (Stage::BeforeAck, ServerMessage::HelloAck(ack)) => self.ack(event, hello, ack),
            (Stage::BeforeAck, _) => {
                self.lost(
                    ids::ACK_FIRST,
                    event,
                    "a message came before the hello_ack".to_owned(),
                );
            }
            (_, ServerMessage::HelloAck(_)) => {
                self.wrong(ids::ACK_FIRST, event, "a second hello_ack came".to_owned());
            }
            (Stage::BeforeSync, ServerMessage::Resync(resync)) => self.resync(event, resync),
            (Stage::BeforeSync, ServerMessage::OpEcho(echo)) => {
                self.first_echo(event, hello.last_seen_server_seq.value(), echo);
            }
            (Stage::Replayed, ServerMessage::Resync(_)) => {
                let what = "a resync came where a replay had begun".to_owned();
                let requirement = match self.rule {
                    ids::RESUME_AT_HEAD => ids::RESUME_AT_HEAD,
                    _ => ids::SYNC_REPLAY_OR_RESYNC,
                };
                self.wrong(requirement, event, what);
            }
            (_, ServerMessage::Resync(_)) => {
                let requirement = match self.somebody_joins(event, hello) {
                    true => ids::SYNC_NEWCOMER_ALONE,
                    false => self.rule,
                };
                self.wrong(requirement, event, "a second resync came".to_owned());
            }
            (_, ServerMessage::OpEcho(echo)) => self.echo(event, echo),
            (_, ServerMessage::PresenceUpdate(_) | ServerMessage::PresenceSnapshot(_)) => {}
        }
    }

    /// Whether somebody else has said hello to the document between this client's resync and an event.
    fn somebody_joins(&self, event: usize, own: &Hello) -> bool {
        self.around.joins(&own.doc_id, self.synced_at, event)
    }

    fn same_document(&mut self, event: usize, hello: &Hello, message: &ServerMessage) {
        let (doc_id, requirement): (&Name, _) = match message {
            ServerMessage::HelloAck(ack) => (&ack.doc_id, ids::ACK_FIELDS),
            ServerMessage::Resync(resync) => (&resync.doc_id, ids::ONE_DOCUMENT),
            ServerMessage::OpEcho(echo) => (&echo.doc_id, ids::ONE_DOCUMENT),
            ServerMessage::PresenceUpdate(update) => (&update.doc_id, ids::ONE_DOCUMENT),
            ServerMessage::PresenceSnapshot(snapshot) => (&snapshot.doc_id, ids::ONE_DOCUMENT),
        };
        if *doc_id != hello.doc_id {
            let what = format!(
                "a message of the document {:?} came, not of {:?}",
                doc_id.as_str(),
                hello.doc_id.as_str()
            );
            self.wrong(requirement, event, what);
        }
    }

    fn ack(&mut self, event: usize, hello: &Hello, ack: &HelloAck) {
        self.head = ack.server_seq.value();
        self.stage = Stage::BeforeSync;
        let last_seen = hello.last_seen_server_seq.value();
        let resume = self.talk.is_on(Profile::Resume);
        self.rule = sync_rule(hello, ack, resume);
        if !resume {
            return;
        }
        let (rule, due) = resume_rule(hello, ack);
        self.announced = ack.sync;
        if let (Some(due), Some(announced)) = (due, ack.sync)
            && due != announced
        {
            let what = format!("the ack announces another sync than a {}", kind(due));
            self.wrong(rule, event, what);
        }
        if rule == ids::RESUME_AT_HEAD && ack.sync == Some(SyncKind::Replay) {
            // The replay is of nothing, so it is complete.
            self.stage = Stage::Replayed;
            self.last = last_seen;
        }
    }

    fn resync(&mut self, event: usize, resync: &Resync) {
        self.stage = Stage::Resynced;
        self.synced_at = event;
        if self.announced == Some(SyncKind::Replay) {
            let what = "a resync came where the ack announced a replay".to_owned();
            self.wrong(self.rule, event, what);
        }
        self.last = resync.server_seq.value();
        if self.last < self.head {
            let what = format!(
                "the resync's server_seq {} is below the ack's, {}",
                self.last, self.head
            );
            self.wrong(ids::RESYNC_HEAD, event, what);
        }
    }

    fn first_echo(&mut self, event: usize, last_seen: u64, echo: &OpEcho) {
        let seq = echo.server_seq.value();
        let announced = self.announced != Some(SyncKind::Resync);
        if announced && last_seen > 0 && last_seen < self.head && seq <= self.head {
            self.stage = Stage::Replayed;
            self.last = last_seen;
            self.echo(event, echo);
            return;
        }
        let requirement = if seq > self.head {
            ids::SYNC_BEFORE_LIVE
        } else {
            self.rule
        };
        let what = format!(
            "the echo with seq {seq} came where the sync must stand (last seen {last_seen}, head {})",
            self.head
        );
        self.lost(requirement, event, what);
    }

    fn echo(&mut self, event: usize, echo: &OpEcho) {
        let seq = echo.server_seq.value();
        let elements = echo.op.elements();
        let after = seq.checked_sub(elements);
        if after == Some(self.last) {
            self.last = seq;
        } else if seq > self.last || after.is_none() {
            // An op that begins at or before what has come, and ends behind it.
            let inside = elements > 1 && after.is_none_or(|after| after < self.last);
            let sent = self.around.sent(self.connection, echo, event);
            if !inside && !self.is_replaying() && sent.is_some_and(|sent| sent.here > 1) {
                let what = format!("the answer with the seq {seq} came before the echo of its op");
                self.repeated(seq);
                self.wrong(ids::SUBMIT_ANSWER_ORDER, event, what);
                return;
            }
            let requirement = match (inside, self.is_replaying()) {
                (true, true) => ids::RUNS_REPLAY_INSIDE,
                (true, false) => ids::RUNS_ONE_ECHO,
                (false, true) => ids::SYNC_REPLAY_EXACT,
                (false, false) if self.is_lost_behind_a_replay(echo) => ids::SYNC_LIVE_DURING,
                (false, false) => ids::SEQ_FROM_BASELINE,
            };
            let next = self.last.saturating_add(elements);
            let what = format!("the seq {seq} came where {next} is next");
            self.last = self.last.max(seq);
            self.wrong(requirement, event, what);
        } else {
            self.repeat(event, echo);
        }
    }

    /// An echo at or below the last seq: right only as the answer to an op sent again here.
    fn repeat(&mut self, event: usize, echo: &OpEcho) {
        let seq = echo.server_seq.value();
        if self.is_part_of_an_answer(event, echo) {
            let what = format!("the answer with the seq {seq} is a part of the op alone");
            self.wrong(ids::RUNS_ANSWER, event, what);
            return;
        }
        let Some(sent) = self.around.sent(self.connection, echo, event) else {
            return;
        };
        let (here, anywhere) = (sent.here, sent.anywhere);
        // If all were sent here, one of them was answered by the echo in its order.
        let allowed = match anywhere > here || !sent.all_seen {
            true => here,
            false => here.saturating_sub(1),
        };
        let is_in_replay = self.is_replaying() || self.is_behind_replay();
        if self.repeated(seq) > allowed {
            let (requirement, why) = match (here, anywhere) {
                (0, 2..) => (
                    ids::SUBMIT_ANSWER_PRIVATE,
                    "it is the answer to another connection",
                ),
                (0, _) if self.rule == ids::RESUME_AT_HEAD => {
                    (ids::RESUME_AT_HEAD, "the client was at the head")
                }
                (2.., _) => (
                    ids::SUBMIT_ANSWER,
                    "the op was answered more often than sent again",
                ),
                _ if is_in_replay => (
                    ids::SYNC_REPLAY_EXACT,
                    "the client has seen it, by its hello",
                ),
                _ => (ids::SEQ_FROM_BASELINE, "the op was not sent again here"),
            };
            let what = format!("the seq {seq} came again after {}: {why}", self.last);
            self.wrong(requirement, event, what);
        }
        self.is_original(event, echo, sent.ever);
    }

    /// Counts an answer: how many had this seq.
    fn repeated(&mut self, seq: u64) -> usize {
        if self.repeats.len() >= MOST_REPEATS {
            self.repeats.pop_first();
        }
        let count = self.repeats.entry(seq).or_default();
        *count += 1;
        *count
    }

    /// Whether an echo is of some elements of an op that was sent here, and not of all.
    fn is_part_of_an_answer(&self, event: usize, echo: &OpEcho) -> bool {
        // Whomever the echo names as its origin, what was sent here was this client's.
        let hello = self.talk.hello.as_ref();
        hello.is_some_and(|(_, hello)| {
            self.around
                .is_part_of_sent(self.connection, &hello.client_id, echo, event)
        })
    }

    /// The answer to an op that was sent again is its echo, whole.
    fn is_original(&mut self, event: usize, echo: &OpEcho, submitted: bool) {
        let seq = echo.server_seq.value();
        let values = values(&echo.op);
        let pieces = Pieces::new(&echo.op, &values);
        let differs = (0..pieces.len()).find_map(|back| {
            let seq = seq.checked_sub(back)?;
            let told = self.around.told(self.connection, &echo.doc_id, seq)?;
            let same = Some(told.piece) == pieces.at(pieces.len() - 1 - back)
                && told.echo.origin_client_id == echo.origin_client_id
                && told.echo.client_msg_id == echo.client_msg_id;
            (!same).then_some(told.event)
        });
        let requirement = match (differs, submitted) {
            (None, true) => return,
            // It repeats what nobody sent again, which is said elsewhere.
            (None, false) if pieces.len() == 1 => return,
            (Some(_), _) if pieces.len() == 1 => ids::SUBMIT_ANSWER,
            _ => ids::RUNS_ANSWER,
        };
        let what = "the answer to an op sent again is not the original echo".to_owned();
        self.wrong(requirement, event, what);
        if let (Some(original), Some(last)) = (differs, self.found.last_mut()) {
            last.expected = Some(self.around.text(original));
        }
    }

    fn is_replaying(&self) -> bool {
        self.stage == Stage::Replayed && self.last < self.head
    }

    /// Whether a replay is over and nothing has come behind it.
    fn is_behind_replay(&self) -> bool {
        self.stage == Stage::Replayed && self.last == self.head
    }

    /// Whether the first echo behind a replay leaves out an op that others got.
    fn is_lost_behind_a_replay(&self, echo: &OpEcho) -> bool {
        let next = self.last.saturating_add(1);
        let next = self.around.told(self.connection, &echo.doc_id, next);
        self.is_behind_replay() && next.is_some()
    }

    fn wrong(&mut self, requirement: &str, event: usize, what: String) {
        let name = self.around.name(self.connection);
        let mut wrong = breach(requirement, event, format!("on {name} {what}"));
        wrong.got = Some(self.around.text(event));
        self.found.push(wrong);
    }

    fn lost(&mut self, requirement: &str, event: usize, what: String) {
        self.stage = Stage::Lost;
        self.wrong(requirement, event, what);
    }
}

/// The requirement that says what the sync is, with the profile `resume` or without.
pub(crate) fn sync_rule(hello: &Hello, ack: &HelloAck, resume: bool) -> &'static str {
    if resume {
        return resume_rule(hello, ack).0;
    }
    let (last_seen, head) = (hello.last_seen_server_seq.value(), ack.server_seq.value());
    match last_seen {
        0 => ids::SYNC_ZERO,
        seen if seen > head => ids::SYNC_BEYOND_HEAD,
        seen if seen == head => ids::SYNC_AT_HEAD,
        _ => ids::SYNC_REPLAY_OR_RESYNC,
    }
}

/// The requirement that says what the sync is with the profile `resume`, and the sync, where the
/// server has no choice.
fn resume_rule(hello: &Hello, ack: &HelloAck) -> (&'static str, Option<SyncKind>) {
    let (last_seen, head) = (hello.last_seen_server_seq, ack.server_seq);
    if last_seen.value() == 0 {
        (ids::RESUME_ZERO, Some(SyncKind::Resync))
    } else if hello.epoch.is_none() {
        (ids::RESUME_NO_EPOCH, Some(SyncKind::Resync))
    } else if hello.epoch().ok().flatten() != ack.epoch {
        (ids::RESUME_OTHER_EPOCH, Some(SyncKind::Resync))
    } else if last_seen == head {
        (ids::RESUME_AT_HEAD, Some(SyncKind::Replay))
    } else if last_seen > head {
        (ids::RESUME_BEYOND_HEAD, Some(SyncKind::Resync))
    } else {
        (ids::RESUME_REPLAY, None)
    }
}

fn kind(sync: SyncKind) -> &'static str {
    match sync {
        SyncKind::Replay => "replay",
        SyncKind::Resync => "resync",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{Tape, assert_breaks, assert_holds, echo, op};

    fn tape() -> Tape {
        Tape::new()
    }

    #[test]
    fn a_right_session_holds() {
        let mut tape = tape();
        tape.joined("A", 0, "")
            .typed("A", 1, "a")
            .typed("A", 2, "b")
            .joined("B", 2, "ba");
        tape.hello_as("C", "A", 1).ack("C", 2).echo_again("C", 2);
        tape.typed("A", 3, "c")
            .echo_again("B", 3)
            .echo_again("C", 3);
        // Sent again by another connection: answered there alone, in front of nothing.
        tape.submit_again("C", 1).echo_again("C", 1);
        assert_holds(&tape);
    }

    #[test]
    fn the_ack_comes_first_and_once() {
        let mut early = tape();
        early.hello("A", 0).resync("A", 0, "").ack("A", 0);
        assert_breaks(&early, ids::ACK_FIRST);
        let mut twice = tape();
        twice.joined("A", 0, "").ack("A", 0);
        assert_breaks(&twice, ids::ACK_FIRST);
        let mut unasked = tape();
        unasked.open("A").ack("A", 0);
        assert_breaks(&unasked, ids::ACK_FIRST);
    }

    #[test]
    fn the_sync_is_what_l_says_and_comes_once() {
        let mut live_first = tape();
        live_first
            .joined("A", 0, "")
            .hello("B", 0)
            .ack("B", 0)
            .typed("A", 1, "a")
            .echo_again("B", 1);
        assert_breaks(&live_first, ids::SYNC_BEFORE_LIVE);
        let mut replay_at_zero = tape();
        replay_at_zero
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .hello("B", 0)
            .ack("B", 1);
        replay_at_zero.echo_again("B", 1);
        assert_breaks(&replay_at_zero, ids::SYNC_ZERO);
        let mut twice = tape();
        twice.joined("A", 0, "").resync("A", 0, "");
        assert_breaks(&twice, ids::SYNC_ZERO);
        let mut below = tape();
        below
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .hello("B", 0)
            .ack("B", 1)
            .resync("B", 0, "");
        assert_breaks(&below, ids::RESYNC_HEAD);
        let mut both = tape();
        both.joined("A", 0, "")
            .typed("A", 1, "a")
            .typed("A", 2, "b");
        both.hello("B", 1)
            .ack("B", 2)
            .echo_again("B", 2)
            .resync("B", 2, "ab");
        assert_breaks(&both, ids::SYNC_REPLAY_OR_RESYNC);
    }

    #[test]
    fn a_sync_for_somebody_else_is_found() {
        let mut tape = tape();
        tape.joined("A", 0, "").joined("B", 0, "");
        tape.resync("A", 0, "");
        assert_breaks(&tape, ids::SYNC_NEWCOMER_ALONE);
    }

    #[test]
    fn gaps_and_repeats_are_found() {
        let mut gap = tape();
        gap.joined("B", 0, "")
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .typed("A", 2, "b");
        gap.echo_again("B", 2);
        assert_breaks(&gap, ids::SEQ_FROM_BASELINE);
        let mut replay = tape();
        replay
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .typed("A", 2, "b")
            .typed("A", 3, "c");
        replay.hello("B", 1).ack("B", 3).echo_again("B", 3);
        assert_breaks(&replay, ids::SYNC_REPLAY_EXACT);
        let mut double = tape();
        double
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .echo_again("A", 1);
        assert_breaks(&double, ids::SEQ_FROM_BASELINE);
        let mut public = tape();
        public
            .joined("B", 0, "")
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .echo_again("B", 1);
        public.submit_again("A", 1).echo_again("A", 1);
        assert_holds(&public);
        public.echo_again("B", 1);
        assert_breaks(&public, ids::SUBMIT_ANSWER_PRIVATE);
        let mut answers = tape();
        answers
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .submit_again("A", 1);
        answers.echo_again("A", 1).echo_again("A", 1);
        assert_breaks(&answers, ids::SUBMIT_ANSWER);
        let mut early = tape();
        let again = op("A", 2, "m-2", "b");
        early.joined("A", 0, "").sent("A", &again).sent("A", &again);
        early.got("A", &echo(2, "A", 2, "m-2", "b"));
        assert_breaks(&early, ids::SUBMIT_ANSWER_ORDER);
    }

    #[test]
    fn another_document_is_found() {
        let mut tape = tape();
        tape.joined("A", 0, "");
        tape.got(
            "A",
            r#"{"type":"op_echo","doc_id":"other","server_seq":1,"origin_client_id":"A","client_msg_id":"m","op":{"type":"del","id":[1,"A"]}}"#,
        );
        assert_breaks(&tape, ids::ONE_DOCUMENT);
    }
}
