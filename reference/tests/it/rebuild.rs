//! A document that left memory and is rebuilt from the store equals the one that stayed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use collab_reference::Config;
use collab_reference::document::{Document, Submitted};
use collab_reference::hub::Hub;
use collab_reference::log::{Log, MemoryStore, Store};
use collab_spec::id::Integer;
use collab_spec::message::Hello;

use crate::{del, ins, name, run, typed};

fn ops() -> Vec<collab_spec::message::Op> {
    let mut ops = typed("A", "hello");
    ops.extend([
        ins((5, "A"), (6, "B"), ' '),
        del(2, "A"),
        del(2, "A"),
        ins((2, "A"), (7, "B"), '😀'),
        ins((20, "C"), (21, "B"), 'p'),
        del(30, "C"),
        ins((6, "B"), (8, "B"), 'w'),
    ]);
    ops
}

fn author(op: &collab_spec::message::Op) -> &str {
    match op {
        collab_spec::message::Op::Ins(insert) => insert.id.replica_id().as_str(),
        collab_spec::message::Op::Del(_) => "A",
    }
}

#[test]
fn a_rebuilt_document_equals_the_live_one() {
    let ops = ops();
    for saved_at in 0..=ops.len() {
        let store = MemoryStore::default();
        let mut live = Document::open(store.open(&name("doc")));
        for (index, op) in ops.iter().enumerate() {
            live.submit(&name(author(op)), &name(&index.to_string()), op)
                .unwrap();
            if index + 1 == saved_at {
                live.save();
            }
        }
        let mut rebuilt = Document::open(store.open(&name("doc")));
        assert_eq!(rebuilt.snapshot(), live.snapshot());
        assert_eq!(rebuilt.text(), live.text());
        for (index, op) in ops.iter().enumerate() {
            let again = rebuilt.submit(&name(author(op)), &name(&index.to_string()), op);
            assert_eq!(again, Ok(Submitted::Duplicate(index as u64 + 1)));
        }
    }
}

#[test]
fn a_store_numbers_and_keeps() {
    let store = MemoryStore::default();
    let mut log: Box<dyn Log> = store.open(&name("doc"));
    assert_eq!((log.head(), store.documents()), (0, 0));
    let mut ops = typed("A", "abc");
    ops.push(run((3, "A"), (4, "A"), "defg"));
    ops.push(del(1, "A"));
    let entries: Vec<_> = ops
        .into_iter()
        .map(|op| log.append(name("A"), name("m"), op))
        .collect();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.server_seq).collect();
    assert_eq!(seqs, [1, 2, 3, 7, 8]);
    drop(log);
    let log = store.open(&name("doc"));
    assert_eq!((log.head(), store.documents()), (8, 1));
    for (after, from) in [
        (0, 0),
        (1, 1),
        (3, 3),
        (4, 3),
        (6, 3),
        (7, 4),
        (8, 5),
        (9, 5),
    ] {
        assert_eq!(log.ops_since(after, 10), entries[from..], "after {after}");
    }
    assert_eq!(log.ops_since(0, 2), entries[..2]);
    assert_eq!(store.open(&name("other")).head(), 0);
}

/// The `hello` of a client that has seen nothing.
fn joining() -> Hello {
    Hello {
        doc_id: name("doc"),
        client_id: name("A"),
        last_seen_server_seq: Integer::default(),
        capabilities: None,
        epoch: None,
    }
}

/// Waits for a condition that other tasks bring about.
async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it does not come"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_leave_memory_and_come_back() {
    let store = Arc::new(MemoryStore::default());
    let config = Config {
        idle: Duration::from_millis(1),
        ..Config::default()
    };
    let hub = Hub::new(config, Arc::clone(&store) as Arc<dyn Store>);
    let sweeper = tokio::spawn(Arc::clone(&hub).sweep());

    // Nobody's document.
    let lease = hub.lease(&name("looked-at"));
    let _ = lease.room().await.join(&joining(), hub.config());
    drop(lease);
    assert_eq!((hub.rooms(), store.documents()), (0, 0));

    for (round, op) in typed("A", "abc").into_iter().enumerate() {
        let lease = hub.lease(&name("doc"));
        let room = lease.room().await;
        let (seat, opening) = room.join(&joining(), hub.config());
        // Behind the two bytes that a short frame begins with.
        let resync = String::from_utf8(opening[1][2..].to_vec()).unwrap();
        assert!(
            resync.contains(&format!("\"{}\"", &"abc"[..round])),
            "{resync}"
        );
        // A room in use stays the only one.
        let other = hub.lease(&name("doc"));
        assert!(Arc::ptr_eq(&room, &other.room().await));
        let seq = round as u64 + 1;
        let submitted = seat.submit(&name("A"), &name(&round.to_string()), &op);
        assert_eq!(submitted, Ok(Submitted::New(seq)));
        drop((seat, room, other, lease));
        until(|| hub.rooms() == 0).await;
        let snapshot = store.open(&name("doc")).latest_snapshot().unwrap();
        assert_eq!(snapshot.server_seq, seq);
    }
    sweeper.abort();
}

/// Joining and evicting at once, over and over: no op is lost and no seq given twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn joins_race_with_evictions() {
    let store = Arc::new(MemoryStore::default());
    let config = Config {
        idle: Duration::ZERO,
        ..Config::default()
    };
    let hub = Hub::new(config, Arc::clone(&store) as Arc<dyn Store>);
    let sweepers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(Arc::clone(&hub).sweep()))
        .collect();
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let hub = Arc::clone(&hub);
            tokio::spawn(async move {
                let client = name(&format!("c{client}"));
                for round in 1..=300 {
                    let lease = hub.lease(&name("doc"));
                    let (seat, _) = lease.room().await.join(&joining(), hub.config());
                    let op = ins((0, ""), (round, client.as_str()), 'x');
                    let submitted = seat.submit(&client, &name(&round.to_string()), &op);
                    assert!(matches!(submitted, Ok(Submitted::New(_))));
                    drop((seat, lease));
                    tokio::time::sleep(Duration::from_micros(round * 7 % 900)).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    until(|| hub.rooms() == 0).await;
    sweepers.iter().for_each(tokio::task::JoinHandle::abort);
    let log = store.open(&name("doc"));
    assert_eq!(log.head(), 1200);
    assert_eq!(Document::open(log).text().len(), 1200);
}
