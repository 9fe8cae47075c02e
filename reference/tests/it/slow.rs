//! Clients that do not read, and clients that do while others flood them.

use std::time::{Duration, Instant};

use collab_reference::Config;
use collab_reference::log::MemoryStore;
use futures_util::{SinkExt, StreamExt};

use crate::client::{Client, Message, Server, submission};
use crate::typed;

/// Sends ops without waiting for their echoes, which are read on the side.
async fn flood(client: Client, doc: &'static str, name: &'static str, count: usize) -> Client {
    let (mut sink, mut stream) = client.ws.split();
    let reading = tokio::spawn(async move {
        let mut own = 0;
        while own < count {
            let message = stream.next().await.unwrap().unwrap();
            let echo: serde_json::Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            assert_eq!(echo["type"], "op_echo", "{echo}");
            own += usize::from(echo["origin_client_id"] == name);
        }
        stream
    });
    for (at, op) in typed(name, &"x".repeat(count)).iter().enumerate() {
        let text = submission(doc, name, &at.to_string(), op).to_string();
        sink.feed(Message::text(text)).await.unwrap();
    }
    sink.flush().await.unwrap();
    Client {
        ws: reading.await.unwrap().reunite(sink).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_closed_alone() {
    let config = Config {
        max_waiting_bytes: 1 << 20,
        ..Config::default()
    };
    let server = Server::with(config, MemoryStore::default()).await;
    let mut stalled = server.connect_tight().await;
    stalled.hello("doc", "S", 0).await;
    let reader = server.join("doc", "R").await;
    let writer = server.join("doc", "W").await;
    // About 2.5 MiB of echoes.
    let flooding = tokio::spawn(flood(writer, "doc", "W", 15_000));
    let mut reader = reader;
    for seq in 1..=15_000 {
        assert_eq!(reader.echo().await, seq);
    }
    let mut writer = flooding.await.unwrap();
    let code = loop {
        if let Err(code) = stalled.receive().await {
            break code;
        }
    };
    assert!([1013, 1006].contains(&code), "{code}");
    writer.op("doc", "W", "after", &crate::del(1, "W")).await;
    assert_eq!((writer.echo().await, reader.echo().await), (15_001, 15_001));
    // It comes back like any other (`slow.catches-up`).
    let mut back = server.connect().await;
    back.hello("doc", "S", 7).await;
    assert_eq!(back.next().await["server_seq"], 15_001);
    assert_eq!(back.echo().await, 8);
}

/// An echo comes at once although somebody does not read.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_delays_nobody() {
    let server = Server::start().await;
    let mut stalled = server.connect_tight().await;
    stalled.hello("doc", "S", 0).await;
    let writer = server.join("doc", "W").await;
    // More than what others are waited for, less than what closes.
    let mut writer = flood(writer, "doc", "W", 15_000).await;
    let started = Instant::now();
    for at in 1..=200 {
        writer
            .op("doc", "W", &format!("d{at}"), &crate::del(at, "W"))
            .await;
        assert_eq!(writer.echo().await, 15_000 + at);
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_is_never_closed() {
    const EACH: usize = 25_000;
    let server = Server::start().await;
    let mut observer = server.join("doc", "O").await;
    let started = Instant::now();
    let first = server.join("doc", "A").await;
    let second = server.join("doc", "B").await;
    let first = tokio::spawn(flood(first, "doc", "A", EACH));
    let second = tokio::spawn(flood(second, "doc", "B", EACH));
    for seq in 1..=2 * EACH as u64 {
        assert_eq!(observer.echo().await, seq);
        // Reads, but not as fast as the others write.
        if seq % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    first.await.unwrap();
    second.await.unwrap();
    eprintln!(
        "{} ops to three connections in {:?}",
        2 * EACH,
        started.elapsed()
    );
}
