//! A fault as a scenario file that shows it by itself, tried against the server that has it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use collab_spec::scenario::{Connections, Scenario, Step};
use serde_json::{Value, json};

use super::scenario::{End, Source, names};
use super::server::{self, Server};
use super::shrink::{CONFIRMATIONS, Shrunk};
use super::{How, judged};
use crate::outcome::Failure;
use crate::player;

/// A scenario that shows a fault.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The scenario.
    pub scenario: Scenario,
    /// How often it showed the fault when it was played again.
    pub confirmed: u32,
}

struct Trial<'a> {
    server: &'a Server,
    scale: f64,
    broken: &'a str,
}

/// The scenario of a plan made small, where one shows the fault on its own.
pub async fn counterexample(
    shrunk: &Shrunk,
    server: &Server,
    how: &How,
    timeout_scale: f64,
) -> Option<Counterexample> {
    let played = &shrunk.case.played;
    let breach = played.broken()?;
    let waited = played.waited_on.as_ref();
    let waiting = waited.and_then(|name| played.trace.connections.iter().position(|n| n == name));
    let at = breach
        .frame
        .and_then(|frame| played.trace.events.get(frame));
    let source = Source {
        trace: &played.trace,
        breach,
        at_fault: match breach.frame {
            Some(_) => at.and_then(|event| event.connection).map(|one| one.0),
            None => waiting,
        },
        offered: &how.offered,
        seed: shrunk.case.seed,
    };
    let trial = Trial {
        server,
        scale: timeout_scale,
        broken: &breach.requirement,
    };
    let mut other = None;
    for end in [End::AsItIs, End::Barrier, End::Newcomer] {
        let Some(scenario) = source.scenario(end) else {
            continue;
        };
        if !scenario.problems().is_empty() {
            continue;
        }
        let shown = trial.shown(&scenario).await;
        let about = scenario.requirements.first();
        if shown
            .iter()
            .any(|one| *one == breach.requirement || Some(one) == about)
        {
            return Some(trial.proven(scenario).await);
        }
        if let (None, Some(first)) = (&other, shown.into_iter().next()) {
            other = Some(renamed(scenario, first, shrunk.case.seed));
        }
    }
    // It may show by another rule first, when messages are looked at in their order.
    Some(trial.proven(other?).await)
}

/// The scenario as one about another requirement.
fn renamed(mut scenario: Scenario, about: String, seed: u64) -> Scenario {
    (scenario.id, scenario.title) = names(&about, seed);
    let before = scenario.requirements.first().cloned();
    for step in &mut scenario.steps {
        if let Step::Join {
            requirement,
            head: 1..,
            ..
        }
        | Step::Expect { requirement, .. }
        | Step::Barrier { requirement, .. } = step
        {
            match requirement.as_ref() {
                None => requirement.clone_from(&before),
                Some(own) if *own == about => *requirement = None,
                Some(_) => {}
            }
        }
    }
    scenario.requirements.retain(|own| *own != about);
    scenario.requirements.insert(0, about);
    scenario
}

impl Trial<'_> {
    /// What a scenario shows to be broken.
    async fn shown(&self, scenario: &Scenario) -> Vec<String> {
        let Ok(visit) = self.server.visit(self.scale).await else {
            return Vec::new();
        };
        let context = visit.context();
        let result = player::play(scenario, context.clone()).await;
        match &result {
            Ok(()) => context.farewell().await,
            Err(_) => context.abandon_all().await,
        }
        if let Err(Failure::Harness(_)) = result {
            return Vec::new();
        }
        if let Err(Failure::Breach(fault)) = &result {
            let has_cut = server::was_cut(&context.trace());
            visit.end(fault.timed_out, has_cut).await;
        }
        let (breaches, _) = judged(result.err(), None, &context.trace());
        let broken = breaches.into_iter().filter(super::binds);
        broken.map(|breach| breach.requirement).collect()
    }

    /// Whether a scenario fails for the reason that it is about.
    async fn shows(&self, scenario: &Scenario) -> bool {
        let shown = self.shown(scenario).await;
        let about = scenario.requirements.first();
        shown
            .iter()
            .any(|one| *one == self.broken || Some(one) == about)
    }

    /// The scenario without what it does without, and how often it shows the fault.
    async fn proven(&self, scenario: Scenario) -> Counterexample {
        let scenario = self.without_idle(scenario).await;
        let mut confirmed = 0;
        for _ in 0..CONFIRMATIONS {
            confirmed += u32::from(self.shows(&scenario).await);
        }
        Counterexample {
            scenario,
            confirmed,
        }
    }

    /// The scenario without the connections that do nothing and that it does without.
    async fn without_idle(&self, mut scenario: Scenario) -> Scenario {
        let names: BTreeSet<String> = scenario
            .steps
            .iter()
            .flat_map(|step| step.opens().to_vec())
            .collect();
        for name in names {
            let mut smaller = scenario.clone();
            smaller.steps = without(&scenario.steps, &name);
            let fewer = smaller.steps.len() < scenario.steps.len();
            if fewer && smaller.problems().is_empty() && self.shows(&smaller).await {
                scenario = smaller;
            }
        }
        scenario
    }
}

/// Steps without a connection, where it sends no op.
fn without(steps: &[Step], name: &str) -> Vec<Step> {
    let sends = |step: &Step| match step {
        Step::Send { on, frame, .. } => on == name && frame["type"] == "op",
        Step::Barrier { via, .. } => via == name,
        _ => false,
    };
    if steps.iter().any(sends) {
        return steps.to_vec();
    }
    let others = |on: &Connections| {
        let names: Vec<String> = on
            .names()
            .iter()
            .filter(|one| *one != name)
            .cloned()
            .collect();
        match names.as_slice() {
            [] => None,
            [one] => Some(Connections::One(one.clone())),
            _ => Some(Connections::Several(names)),
        }
    };
    let kept = |step: &Step| {
        let mut step = step.clone();
        match &mut step {
            Step::Expect { on, .. } | Step::Barrier { on, .. } | Step::Connect { on, .. } => {
                *on = others(on)?;
                Some(step)
            }
            Step::Join { on, .. } => (on != name).then_some(step),
            other => (!other.uses().contains(&name)).then_some(step),
        }
    };
    steps.iter().filter_map(kept).collect()
}

impl Counterexample {
    /// The text of the file: a step a line, as the specification's own scenarios have them.
    pub fn text(&self) -> String {
        let scenario = &self.scenario;
        let mut text = String::from("{\n");
        let mut field = |name: &str, value: Value| {
            let _ = writeln!(text, "  {}: {value},", json!(name));
        };
        field("id", json!(scenario.id));
        field("title", json!(scenario.title));
        field("profile", json!(scenario.profile));
        if !scenario.needs.is_empty() {
            field("needs", json!(scenario.needs));
        }
        field("requirements", json!(scenario.requirements));
        let steps: Vec<String> = scenario
            .steps
            .iter()
            .map(|step| format!("    {}", json!(step)))
            .collect();
        let _ = write!(text, "  \"steps\": [\n{}\n  ]\n}}\n", steps.join(",\n"));
        text
    }

    /// Writes the file below a folder, at the path that its id asks for, and gives the path.
    ///
    /// Errors: a file that can't be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, String> {
        let path = folder.join(format!("{}.json", self.scenario.id));
        let failed =
            |error: std::io::Error| format!("{} can't be written: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, self.text()).map_err(failed)?;
        Ok(path)
    }
}
