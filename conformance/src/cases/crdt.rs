//! Every order of small histories, and documents that are long, deep and wide.

use std::collections::BTreeSet;

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Op, OpSubmission};

use crate::case::{Case, Weight};
use crate::client::{Client, ROOT, element};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{expect_text, letters, typed_history};

/// A small history: who does what. Elements are named by lamport and replica.
struct History {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    steps: &'static [(&'static str, Step)],
}

#[derive(Clone, Copy)]
enum Step {
    /// lamport, parent, value
    Ins(u64, Option<(u64, &'static str)>, char),
    Del(u64, &'static str),
}

use Step::{Del, Ins};

const HISTORIES: &[History] = &[
    History {
        name: "siblings",
        title: "four siblings of three replicas have one order, however they arrive",
        text: "dcba",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("B", Ins(1, None, 'b')),
            ("C", Ins(1, None, 'c')),
            ("A", Ins(2, None, 'd')),
        ],
    },
    History {
        name: "chain",
        title: "a chain of four elements is put together from every order",
        text: "abcd",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("B", Ins(2, Some((1, "A")), 'b')),
            ("A", Ins(3, Some((2, "B")), 'c')),
            ("B", Ins(4, Some((3, "A")), 'd')),
        ],
    },
    History {
        name: "figure-1",
        title: "the specification's figure 1 comes out the same from every order",
        text: "axybc",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("A", Ins(2, Some((1, "A")), 'c')),
            ("A", Ins(3, Some((1, "A")), 'b')),
            ("B", Ins(3, Some((1, "A")), 'x')),
            ("B", Ins(4, Some((3, "B")), 'y')),
        ],
    },
    History {
        name: "delete-parent",
        title: "an element deleted under its children leaves them, from every order",
        text: "cb",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("A", Ins(2, Some((1, "A")), 'b')),
            ("B", Ins(3, Some((1, "A")), 'c')),
            ("B", Del(1, "A")),
        ],
    },
    History {
        name: "delete-all",
        title: "everything deleted leaves an empty text, from every order",
        text: "",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("B", Ins(2, Some((1, "A")), 'b')),
            ("B", Del(1, "A")),
            ("A", Del(2, "B")),
        ],
    },
    History {
        name: "delete-twice",
        title: "an element deleted by two clients stays deleted, from every order",
        text: "b",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("A", Ins(2, Some((1, "A")), 'b')),
            ("A", Del(1, "A")),
            ("B", Del(1, "A")),
        ],
    },
    History {
        name: "never-complete",
        title: "what hangs on an element that never comes stays hidden, from every order",
        text: "a",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("A", Ins(8, Some((7, "Z")), 'b')),
            ("B", Ins(9, Some((8, "A")), 'c')),
            ("B", Del(7, "Z")),
        ],
    },
    History {
        name: "two-subtrees",
        title: "two concurrent runs at one place do not mix, from every order",
        text: "xyzab",
        steps: &[
            ("A", Ins(1, None, 'a')),
            ("A", Ins(2, Some((1, "A")), 'b')),
            ("B", Ins(1, None, 'x')),
            ("B", Ins(2, Some((1, "B")), 'y')),
            ("B", Ins(3, Some((2, "B")), 'z')),
        ],
    },
    History {
        name: "falling-lamports",
        title: "siblings with falling and jumping lamports have one order, however they arrive",
        text: "dcba",
        steps: &[
            ("A", Ins(9, None, 'a')),
            ("A", Ins(10, None, 'b')),
            ("B", Ins(99, None, 'c')),
            ("A", Ins(100, None, 'd')),
        ],
    },
];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = HISTORIES.iter().map(every_order_of).collect();
    cases.extend([
        Case::code(
            "crdt/deep-typing",
            "20,000 consecutively typed characters are a document like any other",
            &["cost.any-length", ids::RESYNC_TEXT, "slow.readers-safe"],
            deep_typing,
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/typing-past-964",
            "typing goes on past the depth at which recursive servers die",
            &["cost.any-length", ids::CLOSE_NO_1011],
            typing_past_964,
        ),
        Case::code(
            "crdt/wide-rising",
            "5,000 inserts at one place, each newer than the last, stand newest first",
            &["cost.any-length", "crdt.sibling-order"],
            |context| wide(context, Lamports::Rising),
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/wide-falling",
            "5,000 inserts at one place with falling lamports stand in the order sent",
            &["cost.any-length", "crdt.sibling-order", "crdt.any-lamport"],
            |context| wide(context, Lamports::Falling),
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/reversed-chain",
            "2,000 characters sent last first show when the first one arrives",
            &[
                "crdt.pending-applies",
                "crdt.pending-hidden",
                "cost.any-length",
            ],
            reversed_chain,
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/delete-everything",
            "2,000 characters deleted one by one leave an empty text that can be typed into",
            &["crdt.tombstone", "crdt.tombstone-children"],
            delete_everything,
        )
        .weight(Weight::Heavy),
        Case::code(
            "crdt/hot-spot",
            "four clients that type at one place at once end with one text",
            &["crdt.order-free", ids::SEQ_ONE_ORDER, ids::RESYNC_TEXT],
            hot_spot,
        ),
    ]);
    cases
}

fn every_order_of(history: &'static History) -> Case {
    Case::code(
        &format!("crdt/every-order-{}", history.name),
        history.title,
        &[
            "crdt.order-free",
            "crdt.pending-applies",
            "crdt.pending-hidden",
            ids::RESYNC_TEXT,
        ],
        move |context| every_order(context, history),
    )
    .weight(Weight::Heavy)
}

/// Every order of 0 … `length` − 1 (Heap's algorithm).
fn permutations(length: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..length).collect();
    let mut all = vec![order.clone()];
    let mut counts = vec![0; length];
    let mut place = 1;
    while place < length {
        if counts[place] < place {
            let other = if place.is_multiple_of(2) {
                0
            } else {
                counts[place]
            };
            order.swap(other, place);
            all.push(order.clone());
            counts[place] += 1;
            place = 1;
        } else {
            counts[place] = 0;
            place += 1;
        }
    }
    all
}

async fn every_order(context: Context, history: &History) -> Outcome {
    for (number, order) in permutations(history.steps.len()).into_iter().enumerate() {
        let doc_id = format!("{}-{number}", context.doc_id());
        let mut clients: Vec<Client> = Vec::new();
        let mut there: BTreeSet<ElementId> = BTreeSet::new();
        for &index in &order {
            let (replica, step) = history.steps[index];
            let known = clients
                .iter()
                .position(|client| client.client_id() == replica);
            let at = match known {
                Some(at) => at,
                None => {
                    let name = format!("{replica}-{number}");
                    clients.push(context.join_as(&name, &doc_id, replica).await?);
                    clients.len() - 1
                }
            };
            let submission = submission(&clients[at], step);
            clients[at].submit(&submission);
            let waits = submission
                .op
                .dependency()
                .is_some_and(|id| !there.contains(id));
            if !waits && let Op::Ins(insert) = &submission.op {
                there.insert(insert.id.clone());
            }
            let accepted = if waits {
                "crdt.pending-accepted"
            } else {
                ids::SEQ_FAN_OUT
            };
            for client in &mut clients {
                client.expect_echo(&submission, accepted).await?;
            }
        }
        let late = context
            .join_as(&format!("late-{number}"), &doc_id, "late")
            .await?;
        let got = &late.synced().full_text;
        if got != history.text {
            let sent: Vec<String> = order
                .iter()
                .map(|&index| describe(history.steps[index]))
                .collect();
            return Err(Failure::breach(
                "crdt.order-free",
                format!("the text is wrong for the order {}", sent.join(", ")),
            )
            .expected(format!("{:?}", history.text))
            .got(format!("{got:?}"))
            .at(late.synced_at()));
        }
        for client in clients {
            client.abandon().await;
        }
        late.abandon().await;
    }
    Ok(())
}

fn submission(client: &Client, step: Step) -> OpSubmission {
    match step {
        Ins(lamport, parent, value) => {
            let parent = parent.map_or(ROOT, |(lamport, replica)| {
                ParentId::Element(element(lamport, replica))
            });
            client.insert_at(lamport, &parent, value)
        }
        Del(lamport, replica) => client.delete(&element(lamport, replica)),
    }
}

fn describe((replica, step): (&str, Step)) -> String {
    match step {
        Ins(lamport, _, value) => format!("ins {value:?} [{lamport},{replica:?}]"),
        Del(lamport, of) => format!("del [{lamport},{of:?}] by {replica}"),
    }
}

async fn deep_typing(context: Context) -> Outcome {
    let (mut anna, _) = typed_history(&context, 20_000).await?;
    let mut late = expect_text(&context, &letters(20_000), "cost.any-length").await?;
    anna.barrier(&mut [&mut late], "cost.any-length").await
}

async fn typing_past_964(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let typed = anna.typing(&ROOT, &letters(1_100));
    for (index, submission) in typed.iter().enumerate() {
        anna.submit(submission);
        anna.expect_echo(submission, "cost.any-length")
            .await
            .map_err(|failure| failure.context(format!("at character {}", index + 1)))?;
    }
    expect_text(&context, &letters(1_100), "cost.any-length").await?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Lamports {
    Rising,
    Falling,
}

async fn wide(context: Context, lamports: Lamports) -> Outcome {
    const WIDTH: u64 = 5_000;
    let sent = letters(WIDTH as usize);
    let mut anna = context.join("anna").await?;
    let inserts: Vec<OpSubmission> = sent
        .chars()
        .zip(1..)
        .map(|(value, number)| {
            let lamport = if lamports == Lamports::Rising {
                number
            } else {
                WIDTH + 1 - number
            };
            anna.insert_at(lamport, &ROOT, value)
        })
        .collect();
    anna.submit_all(&inserts);
    anna.expect_echoes_of(&inserts, "cost.any-length").await?;
    let text = match lamports {
        Lamports::Rising => sent.chars().rev().collect(),
        Lamports::Falling => sent,
    };
    expect_text(&context, &text, "crdt.sibling-order").await?;
    Ok(())
}

async fn reversed_chain(context: Context) -> Outcome {
    let mut anna = context.join("anna").await?;
    let typed = anna.typing(&ROOT, &letters(2_000));
    let late_first = &typed[1..];
    anna.submit_all(late_first.iter().rev());
    anna.expect_echoes_of(late_first.iter().rev(), "crdt.pending-accepted")
        .await?;
    let before = expect_text(&context, "", "crdt.pending-hidden").await?;
    before.close().await?;
    anna.submit(&typed[0]);
    anna.expect_echo(&typed[0], ids::SEQ_FAN_OUT).await?;
    expect_text(&context, &letters(2_000), "crdt.pending-applies").await?;
    Ok(())
}

async fn delete_everything(context: Context) -> Outcome {
    let (mut anna, typed) = typed_history(&context, 2_000).await?;
    let deletes: Vec<OpSubmission> = typed
        .iter()
        .map(|submission| anna.delete(submission.op.id()))
        .collect();
    anna.submit_all(&deletes);
    anna.expect_echoes_of(&deletes, ids::SEQ_FAN_OUT).await?;
    let empty = expect_text(&context, "", "crdt.tombstone").await?;
    empty.close().await?;
    let middle = ParentId::Element(typed[1_000].op.id().clone());
    let again = anna.typing(&middle, "anew");
    anna.submit_all(&again);
    anna.expect_echoes_of(&again, ids::SEQ_FAN_OUT).await?;
    expect_text(&context, "anew", "crdt.tombstone-children").await?;
    Ok(())
}

async fn hot_spot(context: Context) -> Outcome {
    const EACH: usize = 100;
    let mut clients = Vec::new();
    for name in ["anna", "bo", "cleo", "dan"] {
        clients.push(context.join(name).await?);
    }
    let mut sent = Vec::new();
    for client in &mut clients {
        // Each types a run, and deletes every fifth of its own characters.
        let typed = client.typing(&ROOT, &letters(EACH));
        let deletes: Vec<OpSubmission> = typed
            .iter()
            .step_by(5)
            .map(|submission| client.delete(submission.op.id()))
            .collect();
        client.submit_all(typed.iter().chain(&deletes));
        sent.extend(typed);
        sent.extend(deletes);
    }
    let mut orders = Vec::new();
    for client in &mut clients {
        let echoes = client.expect_echoes(sent.len(), ids::SEQ_FAN_OUT).await?;
        let order: Vec<Op> = echoes.into_iter().map(|echo| echo.op).collect();
        orders.push(order);
    }
    if orders.iter().any(|order| *order != orders[0]) {
        return Err(Failure::breach(
            ids::SEQ_ONE_ORDER,
            "two connections got the ops in different orders",
        ));
    }
    // What the text must be, the monitors work out from the echoes.
    context.join("late").await?;
    Ok(())
}
