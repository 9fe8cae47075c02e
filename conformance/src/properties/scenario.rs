//! A trace that shows a fault, as a scenario that shows it by itself: what the suite sent, and what a
//! right server sends.
//!
//! Deliberately absent: races. A scenario does one thing after the other; a fault that needs two at once
//! has none.

use std::collections::BTreeSet;

use collab_spec::id::Name;
use collab_spec::message::{ClientMessage, Hello, Op, OpSubmission, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use collab_spec::report::Breach;
use collab_spec::scenario::{Connections, Scenario, Step};
use serde_json::Value;

use super::check::FRESH;
use super::right::{Reply, Right, Told, likely_cause};
use crate::ids;
use crate::trace::{Trace, What};
use crate::validate;

/// What stands in a scenario for the id of its document.
const DOC: &str = "${doc}";

/// The folder of scenarios from histories, which is the first part of their ids.
const FOLDER: &str = "found";

/// How a scenario shows the fault at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By a message that is wrong or missing on the connection at fault.
    AsItIs,
    /// By a barrier: the message came too much.
    Barrier,
    /// By the text or the head that a newcomer gets.
    Newcomer,
}

/// What a scenario is made from.
pub(super) struct Source<'a> {
    pub(super) trace: &'a Trace,
    pub(super) breach: &'a Breach,
    /// The connection on which the fault showed, where it is known.
    pub(super) at_fault: Option<usize>,
    pub(super) offered: &'a [Profile],
    /// The seed of the history.
    pub(super) seed: u64,
}

/// Steps under way.
struct Script<'a> {
    source: &'a Source<'a>,
    right: Right,
    steps: Vec<Step>,
    /// The profiles that are on anywhere.
    needs: BTreeSet<Profile>,
    ops: Vec<OpSubmission>,
    /// The first event that is not played.
    end: usize,
}

impl Source<'_> {
    /// The scenario, or nothing where there is none with this end.
    pub(super) fn scenario(&self, end: End) -> Option<Scenario> {
        let mut script = Script {
            source: self,
            right: Right::new(self.offered),
            steps: Vec::new(),
            needs: BTreeSet::new(),
            ops: Vec::new(),
            end: self.last_event() + 1,
        };
        script.play();
        script.finish(end)?;
        Some(script.scenario())
    }

    /// The first connection whose ack has told the epoch that the connection at fault names, or that it
    /// was told itself.
    fn who_told_the_epoch(&self) -> Option<usize> {
        let at_fault = self.at_fault?;
        let broken = &self.breach.requirement;
        let names = self.trace.events.iter().any(|event| match &event.what {
            What::SentText { text, .. } => {
                event.connection.is_some_and(|one| one.0 == at_fault) && text.contains("\"epoch\"")
            }
            _ => false,
        });
        if !names && !broken.starts_with("resume.") {
            return None;
        }
        self.trace
            .events
            .iter()
            .find_map(|event| match &event.what {
                What::Text(received) => match received.message() {
                    Some(ServerMessage::HelloAck(ack)) if ack.epoch.is_some() => {
                        event.connection.map(|one| one.0)
                    }
                    _ => None,
                },
                _ => None,
            })
    }

    /// The event that shows the fault, or the last that the suite sent.
    fn last_event(&self) -> usize {
        let sent = |event: &crate::trace::Event| matches!(event.what, What::SentText { .. });
        let last_sent = self.trace.events.iter().rposition(sent).unwrap_or(0);
        self.breach.frame.unwrap_or(last_sent)
    }
}

impl Script<'_> {
    fn play(&mut self) {
        let trace = self.source.trace;
        let told_by = self.source.who_told_the_epoch();
        for (index, event) in trace.events.iter().enumerate().take(self.end) {
            let Some(connection) = event.connection.map(|connection| connection.0) else {
                continue;
            };
            // Those that only look are of interest where they see the fault.
            let looks = trace.connections[connection].starts_with(FRESH);
            let matters = [self.source.at_fault, told_by].contains(&Some(connection));
            if looks && !matters {
                continue;
            }
            match &event.what {
                What::SentText { text, .. } => self.sent(index, connection, text),
                What::Dropped if self.is_listening(connection) => {
                    self.right.ends(connection);
                    let on = self.name(connection);
                    self.steps.push(Step::Drop { on });
                }
                What::SentClose { .. } if self.is_listening(connection) => {
                    self.right.ends(connection);
                    let on = self.name(connection);
                    self.steps.push(Step::Disconnect { on });
                }
                _ => {}
            }
        }
    }

    fn is_listening(&self, connection: usize) -> bool {
        self.right.is_listening(connection)
    }

    fn sent(&mut self, event: usize, connection: usize, text: &str) {
        let runs = [Profile::Runs];
        let on: &[Profile] = match self.right.has_runs(connection) {
            true => &runs,
            false => &[],
        };
        match validate::client_message(text, on) {
            Some(ClientMessage::Hello(hello)) => self.hello(event, connection, text, &hello),
            Some(ClientMessage::Op(op)) => self.op(connection, text, op),
            Some(ClientMessage::PresenceUpdate(_)) | None => {}
        }
    }

    fn hello(&mut self, event: usize, connection: usize, text: &str, hello: &Hello) {
        let granted = self.right.granted(hello);
        self.needs.extend(&granted);
        let told = match hello.epoch().ok().flatten() {
            None => Told::Nothing,
            Some(epoch) if self.knows_epoch(&epoch) => Told::Right,
            Some(_) => Told::Wrong,
        };
        let resyncs = self.was_resynced(event, connection);
        let replies = self.right.hello(connection, hello, told, resyncs);
        let on = self.name(connection);
        // The ack of an epoch that comes again has to be looked at.
        let is_plain = hello.last_seen_server_seq.value() == 0
            && told == Told::Nothing
            && !granted.contains(&Profile::Resume);
        let shows_state = self.source.at_fault == Some(connection)
            && self.source.breach.requirement.starts_with("state.");
        let (head, full_text) = self.right.head_and_text(&hello.doc_id);
        if is_plain && !shows_state {
            let beginning = head == 0 && self.source.at_fault != Some(connection);
            self.steps.push(Step::Join {
                client_id: (*hello.client_id.as_str() != on).then(|| hello.client_id.to_string()),
                doc_id: self.other_document(&hello.doc_id),
                capabilities: granted,
                head,
                text: full_text,
                requirement: match self.source.at_fault == Some(connection) || beginning {
                    true => None,
                    false => Some(ids::RESYNC_TEXT.to_owned()),
                },
                on,
            });
            return;
        }
        self.steps.push(Step::Connect {
            on: Connections::One(on.clone()),
            note: None,
        });
        let mut frame = self.literal(text);
        if told == Told::Right {
            frame["epoch"] = serde_json::json!({"$var": format!("epoch of {}", hello.doc_id)});
        }
        self.without_presence(&mut frame);
        let frame = self.interpolated(&frame);
        self.steps.push(Step::Send {
            on,
            frame,
            note: None,
        });
        self.expect(replies);
    }

    /// Presence is left out: what it brings has no place in the order of the others.
    fn without_presence(&self, frame: &mut Value) {
        let names = frame.get_mut("capabilities").and_then(Value::as_array_mut);
        if let Some(names) = names {
            names.retain(|name| name != Profile::Presence.name());
        }
    }

    fn op(&mut self, connection: usize, text: &str, op: OpSubmission) {
        let replies = self.right.op(connection, &op);
        if let Some(kind) = barrier(&op) {
            if kind == "del" {
                let names = self.right.listening(&op.doc_id);
                let names: Vec<String> = names.into_iter().map(|one| self.name(one)).collect();
                self.steps.push(Step::Barrier {
                    via: self.name(connection),
                    on: Connections::Several(names),
                    requirement: None,
                });
            }
            return;
        }
        self.ops.push(op);
        let mut frame = self.literal(text);
        if let Some(fields) = frame.as_object_mut() {
            fields.shift_remove("epoch");
        }
        let frame = self.interpolated(&frame);
        self.steps.push(Step::Send {
            on: self.name(connection),
            frame,
            note: None,
        });
        self.expect(replies);
    }

    /// Steps for what comes; one for all connections that get the same.
    fn expect(&mut self, replies: Vec<Reply>) {
        let mut steps: Vec<(Value, &'static str, Vec<String>)> = Vec::new();
        for reply in replies {
            let frame = self.interpolated(&reply.frame);
            let name = self.name(reply.connection);
            let same = |(known, _, names): &&mut (Value, &'static str, Vec<String>)| {
                *known == frame && !names.contains(&name)
            };
            match steps.iter_mut().find(same) {
                Some((_, _, names)) => names.push(name),
                None => steps.push((frame, reply.requirement, vec![name])),
            }
        }
        for (frame, requirement, names) in steps {
            self.steps.push(Step::Expect {
                on: connections(names),
                frame,
                requirement: Some(requirement.to_owned()),
            });
        }
    }

    fn finish(&mut self, end: End) -> Option<()> {
        let at_fault = self.source.at_fault;
        match end {
            End::AsItIs => drop(at_fault?),
            End::Barrier => {
                let doc_id = Name::new(&self.source.trace.doc_id)?;
                let at_fault = at_fault.filter(|one| self.is_listening(*one))?;
                let via = self
                    .right
                    .listening(&doc_id)
                    .into_iter()
                    .find(|one| !self.source.trace.connections[*one].starts_with(FRESH))?;
                let mut names: BTreeSet<usize> = BTreeSet::from([via]);
                names.insert(at_fault);
                let names: Vec<String> = names.into_iter().map(|one| self.name(one)).collect();
                self.steps.push(Step::Barrier {
                    via: self.name(via),
                    on: connections(names),
                    requirement: None,
                });
            }
            End::Newcomer => {
                let doc_id = Name::new(&self.source.trace.doc_id)?;
                let (head, text) = self.right.head_and_text(&doc_id);
                self.steps.push(Step::Join {
                    on: "reader".to_owned(),
                    client_id: None,
                    doc_id: None,
                    capabilities: Vec::new(),
                    head,
                    text,
                    requirement: None,
                });
            }
        }
        Some(())
    }

    fn scenario(mut self) -> Scenario {
        let about = self.about().to_owned();
        let at_fault = match self.source.at_fault {
            Some(connection) => self.name(connection),
            None => "reader".to_owned(),
        };
        trim(&mut self.steps, &at_fault);
        name_the_fault(&mut self.steps, &at_fault, &about);
        let mut requirements = vec![about.clone()];
        if about != self.source.breach.requirement {
            requirements.push(self.source.breach.requirement.clone());
        }
        self.needs.remove(&Profile::Presence);
        let mut needs = self.needs.into_iter();
        let (id, title) = names(&about, self.source.seed);
        Scenario {
            schema: None,
            id,
            title,
            profile: needs.next().unwrap_or_default(),
            needs: needs.collect(),
            requirements,
            steps: self.steps,
        }
    }

    /// What the scenario is about: where a text is wrong, what is most likely at fault.
    fn about(&self) -> &str {
        let broken = self.source.breach.requirement.as_str();
        let text = [ids::RESYNC_TEXT, ids::STATE_TEXT].contains(&broken);
        let here = |op: &&OpSubmission| op.doc_id.as_str() == self.source.trace.doc_id;
        let ops: Vec<&Op> = self.ops.iter().filter(here).map(|op| &op.op).collect();
        let cause = likely_cause(ops.into_iter()).filter(|_| text);
        cause.unwrap_or(broken)
    }

    fn name(&self, connection: usize) -> String {
        self.source.trace.connections[connection].clone()
    }

    fn other_document(&self, doc_id: &Name) -> Option<String> {
        let own = &self.source.trace.doc_id;
        (doc_id.as_str() != own).then(|| doc_id.as_str().replace(own, DOC))
    }

    fn literal(&self, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// A frame with the document's id replaced, everywhere.
    fn interpolated(&self, frame: &Value) -> Value {
        let own = &self.source.trace.doc_id;
        match frame {
            Value::String(text) => Value::String(text.replace(own, DOC)),
            Value::Array(items) => items.iter().map(|item| self.interpolated(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.interpolated(value)))
                .collect(),
            other => other.clone(),
        }
    }

    fn knows_epoch(&self, epoch: &Name) -> bool {
        let trace = self.source.trace;
        trace.events.iter().any(|event| match &event.what {
            What::Text(received) => match received.message() {
                Some(ServerMessage::HelloAck(ack)) => ack.epoch.as_ref() == Some(epoch),
                _ => false,
            },
            _ => false,
        })
    }

    /// Whether the connection's `hello` was answered with a resync, which the server may choose; not
    /// where the ack has announced a replay.
    fn was_resynced(&self, hello: usize, connection: usize) -> bool {
        let behind = self.source.trace.events.iter().skip(hello);
        let here = behind.filter(|event| event.connection.is_some_and(|one| one.0 == connection));
        let mut messages = here.filter_map(|event| match &event.what {
            What::Text(received) => received.message(),
            _ => None,
        });
        messages
            .find_map(|message| match message {
                ServerMessage::HelloAck(ack) => ack.sync.map(|sync| sync == SyncKind::Resync),
                ServerMessage::Resync(_) => Some(true),
                ServerMessage::OpEcho(_) => Some(false),
                _ => None,
            })
            .unwrap_or(false)
    }
}

/// The id and the title of a scenario by what it is about.
pub(super) fn names(about: &str, seed: u64) -> (String, String) {
    (
        format!("{FOLDER}/{}-{seed}", about.replace('.', "-")),
        format!("{about} holds, as it did not in the random history of seed {seed}"),
    )
}

/// Which op of a barrier it is, where it is one.
fn barrier(op: &OpSubmission) -> Option<&str> {
    let rest = op.client_msg_id.as_str().strip_prefix("barrier-")?;
    rest.split_once('-').map(|(_, kind)| kind)
}

fn connections(mut names: Vec<String>) -> Connections {
    match names.len() {
        1 => Connections::One(names.remove(0)),
        _ => Connections::Several(names),
    }
}

/// Leaves out what nobody looks at: the messages of connections that do nothing after them.
///
/// A connection of which a later message is looked at has to take all those before it.
fn trim(steps: &mut Vec<Step>, at_fault: &str) {
    let kept = std::mem::take(steps);
    // Which names still matter at each place, from the end.
    let mut later: BTreeSet<String> = BTreeSet::from([at_fault.to_owned()]);
    let mut needed: Vec<BTreeSet<String>> = vec![BTreeSet::new(); kept.len()];
    for index in (0..kept.len()).rev() {
        needed[index].clone_from(&later);
        match &kept[index] {
            Step::Send { on, .. } | Step::Disconnect { on } => drop(later.insert(on.clone())),
            Step::Barrier { on, .. } => later.extend(on.names().iter().cloned()),
            Step::Expect { on, .. } => {
                let sender = sender_before(&kept, index);
                let its = on
                    .names()
                    .iter()
                    .filter(|name| Some(*name) == sender.as_ref());
                later.extend(its.cloned());
            }
            _ => {}
        }
    }
    for (index, step) in kept.iter().enumerate() {
        let Step::Expect {
            on,
            frame,
            requirement,
        } = step
        else {
            steps.push(step.clone());
            continue;
        };
        let sender = sender_before(&kept, index);
        let wanted =
            |name: &&String| needed[index].contains(*name) || Some(*name) == sender.as_ref();
        let names: Vec<String> = on.names().iter().filter(wanted).cloned().collect();
        if !names.is_empty() {
            steps.push(Step::Expect {
                on: connections(names),
                frame: frame.clone(),
                requirement: requirement.clone(),
            });
        }
    }
}

/// Who sent what an expectation is the answer to.
fn sender_before(steps: &[Step], index: usize) -> Option<String> {
    steps[..index].iter().rev().find_map(|step| match step {
        Step::Send { on, .. } => Some(on.clone()),
        _ => None,
    })
}

/// The last messages of the connection at fault are what the scenario is about.
fn name_the_fault(steps: &mut [Step], at_fault: &str, about: &str) {
    for step in steps.iter_mut().rev() {
        match step {
            Step::Expect {
                on, requirement, ..
            } if on.names().iter().any(|name| name == at_fault) => *requirement = None,
            // Such a join would name another requirement by itself.
            Step::Join {
                on,
                head: 0,
                requirement,
                ..
            } if on == at_fault => *requirement = Some(about.to_owned()),
            Step::Expect { .. } | Step::Join { .. } | Step::Barrier { .. } => {}
            _ => break,
        }
    }
}
