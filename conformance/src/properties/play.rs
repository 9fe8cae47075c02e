//! Plays a plan against the server: each member is a client by the rules, and the plan says when it
//! reads, sends, breaks and comes back.
//!
//! A plan whose steps all wait is played in one order only. Steps that do not wait let the server work
//! at several things at once.

use std::collections::BTreeMap;

use collab_spec::id::{ElementId, Name, ParentId};
use collab_spec::message::Op;
use collab_spec::profile::Profile;
use serde_json::json;

use super::activity::{Activity, Count};
use super::document::Document;
use super::generate::PASTE;
use super::link::{Link, Trouble};
use super::plan::{Act, Place, Plan, Return, Sending, Step};
use super::replica::Replica;
use crate::client::element;
use crate::context::Context;
use crate::ids;
use crate::outcome::Failure;

/// How often a broken connection is made again before the server is to blame: more often than a network
/// breaks any (`chaos`).
pub(super) const TRIES: usize = 2 * super::chaos::CALM as usize;

/// How plans are played.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// The profiles that the server offers; members ask for no others.
    pub offered: Vec<Profile>,
    /// The seed of a network that harms connections, where there is one: a member whose connection
    /// breaks comes back by the rules, and nobody is to blame.
    pub chaos: Option<u64>,
}

impl How {
    /// Whether connections may break for reasons of the network.
    pub(super) fn is_lossy(&self) -> bool {
        self.chaos.is_some()
    }
}

/// Why a play stopped before its end.
pub(super) struct Stopped {
    pub(super) failure: Failure,
    /// The connection on which it waited last.
    pub(super) waited_on: Option<String>,
    /// The `client_msg_id` of the op whose echo it waited for.
    pub(super) waited_for: Option<Name>,
}

/// Plays a plan to its end, then brings everything to rest and holds it against the oracle.
///
/// Errors: the first thing that is wrong, as far as it is not seen in the trace alone (see
/// `monitor::check`).
pub(super) async fn play(
    plan: &Plan,
    context: &Context,
    how: &How,
    activity: &mut Activity,
) -> Result<(), Stopped> {
    let mut play = Play::new(plan, context, how);
    let result = play.all().await;
    activity.join(&play.activity);
    result.map_err(|trouble| Stopped {
        failure: trouble.failure(),
        waited_on: play.waited_on,
        waited_for: play.waited_for,
    })
}

pub(super) struct Play<'a> {
    pub(super) plan: &'a Plan,
    pub(super) context: &'a Context,
    pub(super) how: &'a How,
    pub(super) documents: Vec<Document>,
    pub(super) members: Vec<Present>,
    /// Every connection that is open, by the number in which it came.
    pub(super) links: BTreeMap<usize, Link>,
    pub(super) activity: Activity,
    /// The connection on which a wait was in vain last.
    pub(super) waited_on: Option<String>,
    /// The op whose echo was awaited last.
    pub(super) waited_for: Option<Name>,
    /// How many connections there were.
    pub(super) connections: usize,
}

/// A member of the plan, in the play.
pub(super) struct Present {
    pub(super) replica: Replica,
    pub(super) link: Option<usize>,
    pub(super) has_joined: bool,
    pub(super) profiles: Vec<Profile>,
}

impl<'a> Play<'a> {
    fn new(plan: &'a Plan, context: &'a Context, how: &'a How) -> Self {
        let document = |index| match index {
            0 => Document::new(context.doc_id().to_owned()),
            _ => Document::new(format!("{}-{}", context.doc_id(), index + 1)),
        };
        let present = |member: &super::plan::Member| Present {
            replica: Replica::new(member),
            link: None,
            has_joined: false,
            profiles: member.profiles.clone(),
        };
        Self {
            plan,
            context,
            how,
            documents: (0..plan.documents()).map(document).collect(),
            members: plan.members.iter().map(present).collect(),
            links: BTreeMap::new(),
            activity: Activity::default(),
            waited_on: None,
            waited_for: None,
            connections: 0,
        }
    }

    async fn all(&mut self) -> Result<(), Trouble> {
        for member in 0..self.members.len() {
            if self.plan.members[member].from_start {
                let joined = self.come_back(member, &Return::plain(), true).await;
                self.unless_lost(joined).await?;
            }
        }
        for step in &self.plan.steps {
            let done = self.step(step).await;
            self.unless_lost(done).await?;
        }
        self.rest().await
    }

    /// Goes on after a loss where the network may have lost it, with everybody connected.
    async fn unless_lost(&mut self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        match result {
            Err(Trouble::Lost(_)) if self.how.is_lossy() => self.recover().await,
            other => other,
        }
    }

    /// Who has lost its connection comes back, as often as it takes.
    pub(super) async fn recover(&mut self) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            let gone = |present: &Present| {
                let link = present.link;
                link.is_some_and(|link| !self.links.contains_key(&link))
            };
            let Some(member) = self.members.iter().position(gone) else {
                return Ok(());
            };
            self.activity.add(Count::Reconnected);
            self.members[member].link = None;
            match self.come_back(member, &Return::plain(), true).await {
                Err(Trouble::Lost(_)) if tries < TRIES => {
                    tries += 1;
                    // Where not even a connection came about, it is still to come back.
                    self.members[member].link.get_or_insert(usize::MAX);
                }
                other => other?,
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        let Some(member) = self.plan.members.get(step.member).map(|_| step.member) else {
            return Ok(());
        };
        match &step.act {
            Act::Insert {
                at,
                text,
                as_run,
                sending,
            } => {
                if !self.members[member].has_joined {
                    return Ok(());
                }
                let parent = self.parent(member, at);
                let as_run = *as_run && self.has_runs(member);
                self.note_insert(member, &parent, text);
                let replica = &mut self.members[member].replica;
                let ops = replica.insert(parent, text, as_run);
                self.edit(member, ops, step, *sending).await?;
            }
            Act::Delete { of, count, sending } => {
                if !self.members[member].has_joined {
                    return Ok(());
                }
                if let Some((first, count)) = self.target(member, of, *count) {
                    let as_run = self.has_runs(member);
                    let tombstone = self.documents[self.document_of(member)].is_deleted(&first);
                    self.activity
                        .add_all(Count::DeletedAgain, u64::from(tombstone));
                    let replica = &mut self.members[member].replica;
                    let ops = replica.delete(first, count, as_run);
                    self.edit(member, ops, step, *sending).await?;
                }
            }
            Act::Send => self.send_held(member).await?,
            Act::Read { most } => self.read_step(member, *most).await?,
            Act::Cut(cut) => self.cut(member, *cut, step.waits).await?,
            Act::Return(back) => self.come_back(member, back, step.waits).await?,
            Act::Again { of, renamed } => self.again(member, *of, *renamed).await?,
            Act::Show { at } => self.show(member, at).await?,
        }
        if step.waits
            && let Some(link) = self.members[member].link
        {
            self.settle(link).await?;
        }
        Ok(())
    }

    pub(super) fn document_of(&self, member: usize) -> usize {
        self.plan.members[member].document
    }

    /// The member's connection, where it has the profile `runs` on.
    fn has_runs(&self, member: usize) -> bool {
        let link = self.members[member].link;
        link.and_then(|link| self.links.get(&link))
            .is_some_and(|link| link.is_on(Profile::Runs))
    }

    // Places.

    fn parent(&self, member: usize, at: &Place) -> ParentId {
        let id = match at {
            Place::Start => None,
            Place::End => self.members[member].replica.last_visible(),
            other => self.element(member, other),
        };
        id.map_or(ParentId::Root, ParentId::Element)
    }

    fn element(&self, member: usize, at: &Place) -> Option<ElementId> {
        let replica = &self.members[member].replica;
        match at {
            Place::Start => None,
            Place::End => replica.last_visible(),
            Place::Own => replica.newest_own().cloned(),
            Place::Of {
                step,
                offset,
                unseen,
            } => {
                let inserted = self.documents[self.document_of(member)].inserted_by(*step);
                let id = inserted.get(offset.checked_rem(inserted.len())?)?;
                (*unseen || replica.knows(id)).then(|| id.clone())
            }
            Place::Tombstone(which) => replica.tombstone(*which).cloned(),
            Place::Nowhere(which) => Some(element(900 + *which as u64, "nobody")),
        }
    }

    /// The first element and the number of those that are deleted.
    fn target(&self, member: usize, of: &Place, count: usize) -> Option<(ElementId, u64)> {
        let first = self.element(member, of)?;
        let Place::Of { step, unseen, .. } = of else {
            return Some((first, 1));
        };
        let replica = &self.members[member].replica;
        let inserted = self.documents[self.document_of(member)].inserted_by(*step);
        let from = inserted.iter().position(|id| *id == first)?;
        let seen = |id: &&ElementId| *unseen || replica.knows(id);
        let count = inserted[from..].iter().take(count).take_while(seen).count();
        Some((first, count as u64))
    }

    fn note_insert(&mut self, member: usize, parent: &ParentId, text: &str) {
        let document = &self.documents[self.document_of(member)];
        let replica = &self.members[member].replica;
        let unseen = |(id, author): &&(ElementId, usize)| *author != member && !replica.knows(id);
        let siblings = document.children_of(parent).iter().filter(unseen).count();
        let under_tombstone = parent.element().is_some_and(|id| document.is_deleted(id));
        let is_paste = text.chars().count() >= *PASTE.start();
        self.activity.add_all(Count::Pastes, u64::from(is_paste));
        self.activity
            .add_all(Count::Siblings, u64::from(siblings > 0));
        self.activity
            .add_all(Count::UnderTombstones, u64::from(under_tombstone));
    }

    // Sending.

    async fn edit(
        &mut self,
        member: usize,
        ops: Vec<Op>,
        step: &Step,
        sending: Sending,
    ) -> Result<(), Trouble> {
        let document = self.document_of(member);
        let mut places = Vec::with_capacity(ops.len());
        for op in ops {
            self.activity
                .add_all(Count::Runs, u64::from(op.elements() > 1));
            let never = op
                .dependency()
                .is_some_and(|id| id.replica_id().as_str() == "nobody");
            self.activity.add_all(Count::ForEver, u64::from(never));
            let document = &mut self.documents[document];
            let submission = self.members[member]
                .replica
                .submission(&document.doc_id, op);
            places.push(document.add(submission, step.number, member));
        }
        if sending == Sending::Backwards {
            places.reverse();
            let turned = u64::from(places.len() > 1);
            self.activity.add_all(Count::OutOfOrder, turned);
        }
        let replica = &mut self.members[member].replica;
        let is_first = replica.unconfirmed.is_empty();
        replica.unconfirmed.extend(&places);
        let Some(link) = self.members[member].link else {
            self.activity.add(Count::CutBeforeSend);
            return Ok(());
        };
        let syncing = self.links.get(&link).is_some_and(|link| !link.is_synced());
        if syncing && (!is_first || sending == Sending::Held) {
            // What is not confirmed goes out after the sync, in order.
            return self.synced(member).await;
        }
        if sending == Sending::Held {
            self.members[member].replica.held.extend(places);
            return Ok(());
        }
        if !self.members[member].replica.held.is_empty() {
            self.activity.add(Count::OutOfOrder);
        }
        for place in places {
            self.send(member, place)?;
        }
        Ok(())
    }

    async fn send_held(&mut self, member: usize) -> Result<(), Trouble> {
        if self.members[member].link.is_some() {
            self.synced(member).await?;
            for place in std::mem::take(&mut self.members[member].replica.held) {
                self.send(member, place)?;
            }
        }
        Ok(())
    }

    /// A member that has ever joined is there, and has sent everything.
    pub(super) async fn bring_back(&mut self, member: usize) -> Result<(), Trouble> {
        let present = &self.members[member];
        if !present.has_joined {
            return Ok(());
        }
        if present.link.is_none() {
            return self.come_back(member, &Return::plain(), true).await;
        }
        self.send_held(member).await
    }

    /// Sends an op, for the first time or again.
    pub(super) fn send(&mut self, member: usize, place: usize) -> Result<(), Trouble> {
        let document = self.document_of(member);
        let Some((number, link)) = self.members[member]
            .link
            .and_then(|number| Some((number, self.links.get_mut(&number)?)))
        else {
            return Ok(());
        };
        let document = &mut self.documents[document];
        let rule = match document.made[place].sent_on.as_slice() {
            [] => document.rule(place),
            sent => {
                let count = match sent.contains(&number) {
                    true => Count::Resent,
                    false => Count::ResentLater,
                };
                self.activity.add(count);
                ids::SUBMIT_ANSWER
            }
        };
        let made = &mut document.made[place];
        made.sent_on.push(number);
        link.submit(&made.submission, rule);
        let head = document.head;
        let document = link.document;
        let syncing =
            |link: &&Link| link.document == document && link.member.is_some() && !link.is_synced();
        let others = self.links.iter().filter(|(other, _)| **other != number);
        let others = others.map(|(_, link)| link).filter(syncing);
        let seen: Vec<u64> = others.map(Link::said_seen).collect();
        let replays = seen.iter().filter(|seen| (1..head).contains(*seen)).count();
        self.activity.add_all(Count::DuringSync, seen.len() as u64);
        self.activity.add_all(Count::DuringReplay, replays as u64);
        Ok(())
    }

    async fn again(&mut self, member: usize, of: usize, renamed: bool) -> Result<(), Trouble> {
        let Some(number) = self.members[member].link else {
            return Ok(());
        };
        self.synced(member).await?;
        let document = self.document_of(member);
        for place in self.documents[document].made_by(of, member) {
            let made = &self.documents[document].made[place];
            let is_run = made.submission.op.elements() > 1;
            let was_sent = made.is_accepted || made.sent_on.contains(&number);
            if !was_sent || (is_run && !self.has_runs(member)) {
                continue;
            }
            let is_insert = matches!(made.submission.op, Op::Ins(_));
            if !(renamed && is_insert && made.is_accepted) {
                self.send(member, place)?;
                continue;
            }
            let original = made.submission.clone();
            let submission = self.members[member].replica.renamed(&original);
            self.activity.add(Count::Renamed);
            if let Some(link) = self.links.get_mut(&number) {
                link.resubmit(&submission, &original.client_msg_id);
            }
        }
        Ok(())
    }

    async fn show(&mut self, member: usize, at: &Place) -> Result<(), Trouble> {
        let Some(number) = self.members[member].link else {
            return Ok(());
        };
        self.synced(member).await?;
        let anchor = self.parent(member, at);
        let state = json!({"cursor": {"anchor_id": anchor, "affinity": "right"}});
        if let Some(link) = self.links.get_mut(&number)
            && link.is_on(Profile::Presence)
        {
            link.show(&state);
            self.activity.add(Count::Shown);
        }
        Ok(())
    }
}
