//! Plans out of seeds. The only user of `proptest`.
//!
//! Deliberately absent: shrinking by proptest's value trees. A try costs a conversation with a server,
//! so `shrink` takes out what it knows to be worth a try.

use std::ops::RangeInclusive;

use collab_spec::profile::Profile;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::kind::{Kind, Traits};
use super::plan::{Act, Cut, Epoch, Member, Place, Plan, Return, Seen, Sending, Step};

/// Client ids whose order is easy to get wrong (`crdt.replica-order`).
const CLIENTS: [&str; 8] = ["A", "B", "a", "ab", "b", "\u{ff5e}", "😀", "A2"];

/// Clocks at which comparing lamports goes wrong: as text, in 32 bits, as signed 32 bits.
pub(super) const CLOCKS: [u64; 4] = [0, 8, (1 << 31) - 2, (1 << 32) - 2];

/// The characters of a paste.
pub(super) const PASTE: RangeInclusive<usize> = 20..=60;

/// The plan of a kind and a seed, for ever the same.
pub fn plan(kind: Kind, seed: u64) -> Plan {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..][..kind.name().len().min(24)]
        .copy_from_slice(&kind.name().as_bytes()[..kind.name().len().min(24)]);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    plans(kind.traits())
        .new_tree(&mut runner)
        .expect("the strategies reject nothing")
        .current()
}

fn plans(traits: Traits) -> impl Strategy<Value = Plan> {
    let members = members(traits.clone());
    members.prop_flat_map(move |members| {
        let count = members.len();
        let steps = prop::collection::vec(raw_step(traits.clone(), count), traits.steps.clone());
        (Just(members), steps).prop_map(|(members, raw)| resolved(members, raw))
    })
}

fn members(traits: Traits) -> impl Strategy<Value = Vec<Member>> {
    let most = traits.members;
    let one = (
        subsequence(traits.profiles.clone(), 0..=traits.profiles.len()),
        prop_oneof![3 => Just(0), 1 => select(&CLOCKS[..])],
        prop::bool::weighted(traits.from_start),
        any::<bool>(),
    );
    let clients = prop::sample::subsequence(CLIENTS.to_vec(), most).prop_shuffle();
    (prop::collection::vec(one, most), clients).prop_map(move |(members, clients)| {
        let one = |index: usize, (profiles, clock, from_start, stamps)| Member {
            document: index % traits.documents,
            // Equal ids in different documents are different clients (`submit.scope`).
            client_id: clients[index / traits.documents].to_owned(),
            profiles,
            clock,
            from_start: index < traits.documents || from_start,
            stamps,
        };
        let members = members.into_iter().enumerate();
        members.map(|(index, traits)| one(index, traits)).collect()
    })
}

/// A step whose places are still random numbers.
#[derive(Clone, Debug)]
struct RawStep {
    member: usize,
    act: RawAct,
    waits: bool,
}

#[derive(Clone, Debug)]
enum RawAct {
    Insert(RawPlace, String, bool, Sending),
    Delete(RawPlace, usize, Sending),
    Show(RawPlace),
    Again(Index, bool),
    Done(Act),
}

#[derive(Clone, Debug)]
enum RawPlace {
    /// An earlier insert, the newest first where `recent`.
    Of {
        which: Index,
        recent: bool,
        offset: usize,
        unseen: bool,
    },
    Done(Place),
}

fn raw_step(traits: Traits, members: usize) -> impl Strategy<Value = RawStep> {
    let waits = prop::bool::weighted(traits.waits);
    (0..members, raw_act(traits), waits).prop_map(|(member, act, waits)| RawStep {
        member,
        act,
        waits,
    })
}

fn raw_act(traits: Traits) -> BoxedStrategy<RawAct> {
    let weights = traits.weights;
    let sending = prop_oneof![
        (20 - 2 * traits.disorder) => Just(Sending::Now),
        traits.disorder => Just(Sending::Held),
        traits.disorder => Just(Sending::Backwards),
    ];
    let insert = (
        raw_place(traits.clone()),
        text(traits.longest),
        any::<bool>(),
        sending.clone(),
    )
        .prop_map(|(at, text, run, sending)| RawAct::Insert(at, text, run, sending));
    let delete = (raw_place(traits.clone()), 1..=traits.longest, sending)
        .prop_map(|(of, count, sending)| RawAct::Delete(of, count, sending));
    let read = prop_oneof![
        3 => Just(Act::Read { most: None }),
        1 => (1..6_usize).prop_map(|most| Act::Read { most: Some(most) }),
    ];
    let cut = prop_oneof![3 => Just(Cut::Drop), 1 => Just(Cut::Close)].prop_map(Act::Cut);
    let again = (any::<Index>(), any::<bool>()).prop_map(|(of, new)| RawAct::Again(of, new));
    let show = raw_place(traits.clone()).prop_map(RawAct::Show);
    prop_oneof![
        weights.insert => insert,
        weights.delete => delete,
        weights.read => read.prop_map(RawAct::Done),
        weights.send => Just(RawAct::Done(Act::Send)),
        weights.cut => cut.prop_map(RawAct::Done),
        weights.back => back(traits).prop_map(RawAct::Done),
        weights.again => again,
        weights.show => show,
    ]
    .boxed()
}

fn back(traits: Traits) -> impl Strategy<Value = Act> {
    let seen = prop_oneof![
        5 => Just(Seen::Own),
        1 => Just(Seen::Zero),
        2 => (1..8_usize).prop_map(Seen::Back),
        1 => Just(Seen::Beyond),
    ];
    let epoch = prop_oneof![
        4 => Just(Epoch::Right),
        1 => Just(Epoch::Wrong),
        1 => Just(Epoch::Unsaid),
    ];
    let all = traits.profiles.len();
    let profiles = prop_oneof![
        2 => Just(None),
        1 => subsequence(traits.profiles, 0..=all).prop_map(Some),
    ];
    let breaks = prop_oneof![4 => Just(None), 1 => (0..6_usize).prop_map(Some)];
    (seen, epoch, profiles, breaks).prop_map(|(seen, epoch, profiles, breaks_after)| {
        Act::Return(Return {
            seen,
            epoch,
            profiles,
            breaks_after,
        })
    })
}

fn raw_place(traits: Traits) -> impl Strategy<Value = RawPlace> {
    let unseen = prop::bool::weighted(f64::from(traits.disorder) / 20.0);
    let of = (any::<Index>(), any::<bool>(), 0..traits.longest, unseen).prop_map(
        |(which, recent, offset, unseen)| RawPlace::Of {
            which,
            recent,
            offset,
            unseen,
        },
    );
    prop_oneof![
        3 => Just(RawPlace::Done(Place::Start)),
        2 => Just(RawPlace::Done(Place::End)),
        4 => Just(RawPlace::Done(Place::Own)),
        8 => of,
        2 => (0..8_usize).prop_map(|which| RawPlace::Done(Place::Tombstone(which))),
        traits.ghosts => (0..3_usize).prop_map(|which| RawPlace::Done(Place::Nowhere(which))),
    ]
}

fn text(longest: usize) -> impl Strategy<Value = String> {
    // What is easily normalised, cut or split.
    let tricky = ["é", "e\u{301}", "\u{301}", "😀", "\0", "\r", "\r\n", "\""];
    let letter = prop_oneof![
        30 => prop::char::range('a', 'z').prop_map(String::from),
        1 => select(tricky.map(String::from).to_vec()),
    ];
    let letters = |length| prop::collection::vec(letter.clone(), length);
    prop_oneof![
        30 => letters(1..=longest),
        1 => letters(PASTE),
    ]
    .prop_map(|letters| letters.concat())
}

/// The places of raw steps, as steps that came before in the same document.
fn resolved(members: Vec<Member>, raw: Vec<RawStep>) -> Plan {
    let mut steps: Vec<Step> = Vec::with_capacity(raw.len());
    for (number, RawStep { member, act, waits }) in raw.into_iter().enumerate() {
        let document = members[member].document;
        let earlier = |wanted: &dyn Fn(&Step) -> bool| -> Vec<usize> {
            let here = |step: &&Step| members[step.member].document == document && wanted(step);
            steps.iter().filter(here).map(|step| step.number).collect()
        };
        let place = |raw: RawPlace| match raw {
            RawPlace::Done(place) => place,
            RawPlace::Of {
                which,
                recent,
                offset,
                unseen,
            } => {
                let inserts = earlier(&|step| matches!(step.act, Act::Insert { .. }));
                let newest = inserts.len().saturating_sub(3);
                let among = if recent { &inserts[newest..] } else { &inserts };
                match among.is_empty() {
                    true => Place::Start,
                    false => Place::Of {
                        step: *which.get(among),
                        offset,
                        unseen,
                    },
                }
            }
        };
        let act = match act {
            RawAct::Done(act) => act,
            RawAct::Insert(at, text, as_run, sending) => Act::Insert {
                at: place(at),
                text,
                as_run,
                sending,
            },
            RawAct::Delete(of, count, sending) => Act::Delete {
                of: place(of),
                count,
                sending,
            },
            RawAct::Show(at) => Act::Show { at: place(at) },
            RawAct::Again(of, renamed) => {
                let edits = earlier(&|step| {
                    step.member == member
                        && matches!(step.act, Act::Insert { .. } | Act::Delete { .. })
                });
                match edits.is_empty() {
                    true => Act::Read { most: None },
                    false => Act::Again {
                        of: *of.get(&edits),
                        renamed,
                    },
                }
            }
        };
        steps.push(Step {
            number,
            member,
            act,
            waits,
        });
    }
    Plan { members, steps }
}

/// Profiles that any server may offer beside core, in the order of the specification.
pub(super) const PROFILES: [Profile; 4] = [
    Profile::Resume,
    Profile::State,
    Profile::Runs,
    Profile::Presence,
];
