//! Plays a scenario file, step by step, and says which step failed and why.

use std::collections::BTreeMap;

use collab_spec::profile::Profile;
use collab_spec::scenario::{BytesKind, Connections, Scenario, Step};
use serde_json::{Value, json};

use crate::client::{Ask, Client};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::pattern::{self, Bindings, fill_in, interpolate, interpolate_text};
use crate::validate::shortened;

/// Plays a scenario.
///
/// Errors: what the first step that fails found.
pub async fn play(scenario: &Scenario, context: Context) -> Outcome {
    let mut player = Player {
        default_requirement: scenario.requirements.first().map_or("", String::as_str),
        doc_id: context.doc_id().to_owned(),
        context,
        clients: BTreeMap::new(),
        bindings: Bindings::new(),
    };
    for (index, step) in scenario.steps.iter().enumerate() {
        player.step(step).await.map_err(|failure| {
            failure.context(format_args!("step {} ({})", index + 1, name(step)))
        })?;
    }
    Ok(())
}

/// The name of a step as scenario files write it.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::Connect { .. } => "connect",
        Step::Join { .. } => "join",
        Step::Send { .. } => "send",
        Step::SendText { .. } => "send_text",
        Step::SendFragments { .. } => "send_fragments",
        Step::SendBytes { .. } => "send_bytes",
        Step::Expect { .. } => "expect",
        Step::ExpectUnordered { .. } => "expect_unordered",
        Step::ExpectClose { .. } => "expect_close",
        Step::Barrier { .. } => "barrier",
        Step::Disconnect { .. } => "disconnect",
        Step::Drop { .. } => "drop",
        Step::StopReading { .. } => "stop_reading",
        Step::ResumeReading { .. } => "resume_reading",
        Step::Get { .. } => "get",
    }
}

struct Player<'a> {
    default_requirement: &'a str,
    doc_id: String,
    context: Context,
    clients: BTreeMap<String, Client>,
    bindings: Bindings,
}

impl Player<'_> {
    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Connect { on, note: _ } => {
                for name in on.names() {
                    let client = self.context.connect(name).await?;
                    self.clients.insert(name.clone(), client);
                }
                Ok(())
            }
            Step::Join {
                on,
                client_id,
                doc_id,
                capabilities,
                head,
                text,
                requirement,
            } => {
                let client_id = self.text(client_id.as_deref().unwrap_or(on));
                let doc_id = self.text(doc_id.as_deref().unwrap_or("${doc}"));
                let text = self.text(text);
                let mut client = self.context.connect(on).await?;
                let ask = Ask::of(capabilities);
                if capabilities.is_empty() {
                    client.hello(&doc_id, &client_id, Some(0));
                } else {
                    client.hello_asking(&doc_id, &client_id, &ask);
                }
                // An empty document is only a beginning; any other is what the scenario is about.
                let beginning = *head == 0 && requirement.is_none();
                let about = if beginning {
                    ids::NEW_DOCUMENT.to_owned()
                } else {
                    self.requirement(requirement)
                };
                let joined = expect_joined(&mut client, &ask, *head, &text, &about).await;
                self.clients.insert(on.clone(), client);
                joined
            }
            Step::Send { on, frame, note: _ } => {
                let frame = self.filled(frame)?;
                self.send(on, |client| client.send_json(&frame)).await
            }
            Step::SendText { on, text } => {
                let text = self.text(text);
                self.send(on, |client| client.send_text(&text)).await
            }
            Step::SendFragments { on, fragments } => {
                let fragments: Vec<_> = fragments.iter().map(|part| self.text(part)).collect();
                self.send(on, |client| client.send_fragments(&fragments))
                    .await
            }
            Step::SendBytes { on, kind, hex } => {
                let bytes = from_hex(hex)?;
                self.send(on, |client| match kind {
                    BytesKind::Text => client.send_bytes_as_text(&bytes),
                    BytesKind::Binary => client.send_binary(&bytes),
                })
                .await
            }
            Step::Expect {
                on,
                frame,
                requirement,
            } => self.expect(on, frame, self.requirement(requirement)).await,
            Step::ExpectUnordered {
                on,
                frames,
                requirement,
            } => {
                let requirement = self.requirement(requirement);
                let patterns: Vec<_> = frames
                    .iter()
                    .map(|frame| interpolate(frame, &self.doc_id))
                    .collect();
                for name in on.names() {
                    self.expect_unordered(name, &patterns, &requirement).await?;
                }
                Ok(())
            }
            Step::ExpectClose {
                on,
                codes,
                requirement,
            } => {
                let requirement = self.requirement(requirement);
                self.client(on)?
                    .expect_close(codes, &requirement)
                    .await
                    .map(drop)
            }
            Step::Barrier {
                via,
                on,
                requirement,
            } => {
                let requirement = self.requirement(requirement);
                let pair = self.client(via)?.send_barrier();
                for name in on.names() {
                    self.client(name)?
                        .expect_barrier(&pair, &requirement)
                        .await?;
                }
                Ok(())
            }
            Step::Disconnect { on } => self.take(on)?.close().await,
            Step::Drop { on } => {
                self.take(on)?.abandon().await;
                Ok(())
            }
            Step::StopReading { on } => {
                self.client(on)?.stop_reading();
                Ok(())
            }
            Step::ResumeReading { on } => {
                self.client(on)?.resume_reading();
                Ok(())
            }
            Step::Get { path, status, body } => {
                let requirement = self.requirement(&None);
                let body = body.as_ref().map(|body| interpolate(body, &self.doc_id));
                self.context
                    .expect_get(path, *status, body.as_ref(), &requirement)
                    .await
                    .map(drop)
            }
        }
    }

    fn requirement(&self, named: &Option<String>) -> String {
        named
            .as_deref()
            .unwrap_or(self.default_requirement)
            .to_owned()
    }

    fn text(&self, text: &str) -> String {
        interpolate_text(text, &self.doc_id)
    }

    fn filled(&self, frame: &Value) -> Outcome<Value> {
        fill_in(&interpolate(frame, &self.doc_id), &self.bindings).map_err(Failure::Harness)
    }

    fn client(&mut self, name: &str) -> Outcome<&mut Client> {
        self.clients
            .get_mut(name)
            .ok_or_else(|| no_connection(name))
    }

    fn take(&mut self, name: &str) -> Outcome<Client> {
        self.clients.remove(name).ok_or_else(|| no_connection(name))
    }

    async fn send(&mut self, on: &str, send: impl FnOnce(&mut Client)) -> Outcome {
        let requirement = self.default_requirement.to_owned();
        let client = self.client(on)?;
        send(client);
        // So that a `drop` after this step comes after it on the wire as well.
        client.flush(&requirement).await
    }

    async fn expect(&mut self, on: &Connections, frame: &Value, requirement: String) -> Outcome {
        let pattern = interpolate(frame, &self.doc_id);
        for name in on.names() {
            let client = self
                .clients
                .get_mut(name)
                .ok_or_else(|| no_connection(name))?;
            client
                .expect_binding(&pattern, &mut self.bindings, &requirement)
                .await?;
        }
        Ok(())
    }

    async fn expect_unordered(
        &mut self,
        on: &str,
        patterns: &[Value],
        requirement: &str,
    ) -> Outcome {
        let client = self.clients.get_mut(on).ok_or_else(|| no_connection(on))?;
        let mut left: Vec<&Value> = patterns.iter().collect();
        while !left.is_empty() {
            let awaited: Vec<_> = left.iter().map(|pattern| pattern.to_string()).collect();
            let awaited = shortened(&awaited.join("\nor "), 1_000);
            let message = client.next_message(&awaited, requirement).await?;
            let value: Value = serde_json::from_str(&message.received.text)
                .map_err(|error| Failure::Harness(error.to_string()))?;
            let found = left.iter().position(|pattern| {
                pattern::match_value(pattern, &value, &mut self.bindings).is_ok()
            });
            match found {
                Some(index) => {
                    left.remove(index);
                }
                None => {
                    let what = format!("the next message of {on} is none of the expected ones");
                    return Err(Failure::breach(requirement, what)
                        .expected(awaited)
                        .got(shortened(&message.received.text, 1_000))
                        .at(message.event));
                }
            }
        }
        Ok(())
    }
}

/// The ack and the resync of a join, both at `head`, the resync with `text`; then what was asked for.
async fn expect_joined(
    client: &mut Client,
    ask: &Ask,
    head: u64,
    text: &str,
    requirement: &str,
) -> Outcome {
    let ack = json!({"type": "hello_ack", "doc_id": client.doc_id()});
    let ack = client.expect(&ack, requirement).await?;
    client.check_granted(ask)?;
    if client.head() != head {
        let what = format!(
            "the head in the ack of {} is {}, not {head}",
            client.name(),
            client.head()
        );
        return Err(Failure::breach(requirement, what).at(ack.event));
    }
    let pattern = json!({"type": "resync", "doc_id": client.doc_id()});
    let message = client.expect(&pattern, ids::SYNC_ZERO).await?;
    let synced = client.synced();
    let wrong = |what: String| Failure::breach(requirement, what).at(message.event);
    if synced.full_text != text {
        return Err(
            wrong(format!("the text that {} gets is wrong", client.name()))
                .expected(format!("{text:?}"))
                .got(format!("{:?}", synced.full_text)),
        );
    }
    if synced.server_seq.value() != head {
        let what = format!(
            "the server_seq in the resync of {} is {}, not {head}",
            client.name(),
            synced.server_seq.value()
        );
        return Err(wrong(what));
    }
    if ask.has(Profile::Presence) {
        client.expect_snapshot().await?;
    }
    Ok(())
}

fn no_connection(name: &str) -> Failure {
    Failure::Harness(format!("the scenario has no open connection {name:?} here"))
}

fn from_hex(digits: &str) -> Outcome<Vec<u8>> {
    let wrong = || Failure::Harness(format!("{digits:?} is not pairs of hexadecimal digits"));
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}
