//! How many allocations an op costs the server, step by step, from its text to the frames of every
//! connection. No sockets: what those allocate does not grow with the ops.

use std::sync::Arc;

use collab_reference::Config;
use collab_reference::document::Document;
use collab_reference::log::{MemoryStore, Store as _};
use collab_reference::room::{Room, Seat};
use collab_spec::message::{ClientMessage, Hello, OpSubmission, SingleOp};
use serde_json::json;

use crate::measure::allocations;
use crate::peers::Peer as _;
use crate::peers::ours::Ours;
use crate::trace::{Trace, name};

/// Who types.
const AUTHOR: u64 = 0;

/// How many connections the document has.
const CLIENTS: [usize; 3] = [2, 10, 50];

/// How many ops come before the writers run.
const TURNS: [usize; 2] = [1, 10];

/// Prints a table: of the edits of a trace, one character each.
pub fn run(trace: &Trace, edits: usize) {
    let messages = messages(trace, edits);
    println!("allocations an op, of {} ops\n", messages.len());
    println!("| connections | ops a turn | decode | accept and encode | take, all connections |");
    println!("|--:|--:|--:|--:|--:|");
    for clients in CLIENTS {
        for turn in TURNS {
            let steps = play(&messages, clients, turn);
            let [decode, submit, take] = steps.map(|made| made as f64 / messages.len() as f64);
            println!("| {clients} | {turn} | {decode:.1} | {submit:.1} | {take:.1} |");
        }
    }
}

/// The messages of one author.
fn messages(trace: &Trace, edits: usize) -> Vec<String> {
    let mut writer = Ours::writer(AUTHOR);
    let edits = trace.singles().into_iter().take(edits).enumerate();
    let messages = edits.map(|(number, edit)| {
        let op = Ours::decode(&Ours::edit(&mut writer, &edit));
        json!({
            "type": "op", "doc_id": "doc", "client_id": author(), "client_msg_id": format!("m-{number}"),
            "op": op,
        })
        .to_string()
    });
    messages.collect()
}

fn author() -> String {
    format!("author-{AUTHOR}")
}

/// The allocations of all ops: to decode, to submit, to take.
fn play(messages: &[String], clients: usize, turn: usize) -> [usize; 3] {
    let (config, doc_id) = (Config::default(), name("doc"));
    let document = Document::open(MemoryStore::default().open(&doc_id));
    let room = Arc::new(Room::new(doc_id, document, config.max_waiting_bytes));
    let seats: Vec<Seat> = (0..clients)
        .map(|_| room.join(&hello(), &config).0)
        .collect();
    let mut steps = [0; 3];
    for messages in messages.chunks(turn) {
        let mut ops = Vec::with_capacity(turn);
        steps[0] += allocations(|| ops.extend(messages.iter().map(|text| decode(text)))).0;
        steps[1] += allocations(|| ops.iter().for_each(|op| submit(&seats[0], op))).0;
        steps[2] += allocations(|| seats.iter().for_each(take)).0;
    }
    steps
}

fn hello() -> Hello {
    let hello = json!({"doc_id": "doc", "client_id": author(), "last_seen_server_seq": 0});
    serde_json::from_value(hello).expect("a hello")
}

/// As a connection without the profile `runs` does.
fn decode(text: &str) -> OpSubmission {
    let message = ClientMessage::<SingleOp>::from_json(text).expect("a message");
    match message.into() {
        ClientMessage::Op(op) => op,
        other => unreachable!("{other:?} is no op"),
    }
}

fn submit(seat: &Seat, op: &OpSubmission) {
    seat.submit(&op.client_id, &op.client_msg_id, &op.op)
        .expect("it breaks no rule");
}

fn take(seat: &Seat) {
    while !seat.take().is_all {}
}
