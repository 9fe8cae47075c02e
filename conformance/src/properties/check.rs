//! Brings a history to rest, and holds what everybody has against the oracle: live, replayed, resynced,
//! joined anew.
//!
//! Deliberately absent: what a trace shows by itself; the monitors look at it afterwards.

use collab_spec::message::ServerMessage;
use collab_spec::profile::Profile;

use super::activity::Count;
use super::link::{Link, Trouble};
use super::plan::letter;
use super::play::{Play, TRIES};
use crate::ids;
use crate::model::Model;
use crate::monitor;
use crate::outcome::Failure;
use crate::validate::shortened;

/// How the names of the connections begin that only look.
pub(super) const FRESH: &str = "check";

/// A newcomer that looks at a document at rest.
struct Newcomer {
    name: &'static str,
    seen: u64,
    profiles: Vec<Profile>,
    epoch: Option<String>,
}

impl Play<'_> {
    /// Everybody comes back and sends what is left; then every document is looked at.
    pub(super) async fn rest(&mut self) -> Result<(), Trouble> {
        self.quiesce().await?;
        self.count_names();
        for document in 0..self.documents.len() {
            let used = self.links.values().any(|link| link.document == document);
            if used {
                self.look(document).await?;
            }
        }
        Ok(())
    }

    /// Everybody is there and has everything, however often the network breaks in between.
    async fn quiesce(&mut self) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            match self.come_to_rest().await {
                Err(Trouble::Lost(_)) if self.how.is_lossy() && tries < TRIES => {
                    tries += 1;
                    self.recover().await?;
                }
                other => return other,
            }
        }
    }

    async fn come_to_rest(&mut self) -> Result<(), Trouble> {
        for member in 0..self.members.len() {
            self.bring_back(member).await?;
        }
        for document in 0..self.documents.len() {
            self.settle_document(document).await?;
            self.level(document).await?;
        }
        for member in 0..self.members.len() {
            self.read(member, usize::MAX);
            let document = &self.documents[self.plan.members[member].document];
            let left = self.members[member].replica.unconfirmed.first();
            if let Some(place) = left {
                let id = &document.made[*place].submission.client_msg_id;
                let what = format!("{} never saw its op {id} accepted", letter(member));
                return Err(Failure::breach(ids::SUBMIT_ANSWER, what).into());
            }
        }
        Ok(())
    }

    /// Every connection of a document gets everything that any of them has got.
    async fn level(&mut self, document: usize) -> Result<(), Trouble> {
        let head = self.documents[document].head;
        let here = |(number, link): (&usize, &Link)| (link.document == document).then_some(*number);
        for number in self.links.iter().filter_map(here).collect::<Vec<_>>() {
            match self.reach(number, head).await {
                // A connection that nobody uses any more may break.
                Err(Trouble::Lost(_)) if self.how.is_lossy() && self.is_nobodys(number) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn is_nobodys(&self, number: usize) -> bool {
        !self
            .members
            .iter()
            .any(|member| member.link == Some(number))
    }

    fn count_names(&mut self) {
        let mut seen = std::collections::BTreeMap::new();
        for (index, document) in self.documents.iter().enumerate() {
            for made in &document.made {
                let submission = &made.submission;
                let name = (&submission.client_id, &submission.client_msg_id);
                let first = *seen.entry(name).or_insert(index);
                let shared = first != index;
                self.activity.add_all(Count::SharedNames, u64::from(shared));
            }
        }
    }

    async fn look(&mut self, document: usize) -> Result<(), Trouble> {
        let head = self.documents[document].head;
        let all = self.documents[document].elements();
        if head != all {
            let what =
                format!("the ops accepted have {all} elements in all, and the last seq is {head}");
            return Err(Failure::breach(ids::SEQ_DENSE, what).into());
        }
        let oracle = self.documents[document].oracle();
        let epoch = self.look_anew(document, head, &oracle).await?;
        self.look_at_members(document, &oracle)?;
        self.look_again(document, head, epoch, &oracle).await?;
        self.show_that_nothing_is_left(document).await
    }

    /// Newcomers with nothing seen; gives the document's epoch, where the server names one.
    async fn look_anew(
        &mut self,
        document: usize,
        head: u64,
        oracle: &Model,
    ) -> Result<Option<String>, Trouble> {
        let offered = &self.how.offered;
        let all: Vec<Profile> = super::generate::PROFILES
            .into_iter()
            .filter(|profile| offered.contains(profile))
            .collect();
        let mut choices = vec![(FRESH, Vec::new())];
        if offered.contains(&Profile::State) && all.len() > 1 {
            choices.push(("check-state", vec![Profile::State]));
        }
        if !all.is_empty() {
            choices.push(("check-all", all));
        }
        let mut epoch = None;
        for (name, profiles) in choices {
            let newcomer = Newcomer {
                name,
                seen: 0,
                profiles,
                epoch: None,
            };
            let number = self.join(document, &newcomer).await?;
            self.agrees(number, head, oracle)?;
            let told = self.links.get(&number).and_then(Link::epoch);
            epoch = epoch.or_else(|| told.map(ToString::to_string));
        }
        Ok(epoch)
    }

    /// Newcomers that say to have seen something: the first seq, the inside of a run, everything.
    async fn look_again(
        &mut self,
        document: usize,
        head: u64,
        epoch: Option<String>,
        oracle: &Model,
    ) -> Result<(), Trouble> {
        let mut newcomers = vec![Newcomer {
            name: "check-replay",
            seen: 1,
            profiles: Vec::new(),
            epoch: None,
        }];
        if let Some((first, _)) = self.documents[document].run
            && self.how.offered.contains(&Profile::Runs)
        {
            newcomers.push(Newcomer {
                name: "check-inside",
                seen: first,
                profiles: vec![Profile::Runs],
                epoch: None,
            });
        }
        if epoch.is_some() {
            newcomers.push(Newcomer {
                name: "check-head",
                seen: head,
                profiles: vec![Profile::Resume],
                epoch,
            });
        }
        for newcomer in newcomers {
            if (1..=head).contains(&newcomer.seen) {
                let number = self.join(document, &newcomer).await?;
                self.agrees(number, head, oracle)?;
            }
        }
        Ok(())
    }

    async fn join(&mut self, document: usize, newcomer: &Newcomer) -> Result<usize, Trouble> {
        let mut tries = 0;
        loop {
            match self.try_to_join(document, newcomer).await {
                Err(Trouble::Lost(_)) if self.how.is_lossy() && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn try_to_join(
        &mut self,
        document: usize,
        newcomer: &Newcomer,
    ) -> Result<usize, Trouble> {
        let number = self
            .open(
                None,
                document,
                (newcomer.name, newcomer.name),
                newcomer.seen,
                &newcomer.profiles,
                newcomer.epoch.as_deref(),
            )
            .await?;
        while self
            .links
            .get(&number)
            .is_some_and(|link| !link.is_synced())
        {
            self.pump(number, "the sync", None).await?;
        }
        Ok(number)
    }

    /// What a newcomer has got is what the oracle has.
    fn agrees(&mut self, number: usize, head: u64, oracle: &Model) -> Result<(), Trouble> {
        let Some(link) = self.links.get(&number) else {
            return Ok(());
        };
        let name = link.name();
        let document = &self.documents[link.document];
        let seen = link.said_seen();
        let mut model = document.oracle_at(seen);
        let mut replayed = None;
        for message in &link.arrived {
            match &message.message {
                ServerMessage::HelloAck(ack) if ack.server_seq.value() != head => {
                    let what = format!(
                        "the head in the ack of {name} is {}, and the last seq is {head}",
                        ack.server_seq.value()
                    );
                    return Err(Failure::breach(ids::ACK_FIELDS, what)
                        .at(message.event)
                        .into());
                }
                ServerMessage::Resync(resync) => {
                    model = None;
                    let text = oracle.text();
                    if resync.full_text != text {
                        let what = format!(
                            "the text that {name} got at seq {} is not what the ops up to it make",
                            resync.server_seq.value()
                        );
                        let (expected, got) = monitor::around_difference(&text, &resync.full_text);
                        return Err(Failure::breach(ids::RESYNC_TEXT, what)
                            .expected(expected)
                            .got(got)
                            .at(message.event)
                            .into());
                    }
                    if let Some(state) = &resync.state {
                        let wrong =
                            monitor::compare_states(name, message.event, &oracle.state(), state);
                        if let Some(breach) = wrong.into_iter().next() {
                            return Err(Failure::found(breach).into());
                        }
                    }
                }
                ServerMessage::OpEcho(echo) => {
                    replayed = Some(message.event);
                    if let Some(model) = &mut model
                        && echo.server_seq.value() > seen
                    {
                        model.integrate(&echo.op);
                    }
                }
                _ => {}
            }
        }
        if let Some(event) = replayed
            && let Some(model) = model
            && model.text() != oracle.text()
        {
            let what = format!("what {name} replayed from seq {seen} on makes another text");
            let (expected, got) = monitor::around_difference(&oracle.text(), &model.text());
            return Err(Failure::breach(ids::SYNC_REPLAY_EXACT, what)
                .expected(expected)
                .got(got)
                .at(event)
                .into());
        }
        self.activity.add(Count::Compared);
        let has_replayed = replayed.is_some();
        self.activity
            .add_all(Count::ReplaysCompared, u64::from(has_replayed));
        Ok(())
    }

    /// What the members have from their echoes, or went on to from a state, is what the oracle has.
    fn look_at_members(&mut self, document: usize, oracle: &Model) -> Result<(), Trouble> {
        let text = oracle.text();
        let elements = oracle.state().elements;
        for (member, present) in self.members.iter().enumerate() {
            let here = self.plan.members[member].document == document && present.link.is_some();
            let replica = &present.replica;
            if !here || !replica.is_complete {
                continue;
            }
            self.activity.add(Count::Compared);
            if replica.model().text() == text && replica.model().state().elements == elements {
                continue;
            }
            let what = format!(
                "the live text of {} is not what all ops make",
                letter(member)
            );
            let requirement = match replica.is_seeded {
                true => ids::STATE_ELEMENTS,
                false => ids::SEQ_FAN_OUT,
            };
            return Err(Failure::breach(requirement, what)
                .expected(shortened(&format!("{text:?}"), 400))
                .got(shortened(&format!("{:?}", replica.model().text()), 400))
                .into());
        }
        Ok(())
    }

    /// A barrier: what it brings is the next on every connection, and the last.
    async fn show_that_nothing_is_left(&mut self, document: usize) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            match self.send_barrier(document).await {
                Err(Trouble::Lost(_)) if self.how.is_lossy() && tries < TRIES => {
                    tries += 1;
                    self.recover().await?;
                    self.quiesce().await?;
                }
                other => return other,
            }
        }
    }

    async fn send_barrier(&mut self, document: usize) -> Result<(), Trouble> {
        let here = |(number, link): (&usize, &Link)| {
            (link.document == document && link.member.is_some()).then_some(*number)
        };
        let number = self.links.iter().find_map(here);
        let Some((number, link)) =
            number.and_then(|number| Some((number, self.links.get_mut(&number)?)))
        else {
            return Ok(());
        };
        let member = link.member.unwrap_or_default();
        for submission in link.barrier() {
            self.documents[document].add(submission, usize::MAX, member);
        }
        self.settle(number).await?;
        self.level(document).await?;
        let (head, all) = (
            self.documents[document].head,
            self.documents[document].elements(),
        );
        if head != all && !self.how.is_lossy() {
            let what =
                format!("the ops accepted have {all} elements in all, and the last seq is {head}");
            return Err(Failure::breach(ids::SEQ_DENSE, what).into());
        }
        Ok(())
    }
}
