//! What is on: what the acks grant, that what is off is not there, and the epochs.

use std::collections::{BTreeSet, HashMap};

use collab_spec::id::Name;
use collab_spec::message::{HelloAck, ServerMessage};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;

use super::breach;
use super::digest::{Digest, Talk};
use crate::ids;
use crate::trace::What;

/// An ack grants what was asked for, each once, and says so only to who asked.
pub(super) fn acks(digest: &Digest<'_>) -> Vec<Breach> {
    let any_granted = digest
        .talks
        .iter()
        .filter_map(|talk| talk.ack.as_ref())
        .any(|(_, ack)| ack.capabilities.is_some());
    let mut found = Vec::new();
    for talk in &digest.talks {
        if let Some((event, ack)) = &talk.ack {
            for (requirement, what) in ack_problems(talk, ack, any_granted) {
                let what = format!("the ack of {} {what}", digest.name(*event));
                let mut wrong = breach(requirement, *event, what);
                wrong.got = Some(digest.text(*event));
                found.push(wrong);
            }
        }
    }
    found
}

/// What is wrong with an ack; `any_granted` where the server has granted anybody anything.
pub(super) fn ack_problems(
    talk: &Talk,
    ack: &HelloAck,
    any_granted: bool,
) -> impl Iterator<Item = Problem> {
    let problem = capabilities(talk, ack, any_granted).into_iter();
    problem.chain(fields(talk, ack))
}

type Problem = (&'static str, String);

fn capabilities(talk: &Talk, ack: &HelloAck, any_granted: bool) -> Option<Problem> {
    let asked = talk
        .hello
        .as_ref()
        .and_then(|(_, hello)| hello.capabilities.as_ref());
    match (asked, &ack.capabilities) {
        (None, None) => None,
        (None, Some(_)) => Some((
            ids::PROFILES_ACK_UNASKED,
            "has capabilities, though its hello had none".to_owned(),
        )),
        (Some(_), None) if any_granted => Some((
            ids::PROFILES_ACK,
            "has no capabilities, though its hello had some and the server offers profiles"
                .to_owned(),
        )),
        (Some(_), None) => None,
        (Some(asked), Some(granted)) => {
            let mut seen = BTreeSet::new();
            let wrong = granted
                .iter()
                .find(|name| !asked.contains(name) || !seen.insert(*name))?;
            let why = if asked.contains(wrong) {
                "turns on twice"
            } else {
                "turns on without having been asked for it"
            };
            Some((
                ids::PROFILES_ACK,
                format!("names {wrong:?}, which it {why}"),
            ))
        }
    }
}

fn fields(talk: &Talk, ack: &HelloAck) -> Vec<Problem> {
    let (resume, runs) = (Profile::Resume, Profile::Runs);
    [
        ("epoch", ack.epoch.is_some(), resume, ids::RESUME_ACK),
        ("sync", ack.sync.is_some(), resume, ids::RESUME_ACK),
        ("limits", ack.limits.is_some(), runs, ids::RUNS_LIMITS),
    ]
    .into_iter()
    .filter(|(_, there, profile, _)| *there != talk.is_on(*profile))
    .map(|(field, there, profile, requirement)| {
        if there {
            let what = format!("has a field `{field}` where `{profile}` is off");
            (ids::PROFILES_OFF, what)
        } else {
            (requirement, format!("has no {field}"))
        }
    })
    .collect()
}

/// States come with the profile `state` and always there, presence with the profile `presence`, ops of
/// several elements with the profile `runs`.
pub(super) fn off_is_core(digest: &Digest<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (event, frame) in digest.trace.events.iter().enumerate() {
        if let (What::Text(received), Some(talk)) = (&frame.what, digest.talk_of(event))
            && let Some(message) = received.message()
            && let Some((requirement, what)) = out_of_profile(talk, message)
        {
            let what = format!("{} got {what}", digest.name(event));
            let mut wrong = breach(requirement, event, what);
            wrong.got = Some(digest.text(event));
            found.push(wrong);
        }
    }
    found
}

/// What a message has of a profile that is off, or lacks of one that is on.
pub(super) fn out_of_profile(
    talk: &Talk,
    message: &ServerMessage,
) -> Option<(&'static str, &'static str)> {
    match message {
        ServerMessage::Resync(resync) => {
            let pending = resync.state.iter().flat_map(|state| &state.pending);
            let run_pending = pending.clone().any(|op| op.elements() > 1);
            match (talk.is_on(Profile::State), resync.state.is_some()) {
                (true, false) => Some((ids::STATE_IN_RESYNC, "a resync without a state")),
                (false, true) => Some((ids::PROFILES_OFF, "a state where `state` is off")),
                _ if run_pending && !talk.is_on(Profile::Runs) => {
                    let what = "a pending op of several elements where `runs` is off";
                    Some((ids::RUNS_STATE_PENDING, what))
                }
                _ => None,
            }
        }
        ServerMessage::OpEcho(echo) => {
            let is_run = !talk.is_on(Profile::Runs) && echo.op.elements() > 1;
            let what = "several elements in one echo where `runs` is off";
            is_run.then_some((ids::RUNS_SPLIT, what))
        }
        ServerMessage::PresenceUpdate(_) | ServerMessage::PresenceSnapshot(_) => {
            let is_off = !talk.is_on(Profile::Presence);
            is_off.then_some((ids::PROFILES_OFF, "presence where `presence` is off"))
        }
        ServerMessage::HelloAck(_) => None,
    }
}

/// All connections of a document are told one epoch.
pub(super) fn one_epoch(digest: &Digest<'_>) -> Vec<Breach> {
    let mut first: HashMap<&Name, (usize, &Name)> = HashMap::new();
    let mut found = Vec::new();
    for talk in &digest.talks {
        let (Some((event, ack)), Some(epoch)) = (&talk.ack, talk.epoch()) else {
            continue;
        };
        let (before, known) = *first.entry(&ack.doc_id).or_insert((*event, epoch));
        if known != epoch {
            let what = format!(
                "{} was told another epoch than {}",
                digest.name(*event),
                digest.name(before)
            );
            let mut wrong = breach(ids::RESUME_ONE_EPOCH, *event, what);
            wrong.expected = Some(format!("{:?}", known.as_str()));
            wrong.got = Some(format!("{:?}", epoch.as_str()));
            found.push(wrong);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::monitor::testing::{DOC, Tape, assert_breaks, assert_holds};

    fn ack(tape: &mut Tape, name: &str, seq: u64, fields: Value) {
        let mut ack = json!({"type": "hello_ack", "doc_id": DOC, "server_seq": seq});
        for (field, value) in fields.as_object().unwrap() {
            ack[field] = value.clone();
        }
        tape.got_json(name, ack);
    }

    /// One connection that says a hello and gets an ack with these fields, and a resync.
    fn session(hello: Value, fields: Value) -> Tape {
        let mut tape = Tape::new();
        tape.hello_json("A", hello);
        ack(&mut tape, "A", 0, fields);
        tape.resync("A", 0, "");
        tape
    }

    #[test]
    fn acks_grant_what_was_asked_for() {
        let asked = || json!({"capabilities": ["resume", "x"]});
        let right = json!({"capabilities": ["resume"], "epoch": "e", "sync": "resync"});
        assert_holds(&session(asked(), right));
        assert_holds(&session(asked(), json!({"capabilities": []})));
        assert_holds(&session(asked(), json!({})));
        assert_holds(&session(json!({}), json!({})));
        for wrong in [
            json!({"capabilities": ["state"]}),
            json!({"capabilities": ["resume", "resume"], "epoch": "e", "sync": "resync"}),
        ] {
            assert_breaks(&session(asked(), wrong), ids::PROFILES_ACK);
        }
        for wrong in [
            json!({"capabilities": ["resume"]}),
            json!({"capabilities": ["resume"], "epoch": "e"}),
        ] {
            assert_breaks(&session(asked(), wrong), ids::RESUME_ACK);
        }
        let mut silent = session(asked(), json!({"capabilities": []}));
        silent.hello_json("B", asked());
        ack(&mut silent, "B", 0, json!({}));
        assert_breaks(&silent, ids::PROFILES_ACK);
    }

    #[test]
    fn what_is_off_is_not_there() {
        let granted = session(json!({}), json!({"capabilities": []}));
        assert_breaks(&granted, ids::PROFILES_ACK_UNASKED);
        for wrong in [json!({"epoch": "e"}), json!({"sync": "resync"})] {
            assert_breaks(&session(json!({}), wrong), ids::PROFILES_OFF);
        }
        let mut state = session(json!({}), json!({}));
        state.hello_json("B", json!({}));
        ack(&mut state, "B", 0, json!({}));
        let mut presence = state.clone();
        state.got_json(
            "B",
            json!({"type": "resync", "doc_id": DOC, "server_seq": 0, "full_text": "",
            "state": {"elements": [], "pending": []}}),
        );
        assert_breaks(&state, ids::PROFILES_OFF);
        presence.resync("B", 0, "");
        presence.got_json(
            "B",
            json!({"type": "presence_snapshot", "doc_id": DOC, "states": {}}),
        );
        assert_breaks(&presence, ids::PROFILES_OFF);
        let without = session(
            json!({"capabilities": ["state"]}),
            json!({"capabilities": ["state"]}),
        );
        assert_breaks(&without, ids::STATE_IN_RESYNC);
    }

    #[test]
    fn one_history_has_one_epoch() {
        let told =
            |epoch: &str| json!({"capabilities": ["resume"], "epoch": epoch, "sync": "resync"});
        let mut tape = session(json!({"capabilities": ["resume"]}), told("e"));
        tape.hello_json("B", json!({"capabilities": ["resume"]}));
        let mut same = tape.clone();
        ack(&mut same, "B", 0, told("e"));
        assert_holds(same.resync("B", 0, ""));
        ack(&mut tape, "B", 0, told("f"));
        assert_breaks(tape.resync("B", 0, ""), ids::RESUME_ONE_EPOCH);
    }

    /// A comes back to a document of two ops with a hello, and gets an ack.
    fn back(seen: u64, epoch: Option<&str>, sync: &str) -> Tape {
        let mut tape = Tape::new();
        tape.joined("W", 0, "")
            .typed("W", 1, "b")
            .typed("W", 2, "a");
        let mut hello = json!({"capabilities": ["resume"], "last_seen_server_seq": seen});
        if let Some(epoch) = epoch {
            hello["epoch"] = json!(epoch);
        }
        tape.hello_json("A", hello);
        let fields = json!({"capabilities": ["resume"], "epoch": "e", "sync": sync});
        ack(&mut tape, "A", 2, fields);
        tape
    }

    #[test]
    fn the_sync_is_what_epoch_and_l_say() {
        assert_holds(
            back(2, Some("e"), "replay")
                .typed("W", 3, "c")
                .echo_again("A", 3),
        );
        assert_holds(back(1, Some("e"), "replay").echo_again("A", 2));
        assert_holds(back(1, Some("e"), "resync").resync("A", 2, "ab"));
        for (seen, epoch) in [
            (0, Some("e")),
            (1, None),
            (2, None),
            (1, Some("f")),
            (2, Some("f")),
            (3, Some("e")),
        ] {
            assert_holds(back(seen, epoch, "resync").resync("A", 2, "ab"));
        }
        for (seen, epoch, requirement) in [
            (0, Some("e"), ids::RESUME_ZERO),
            (1, None, ids::RESUME_NO_EPOCH),
            (2, Some("f"), ids::RESUME_OTHER_EPOCH),
            (3, Some("e"), ids::RESUME_BEYOND_HEAD),
        ] {
            assert_breaks(&back(seen, epoch, "replay"), requirement);
        }
        assert_breaks(
            back(2, Some("e"), "resync").resync("A", 2, "ab"),
            ids::RESUME_AT_HEAD,
        );
        assert_breaks(
            back(2, Some("e"), "replay").resync("A", 2, "ab"),
            ids::RESUME_AT_HEAD,
        );
        assert_breaks(
            back(2, Some("e"), "replay").echo_again("A", 2),
            ids::RESUME_AT_HEAD,
        );
        assert_breaks(
            back(1, Some("e"), "replay").resync("A", 2, "ab"),
            ids::RESUME_REPLAY,
        );
        assert_breaks(
            back(1, Some("e"), "resync").echo_again("A", 2),
            ids::RESUME_REPLAY,
        );
        assert_breaks(
            back(1, Some("f"), "resync").echo_again("A", 2),
            ids::RESUME_OTHER_EPOCH,
        );
    }

    #[test]
    fn ops_of_another_epoch_are_refused_and_epochs_are_not_echoed() {
        let mut op: Value =
            serde_json::from_str(&crate::monitor::testing::op("A", 3, "m", "x")).unwrap();
        let echo = crate::monitor::testing::echo(3, "A", 3, "m", "x");
        for (epoch, requirement) in [
            (json!("f"), ids::RESUME_OTHER_OP_EPOCH),
            (json!(""), ids::RESUME_OP_EPOCH_INVALID),
            (json!(7), ids::RESUME_OP_EPOCH_INVALID),
        ] {
            op["epoch"] = epoch;
            let mut tape = back(2, Some("e"), "replay");
            tape.sent("A", &op.to_string()).got("A", &echo);
            assert_breaks(&tape, requirement);
        }
        op["epoch"] = json!("e");
        let mut tape = back(2, Some("e"), "replay");
        tape.sent("A", &op.to_string());
        assert_holds(tape.clone().got("A", &echo));
        let mut echo: Value = serde_json::from_str(&echo).unwrap();
        echo["epoch"] = json!("e");
        tape.got_json("A", echo);
        assert_breaks(&tape, ids::RESUME_EPOCH_NOT_CONTENT);
    }
}
