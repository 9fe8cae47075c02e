//! The profile `resume`: one epoch a history, and the sync that follows from it.

use std::sync::Arc;
use std::time::Duration;

use collab_reference::Config;
use collab_reference::document::{Document, Sync};
use collab_reference::log::{Log, MemoryStore, Store};
use collab_spec::id::Name;
use serde_json::{Value, json};

use crate::client::{Client, Server, hello, submission};
use crate::{append, ins, name, typed};

/// A store that the test keeps a hand on.
struct Shared(Arc<MemoryStore>);

impl Store for Shared {
    fn open(&self, doc_id: &Name) -> Box<dyn Log> {
        self.0.open(doc_id)
    }
}

/// Joins with the profile and says what was seen of which epoch; gives the ack.
async fn resume(server: &Server, seen: u64, epoch: Option<&Value>) -> (Client, Value) {
    let mut client = server.connect().await;
    let mut hello = hello("doc", "A", seen);
    hello["capabilities"] = json!(["resume"]);
    if let Some(epoch) = epoch {
        hello["epoch"] = epoch.clone();
    }
    client.send(hello).await;
    let ack = client.next().await;
    (client, ack)
}

#[test]
fn a_store_has_an_epoch_for_each_document() {
    let store = MemoryStore::default();
    let epoch = store.open(&name("doc")).epoch();
    assert_eq!(epoch.as_str().len(), 32);
    // Nobody has written to it, nor kept it open.
    assert_eq!(store.open(&name("doc")).epoch(), epoch);
    let mut log = store.open(&name("doc"));
    append(&mut log, "A", "m", ins((0, ""), (1, "A"), 'a'));
    drop(log);
    let mut document = Document::open(store.open(&name("doc")));
    document.save();
    assert_eq!(document.epoch(), epoch);
    assert_ne!(store.open(&name("Doc")).epoch(), epoch);
    assert_ne!(MemoryStore::default().open(&name("doc")).epoch(), epoch);
}

#[test]
fn which_sync() {
    let store = MemoryStore::default();
    let mut log = store.open(&name("doc"));
    for op in typed("A", "abcd") {
        append(&mut log, "A", "m", op);
    }
    let document = Document::open(log);
    let (own, other) = (document.epoch(), name("other"));
    for seen in [0, 1, 3, 4, 5, 1 << 53] {
        let expected = match seen {
            1..=4 => Sync::Replay,
            _ => Sync::Resync,
        };
        assert_eq!(document.resume(Some(&own), seen), expected, "{seen}");
        assert_eq!(document.resume(Some(&other), seen), Sync::Resync, "{seen}");
        assert_eq!(document.resume(None, seen), Sync::Resync, "{seen}");
    }
    let empty = Document::open(store.open(&name("empty")));
    assert_eq!(empty.resume(Some(&empty.epoch()), 0), Sync::Resync);
}

/// Rooms leave memory at once, with ops and without.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_outlives_rooms() {
    let store = Arc::new(MemoryStore::default());
    let config = Config {
        idle: Duration::ZERO,
        ..Config::default()
    };
    let server = Server::with(config, Shared(Arc::clone(&store))).await;
    let (client, ack) = resume(&server, 0, None).await;
    assert_eq!(
        (&ack["capabilities"], &ack["sync"]),
        (&json!(["resume"]), &json!("resync"))
    );
    let epoch = ack["epoch"].clone();
    drop(client);
    for (seq, op) in (1..).zip(typed("A", "abc")) {
        let (mut client, ack) = resume(&server, 0, None).await;
        assert_eq!(
            (&ack["epoch"], &ack["server_seq"]),
            (&epoch, &json!(seq - 1))
        );
        assert_eq!(client.next().await["type"], "resync");
        client.op("doc", "A", &seq.to_string(), &op).await;
        assert_eq!(client.echo().await, seq);
        drop(client);
        while store
            .open(&name("doc"))
            .latest_snapshot()
            .is_none_or(|it| it.server_seq < seq)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // What the client said before it went is in the replay.
    let (mut client, ack) = resume(&server, 1, Some(&epoch)).await;
    assert_eq!((&ack["epoch"], &ack["sync"]), (&epoch, &json!("replay")));
    assert_eq!((client.echo().await, client.echo().await), (2, 3));
    // At the head: announced, and nothing follows.
    let (mut client, ack) = resume(&server, 3, Some(&epoch)).await;
    assert_eq!(ack["sync"], "replay");
    client
        .op("doc", "A", "new", &ins((0, ""), (9, "A"), 'x'))
        .await;
    assert_eq!(client.echo().await, 4);
}

#[tokio::test]
async fn a_restarted_server_replays_nothing_of_an_old_history() {
    let mut epochs: Vec<Value> = Vec::new();
    for _ in 0..3 {
        // Another store is what a restart of a server without a disk brings.
        let server = Server::start().await;
        let mut writer = server.join("doc", "B").await;
        for (seq, op) in (1..).zip(typed("B", "other")) {
            writer.op("doc", "B", &seq.to_string(), &op).await;
            assert_eq!(writer.echo().await, seq);
        }
        let (mut client, ack) = resume(&server, 2, epochs.last()).await;
        assert_eq!(ack["sync"], "resync");
        let resync = json!({"type":"resync","doc_id":"doc","server_seq":5,"full_text":"other"});
        assert_eq!(client.next().await, resync);
        assert!(!epochs.contains(&ack["epoch"]), "{epochs:?} {ack}");
        if let Some(old) = epochs.last() {
            let mut late = submission("doc", "A", "m", &ins((0, ""), (1, "A"), 'a'));
            late["epoch"] = old.clone();
            client.send(late).await;
            assert_eq!(client.closed().await, 1008);
        }
        epochs.push(ack["epoch"].clone());
        drop((client, writer));
        server.stop().await;
    }
}

#[tokio::test]
async fn the_epoch_of_an_op() {
    let server = Server::start().await;
    let (mut client, ack) = resume(&server, 0, None).await;
    assert_eq!(client.next().await["type"], "resync");
    let with = |doc: &str, epoch: Value| {
        let mut op = submission(doc, "A", "m", &ins((0, ""), (1, "A"), 'a'));
        op["epoch"] = epoch;
        op
    };
    // Neither echoed nor content: with it and without it, it is the same op.
    client.send(with("doc", ack["epoch"].clone())).await;
    let echo = client.next().await;
    assert_eq!(echo.as_object().unwrap().len(), 6);
    client
        .op("doc", "A", "m", &ins((0, ""), (1, "A"), 'a'))
        .await;
    assert_eq!(client.next().await, echo);
    let long = "e".repeat(257);
    for (code, message) in [
        // Accepted before, but said to be of another history.
        (1008, with("doc", json!("other"))),
        (1002, with("doc", json!(""))),
        (1002, with("doc", json!(long))),
        (1002, with("doc", json!(7))),
        (1002, with("other", json!([]))),
    ] {
        let (mut client, _) = resume(&server, 1, Some(&ack["epoch"])).await;
        client.send(message.clone()).await;
        assert_eq!(client.closed().await, code, "{message}");
    }
}
