//! A document with a sender and two bystanders, one with all profiles and one with none, who see what
//! comes of the frames and nothing else.

use std::time::Duration;

use collab_spec::id::{Integer, Name};
use collab_spec::message::{Delete, Op, OpEcho, OpSubmission, ServerMessage};
use collab_spec::profile::Profile;
use serde_json::json;

use super::kind::{Kind, furnishing};
use super::verdict::Setting;
use super::whole::Sending;
use crate::client::{Ask, Client, element};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::validate::shortened;
use crate::wire::Incoming;

/// How long a server may take over a frame before it is asked whether it has ignored it.
pub(super) const PROBE: Duration = Duration::from_millis(250);

/// A document in which frames are sent.
pub(super) struct Room {
    pub(super) context: Context,
    pub(super) kind: Kind,
    /// What decides over the frames.
    pub(super) setting: Setting,
    /// Sends the valid frames.
    pub(super) sender: Client,
    /// Has no profile on.
    pub(super) plain: Client,
    /// Has all profiles on that there are.
    pub(super) keen: Client,
    /// The last seq of each op that stood in the document at first.
    pub(super) seqs: Vec<u64>,
    /// The document's head.
    pub(super) head: u64,
    tails: u64,
}

impl Room {
    /// Opens connections to the document of a context, and furnishes it.
    pub(super) async fn open(context: &Context, kind: Kind, client_id: &str) -> Outcome<Self> {
        let doc_id = context.doc_id();
        let plain = context.join("plain").await?;
        let mut keen = context.connect("keen").await?;
        let all = Profile::ALL.into_iter().filter(|one| *one != Profile::Core);
        let all: Vec<Profile> = all.collect();
        keen.hello_asking(doc_id, "keen", &Ask::of(&all));
        let granted = keen.expect_ack().await?.capabilities.unwrap_or_default();
        let offered: Vec<Profile> = granted
            .iter()
            .filter_map(|name| Profile::from_name(name))
            .collect();
        keen.expect_resync(ids::SYNC_ZERO).await?;
        if offered.contains(&Profile::Presence) {
            keen.expect_snapshot().await?;
        }
        let sender = join(context, "sender", kind, doc_id, client_id).await?;
        let ack = sender.acked();
        let max_run = ack.limits.map(|limits| limits.max_run.value());
        let mut setting = Setting {
            doc_id: doc_id.to_owned(),
            client_id: client_id.to_owned(),
            on: kind.on(),
            offered,
            epoch: ack.epoch.as_ref().map(ToString::to_string),
            max_run: max_run.unwrap_or(collab_spec::op::MOST_RUN),
            accepted: Vec::new(),
        };
        setting.accepted = furnishing(&setting);
        let mut room = Self {
            context: context.clone(),
            kind,
            setting,
            sender,
            plain,
            keen,
            seqs: Vec::new(),
            head: 0,
            tails: 0,
        };
        let furniture = room.setting.accepted.clone();
        room.sender.submit_all(&furniture);
        for sent in &furniture {
            room.expect_everywhere(sent, ids::SEQ_FAN_OUT).await?;
            room.seqs.push(room.head);
        }
        Ok(room)
    }

    /// Opens another connection of the sender's kind.
    pub(super) async fn join_another(&self, name: &str) -> Outcome<Client> {
        let (doc_id, client_id) = (&self.setting.doc_id, &self.setting.client_id);
        join(&self.context, name, self.kind, doc_id, client_id).await
    }

    /// An op that a right server takes whenever it comes.
    pub(super) fn tail(&mut self) -> OpSubmission {
        self.tails += 1;
        self.innocent(&format!("t-{}", self.tails))
    }

    /// An op that a right server takes whenever it comes, under a name.
    pub(super) fn innocent(&self, msg_id: &str) -> OpSubmission {
        OpSubmission {
            doc_id: name(&self.setting.doc_id),
            client_id: name(&self.setting.client_id),
            client_msg_id: name(msg_id),
            op: Op::Del(Delete::one(element(1, "nobody"))),
            epoch: None,
        }
    }

    /// The next messages of all three must be the echo of an op, or its echoes.
    pub(super) async fn expect_everywhere(
        &mut self,
        sent: &OpSubmission,
        requirement: &str,
    ) -> Outcome {
        self.head += sent.op.elements();
        self.expect_at_sender(sent, self.head, requirement).await?;
        self.expect_at_bystanders(sent, self.head, requirement)
            .await
    }

    /// The next message of the sender must be the echo of an op.
    pub(super) async fn expect_at_sender(
        &mut self,
        sent: &OpSubmission,
        last: u64,
        requirement: &str,
    ) -> Outcome {
        let is_whole = self.setting.on.contains(&Profile::Runs);
        expect_echoes(&mut self.sender, sent, last, is_whole, requirement).await
    }

    /// The next messages of the bystanders must be the echo of an op, or its echoes.
    pub(super) async fn expect_at_bystanders(
        &mut self,
        sent: &OpSubmission,
        last: u64,
        requirement: &str,
    ) -> Outcome {
        let is_whole = self.setting.offered.contains(&Profile::Runs);
        self.expect_at_plain(sent, last, requirement).await?;
        expect_echoes(&mut self.keen, sent, last, is_whole, requirement).await
    }

    /// The next messages of the bystander without profiles must be the echoes of an op.
    pub(super) async fn expect_at_plain(
        &mut self,
        sent: &OpSubmission,
        last: u64,
        requirement: &str,
    ) -> Outcome {
        expect_echoes(&mut self.plain, sent, last, false, requirement).await
    }

    /// Nobody has got anything else, and a newcomer gets the document as it must be (which the monitors
    /// see).
    pub(super) async fn leave(&mut self, requirement: &str) -> Outcome {
        let others = &mut [&mut self.keen, &mut self.sender];
        self.plain.barrier(others, requirement).await?;
        match self.setting.offered.contains(&Profile::State) {
            true => self.context.join_asking("late", &[Profile::State]).await,
            false => self.context.join("late").await,
        }
        .map(drop)
    }

    /// What comes next on a connection. Where nothing comes for a while, an innocent message is sent,
    /// so that a server that ignores frames need not be waited for.
    pub(super) async fn receive(
        &self,
        client: &mut Client,
        awaited: &str,
        requirement: &str,
        seed: u64,
    ) -> Outcome<Incoming> {
        let within = self.context.scaled(PROBE);
        let soon = tokio::time::timeout(within, client.receive(awaited, requirement)).await;
        if let Ok(incoming) = soon {
            return incoming;
        }
        let probe = match self.kind.is_first() {
            true => json!({"type": "hello", "doc_id": self.setting.doc_id,
                "client_id": self.setting.client_id}),
            false => crate::client::frame(&self.innocent(&format!("p-{seed}"))),
        };
        client.send_json(&probe);
        client.receive(awaited, requirement).await
    }
}

async fn join(
    context: &Context,
    name: &str,
    kind: Kind,
    doc_id: &str,
    client_id: &str,
) -> Outcome<Client> {
    match kind.on().as_slice() {
        [] => context.join_as(name, doc_id, client_id).await,
        on => context.join_asking_as(name, doc_id, client_id, on).await,
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("the suite's names have 1 to 256 characters")
}

/// Sends a frame.
pub(super) fn send(client: &mut Client, sending: &Sending) {
    match sending {
        Sending::Text(text) => client.send_text(text),
        Sending::Fragments(parts) => client.send_fragments(parts),
        Sending::Bytes { text: true, bytes } => client.send_bytes_as_text(bytes),
        Sending::Bytes { text: false, bytes } => client.send_binary(bytes),
    }
}

/// The echoes of an op whose last seq is known: one, or where runs are split one for each element.
pub(super) fn echoes(sent: &OpSubmission, last: u64, is_whole: bool) -> Vec<OpEcho> {
    let echo = |op: Op, seq: u64| OpEcho {
        doc_id: sent.doc_id.clone(),
        server_seq: Integer::new(seq).expect("a document has fewer than 2^53 ops"),
        origin_client_id: sent.client_id.clone(),
        client_msg_id: sent.client_msg_id.clone(),
        op,
    };
    if is_whole {
        return vec![echo(sent.op.clone(), last)];
    }
    let first = last + 1 - sent.op.elements();
    sent.op
        .singles()
        .zip(first..)
        .map(|(op, seq)| echo(op, seq))
        .collect()
}

async fn expect_echoes(
    client: &mut Client,
    sent: &OpSubmission,
    last: u64,
    is_whole: bool,
    requirement: &str,
) -> Outcome {
    for due in echoes(sent, last, is_whole) {
        let awaited = format!(
            "the echo of {:?}",
            shortened(sent.client_msg_id.as_str(), 40)
        );
        let message = client.next_message(&awaited, requirement).await?;
        let got = match &message.message {
            ServerMessage::OpEcho(got) if *got == due => continue,
            ServerMessage::OpEcho(got) => Some(got),
            _ => None,
        };
        let requirement = got.map_or(requirement, |got| differing(&due, got, requirement));
        let what = format!("the next message of {} is not {awaited}", client.name());
        let due = serde_json::to_string(&ServerMessage::OpEcho(due)).unwrap_or_default();
        return Err(Failure::breach(requirement, what)
            .expected(shortened(&due, 600))
            .got(shortened(&message.received.text, 600))
            .at(message.event));
    }
    Ok(())
}

/// The requirement by which an echo is another one.
fn differing<'a>(due: &OpEcho, got: &OpEcho, requirement: &'a str) -> &'a str {
    if got.client_msg_id != due.client_msg_id {
        // Another op's.
        return requirement;
    }
    match (&due.op, &got.op) {
        (due, got) if due == got => requirement,
        (Op::Ins(due), Op::Ins(got)) if due.id == got.id && due.parent_id == got.parent_id => {
            ids::TEXT_VERBATIM
        }
        _ => ids::ECHO_FAITHFUL,
    }
}
