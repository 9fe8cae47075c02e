//! Each document over all its connections: one order of ops that were really submitted.

use std::collections::{BTreeMap, HashMap};

use collab_spec::id::Name;
use collab_spec::message::{Op, OpEcho, ServerMessage};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use super::breach;
use super::digest::{Digest, Echo, OpKey, Submission};
use super::pieces::{Pieces, values};
use crate::ids;
use crate::trace::What;
use crate::validate::shortened;

/// No echo has more elements than any op may have.
pub(super) fn overlong(digest: &Digest<'_>) -> Vec<Breach> {
    let wrong = |&event: &usize| {
        let what = format!(
            "{} got an echo of more elements than any op may have",
            digest.name(event)
        );
        breach(ids::RUNS_MAX_RUN, event, what)
    };
    digest.overlong.iter().map(wrong).collect()
}

/// The same seq is the same element of the same op on every connection.
pub(super) fn one_order(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for this in &digest.echoes {
        let differs = this.seqs().find_map(|(seq, element)| {
            let (first, piece) = digest.known(&this.echo.doc_id, seq)?;
            let same = Some(piece) == this.pieces().at(element)
                && first.echo.origin_client_id == this.echo.origin_client_id
                && first.echo.client_msg_id == this.echo.client_msg_id;
            (!same).then_some((seq, first))
        });
        let Some((seq, first)) = differs else {
            continue;
        };
        let what = format!(
            "{} got another op under the seq {seq} than {} did before",
            digest.name(this.event),
            digest.name(first.event)
        );
        let runs = [has_runs(digest, first), has_runs(digest, this)];
        let rule = order_rule(first.echo, this.echo, runs);
        let mut wrong = breach(rule, this.event, what);
        wrong.expected = Some(digest.text(first.event));
        wrong.got = Some(digest.text(this.event));
        found.push(wrong);
    }
    found
}

/// The requirement that is broken where two echoes say different things of one seq. `runs` says where the
/// profile was on.
pub(super) fn order_rule(first: &OpEcho, this: &OpEcho, runs: [bool; 2]) -> &'static str {
    let run = first.op.elements() > 1 || this.op.elements() > 1;
    let key = |echo: &OpEcho| (echo.origin_client_id.clone(), echo.client_msg_id.clone());
    if !run || first.doc_id != this.doc_id || key(first) != key(this) {
        return ids::SEQ_ONE_ORDER;
    }
    match runs {
        [true, true] => ids::RUNS_REPLAY_INSIDE,
        _ => ids::RUNS_SPLIT,
    }
}

/// Whether an echo came where the profile `runs` is on.
fn has_runs(digest: &Digest<'_>, echo: &Echo<'_>) -> bool {
    let talk = digest.talk_of(echo.event);
    talk.is_some_and(|talk| talk.is_on(Profile::Runs))
}

/// Every echo is of an op that was submitted before, and that the server need not refuse. Of an op of
/// several elements it is as much as its connection has to get.
pub(super) fn faithful(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for this in &digest.echoes {
        // What another connection was told before is compared with that, unless it was told in other
        // pieces.
        let again = !this.is_first && this.pieces().len() == 1 && !has_runs(digest, this);
        if again || !digest.is_fresh(&this.echo.doc_id) {
            continue;
        }
        let seq = this.echo.server_seq.value();
        let wrong = |requirement, what: &str| {
            let mut wrong = breach(
                requirement,
                this.event,
                format!("the echo with seq {seq} {what}"),
            );
            wrong.got = Some(digest.text(this.event));
            wrong
        };
        let under_key: Vec<&Submission> = digest.under_key(this).collect();
        let same: Vec<&&Submission> = under_key
            .iter()
            .filter(|submission| is_echo_of(&this.echo.op, has_runs(digest, this), submission))
            .collect();
        let origin = &this.echo.origin_client_id;
        if under_key.is_empty() && digest.sent_unfit(&this.echo.doc_id, origin) {
            continue;
        }
        if under_key.is_empty() {
            let what = "is of an op that nobody submitted under that client and client_msg_id";
            found.push(wrong(ids::ECHO_FIELDS, what));
        } else if same.is_empty() {
            let sent = &under_key[0].message.op;
            let mut wrong = wrong(
                faith_rule(has_runs(digest, this), sent),
                "is not the op that was submitted",
            );
            let sent = serde_json::to_string(sent).unwrap_or_default();
            wrong.expected = Some(shortened(&sent, 600));
            found.push(wrong);
        } else if let Some(requirement) = same[0].refused
            && same.iter().all(|submission| submission.refused.is_some())
        {
            found.push(wrong(
                requirement,
                "is of an op that the server must refuse",
            ));
        }
    }
    found
}

/// Whether an echo's op is what its connection, with the profile `runs` on or off, has to get of a
/// submission: all of it, the rest of it where a replay begins inside, or one element where `runs` is off.
pub(super) fn is_echo_of(op: &Op, runs: bool, submission: &Submission) -> bool {
    if submission.message.op == *op {
        return true;
    }
    let values = values(op);
    let part = Pieces::new(op, &values);
    let whole = submission.pieces();
    let Some(from) = whole.holds(part) else {
        return false;
    };
    match runs {
        true => from > 0 && from + part.len() == whole.len(),
        false => part.len() == 1,
    }
}

/// The requirement that is broken where an echo is not what was submitted.
pub(super) fn faith_rule(runs: bool, sent: &Op) -> &'static str {
    match (sent.elements() > 1, runs) {
        (false, _) => ids::ECHO_FAITHFUL,
        (true, true) => ids::RUNS_ONE_ECHO,
        (true, false) => ids::RUNS_SPLIT,
    }
}

/// Where an op begins that was seen, by an echo of it or of a part.
struct Seen<'a> {
    echo: &'a Echo<'a>,
    submission: &'a Submission,
    /// The seq before its first one.
    after: u64,
}

/// One op has its seqs once: under its `client_msg_id`, and as the insert of its elements.
pub(super) fn one_seq_an_op(digest: &Digest<'_>) -> Vec<Breach> {
    let mut keys: HashMap<OpKey, Seen<'_>> = HashMap::new();
    let mut elements = HashMap::new();
    let mut found = Vec::new();
    for this in digest.echoes.iter().filter(|this| this.is_first) {
        let Some((after, submission)) = begins(digest, this) else {
            // It is of no op that was submitted, which another monitor says.
            continue;
        };
        let clash = match keys.get(&this.key()) {
            Some(seen) if seen.after != after => {
                let requirement = twice_rule(&seen.submission.message.op, &submission.message.op);
                let what = format!("the client_msg_id {:?}", this.echo.client_msg_id.as_str());
                Some((seen.echo, requirement, what))
            }
            Some(_) => None,
            None => {
                let seen = Seen {
                    echo: this,
                    submission,
                    after,
                };
                keys.insert(this.key(), seen);
                None
            }
        };
        let clash = clash.or_else(|| taken(&mut elements, this));
        if let Some((first, requirement, what)) = clash {
            let what = format!(
                "{what} was sequenced twice, as {} and as {}",
                first.echo.server_seq.value(),
                this.echo.server_seq.value()
            );
            let mut wrong = breach(requirement, this.event, what);
            wrong.expected = Some(digest.text(first.event));
            wrong.got = Some(digest.text(this.event));
            found.push(wrong);
        }
    }
    found
}

/// The requirement that is broken where a `client_msg_id` has two seqs, for these ops.
pub(super) fn twice_rule(first: &Op, this: &Op) -> &'static str {
    match (first == this, this.elements() > 1) {
        (true, _) => ids::SUBMIT_RESEND,
        (false, true) => ids::RUNS_CONTENT,
        (false, false) => ids::SUBMIT_MSG_ID_REUSED,
    }
}

/// The requirement that is broken where an element has two seqs, in these ops.
pub(super) fn taken_rule(first: &Op, this: &Op) -> &'static str {
    match (first == this, first.elements() > 1 || this.elements() > 1) {
        (true, _) => ids::SUBMIT_SAME_INSERT,
        (false, true) => ids::RUNS_OVERLAP,
        (false, false) => ids::SUBMIT_ID_TAKEN,
    }
}

/// The seq before the first one of the op that an echo is of, and its submission.
fn begins<'a>(digest: &'a Digest<'_>, echo: &Echo<'_>) -> Option<(u64, &'a Submission)> {
    digest.under_key(echo).find_map(|submission| {
        let from = submission.pieces().holds(echo.pieces())?;
        let elements = from + echo.pieces().len();
        let after = echo.echo.server_seq.value().checked_sub(elements)?;
        Some((after, submission))
    })
}

/// A document and the id of one of its elements.
type ElementKey<'a> = (&'a Name, (u64, &'a Name));

/// The first element of an echo that had another seq before.
fn taken<'a>(
    elements: &mut HashMap<ElementKey<'a>, (u64, &'a Echo<'a>)>,
    this: &'a Echo<'a>,
) -> Option<(&'a Echo<'a>, &'static str, String)> {
    let mut clash = None;
    for (seq, element) in this.seqs() {
        let Some(piece) = this
            .pieces()
            .at(element)
            .filter(|piece| piece.insert.is_some())
        else {
            continue;
        };
        let &mut (known, first) = elements
            .entry((&this.echo.doc_id, piece.id))
            .or_insert((seq, this));
        if known != seq && clash.is_none() {
            let requirement = taken_rule(&first.echo.op, &this.echo.op);
            let (lamport, replica) = piece.id;
            let what = format!("the element [{lamport},{:?}]", replica.as_str());
            clash = Some((first, requirement, what));
        }
    }
    clash
}

/// The ops of one connection have their seqs in the order sent, as far as each was sent once.
pub(super) fn sender_order(digest: &Digest<'_>) -> Vec<Breach> {
    let seqs: HashMap<OpKey, &Echo<'_>> = digest
        .echoes
        .iter()
        .map(|this| (this.key(), this))
        .collect();
    let mut last: BTreeMap<(usize, Name), (u64, &Submission)> = BTreeMap::new();
    let mut found = Vec::new();
    for submission in digest
        .submissions
        .iter()
        .filter(|submission| sent_once(digest, submission))
    {
        let Some(this) = seqs.get(&submission.key()) else {
            continue;
        };
        let seq = this.echo.server_seq.value();
        let lane = (submission.connection.0, submission.message.doc_id.clone());
        match last.get(&lane) {
            Some((before, earlier)) if *before > seq => {
                let what = format!(
                    "{} sent {:?} before {:?}, and their seqs are {before} and {seq}",
                    digest.trace.name(submission.connection),
                    earlier.message.client_msg_id.as_str(),
                    submission.message.client_msg_id.as_str()
                );
                found.push(breach(ids::SEQ_SENDER_ORDER, this.event, what));
            }
            _ => {
                last.insert(lane, (seq, submission));
            }
        }
    }
    found
}

fn sent_once(digest: &Digest<'_>, submission: &Submission) -> bool {
    let once = |places: Option<&Vec<usize>>| places.is_none_or(|places| places.len() == 1);
    let element = match &submission.message.op {
        Op::Ins(insert) => digest
            .by_element
            .get(&(submission.message.doc_id.clone(), insert.id.clone())),
        Op::Del(_) => None,
    };
    once(digest.by_key.get(&submission.key())) && once(element)
}

/// An ack's head is not below what anybody got before, and no seq is above the number of elements in
/// the ops that were submitted, each op once.
pub(super) fn heads(digest: &Digest<'_>) -> Vec<Breach> {
    let mut known: HashMap<&Name, u64> = HashMap::new();
    let mut at_hello: HashMap<usize, u64> = HashMap::new();
    let mut submitted: HashMap<&Name, Submitted> = HashMap::new();
    let mut submissions = digest.submissions.iter().peekable();
    let mut found = Vec::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        while let Some(submission) = submissions.next_if(|next| next.event <= index) {
            submitted
                .entry(&submission.message.doc_id)
                .or_default()
                .add(submission);
        }
        let Some(connection) = event.connection else {
            continue;
        };
        if let Some((said, hello)) = &digest.talks[connection.0].hello
            && *said == index
        {
            at_hello.insert(connection.0, known.get(&hello.doc_id).copied().unwrap_or(0));
        }
        let What::Text(received) = &event.what else {
            continue;
        };
        let (doc_id, seq) = match received.message() {
            Some(ServerMessage::HelloAck(ack)) => (&ack.doc_id, ack.server_seq.value()),
            Some(ServerMessage::Resync(resync)) => (&resync.doc_id, resync.server_seq.value()),
            Some(ServerMessage::OpEcho(echo)) => (&echo.doc_id, echo.server_seq.value()),
            Some(ServerMessage::PresenceUpdate(_) | ServerMessage::PresenceSnapshot(_)) | None => {
                continue;
            }
        };
        if !digest.is_fresh(doc_id) {
            continue;
        }
        let (ops, sent) = submitted.get(doc_id).map_or((0, 0), Submitted::elements);
        let name = digest.name(index);
        if seq > ops && !digest.has_unfit(doc_id) {
            let mut what =
                format!("{name} got the seq {seq} when ops of {ops} elements had been submitted");
            let rule = match seq <= sent {
                true => {
                    what += &format!(", and {sent} with those that were sent again");
                    ids::SUBMIT_RESEND
                }
                false => ids::SEQ_DENSE,
            };
            let mut wrong = breach(rule, index, what);
            wrong.got = Some(digest.text(index));
            found.push(wrong);
        }
        let before = at_hello.get(&connection.0).copied().unwrap_or(0);
        if matches!(received.message(), Some(ServerMessage::HelloAck(_))) && seq < before {
            let what = format!(
                "the head in the ack of {name} is {seq}, though the seq {before} had come before its hello"
            );
            found.push(breach(ids::ACK_FIELDS, index, what));
        }
        let greatest = known.entry(doc_id).or_default();
        *greatest = (*greatest).max(seq);
    }
    found
}

/// What was submitted for a document.
#[derive(Default)]
struct Submitted {
    keys: HashMap<OpKey, u64>,
    once: u64,
    sent: u64,
}

impl Submitted {
    fn add(&mut self, submission: &Submission) {
        let elements = submission.message.op.elements();
        let known = self.keys.entry(submission.key()).or_default();
        self.once += elements.saturating_sub(*known);
        self.sent += elements;
        *known = (*known).max(elements);
    }

    /// How many elements the ops have, each `client_msg_id` once, and as often as it was sent.
    fn elements(&self) -> (u64, u64) {
        (self.once, self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing::{Tape, assert_breaks, assert_holds, echo, op};

    #[test]
    fn one_seq_is_one_op() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").joined("B", 0, "");
        tape.sent("A", &op("A", 1, "m-1", "x"))
            .sent("B", &op("B", 1, "m-1", "y"));
        tape.got("A", &echo(1, "A", 1, "m-1", "x"))
            .got("B", &echo(1, "B", 1, "m-1", "y"));
        assert_breaks(&tape, ids::SEQ_ONE_ORDER);
    }

    #[test]
    fn echoes_are_of_what_was_submitted() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").sent("A", &op("A", 1, "m-1", "x"));
        let mut changed = tape.clone();
        changed.got("A", &echo(1, "A", 1, "m-1", "y"));
        assert_breaks(&changed, ids::ECHO_FAITHFUL);
        let mut renamed = tape.clone();
        renamed.got("A", &echo(1, "B", 1, "m-1", "x"));
        assert_breaks(&renamed, ids::ECHO_FIELDS);
        let mut unfit = tape.clone();
        unfit.sent("A", r#"{"type":"op"}"#);
        assert_holds(unfit.got("A", &echo(1, "A", 1, "m-2", "x")));
        tape.got("A", &echo(1, "A", 1, "m-1", "x"));
        assert_holds(&tape);
    }

    #[test]
    fn what_must_be_refused_is_not_echoed() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").sent("A", &op("B", 1, "m-1", "x"));
        tape.got("A", &echo(1, "B", 1, "m-1", "x"));
        assert_breaks(&tape, ids::CLOSE_OTHER_CLIENT);
    }

    #[test]
    fn one_op_has_one_seq() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "")
            .sent("A", &op("A", 1, "m-1", "x"))
            .got("A", &echo(1, "A", 1, "m-1", "x"));
        let mut resent = tape.clone();
        resent
            .sent("A", &op("A", 1, "m-1", "x"))
            .got("A", &echo(2, "A", 1, "m-1", "x"));
        assert_breaks(&resent, ids::SUBMIT_RESEND);
        let mut reused = tape.clone();
        reused
            .sent("A", &op("A", 2, "m-1", "y"))
            .got("A", &echo(2, "A", 2, "m-1", "y"));
        assert_breaks(&reused, ids::SUBMIT_MSG_ID_REUSED);
        let mut same = tape.clone();
        same.sent("A", &op("A", 1, "m-2", "x"))
            .got("A", &echo(2, "A", 1, "m-2", "x"));
        assert_breaks(&same, ids::SUBMIT_SAME_INSERT);
        let mut taken = tape.clone();
        taken
            .sent("A", &op("A", 1, "m-2", "y"))
            .got("A", &echo(2, "A", 1, "m-2", "y"));
        assert_breaks(&taken, ids::SUBMIT_ID_TAKEN);
    }

    #[test]
    fn a_senders_order_is_kept() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "")
            .sent("A", &op("A", 1, "m-1", "x"))
            .sent("A", &op("A", 2, "m-2", "y"));
        let mut turned = tape.clone();
        turned
            .got("A", &echo(1, "A", 2, "m-2", "y"))
            .got("A", &echo(2, "A", 1, "m-1", "x"));
        assert_breaks(&turned, ids::SEQ_SENDER_ORDER);
        tape.got("A", &echo(1, "A", 1, "m-1", "x"))
            .got("A", &echo(2, "A", 2, "m-2", "y"));
        assert_holds(&tape);
    }

    #[test]
    fn heads_are_neither_behind_nor_ahead() {
        let mut behind = Tape::new();
        behind
            .joined("A", 0, "")
            .typed("A", 1, "a")
            .hello("B", 0)
            .ack("B", 0);
        assert_breaks(&behind, ids::ACK_FIELDS);
        let mut ahead = Tape::new();
        ahead.joined("A", 7, "");
        assert_breaks(&ahead, ids::SEQ_DENSE);
        let mut doubled = Tape::new();
        doubled.joined("A", 0, "").typed("A", 1, "x");
        doubled.sent("A", &op("A", 1, "m-1", "x"));
        doubled.hello("B", 0).ack("B", 2);
        assert_breaks(&doubled, ids::SUBMIT_RESEND);
    }
}
