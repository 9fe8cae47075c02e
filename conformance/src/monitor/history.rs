//! Each document over all its connections: one order of ops that were really submitted.

use std::collections::{BTreeMap, HashMap, HashSet};

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{Op, ServerMessage};
use collab_spec::report::Breach;

use super::breach;
use super::digest::{Digest, Echo, OpKey, Submission};
use crate::ids;
use crate::trace::What;
use crate::validate::shortened;

/// The same seq is the same op on every connection.
pub(super) fn one_order(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for Echo { event, echo } in &digest.echoes {
        let seq = echo.server_seq.value();
        let first = &digest.echoes[digest.by_seq[&(echo.doc_id.clone(), seq)]];
        if first.echo != *echo {
            let what = format!(
                "{} got another op under the seq {seq} than {} did before",
                digest.name(*event),
                digest.name(first.event)
            );
            let mut wrong = breach(ids::SEQ_ONE_ORDER, *event, what);
            wrong.expected = Some(digest.text(first.event));
            wrong.got = Some(digest.text(*event));
            found.push(wrong);
        }
    }
    found
}

/// Every echo is of an op that was submitted before, and that the server need not refuse.
pub(super) fn faithful(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, Echo { event, echo }) in digest.echoes.iter().enumerate() {
        let seq = echo.server_seq.value();
        if digest.by_seq[&(echo.doc_id.clone(), seq)] != index || !digest.is_fresh(&echo.doc_id) {
            continue;
        }
        let key = (
            echo.doc_id.clone(),
            echo.origin_client_id.clone(),
            echo.client_msg_id.clone(),
        );
        let under_key: Vec<&Submission> = digest
            .by_key
            .get(&key)
            .into_iter()
            .flatten()
            .map(|place| &digest.submissions[*place])
            .filter(|submission| submission.event < *event)
            .collect();
        let wrong = |requirement, what: &str| {
            let mut wrong = breach(
                requirement,
                *event,
                format!("the echo with seq {seq} {what}"),
            );
            wrong.got = Some(digest.text(*event));
            wrong
        };
        let same: Vec<_> = under_key
            .iter()
            .filter(|submission| submission.message.op == echo.op)
            .collect();
        if under_key.is_empty() {
            let what = "is of an op that nobody submitted under that client and client_msg_id";
            found.push(wrong(ids::ECHO_FIELDS, what));
        } else if same.is_empty() {
            let mut wrong = wrong(ids::ECHO_FAITHFUL, "is not the op that was submitted");
            let sent = serde_json::to_string(&under_key[0].message.op).unwrap_or_default();
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

/// One op has one seq: under its `client_msg_id`, and as the insert of its element.
pub(super) fn one_seq_an_op(digest: &Digest<'_>) -> Vec<Breach> {
    let mut keys: HashMap<OpKey, Echo<'_>> = HashMap::new();
    let mut elements: HashMap<(&Name, &ElementId), Echo<'_>> = HashMap::new();
    let mut found = Vec::new();
    for (index, this) in digest.echoes.iter().enumerate() {
        let echo = this.echo;
        let seq = echo.server_seq.value();
        if digest.by_seq[&(echo.doc_id.clone(), seq)] != index {
            continue;
        }
        let key = (
            echo.doc_id.clone(),
            echo.origin_client_id.clone(),
            echo.client_msg_id.clone(),
        );
        let mut clash = None;
        if let Some(first) = keys.get(&key) {
            let same = first.echo.op == echo.op;
            let requirement = if same {
                ids::SUBMIT_RESEND
            } else {
                ids::SUBMIT_MSG_ID_REUSED
            };
            clash = Some((
                *first,
                requirement,
                format!("the client_msg_id {:?}", key.2.as_str()),
            ));
        } else if let Op::Ins(insert) = &echo.op
            && let Some(first) = elements.get(&(&echo.doc_id, &insert.id))
        {
            let same = first.echo.op == echo.op;
            let requirement = if same {
                ids::SUBMIT_SAME_INSERT
            } else {
                ids::SUBMIT_ID_TAKEN
            };
            clash = Some((*first, requirement, format!("the element {}", insert.id)));
        }
        if let Some((first, requirement, what)) = clash {
            let what = format!(
                "{what} was sequenced twice, as {} and as {seq}",
                first.echo.server_seq.value()
            );
            let mut wrong = breach(requirement, this.event, what);
            wrong.expected = Some(digest.text(first.event));
            wrong.got = Some(digest.text(this.event));
            found.push(wrong);
            continue;
        }
        keys.insert(key, *this);
        if let Op::Ins(insert) = &echo.op {
            elements.insert((&echo.doc_id, &insert.id), *this);
        }
    }
    found
}

/// The ops of one connection have their seqs in the order sent, as far as each was sent once.
pub(super) fn sender_order(digest: &Digest<'_>) -> Vec<Breach> {
    let seqs: HashMap<OpKey, Echo<'_>> = digest
        .echoes
        .iter()
        .map(|this| {
            let echo = this.echo;
            let key = (
                echo.doc_id.clone(),
                echo.origin_client_id.clone(),
                echo.client_msg_id.clone(),
            );
            (key, *this)
        })
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

/// An ack's head is not below what anybody got before, and no seq is above the number of ops that
/// were submitted.
pub(super) fn heads(digest: &Digest<'_>) -> Vec<Breach> {
    let mut known: HashMap<&Name, u64> = HashMap::new();
    let mut at_hello: HashMap<usize, u64> = HashMap::new();
    let mut submitted: HashMap<&Name, HashSet<OpKey>> = HashMap::new();
    let mut submissions = digest.submissions.iter().peekable();
    let mut found = Vec::new();
    for (index, event) in digest.trace.events.iter().enumerate() {
        while let Some(submission) = submissions.next_if(|next| next.event <= index) {
            submitted
                .entry(&submission.message.doc_id)
                .or_default()
                .insert(submission.key());
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
        let ops = submitted.get(doc_id).map_or(0, HashSet::len) as u64;
        let name = digest.name(index);
        if seq > ops {
            let what = format!("{name} got the seq {seq} when {ops} ops had been submitted");
            let mut wrong = breach(ids::SEQ_DENSE, index, what);
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
    }
}
