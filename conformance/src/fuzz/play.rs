//! Sends frames into a room and sees that a right server could have done what the server does.

use collab_spec::message::{ClientMessage, Hello, OpSubmission, ServerMessage, SyncKind};
use collab_spec::profile::Profile;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::Kind;
use super::frame::Frame;
use super::room::{PROBE, Room, echoes, send};
use super::verdict::{Used, Verdict};
use crate::client::Client;
use crate::context::Context;
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::trace::close_words;
use crate::validate::shortened;
use crate::wire::Arrival;

/// How many connections are open at once for frames that need one each.
const AT_ONCE: usize = 8;

/// The codes with which a server may refuse what is not graded.
const REFUSALS: [u16; 5] = [1002, 1003, 1007, 1008, 1009];

/// What went wrong.
pub(super) struct Wrong {
    /// With which of the frames, where that is known.
    pub(super) place: Option<usize>,
    pub(super) failure: Failure,
}

impl Wrong {
    fn at(place: usize) -> impl Fn(Failure) -> Self {
        move |failure| Self {
            place: Some(place),
            failure,
        }
    }

    fn somewhere(failure: Failure) -> Self {
        Self {
            place: None,
            failure,
        }
    }
}

/// Somebody has noticed something of what must go unnoticed: an effect, or the end of another.
fn noticed(failure: Failure) -> Wrong {
    let got = match &failure {
        Failure::Breach(fault) => fault.breach.got.clone().unwrap_or_default(),
        Failure::Untestable(_) | Failure::Harness(_) => String::new(),
    };
    let is_effect = ["\"op_echo\"", "\"presence_update\"", "\"resync\""]
        .iter()
        .any(|kind| got.contains(kind));
    Wrong::somewhere(match is_effect {
        true => failure.unless_late(ids::CLOSE_NO_EFFECT),
        false => failure,
    })
}

/// The frames of one room, sorted; each with its place in the list that they are from.
#[derive(Default)]
struct Sorted<'a> {
    taken: Vec<(usize, &'a Frame, ClientMessage)>,
    answered: Vec<(usize, &'a Frame, usize)>,
    closed: Vec<(usize, &'a Frame, u16)>,
    open: Vec<(usize, &'a Frame)>,
    /// Those that another one is in the way of.
    left: Vec<usize>,
}

fn sort<'a>(room: &Room, frames: &'a [Frame]) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    let mut used = Used::default();
    for (place, frame) in frames.iter().enumerate() {
        let ops: Vec<&OpSubmission> = frame.taken_as().collect();
        // A message id that was not used by the accepted op has to stay unused.
        let new_name = frame
            .rulings
            .iter()
            .find_map(|ruling| match &ruling.verdict {
                Verdict::Answered { known, msg_id } => {
                    let first = &room.setting.accepted[*known].client_msg_id;
                    (first != msg_id).then_some(msg_id)
                }
                _ => None,
            });
        if !used.take(&ops) || new_name.is_some_and(|name| !used.take_name(name)) {
            sorted.left.push(place);
        } else if frame.is_open {
            // Whether it is passed on, and when, is not said.
            if room.kind != Kind::Presence {
                sorted.open.push((place, frame));
            }
        } else {
            match frame.rulings.first().map(|ruling| &ruling.verdict) {
                Some(Verdict::Taken(message)) => {
                    sorted.taken.push((place, frame, (**message).clone()));
                }
                Some(Verdict::Answered { known, .. }) => {
                    sorted.answered.push((place, frame, *known))
                }
                Some(Verdict::Closed(code)) => sorted.closed.push((place, frame, *code)),
                None => {}
            }
        }
    }
    sorted
}

/// Sends frames of one kind and one client into a fresh room of a context. Gives the places of those
/// that need another room.
pub(super) async fn play(
    context: &Context,
    kind: Kind,
    client_id: &str,
    make: impl Fn(&Room) -> Vec<Frame>,
) -> Result<Vec<usize>, Wrong> {
    let mut room = Room::open(context, kind, client_id)
        .await
        .map_err(Wrong::somewhere)?;
    let frames = make(&room);
    let sorted = sort(&room, &frames);
    match kind {
        Kind::Hello | Kind::HelloResume => room.greet(&sorted.taken).await?,
        Kind::Presence => room.show(&sorted.taken).await?,
        Kind::Op | Kind::OpResume | Kind::OpRuns => room.submit(&sorted.taken).await?,
    }
    room.resend(&sorted.answered).await?;
    room.refuse(&sorted.closed).await?;
    room.leave(ids::CLOSE_ISOLATED).await.map_err(noticed)?;
    let trace = context.trace();
    if let Some(breach) = monitor::check(&trace).into_iter().next() {
        return Err(Wrong::somewhere(Failure::found(breach)));
    }
    if !sorted.open.is_empty() {
        // What the monitors make of what is not graded says nothing, so it has a room of its own.
        let aside = context.another();
        let played = play_open(&aside, &room, &sorted.open).await;
        aside.abandon_all().await;
        played?;
    }
    Ok(sorted.left)
}

async fn play_open(context: &Context, like: &Room, open: &[(usize, &Frame)]) -> Result<(), Wrong> {
    let (kind, client_id) = (like.kind, &like.setting.client_id);
    let mut room = Room::open(context, kind, client_id)
        .await
        .map_err(Wrong::somewhere)?;
    for (place, frame) in open {
        let frame = frame.recipe.frame(&room.setting);
        room.let_be(&frame).await.map_err(Wrong::at(*place))?;
    }
    room.leave(ids::CLOSE_ISOLATED)
        .await
        .map_err(Wrong::somewhere)
}

impl Room {
    /// Valid ops: all through one connection, and an innocent op behind them.
    async fn submit(&mut self, frames: &[(usize, &Frame, ClientMessage)]) -> Result<(), Wrong> {
        let ops: Vec<(usize, &Frame, &OpSubmission)> = frames
            .iter()
            .filter_map(|(place, frame, message)| match message {
                ClientMessage::Op(sent) => Some((*place, *frame, sent)),
                _ => None,
            })
            .collect();
        if ops.is_empty() {
            return Ok(());
        }
        let tail = self.tail();
        for (_, frame, _) in &ops {
            send(&mut self.sender, &frame.sending);
        }
        self.sender.submit(&tail);
        let before = self.head;
        for (place, frame, sent) in &ops {
            self.head += sent.op.elements();
            self.expect_at_sender(sent, self.head, frame.requirement())
                .await
                .map_err(Wrong::at(*place))?;
        }
        self.head += 1;
        self.expect_at_sender(&tail, self.head, ids::SEQ_FAN_OUT)
            .await
            .map_err(Wrong::somewhere)?;
        let mut head = before;
        for (place, frame, sent) in &ops {
            head += sent.op.elements();
            self.expect_at_bystanders(sent, head, frame.requirement())
                .await
                .map_err(Wrong::at(*place))?;
        }
        let head = self.head;
        self.expect_at_bystanders(&tail, head, ids::SEQ_FAN_OUT)
            .await
            .map_err(Wrong::somewhere)
    }

    /// Ops that have been accepted: each is answered, and only the sender gets the answer.
    async fn resend(&mut self, frames: &[(usize, &Frame, usize)]) -> Result<(), Wrong> {
        for (place, frame, known) in frames {
            send(&mut self.sender, &frame.sending);
            let (sent, last) = (self.setting.accepted[*known].clone(), self.seqs[*known]);
            self.expect_at_sender(&sent, last, frame.requirement())
                .await
                .map_err(Wrong::at(*place))?;
        }
        Ok(())
    }

    /// States: each is passed on before the next is sent, since a server may leave out older ones.
    async fn show(&mut self, frames: &[(usize, &Frame, ClientMessage)]) -> Result<(), Wrong> {
        for (place, frame, message) in frames {
            let ClientMessage::PresenceUpdate(update) = message else {
                continue;
            };
            send(&mut self.sender, &frame.sending);
            let state = update.state.clone().map_or(Value::Null, Value::Object);
            self.expect_shown(&state, frame.requirement())
                .await
                .map_err(Wrong::at(*place))?;
        }
        Ok(())
    }

    /// The next message of the bystander with all profiles must be this state of the sender.
    async fn expect_shown(&mut self, state: &Value, requirement: &str) -> Outcome {
        let client_id = self.setting.client_id.clone();
        let within = self.context.scaled(PROBE);
        let shown = self.keen.expect_presence(&client_id, state, requirement);
        if let Ok(shown) = tokio::time::timeout(within, shown).await {
            return shown;
        }
        // Whether the sender was closed for it can be seen at once.
        let tail = self.tail();
        self.sender.submit(&tail);
        self.head += 1;
        let last = self.head;
        self.expect_at_sender(&tail, last, requirement).await?;
        // The state and the echo may come in any order.
        match self
            .keen
            .expect_presence(&client_id, state, requirement)
            .await
        {
            Ok(()) => self.expect_at_bystanders(&tail, last, requirement).await,
            Err(Failure::Breach(fault))
                if fault
                    .breach
                    .got
                    .as_ref()
                    .is_some_and(|got| got.contains("op_echo")) =>
            {
                self.keen
                    .expect_presence(&client_id, state, requirement)
                    .await?;
                self.expect_at_plain(&tail, last, requirement).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Frames that end their connection, and nothing else.
    async fn refuse(&mut self, frames: &[(usize, &Frame, u16)]) -> Result<(), Wrong> {
        let room = &*self;
        let refusing: Vec<_> = frames.iter().map(|one| room.refuse_one(one)).collect();
        let mut results = futures_util::stream::iter(refusing).buffer_unordered(AT_ONCE);
        while let Some(result) = results.next().await {
            result?;
        }
        Ok(())
    }

    async fn connect_for(&self, frame: &Frame) -> Outcome<Client> {
        let name = format!("frame-{}", frame.recipe.seed);
        match self.kind.is_first() {
            true => self.context.connect(&name).await,
            false => self.join_another(&name).await,
        }
    }

    async fn refuse_one(&self, (place, frame, code): &(usize, &Frame, u16)) -> Result<(), Wrong> {
        let refused = self.expect_refused(frame, *code).await;
        refused.map_err(Wrong::at(*place))
    }

    async fn expect_refused(&self, frame: &Frame, code: u16) -> Outcome {
        let mut client = self.connect_for(frame).await?;
        send(&mut client, &frame.sending);
        let (due, requirement) = (frame.due(), frame.requirement());
        let seed = frame.recipe.seed;
        let incoming = self.receive(&mut client, &due, requirement, seed).await?;
        let wrong = |what: &str, got: String| {
            Err(Failure::breach(requirement, what)
                .expected(&due)
                .got(got)
                .at(incoming.event))
        };
        match &incoming.what {
            Arrival::Close { code: got, .. } if *got == code => {}
            Arrival::Close { code, reason } => {
                return wrong(
                    "the server closed with another code",
                    close_words(*code, reason),
                );
            }
            Arrival::End { .. } => {
                return wrong(
                    "the connection ended without a close frame",
                    "the end".to_owned(),
                );
            }
            Arrival::Text(received) => {
                let ignored = received.text.contains(&format!("\"p-{seed}\""))
                    || (self.kind.is_first() && received.text.contains("hello_ack"));
                let what = match ignored {
                    true => "the server took what came behind it, or itself, where it had to close",
                    false => "the server answered it where it had to close",
                };
                return wrong(what, shortened(&received.text, 600));
            }
            Arrival::Binary(_) | Arrival::Pong(_) => {
                return wrong("a binary message came", String::new());
            }
        }
        client.abandon().await;
        Ok(())
    }

    /// A frame of which the specification does not say what a server makes of it: it may be taken for
    /// what it can mean, or refused, or ignored; and all see the same of it.
    async fn let_be(&mut self, frame: &Frame) -> Outcome {
        let mut client = self.connect_for(frame).await?;
        send(&mut client, &frame.sending);
        let (due, requirement) = (frame.due(), frame.requirement());
        let seed = frame.recipe.seed;
        let incoming = self.receive(&mut client, &due, requirement, seed).await?;
        let wrong = |requirement: &str, what: &str, got: String| {
            Failure::breach(requirement, what)
                .expected(&due)
                .got(got)
                .at(incoming.event)
        };
        match &incoming.what {
            Arrival::Close { code, .. } if REFUSALS.contains(code) => {}
            Arrival::Close { code, reason } => {
                let requirement = match code {
                    1011 => ids::CLOSE_NO_1011,
                    _ => ids::CLOSE_TABLE_ONLY,
                };
                let got = close_words(*code, reason);
                return Err(wrong(
                    requirement,
                    "the server closed with a strange code",
                    got,
                ));
            }
            Arrival::Text(_) if self.kind.is_first() => {}
            Arrival::Text(received) => {
                let got = match received.message() {
                    Some(ServerMessage::OpEcho(echo)) => echo,
                    _ => {
                        let got = shortened(&received.text, 600);
                        return Err(wrong(requirement, "another message came", got));
                    }
                };
                let is_whole = self.setting.on.contains(&Profile::Runs);
                let probe = self.innocent(&format!("p-{seed}"));
                let is_its = |sent: &&OpSubmission| {
                    let last = self.head + sent.op.elements();
                    echoes(sent, last, is_whole).contains(got)
                };
                let taken = frame.taken_as().chain([&probe]).find(is_its).cloned();
                let answers = frame.rulings.iter().any(|ruling| match ruling.verdict {
                    Verdict::Answered { known, .. } => {
                        let sent = &self.setting.accepted[known];
                        echoes(sent, self.seqs[known], is_whole).contains(got)
                    }
                    _ => false,
                });
                match taken {
                    Some(sent) => {
                        self.head += sent.op.elements();
                        let last = self.head;
                        self.expect_at_sender(&sent, last, requirement).await?;
                        self.expect_at_bystanders(&sent, last, requirement).await?;
                    }
                    None if answers => {}
                    None => {
                        let got = shortened(&received.text, 600);
                        return Err(wrong(requirement, "another echo came", got));
                    }
                }
            }
            Arrival::End { .. } => {
                let got = "the end".to_owned();
                return Err(wrong(
                    ids::CLOSE_TABLE_ONLY,
                    "it ended without a close frame",
                    got,
                ));
            }
            Arrival::Binary(_) | Arrival::Pong(_) => {}
        }
        client.abandon().await;
        Ok(())
    }

    /// Hellos that are answered; whoever has said one is then in the room.
    async fn greet(&mut self, frames: &[(usize, &Frame, ClientMessage)]) -> Result<(), Wrong> {
        for some in frames.chunks(AT_ONCE * 4) {
            let room = &*self;
            let greeting: Vec<_> = some.iter().map(|one| room.greet_one(one)).collect();
            let greeted: Vec<_> = futures_util::stream::iter(greeting)
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            let mut here = Vec::new();
            for result in greeted {
                let (place, client) = result?;
                here.extend(client.map(|client| (place, client)));
            }
            let pair = self.plain.send_barrier();
            let isolated = ids::CLOSE_ISOLATED;
            for bystander in [&mut self.plain, &mut self.keen, &mut self.sender] {
                bystander
                    .expect_barrier(&pair, isolated)
                    .await
                    .map_err(Wrong::somewhere)?;
            }
            self.head += 2;
            for (place, mut client) in here {
                client
                    .expect_barrier(&pair, ids::SEQ_FAN_OUT)
                    .await
                    .map_err(Wrong::at(place))?;
                client.abandon().await;
            }
        }
        Ok(())
    }

    /// The ack and the sync; the monitors see that they are the right ones. Gives the connection where
    /// it has joined the room.
    async fn greet_one(
        &self,
        (place, frame, message): &(usize, &Frame, ClientMessage),
    ) -> Result<(usize, Option<Client>), Wrong> {
        let greeted = self.expect_greeted(frame, message).await;
        greeted
            .map(|client| (*place, client))
            .map_err(Wrong::at(*place))
    }

    async fn expect_greeted(
        &self,
        frame: &Frame,
        message: &ClientMessage,
    ) -> Outcome<Option<Client>> {
        let ClientMessage::Hello(hello) = message else {
            return Ok(None);
        };
        let mut client = self.connect_for(frame).await?;
        send(&mut client, &frame.sending);
        let requirement = frame.requirement();
        let is_here = hello.doc_id.as_str() == self.setting.doc_id;
        let head = if is_here { self.head } else { 0 };
        let pattern = serde_json::json!({"type": "hello_ack", "doc_id": hello.doc_id,
            "server_seq": head});
        let ServerMessage::HelloAck(ack) = client.expect(&pattern, requirement).await?.message
        else {
            return Err(Failure::Harness("a pattern let no ack through".to_owned()));
        };
        let is_on = ack.epoch.is_some();
        self.expect_sync(
            &mut client,
            hello,
            head,
            is_on.then_some(ack.sync).flatten(),
            requirement,
        )
        .await?;
        match is_here {
            true => Ok(Some(client)),
            false => {
                client.abandon().await;
                Ok(None)
            }
        }
    }

    async fn expect_sync(
        &self,
        client: &mut Client,
        hello: &Hello,
        head: u64,
        announced: Option<SyncKind>,
        requirement: &str,
    ) -> Outcome {
        let seen = hello.last_seen_server_seq.value();
        if announced == Some(SyncKind::Replay) && seen == head {
            return Ok(());
        }
        let message = client.next_message("the sync", requirement).await?;
        match &message.message {
            ServerMessage::Resync(_) => Ok(()),
            ServerMessage::OpEcho(echo) => {
                let mut last = echo.server_seq.value();
                while last < head {
                    let message = client
                        .next_message("the rest of the replay", requirement)
                        .await?;
                    match &message.message {
                        ServerMessage::OpEcho(echo) if echo.server_seq.value() > last => {
                            last = echo.server_seq.value();
                        }
                        _ => {
                            let what = "something else came in a replay";
                            return Err(Failure::breach(ids::SYNC_REPLAY_EXACT, what)
                                .got(shortened(&message.received.text, 600))
                                .at(message.event));
                        }
                    }
                }
                Ok(())
            }
            _ => Err(Failure::breach(requirement, "what came is no sync")
                .got(shortened(&message.received.text, 600))
                .at(message.event)),
        }
    }
}
