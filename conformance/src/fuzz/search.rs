//! Sends many frames, and makes small what goes wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use collab_spec::report::{CaseReport, Verdict};
use serde_json::Value;

use super::frame::{Frame, Recipe};
use super::kind::Kind;
use super::play::{Wrong, play};
use super::verdict::Setting;
use crate::context::Context;
use crate::outcome::{Failure, Outcome};

/// How long frames are tried one by one where it is not known which was it, before it is scaled.
const ONE_BY_ONE: Duration = Duration::from_secs(20);

/// What went wrong, and the simplest frame with which it does.
#[derive(Clone, Debug)]
pub struct Found {
    /// The frame that went wrong first.
    pub seed: u64,
    /// The simplest frame; nothing where no frame goes wrong alone.
    pub recipe: Option<Recipe>,
    /// What went wrong, with the simplest frame where there is one.
    pub failure: Failure,
}

impl Found {
    /// The frame and what is special in it.
    pub fn words(&self) -> String {
        let seed = self.seed;
        match &self.recipe {
            None => format!("in frames from seed {seed} on"),
            Some(recipe) => {
                let kind = recipe.kind.name();
                let frame = recipe.example();
                format!(
                    "with {} (`fuzz --kind {kind} --seed {seed} --cases 1`)",
                    frame.words()
                )
            }
        }
    }

    /// The simplest frame as a row of the table of frames, where it says by itself all that it takes.
    pub fn row(&self) -> Option<Value> {
        self.recipe.as_ref()?.row()
    }

    /// Sends the simplest frame once more, so that what happens is in the trace of this context.
    pub async fn again(&self, context: &Context) -> Failure {
        let failure = match &self.recipe {
            None => self.failure.clone(),
            Some(recipe) => match alone(context, recipe).await {
                Err(failure) => failure,
                // It goes wrong now and then; where it did, nothing is in this trace.
                Ok(()) => self.failure.clone().nowhere(),
            },
        };
        failure.context(self.words())
    }

    /// As [`Found::again`], as a report has cases.
    pub async fn report(&self, context: &Context, kind: Kind) -> CaseReport {
        let (breaches, message) = match self.again(context).await {
            Failure::Breach(fault) => (vec![fault.breach], None),
            Failure::Untestable(why) | Failure::Harness(why) => (Vec::new(), Some(why)),
        };
        let id = format!("fuzz/{}", kind.name());
        let title = "a frame is taken or refused as the specification says";
        let verdict = match breaches.is_empty() {
            true => Verdict::Error,
            false => Verdict::Fail,
        };
        CaseReport {
            profile: kind.profile(),
            message,
            breaches,
            frames: context.trace().report(),
            ..CaseReport::new(id, title, verdict)
        }
    }
}

/// Sends the frames of these seeds, in fresh documents. Nothing where all went right.
pub async fn search(
    context: &Context,
    kind: Kind,
    seeds: impl Iterator<Item = u64>,
) -> Option<Found> {
    let recipes: Vec<Recipe> = seeds.map(|seed| Recipe::new(kind, seed)).collect();
    let (suspect, failure) = play_all(context, &recipes).await.err()?;
    let suspects = match suspect {
        Some(suspect) => vec![suspect],
        None => Vec::new(),
    };
    if let Some(found) = smallest(context, suspects.iter()).await {
        return Some(found);
    }
    // Somebody has noticed something; it is not known of which frame.
    if let Some(found) = smallest(context, recipes.iter()).await {
        return Some(found);
    }
    let seed = suspects
        .first()
        .or(recipes.first())
        .map_or(0, |recipe| recipe.seed);
    Some(Found {
        seed,
        recipe: None,
        failure: failure
            .context("among other frames, and not alone")
            .nowhere(),
    })
}

/// Of the first of the frames that goes wrong alone the simplest form that does.
async fn smallest(context: &Context, recipes: impl Iterator<Item = &Recipe>) -> Option<Found> {
    let ends = Instant::now() + context.scaled(ONE_BY_ONE);
    for recipe in recipes {
        if Instant::now() > ends {
            return None;
        }
        let aside = context.another();
        let Err(whole) = alone(&aside, recipe).await else {
            continue;
        };
        for simpler in recipe.simpler() {
            let aside = context.another();
            if let Err(failure) = alone(&aside, &simpler).await {
                return Some(Found {
                    seed: recipe.seed,
                    recipe: Some(simpler),
                    failure,
                });
            }
        }
        return Some(Found {
            seed: recipe.seed,
            recipe: Some(recipe.clone()),
            failure: whole,
        });
    }
    None
}

/// Sends one frame in the document of a context.
///
/// Errors: what went wrong.
pub async fn alone(context: &Context, recipe: &Recipe) -> Outcome {
    let make = |setting: &Setting| vec![recipe.frame(setting)];
    let played = play(context, recipe.kind, recipe.client_id(), |room| {
        make(&room.setting)
    })
    .await;
    context.abandon_all().await;
    played.map(drop).map_err(|wrong| wrong.failure)
}

/// Sends frames, those of one client in one room as far as they go together.
async fn play_all(context: &Context, recipes: &[Recipe]) -> Result<(), (Option<Recipe>, Failure)> {
    let mut by_client: BTreeMap<usize, Vec<Recipe>> = BTreeMap::new();
    for recipe in recipes {
        by_client
            .entry(recipe.client)
            .or_default()
            .push(recipe.clone());
    }
    for mut recipes in by_client.into_values() {
        while let Some(first) = recipes.first() {
            let room = context.another();
            let make = |setting: &Setting| -> Vec<Frame> {
                recipes.iter().map(|recipe| recipe.frame(setting)).collect()
            };
            let (kind, client_id) = (first.kind, first.client_id());
            let played = play(&room, kind, client_id, |room| make(&room.setting)).await;
            room.abandon_all().await;
            match played {
                Err(Wrong { place, failure }) => {
                    let suspect = place.and_then(|place| recipes.get(place).cloned());
                    return Err((suspect, failure));
                }
                Ok(left) => {
                    recipes = left
                        .into_iter()
                        .map(|place| recipes[place].clone())
                        .collect();
                }
            }
        }
    }
    Ok(())
}
