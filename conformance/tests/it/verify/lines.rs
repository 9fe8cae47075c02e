//! What the command says of captures: green, red, and those that can't be read.

use std::fs;

use serde_json::{Value, json};

use super::{Folder, graded};
use crate::cli::{assert_stops, stdout};

fn line(connection: &str, from: &str, content: &Value) -> String {
    let line = json!({"at_us": 5, "connection": connection, "from": from, "kind": "text",
        "content": content.to_string()});
    format!("{line}\n")
}

fn open(connection: &str) -> String {
    format!("{{\"connection\":\"{connection}\",\"from\":\"client\",\"kind\":\"open\"}}\n")
}

fn joined(connection: &str, head: u64, text: &str) -> String {
    [
        line(
            connection,
            "client",
            &json!({"type": "hello", "doc_id": "d", "client_id": connection}),
        ),
        line(
            connection,
            "server",
            &json!({"type": "hello_ack", "doc_id": "d", "server_seq": head}),
        ),
        line(
            connection,
            "server",
            &json!({"type": "resync", "doc_id": "d", "server_seq": head, "full_text": text}),
        ),
    ]
    .concat()
}

fn op(client: &str, seq: u64, value: &str) -> Value {
    json!({"type": "op", "doc_id": "d", "client_id": client, "client_msg_id": format!("m-{seq}"),
        "op": {"type": "ins", "parent_id": [0, "root"], "id": [seq, client], "value": value}})
}

fn echo(client: &str, seq: u64, value: &str) -> Value {
    let mut echo = op(client, seq, value);
    let fields = echo.as_object_mut().unwrap();
    fields.insert("type".into(), "op_echo".into());
    fields.insert("server_seq".into(), seq.into());
    let client = fields.remove("client_id").unwrap();
    fields.insert("origin_client_id".into(), client);
    echo
}

fn broken(is_whole: bool, capture: &str) -> Vec<String> {
    graded(is_whole, [capture]).broken.into_keys().collect()
}

#[test]
fn a_breach_is_shown_with_its_place_its_sentence_and_what_was_around() {
    let folder = Folder::new("words");
    let path = folder.path().join("capture.jsonl");
    let capture = [
        open("A"),
        joined("A", 0, ""),
        line("A", "client", &op("A", 1, "x")),
        line("A", "server", &echo("A", 1, "x")),
        line("A", "server", &echo("A", 3, "y")),
    ];
    fs::write(&path, capture.concat()).unwrap();
    let name = path.to_str().unwrap();
    let report = folder.path().join("report.json");
    let text = stdout(&["verify", name, "--report", report.to_str().unwrap()], 1);
    for part in [
        "capture.jsonl:7: connection \"A\", document \"d\"",
        "[seq.from-baseline] spec/protocol.md:",
        "On one connection, the echo that follows MUST carry the seq after the last",
        "on A the seq 3 came where 2 is next",
        "> sent by the client",
        "=>",
        "1  seq.from-baseline",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["requirements"][0]["id"], "seq.from-baseline");
    assert_eq!(report["cases"][0]["verdict"], "fail");
    let ends = "{\"connection\":\"A\",\"from\":\"client\",\"kind\":\"close\",\"code\":1006}\n\
        {\"connection\":\"A\",\"from\":\"client\",\"kind\":\"end\"}\n";
    fs::write(&path, capture[..4].concat() + ends).unwrap();
    let text = stdout(&["verify", name], 0);
    assert!(text.contains("No rule is broken in it."), "{text}");
    assert!(
        text.contains("read 8 events in 1 file: 1 connection on 1 document"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_2_with_the_place() {
    let folder = Folder::new("unreadable");
    let path = folder.path().join("capture.jsonl");
    let name = path.to_str().unwrap();
    for (capture, sentence) in [
        (
            open("A") + "{\"kind\":\"text\"}\n",
            "capture.jsonl:2: the line is no event",
        ),
        (
            open("A") + "nonsense\n",
            "capture.jsonl:2: the line is no event",
        ),
        (
            "{\"from\":\"client\",\"kind\":\"open\"}\n".to_owned(),
            "capture.jsonl:1: `connection` is missing",
        ),
        (
            "{\"connection\":\"A\",\"from\":\"client\",\"kind\":\"text\"}\n".to_owned(),
            "capture.jsonl:1: a `text` line has no `content`",
        ),
        ("{\"log\":{}}".to_owned(), "the file is no HAR"),
        (open("A"), "nothing in"),
        (String::new(), "there is no message of a server"),
    ] {
        fs::write(&path, capture).unwrap();
        assert_stops(&["verify", name], 2, sentence);
    }
    assert_stops(&["verify", "/no/such/file"], 2, "can't be read");
    assert_stops(&["verify"], 2, "<FILE>");
}

#[test]
fn a_capture_may_begin_and_end_anywhere() {
    let middle = [
        line("A", "client", &op("A", 7, "x")),
        line("A", "server", &echo("B", 4, "y")),
        line("A", "server", &echo("A", 2, "z")),
        line("A", "server", &echo("B", 5, "y")),
    ];
    let cut = middle.concat() + "{\"at_us\":9,\"conn";
    let graded = graded(false, [cut.as_str()]);
    assert!(graded.broken.is_empty(), "{}", graded.text());
    assert_eq!(graded.counts.from_start, 0);
    assert!(
        graded.text().contains("1 connections were under way"),
        "{}",
        graded.text()
    );
    assert!(
        graded.text().contains("1 last lines that are cut"),
        "{}",
        graded.text()
    );
    // Others' echoes have no gaps, wherever one begins.
    let gap = middle[..2].concat() + &line("A", "server", &echo("B", 6, "y"));
    assert_eq!(broken(false, &gap), ["seq.from-baseline"]);
    // A hello that an ack answers is the first message, opening or not.
    let start = joined("A", 0, "")
        + &line(
            "A",
            "server",
            &json!({"type": "hello_ack",
        "doc_id": "d", "server_seq": 0}),
        );
    assert_eq!(broken(false, &start), ["session.ack-first"]);
    // One that none answers was none that a server had to take.
    let second = line(
        "A",
        "client",
        &json!({"type": "hello", "doc_id": "d", "client_id": "A"}),
    ) + &line("A", "server", &echo("B", 6, "y"));
    assert!(broken(false, &second).is_empty());
}

#[test]
fn a_server_that_began_anew_is_not_taken_for_a_wrong_one() {
    let life = |value: &str| {
        open("A")
            + &joined("A", 0, "")
            + &line("A", "client", &op("A", 1, value))
            + &line("A", "server", &echo("A", 1, value))
            + "{\"connection\":\"A\",\"from\":\"server\",\"kind\":\"end\"}\n"
    };
    let anew = life("x") + &life("y");
    assert!(broken(false, &anew).is_empty());
    assert!(broken(true, &anew).contains(&"ack.fields".to_owned()));
    let told = life("x")
        + "{\"from\":\"client\",\"kind\":\"server\",\"text\":\"restarted\"}\n"
        + &life("y");
    assert!(broken(true, &told).is_empty());
}

#[test]
fn only_whole_traffic_shows_what_nobody_has_sent() {
    let capture = open("A") + &joined("A", 0, "") + &line("A", "server", &echo("B", 1, "x"));
    assert!(broken(false, &capture).is_empty());
    let found = broken(true, &capture);
    assert_eq!(found, ["echo.fields", "seq.dense"]);
}

#[test]
fn texts_are_compared_with_the_ops_that_came() {
    let typed = |seq: u64, value: &str| {
        line("A", "client", &op("A", seq, value)) + &line("A", "server", &echo("A", seq, value))
    };
    let start = open("A") + &joined("A", 0, "") + &typed(1, "b");
    // The text of seq 2 comes before the op does.
    let right = start.clone() + &open("B") + &joined("B", 2, "ab") + &typed(2, "a");
    assert!(broken(false, &right).is_empty());
    let wrong = start + &open("B") + &joined("B", 2, "ba") + &typed(2, "a");
    assert_eq!(broken(false, &wrong), ["resync.text"]);
}

#[test]
fn the_har_of_a_browser_is_read() {
    let har = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/har/page.har");
    let text = stdout(&["verify", "--whole", har], 0);
    assert!(
        text.contains("3 connections on 1 document, 3 from the opening on"),
        "{text}"
    );
    assert!(text.contains("3 resyncs compared"), "{text}");
    assert!(text.contains("a HAR, which has no close frames"), "{text}");
    let wrong = fs::read_to_string(har).unwrap();
    let wrong = wrong.replacen(r#"\"server_seq\":7,"#, r#"\"server_seq\":8,"#, 1);
    let found: Vec<String> = graded(false, [wrong.as_str()]).broken.into_keys().collect();
    assert!(found.contains(&"seq.from-baseline".to_owned()), "{found:?}");
    // Another WebSocket of a page is none of ours.
    let other = r#"{"log":{"entries":[{"_webSocketMessages":[
        {"type":"send","time":1,"opcode":1,"data":"ping"},
        {"type":"receive","time":2,"opcode":1,"data":"pong"}]}]}}"#;
    let graded = graded(false, [other]);
    assert!(graded.broken.is_empty() && !graded.is_judged());
}
