//! Random histories, a few of each kind, the same in every run unless a seed is given.
//!
//! More of them, and what goes wrong made small: `collab-conformance properties`.

use std::time::Duration;

use collab_spec::report::Breach;

use crate::case::Case;
use crate::context::Context;
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::properties::activity::Activity;
use crate::properties::server::Server;
use crate::properties::shrink::shrink;
use crate::properties::{How, Kind, plan_of, play, play_here, search};

/// How many histories a case plays.
const HISTORIES: u64 = 8;

/// How many it plays at most, where these have not brought about what the kind calls for: some of it is
/// up to how fast the server answers.
const MOST: u64 = 64;

/// How long a fault is made small in a case, before it is scaled.
const SHRINKING: Duration = Duration::from_secs(2);

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    Kind::ALL.into_iter().map(case).collect()
}

fn case(kind: Kind) -> Case {
    let (title, requirements) = about(kind);
    let id = format!("properties/{}", kind.name());
    let case = Case::code(&id, title, requirements, move |context| {
        histories(context, kind)
    });
    match kind.profiles() {
        [] => case,
        // All of them, so that the case says the same of every server.
        [profile, others @ ..] => case.profile(*profile).needs(others),
    }
}

fn about(kind: Kind) -> (&'static str, &'static [&'static str]) {
    match kind {
        Kind::OneDocument => (
            "three clients edit one document at random, and all end with one text",
            &[ids::CRDT_ORDER_FREE, ids::RESYNC_TEXT, ids::SEQ_ONE_ORDER],
        ),
        Kind::Early => (
            "ops that come before what they depend on end in the same text",
            &[
                ids::CRDT_ORDER_FREE,
                ids::CRDT_PENDING_APPLIES,
                ids::CRDT_PENDING_ACCEPTED,
            ],
        ),
        Kind::Lossy => (
            "connections are lost anywhere and come back, and no op is lost or doubled",
            &[ids::SUBMIT_RESEND, ids::SYNC_REPLAY_EXACT, ids::RESYNC_TEXT],
        ),
        Kind::Resuming => (
            "clients with epochs and states lose connections, and end with the text of the others",
            &[ids::RESUME_REPLAY, ids::STATE_ELEMENTS, ids::SUBMIT_RESEND],
        ),
        Kind::LateJoins => (
            "clients join and come back while others type, and miss nothing",
            &["sync.live-during", ids::SYNC_REPLAY_EXACT, ids::RESYNC_TEXT],
        ),
        Kind::MixedProfiles => (
            "clients with all mixtures of profiles edit one document, and end with one text",
            &[ids::RUNS_TEXT, "profiles.mixed", ids::STATE_ELEMENTS],
        ),
        Kind::ManyDocuments => (
            "clients of one name edit several documents, and nothing shows in another",
            &["session.documents-apart", "submit.scope", ids::RESYNC_TEXT],
        ),
    }
}

/// The seed of a kind's first history where none is given: any number, the same for ever.
fn own_seed(kind: Kind) -> u64 {
    let bytes = kind.name().bytes();
    bytes.fold(7, |seed, byte| {
        (seed * 31 + u64::from(byte)) % 1_000_000_007
    })
}

async fn histories(context: Context, kind: Kind) -> Outcome {
    let first = context.seed().unwrap_or_else(|| own_seed(kind));
    let how = How {
        offered: kind.profiles().to_vec(),
        chaos: None,
    };
    let mut activity = Activity::default();
    for number in 0..MOST {
        if number >= HISTORIES && kind.lacks(&activity, &how.offered).is_empty() {
            return Ok(());
        }
        let seed = first.wrapping_add(number);
        let plan = plan_of(kind, seed);
        let played = play(&plan, &context.another(), &how).await;
        activity.join(&played.activity);
        if let Some(why) = played.harness {
            return Err(Failure::Harness(format!(
                "the history of seed {seed}: {why}"
            )));
        }
        if played.broken().is_some() {
            let found = search::Case {
                kind,
                seed,
                plan,
                played,
            };
            return Err(made_small(&context, &found, &how).await);
        }
    }
    match kind.lacks(&activity, &how.offered).first() {
        Some(count) => Err(Failure::Harness(format!(
            "{MOST} histories had no {}",
            count.words()
        ))),
        None => Ok(()),
    }
}

/// Makes a fault small, and plays it once more, so that its frames are in this case's trace.
async fn made_small(context: &Context, found: &search::Case, how: &How) -> Failure {
    let within = context.scaled(SHRINKING);
    let server = Server::from(context.target());
    let shrunk = shrink(found, &server, how, context.scale(), within).await;
    let again = play_here(&shrunk.case.plan, context, how).await;
    let command = format!(
        "properties --kind {} --seed {} --cases 1",
        found.kind.name(),
        found.seed
    );
    let failure = match (again, shrunk.case.played.broken()) {
        (Err(failure @ Failure::Breach(_)), _) => failure,
        // It may be too slow for another time, or the fault may have come by chance.
        (_, Some(breach)) => {
            // Where the trace shows it again, its frames are those of the trace.
            let same = |seen: &Breach| seen.requirement == breach.requirement;
            let seen = monitor::check(&context.trace()).into_iter().find(same);
            Failure::found(seen.unwrap_or_else(|| Breach {
                frame: None,
                ..breach.clone()
            }))
        }
        (Err(failure), None) => failure,
        (Ok(()), None) => Failure::Harness("a fault is gone".to_owned()),
    };
    failure.context(format_args!("in a history of `{command}`, made small"))
}

#[cfg(test)]
mod tests {
    use collab_spec::profile::Profile;

    use super::*;

    #[test]
    fn kinds_are_told_apart_by_their_seeds() {
        let mut seeds: Vec<u64> = Kind::ALL.into_iter().map(own_seed).collect();
        seeds.sort_unstable();
        assert!(seeds.windows(2).all(|pair| pair[0] + MOST <= pair[1]));
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| !kind.profiles().contains(&Profile::Core))
        );
    }
}
