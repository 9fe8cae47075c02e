//! Plays many plans, one seed after the other, until one shows a fault or all are played.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use collab_spec::profile::Profile;
use collab_spec::report::{CaseReport, Verdict};
use futures_util::StreamExt as _;

use super::activity::{Activity, Count};
use super::plan::Plan;
use super::server::{End, Server};
use super::{How, Kind, Played, plan_of};

/// How often a fault is looked for over a network that harms nothing.
const PLAIN_TRIES: usize = 3;

/// How many times the plans that were asked for are played at most, where some do not bring about what
/// they are for: whether one does is a matter of chance, and whether all do is then none.
const MOST: u64 = 10;

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct Search {
    /// The seed of the first plan; the next has the next.
    pub seed: u64,
    /// How many plans there are.
    pub cases: u64,
    /// Whether further plans are played until every kind has brought about what it calls for.
    pub until_all: bool,
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
    /// Whether the network harms connections, each history's by its seed.
    pub chaos: bool,
}

/// What came of a search.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How many plans were played.
    pub cases: u64,
    /// What the plans of each kind have brought about.
    pub activity: BTreeMap<Kind, Activity>,
    /// The profiles that the server offers.
    pub offered: Vec<Profile>,
    /// The first plan that showed a fault.
    pub fault: Option<Case>,
    /// Whether connections were to break.
    pub chaos: bool,
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
        let kinds = Kind::ALL.into_iter();
        kinds.filter(|kind| kind.fits(offered)).collect()
    }

    /// The kind of a seed.
    fn kind(&self, seed: u64) -> Option<Kind> {
        let count = self.kinds.len() as u64;
        let place = usize::try_from(seed.checked_rem(count)?).ok()?;
        self.kinds.get(place).copied()
    }

    /// Plays the plans in order, several at once, and further ones until every kind has brought about
    /// what it calls for. Stops at the first that shows a fault, or in which the harness fails.
    pub async fn run(&self, server: &Server) -> Findings {
        let ends = self.time_budget.map(|budget| Instant::now() + budget);
        let mut findings = Findings {
            offered: self.how.offered.clone(),
            chaos: self.chaos,
            ..Findings::default()
        };
        let most = match self.until_all {
            true => self.cases.saturating_mul(MOST),
            false => self.cases,
        };
        let further = self.concurrency.max(self.kinds.len()).max(1) as u64;
        let (mut from, mut to) = (0, self.cases);
        loop {
            self.play(server, from..to, ends, &mut findings).await;
            let has_all = findings.fault.is_some() || findings.lacking().is_empty();
            let is_late = ends.is_some_and(|ends| Instant::now() >= ends);
            if has_all || is_late || to >= most {
                break;
            }
            (from, to) = (to, (to + further).min(most));
        }
        if let Some(case) = findings.fault.take() {
            findings.fault = Some(self.alone(server, case).await);
        }
        findings
    }

    /// Plays some of the plans, until one shows a fault.
    async fn play(
        &self,
        server: &Server,
        cases: Range<u64>,
        ends: Option<Instant>,
        findings: &mut Findings,
    ) {
        let in_time = || ends.is_none_or(|ends| Instant::now() < ends);
        let seeds = cases.map(|case| self.seed.wrapping_add(case));
        let cases = seeds.take_while(|_| in_time()).filter_map(|seed| {
            let kind = self.kind(seed)?;
            Some(self.case(server, kind, seed))
        });
        let mut played = futures_util::stream::iter(cases).buffered(self.concurrency.max(1));
        while let Some(case) = played.next().await {
            findings.cases += 1;
            let activity = findings.activity.entry(case.kind).or_default();
            activity.join(&case.played.activity);
            if case.played.broken().is_some() || case.played.harness.is_some() {
                findings.fault = Some(case);
                return;
            }
        }
    }

    /// A fault that shows in one history alone, and again, where one is near: what went wrong beside
    /// others may be due to one of them, or take them, and what shows once may take a race.
    async fn alone(&self, server: &Server, case: Case) -> Case {
        let is_silent = matches!(case.played.end, Some(End::Silent));
        if self.concurrency <= 1 || is_silent || case.played.broken().is_none() {
            return case;
        }
        let near = self.concurrency.max(self.kinds.len());
        let mut once = None;
        for seed in (0..near as u64).map(|number| case.seed.wrapping_add(number)) {
            let Some(kind) = self.kind(seed) else {
                continue;
            };
            let alone = self.case(server, kind, seed).await;
            if alone.played.broken().is_some() {
                let again = self.case(server, kind, seed).await;
                if again.played.broken().is_some() {
                    return again;
                }
                once.get_or_insert(alone);
            }
        }
        once.unwrap_or(case)
    }

    /// How the plan of a seed is played.
    pub fn how_of(&self, seed: u64) -> How {
        How {
            chaos: self.chaos.then_some(seed),
            ..self.how.clone()
        }
    }

    /// How the plan of a fault is best played to make it small: over a network that harms nothing, where
    /// it shows the fault there, too.
    pub async fn plainest_how(&self, case: &Case, server: &Server) -> How {
        let plain = How {
            chaos: None,
            ..self.how.clone()
        };
        let wanted = case.played.broken().map(|breach| &breach.requirement);
        for _ in 0..PLAIN_TRIES {
            let played = server.play(&case.plan, &plain, self.timeout_scale).await;
            if played.broken().map(|breach| &breach.requirement) == wanted {
                return plain;
            }
        }
        self.how_of(case.seed)
    }

    async fn case(&self, server: &Server, kind: Kind, seed: u64) -> Case {
        let plan = plan_of(kind, seed);
        let how = self.how_of(seed);
        let played = server.play(&plan, &how, self.timeout_scale).await;
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
        let lacking = lacking.map(|(kind, activity)| {
            let mut lacks = kind.lacks(activity, &self.offered);
            if self.chaos {
                lacks.extend(activity.lacking(&[Count::Reconnected]));
            }
            (*kind, lacks)
        });
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
        let id = format!("properties/{}", self.kind.name());
        let title = format!("the random history of seed {} ends in one text", self.seed);
        CaseReport {
            message: played.harness.clone(),
            exit: match &played.end {
                Some(End::Exit(exit)) => Some((**exit).clone()),
                _ => None,
            },
            breaches: played.breaches.clone(),
            frames: played.trace.report(),
            ..CaseReport::new(id, title, verdict)
        }
    }
}
