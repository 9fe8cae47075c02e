//! The kinds of frames, and the plain messages of each that are changed.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use collab_spec::id::{ElementId, MAX_INTEGER, Name};
use collab_spec::message::{Count, Delete, Insert, Op, OpSubmission, RunText};
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use super::json::Path;
use super::verdict::Setting;
use crate::client::{ROOT, element, frame, under};
use crate::ids;

/// What the frames are changed from, and which profiles are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A `hello` without profiles, as the first message.
    Hello,
    /// A `hello` that asks for `resume`.
    HelloResume,
    /// Ops and other later messages, with all profiles off.
    Op,
    /// Ops with an epoch, with `resume` on.
    OpResume,
    /// Ops of several elements, with `runs` on.
    OpRuns,
    /// `presence_update`, with `presence` on.
    Presence,
}

/// A plain message.
#[derive(Clone, Debug)]
pub struct Base {
    /// What it is, in words.
    pub name: &'static str,
    /// The schema that it is made by.
    pub schema: &'static str,
    /// The message.
    pub frame: Value,
    /// What is broken where a server refuses it as it is.
    pub requirement: &'static str,
    /// The fields that are changed, beside the text as a whole; all where it does not say.
    pub(super) only: Option<&'static [&'static str]>,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Hello,
        Self::HelloResume,
        Self::Op,
        Self::OpResume,
        Self::OpRuns,
        Self::Presence,
    ];

    /// The name on the command line, and that of the case behind `fuzz/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::HelloResume => "hello-resume",
            Self::Op => "op",
            Self::OpResume => "op-resume",
            Self::OpRuns => "op-runs",
            Self::Presence => "presence",
        }
    }

    /// The profile that is on, or asked for.
    pub fn profile(self) -> Profile {
        match self {
            Self::Hello | Self::Op => Profile::Core,
            Self::HelloResume | Self::OpResume => Profile::Resume,
            Self::OpRuns => Profile::Runs,
            Self::Presence => Profile::Presence,
        }
    }

    /// The profiles that a connection asks for before the frame.
    pub fn on(self) -> Vec<Profile> {
        match self.profile() {
            Profile::Core => Vec::new(),
            profile => vec![profile],
        }
    }

    /// Whether the frame is the first message of its connection.
    pub fn is_first(self) -> bool {
        matches!(self, Self::Hello | Self::HelloResume)
    }

    /// Whether a part of a message is changed; the others are another kind's matter.
    pub(super) fn is_about(self, path: &Path) -> bool {
        match (self, path.first()) {
            (_, None) => true,
            (Self::HelloResume, Some(name)) => !matches!(name, "doc_id" | "client_id" | "type"),
            (Self::OpResume, Some(name)) => matches!(name, "epoch" | "client_msg_id"),
            (Self::OpRuns, Some(name)) => name == "op",
            (Self::Hello | Self::Op | Self::Presence, Some(_)) => true,
        }
    }

    /// The plain messages. `number` tells those of different frames apart.
    pub(super) fn bases(self, setting: &Setting, number: u64) -> Vec<Base> {
        let hello = |more: Value| {
            let mut frame = json!({"type": "hello", "doc_id": setting.doc_id,
                "client_id": setting.client_id});
            add(&mut frame, more);
            frame
        };
        let base = |name, schema, frame, requirement| Base {
            name,
            schema,
            frame,
            requirement,
            only: None,
        };
        let head: u64 = setting.accepted.iter().map(|sent| sent.op.elements()).sum();
        match self {
            Self::Hello => vec![
                base("a hello", "hello", hello(json!({})), "hello.fields"),
                base(
                    "a hello that has seen something",
                    "hello",
                    hello(
                        json!({"last_seen_server_seq": head - 1, "capabilities": ["x-unknown"], "epoch": "e"}),
                    ),
                    "hello.fields",
                ),
                Base {
                    name: "an op before any hello",
                    requirement: "close.no-hello",
                    only: Some(&[]),
                    ..op_bases(setting, number).swap_remove(0)
                },
            ],
            Self::HelloResume => {
                let resume = |seen: u64, epoch: Value| {
                    let mut more =
                        json!({"last_seen_server_seq": seen, "capabilities": ["resume"]});
                    add(&mut more, epoch);
                    base(
                        "a hello with an epoch",
                        "hello",
                        hello(more),
                        ids::RESUME_REPLAY,
                    )
                };
                let epoch = json!({"epoch": setting.epoch});
                vec![
                    resume(1, epoch.clone()),
                    resume(head, epoch),
                    resume(head - 1, json!({})),
                ]
            }
            Self::Op => op_bases(setting, number),
            Self::OpResume => {
                let epoch = json!({"epoch": setting.epoch});
                let mut found = op_bases(setting, number);
                found.truncate(3);
                for base in &mut found {
                    base.name = "an op with an epoch";
                    base.requirement = ids::RESUME_OP_EPOCH;
                    add(&mut base.frame, epoch.clone());
                }
                found
            }
            Self::OpRuns => run_bases(setting, number),
            Self::Presence => {
                let state = json!({"cursor": {"anchor_id": [10, "A"], "affinity": "right"}});
                let presence = |state: &Value| {
                    json!({"type": "presence_update", "doc_id": setting.doc_id,
                        "client_id": setting.client_id, "state": state})
                };
                vec![
                    base(
                        "a presence_update",
                        "presence_update",
                        presence(&state),
                        "presence.fields",
                    ),
                    base(
                        "a presence_update of nothing",
                        "presence_update",
                        presence(&Value::Null),
                        "presence.fields",
                    ),
                ]
            }
        }
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

fn add(frame: &mut Value, more: Value) {
    if let (Value::Object(frame), Value::Object(more)) = (frame, more) {
        frame.extend(more);
    }
}

/// The lamport of a frame's own insert: no other frame of a search has it, nor one close by.
fn own_lamport(number: u64) -> u64 {
    1_000 + number % (1 << 36) * 1_000
}

fn name(text: &str) -> Name {
    Name::new(text).expect("the suite's names have 1 to 256 characters")
}

fn submission(setting: &Setting, msg_id: &str, op: Op) -> OpSubmission {
    OpSubmission {
        doc_id: name(&setting.doc_id),
        client_id: name(&setting.client_id),
        client_msg_id: name(msg_id),
        op,
        epoch: None,
    }
}

fn insert(id: ElementId, parent: Option<&OpSubmission>, value: &str) -> Op {
    Op::Ins(Insert {
        parent_id: parent.map_or(ROOT, under),
        id,
        value: RunText::new(value).expect("an insert has a character"),
    })
}

fn delete(id: ElementId, count: u64) -> Op {
    let count = Count::new(count).expect("a delete has an element");
    Op::Del(Delete { id, count })
}

/// The ops that stand in the document before any frame is sent, all by the client of the setting.
pub(super) fn furnishing(setting: &Setting) -> Vec<OpSubmission> {
    let own = |lamport| element(lamport, &setting.client_id);
    let sent = |number: usize, op| submission(setting, &format!("f-{number}"), op);
    let a = sent(1, insert(own(10), None, "a"));
    let b = sent(2, insert(own(20), Some(&a), "b"));
    let c = sent(3, insert(own(30), Some(&b), "c"));
    let deleted = sent(4, delete(own(20), 1));
    let nobodys = submission(setting, "x", insert(element(35, "nobody"), None, "x"));
    let waits = sent(5, insert(own(40), Some(&nobodys), "w"));
    let mut all = vec![a, b, c, deleted, waits];
    if setting.on.contains(&Profile::Runs) {
        all.push(sent(6, insert(own(50), Some(&all[2]), "h\u{e9}😀lo")));
        all.push(sent(7, delete(own(51), 2)));
    }
    all
}

fn op_bases(setting: &Setting, number: u64) -> Vec<Base> {
    let msg_id = format!("m-{number}");
    let own = element(own_lamport(number), &setting.client_id);
    let known = |place: usize| &setting.accepted[place];
    let base = |name, sent: &OpSubmission, requirement| Base {
        name,
        schema: "op",
        frame: frame(sent),
        requirement,
        only: None,
    };
    let new = |op| submission(setting, &msg_id, op);
    let again = |place: usize| new(known(place).op.clone());
    let mut all = vec![
        base("an insert", &new(insert(own.clone(), None, "x")), "op.ins"),
        base(
            "an insert under an element",
            &new(insert(own, Some(known(2)), "y")),
            "op.ins",
        ),
        base(
            "a delete",
            &new(delete(known(0).op.id().clone(), 1)),
            "op.del",
        ),
        base("an insert sent again", known(1), ids::SUBMIT_ANSWER),
        base("a delete sent again", known(3), ids::SUBMIT_ANSWER),
        base(
            "an insert sent again under another message id",
            &again(2),
            ids::SUBMIT_SAME_INSERT,
        ),
        base(
            "an insert that waits, sent again",
            known(4),
            ids::SUBMIT_ANSWER,
        ),
        base("a delete of what is deleted", &again(3), "submit.del-again"),
    ];
    for base in &mut all[3..] {
        base.only = Some(&["op", "client_msg_id"]);
    }
    all.push(Base {
        name: "a second hello",
        schema: "hello",
        frame: json!({"type": "hello", "doc_id": setting.doc_id, "client_id": setting.client_id}),
        requirement: "close.second-hello",
        only: Some(&["doc_id", "last_seen_server_seq"]),
    });
    all.push(Base {
        name: "a presence_update where the profile is off",
        schema: "presence_update",
        frame: json!({"type": "presence_update", "doc_id": setting.doc_id,
            "client_id": setting.client_id, "state": {"cursor": null}}),
        requirement: ids::PROFILES_OFF,
        only: Some(&["state"]),
    });
    all
}

fn run_bases(setting: &Setting, number: u64) -> Vec<Base> {
    let msg_id = format!("m-{number}");
    let own = |lamport| element(lamport, &setting.client_id);
    let known = |place: usize| &setting.accepted[place];
    let base = |name, sent: &OpSubmission, requirement| Base {
        name,
        schema: "op-runs",
        frame: frame(sent),
        requirement,
        only: None,
    };
    let new = |op| submission(setting, &msg_id, op);
    let last = insert(own(MAX_INTEGER - 2), None, "end");
    vec![
        base(
            "a run",
            &new(insert(own(own_lamport(number)), None, "xyz")),
            ids::RUNS_INS,
        ),
        base(
            "a run under a run",
            &new(insert(own(own_lamport(number)), Some(known(5)), "é😀")),
            ids::RUNS_INS,
        ),
        base("a run up to the last lamport", &new(last), ids::RUNS_INS),
        base(
            "a delete of several",
            &new(delete(own(50), 4)),
            ids::RUNS_DEL,
        ),
        base("a run sent again", known(5), ids::RUNS_ANSWER),
        base("a delete of several sent again", known(6), ids::RUNS_ANSWER),
        base(
            "a run sent again under another message id",
            &new(known(5).op.clone()),
            ids::SUBMIT_SAME_INSERT,
        ),
        base(
            "a part of a run",
            &new(insert(own(51), Some(known(0)), "é")),
            ids::RUNS_OVERLAP,
        ),
        base(
            "an insert that ends in a run",
            &new(insert(own(47), Some(known(2)), "abcd")),
            ids::RUNS_OVERLAP,
        ),
    ]
}
