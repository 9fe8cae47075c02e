//! Servers that do nothing right pass no case, and are done with in seconds.

use std::io;

use collab_conformance::case::{self, Case};
use collab_conformance::runner::{FirstContact, Options};
use collab_conformance::target::Target;
use collab_spec::report::{Report, Verdict};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// What a server without any sense does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Null {
    /// Takes the TCP connection and says nothing.
    TcpOnly,
    /// Answers 404 to everything.
    HttpOnly,
    /// Opens the WebSocket and stays silent.
    Silent,
    /// Sends every message back.
    Echo,
    /// Closes at once with a code.
    Close(u16),
    /// Sends a text that means nothing.
    GarbageText,
    /// Sends bytes that mean nothing.
    GarbageBinary,
}

const ALL: [Null; 8] = [
    Null::TcpOnly,
    Null::HttpOnly,
    Null::Silent,
    Null::Echo,
    Null::Close(1000),
    Null::Close(1002),
    Null::GarbageText,
    Null::GarbageBinary,
];

async fn start(null: Null) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whether one of its connections fails is nothing to such a server.
            tokio::spawn(async move { drop(serve(null, stream).await) });
        }
    });
    Target::new(&format!("ws://{address}/ws")).unwrap()
}

async fn serve(null: Null, mut stream: TcpStream) -> io::Result<()> {
    match null {
        Null::TcpOnly => drain(&mut stream).await,
        Null::HttpOnly => {
            // One read is the whole request.
            let _ = stream.read(&mut [0; 4096]).await?;
            let answer =
                b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await
        }
        _ => {
            if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                talk(null, socket).await;
            }
            Ok(())
        }
    }
}

async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn talk(null: Null, mut socket: WebSocketStream<TcpStream>) {
    let first = match null {
        Null::Close(code) => Some(Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: "protocol: no".into(),
        }))),
        Null::GarbageText => Some(Message::text("garbage")),
        Null::GarbageBinary => Some(Message::binary(vec![0, 255])),
        _ => None,
    };
    if let Some(message) = first
        && socket.send(message).await.is_err()
    {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let answer = match null {
            Null::Echo if message.is_text() || message.is_binary() => message,
            Null::GarbageText if message.is_text() => Message::text("garbage"),
            Null::GarbageBinary if message.is_text() => Message::binary(vec![0, 255]),
            _ => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// The cases that can be played at a URL.
fn cases() -> Vec<Case> {
    let mut cases = case::all().unwrap();
    cases.retain(|case| !case.own_server);
    cases
}

fn assert_nothing_passes(null: Null, report: &Report) {
    let passed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Fail)
        .map(|case| case.id.as_str())
        .collect();
    assert!(passed.is_empty(), "{null:?} did not fail {passed:#?}");
    assert_eq!(report.cases.len(), cases().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_contact_stops_the_run() {
    let _alone = crate::ALONE.lock().await;
    for null in ALL {
        let target = start(null).await;
        let options = Options {
            timeout_scale: 0.2,
            ..Options::default()
        };
        let report = collab_conformance::run(target, &cases(), options)
            .await
            .unwrap();
        assert_nothing_passes(null, &report);
        for case in &report.cases {
            let message = case.message.as_deref().unwrap_or_default();
            assert!(
                message.starts_with("not played: the first contact failed: "),
                "{message}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_case_passes_even_without_the_first_contact() {
    let _alone = crate::ALONE.lock().await;
    for null in ALL {
        let target = start(null).await;
        let options = Options {
            timeout_scale: 0.02,
            concurrency: 64,
            first_contact: FirstContact::Skipped,
            ..Options::default()
        };
        let report = collab_conformance::run(target, &cases(), options)
            .await
            .unwrap();
        assert_nothing_passes(null, &report);
        for case in &report.cases {
            assert!(
                !case.breaches.is_empty(),
                "{null:?} {}: {:?}",
                case.id,
                case.message
            );
        }
    }
}

#[tokio::test]
async fn nobody_there_is_no_verdict() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let target = Target::new(&format!("ws://{address}/ws")).unwrap();
    let why = collab_conformance::run(target, &cases(), Options::default()).await;
    assert!(why.unwrap_err().contains("does not take connections"));
}

/// Passes the first connections on to a server, and leaves the others without an answer.
async fn dying(server: Target, connections: usize) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut taken = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            taken += 1;
            let server = (taken <= connections).then(|| (server.host().to_owned(), server.port()));
            tokio::spawn(async move {
                match server {
                    None => drain(&mut stream).await,
                    Some(server) => {
                        let mut inner = TcpStream::connect(server).await?;
                        tokio::io::copy_bidirectional(&mut stream, &mut inner)
                            .await
                            .map(drop)
                    }
                }
            });
        }
    });
    Target::new(&format!("ws://{address}/ws")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_ends_the_run() {
    let _alone = crate::ALONE.lock().await;
    let target = dying(crate::reference::start().await, 40).await;
    let options = Options {
        timeout_scale: 0.2,
        ..Options::default()
    };
    let cases: Vec<_> = case::all()
        .unwrap()
        .into_iter()
        .filter(|case| case.id.starts_with("frames/") || case.id.starts_with("crdt/"))
        .collect();
    let report = collab_conformance::run(target, &cases, options)
        .await
        .unwrap();
    let not_played = report
        .cases
        .iter()
        .filter_map(|case| case.message.as_deref())
        .filter(|message| message.starts_with("not played: the server stopped answering after "));
    assert!(not_played.count() > cases.len() / 2);
}
