//! Violations over a socket: which close code each gets, and that nobody else notices.

use serde_json::json;

use crate::client::{Data, Frame, Message, OpCode, Server, hello, submission};
use crate::{ins, run, typed};

/// Text messages behind a `hello` for `doc` as `A`, and the close code that each gets.
#[tokio::test]
async fn close_codes_of_texts() {
    let op = ins((0, ""), (1, "A"), 'a');
    let good = submission("doc", "A", "m", &op).to_string();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let deep = |depth: usize| {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        with("{", &format!("{{\"x\":{nested},"))
    };
    let bad = [
        (1002, String::new()),
        (1002, "{".into()),
        (1002, "null".into()),
        (1002, "[]".into()),
        (1002, format!("[{good}]")),
        (1002, format!("{good} x")),
        (1002, format!("{good}{good}")),
        (1002, "{}".into()),
        (1002, json!({"type":"op"}).to_string()),
        (1002, json!({"type":"op_echo"}).to_string()),
        (1002, json!({"type":3}).to_string()),
        (1002, with("\"a\"", "\"ab\"")),
        (1002, with("\"a\"", "\"\"")),
        (1002, with("\"a\"", "\"e\u{301}\"")),
        (1002, with("\"a\"", "null")),
        (1002, with("\"a\"", "\"\\ud800\"")),
        (1002, with("{", "{\"x\":\"\\ud800\",")),
        (1002, with("{", "{\"x\":{\"\\udc00\":[]},")),
        (1002, with("{", "{\"x\":[{\"y\":\"\\ud800\\u0041\"}],")),
        (1002, with("{", "{\"x\":NaN,")),
        (1002, with("{", "{\"x\":-Infinity,")),
        (1002, with("{", "{\"x\":1,}")),
        (1002, with("[1,", "[0,")),
        (1002, with("[1,", "[-1,")),
        (1002, with("[1,", "[1.5,")),
        (1002, with("[1,", "[\"1\",")),
        (1002, with("[1,", "[true,")),
        (1002, with("[1,", "[9007199254740992,")),
        (1002, with("[1,\"A\"]", "[1]")),
        (1002, with("[1,\"A\"]", "[1,\"A\",1]")),
        (1002, with("[1,\"A\"]", "[1,\"\"]")),
        (1002, with("[0,\"root\"]", "[0,\"Root\"]")),
        (1002, with("\"ins\"", "\"move\"")),
        (1002, with("\"m\"", "7")),
        (1002, with("\"m\"", &format!("\"{}\"", "m".repeat(257)))),
        (1002, with("\"doc\"", "\"\"")),
        (
            1002,
            json!({"type":"op","doc_id":"doc","client_id":"A","client_msg_id":"m",
            "op":{"type":"del","id":[0,"root"]}})
            .to_string(),
        ),
        (1002, json!({"type":"hello","doc_id":"doc"}).to_string()),
        (1003, hello("doc", "A", 0).to_string()),
        (1008, with("\"doc\"", "\"Doc\"")),
        (1008, with("\"client_id\":\"A\"", "\"client_id\":\"B\"")),
        (1008, with("[1,\"A\"]", "[1,\"B\"]")),
        (1008, with("[0,\"root\"]", "[1,\"Z\"]")),
        // The first line of the table that applies.
        (1002, with("\"doc\"", "\"Doc\"").replace("\"a\"", "\"ab\"")),
        (1009, with("\"a\"", &format!("\"{}\"", "a".repeat(1 << 20)))),
        // Deeper than anyone must take; it may be refused but must not bring the server down.
        (1002, deep(100_000)),
        (1002, deep(100_000).replace("\"a\"", "\"\\u0061\"")),
    ];
    let server = Server::start().await;
    let mut other = server.join("doc", "B").await;
    for (code, text) in bad {
        let mut client = server.join("doc", "A").await;
        let start: String = text.chars().take(200).collect();
        client.raw(Message::text(text)).await;
        // Not handled: it comes behind the offence.
        let _ = client.ws.send_late(&good).await;
        assert_eq!(client.closed().await, code, "{start}");
    }
    let mut client = server.join("doc", "A").await;
    let taken = [
        deep(30),
        with("{", "{\"x\":\"\\ud83d\\ude00\",")
            .replace("\"m\"", "\"n\"")
            .replace("[1,", "[2,"),
        with("\"m\"", &format!("\"{}\"", "😀".repeat(256))).replace("[1,", "[3,"),
        with("[1,", "[9007199254740991,").replace("\"m\"", "\"o\""),
        with("\"op\":{", "\"op\":{\"x\":[null],")
            .replace("\"m\"", "\"p\"")
            .replace("[1,", "[4,"),
    ];
    for (text, seq) in taken.into_iter().zip(1..) {
        client.raw(Message::text(text)).await;
        let echo = client.next().await;
        assert_eq!(echo["server_seq"], seq);
        assert_eq!(echo.as_object().unwrap().len(), 6, "{echo}");
        assert_eq!(echo["op"].as_object().unwrap().len(), 4, "{echo}");
        // The other connection has seen nothing of all the violations.
        assert_eq!(other.next().await, echo);
    }
}

trait SendLate {
    async fn send_late(&mut self, text: &str) -> Result<(), ()>;
}

impl<S: futures_util::Sink<Message> + Unpin> SendLate for S {
    /// Sends on a connection that may be closed already.
    async fn send_late(&mut self, text: &str) -> Result<(), ()> {
        futures_util::SinkExt::send(self, Message::text(text))
            .await
            .map_err(drop)
    }
}

#[tokio::test]
async fn close_codes_of_first_messages() {
    let server = Server::start().await;
    let op = submission("doc", "A", "m", &ins((0, ""), (1, "A"), 'a')).to_string();
    let bare = |kind, bytes: &'static [u8]| {
        Message::Frame(Frame::message(bytes, OpCode::Data(kind), true))
    };
    let offences = [
        (1002, Message::text(op)),
        (1002, Message::text("hello")),
        (1003, Message::binary("{}".as_bytes())),
        (1007, bare(Data::Text, b"\xff")),
        (1007, bare(Data::Text, b"{\"type\":\"\xed\xa0\x80\"}")),
        (1009, Message::text(" ".repeat((1 << 20) + 1))),
        (1009, Message::binary(vec![0; (1 << 20) + 1])),
        // A frame that continues nothing.
        (1002, bare(Data::Continue, b"{}")),
    ];
    for (code, message) in offences {
        let mut client = server.connect().await;
        client.raw(message).await;
        assert_eq!(client.closed().await, code);
    }
}

/// The close frame must outlive what is still on its way (`close.delivered`).
#[tokio::test]
async fn the_close_frame_arrives_after_an_oversized_message() {
    let server = Server::start().await;
    for joined in [false, true] {
        let mut client = match joined {
            true => server.join("doc", "A").await,
            false => server.connect().await,
        };
        client.raw(Message::text("x".repeat(20 << 20))).await;
        assert_eq!(client.closed().await, 1009);
    }
    // In fragments, none of them too long.
    let mut client = server.join("doc", "A").await;
    let mut kind = Data::Text;
    for _ in 0..40 {
        let frame = Frame::message(vec![b' '; 512 << 10], OpCode::Data(kind), false);
        client.raw(Message::Frame(frame)).await;
        kind = Data::Continue;
    }
    assert_eq!(client.closed().await, 1009);
}

/// What is queued is sent before the close, and what follows the offence is not handled.
#[tokio::test]
async fn echoes_before_an_offence_are_sent() {
    let server = Server::start().await;
    let mut client = server.join("doc", "A").await;
    let ops = typed("A", &"x".repeat(2000));
    for (at, op) in ops.iter().enumerate() {
        client.op("doc", "A", &at.to_string(), op).await;
    }
    client.send(hello("doc", "A", 0)).await;
    client
        .op("doc", "A", "late", &ins((0, ""), (1, "A"), 'y'))
        .await;
    for seq in 1..=2000 {
        assert_eq!(client.echo().await, seq);
    }
    assert_eq!(client.closed().await, 1003);
    let mut client = server.connect().await;
    client.hello("doc", "A", 0).await;
    assert_eq!(client.next().await["server_seq"], 2000);
}

#[tokio::test]
async fn no_hello_in_time() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let started = std::time::Instant::now();
    client.raw(Message::Ping("still here".into())).await;
    assert_eq!(client.closed().await, 1002);
    assert!(
        (5..60).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
}

/// Where the heads of frames grow: from 125 bytes to 126, and from 65,535 to 65,536.
#[tokio::test]
async fn messages_of_every_length_arrive_whole() {
    let server = Server::start().await;
    let empty = json!({"type":"resync","doc_id":"","server_seq":0,"full_text":""});
    for length in 120..=130 {
        let doc = "d".repeat(length - empty.to_string().len());
        let (_, _, resync) = server.join_with(&doc, "A", &[]).await;
        assert_eq!(resync.to_string().len(), length);
        assert_eq!(resync["doc_id"], doc);
    }
    for length in 65_530..=65_540 {
        let doc = format!("d{length}");
        let around = json!({"type":"resync","doc_id":doc,"server_seq":10_000,"full_text":""});
        let text = "x".repeat(length - around.to_string().len());
        let (mut writer, _, _) = server.join_with(&doc, "A", &["runs"]).await;
        writer
            .op(&doc, "A", "m", &run((0, ""), (1, "A"), &text))
            .await;
        writer.next().await;
        let (_, _, resync) = server.join_with(&doc, "B", &[]).await;
        assert_eq!(resync.to_string().len(), length);
        assert_eq!(resync["full_text"], text);
    }
    server.stop().await;
}
