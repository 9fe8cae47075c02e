//! Closes with a code of the table where nothing that the table names has happened.
//!
//! Deliberately absent: 1013, which is about who reads (see `close`), and what cases alone can know, such
//! as whether a document is as old as the case.

use std::collections::{BTreeMap, HashMap};

use collab_spec::close::CloseCode;
use collab_spec::id::{Name, ParentId};
use collab_spec::message::Op;
use collab_spec::report::Breach;

use super::breach;
use super::digest::{Digest, Submission, Talk};
use crate::ids;
use crate::trace::{Connection, MAX_PING_BYTES, What, close_words};

/// The longest message that every server takes (`transport.takes-64k`), in bytes.
const TAKEN: usize = 65_536;

/// From how many bytes on a presence update may be refused for its size.
const MUCH: usize = 2_048;

/// How deep a message may be nested (`transport.nesting`).
const NESTED: usize = 32;

/// No connection is closed with a code of the table whose client has done what is right and nothing else.
pub(super) fn closes(digest: &Digest<'_>) -> Vec<Breach> {
    let talks = digest.talks.iter().enumerate();
    let found = talks.filter_map(|(index, talk)| unearned(digest, Connection(index), talk));
    found.collect()
}

fn unearned(digest: &Digest<'_>, connection: Connection, talk: &Talk) -> Option<Breach> {
    let (event, code, reason) = close_of(digest, talk)?;
    if !is_right(digest, connection, talk, code) {
        return None;
    }
    let refused = first_unanswered(digest, connection, event);
    let requirement = match refused {
        Some(refused) => why(digest, refused),
        None if shows_much(digest, connection) => ids::PRESENCE_TAKES_4K,
        None if another_is_refused(digest, connection, event) => ids::CLOSE_ISOLATED,
        None => ids::CLOSE_ONLY_THEN,
    };
    let what = format!(
        "the server closed {} with {}, where all that was sent is right",
        digest.name(event),
        close_words(code, reason)
    );
    let mut wrong = breach(requirement, event, what);
    wrong.expected = Some(match refused {
        Some(refused) => format!("the echo of {}", digest.text(refused.event)),
        None => "that the connection stays open".to_owned(),
    });
    Some(wrong)
}

/// Whether it is known that all that a connection has sent is right.
fn is_right(digest: &Digest<'_>, connection: Connection, talk: &Talk, code: u16) -> bool {
    let hello = talk.hello.as_ref();
    hello.is_some_and(|(_, hello)| hello.epoch().is_ok())
        && talk.ack.is_some()
        && talk.has_gone_on
        && !talk.is_unfit
        && !talk.says_hello_again
        && talk.events.iter().all(|&event| is_plain(digest, event))
        && !breaks_rules(digest, connection, code)
}

/// Whether another connection had begun before an event and was closed for what it had sent.
fn another_is_refused(digest: &Digest<'_>, connection: Connection, before: usize) -> bool {
    let talks = digest.talks.iter().enumerate();
    let mut others = talks.filter(|&(index, _)| index != connection.0);
    others.any(|(index, talk)| {
        let has_begun = talk.events.first().is_some_and(|&event| event < before);
        let is_refused = close_of(digest, talk)
            .is_some_and(|(_, code, _)| !is_right(digest, Connection(index), talk, code));
        has_begun && is_refused
    })
}

/// The event, code and reason of a close with a code of the table, where the client has not closed before
/// and reads.
fn close_of<'a>(digest: &'a Digest<'_>, talk: &Talk) -> Option<(usize, u16, &'a str)> {
    let mut ending = talk
        .events
        .iter()
        .map(|&event| (event, &digest.trace.events[event].what));
    ending.find_map(|(event, what)| match what {
        What::SentClose { .. } | What::Dropped => Some(None),
        What::Close { code, reason } => {
            let named = CloseCode::from_code(*code)?;
            let is_other = matches!(
                named,
                CloseCode::Normal | CloseCode::GoingAway | CloseCode::TryAgainLater
            );
            Some((!is_other).then_some((event, *code, reason.as_str())))
        }
        _ => None,
    })?
}

/// Whether an event is none that a server may close for, as far as sizes and frames go.
fn is_plain(digest: &Digest<'_>, event: usize) -> bool {
    match &digest.trace.events[event].what {
        What::SentBytes { .. } => false,
        What::SentPing(data) => data.len() <= MAX_PING_BYTES,
        What::SentText { text, .. } => {
            let opening = text.bytes().filter(|byte| matches!(byte, b'{' | b'['));
            text.len() <= TAKEN && opening.count() <= NESTED
        }
        _ => true,
    }
}

/// Whether something that a connection has sent breaks a rule, or may do so in a document that is older
/// than the trace.
fn breaks_rules(digest: &Digest<'_>, connection: Connection, code: u16) -> bool {
    let is_own = |submission: &&Submission| submission.connection == connection;
    let mut own = digest.submissions.iter().filter(is_own);
    let shown = digest.shown.values().flatten();
    let mut shown = shown.filter(|shown| shown.connection == connection);
    if own.clone().any(|submission| submission.refused.is_some())
        || shown.any(|shown| shown.refused.is_some())
    {
        return true;
    }
    if code != CloseCode::PolicyViolation.code() {
        return false;
    }
    own.any(|submission| {
        let message = &submission.message;
        !digest.is_fresh(&message.doc_id)
            || digest.by_key[&submission.key()]
                .iter()
                .any(|&place| digest.submissions[place].message.op != message.op)
    }) || takes_ids_again(digest, connection)
}

/// Whether an insert of a connection has an id of another insert, in part or whole, and is not the same.
fn takes_ids_again(digest: &Digest<'_>, connection: Connection) -> bool {
    type Beginning<'a> = BTreeMap<u64, Vec<&'a Submission>>;
    let mut inserts: HashMap<(&Name, &Name), Beginning<'_>> = HashMap::new();
    for submission in &digest.submissions {
        let message = &submission.message;
        if let Op::Ins(insert) = &message.op {
            let key = (&message.doc_id, insert.id.replica_id());
            let beginning = inserts.entry(key).or_default();
            beginning
                .entry(insert.id.lamport())
                .or_default()
                .push(submission);
        }
    }
    inserts.into_values().any(|beginning| {
        // Where the inserts end that began before: those of all, and those of the connection.
        let (mut end, mut own_end) = (0, 0);
        beginning.into_iter().any(|(from, inserts)| {
            let is_own = |one: &&&Submission| one.connection == connection;
            let to = |one: &&Submission| from + one.message.op.elements();
            let is_another = |one: &&Submission| one.message.op != inserts[0].message.op;
            let has_own = inserts.iter().any(|one| is_own(&one));
            let clashes =
                from < own_end || has_own && (from < end || inserts.iter().any(is_another));
            end = inserts.iter().map(to).fold(end, u64::max);
            own_end = inserts
                .iter()
                .filter(is_own)
                .map(to)
                .fold(own_end, u64::max);
            clashes
        })
    })
}

/// The first op of a connection that has had no echo there before an event.
fn first_unanswered<'a>(
    digest: &'a Digest<'_>,
    connection: Connection,
    before: usize,
) -> Option<&'a Submission> {
    let mut answered = HashMap::new();
    for echo in digest.echoes.iter().filter(|echo| echo.event < before) {
        if digest.trace.events[echo.event].connection == Some(connection) {
            answered.insert(echo.key(), echo.event);
        }
    }
    let mut own = digest
        .submissions
        .iter()
        .filter(|submission| submission.connection == connection && submission.event < before);
    own.find(|submission| {
        let answer = answered.get(&submission.key());
        answer.is_none_or(|&answer| answer < submission.event)
    })
}

/// Whether a connection has shown a state of about as much as every server takes.
fn shows_much(digest: &Digest<'_>, connection: Connection) -> bool {
    let shown = digest.shown.values().flatten();
    let mut own = shown.filter(|shown| shown.connection == connection);
    own.any(|shown| digest.bytes(shown.event) > MUCH)
}

/// What is most likely broken where an op is refused that is right.
fn why(digest: &Digest<'_>, refused: &Submission) -> &'static str {
    let message = &refused.message;
    let needed = match &message.op {
        Op::Del(delete) => &delete.id,
        Op::Ins(insert) => match &insert.parent_id {
            ParentId::Element(parent) => parent,
            ParentId::Root => return ids::CLOSE_ONLY_THEN,
        },
    };
    let mut before = digest
        .submissions
        .iter()
        .filter(|other| other.event < refused.event && other.message.doc_id == message.doc_id);
    let is_there = before.any(|other| match &other.message.op {
        Op::Ins(insert) => {
            insert.id.replica_id() == needed.replica_id()
                && needed
                    .lamport()
                    .checked_sub(insert.id.lamport())
                    .is_some_and(|after| after < other.message.op.elements())
        }
        Op::Del(_) => false,
    });
    match &message.op {
        _ if !is_there => ids::CRDT_PENDING_ACCEPTED,
        Op::Del(delete) if delete.id.replica_id() != &message.client_id => ids::CRDT_DELETE_ANY,
        _ => ids::CLOSE_ONLY_THEN,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::monitor::testing::{DOC, Tape, assert_breaks, assert_holds, op};

    /// A has joined and typed, and is closed with a code after it has sent `more`.
    fn closed_after(more: &[String], code: u16) -> Tape {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").typed("A", 1, "x");
        for text in more {
            tape.sent("A", text);
        }
        tape.event(
            "A",
            What::Close {
                code,
                reason: "protocol: no".to_owned(),
            },
        );
        tape
    }

    fn of_a(msg_id: &str, op: &Value) -> String {
        json!({"type": "op", "doc_id": DOC, "client_id": "A", "client_msg_id": msg_id, "op": op})
            .to_string()
    }

    #[test]
    fn who_has_done_nothing_wrong_is_not_closed() {
        for code in [1002, 1003, 1007, 1008, 1009] {
            assert_breaks(&closed_after(&[], code), ids::CLOSE_ONLY_THEN);
            let again = [op("A", 1, "m-1", "x"), op("A", 1, "m-9", "x")];
            assert_breaks(&closed_after(&again, code), ids::CLOSE_ONLY_THEN);
        }
        assert_holds(&closed_after(&[], 1001));
    }

    #[test]
    fn who_ends_with_somebody_else_is_not_left_alone() {
        let mut tape = Tape::new();
        tape.joined("A", 0, "").joined("B", 0, "");
        tape.typed("A", 1, "x").sent("B", "{}");
        for name in ["A", "B"] {
            let reason = format!("for {name}");
            tape.event(name, What::Close { code: 1002, reason });
        }
        assert_breaks(&tape, ids::CLOSE_ISOLATED);
    }

    #[test]
    fn what_is_refused_tells_the_rule() {
        let delete = json!({"type": "del", "id": [1, "B"]});
        let early = closed_after(&[of_a("m-2", &delete)], 1008);
        assert_breaks(&early, ids::CRDT_PENDING_ACCEPTED);
        let child = json!({"type": "ins", "parent_id": [5, "A"], "id": [6, "A"], "value": "y"});
        let early = closed_after(&[of_a("m-2", &child)], 1008);
        assert_breaks(&early, ids::CRDT_PENDING_ACCEPTED);
        let mut tape = Tape::new();
        tape.joined("A", 0, "").joined("B", 0, "");
        tape.typed("B", 1, "x").echo_again("A", 1);
        tape.sent("A", &of_a("m-2", &delete));
        tape.event(
            "A",
            What::Close {
                code: 1008,
                reason: "protocol: no".to_owned(),
            },
        );
        assert_breaks(&tape, ids::CRDT_DELETE_ANY);
    }

    #[test]
    fn who_sends_an_id_again_may_be_closed_whoever_else_does() {
        let run = json!({"type": "ins", "parent_id": [0, "root"], "id": [5, "A"], "value": "xyz"});
        let over = json!({"type": "ins", "parent_id": [1, "A"], "id": [3, "A"], "value": "abc"});
        let ahead =
            json!({"type": "ins", "parent_id": [1, "A"], "id": [2, "A"], "value": "abcdef"});
        for offence in [over, ahead] {
            let mut tape = Tape::new();
            for name in ["A", "A2", "A3", "A4"] {
                let asking = json!({"client_id": "A", "capabilities": ["runs"]});
                tape.hello_json(name, asking).got_json(
                    name,
                    json!({"type": "hello_ack", "doc_id": DOC, "server_seq": 0,
                        "capabilities": ["runs"], "limits": {"max_run": 1024, "max_message_bytes": 65536}}),
                );
                tape.resync(name, 0, "");
            }
            // Others of the same client, who were quicker, or came later.
            for (name, op) in [
                ("A2", &offence),
                ("A", &run),
                ("A3", &offence),
                ("A4", &offence),
            ] {
                tape.sent(name, &of_a(&format!("m-{name}"), op));
            }
            let mut untouched = tape.clone();
            for name in ["A4", "A2", "A3"] {
                let reason = "protocol: no".to_owned();
                tape.event(name, What::Close { code: 1008, reason });
            }
            assert_holds(&tape);
            let reason = "protocol: no".to_owned();
            untouched.event("A", What::Close { code: 1003, reason });
            assert_breaks(&untouched, ids::CLOSE_ONLY_THEN);
        }
    }

    #[test]
    fn a_breach_is_a_reason_to_close() {
        let reused = op("A", 2, "m-1", "y");
        let taken = op("A", 1, "m-2", "y");
        let below = of_a(
            "m-2",
            &json!({"type": "ins", "parent_id": [1, "A"], "id": [1, "A"], "value": "y"}),
        );
        for offence in [reused, taken, below] {
            assert_holds(&closed_after(std::slice::from_ref(&offence), 1008));
        }
        let hello = json!({"type": "hello", "doc_id": DOC, "client_id": "A"}).to_string();
        assert_holds(&closed_after(&[hello], 1003));
        assert_holds(&closed_after(&["{}".to_owned()], 1002));
        let long = format!("{}{}", op("A", 2, "m-2", "y"), " ".repeat(TAKEN));
        assert_holds(&closed_after(&[long], 1009));
    }
}
