//! How members of a history come and go: `hello`s of all kinds, syncs, connections that break.

use collab_spec::profile::Profile;

use super::activity::Count;
use super::link::{Link, Trouble};
use super::plan::{Cut, Epoch, Return, Seen, letter};
use super::play::{Play, TRIES};
use crate::dial::OpenError;
use crate::ids;
use crate::outcome::Failure;
use crate::wire::Buffers;

/// Far beyond the head of any history here.
const BEYOND: u64 = 1_000_000;

impl Play<'_> {
    /// Opens a connection that says `hello`.
    pub(super) async fn open(
        &mut self,
        member: Option<usize>,
        document: usize,
        names: (&str, &str),
        seen: u64,
        profiles: &[Profile],
        epoch: Option<&str>,
    ) -> Result<usize, Trouble> {
        let (name, client_id) = names;
        let mut tries = 0;
        let client = loop {
            match self.context.open(name, Buffers::Usual).await {
                Ok(client) => break client,
                Err(_) if self.how.is_lossy() && tries < TRIES => tries += 1,
                Err(OpenError::OutOfTime) => {
                    return Err(Trouble::Failed(self.context.out_of_time()));
                }
                Err(OpenError::NoConnection(why) | OpenError::NoWebSocket(why)) => {
                    let what = format!("{name} can't connect: {why}");
                    // No network is to blame for so many.
                    return Err(Trouble::Failed(
                        Failure::breach(ids::UPGRADE, what).timed_out(),
                    ));
                }
            }
        };
        let doc_id = self.documents[document].doc_id.clone();
        let names = (doc_id.as_str(), client_id);
        let link = Link::begin(client, member, document, names, seen, profiles, epoch);
        self.connections += 1;
        self.links.insert(self.connections, link);
        Ok(self.connections)
    }

    pub(super) async fn come_back(
        &mut self,
        member: usize,
        back: &Return,
        waits: bool,
    ) -> Result<(), Trouble> {
        let document = self.document_of(member);
        if let Some(profiles) = &back.profiles {
            self.members[member].profiles.clone_from(profiles);
        }
        // The old connection goes on beside the new one; nobody waits on it any more.
        if let Some(old) = self.members[member].link.take()
            && let Some(link) = self.links.get_mut(&old)
        {
            link.forgive();
            link.member = None;
        }
        let late = |place: usize| {
            self.documents[document].made[place]
                .submission
                .op
                .elements()
                > 1
        };
        let has_run = self.members[member]
            .replica
            .unconfirmed
            .iter()
            .any(|place| late(*place));
        let present = &self.members[member];
        let offered = |profile: &Profile| self.how.offered.contains(profile);
        let mut profiles: Vec<Profile> = present.profiles.iter().copied().filter(offered).collect();
        if has_run && !profiles.contains(&Profile::Runs) {
            // A client without the profile could not send its runs again (`runs.off-later`).
            profiles.push(Profile::Runs);
        }
        let last = present.replica.last;
        let seen = match back.seen {
            Seen::Own => last,
            Seen::Zero => 0,
            Seen::Back(less) if last > 0 => last.saturating_sub(less as u64).max(1),
            Seen::Back(_) => 0,
            Seen::Beyond => self.documents[document].head + BEYOND,
        };
        let known = present.replica.epoch.clone();
        let epoch = match back.epoch {
            _ if !profiles.contains(&Profile::Resume) => None,
            Epoch::Right => known,
            Epoch::Wrong => Some("another-epoch".to_owned()),
            Epoch::Unsaid => None,
        };
        let misled = profiles.contains(&Profile::Resume) && back.epoch != Epoch::Right;
        self.activity
            .add_all(Count::WrongEpochs, u64::from(misled && seen > 0));
        self.activity
            .add_all(Count::BeyondHead, u64::from(back.seen == Seen::Beyond));
        let others = self.documents[document]
            .made
            .iter()
            .any(|made| made.member != member);
        let late = !present.has_joined && others;
        self.activity.add_all(Count::LateJoins, u64::from(late));
        let client_id = self.plan.members[member].client_id.clone();
        let name = letter(member).to_string();
        let number = self
            .open(
                Some(member),
                document,
                (&name, &client_id),
                seen,
                &profiles,
                epoch.as_deref(),
            )
            .await?;
        let present = &mut self.members[member];
        present.link = Some(number);
        present.has_joined = true;
        match back.breaks_after {
            Some(messages) => self.break_in_sync(member, number, messages).await,
            None if waits => self.synced(member).await,
            None => Ok(()),
        }
    }

    async fn break_in_sync(
        &mut self,
        member: usize,
        number: usize,
        messages: usize,
    ) -> Result<(), Trouble> {
        for _ in 0..messages {
            if self.links.get(&number).is_none_or(Link::is_synced) {
                break;
            }
            self.pump(number, "the sync", None).await?;
        }
        let midway = self
            .links
            .get(&number)
            .is_some_and(|link| !link.is_synced());
        self.activity.add_all(Count::CutInSync, u64::from(midway));
        self.read(member, usize::MAX);
        self.cut(member, Cut::Drop, false).await
    }

    pub(super) async fn cut(
        &mut self,
        member: usize,
        cut: Cut,
        waits: bool,
    ) -> Result<(), Trouble> {
        let Some(number) = self.members[member].link else {
            return Ok(());
        };
        if waits {
            // The server has it all, and the member reads nothing of it.
            self.settle(number).await?;
        }
        let present = &mut self.members[member];
        present.link = None;
        let document = &self.documents[self.plan.members[member].document];
        let present = &mut self.members[member];
        let on_its_way = |place: &&usize| document.made[**place].sent_on.contains(&number);
        let sent = present
            .replica
            .unconfirmed
            .iter()
            .filter(on_its_way)
            .count();
        let held = present.replica.held.len();
        present.replica.held.clear();
        self.activity
            .add_all(Count::CutBeforeEcho, u64::from(sent > 0));
        self.activity
            .add_all(Count::CutBeforeSend, u64::from(held > 0));
        let Some(mut link) = self.links.remove(&number) else {
            return Ok(());
        };
        match cut {
            Cut::Drop => {
                let flushed = link.flush().await;
                link.drop_now().await;
                flushed?;
            }
            Cut::Close => match link.close().await {
                Err(_) if self.how.is_lossy() => {}
                other => other?,
            },
        }
        Ok(())
    }

    /// The member's sync is complete and read, and what was not confirmed by it is sent again.
    pub(super) async fn synced(&mut self, member: usize) -> Result<(), Trouble> {
        let Some(number) = self.members[member].link else {
            return Ok(());
        };
        let mut was_syncing = false;
        while self
            .links
            .get(&number)
            .is_some_and(|link| !link.is_synced())
        {
            was_syncing = true;
            self.pump(number, "the sync", None).await?;
        }
        if !was_syncing {
            return Ok(());
        }
        let was_seeded = self.members[member].replica.is_seeded;
        self.read(member, usize::MAX);
        let seeded = self.members[member].replica.is_seeded && !was_seeded;
        self.activity.add_all(Count::Seeded, u64::from(seeded));
        // What was sent behind the hello without waiting is on its way.
        let document = self.document_of(member);
        let made = &self.documents[document].made;
        let replica = &mut self.members[member].replica;
        replica.held.clear();
        let waiting = replica.unconfirmed.clone();
        let unsent = waiting
            .into_iter()
            .filter(|place| !made[*place].sent_on.contains(&number));
        for place in unsent.collect::<Vec<_>>() {
            self.send(member, place)?;
        }
        Ok(())
    }
}
