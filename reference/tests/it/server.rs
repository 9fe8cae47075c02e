//! The session over a socket: sync, order, duplicates, closing.

use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use collab_reference::Config;
use collab_reference::log::{MemoryStore, Store};

use crate::client::{Data, Frame, Message, OpCode, Server, hello, submission};
use crate::{append, del, ins, name, typed};

/// A store with a document in which A has typed so much.
fn stored(doc: &str, text: &str) -> MemoryStore {
    let store = MemoryStore::default();
    let mut log = store.open(&name(doc));
    for (at, op) in typed("A", text).into_iter().enumerate() {
        append(&mut log, "A", &at.to_string(), op);
    }
    store
}

#[tokio::test]
async fn health_and_plain_requests() {
    let server = Server::start().await;
    for (request, status, body) in [
        ("GET /health HTTP/1.1", "200", "{\"status\":\"ok\"}"),
        ("GET /ws HTTP/1.1", "426", "WebSocket"),
        (
            "GET /ws HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket",
            "426",
            "13",
        ),
        (
            "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            "400",
            "Sec-WebSocket-Key",
        ),
        ("GET /other HTTP/1.1", "404", ""),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let text = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.contains(body), "{answer}");
    }
}

#[tokio::test]
async fn a_replay_of_5000_and_live_ops_behind_it() {
    let server = Server::with(Config::default(), stored("doc", &"x".repeat(5000))).await;
    let mut writer = server.join("doc", "B").await;
    let mut client = server.connect().await;
    client.hello("doc", "C", 1).await;
    assert_eq!(
        client.next().await,
        json!({"type":"hello_ack","doc_id":"doc","server_seq":5000})
    );
    // While the replay waits to be read.
    writer
        .op("doc", "B", "1", &ins((0, ""), (1, "B"), 'b'))
        .await;
    assert_eq!(writer.echo().await, 5001);
    for seq in 2..=5001 {
        assert_eq!(client.echo().await, seq);
    }
    client.op("doc", "C", "1", &del(1, "B")).await;
    assert_eq!((client.echo().await, writer.echo().await), (5002, 5002));
}

/// Longer than one WebSocket frame of the server.
#[tokio::test]
async fn a_long_resync_is_one_message() {
    let text = "é😀x".repeat(60_000);
    let server = Server::with(Config::default(), stored("doc", &text)).await;
    let mut client = server.connect().await;
    client.hello("doc", "B", 0).await;
    assert_eq!(client.next().await["server_seq"], 180_000);
    assert_eq!(client.next().await["full_text"], text);
}

#[tokio::test]
async fn every_last_seen_gets_its_sync() {
    let server = Server::with(Config::default(), stored("doc", "abcd")).await;
    for (last_seen, first) in [(0, None), (1, Some(2)), (3, Some(4)), (4, None), (5, None)] {
        let mut client = server.connect().await;
        client.hello("doc", "B", last_seen).await;
        assert_eq!(client.next().await["server_seq"], 4);
        let next = client.next().await;
        match first {
            Some(seq) => assert_eq!(next["server_seq"], seq),
            None => assert_eq!(next["full_text"], "abcd"),
        }
    }
}

#[tokio::test]
async fn ops_behind_the_hello_come_after_the_sync() {
    let server = Server::with(Config::default(), stored("doc", "abcd")).await;
    let mut client = server.connect().await;
    client.hello("doc", "B", 2).await;
    for (at, op) in typed("B", "xyz").iter().enumerate() {
        client.op("doc", "B", &at.to_string(), op).await;
    }
    // Sent again at once: its answer must not overtake its echo.
    client.op("doc", "B", "0", &typed("B", "x")[0]).await;
    assert_eq!(client.next().await["server_seq"], 4);
    let mut seqs = Vec::new();
    for _ in 0..6 {
        seqs.push(client.echo().await);
    }
    let answer = seqs.iter().rposition(|&seq| seq == 5).unwrap();
    assert!(seqs[..answer].contains(&5), "{seqs:?}");
    seqs.remove(answer);
    assert_eq!(seqs, [3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_duplicate_is_answered_to_the_sender_alone() {
    let server = Server::start().await;
    let mut first = server.join("doc", "A").await;
    let mut second = server.join("doc", "A").await;
    let op = ins((0, ""), (1, "A"), 'a');
    first.op("doc", "A", "m", &op).await;
    let echo = first.next().await;
    assert_eq!(second.next().await, echo);
    second.op("doc", "A", "m", &op).await;
    assert_eq!(second.next().await, echo);
    second.op("doc", "A", "other", &op).await;
    assert_eq!(second.next().await, echo);
    // The next that the first connection gets is the next op.
    second.op("doc", "A", "other", &del(1, "A")).await;
    assert_eq!((first.echo().await, second.echo().await), (2, 2));
}

#[tokio::test]
async fn fragments_and_pings() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let text = hello("doc", "A", 0).to_string().into_bytes();
    let (start, end) = (text[..9].to_vec(), text[9..].to_vec());
    let part = |bytes, kind, last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    client.raw(part(start, Data::Text, false)).await;
    client.raw(Message::Ping("between".into())).await;
    assert_eq!(
        client.ws.next().await.unwrap().unwrap(),
        Message::Pong("between".into())
    );
    client.raw(part(end, Data::Continue, true)).await;
    assert_eq!(client.next().await["type"], "hello_ack");
    assert_eq!(client.next().await["type"], "resync");
    for payload in ["a", "b"] {
        client.raw(Message::Ping(payload.into())).await;
        assert_eq!(
            client.ws.next().await.unwrap().unwrap(),
            Message::Pong(payload.into())
        );
    }
}

/// Source: `session.sent-before-close`, `close.client-close`.
#[tokio::test]
async fn ops_before_a_close_or_an_end_are_handled() {
    let server = Server::start().await;
    let ops = typed("A", &"x".repeat(1000));
    for closes in [true, false] {
        let doc = format!("doc-{closes}");
        let mut watcher = server.join(&doc, "W").await;
        let mut client = server.join(&doc, "A").await;
        for (at, op) in ops.iter().enumerate() {
            client.op(&doc, "A", &at.to_string(), op).await;
        }
        if closes {
            client.raw(Message::Close(None)).await;
            while let Some(message) = client.ws.next().await {
                message.unwrap();
            }
        } else {
            client.ws.get_mut().shutdown().await.unwrap();
            while let Some(Ok(_)) = client.ws.next().await {}
        }
        drop(client);
        for seq in 1..=1000 {
            assert_eq!(watcher.echo().await, seq);
        }
    }
}

#[tokio::test]
async fn shutdown_closes_with_1001() {
    let server = Server::start().await;
    let mut idle = server.join("doc", "A").await;
    let mut greeting = server.connect().await;
    let mut busy = server.join("doc", "B").await;
    busy.op("doc", "B", "1", &ins((0, ""), (1, "B"), 'b')).await;
    assert_eq!((busy.echo().await, idle.echo().await), (1, 1));
    // A request that never ends holds nothing up.
    let mut unfinished = TcpStream::connect(server.address).await.unwrap();
    unfinished
        .write_all(b"GET /health HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let stopping = tokio::spawn(server.stop());
    for client in [&mut idle, &mut greeting, &mut busy] {
        assert_eq!(client.closed().await, 1001);
    }
    stopping.await.unwrap();
}

/// Documents and clients with the same names elsewhere are nobody's business.
#[tokio::test]
async fn documents_are_apart() {
    let server = Server::start().await;
    let op = ins((0, ""), (1, "A"), 'a');
    for doc in ["one", "two"] {
        let mut client = server.join(doc, "A").await;
        client.send(submission(doc, "A", "m", &op)).await;
        let echo = client.next().await;
        assert_eq!(
            (&echo["server_seq"], &echo["doc_id"]),
            (&json!(1), &json!(doc))
        );
    }
}
