//! The waiting half of a client. Each wait has one deadline; messages are taken in the order in which
//! they came.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use collab_spec::message::{
    HelloAck, OpEcho, OpSubmission, PresenceSnapshot, PresenceUpdate, Resync, ServerMessage,
};
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use super::{Ask, Client, Closed, Message, echo_pattern};
use crate::context::InVain;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::pattern::{self, Bindings};
use crate::trace::{Connection, Trace, What, close_words, hex};
use crate::validate::shortened;
use crate::wire::{Arrival, Incoming};

impl Client {
    /// The next message, which must be valid. `awaited` says in words what the case waits for.
    ///
    /// Errors: a breach of `requirement` where none comes, and one of its own where it is not valid.
    pub async fn next_message(&mut self, awaited: &str, requirement: &str) -> Outcome<Message> {
        let incoming = self.receive(awaited, requirement).await?;
        let wrong = |what: String| {
            Failure::breach(requirement, what)
                .expected(awaited)
                .at(incoming.event)
        };
        match &incoming.what {
            Arrival::Text(received) => match &received.parsed {
                Ok(valid) => Ok(Message {
                    event: incoming.event,
                    received: Arc::clone(received),
                    message: valid.message.clone(),
                }),
                Err(problem) => Err(Failure::breach(problem.requirement, &problem.what)
                    .expected(awaited)
                    .got(shortened(&received.text, 600))
                    .at(incoming.event)),
            },
            Arrival::Binary(bytes) => Err(Failure::breach(
                ids::TEXT_MESSAGES,
                format!(
                    "{} got a binary message of {} bytes",
                    self.name,
                    bytes.len()
                ),
            )
            .expected(awaited)
            .at(incoming.event)),
            Arrival::Close { code, reason } => {
                let got = close_words(*code, reason);
                Err(wrong(format!("the server closed {} instead", self.name)).got(got))
            }
            Arrival::End { error } => Err(wrong(format!(
                "the connection of {} ended without a close frame instead",
                self.name
            ))
            .got(end_words(error.as_deref()))),
            Arrival::Pong(_) => unreachable!("receive keeps pongs apart"),
        }
    }

    /// The next message must match a pattern (see `collab_spec::scenario::Step`).
    pub async fn expect(&mut self, pattern: &Value, requirement: &str) -> Outcome<Message> {
        self.expect_binding(pattern, &mut Bindings::new(), requirement)
            .await
    }

    /// As [`Client::expect`], with values that the pattern binds and names.
    pub async fn expect_binding(
        &mut self,
        pattern: &Value,
        bindings: &mut Bindings,
        requirement: &str,
    ) -> Outcome<Message> {
        let expected = shortened(&pattern.to_string(), 1_000);
        let message = self.next_message(&expected, requirement).await?;
        let value: Value = serde_json::from_str(&message.received.text)
            .map_err(|error| Failure::Harness(format!("a valid message is not JSON: {error}")))?;
        match pattern::match_value(pattern, &value, bindings) {
            Ok(()) => {
                self.remember(&message);
                Ok(message)
            }
            Err(mismatches) => {
                let what = format!(
                    "the next message of {} is not the expected one: {}",
                    self.name,
                    pattern::sentence(&mismatches)
                );
                let is_kept = pattern["type"] == "op_echo" && self.is_resync_for_replay(&message);
                let requirement = if is_kept {
                    ids::SYNC_REPLAY_KEPT
                } else {
                    requirement
                };
                Err(Failure::breach(requirement, what)
                    .expected(expected)
                    .got(shortened(&message.received.text, 1_000))
                    .at(message.event))
            }
        }
    }

    /// The next message must be the ack of this connection's `hello`.
    pub async fn expect_ack(&mut self) -> Outcome<HelloAck> {
        let pattern = serde_json::json!({"type": "hello_ack", "doc_id": self.doc_id});
        match self.expect(&pattern, ids::ACK_FIRST).await?.message {
            ServerMessage::HelloAck(ack) => Ok(ack),
            other => Err(unexpected(&other)),
        }
    }

    /// The next message must be a resync; `requirement` is that of the sync.
    pub async fn expect_resync(&mut self, requirement: &str) -> Outcome<Resync> {
        let pattern = serde_json::json!({"type": "resync", "doc_id": self.doc_id});
        match self.expect(&pattern, requirement).await?.message {
            ServerMessage::Resync(resync) => Ok(resync),
            other => Err(unexpected(&other)),
        }
    }

    /// The next messages must be the ack and a resync, as for a `hello` with nothing seen.
    pub async fn expect_joined(&mut self) -> Outcome {
        self.expect_ack().await?;
        self.expect_resync(ids::SYNC_ZERO).await?;
        Ok(())
    }

    /// As [`Client::expect_joined`], for a `hello` that asked for profiles: all must be granted, and
    /// with `presence` a snapshot follows the resync.
    pub async fn expect_joined_asking(&mut self, ask: &Ask) -> Outcome {
        self.expect_ack_asking(ask).await?;
        self.expect_resync(ids::SYNC_ZERO).await?;
        if ask.has(Profile::Presence) {
            self.expect_snapshot().await?;
        }
        Ok(())
    }

    /// The next message must be the ack, which grants everything that was asked for.
    pub async fn expect_ack_asking(&mut self, ask: &Ask) -> Outcome<HelloAck> {
        let ack = self.expect_ack().await?;
        self.check_granted(ask)?;
        Ok(ack)
    }

    /// The ack has granted everything that was asked for: the server offers it, or the case would
    /// not be played.
    pub(crate) fn check_granted(&self, ask: &Ask) -> Outcome {
        let granted = self.acked().capabilities.as_deref().unwrap_or_default();
        let lacking = |asked: &&Profile| !granted.iter().any(|name| name == asked.name());
        match ask.profiles.iter().find(lacking) {
            None => Ok(()),
            Some(asked) => {
                let what = format!("the ack of {} does not turn on {asked}", self.name);
                Err(Failure::breach(ids::PROFILES_ACK, what)
                    .expected(json!(ask.profiles).to_string())
                    .got(json!(granted).to_string()))
            }
        }
    }

    /// The next message must be the presence snapshot.
    pub async fn expect_snapshot(&mut self) -> Outcome<PresenceSnapshot> {
        let pattern = json!({"type": "presence_snapshot", "doc_id": self.doc_id});
        match self.expect(&pattern, ids::PRESENCE_SNAPSHOT).await?.message {
            ServerMessage::PresenceSnapshot(snapshot) => Ok(snapshot),
            other => Err(unexpected(&other)),
        }
    }

    /// The next message must be the presence of a client, with exactly this state.
    pub async fn expect_presence(
        &mut self,
        client_id: &str,
        state: &Value,
        requirement: &str,
    ) -> Outcome {
        let pattern =
            json!({"type": "presence_update", "doc_id": self.doc_id, "client_id": client_id});
        let message = self.expect(&pattern, requirement).await?;
        let ServerMessage::PresenceUpdate(update) = &message.message else {
            return Err(unexpected(&message.message));
        };
        // Compared whole: a pattern would let further fields of the state pass.
        if pattern::same(&presence_state(update), state) {
            return Ok(());
        }
        Err(Failure::breach(
            requirement,
            format!(
                "the state of {client_id:?} that {} gets is another",
                self.name
            ),
        )
        .expected(shortened(&state.to_string(), 600))
        .got(shortened(&message.received.text, 600))
        .at(message.event))
    }

    /// The next message must be the echo of a submission.
    pub async fn expect_echo(
        &mut self,
        submission: &OpSubmission,
        requirement: &str,
    ) -> Outcome<OpEcho> {
        let pattern = echo_pattern(submission, None);
        match self.expect(&pattern, requirement).await?.message {
            ServerMessage::OpEcho(echo) => Ok(echo),
            other => Err(unexpected(&other)),
        }
    }

    /// The next messages must be the echoes of submissions, in their order.
    pub async fn expect_echoes_of<'a>(
        &mut self,
        submissions: impl IntoIterator<Item = &'a OpSubmission>,
        requirement: &str,
    ) -> Outcome<Vec<OpEcho>> {
        let mut echoes = Vec::new();
        for submission in submissions {
            let awaited = format!("the echo of {}", submission.client_msg_id);
            let message = self.next_message(&awaited, requirement).await?;
            match message.message {
                // Compared as types first: patterns cost more, and here there may be thousands.
                ServerMessage::OpEcho(echo)
                    if echo.doc_id == submission.doc_id
                        && echo.origin_client_id == submission.client_id
                        && echo.client_msg_id == submission.client_msg_id
                        && echo.op == submission.op =>
                {
                    echoes.push(echo);
                }
                _ => {
                    return Err(Failure::breach(
                        requirement,
                        format!("the next message of {} is not {awaited}", self.name),
                    )
                    .expected(echo_pattern(submission, None).to_string())
                    .got(shortened(&message.received.text, 1_000))
                    .at(message.event));
                }
            }
        }
        Ok(echoes)
    }

    /// The next `count` messages must be echoes, of any ops. The deadline is that of each one.
    pub async fn expect_echoes(&mut self, count: usize, requirement: &str) -> Outcome<Vec<OpEcho>> {
        let mut echoes = Vec::with_capacity(count);
        while echoes.len() < count {
            let awaited = format!("echo {} of {count}", echoes.len() + 1);
            let message = self.next_message(&awaited, requirement).await?;
            match message.message {
                ServerMessage::OpEcho(echo) => echoes.push(echo),
                _ => {
                    return Err(Failure::breach(
                        requirement,
                        format!("the next message of {} is not {awaited}", self.name),
                    )
                    .expected("an op_echo")
                    .got(shortened(&message.received.text, 1_000))
                    .at(message.event));
                }
            }
        }
        Ok(echoes)
    }

    /// The server must close the connection next, with one of the codes; 1006 stands for an end
    /// without a close frame.
    pub async fn expect_close(&mut self, codes: &[u16], requirement: &str) -> Outcome<Closed> {
        let expected = close_expectation(codes);
        let incoming = self.receive(&expected, requirement).await?;
        self.closed(&incoming, codes, requirement)
    }

    /// The server must close the connection with one of the codes, as [`Client::expect_close`] has
    /// it; before that echoes may come.
    pub async fn expect_echoes_until_close(
        &mut self,
        codes: &[u16],
        requirement: &str,
    ) -> Outcome<Vec<OpEcho>> {
        let mut echoes = Vec::new();
        while let Some(echo) = self.expect_echo_or_close(codes, requirement).await? {
            echoes.push(echo);
        }
        Ok(echoes)
    }

    /// The next must be an echo, or nothing more as the server closes with one of the codes.
    pub async fn expect_echo_or_close(
        &mut self,
        codes: &[u16],
        requirement: &str,
    ) -> Outcome<Option<OpEcho>> {
        let awaited = format!("another echo, or {}", close_expectation(codes));
        let incoming = self.receive(&awaited, requirement).await?;
        match &incoming.what {
            Arrival::Text(received)
                if let Some(ServerMessage::OpEcho(echo)) = received.message() =>
            {
                Ok(Some(echo.clone()))
            }
            _ => self.closed(&incoming, codes, requirement).map(|_| None),
        }
    }

    /// How an arrival closes the connection, which must be with one of the codes.
    pub(crate) fn closed(
        &self,
        incoming: &Incoming,
        codes: &[u16],
        requirement: &str,
    ) -> Outcome<Closed> {
        let expected = close_expectation(codes);
        let wrong = |what: String| {
            Failure::breach(requirement, what)
                .expected(&expected)
                .at(incoming.event)
        };
        let closed = match &incoming.what {
            Arrival::Close { code, reason } => Closed {
                code: *code,
                reason: reason.clone(),
            },
            Arrival::End { error } => Closed {
                code: 1006,
                reason: end_words(error.as_deref()),
            },
            Arrival::Text(received) => {
                let what = format!("{} got a message instead of the close", self.name);
                return Err(wrong(what).got(shortened(&received.text, 1_000)));
            }
            Arrival::Binary(bytes) => {
                let what = format!("{} got a binary message instead of the close", self.name);
                return Err(wrong(what).got(format!("{} bytes", bytes.len())));
            }
            Arrival::Pong(_) => unreachable!("receive keeps pongs apart"),
        };
        if codes.contains(&closed.code) {
            return Ok(closed);
        }
        Err(if closed.code == 1006 {
            wrong(format!(
                "the connection of {} ended without a close frame",
                self.name
            ))
            .got(closed.reason)
        } else {
            wrong(format!("the server closed {} with another code", self.name))
                .got(close_words(closed.code, &closed.reason))
        })
    }

    /// Sends a ping and waits for its pong. Messages that come meanwhile stay to be expected.
    pub async fn ping(&mut self, data: &[u8], requirement: &str) -> Outcome {
        self.send_ping(data);
        let awaited = format!("a pong with {}", hex(data));
        let since = self.context.recorder().now();
        let mut kept: Vec<Incoming> = Vec::new();
        let result = loop {
            match self.receive_raw(since, &awaited, requirement).await {
                Ok(Incoming {
                    what: Arrival::Pong(got),
                    ..
                }) if got == data => break Ok(()),
                Ok(Incoming {
                    what: Arrival::Pong(_),
                    ..
                }) => {}
                Ok(Incoming {
                    what: Arrival::End { error },
                    event,
                }) => {
                    let closed = kept.iter().find_map(|kept| match &kept.what {
                        Arrival::Close { code, reason } => Some(close_words(*code, reason)),
                        _ => None,
                    });
                    let what = format!("the connection of {} ended instead", self.name);
                    break Err(Failure::breach(requirement, what)
                        .expected(awaited)
                        .got(closed.unwrap_or_else(|| end_words(error.as_deref())))
                        .at(event));
                }
                Ok(incoming) => kept.push(incoming),
                Err(failure) => break Err(failure),
            }
        };
        self.kept.extend(kept);
        result
    }

    /// Shows that nothing else has come: inserts an element at the root and deletes it again, and
    /// the two echoes must be the next messages of this connection and of `others`.
    pub async fn barrier(&mut self, others: &mut [&mut Client], requirement: &str) -> Outcome {
        let pair = self.send_barrier();
        self.expect_barrier(&pair, requirement).await?;
        for other in others {
            other.expect_barrier(&pair, requirement).await?;
        }
        Ok(())
    }

    /// The waiting half of a barrier.
    pub async fn expect_barrier(&mut self, pair: &[OpSubmission; 2], requirement: &str) -> Outcome {
        for submission in pair {
            self.expect_echo(submission, requirement)
                .await
                .map_err(|failure| {
                    failure.context("at a barrier, before which nothing must come")
                })?;
        }
        Ok(())
    }

    fn remember(&mut self, message: &Message) {
        self.note_sync(&message.message);
        match &message.message {
            ServerMessage::HelloAck(ack) => self.ack = Some(ack.clone()),
            ServerMessage::Resync(resync) => self.resync = Some((message.event, resync.clone())),
            ServerMessage::PresenceSnapshot(snapshot) => self.snapshot = Some(snapshot.clone()),
            ServerMessage::OpEcho(_) | ServerMessage::PresenceUpdate(_) => {}
        }
    }

    /// The next arrival but pongs.
    pub(crate) async fn receive(&mut self, awaited: &str, requirement: &str) -> Outcome<Incoming> {
        let since = self.context.recorder().now();
        loop {
            let incoming = match self.kept.pop_front() {
                Some(incoming) => incoming,
                None => self.receive_raw(since, awaited, requirement).await?,
            };
            match &incoming.what {
                Arrival::Pong(_) => continue,
                Arrival::Text(received) => self.last = Some(shortened(&received.text, 200)),
                Arrival::Binary(_) => self.last = Some("a binary message".to_owned()),
                Arrival::Close { code, reason } => self.last = Some(close_words(*code, reason)),
                Arrival::End { error } => self.last = Some(end_words(error.as_deref())),
            }
            return Ok(incoming);
        }
    }

    /// What has come instead of what is awaited in vain: here, or a close where somebody else was to send
    /// it.
    pub(super) fn instead(&self) -> String {
        let trace = self.context.recorder().snapshot();
        let closed = closed_elsewhere(&trace, self.wire.connection());
        let closed = closed.map(|closed| format!(", but the server closed {closed}"));
        let closed = closed.unwrap_or_default();
        match &self.last {
            None => format!("nothing at all on this connection{closed}"),
            Some(last) => format!("nothing{closed}; the last to come was {last}"),
        }
    }

    async fn receive_raw(
        &mut self,
        since: Duration,
        awaited: &str,
        requirement: &str,
    ) -> Outcome<Incoming> {
        if let Some(end) = &self.ended {
            return Ok(end.clone());
        }
        match self.context.wait(self.inbox.recv()).await {
            Ok(Some(incoming)) => {
                if matches!(incoming.what, Arrival::End { .. }) {
                    self.ended = Some(incoming.clone());
                }
                Ok(incoming)
            }
            Ok(None) => Err(Failure::Harness(format!(
                "{} waits after its own end",
                self.name
            ))),
            Err(InVain::OutOfTime) => Err(self.context.out_of_time()),
            Err(InVain::Patience(waited)) => {
                let got = self.instead();
                Err(Failure::breach(
                    requirement,
                    format!(
                        "nothing came on {} in {:.1?}, awaited since {:.3} s",
                        self.name,
                        waited,
                        since.as_secs_f64()
                    ),
                )
                .expected(awaited)
                .got(got)
                .timed_out())
            }
        }
    }
}

/// The last close on another connection for which the suite has not asked.
fn closed_elsewhere(trace: &Trace, here: Connection) -> Option<String> {
    let mut asked = HashSet::new();
    let mut last = None;
    for event in &trace.events {
        let Some(connection) = event.connection else {
            continue;
        };
        match &event.what {
            What::SentClose { .. } => drop(asked.insert(connection)),
            What::Close { code, reason } if connection != here && !asked.contains(&connection) => {
                last = Some((connection, code, reason));
            }
            _ => {}
        }
    }
    let (connection, code, reason) = last?;
    let name = trace.name(connection);
    Some(format!("{name}: {}", close_words(*code, reason)))
}

fn presence_state(update: &PresenceUpdate) -> Value {
    update.state.clone().map_or(Value::Null, Value::Object)
}

fn unexpected(message: &ServerMessage) -> Failure {
    Failure::Harness(format!(
        "a pattern let another message through: {message:?}"
    ))
}

pub(super) fn end_words(error: Option<&str>) -> String {
    error.map_or_else(
        || "the TCP connection ended".to_owned(),
        |error| format!("the TCP connection ended: {error}"),
    )
}

fn close_expectation(codes: &[u16]) -> String {
    let codes: Vec<String> = codes
        .iter()
        .map(|code| match code {
            1006 => "an end without a close frame".to_owned(),
            code => format!("close {code}"),
        })
        .collect();
    codes.join(" or ")
}
