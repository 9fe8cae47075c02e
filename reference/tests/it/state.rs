//! The profile `state`: the elements behind the text, as few spans as can be.

use std::collections::BTreeSet;
use std::time::Instant;

use collab_reference::document::Document;
use collab_reference::log::{MemoryStore, Store};
use collab_reference::text::Text;
use collab_spec::id::Name;
use collab_spec::message::{Op, Span, State};
use futures_util::StreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::{Server, hello};
use crate::{append, del, ins, name, typed};

/// The text of a state, and whether any two neighbours could have been one.
fn read(state: &State) -> (String, bool) {
    let mut pairs = state.elements.windows(2);
    let mergeable = pairs.any(|pair| pair[0].goes_on_in(&pair[1]));
    (
        state.elements.iter().filter_map(Span::text).collect(),
        mergeable,
    )
}

fn author(op: &Op) -> Name {
    match op {
        Op::Ins(insert) => insert.id.replica_id().clone(),
        Op::Del(_) => name("D"),
    }
}

/// Any op of three clients with few lamports, so that they meet.
fn op() -> impl Strategy<Value = Op> {
    let at = (1_u64..12, 0_usize..3);
    (at.clone(), at, any::<bool>(), any::<bool>()).prop_map(
        |((lamport, replica), (parent, of), inserts, at_root)| {
            let names = ["A", "B", "a"];
            match inserts {
                true if at_root => ins((0, ""), (lamport, names[replica]), 'r'),
                true => ins((parent, names[of]), (parent + lamport, names[replica]), 'x'),
                false => del(lamport, names[replica]),
            }
        },
    )
}

proptest! {
    #[test]
    fn a_state_is_canonical_and_seeds_an_equal(ops in prop::collection::vec(op(), 0..60)) {
        let store = MemoryStore::default();
        let mut document = Document::open(store.open(&name("doc")));
        for (at, op) in ops.iter().enumerate() {
            // An id that stands for another insert is refused.
            let _ = document.submit(&author(op), &name(&at.to_string()), op);
        }
        let state = document.state();
        let (text, mergeable) = read(&state);
        prop_assert_eq!(&text, &document.text());
        prop_assert!(!mergeable, "{:?}", state.elements);
        for (at, op) in state.pending.iter().enumerate() {
            prop_assert!(!state.pending[..at].contains(op));
        }
        // Where the document left memory and came back.
        prop_assert_eq!(&Document::open(store.open(&name("doc"))).state(), &state);
        document.save();
        prop_assert_eq!(&Document::open(store.open(&name("doc"))).state(), &state);
        // And it goes on as if it had seen every op.
        let mut seeded = Text::from_state(&state);
        prop_assert_eq!(seeded.state(), document.snapshot().state);
        for (at, op) in typed("Z", "end").iter().chain(&ops).enumerate() {
            if document.submit(&name("Z"), &name(&format!("z{at}")), op).is_ok() {
                seeded.integrate(op);
            }
        }
        prop_assert_eq!(seeded.text(), document.text());
    }
}

#[test]
fn the_vectors_of_the_specification() {
    let shown = |ops: &[Op]| -> BTreeSet<String> {
        let ops = ops.iter().map(|op| serde_json::to_string(op).unwrap());
        ops.collect()
    };
    let mut vectors = 0;
    for file in collab_spec::data::vectors().unwrap() {
        for vector in file.content.vectors {
            let Some(expected) = &vector.state else {
                continue;
            };
            let mut document = Document::open(MemoryStore::default().open(&name("doc")));
            for (at, op) in vector.ops.iter().enumerate() {
                let _ = document.submit(&author(op), &name(&at.to_string()), op);
            }
            let state = document.state();
            assert_eq!(state.elements, expected.elements, "{}", vector.name);
            assert_eq!(
                state.pending.len(),
                expected.pending.len(),
                "{}",
                vector.name
            );
            assert_eq!(
                shown(&state.pending),
                shown(&expected.pending),
                "{}",
                vector.name
            );
            vectors += 1;
        }
    }
    assert!(vectors > 0);
}

#[tokio::test]
async fn a_state_on_the_wire() {
    let store = MemoryStore::default();
    let mut log = store.open(&name("doc"));
    let mut ops = typed("A", "Hazo");
    ops.extend([del(2, "A"), del(3, "A"), del(9, "C"), del(9, "C")]);
    ops.push(ins((7, "C"), (8, "B"), 'p'));
    for op in ops {
        append(&mut log, "A", "m", op);
    }
    let server = Server::with(collab_reference::Config::default(), store).await;
    let (_, ack, resync) = server.join_with("doc", "B", &["state"]).await;
    let expected =
        json!({"type":"hello_ack","doc_id":"doc","server_seq":9,"capabilities":["state"]});
    assert_eq!(ack, expected);
    let elements = json!([
        {"id":[1,"A"],"text":"H"},
        {"id":[2,"A"],"deleted":2},
        {"id":[4,"A"],"text":"o"},
    ]);
    let pending = json!([
        {"type":"ins","parent_id":[7,"C"],"id":[8,"B"],"value":"p"},
        {"type":"del","id":[9,"C"]},
    ]);
    let expected = json!({"type":"resync","doc_id":"doc","server_seq":9,"full_text":"Ho",
        "state":{"elements":elements,"pending":pending}});
    assert_eq!(resync, expected);
    let (_, _, resync) = server.join_with("doc", "B", &["resume"]).await;
    assert_eq!(resync.as_object().unwrap().len(), 4);
}

/// Of one author, and of a thousand who took turns.
#[tokio::test(flavor = "multi_thread")]
async fn a_million_characters_join_in_one_message() {
    const LENGTH: u64 = 1_000_000;
    let store = MemoryStore::default();
    for (doc, authors) in [("one", 1), ("many", 1000)] {
        let mut log = store.open(&name(doc));
        let author = |at: u64| format!("author-{}", at % authors);
        for at in 1..=LENGTH {
            let parent = author(at - 1);
            append(
                &mut log,
                "A",
                "m",
                ins((at - 1, &parent), (at, &author(at)), 'x'),
            );
        }
    }
    let server = Server::with(collab_reference::Config::default(), store).await;
    for (doc, spans) in [("one", 1), ("many", LENGTH as usize)] {
        // Brings it into memory; what is measured is the join.
        drop(server.join(doc, "B").await);
        for profiles in [&[][..], &["state"]] {
            let mut client = server.connect().await;
            let mut hello = hello(doc, "B", 0);
            hello["capabilities"] = json!(profiles);
            let started = Instant::now();
            client.send(hello).await;
            client.ws.next().await.unwrap().unwrap();
            let resync = client.ws.next().await.unwrap().unwrap();
            let bytes = resync.len();
            eprintln!(
                "{doc} {profiles:?}: {bytes} bytes after {:?}",
                started.elapsed()
            );
            let resync: Value = serde_json::from_str(resync.to_text().unwrap()).unwrap();
            assert_eq!(resync["full_text"].as_str().unwrap().len() as u64, LENGTH);
            if let [_] = profiles {
                assert_eq!(resync["state"]["elements"].as_array().unwrap().len(), spans);
            }
        }
    }
}
