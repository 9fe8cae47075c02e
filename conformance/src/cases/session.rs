//! Rooms with many clients, clients that vanish, and the time limit on `hello`.

use std::time::Duration;

use collab_spec::id::ParentId;
use collab_spec::message::OpSubmission;

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT, element, under};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::trace::What;

use super::follow::{end_of, expect_text, letters, type_on};
use super::runs::expect_due;

/// The bounds of the time limit on `hello` (`close.hello-timeout`).
const HELLO_AT_LEAST: Duration = Duration::from_secs(5);
const HELLO_AT_MOST: Duration = Duration::from_secs(60);
/// What the network and the scheduler may take from or add to a time that is measured here.
const SLACK: Duration = Duration::from_millis(500);
/// How long who says no `hello` is waited for: TCP may stay a little longer than the close frame.
const LONG: Duration = Duration::from_secs(65);

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "session/hello-timeout",
            "a connection that says nothing is closed with 1002 after 5 to 60 seconds",
            &["close.hello-timeout", ids::CLOSE_REASON],
            |context| hello_timeout(context, Says::Nothing),
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/hello-timeout-of-one-that-pings",
            "a connection that pings on and says no hello is closed with 1002 after 5 to 60 seconds",
            &["close.hello-timeout", ids::PING],
            |context| hello_timeout(context, Says::Pings),
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/hello-timeout-of-a-part",
            "who sends the first frame of a hello, and pings for the rest, is closed after 5 to 60 seconds",
            &["close.hello-timeout", ids::PING],
            |context| hello_timeout(context, Says::Part),
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/no-timeout-after-hello",
            "the time limit on hello does not touch who has said it",
            &["close.hello-timeout", "session.no-effect-of-hello"],
            no_timeout_after_hello,
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/all-left-for-long",
            "a document that nobody has had open for as long as a hello may take is as it was left",
            &[
                "session.outlives-connections",
                "crdt.pending-applies",
                "submit.resend",
            ],
            all_left_for_long,
        )
        .weight(Weight::Waiting),
        Case::code(
            "session/room-of-50",
            "fifty clients that write at once all get all 500 ops in one order",
            &[
                ids::SEQ_FAN_OUT,
                ids::SEQ_ONE_ORDER,
                ids::SEQ_SENDER_ORDER,
                "seq.dense",
            ],
            room_of_50,
        )
        .weight(Weight::Heavy),
        Case::code(
            "session/twenty-vanish",
            "twenty clients that vanish in mid-broadcast change nothing for the others",
            &["session.vanished", ids::SEQ_FAN_OUT],
            twenty_vanish,
        ),
        Case::code(
            "session/documents-side-by-side",
            "thirty documents written at once with the same ids have a text and seqs of their own",
            &[
                "session.documents-apart",
                ids::ONE_DOCUMENT,
                "submit.scope",
                "seq.dense",
            ],
            documents_side_by_side,
        ),
        Case::code(
            "session/comings-and-goings",
            "a hundred joins and leaves take no seq and lose nothing",
            &["session.no-effect-of-hello", "session.outlives-connections"],
            comings_and_goings,
        ),
        Case::code(
            "session/ops-sent-before-close",
            "300 ops sent right before the close frame are all in the document",
            &["session.sent-before-close", ids::CLOSE_CLIENT_CLOSE],
            ops_sent_before_close,
        ),
        Case::code(
            "session/ops-behind-hello",
            "200 ops sent right behind the hello are handled after the sync, in order",
            &["session.early-ops", ids::ACK_FIRST, ids::SEQ_SENDER_ORDER],
            ops_behind_hello,
        ),
    ]
}

/// Waits for the end of one who says no `hello`: it tells that so much time has passed, without a clock of our
/// own.
pub(super) async fn wait_for_long(silent: &mut Client) {
    silent.ended_within(LONG).await;
}

/// What comes instead of a `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Pings,
    /// The first frame of one, and pings.
    Part,
}

async fn hello_timeout(context: Context, says: Says) -> Outcome {
    // The server's clock starts somewhere between the asking and our seeing the WebSocket open, which may
    // be long after it on a busy machine.
    let asked = context.recorder().now();
    let mut silent = context.connect("silent").await?;
    if says == Says::Part {
        silent.begin_text(r#"{"type":"hello","doc_id":"#);
    }
    match says {
        Says::Nothing => wait_for_long(&mut silent).await,
        // Pings are not taken any more once the close frame has come.
        Says::Pings | Says::Part => _ = silent.refused_within(LONG).await,
    }
    let trace = context.trace();
    let time_of = |wanted: fn(&What) -> bool| {
        trace
            .events
            .iter()
            .find(|event| wanted(&event.what))
            .map(|event| event.at)
    };
    let opened = time_of(|what| matches!(what, What::Opened));
    let closed = time_of(|what| matches!(what, What::Close { .. } | What::Ended { .. }));
    let Some((closed, opened)) = closed.zip(opened) else {
        return Err(
            Failure::breach("close.hello-timeout", "the connection is still open")
                .expected("close 1002 within 60 s of the opening")
                .got("nothing"),
        );
    };
    silent.expect_close(&[1002], "close.hello-timeout").await?;
    let most = HELLO_AT_MOST.max(context.scaled(HELLO_AT_MOST)) + SLACK;
    let (at_most, at_least) = (closed.saturating_sub(asked), closed.saturating_sub(opened));
    if at_most + SLACK < HELLO_AT_LEAST || at_least > most {
        return Err(Failure::breach(
            "close.hello-timeout",
            "the time limit on hello is out of bounds",
        )
        .expected("close 1002 after 5 to 60 s")
        .got(format!("close 1002 after {:.1} s", at_most.as_secs_f64())));
    }
    Ok(())
}

async fn no_timeout_after_hello(context: Context) -> Outcome {
    let mut quiet = context.join("quiet").await?;
    let mut silent = context.connect("silent").await?;
    wait_for_long(&mut silent).await;
    let typed = quiet.insert(&ROOT, 'q');
    quiet.submit(&typed);
    quiet.expect_echo(&typed, "close.hello-timeout").await?;
    Ok(())
}

async fn all_left_for_long(context: Context) -> Outcome {
    const BROKEN: &str = "session.outlives-connections";
    let mut silent = context.connect("silent").await?;
    let mut anna = context.join("anna").await?;
    // Siblings, a tombstone between elements, and an op that waits for what bert inserts later.
    let older = anna.insert(&ROOT, 'c');
    let newer = anna.insert(&ROOT, 'a');
    let gone = anna.insert(&under(&newer), 'x');
    let behind = anna.insert(&under(&gone), 'b');
    let missing = element(context.next_lamport(), "bert");
    let waiting = anna.insert(&ParentId::Element(missing.clone()), 'w');
    let history = [
        older,
        newer,
        gone.clone(),
        behind,
        anna.delete(gone.op.id()),
        waiting,
    ];
    anna.submit_all(&history);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    anna.close().await?;
    wait_for_long(&mut silent).await;
    let back = expect_text(&context, "abc", BROKEN).await?;
    if back.head() != history.len() as u64 {
        return Err(
            Failure::breach(BROKEN, "the head is not the one that was left")
                .expected(format!("server_seq {}", history.len()))
                .got(format!("server_seq {}", back.head()))
                .at(back.synced_at()),
        );
    }
    back.close().await?;
    let mut bert = context.join("bert").await?;
    let late = bert.insert_at(missing.lamport(), &under(&gone), 'm');
    bert.submit(&late);
    bert.expect_echo(&late, BROKEN).await?;
    expect_text(&context, "amwbc", "crdt.pending-applies").await?;
    let mut anna = context.join("anna").await?;
    anna.resend(&history[0]);
    expect_due(&mut anna, &[(1, history[0].clone())], "submit.resend").await
}

async fn room_of_50(context: Context) -> Outcome {
    const EACH: usize = 10;
    let mut clients = Vec::new();
    for number in 0..50 {
        clients.push(context.join(&format!("c-{number}")).await?);
    }
    let mut sent = 0;
    for client in &mut clients {
        sent += type_on(client, &ROOT, EACH).len();
    }
    for client in &mut clients {
        client.expect_echoes(sent, ids::SEQ_FAN_OUT).await?;
    }
    // That the order is one, and each sender's its own, the monitors see.
    context.join("late").await?;
    Ok(())
}

async fn twenty_vanish(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let mut bo = context.join("bo").await?;
    let mut doomed: Vec<Client> = Vec::new();
    for number in 0..20 {
        doomed.push(context.join(&format!("doomed-{number}")).await?);
    }
    let mut history: Vec<OpSubmission> = Vec::new();
    for (number, client) in doomed.into_iter().enumerate() {
        history.extend(type_on(&mut anna, &end_of(&history), 10));
        if number % 2 == 0 {
            client.abandon().await;
        } else {
            client.close().await?;
        }
    }
    anna.expect_echoes_of(&history, "session.vanished").await?;
    bo.expect_echoes_of(&history, "session.vanished").await?;
    bo.barrier(&mut [&mut anna], "session.vanished").await?;
    expect_text(&context, &letters(10).repeat(20), ids::RESYNC_TEXT).await?;
    Ok(())
}

async fn documents_side_by_side(context: Context) -> Outcome {
    let mut clients = Vec::new();
    for number in 0..30 {
        let doc_id = format!("{}-{number}", context.doc_id());
        clients.push(
            context
                .join_as(&format!("doc-{number}"), &doc_id, "anna")
                .await?,
        );
    }
    // The same ids and client_msg_ids everywhere; only the values differ.
    let values: Vec<char> = ('a'..='z').chain('0'..='3').collect();
    let script: Vec<OpSubmission> = clients[0].typing(&ROOT, &letters(5));
    let of_document = |client: &Client, value: char| -> Vec<OpSubmission> {
        let doc_id = collab_spec::id::Name::new(client.doc_id());
        script
            .iter()
            .map(|submission| {
                let mut submission = submission.clone();
                submission.doc_id = doc_id.clone().expect("the document has a name");
                if let collab_spec::message::Op::Ins(insert) = &mut submission.op {
                    insert.value = value.into();
                }
                submission
            })
            .collect()
    };
    for (client, &value) in clients.iter_mut().zip(&values) {
        let ops = of_document(client, value);
        client.submit_all(&ops);
    }
    for (client, &value) in clients.iter_mut().zip(&values) {
        let ops = of_document(client, value);
        client
            .expect_echoes_of(&ops, "session.documents-apart")
            .await?;
    }
    for (number, &value) in values.iter().enumerate() {
        let doc_id = format!("{}-{number}", context.doc_id());
        let late = context
            .join_as(&format!("late-{number}"), &doc_id, "late")
            .await?;
        let text = value.to_string().repeat(script.len());
        if (late.synced().full_text.as_str(), late.head()) != (text.as_str(), script.len() as u64) {
            return Err(Failure::breach(
                "session.documents-apart",
                "a document holds what is not its own",
            )
            .expected(format!("{text:?} at head {}", script.len()))
            .got(format!(
                "{:?} at head {}",
                late.synced().full_text,
                late.head()
            )));
        }
    }
    Ok(())
}

async fn comings_and_goings(context: Context) -> Outcome {
    let mut text = String::new();
    let mut history: Vec<OpSubmission> = Vec::new();
    for round in 0..100 {
        let client = context
            .join_as(&format!("round-{round}"), context.doc_id(), "anna")
            .await?;
        let (head, got) = (client.head(), client.synced().full_text.clone());
        if head != history.len() as u64 || got != text {
            return Err(Failure::breach(
                "session.outlives-connections",
                "a join finds another document than was left",
            )
            .expected(format!("{text:?} at head {}", history.len()))
            .got(format!("{got:?} at head {head}")));
        }
        let mut client = client;
        if round % 4 == 0 {
            let typed = client.typing(&end_of(&history), "x");
            client.submit_all(&typed);
            client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
            history.extend(typed);
            text.push('x');
        }
        if round % 2 == 0 {
            client.close().await?;
        } else {
            client.abandon().await;
        }
    }
    Ok(())
}

async fn ops_sent_before_close(context: Context) -> Outcome {
    let mut witness = context.join("witness").await?;
    let mut anna = context.join("anna").await?;
    let typed = type_on(&mut anna, &ROOT, 300);
    anna.close().await?;
    witness
        .expect_echoes_of(&typed, "session.sent-before-close")
        .await?;
    expect_text(&context, &letters(300), "session.sent-before-close").await?;
    Ok(())
}

async fn ops_behind_hello(context: Context) -> Outcome {
    let mut anna = context.connect("anna").await?;
    anna.hello(context.doc_id(), "anna", None);
    let typed = type_on(&mut anna, &ROOT, 200);
    anna.expect_joined().await?;
    if anna.synced().server_seq.value() != 0 {
        return Err(Failure::breach(
            "session.early-ops",
            "the resync holds ops that were sent behind the hello",
        )
        .expected("server_seq 0")
        .got(anna.synced().server_seq.value().to_string()));
    }
    anna.expect_echoes_of(&typed, "session.early-ops").await?;
    Ok(())
}
