//! Plays many plans, one seed after the other, until one shows a fault or all are played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use collab_spec::profile::Profile;
use collab_spec::report::{CaseReport, Verdict};
use futures_util::StreamExt as _;

use super::activity::{Activity, Count};
use super::plan::Plan;
use super::{How, Kind, Played, plan_of, play};
use crate::context::Context;
use crate::target::Target;

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct Search {
    /// The seed of the first plan; the next has the next.
    pub seed: u64,
    /// How many plans there are.
    pub cases: u64,
    /// No further plan begins after so long.
    pub time_budget: Option<Duration>,
    /// The kinds; a seed has the kind of its remainder.
    pub kinds: Vec<Kind>,
    /// How many plans are played at once.
    pub concurrency: usize,
    /// What every deadline is multiplied by.
    pub timeout_scale: f64,
    /// How plans are played.
    pub how: How,
}

/// What came of a search.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How many plans were played.
    pub cases: u64,
    /// What the plans of each kind have brought about.
    pub activity: BTreeMap<Kind, Activity>,
    /// The first plan that showed a fault.
    pub fault: Option<Case>,
}

/// A plan with what came of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its kind.
    pub kind: Kind,
    /// Its seed.
    pub seed: u64,
    /// The plan.
    pub plan: Plan,
    /// What came of it.
    pub played: Played,
}

impl Search {
    /// The kinds that say something of a server that offers these profiles.
    pub fn kinds_for(offered: &[Profile]) -> Vec<Kind> {
        let says = |kind: &Kind| kind.needs().iter().all(|need| offered.contains(need));
        Kind::ALL.into_iter().filter(says).collect()
    }

    /// The kind of a seed.
    fn kind(&self, seed: u64) -> Option<Kind> {
        let count = self.kinds.len() as u64;
        let place = usize::try_from(seed.checked_rem(count)?).ok()?;
        self.kinds.get(place).copied()
    }

    /// Plays the plans in order, several at once. Stops at the first that shows a fault, or in which
    /// the harness fails.
    pub async fn run(&self, target: &Arc<Target>) -> Findings {
        let ends = self.time_budget.map(|budget| Instant::now() + budget);
        let in_time = || ends.is_none_or(|ends| Instant::now() < ends);
        let mut findings = Findings::default();
        let seeds = (0..self.cases).map(|case| self.seed.wrapping_add(case));
        let cases = seeds.take_while(|_| in_time()).filter_map(|seed| {
            let kind = self.kind(seed)?;
            Some(self.case(target, kind, seed))
        });
        let mut played = futures_util::stream::iter(cases).buffered(self.concurrency.max(1));
        while let Some(case) = played.next().await {
            findings.cases += 1;
            let activity = findings.activity.entry(case.kind).or_default();
            activity.join(&case.played.activity);
            if case.played.broken().is_some() || case.played.harness.is_some() {
                findings.fault = Some(case);
                break;
            }
        }
        findings
    }

    async fn case(&self, target: &Arc<Target>, kind: Kind, seed: u64) -> Case {
        let plan = plan_of(kind, seed);
        let context = Context::new(Arc::clone(target), self.timeout_scale);
        let played = play(&plan, &context, &self.how).await;
        Case {
            kind,
            seed,
            plan,
            played,
        }
    }
}

impl Findings {
    /// What no plan has brought about though its kind calls for it.
    pub fn lacking(&self) -> Vec<(Kind, Vec<Count>)> {
        let lacking = self.activity.iter();
        let lacking = lacking.map(|(kind, activity)| (*kind, kind.lacks(activity)));
        lacking.filter(|(_, lacking)| !lacking.is_empty()).collect()
    }

    /// What all plans have brought about.
    pub fn all_activity(&self) -> Activity {
        let mut all = Activity::default();
        self.activity.values().for_each(|one| all.join(one));
        all
    }
}

impl Case {
    /// The case as a report has cases.
    pub fn report(&self) -> CaseReport {
        let played = &self.played;
        let verdict = match (&played.harness, played.broken()) {
            (_, Some(_)) => Verdict::Fail,
            (Some(_), None) => Verdict::Error,
            (None, None) => Verdict::Pass,
        };
        CaseReport {
            id: format!("properties/{}", self.kind.name()),
            title: format!("the random history of seed {} ends in one text", self.seed),
            file: None,
            verdict,
            profile: Profile::Core,
            needs: Vec::new(),
            requirements: Vec::new(),
            duration_ms: 0,
            message: played.harness.clone(),
            repeats: None,
            measurements: Vec::new(),
            exit: None,
            breaches: played.breaches.clone(),
            frames: played.trace.report(),
        }
    }
}
