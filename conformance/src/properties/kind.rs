//! The kinds of random histories: what each is rich in, and what a run of it must have brought about.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::ops::RangeInclusive;

use collab_spec::profile::Profile;

use super::activity::{Activity, Count};
use super::generate::PROFILES;

/// A kind of random histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Everybody edits one document, and no connection is lost.
    OneDocument,
    /// Ops come before what they depend on, and some depend on what never comes.
    Early,
    /// Connections without profiles are lost and come back.
    Lossy,
    /// Connections with `resume` and `state` are lost and come back.
    Resuming,
    /// Members join while others type.
    LateJoins,
    /// Every mixture of profiles in one room.
    MixedProfiles,
    /// Several documents at once, with the same client ids.
    ManyDocuments,
}

/// How the plans of a kind are made. Weights and chances are relative to each other.
#[derive(Clone, Debug)]
pub(super) struct Traits {
    pub(super) documents: usize,
    pub(super) members: usize,
    pub(super) steps: RangeInclusive<usize>,
    /// The profiles that members may ask for.
    pub(super) profiles: Vec<Profile>,
    /// The chance that a member, but for the first of its document, joins before the first step.
    pub(super) from_start: f64,
    /// The chance that a step waits for its answer.
    pub(super) waits: f64,
    /// How likely ops are held back, sent backwards, or name what their maker has not seen; up to 8.
    pub(super) disorder: u32,
    /// How likely an op names what never comes.
    pub(super) ghosts: u32,
    /// The most characters of one insert.
    pub(super) longest: usize,
    pub(super) weights: Weights,
}

/// How likely each act is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) insert: u32,
    pub(super) delete: u32,
    pub(super) read: u32,
    pub(super) send: u32,
    pub(super) cut: u32,
    pub(super) back: u32,
    pub(super) again: u32,
    pub(super) show: u32,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::OneDocument,
        Self::Early,
        Self::Lossy,
        Self::Resuming,
        Self::LateJoins,
        Self::MixedProfiles,
        Self::ManyDocuments,
    ];

    /// The name, as the command line and the cases have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneDocument => "one-document",
            Self::Early => "early",
            Self::Lossy => "lossy",
            Self::Resuming => "resuming",
            Self::LateJoins => "late-joins",
            Self::MixedProfiles => "mixed-profiles",
            Self::ManyDocuments => "many-documents",
        }
    }

    /// The profiles that the kind is about; it says nothing of a server that offers none of them.
    pub fn profiles(self) -> &'static [Profile] {
        match self {
            Self::Resuming => &[Profile::Resume, Profile::State],
            Self::MixedProfiles => &PROFILES,
            _ => &[],
        }
    }

    /// Whether the kind says something of a server that offers these profiles.
    pub fn fits(self, offered: &[Profile]) -> bool {
        let own = self.profiles();
        own.is_empty() || own.iter().any(|profile| offered.contains(profile))
    }

    /// What a run of the kind must have brought about to say anything.
    pub fn calls_for(self) -> &'static [Count] {
        use Count::*;
        match self {
            Self::OneDocument => &[
                Siblings,
                UnderTombstones,
                DeletedAgain,
                Pastes,
                Resent,
                Renamed,
            ],
            Self::Early => &[Siblings, UnderTombstones, Waited, OutOfOrder, ForEver],
            Self::Lossy => &[
                Siblings,
                UnderTombstones,
                CutBeforeSend,
                CutBeforeEcho,
                CutInSync,
                Replays,
                Resyncs,
                ResentLater,
                BeyondHead,
            ],
            Self::Resuming => &[
                Siblings,
                UnderTombstones,
                CutBeforeEcho,
                Replays,
                Resyncs,
                AtHead,
                ResentLater,
                WrongEpochs,
                Seeded,
            ],
            Self::LateJoins => &[
                Siblings,
                UnderTombstones,
                LateJoins,
                DuringSync,
                DuringReplay,
                Waited,
            ],
            Self::MixedProfiles => &[
                Siblings,
                UnderTombstones,
                DuringReplay,
                Runs,
                SplitRuns,
                InsideRuns,
                Shown,
                Seeded,
            ],
            Self::ManyDocuments => &[Siblings, UnderTombstones, SharedNames],
        }
    }

    /// What it calls for and was not brought about, though the server offers what it takes.
    pub fn lacks(self, activity: &Activity, offered: &[Profile]) -> Vec<Count> {
        // A server that never replays (`sync.replay-kept`) has no replays to look at.
        let has_replays = activity.of(Count::ReplaysCompared) > 0;
        let possible = |count: &Count| {
            let is_offered = count
                .profile()
                .is_none_or(|needed| offered.contains(&needed));
            is_offered && (has_replays || !count.is_of_replays())
        };
        let mut lacking = activity.lacking(self.calls_for());
        lacking.retain(possible);
        lacking
    }

    pub(super) fn traits(self) -> Traits {
        let usual = Traits {
            documents: 1,
            members: 3,
            steps: 16..=40,
            profiles: Vec::new(),
            from_start: 0.8,
            waits: 0.7,
            disorder: 1,
            ghosts: 0,
            longest: 3,
            weights: Weights {
                insert: 10,
                delete: 5,
                read: 5,
                send: 1,
                cut: 0,
                back: 0,
                again: 2,
                show: 0,
            },
        };
        let weights = usual.weights;
        let lossy = Weights {
            cut: 4,
            back: 5,
            ..weights
        };
        match self {
            Self::OneDocument => usual,
            Self::Early => Traits {
                disorder: 5,
                ghosts: 1,
                weights: Weights { send: 3, ..weights },
                ..usual
            },
            Self::Lossy => Traits {
                weights: lossy,
                ..usual
            },
            Self::Resuming => Traits {
                profiles: vec![Profile::Resume, Profile::State],
                weights: lossy,
                ..usual
            },
            Self::LateJoins => Traits {
                members: 5,
                from_start: 0.3,
                waits: 0.3,
                disorder: 2,
                weights: Weights {
                    cut: 2,
                    back: 5,
                    ..weights
                },
                ..usual
            },
            Self::MixedProfiles => Traits {
                members: 5,
                profiles: PROFILES.to_vec(),
                longest: 9,
                weights: Weights {
                    cut: 3,
                    back: 4,
                    show: 2,
                    ..weights
                },
                ..usual
            },
            Self::ManyDocuments => Traits {
                documents: 3,
                members: 6,
                steps: 24..=60,
                weights: Weights {
                    cut: 1,
                    back: 2,
                    ..weights
                },
                ..usual
            },
        }
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
