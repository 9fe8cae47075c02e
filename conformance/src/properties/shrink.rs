//! Makes a plan that shows a fault small, by playing smaller ones on fresh documents.
//!
//! A smaller plan counts where it breaks the same requirement, or ends the server as well. Steps go first, in halves, then one by
//! one; then members; then what is left becomes plainer. All that is monotone, so it ends; a time limit
//! ends it earlier.

use std::time::{Duration, Instant};

use super::generate::CLOCKS;
use super::plan::{Act, Cut, Epoch, Place, Plan, Return, Seen, Sending, Step};
use super::search::Case;
use super::server::Server;
use super::{How, Played};

/// How often the smallest plan is played again, to see whether it always shows the fault.
pub const CONFIRMATIONS: u32 = 5;

/// How much shorter waits are while many plans are tried that may all wait in vain.
const IMPATIENCE: f64 = 0.1;

/// A plan made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan that was found, with what came of it.
    pub case: Case,
    /// How many plans were tried.
    pub tries: u32,
    /// How often the smallest one showed the fault again.
    pub confirmed: u32,
}

struct Shrinker<'a> {
    server: &'a Server,
    how: &'a How,
    scale: f64,
    /// The requirement that must be broken.
    wanted: String,
    /// Whether the server must end instead.
    ends_server: bool,
    ends: Instant,
    tries: u32,
    best: Plan,
    best_played: Played,
}

/// Makes a case's plan small, for about as long as `within`.
pub async fn shrink(
    case: &Case,
    server: &Server,
    how: &How,
    timeout_scale: f64,
    within: Duration,
) -> Shrunk {
    let wanted = case
        .played
        .broken()
        .map(|breach| breach.requirement.clone());
    let scale = match case.played.timed_out {
        true => timeout_scale * IMPATIENCE,
        false => timeout_scale,
    };
    let mut shrinker = Shrinker {
        server,
        how,
        scale,
        wanted: wanted.unwrap_or_default(),
        ends_server: case.played.end.is_some(),
        ends: Instant::now() + within,
        tries: 0,
        best: case.plan.clone(),
        best_played: case.played.clone(),
    };
    shrinker.run().await;
    let confirmed = match shrinker.confirmed(timeout_scale).await {
        0 if shrinker.best != case.plan => {
            // What was too slow for short waits shows nothing.
            shrinker.best.clone_from(&case.plan);
            shrinker.best_played.clone_from(&case.played);
            shrinker.confirmed(timeout_scale).await
        }
        confirmed => confirmed,
    };
    Shrunk {
        case: Case {
            kind: case.kind,
            seed: case.seed,
            plan: shrinker.best,
            played: shrinker.best_played,
        },
        tries: shrinker.tries,
        confirmed,
    }
}

impl Shrinker<'_> {
    async fn run(&mut self) {
        // Without races, if it shows without.
        let mut calm = self.best.clone();
        calm.steps.iter_mut().for_each(|step| step.waits = true);
        self.attempt(calm).await;
        self.until_nothing_goes().await;
        // A fault of great lamports needs no long history where the clocks begin late.
        for clock in CLOCKS {
            let mut late = self.best.clone();
            late.members
                .iter_mut()
                .for_each(|member| member.clock = clock);
            if self.attempt(late).await {
                self.until_nothing_goes().await;
            }
        }
        self.rename().await;
    }

    async fn until_nothing_goes(&mut self) {
        loop {
            let before = self.best.clone();
            self.remove_steps().await;
            self.remove_members().await;
            self.make_plainer().await;
            if self.best == before || self.is_late() {
                break;
            }
        }
    }

    /// How often the smallest plan shows the fault again; not at all where it does so only if waits are
    /// short.
    async fn confirmed(&mut self, timeout_scale: f64) -> u32 {
        let hurried = std::mem::replace(&mut self.scale, timeout_scale);
        let mut confirmed = 0;
        for _ in 0..CONFIRMATIONS {
            let played = self.play(&self.best).await;
            let shows = self.shows(&played);
            if !shows && hurried < self.scale {
                return 0;
            }
            confirmed += u32::from(shows);
            // One long wait in vain has shown enough.
            self.scale = hurried;
        }
        confirmed
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.ends
    }

    async fn play(&self, plan: &Plan) -> Played {
        self.server.play(plan, self.how, self.scale).await
    }

    fn shows(&self, played: &Played) -> bool {
        let wanted = |breach: &_| super::binds(breach) && breach.requirement == self.wanted;
        match &played.end {
            Some(_) => self.ends_server,
            None => !self.ends_server && played.breaches.iter().any(wanted),
        }
    }

    /// Takes a smaller plan where it shows the fault, too.
    async fn attempt(&mut self, plan: Plan) -> bool {
        if plan == self.best || self.is_late() {
            return false;
        }
        self.tries += 1;
        let played = self.play(&plan).await;
        let shows = self.shows(&played);
        if shows {
            self.best = plan;
            self.best_played = played;
        }
        shows
    }

    async fn remove_steps(&mut self) {
        let mut chunk = self.best.steps.len().div_ceil(2);
        while chunk > 0 && !self.is_late() {
            // From the end: later steps need earlier ones, not the other way round.
            let mut end = self.best.steps.len();
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let mut plan = self.best.clone();
                plan.steps.drain(begin..end);
                self.attempt(plan).await;
                end = begin.min(self.best.steps.len());
            }
            chunk /= 2;
        }
    }

    async fn remove_members(&mut self) {
        let mut member = self.best.members.len();
        while member > 0 && !self.is_late() {
            member -= 1;
            let mut plan = self.best.clone();
            plan.steps.retain(|step| step.member != member);
            if self.attempt(without_member(plan, member)).await {
                continue;
            }
            // Or somebody else does what it does.
            for other in 0..member {
                let members = &self.best.members;
                if members[other].document != members[member].document {
                    continue;
                }
                let mut plan = self.best.clone();
                let its = plan.steps.iter_mut().filter(|step| step.member == member);
                its.for_each(|step| step.member = other);
                if self.attempt(without_member(plan, member)).await {
                    break;
                }
            }
        }
    }

    /// Tries each plainer form of each step and of each member.
    async fn make_plainer(&mut self) {
        let mut index = 0;
        while index < self.best.steps.len() && !self.is_late() {
            for form in plainer(&self.best.steps[index]) {
                let mut plan = self.best.clone();
                plan.steps[index].act = form;
                self.attempt(plan).await;
            }
            index += 1;
        }
        for index in 0..self.best.members.len() {
            let changes: [fn(&mut super::plan::Member); 4] = [
                |member| member.profiles.clear(),
                |member| member.clock = 0,
                |member| member.stamps = false,
                |member| member.from_start = true,
            ];
            for change in changes {
                let mut plan = self.best.clone();
                change(&mut plan.members[index]);
                self.attempt(plan).await;
            }
            for place in (0..self.best.members[index].profiles.len()).rev() {
                let mut plan = self.best.clone();
                plan.members[index].profiles.remove(place);
                self.attempt(plan).await;
            }
        }
    }

    /// Names that are read easily, where they do as well.
    async fn rename(&mut self) {
        let mut plan = self.best.clone();
        let mut letters = ('a'..='z').cycle();
        for step in &mut plan.steps {
            if let Act::Insert { text, .. } = &mut step.act {
                *text = letters.by_ref().take(text.chars().count()).collect();
            }
        }
        self.attempt(plan).await;
        let mut plan = self.best.clone();
        for (index, member) in plan.members.iter_mut().enumerate() {
            member.client_id = super::plan::letter(index).to_string();
        }
        self.attempt(plan).await;
    }
}

fn without_member(mut plan: Plan, member: usize) -> Plan {
    plan.members.remove(member);
    let behind = plan.steps.iter_mut().filter(|step| step.member > member);
    behind.for_each(|step| step.member -= 1);
    // Documents that nobody edits any more go, too.
    let used: std::collections::BTreeSet<usize> =
        plan.members.iter().map(|member| member.document).collect();
    for member in &mut plan.members {
        member.document = used
            .iter()
            .take_while(|used| **used < member.document)
            .count();
    }
    plan
}

/// Plainer forms of a step, the plainest first.
fn plainer(step: &Step) -> Vec<Act> {
    let mut forms = Vec::new();
    match &step.act {
        Act::Insert {
            at,
            text,
            as_run,
            sending,
        } => {
            let form = |at: Place, text: String, as_run, sending| Act::Insert {
                at,
                text,
                as_run,
                sending,
            };
            let first: String = text.chars().take(1).collect();
            let half: String = text
                .chars()
                .take(text.chars().count().div_ceil(2))
                .collect();
            let letters = "abcdefghijklmnopqrstuvwxyz";
            let plain = letters.chars().cycle().take(text.chars().count()).collect();
            for text in [first, half, plain] {
                forms.push(form(at.clone(), text, *as_run, *sending));
            }
            forms.push(form(at.clone(), text.clone(), false, *sending));
            forms.push(form(at.clone(), text.clone(), *as_run, Sending::Now));
            for at in plainer_places(at) {
                forms.push(form(at, text.clone(), *as_run, *sending));
            }
        }
        Act::Delete { of, count, sending } => {
            let form = |of: Place, count, sending| Act::Delete { of, count, sending };
            forms.push(form(of.clone(), 1, *sending));
            forms.push(form(of.clone(), count.div_ceil(2), *sending));
            forms.push(form(of.clone(), *count, Sending::Now));
            for of in plainer_places(of) {
                forms.push(form(of, *count, *sending));
            }
        }
        Act::Read { .. } => forms.push(Act::Read { most: None }),
        Act::Cut(Cut::Close) => forms.push(Act::Cut(Cut::Drop)),
        Act::Return(back) => {
            forms.push(Act::Return(Return::plain()));
            let mut with = |change: fn(&mut Return)| {
                let mut back = back.clone();
                change(&mut back);
                forms.push(Act::Return(back));
            };
            with(|back| back.profiles = None);
            with(|back| back.epoch = Epoch::Right);
            with(|back| back.breaks_after = None);
            with(|back| back.seen = Seen::Own);
            if back.seen != Seen::Own {
                with(|back| back.seen = Seen::Back(1));
            }
        }
        Act::Again { of, .. } => forms.push(Act::Again {
            of: *of,
            renamed: false,
        }),
        Act::Cut(Cut::Drop) | Act::Send | Act::Show { .. } => {}
    }
    // A form may be the step as it is.
    forms.retain(|form| *form != step.act);
    forms
}

fn plainer_places(place: &Place) -> Vec<Place> {
    match place {
        Place::Start => Vec::new(),
        Place::Of {
            step,
            offset,
            unseen,
        } => {
            let of = |offset, unseen| Place::Of {
                step: *step,
                offset,
                unseen,
            };
            vec![Place::Start, Place::Own, of(0, *unseen), of(*offset, false)]
        }
        _ => vec![Place::Start],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::{Kind, plan_of};

    #[test]
    fn no_plainer_form_has_a_plainer_form_that_is_the_step_again() {
        for seed in 0..50 {
            let plan = plan_of(Kind::MixedProfiles, seed);
            for step in &plan.steps {
                for act in plainer(step) {
                    let plain = Step {
                        act,
                        ..step.clone()
                    };
                    // `Own` may become `Start`, and `Start` nothing else.
                    assert!(!plainer(&plain).contains(&step.act), "{step} and {plain}");
                }
            }
        }
    }

    #[test]
    fn who_goes_leaves_no_hole() {
        let plan = plan_of(Kind::ManyDocuments, 1);
        let mut left = plan.clone();
        while left.members.len() > 1 {
            left.steps.retain(|step| step.member != 0);
            left = without_member(left, 0);
            assert!(
                left.steps
                    .iter()
                    .all(|step| step.member < left.members.len())
            );
            let used = |document| left.members.iter().any(|m| m.document == document);
            assert!((0..left.documents()).all(used));
        }
    }
}
