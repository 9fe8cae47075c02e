//! Rules over the ops of one connection, and why things are left unjudged.

use std::sync::Arc;

use collab_spec::message::{Op, OpEcho};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use super::connection::{Line, Newest};
use super::document::Document;
use super::wrong;
use crate::ids;
use crate::monitor::breach;
use crate::monitor::digest::Submission;
use crate::monitor::history::{faith_rule, is_echo_of};
use crate::validate::shortened;

/// Why things are left unjudged, in words behind their number.
pub(super) const MIDDLE: &str =
    "connections were under way when the capture began: their acks and syncs";
pub(super) const MIDDLE_CLOSES: &str =
    "closes of such connections, whose clients may have asked for them";
pub(super) const ANEW: &str =
    "times a document seems to have begun anew: what came before it is not compared";
pub(super) const OLD_ECHOES: &str =
    "echoes of ops older than those remembered: whether others got the same";
pub(super) const OLD_TEXTS: &str =
    "resyncs whose ops are not all there, or too many: whether their text is right";

/// The echo of an op that was sent on this connection says what was sent, and is of no op that the
/// server must refuse. Live echoes alone: what a replay has may have been sent in an earlier life of the
/// client.
pub(super) fn faithful(
    line: &Line,
    event: usize,
    echo: &OpEcho,
    document: &Document,
    text: &str,
    found: &mut Vec<Breach>,
) {
    let head = line.talk.ack.as_ref().map(|(_, ack)| ack.server_seq);
    if head.is_none_or(|head| echo.server_seq <= head) {
        return;
    }
    let sent = document
        .sent
        .under_key(&echo.origin_client_id, &echo.client_msg_id);
    let here: Vec<&Arc<Submission>> = sent
        .iter()
        .filter(|sent| sent.connection == line.number)
        .collect();
    found.extend(unfaithful(line, event, echo, &here, text));
}

/// What is wrong with an echo of one of these submissions.
pub(super) fn unfaithful(
    line: &Line,
    event: usize,
    echo: &OpEcho,
    sent: &[&Arc<Submission>],
    text: &str,
) -> Option<Breach> {
    let first = sent.first()?;
    let seq = echo.server_seq.value();
    let runs = line.talk.is_on(Profile::Runs);
    let same: Vec<_> = sent
        .iter()
        .filter(|sent| is_echo_of(&echo.op, runs, sent))
        .collect();
    if same.is_empty() {
        let what = format!("the echo with seq {seq} is not the op that was submitted");
        let sent = &first.message.op;
        let mut wrong = wrong(faith_rule(runs, sent), event, what, text);
        let sent = serde_json::to_string(sent).unwrap_or_default();
        wrong.expected = Some(shortened(&sent, 600));
        return Some(wrong);
    }
    let rule = same[0].refused?;
    let what = format!("the echo with seq {seq} is of an op that the server must refuse");
    let is_refused = same.iter().all(|sent| sent.refused.is_some());
    is_refused.then(|| wrong(rule, event, what, text))
}

/// The ops of a connection have their seqs in the order sent, as far as each was sent once. Where others
/// may have sent them unseen, inserts alone, and in the order of their lamports: that is the order in
/// which a right client has made them, and has sent them wherever it did.
pub(super) fn sender_order(
    line: &mut Line,
    event: usize,
    echo: &OpEcho,
    document: &Document,
    is_whole: bool,
    found: &mut Vec<Breach>,
) {
    let sent = &document.sent;
    let [submission] = sent.under_key(&echo.origin_client_id, &echo.client_msg_id) else {
        return;
    };
    let (is_once, lamport) = match &submission.message.op {
        Op::Ins(insert) => (
            sent.inserting(&insert.id).len() == 1,
            Some(insert.id.lamport()),
        ),
        Op::Del(_) => (true, None),
    };
    if submission.connection != line.number || !is_once {
        return;
    }
    let this = Newest {
        event: submission.event,
        seq: echo.server_seq.value(),
        lamport,
        msg_id: echo.client_msg_id.clone(),
    };
    if let Some(newest) = &line.newest
        && newest.event > this.event
        && newest.seq < this.seq
    {
        let in_order = newest.lamport.zip(lamport).is_some_and(|(a, b)| a > b);
        if is_whole || in_order {
            let what = format!(
                "{} sent {:?} before {:?}, and their seqs are {} and {}",
                line.name,
                this.msg_id.as_str(),
                newest.msg_id.as_str(),
                this.seq,
                newest.seq
            );
            found.push(breach(ids::SEQ_SENDER_ORDER, event, what));
        }
        return;
    }
    if is_whole || lamport.is_some() {
        line.newest = Some(this);
    }
}
