//! The profile `runs`: ops of several elements, whole for some and one by one for others.

use collab_reference::Config;
use collab_reference::document::{Document, Submitted};
use collab_reference::log::{MemoryStore, Store};
use collab_reference::text::Text;
use collab_reference::violation::Violation;
use collab_spec::id::MAX_INTEGER;
use collab_spec::message::Op;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::{Client, Server, hello, submission};
use crate::{append, del, del_run, ins, name, run};

type Outcome = Result<Submitted, Violation>;

fn document() -> Document {
    Document::open(MemoryStore::default().open(&name("doc")))
}

#[test]
fn a_run_is_a_duplicate_as_a_whole_or_not_at_all() {
    let hello = || run((0, ""), (1, "A"), "Hello");
    let steps: Vec<(&str, &str, &str, Op, Outcome)> = vec![
        ("five", "A", "1", hello(), Ok(Submitted::New(5))),
        ("resent", "A", "1", hello(), Ok(Submitted::Duplicate(5))),
        (
            "same, new name",
            "A",
            "2",
            hello(),
            Ok(Submitted::Duplicate(5)),
        ),
        (
            "a part",
            "A",
            "1",
            run((0, ""), (1, "A"), "Hell"),
            Err(Violation::MessageIdReused),
        ),
        (
            "a part, new name",
            "A",
            "2",
            run((0, ""), (1, "A"), "Hell"),
            Err(Violation::ElementIdTaken),
        ),
        (
            "one of it",
            "A",
            "2",
            ins((1, "A"), (2, "A"), 'e'),
            Err(Violation::ElementIdTaken),
        ),
        (
            "over its end",
            "A",
            "2",
            run((4, "A"), (5, "A"), "o!"),
            Err(Violation::ElementIdTaken),
        ),
        (
            "behind it",
            "A",
            "2",
            run((5, "A"), (6, "A"), "!"),
            Ok(Submitted::New(6)),
        ),
        (
            "of another",
            "B",
            "1",
            run((5, "A"), (7, "A"), "xy"),
            Err(Violation::ForeignReplica),
        ),
        ("three", "B", "1", del_run(2, "A", 3), Ok(Submitted::New(9))),
        (
            "two of the three",
            "B",
            "1",
            del_run(2, "A", 2),
            Err(Violation::MessageIdReused),
        ),
        (
            "again",
            "B",
            "2",
            del_run(2, "A", 3),
            Ok(Submitted::New(12)),
        ),
        (
            "to the greatest lamport",
            "B",
            "3",
            run((0, ""), (MAX_INTEGER - 1, "B"), "xy"),
            Ok(Submitted::New(14)),
        ),
    ];
    let mut document = document();
    for (what, client, message, op, outcome) in steps {
        let submitted = document.submit(&name(client), &name(message), &op);
        assert_eq!(submitted, outcome, "{what}");
    }
    assert_eq!(document.text(), "xyHo!");
}

/// Any op of two clients with few lamports, so that they meet.
fn op() -> impl Strategy<Value = Op> {
    let id = (1_u64..14, 0_usize..2);
    (id.clone(), id, "[a-z]{1,5}", 0_u8..4).prop_map(
        |((lamport, replica), (parent, of), values, kind)| {
            let names = ["A", "B"];
            match kind {
                0 => del_run(lamport, names[replica], values.len() as u64),
                1 => run((0, ""), (lamport, names[replica]), &values),
                _ => run(
                    (parent, names[of]),
                    (parent + lamport, names[replica]),
                    &values,
                ),
            }
        },
    )
}

fn author(op: &Op) -> &str {
    match op {
        Op::Ins(insert) => insert.id.replica_id().as_str(),
        Op::Del(_) => "D",
    }
}

proptest! {
    /// Source: `runs.text`, `runs.seqs`, `runs.state-pending`.
    #[test]
    fn boundaries_never_show(ops in prop::collection::vec(op(), 0..40)) {
        let mut document = document();
        let mut singles = Text::new();
        let mut head = 0;
        for (at, op) in ops.iter().enumerate() {
            let submitted = document.submit(&name(author(op)), &name(&at.to_string()), op);
            if let Ok(Submitted::New(seq)) = submitted {
                head += op.elements();
                prop_assert_eq!(seq, head);
                op.singles().for_each(|single| singles.integrate(&single));
            }
        }
        prop_assert_eq!(document.text(), singles.text());
        prop_assert_eq!(document.snapshot().state.elements, singles.spans());
        prop_assert_eq!(document.state().pending, singles.pending());
        let joined = document.state_in_runs().pending;
        let apart: Vec<Op> = joined.iter().flat_map(Op::singles).collect();
        let sorted = |ops: &[Op]| {
            let mut ops: Vec<_> = ops.iter().map(|op| format!("{op:?}")).collect();
            ops.sort();
            ops
        };
        prop_assert_eq!(sorted(&apart), sorted(&singles.pending()));
        // Cut anywhere, an op is its singles.
        for op in &ops {
            let apart: Vec<Op> = op.singles().collect();
            for skip in 0..op.elements() {
                let rest: Vec<Op> = op.rest(skip).singles().collect();
                prop_assert_eq!(&rest[..], &apart[skip as usize..]);
            }
        }
    }
}

async fn back(server: &Server, client: &str, last_seen: u64, profiles: &[&str]) -> (Client, Value) {
    let mut joined = server.connect().await;
    let mut hello = hello("doc", client, last_seen);
    hello["capabilities"] = json!(profiles);
    joined.send(hello).await;
    let ack = joined.next().await;
    (joined, ack)
}

#[tokio::test]
async fn whole_for_some_and_one_by_one_for_others() {
    let store = MemoryStore::default();
    let mut log = store.open(&name("doc"));
    append(&mut log, "A", "m-1", run((0, ""), (1, "A"), "Hey"));
    append(&mut log, "A", "m-2", del_run(1, "A", 2));
    let config = Config {
        max_run: 2000,
        ..Config::default()
    };
    let server = Server::with(config, store).await;
    let (mut whole, ack) = back(&server, "B", 1, &["runs"]).await;
    let limits = json!({"max_run": 2000, "max_message_bytes": 1_048_576});
    assert_eq!((&ack["server_seq"], &ack["limits"]), (&json!(5), &limits));
    let (mut single, ack) = back(&server, "C", 1, &[]).await;
    assert_eq!(ack["limits"], Value::Null);

    let rest = whole.next().await;
    assert_eq!(rest["server_seq"], 3);
    assert_eq!(rest["op"], json!(run((1, "A"), (2, "A"), "ey")));
    let delete = whole.next().await;
    assert_eq!(
        (&delete["server_seq"], &delete["op"]["count"]),
        (&json!(5), &json!(2))
    );
    for (seq, op) in [
        (2, ins((1, "A"), (2, "A"), 'e')),
        (3, ins((2, "A"), (3, "A"), 'y')),
        (4, del(1, "A")),
        (5, del(2, "A")),
    ] {
        let echo = single.next().await;
        assert_eq!(
            (&echo["server_seq"], &echo["op"]),
            (&json!(seq), &json!(op))
        );
        assert_eq!(echo["client_msg_id"], if seq < 4 { "m-1" } else { "m-2" });
    }

    // Live, out of the tail.
    let paste = run((3, "A"), (6, "B"), "abc");
    whole.op("doc", "B", "m-1", &paste).await;
    let echo = whole.next().await;
    assert_eq!(
        (&echo["server_seq"], &echo["op"]),
        (&json!(8), &json!(paste))
    );
    for (seq, op) in (6..).zip(paste.singles()) {
        let echo = single.next().await;
        assert_eq!(
            (&echo["server_seq"], &echo["op"]),
            (&json!(seq), &json!(op))
        );
    }

    // A value of two is nothing that a connection without the profile may send; a count is nothing at all.
    let mut counted = submission("doc", "C", "m-1", &del(6, "B"));
    counted["op"]["count"] = json!("x");
    single.send(counted).await;
    assert_eq!(single.next().await["op"], json!(del(6, "B")));
    assert_eq!(whole.next().await["server_seq"], 9);
    single
        .op("doc", "C", "m-2", &run((0, ""), (9, "C"), "xy"))
        .await;
    assert_eq!(single.closed().await, 1002);
    let long = run((0, ""), (20, "B"), &"x".repeat(2001));
    whole.op("doc", "B", "m-2", &long).await;
    assert_eq!(whole.closed().await, 1009);
    server.stop().await;
}

/// A run of 65,536 is 12 MiB of single echoes: more than may wait, were they counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_paste_does_not_make_its_readers_slow() {
    let server = Server::start().await;
    let mut reader = server.connect_tight().await;
    reader.hello("doc", "C", 0).await;
    assert_eq!(reader.next().await["type"], "hello_ack");
    assert_eq!(reader.next().await["type"], "resync");
    let (mut writer, _, _) = server.join_with("doc", "B", &["runs"]).await;
    let paste = run((0, ""), (1, "B"), &"x".repeat(65_536));
    writer.op("doc", "B", "m-1", &paste).await;
    assert_eq!(writer.echo().await, 65_536);
    writer.op("doc", "B", "m-2", &del(1, "B")).await;
    assert_eq!(writer.echo().await, 65_537);
    for seq in 1..=65_537 {
        assert_eq!(reader.echo().await, seq);
    }
    server.stop().await;
}
