//! Tests of the reference server, from the text outwards to the program.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod client;
mod document;
mod engine;
mod presence;
mod profiles;
mod program;
mod rebuild;
mod resume;
mod runs;
mod server;
mod slow;
mod state;
mod text;
mod wire;

use collab_reference::log::Log;
use collab_spec::id::{ElementId, Integer, Name, ParentId};
use collab_spec::message::{Count, Delete, Insert, Op, RunText};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn id(lamport: u64, replica: &str) -> ElementId {
    ElementId::new(Integer::new(lamport).unwrap(), name(replica)).unwrap()
}

/// An insert; a parent with lamport 0 is the root.
fn ins(parent: (u64, &str), (lamport, replica): (u64, &str), value: char) -> Op {
    let parent_id = match parent.0 {
        0 => ParentId::Root,
        _ => ParentId::Element(id(parent.0, parent.1)),
    };
    Op::Ins(Insert {
        parent_id,
        id: id(lamport, replica),
        value: value.into(),
    })
}

fn del(lamport: u64, replica: &str) -> Op {
    Op::Del(Delete::one(id(lamport, replica)))
}

/// The inserts of somebody who types `text` from the root on, with the lamports from 1 on.
fn typed(replica: &str, text: &str) -> Vec<Op> {
    let inserts = text.chars().zip(1..);
    inserts
        .map(|(value, at)| ins((at - 1, replica), (at, replica), value))
        .collect()
}

/// An insert of several elements; a parent with lamport 0 is the root.
fn run(parent: (u64, &str), first: (u64, &str), values: &str) -> Op {
    let Op::Ins(insert) = ins(parent, first, '-') else {
        unreachable!("it is an insert");
    };
    let value = RunText::new(values).unwrap();
    Op::Ins(Insert { value, ..insert })
}

/// A delete of several elements.
fn del_run(lamport: u64, replica: &str, count: u64) -> Op {
    Op::Del(Delete {
        id: id(lamport, replica),
        count: Count::new(count).unwrap(),
    })
}

/// Puts an op into a log.
fn append(log: &mut Box<dyn Log>, client: &str, message: &str, op: Op) {
    log.append(name(client), name(message), op);
}
