//! How a history waits: for messages on a connection, for the answers to what was sent, for seqs.

use collab_spec::message::ServerMessage;

use super::link::{Link, Trouble};
use super::play::Play;
use crate::ids;
use crate::outcome::Failure;

impl Play<'_> {
    /// Takes the next message of a connection from the wire.
    pub(super) async fn pump(
        &mut self,
        number: usize,
        awaited: &str,
        requirement: Option<&'static str>,
    ) -> Result<(), Trouble> {
        let Some(link) = self.links.get_mut(&number) else {
            return Err(Trouble::Failed(Failure::Harness(
                "a connection is gone that somebody waits for".to_owned(),
            )));
        };
        let requirement = requirement.unwrap_or_else(|| link.sync_rule());
        let document = link.document;
        let taken = match link.pump(awaited, requirement).await {
            Ok(message) => match &message.message {
                ServerMessage::OpEcho(echo) => {
                    self.documents[document].note(echo);
                    Ok(())
                }
                _ => Ok(()),
            },
            Err(trouble) => Err(trouble),
        };
        let head = link.top;
        if taken.is_err() {
            let gone = self.links.remove(&number);
            self.waited_on = gone.map(|link| link.name().to_owned());
        }
        let document = &mut self.documents[document];
        document.head = document.head.max(head);
        taken
    }

    /// Waits until everything that a connection sent is answered on it.
    pub(super) async fn settle(&mut self, number: usize) -> Result<(), Trouble> {
        while let Some((op, requirement)) = self.links.get_mut(&number).and_then(Link::owed) {
            let awaited = format!("an echo of {op}");
            self.waited_for = Some(op);
            self.pump(number, &awaited, Some(requirement)).await?;
        }
        self.waited_for = None;
        Ok(())
    }

    /// Waits until everything that was sent in a document is answered.
    pub(super) async fn settle_document(&mut self, document: usize) -> Result<(), Trouble> {
        let here = |(number, link): (&usize, &Link)| (link.document == document).then_some(*number);
        for number in self.links.iter().filter_map(here).collect::<Vec<_>>() {
            self.settle(number).await?;
        }
        Ok(())
    }

    /// Waits until a connection has got everything up to a seq.
    pub(super) async fn reach(&mut self, number: usize, seq: u64) -> Result<(), Trouble> {
        while self.links.get(&number).is_some_and(|link| link.top < seq) {
            let awaited = format!("the echoes up to seq {seq}");
            self.pump(number, &awaited, Some(ids::SEQ_FAN_OUT)).await?;
        }
        Ok(())
    }

    pub(super) async fn read_step(
        &mut self,
        member: usize,
        most: Option<usize>,
    ) -> Result<(), Trouble> {
        let Some(number) = self.members[member].link else {
            return Ok(());
        };
        self.synced(member).await?;
        let document = self.document_of(member);
        self.settle_document(document).await?;
        let head = self.documents[document].head;
        self.reach(number, head).await?;
        self.read(member, most.unwrap_or(usize::MAX));
        Ok(())
    }

    /// The member reads what has come on its connection, so many messages at most.
    pub(super) fn read(&mut self, member: usize, most: usize) {
        let document = &self.documents[self.plan.members[member].document];
        let present = &mut self.members[member];
        let Some(link) = present.link.and_then(|link| self.links.get_mut(&link)) else {
            return;
        };
        for _ in 0..most.min(link.arrived.len()) {
            if let Some(message) = link.arrived.pop_front() {
                present.replica.read(&message.message, document);
            }
        }
    }
}
