//! What a run found broken, the likely cause first.
//!
//! One fault fails many cases, and most of them name what it led to. So what is named counts for more
//! where nothing stands between it and the fault: without a wait in vain, without a profile, and in
//! cases that are about it.

use std::collections::BTreeMap;

use collab_spec::profile::Profile;
use collab_spec::report::{CaseReport, Report, Verdict};
use collab_spec::requirement::{self, Level};

use crate::ids;

/// The areas whose cases choose at random what they do.
const RANDOM: [&str; 2] = ["fuzz/", "properties/"];

/// The share of its own cases from which on a requirement is broken itself.
const MOST: f64 = 0.8;

/// What a failed case names first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The case.
    pub case: &'a str,
    /// The profile that the case belongs to.
    pub profile: Profile,
    /// The requirements that it tests, the one that it is about first.
    pub tests: &'a [String],
    /// The requirement of its first breach.
    pub requirement: &'a str,
    /// Whether that is that nothing came in time.
    pub late: bool,
    /// How many events its log has.
    pub events: usize,
}

/// A requirement that cases name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken<'a> {
    /// The requirement.
    pub requirement: &'a str,
    /// The cases, the one to begin with first.
    pub cases: Vec<Named<'a>>,
}

/// The requirements that a run found broken, the likely cause first.
pub fn of(report: &Report) -> Vec<Broken<'_>> {
    let failed = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail && case.known.is_none());
    let tested = report.cases.iter().map(|case| case.requirements.as_slice());
    rank(failed.filter_map(named).collect(), &counted(tested))
}

/// How many cases test each requirement.
pub fn counted<'a>(tests: impl Iterator<Item = &'a [String]>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for id in tests.flatten() {
        *counts.entry(id.as_str()).or_default() += 1;
    }
    counts
}

fn named(case: &CaseReport) -> Option<Named<'_>> {
    let first = case.breaches.first()?;
    Some(Named {
        case: &case.id,
        profile: case.profile,
        tests: &case.requirements,
        requirement: &first.requirement,
        late: first.late,
        events: case.frames.len(),
    })
}

/// Puts what cases name into an order. `tested` says how many cases test each requirement.
pub fn rank<'a>(named: Vec<Named<'a>>, tested: &BTreeMap<&str, usize>) -> Vec<Broken<'a>> {
    let failed = counted(named.iter().map(|one| one.tests));
    let mut rows: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
    for one in named {
        rows.entry(one.requirement).or_default().push(one);
    }
    let mut rows: Vec<Broken<'_>> = rows
        .into_iter()
        .map(|(requirement, mut cases)| {
            cases.sort_by_key(|one| (remoteness(one), !is_about(one), one.events));
            Broken { requirement, cases }
        })
        .collect();
    // What most of its own cases say is broken is so; of one that few of them say, others are the cause.
    let share = |id: &str| match tested.get(id) {
        Some(&all) if all > 0 => failed.get(id).copied().unwrap_or(0) as f64 / all as f64,
        _ => 0.0,
    };
    // The cases stand in this order.
    let nearest = |row: &Broken<'_>| row.cases.first().map(remoteness);
    let weight = |row: &Broken<'_>| {
        let is_near = |one: &&Named<'_>| Some(remoteness(one)) == nearest(row);
        row.cases.iter().filter(is_near).count() as f64 * share(row.requirement)
    };
    let text = rows.iter().find(|row| row.requirement == ids::RESYNC_TEXT);
    let text = text.map(|row| (nearest(row), share(row.requirement)));
    // What is said of every wrong text, or of every close, stands behind what says why it is wrong.
    let is_general = |row: &Broken<'_>| match (row.requirement, &text) {
        (ids::RESYNC_TEXT, Some((_, share))) => u8::from(*share < MOST),
        (ids::CLOSE_ONLY_THEN, _) => 1,
        (ids::CLOSE_NO_EFFECT, Some((near, _))) if *near <= nearest(row) => 2,
        _ => 0,
    };
    let places: BTreeMap<&str, _> = rows
        .iter()
        .map(|row| {
            let place = (!binds(row.requirement), nearest(row), is_general(row));
            (row.requirement, (place, weight(row)))
        })
        .collect();
    rows.sort_by(|one, other| {
        let (place, weight) = places[one.requirement];
        let (other_place, other_weight) = places[other.requirement];
        place
            .cmp(&other_place)
            .then(other_weight.total_cmp(&weight))
            .then(one.cases[0].events.cmp(&other.cases[0].events))
    });
    rows
}

/// How far from the fault a case may be that names something: a case of random steps or frames is about
/// nothing in particular, what came too late may have anything as its cause, and what a profile does
/// stands on all of `core`.
fn remoteness(one: &Named<'_>) -> (bool, bool, bool) {
    (is_random(one.case), one.late, one.profile != Profile::Core)
}

/// Whether a case chooses at random what it does.
pub fn is_random(case: &str) -> bool {
    RANDOM.iter().any(|area| case.starts_with(area))
}

/// Whether breaking it is a failure.
pub(crate) fn binds(id: &str) -> bool {
    requirement::find(id).is_none_or(|requirement| requirement.level == Level::Must)
}

fn is_about(one: &Named<'_>) -> bool {
    one.tests.first().map(String::as_str) == Some(one.requirement)
}
