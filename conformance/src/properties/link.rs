//! One connection of a random history. What has come is kept apart from what its member has read.
//!
//! Deliberately absent: what a member makes of a message (see `replica`).

use std::collections::{HashMap, VecDeque};

use collab_spec::id::{Integer, Name};
use collab_spec::message::{Hello, HelloAck, OpSubmission, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use serde_json::Value;

use crate::client::{Ask, Client, Message};
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::trace::close_words;
use crate::validate::shortened;
use crate::wire::Arrival;

/// Why a wait came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or nothing comes on it any more: the server's fault, or the network's.
    Lost(Failure),
    /// Something else, which no network does.
    Failed(Failure),
}

impl Trouble {
    /// The failure, where no network is to blame.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Lost(failure) | Self::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Breach(fault) if fault.timed_out => Self::Lost(failure),
            _ => Self::Failed(failure),
        }
    }
}

/// The close codes with which a server ends a connection for no fault of the client: it goes, or the
/// network was slow.
const NO_FAULT: [u16; 2] = [1001, 1013];

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    /// Whose it is, where it is a member's.
    pub(super) member: Option<usize>,
    pub(super) document: usize,
    hello: Hello,
    ack: Option<HelloAck>,
    is_synced: bool,
    has_snapshot: bool,
    /// The greatest seq that has come.
    pub(super) top: u64,
    /// What has come and was not read.
    pub(super) arrived: VecDeque<Message>,
    /// How often each op of this client was echoed here.
    echoes: HashMap<Name, u64>,
    due: Vec<Due>,
}

/// An echo that must come.
#[derive(Clone, Debug)]
struct Due {
    client_msg_id: Name,
    /// How many echoes of the op there are then.
    count: u64,
    /// What is broken where it does not come.
    requirement: &'static str,
}

impl Link {
    /// A connection that says `hello`; nothing has come yet.
    pub(super) fn begin(
        mut client: Client,
        member: Option<usize>,
        document: usize,
        names: (&str, &str),
        seen: u64,
        profiles: &[Profile],
        epoch: Option<&str>,
    ) -> Self {
        let (doc_id, client_id) = names;
        if profiles.is_empty() {
            client.hello(doc_id, client_id, Some(seen));
        } else {
            let mut ask = Ask::of(profiles).seen(seen);
            if let Some(epoch) = epoch {
                ask = ask.epoch(epoch);
            }
            client.hello_asking(doc_id, client_id, &ask);
        }
        let name = |text| Name::new(text).expect("a plan's names have 1 to 256 characters");
        let capabilities = profiles.iter().map(|profile| profile.name().to_owned());
        Self {
            client,
            member,
            document,
            hello: Hello {
                doc_id: name(doc_id),
                client_id: name(client_id),
                last_seen_server_seq: Integer::new(seen).expect("a plan's seqs are small"),
                capabilities: (!profiles.is_empty()).then(|| capabilities.collect()),
                epoch: epoch.map(Value::from),
            },
            ack: None,
            is_synced: false,
            has_snapshot: false,
            top: 0,
            arrived: VecDeque::new(),
            echoes: HashMap::new(),
            due: Vec::new(),
        }
    }

    /// The connection's name in the trace.
    pub(super) fn name(&self) -> &str {
        self.client.name()
    }

    /// Whether the ack has turned a profile on.
    pub(super) fn is_on(&self, profile: Profile) -> bool {
        let granted = self.ack.as_ref().and_then(|ack| ack.capabilities.as_ref());
        granted.is_some_and(|names| names.iter().any(|name| name == profile.name()))
    }

    /// Whether the sync is complete, the presence snapshot included.
    pub(super) fn is_synced(&self) -> bool {
        self.is_synced && (self.has_snapshot || !self.is_on(Profile::Presence))
    }

    /// The last seq that the `hello` said to have seen.
    pub(super) fn said_seen(&self) -> u64 {
        self.hello.last_seen_server_seq.value()
    }

    /// The head by the ack.
    pub(super) fn head(&self) -> u64 {
        self.ack.as_ref().map_or(0, |ack| ack.server_seq.value())
    }

    /// The epoch by the ack.
    pub(super) fn epoch(&self) -> Option<&Name> {
        self.ack.as_ref().and_then(|ack| ack.epoch.as_ref())
    }

    /// Sends an op, whose echo is due from now on.
    pub(super) fn submit(&mut self, submission: &OpSubmission, requirement: &'static str) {
        self.client.submit(submission);
        self.owes(&submission.client_msg_id, requirement);
    }

    /// Sends an insert again under another name; the answer carries the original one.
    pub(super) fn resubmit(&mut self, submission: &OpSubmission, original: &Name) {
        self.client.submit(submission);
        self.owes(original, ids::SUBMIT_SAME_INSERT);
    }

    /// One more echo of an op of this client must come.
    pub(super) fn owes(&mut self, client_msg_id: &Name, requirement: &'static str) {
        let same = |due: &&Due| due.client_msg_id == *client_msg_id;
        let owed = self.due.iter().filter(same).map(|due| due.count).max();
        let came = self.echoes.get(client_msg_id).copied().unwrap_or(0);
        self.due.push(Due {
            client_msg_id: client_msg_id.clone(),
            count: owed.unwrap_or(0).max(came) + 1,
            requirement,
        });
    }

    /// What is due and has not come: the op, and what is broken where it never does.
    pub(super) fn owed(&mut self) -> Option<(Name, &'static str)> {
        let echoes = &self.echoes;
        let came = |due: &Due| echoes.get(&due.client_msg_id).copied().unwrap_or(0) >= due.count;
        self.due.retain(|due| !came(due));
        let due = self.due.first()?;
        Some((due.client_msg_id.clone(), due.requirement))
    }

    /// Forgets what is due: nobody will look for it.
    pub(super) fn forgive(&mut self) {
        self.due.clear();
    }

    /// Shows a presence state.
    pub(super) fn show(&mut self, state: &Value) {
        self.client.send_presence(state);
    }

    /// Sends the two ops of a barrier.
    pub(super) fn barrier(&mut self) -> [OpSubmission; 2] {
        let pair = self.client.send_barrier();
        for submission in &pair {
            self.owes(&submission.client_msg_id, ids::SEQ_FAN_OUT);
        }
        pair
    }

    /// The requirement that says what the sync is, as far as the ack has come.
    pub(super) fn sync_rule(&self) -> &'static str {
        match &self.ack {
            None => ids::ACK_FIRST,
            Some(_) if self.is_synced => ids::PRESENCE_SNAPSHOT,
            Some(_) if self.top > 0 => ids::SYNC_REPLAY_EXACT,
            Some(ack) => monitor::sync_rule(&self.hello, ack, self.is_on(Profile::Resume)),
        }
    }

    /// Takes the next message from the wire.
    pub(super) async fn pump(
        &mut self,
        awaited: &str,
        requirement: &str,
    ) -> Result<&Message, Trouble> {
        let incoming = self.client.receive(awaited, requirement).await?;
        let name = self.name();
        let wrong = |what: String| {
            Failure::breach(requirement, what)
                .expected(awaited)
                .at(incoming.event)
        };
        let received = match &incoming.what {
            Arrival::Text(received) => received,
            Arrival::Close { code, reason } => {
                let failure = wrong(format!("the server closed {name} instead"))
                    .got(close_words(*code, reason));
                return Err(match NO_FAULT.contains(code) {
                    true => Trouble::Lost(failure),
                    false => Trouble::Failed(failure),
                });
            }
            Arrival::End { error } => {
                let what = format!("the connection of {name} ended without a close frame instead");
                let got = error.clone().unwrap_or_else(|| "the TCP end".to_owned());
                return Err(Trouble::Lost(wrong(what).got(got)));
            }
            Arrival::Binary(_) | Arrival::Pong(_) => {
                let what = format!("{name} got something else than a text message");
                return Err(Trouble::Failed(
                    Failure::breach(ids::TEXT_MESSAGES, what).at(incoming.event),
                ));
            }
        };
        let message = match &received.parsed {
            Ok(valid) => Message {
                event: incoming.event,
                received: std::sync::Arc::clone(received),
                message: valid.message.clone(),
            },
            Err(problem) => {
                return Err(Trouble::Failed(
                    Failure::breach(problem.requirement, &problem.what)
                        .got(shortened(&received.text, 600))
                        .at(incoming.event),
                ));
            }
        };
        self.note(&message.message);
        self.arrived.push_back(message);
        self.arrived
            .back()
            .ok_or_else(|| Trouble::Failed(Failure::Harness("a message is gone".to_owned())))
    }

    fn note(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::HelloAck(ack) => {
                if self.ack.is_none() {
                    self.ack = Some(ack.clone());
                    let at_head = ack.server_seq == self.hello.last_seen_server_seq;
                    if at_head && self.is_on(Profile::Resume) && ack.sync == Some(SyncKind::Replay)
                    {
                        self.is_synced = true;
                        self.top = ack.server_seq.value();
                    }
                }
            }
            ServerMessage::Resync(resync) => {
                self.is_synced = true;
                self.top = self.top.max(resync.server_seq.value());
            }
            ServerMessage::OpEcho(echo) => {
                self.top = self.top.max(echo.server_seq.value());
                if !self.is_synced && self.ack.is_some() && self.top >= self.head() {
                    self.is_synced = true;
                }
                if echo.origin_client_id == self.hello.client_id {
                    *self.echoes.entry(echo.client_msg_id.clone()).or_default() += 1;
                }
            }
            ServerMessage::PresenceSnapshot(_) => self.has_snapshot = true,
            ServerMessage::PresenceUpdate(_) => {}
        }
    }

    /// Waits until what was sent has gone to the socket.
    pub(super) async fn flush(&mut self) -> Outcome {
        self.client.flush(ids::SEQ_FAN_OUT).await
    }

    /// Drops the TCP connection.
    pub(super) async fn drop_now(self) {
        self.client.abandon().await;
    }

    /// Ends with the closing handshake.
    pub(super) async fn close(self) -> Outcome {
        self.client.close().await
    }
}
