//! What a client asks for and what it gets; that it gets nothing else.

use collab_reference::Config;
use collab_reference::log::MemoryStore;
use collab_reference::profiles::Profiles;
use collab_spec::profile::Profile;
use serde_json::json;

use crate::client::{Server, hello, showing, submission};
use crate::ins;

#[test]
fn what_is_on() {
    let all = &Profile::ALL[..];
    let table: [(&[&str], &[Profile], &[&str]); 9] = [
        (&[], all, &[]),
        (&["resume"], all, &["resume"]),
        (
            &["presence", "state", "resume"],
            all,
            &["resume", "state", "presence"],
        ),
        (&["state", "state"], all, &["state"]),
        (&["core"], all, &[]),
        (
            &["Resume", " state", "", "x-other", "presence"],
            all,
            &["presence"],
        ),
        (&["resume", "state"], &[Profile::State], &["state"]),
        (&["resume", "state"], &[Profile::Core], &[]),
        (&["resume"], &[], &[]),
    ];
    for (asked, offered, on) in table {
        let asked: Vec<_> = asked.iter().map(ToString::to_string).collect();
        assert_eq!(
            Profiles::negotiate(&asked, offered).names(),
            on,
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn the_ack_answers_what_was_asked() {
    let offering = Server::start().await;
    let config = Config {
        profiles: vec![Profile::Core],
        ..Config::default()
    };
    let plain = Server::with(config, MemoryStore::default()).await;
    let core = json!({"type":"hello_ack","doc_id":"doc","server_seq":0});
    for (capabilities, answered) in [
        (None, None),
        (Some(json!([])), Some(json!([]))),
        (Some(json!(["x"])), Some(json!([]))),
        (
            Some(json!(["presence", "x", "state"])),
            Some(json!(["state", "presence"])),
        ),
    ] {
        let mut hello = hello("doc", "A", 0);
        if let Some(capabilities) = capabilities {
            hello["capabilities"] = capabilities;
        }
        let mut expected = core.clone();
        if let Some(answered) = answered {
            expected["capabilities"] = answered;
        }
        for (server, expected) in [(&offering, &expected), (&plain, &core)] {
            let mut client = server.connect().await;
            client.send(hello.clone()).await;
            assert_eq!(client.next().await, *expected);
        }
    }
}

/// Whatever the others have, and whatever a client says without asking.
#[tokio::test]
async fn a_profile_that_is_off_does_not_exist() {
    let server = Server::start().await;
    let (mut other, _) = server.join_shown("doc", "B").await;
    other.send(showing("doc", "B", json!({"n":1}))).await;
    let mut client = server.connect().await;
    let mut hello = hello("doc", "A", 1);
    hello["epoch"] = json!("e");
    client.send(hello).await;
    let resync = json!({"type":"resync","doc_id":"doc","server_seq":0,"full_text":""});
    assert_eq!(
        client.next().await,
        json!({"type":"hello_ack","doc_id":"doc","server_seq":0})
    );
    assert_eq!(client.next().await, resync);
    for (seq, epoch) in (1..).zip([json!("other"), json!(7), json!(""), json!([])]) {
        let op = ins((0, ""), (seq, "A"), 'a');
        let mut message = submission("doc", "A", &seq.to_string(), &op);
        message["epoch"] = epoch;
        client.send(message).await;
        let echo = client.next().await;
        assert_eq!(
            (&echo["server_seq"], echo.as_object().unwrap().len()),
            (&json!(seq), 6)
        );
        assert_eq!(other.echo().await, seq);
    }
    client.send(showing("doc", "A", json!({}))).await;
    assert_eq!(client.closed().await, 1002);
    // Nobody has heard of it.
    other
        .op("doc", "B", "m", &ins((0, ""), (1, "B"), 'b'))
        .await;
    assert_eq!(other.echo().await, 5);
    let mut early = server.connect().await;
    early.send(showing("doc", "A", json!({}))).await;
    assert_eq!(early.closed().await, 1002);
}
