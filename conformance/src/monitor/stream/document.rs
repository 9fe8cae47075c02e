//! What is remembered of one document: bounded, however long the traffic is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{Op, OpEcho};
use collab_spec::report::Breach;

use super::recent::Recent;
use super::sent::SentOps;
use super::texts::Texts;
use crate::monitor::breach;
use crate::monitor::digest::Submission;
use crate::monitor::history::{order_rule, taken_rule, twice_rule};
use crate::monitor::pieces::{Piece, Pieces, values};

/// How many of the newest seqs are remembered, and ids of ops and elements.
pub const WINDOW: usize = 8_192;

/// How many of the newest hellos are remembered.
const MOST_HELLOS: usize = 256;

/// The history that a connection is in: a server that was started anew may begin another one.
pub(super) type Generation = u32;

/// An echo as it was first told.
pub(super) struct Told {
    pub(super) event: usize,
    /// The connection.
    name: Arc<str>,
    pub(super) echo: OpEcho,
    values: Vec<char>,
    /// Whether the profile `runs` was on.
    runs: bool,
}

impl Told {
    pub(super) fn new(event: usize, name: &Arc<str>, echo: &OpEcho, runs: bool) -> Self {
        Self {
            event,
            name: Arc::clone(name),
            echo: echo.clone(),
            values: values(&echo.op),
            runs,
        }
    }

    fn pieces(&self) -> Pieces<'_> {
        Pieces::new(&self.echo.op, &self.values)
    }

    /// The seq before its first element's.
    fn after(&self) -> Option<u64> {
        self.echo
            .server_seq
            .value()
            .checked_sub(self.pieces().len())
    }
}

/// One document.
pub(super) struct Document {
    pub(super) generation: Generation,
    /// The greatest seq that came in this generation and in this capture.
    pub(super) greatest: u64,
    pub(super) epoch: Option<(usize, Name)>,
    pub(super) sent: SentOps,
    pub(super) texts: Texts,
    told: BTreeMap<(Generation, u64), (Arc<Told>, u64)>,
    keys: Recent<(Generation, Name, Name), Arc<Told>>,
    elements: Recent<(Generation, ElementId), (u64, Arc<Told>)>,
    hellos: VecDeque<usize>,
    /// The head when the capture began, by the first ack.
    pub(super) base: Option<u64>,
    /// Echoes that came below all seqs that are remembered.
    pub(super) too_old: u64,
}

impl Document {
    pub(super) fn new() -> Self {
        Self {
            generation: 0,
            greatest: 0,
            epoch: None,
            sent: SentOps::default(),
            texts: Texts::default(),
            told: BTreeMap::new(),
            keys: Recent::new(WINDOW),
            elements: Recent::new(WINDOW),
            hellos: VecDeque::new(),
            base: None,
            too_old: 0,
        }
    }

    pub(super) fn remembered(&self) -> usize {
        let ids = self.keys.len() + self.elements.len();
        self.told.len() + ids + self.hellos.len() + self.sent.len() + self.texts.len()
    }

    /// Begins another history.
    pub(super) fn begin_anew(&mut self, head: u64) {
        self.generation += 1;
        self.greatest = head;
        self.epoch = None;
        self.texts.begin_anew();
    }

    pub(super) fn hello(&mut self, event: usize) {
        self.hellos.push_back(event);
        if self.hellos.len() > MOST_HELLOS {
            self.hellos.pop_front();
        }
    }

    pub(super) fn has_hello(&self, from: usize, to: usize) -> bool {
        self.hellos.iter().any(|said| (from..to).contains(said))
    }

    /// What is known of a seq.
    pub(super) fn known(&self, generation: Generation, seq: u64) -> Option<(&Told, Piece<'_>)> {
        let (told, element) = self.told.get(&(generation, seq))?;
        Some((told, told.pieces().at(*element)?))
    }

    /// The echo that stands at an event, where it is remembered.
    pub(super) fn echo_at(&self, event: usize) -> Option<&OpEcho> {
        let mut told = self.told.values();
        told.find(|(told, _)| told.event == event)
            .map(|(told, _)| &told.echo)
    }

    /// Remembers an op that a client has sent.
    pub(super) fn send(&mut self, submission: Submission) {
        let (keys, generation) = (&self.keys, self.generation);
        // The last seq of an op that is told in parts is not far above that of the first part.
        let seq_of = |old: &Submission| {
            let message = &old.message;
            let (client, msg_id) = (message.client_id.clone(), message.client_msg_id.clone());
            let told = keys.get(&(generation, client, msg_id))?;
            Some(told.echo.server_seq.value() + message.op.elements())
        };
        self.sent.add(submission, seq_of);
    }

    /// Takes an echo that came on a connection of a generation. Whether it is the first to tell any of
    /// its seqs.
    pub(super) fn tell(
        &mut self,
        generation: Generation,
        this: Told,
        found: &mut Vec<Breach>,
    ) -> bool {
        let Some(after) = this.after() else {
            // The session says that its seq is too small.
            return false;
        };
        let this = Arc::new(this);
        let mut is_first = false;
        let mut differs: Option<(u64, Arc<Told>)> = None;
        let oldest = self.oldest();
        if oldest.is_some_and(|oldest| (generation, after + 1) < oldest) {
            self.too_old += 1;
            return false;
        }
        for element in 0..this.pieces().len() {
            let seq = after + element + 1;
            match self.told.get(&(generation, seq)) {
                None => {
                    is_first = true;
                    let entry = (Arc::clone(&this), element);
                    self.told.insert((generation, seq), entry);
                }
                Some((first, place)) => {
                    let same = first.pieces().at(*place) == this.pieces().at(element)
                        && first.echo.origin_client_id == this.echo.origin_client_id
                        && first.echo.client_msg_id == this.echo.client_msg_id;
                    if !same && differs.is_none() {
                        differs = Some((seq, Arc::clone(first)));
                    }
                }
            }
        }
        if let Some((seq, first)) = differs {
            let rule = order_rule(&first.echo, &this.echo, [first.runs, this.runs]);
            let what = format!(
                "{} got another op under the seq {seq} than {} did",
                this.name, first.name
            );
            found.push(wrong(rule, what, &first, &this));
        }
        if is_first {
            self.sequenced_once(generation, &this, found);
            if generation == self.generation {
                self.greatest = self.greatest.max(this.echo.server_seq.value());
            }
        }
        self.shrink();
        if self.texts.wanted().is_some() {
            self.judge_texts(found);
        }
        is_first
    }

    /// The oldest seq that is remembered, where older ones are forgotten.
    fn oldest(&self) -> Option<(Generation, u64)> {
        let is_full = self.told.len() >= WINDOW;
        let (oldest, _) = self.told.first_key_value().filter(|_| is_full)?;
        Some(*oldest)
    }

    /// Forgets the oldest seqs, which the text takes in first.
    fn shrink(&mut self) {
        while self.told.len() > WINDOW {
            let Some((key, _)) = self.told.first_key_value() else {
                return;
            };
            let (generation, seq) = *key;
            if generation == self.generation && self.texts.next().is_some_and(|next| seq >= next) {
                // Where it is not the next one, those before it are not known.
                if self.texts.next() != Some(seq) || !self.take_in(u64::MAX) {
                    self.texts.give_up();
                }
            }
            self.told.pop_first();
        }
    }

    /// Lets the text take in the next op, as far as a seq at most.
    fn take_in(&mut self, wanted: u64) -> bool {
        let Some(next) = self.texts.next() else {
            return false;
        };
        let Some((told, element)) = self.told.get(&(self.generation, next)) else {
            return false;
        };
        let (told, element) = (Arc::clone(told), *element);
        let pieces = told.pieces();
        // The whole op where it begins here, else the element alone.
        if element == 0 && (next - 1).saturating_add(pieces.len()) <= wanted {
            self.texts.integrate(&told.echo.op);
        } else if let Some(piece) = pieces.at(element) {
            self.texts.integrate(&piece.op());
        }
        true
    }

    /// Judges the resyncs that wait, as far as the ops before them are known.
    pub(super) fn judge_texts(&mut self, found: &mut Vec<Breach>) {
        while let Some(wanted) = self.texts.wanted() {
            while self.texts.next().is_some_and(|next| next <= wanted) {
                if !self.take_in(wanted) {
                    return;
                }
            }
            self.texts.judge(found);
        }
    }

    /// One op has its seqs once: under its `client_msg_id`, and as the insert of its elements.
    fn sequenced_once(
        &mut self,
        generation: Generation,
        this: &Arc<Told>,
        found: &mut Vec<Breach>,
    ) {
        let echo = &this.echo;
        let (client, msg_id) = (&echo.origin_client_id, &echo.client_msg_id);
        let key = (generation, client.clone(), msg_id.clone());
        let mut clash = None;
        match self.keys.get(&key) {
            Some(first) if !self.are_one(first, this) => {
                let rule = match self.submitted_twice(first, this) {
                    Some((first, this)) => twice_rule(&first, &this),
                    None => twice_rule(&first.echo.op, &echo.op),
                };
                let what = format!("the client_msg_id {:?}", msg_id.as_str());
                clash = Some((Arc::clone(first), rule, what));
            }
            Some(_) => {}
            None => drop(self.keys.insert(key, Arc::clone(this))),
        }
        let taken = self.taken(generation, this);
        if let Some((first, rule, what)) = clash.or(taken) {
            let what = format!(
                "{what} was sequenced twice, as {} and as {}",
                first.echo.server_seq.value(),
                echo.server_seq.value()
            );
            found.push(wrong(rule, what, &first, this));
        }
    }

    /// Whether two echoes under one key can be of one op, or of parts of it.
    fn are_one(&self, first: &Told, this: &Told) -> bool {
        let is_single = |told: &Told| {
            let echo = &told.echo;
            let sent = self
                .sent
                .under_key(&echo.origin_client_id, &echo.client_msg_id);
            !sent.is_empty() && sent.iter().all(|sent| sent.message.op.elements() == 1)
        };
        let (one, other) = (first.echo.op.id(), this.echo.op.id());
        let of_one_kind = matches!(
            (&first.echo.op, &this.echo.op),
            (Op::Ins(_), Op::Ins(_)) | (Op::Del(_), Op::Del(_))
        );
        let (Some(a), Some(b)) = (first.after(), this.after()) else {
            return true;
        };
        if is_single(this) {
            return a == b;
        }
        let seqs = i128::from(b) - i128::from(a);
        let lamports = i128::from(other.lamport()) - i128::from(one.lamport());
        of_one_kind && one.replica_id() == other.replica_id() && seqs == lamports
    }

    /// The ops that clients sent under the key of two echoes, where both are known.
    fn submitted_twice(&self, first: &Told, this: &Told) -> Option<(Op, Op)> {
        let of = |told: &Told| {
            let echo = &told.echo;
            let sent = self
                .sent
                .under_key(&echo.origin_client_id, &echo.client_msg_id);
            let mut holding = sent
                .iter()
                .filter(|sent| sent.pieces().holds(told.pieces()).is_some());
            holding.next().map(|sent| sent.message.op.clone())
        };
        of(first).zip(of(this))
    }

    /// The first element of an echo that had another seq before.
    fn taken(
        &mut self,
        generation: Generation,
        this: &Arc<Told>,
    ) -> Option<(Arc<Told>, &'static str, String)> {
        let Op::Ins(insert) = &this.echo.op else {
            return None;
        };
        let after = this.after()?;
        let mut clash = None;
        for element in 0..this.pieces().len() {
            let seq = after + element + 1;
            let key = (generation, insert.id.later(element));
            match self.elements.get(&key) {
                Some((known, first)) if *known != seq && clash.is_none() => {
                    let rule = taken_rule(&first.echo.op, &this.echo.op);
                    let what = format!(
                        "the element [{},{:?}]",
                        key.1.lamport(),
                        key.1.replica_id().as_str()
                    );
                    clash = Some((Arc::clone(first), rule, what));
                }
                Some(_) => {}
                None => drop(self.elements.insert(key, (seq, Arc::clone(this)))),
            }
        }
        clash
    }
}

/// A breach that two echoes show together.
fn wrong(rule: &str, what: String, first: &Told, this: &Told) -> Breach {
    let mut wrong = breach(rule, this.event, what);
    wrong.expected = Some(super::words(&first.echo));
    wrong.got = Some(super::words(&this.echo));
    wrong
}
