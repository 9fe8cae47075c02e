//! The profile `presence`: passed on, remembered while somebody is there, and never in the way.

use std::time::Duration;

use collab_reference::Config;
use collab_reference::log::MemoryStore;
use collab_reference::presence::{Inbox, MAX_STATE_BYTES, Presence, State, update};
use collab_reference::violation::Violation;
use collab_spec::message::ClientMessage;
use futures_util::SinkExt;
use serde_json::{Value, json};

use crate::client::{Message, Server, hello, showing, submission};
use crate::{ins, name, typed};

/// What becomes of a state that a client wrote so; nothing where serde refuses the message.
fn state(written: &str) -> Option<Result<String, Violation>> {
    let start = r#"{"state":"#;
    let end = r#","type":"presence_update","doc_id":"d","client_id":"c","x":[{"state":1}]}"#;
    let text = format!("{start}{written}{end}");
    let Ok(ClientMessage::PresenceUpdate(update)) = serde_json::from_str::<ClientMessage>(&text)
    else {
        return None;
    };
    let state = State::new(&text, &update.state?);
    Some(state.map(|state| serde_json::to_string(&state).unwrap()))
}

#[test]
fn a_state_is_kept_as_it_was_written() {
    for (written, kept) in [
        ("{}", "{}"),
        (" { } ", "{}"),
        (r#"{"z":1,"a":2,"1":3}"#, r#"{"z":1,"a":2,"1":3}"#),
        ("{\"a\" :\t[ 1 ,\r\n{ } ] }", r#"{"a":[1,{}]}"#),
        (
            r#"{"a":[1.0,-0,0.10,1e2,5E-324,12345678901234567890123,9007199254740993]}"#,
            r#"{"a":[1.0,-0,0.10,1e2,5E-324,12345678901234567890123,9007199254740993]}"#,
        ),
        (
            r#"{"\u0061":"\u00e9\/ : \" \\ \ud83d\ude00\u0000"}"#,
            r#"{"a":"é/ : \" \\ 😀\u0000"}"#,
        ),
    ] {
        assert_eq!(state(written), Some(Ok(kept.to_owned())), "{written}");
    }
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(state(&nested(63)), Some(Ok(nested(63))));
    assert_eq!(state(&nested(64)), Some(Err(Violation::Malformed)));
    // A key twice, escaped or not, at any depth.
    for twice in [r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"y":{"k":1,"k":1}}]}"#] {
        assert_eq!(state(twice), Some(Err(Violation::Malformed)));
    }
    // What others could not read.
    assert_eq!(state(r#"{"a":1e400}"#), None);
    assert_eq!(state(r#"{"a":"\ud800"}"#), None);
}

#[test]
fn a_state_is_measured_without_what_json_does_not_ask_for() {
    let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "é".repeat((bytes - 8) / 2));
    assert_eq!(sized(MAX_STATE_BYTES).len(), MAX_STATE_BYTES);
    let escaped = sized(MAX_STATE_BYTES)
        .replace('é', " \\u00e9")
        .replace(" \\", "\\");
    let spaced = sized(MAX_STATE_BYTES).replace(':', &format!("{}:", " ".repeat(100_000)));
    for written in [sized(MAX_STATE_BYTES), escaped, spaced] {
        assert_eq!(state(&written), Some(Ok(sized(MAX_STATE_BYTES))));
    }
    assert_eq!(
        state(&sized(MAX_STATE_BYTES + 2)),
        Some(Err(Violation::StateTooBig))
    );
}

/// Of clients that come and go while nothing is taken, only so many are remembered for one that did
/// not hear of them; those that it knows are.
#[test]
fn an_inbox_does_not_grow() {
    let (mut presence, mut inbox) = (Presence::default(), Inbox::default());
    let doc = name("doc");
    let shows = || {
        let text = r#"{"type":"presence_update","state":{"n":1}}"#;
        State::new(text, json!({"n":1}).as_object().unwrap()).unwrap()
    };
    let mut known = Vec::new();
    for at in 0..100 {
        known.push(name(&format!("known-{at}")));
        presence.put(&known[at], Some(shows()), 0);
    }
    assert_eq!(inbox.take(&presence, &doc).len(), 1);
    for at in 0..10_000 {
        let client = name(&format!("passing-{at}"));
        let since = presence.put(&client, Some(shows()), 0);
        inbox.put(&client, update(&doc, &client, Some(&shows())), None);
        assert_eq!(presence.put(&client, None, 0), since);
        inbox.put(&client, update(&doc, &client, None), Some(since));
    }
    for client in &known {
        let since = presence.put(client, None, 0);
        inbox.put(client, update(&doc, client, None), Some(since));
    }
    let mut taken = Vec::new();
    loop {
        let frames = inbox.take(&presence, &doc);
        if frames.is_empty() {
            break;
        }
        taken.extend(frames);
    }
    assert!(inbox.is_empty());
    assert!(taken.len() < 1_500, "{}", taken.len());
    for client in &known {
        assert!(taken.contains(&update(&doc, client, None)), "{client}");
    }
}

#[tokio::test]
async fn passed_on_and_remembered() {
    let server = Server::start().await;
    let (mut a, states) = server.join_shown("doc", "A").await;
    assert_eq!(states, json!({}));
    let (mut b, _) = server.join_shown("doc", "B").await;
    let mut plain = server.join("doc", "P").await;
    let (mut elsewhere, _) = server.join_shown("other", "A").await;
    let cursor = json!({"cursor":{"anchor_id":[1001,"A"],"affinity":"right"}});
    let mut update = showing("doc", "A", cursor.clone());
    update["server_seq"] = json!(3);
    a.send(update).await;
    assert_eq!(b.shown().await, ("A".into(), cursor.clone()));
    b.send(showing("doc", "B", json!({}))).await;
    assert_eq!(a.shown().await, ("B".into(), json!({})));
    let (mut c, states) = server.join_shown("doc", "C").await;
    assert_eq!(states, json!({"A":cursor,"B":{}}));
    a.send(showing("doc", "A", Value::Null)).await;
    for client in [&mut b, &mut c] {
        assert_eq!(client.shown().await, ("A".into(), Value::Null));
    }
    let (mut late, states) = server.join_shown("doc", "D").await;
    assert_eq!(states, json!({"B":{}}));
    // Nothing of it has a seq, and whoever has not asked for it got nothing.
    plain
        .op("doc", "P", "m", &ins((0, ""), (1, "P"), 'p'))
        .await;
    for client in [&mut plain, &mut a, &mut b, &mut c, &mut late] {
        assert_eq!(client.echo().await, 1);
    }
    elsewhere
        .op("other", "A", "m", &ins((0, ""), (1, "A"), 'p'))
        .await;
    assert_eq!(elsewhere.echo().await, 1);
}

/// The snapshot comes behind a long replay, and presence is no part of it.
#[tokio::test]
async fn the_snapshot_comes_after_the_sync() {
    let server = Server::start().await;
    let (mut writer, ack, _) = server.join_with("doc", "W", &["presence", "resume"]).await;
    assert_eq!(writer.next().await["type"], "presence_snapshot");
    for (seq, op) in (1..=2000).zip(typed("W", &"x".repeat(2000))) {
        writer.send(showing("doc", "W", json!({"seq":seq}))).await;
        writer.op("doc", "W", &seq.to_string(), &op).await;
        assert_eq!(writer.echo().await, seq);
    }
    for seen in [1, 2000] {
        let mut client = server.connect().await;
        let mut hello = hello("doc", "C", seen);
        hello["capabilities"] = json!(["resume", "presence"]);
        hello["epoch"] = ack["epoch"].clone();
        client.send(hello).await;
        assert_eq!(client.next().await["sync"], "replay");
        for seq in seen + 1..=2000 {
            assert_eq!(client.echo().await, seq);
        }
        let snapshot =
            json!({"type":"presence_snapshot","doc_id":"doc","states":{"W":{"seq":2000}}});
        assert_eq!(client.next().await, snapshot);
    }
}

#[tokio::test]
async fn who_leaves_shows_nothing() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join_shown("doc", "W").await;
    for way in ["close", "end", "reset", "violation"] {
        let (mut client, states) = server.join_shown("doc", "A").await;
        assert_eq!(states, json!({}), "{way}");
        client.send(showing("doc", "A", json!({"way":way}))).await;
        assert_eq!(watcher.shown().await, ("A".into(), json!({"way":way})));
        match way {
            "close" => client.raw(Message::Close(None)).await,
            "violation" => client.send(hello("doc", "A", 0)).await,
            "reset" => client.ws.get_ref().set_zero_linger().unwrap(),
            _ => {}
        }
        drop(client);
        assert_eq!(watcher.shown().await, ("A".into(), Value::Null), "{way}");
    }
    // Who showed nothing, or nothing any more, leaves without a word.
    let (mut client, _) = server.join_shown("doc", "A").await;
    client.send(showing("doc", "A", json!({}))).await;
    client.send(showing("doc", "A", Value::Null)).await;
    let mut last = watcher.shown().await;
    if last.1 != Value::Null {
        last = watcher.shown().await;
    }
    assert_eq!(last, ("A".into(), Value::Null));
    drop(client);
    let (client, _) = server.join_shown("doc", "A").await;
    drop(client);
    watcher
        .op("doc", "W", "m", &ins((0, ""), (1, "W"), 'w'))
        .await;
    assert_eq!(watcher.echo().await, 1);
}

#[tokio::test]
async fn a_dying_connection_does_not_erase_what_a_new_one_shows() {
    let server = Server::start().await;
    let (mut watcher, _) = server.join_shown("doc", "W").await;
    let (mut old, _) = server.join_shown("doc", "A").await;
    old.send(showing("doc", "A", json!({"from":"old"}))).await;
    assert_eq!(watcher.shown().await.1, json!({"from":"old"}));
    let (mut new, states) = server.join_shown("doc", "A").await;
    assert_eq!(states, json!({"A":{"from":"old"}}));
    new.send(showing("doc", "A", json!({"from":"new"}))).await;
    assert_eq!(watcher.shown().await.1, json!({"from":"new"}));
    assert_eq!(old.shown().await.1, json!({"from":"new"}));
    old.raw(Message::Close(None)).await;
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut old.ws).await {}
    // Its end is settled when the close has been answered.
    let (mut late, states) = server.join_shown("doc", "L").await;
    assert_eq!(states, json!({"A":{"from":"new"}}));
    drop(new);
    for client in [&mut watcher, &mut late] {
        assert_eq!(client.shown().await, ("A".into(), Value::Null));
    }
}

/// Twenty times what may wait of ops, to somebody who does not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_newest_and_is_not_closed() {
    const UPDATES: usize = 6_000;
    let config = Config {
        max_waiting_bytes: 1 << 20,
        ..Config::default()
    };
    let server = Server::with(config, MemoryStore::default()).await;
    let mut slow = server.connect_tight().await;
    let mut joining = hello("doc", "S", 0);
    joining["capabilities"] = json!(["presence"]);
    slow.send(joining).await;
    let (mut busy, _) = server.join_shown("doc", "A").await;
    let (mut quiet, _) = server.join_shown("doc", "Q").await;
    quiet.send(showing("doc", "Q", json!({"n":"once"}))).await;
    assert_eq!(busy.shown().await.0, "Q");
    let pad = "x".repeat(3_500);
    let sending = async {
        for at in 1..=UPDATES {
            let state = json!({"at":at,"pad":pad});
            let text = showing("doc", "A", state).to_string();
            busy.ws.feed(Message::text(text)).await.unwrap();
        }
        // An op behind them all.
        let op = submission("doc", "A", "m", &ins((0, ""), (1, "A"), 'a')).to_string();
        busy.ws.send(Message::text(op)).await.unwrap();
        assert_eq!(busy.echo().await, 1);
    };
    let watching = async {
        let (mut last, mut echoed) = (0, false);
        while last < UPDATES as u64 || !echoed {
            let message = quiet.next().await;
            match message["type"].as_str().unwrap() {
                "op_echo" => echoed = true,
                _ => {
                    let at = message["state"]["at"].as_u64().unwrap();
                    assert!(at > last, "{at} after {last}");
                    last = at;
                }
            }
        }
    };
    tokio::join!(sending, watching);
    assert_eq!(slow.next().await["type"], "hello_ack");
    assert_eq!(slow.next().await["type"], "resync");
    assert_eq!(slow.next().await["type"], "presence_snapshot");
    let (mut last, mut got, mut once, mut echoed) = (0, 0, false, false);
    while last < UPDATES as u64 || !once || !echoed {
        let message = slow.next().await;
        if message["type"] == "op_echo" {
            echoed = true;
        } else if message["client_id"] == "Q" {
            once = true;
        } else {
            last = message["state"]["at"].as_u64().unwrap();
            got += 1;
        }
        // Q may have stood in the snapshot.
        once |= last == UPDATES as u64;
    }
    eprintln!("{got} of {UPDATES} updates reached a reader that was away");
    assert!(got < UPDATES / 2, "{got}");
}

/// Neither waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn presence_comes_through_a_flood_of_ops() {
    const OPS: u64 = 10_000;
    let server = Server::start().await;
    let (mut reader, _) = server.join_shown("doc", "R").await;
    let (mut mover, _) = server.join_shown("doc", "M").await;
    let mut writer = server.join("doc", "W").await;
    let writing = tokio::spawn(async move {
        for (seq, op) in (1..=OPS).zip(typed("W", &"x".repeat(OPS as usize))) {
            writer.op("doc", "W", &seq.to_string(), &op).await;
            if seq % 100 == 0 {
                for _ in 0..100 {
                    writer.echo().await;
                }
            }
        }
    });
    let moving = tokio::spawn(async move {
        let mut at = 0;
        while mover.echo().await < OPS {
            at += 1;
            mover.send(showing("doc", "M", json!({"at":at}))).await;
        }
        mover
    });
    let (mut echoes, mut updates, mut between) = (0, 0, 0);
    while echoes < OPS {
        let message = reader.next().await;
        if message["type"] == "op_echo" {
            echoes += 1;
        } else {
            updates += 1;
            between += u64::from(echoes < OPS);
        }
    }
    writing.await.unwrap();
    drop(
        tokio::time::timeout(Duration::from_secs(20), moving)
            .await
            .unwrap(),
    );
    assert!(between > 10, "{between} of {updates}");
}

#[tokio::test]
async fn close_codes() {
    let server = Server::start().await;
    let (mut other, _) = server.join_shown("doc", "B").await;
    let long = json!({"x":"y".repeat(MAX_STATE_BYTES)});
    let nothing = json!({"type":"presence_update","doc_id":"doc","client_id":"A"});
    for (code, message) in [
        (1008, showing("Doc", "A", json!({}))),
        (1008, showing("doc", "B", Value::Null)),
        (1009, showing("doc", "A", long.clone())),
        (1008, showing("doc", "B", long)),
        (1002, showing("doc", "B", json!([]))),
        (1002, showing("doc", "A", json!("x"))),
        (1002, nothing),
    ] {
        let (mut client, _) = server.join_shown("doc", "A").await;
        client.send(message.clone()).await;
        client.send(showing("doc", "A", json!({"late":true}))).await;
        assert_eq!(client.closed().await, code, "{message}");
    }
    // None of it was passed on.
    other
        .op("doc", "B", "m", &ins((0, ""), (1, "B"), 'b'))
        .await;
    assert_eq!(other.echo().await, 1);
}
