//! How a server closes: what it answers to things that no client should do.

use std::time::{Duration, Instant};

use collab_spec::profile::Profile;
use serde_json::json;

use super::{AWAITED, hello, joined};
use crate::client::{Client, ROOT, frame};
use crate::context::Context;
use crate::outcome::{Failure, Outcome};
use crate::wire::Arrival;

/// How long an answer is awaited, unless the deadlines are scaled.
const ANSWER: Duration = Duration::from_secs(2);

/// What came of one thing.
#[derive(Clone, Debug)]
pub(super) struct Close {
    /// What was done.
    pub(super) what: &'static str,
    /// What section 10 has for it.
    pub(super) due: u16,
    /// The code and the reason; nothing where it was not closed.
    pub(super) came: Option<(u16, String)>,
    /// How long it took.
    pub(super) after: Duration,
}

/// What is done.
#[derive(Clone, Copy)]
enum Deed {
    NotJson,
    UnknownType,
    OpFirst,
    NotUtf8,
    Binary,
    SecondHello,
    OtherDocument,
    IdTaken,
    LongState,
    CloseFrame,
}

impl Deed {
    const ALL: [Self; 10] = [
        Self::NotJson,
        Self::UnknownType,
        Self::OpFirst,
        Self::Binary,
        Self::SecondHello,
        Self::NotUtf8,
        Self::OtherDocument,
        Self::IdTaken,
        Self::LongState,
        Self::CloseFrame,
    ];

    fn words(self) -> (&'static str, u16) {
        match self {
            Self::NotJson => ("what is no JSON", 1002),
            Self::UnknownType => ("an unknown type", 1002),
            Self::OpFirst => ("an op before the hello", 1002),
            Self::Binary => ("a binary message", 1003),
            Self::SecondHello => ("a second hello", 1003),
            Self::NotUtf8 => ("text that is not UTF-8", 1007),
            Self::OtherDocument => ("another doc_id", 1008),
            Self::IdTaken => ("an id that is taken", 1008),
            Self::LongState => ("presence of 5,000 bytes", 1009),
            Self::CloseFrame => ("a close with 1000", 1000),
        }
    }

    fn is_for(self, offered: &[Profile]) -> bool {
        !matches!(self, Self::LongState) || offered.contains(&Profile::Presence)
    }

    async fn client(self, context: &Context) -> Outcome<Client> {
        match self {
            Self::OpFirst | Self::NotJson | Self::UnknownType => context.connect("wrong").await,
            Self::LongState => context.join_asking("wrong", &[Profile::Presence]).await,
            _ => joined(context, "wrong").await,
        }
    }

    async fn send(self, context: &Context, client: &mut Client) -> Outcome {
        match self {
            Self::NotJson => client.send_text("{"),
            Self::UnknownType => client.send_text(r#"{"type":"no-such-type"}"#),
            Self::OpFirst => {
                let op = json!({"type":"ins","parent_id":[0,"root"],"id":[1,"x"],"value":"x"});
                client.send_json(&json!({
                    "type":"op","doc_id":context.doc_id(),"client_id":"x","client_msg_id":"m","op":op
                }));
            }
            Self::Binary => client.send_binary(b"{}"),
            Self::NotUtf8 => client.send_bytes_as_text(&[0x22, 0xff, 0x22]),
            Self::SecondHello => client.send_text(&hello(context, "wrong")),
            Self::OtherDocument => {
                let mut op = frame(&client.insert(&ROOT, 'x'));
                op["doc_id"] = json!(format!("{}-other", context.doc_id()));
                client.send_json(&op);
            }
            Self::IdTaken => {
                let first = client.insert(&ROOT, 'x');
                client.submit(&first);
                client.expect_echo(&first, AWAITED).await?;
                let mut again = frame(&client.insert(&ROOT, 'y'));
                again["op"]["id"] = frame(&first)["op"]["id"].take();
                client.send_json(&again);
            }
            Self::LongState => client.send_presence(&json!({"long": "x".repeat(5_000)})),
            Self::CloseFrame => client.send_close(1000),
        }
        Ok(())
    }
}

/// What the server answers to each.
pub(super) async fn all(context: &Context, offered: &[Profile]) -> Outcome<Vec<Close>> {
    let mut closes = Vec::new();
    for deed in Deed::ALL.into_iter().filter(|deed| deed.is_for(offered)) {
        closes.push(one(context, deed).await?);
    }
    Ok(closes)
}

async fn one(context: &Context, deed: Deed) -> Outcome<Close> {
    // A document for each: what one does is not seen in another.
    let context = context.another();
    let (what, due) = deed.words();
    let mut client = deed.client(&context).await?;
    deed.send(&context, &mut client).await?;
    let sent = Instant::now();
    let answer = tokio::time::timeout(context.scaled(ANSWER), closed(&mut client)).await;
    let came = match answer {
        Ok(came) => Some(came?),
        Err(_) => None,
    };
    let after = sent.elapsed();
    context.abandon_all().await;
    Ok(Close {
        what,
        due,
        came,
        after,
    })
}

async fn closed(client: &mut Client) -> Outcome<(u16, String)> {
    loop {
        match client.receive("a close", AWAITED).await {
            Ok(incoming) => match incoming.what {
                Arrival::Close { code, reason } => return Ok((code, reason)),
                Arrival::End { error } => {
                    return Ok((1006, error.unwrap_or_else(|| "no close frame".to_owned())));
                }
                _ => {}
            },
            // Nothing comes; who asked gives up.
            Err(Failure::Breach(_)) => std::future::pending().await,
            Err(failure) => return Err(failure),
        }
    }
}
