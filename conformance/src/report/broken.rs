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
        .filter(|case| case.verdict == Verdict::Fail);
    rank(failed.filter_map(named).collect())
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

/// Puts what cases name into an order.
pub fn rank(named: Vec<Named<'_>>) -> Vec<Broken<'_>> {
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
    rows.sort_by(|one, other| {
        let key = |row: &Broken<'_>| {
            let nearest = row.cases.iter().map(remoteness).min();
            let near = row
                .cases
                .iter()
                .filter(|one| Some(remoteness(one)) == nearest);
            let is_text = row.requirement == ids::RESYNC_TEXT;
            ((!binds(row.requirement), nearest, is_text), near.count())
        };
        let ((far, count), (other_far, other_count)) = (key(one), key(other));
        far.cmp(&other_far)
            .then(other_count.cmp(&count))
            .then(one.cases[0].events.cmp(&other.cases[0].events))
    });
    rows
}

/// How far from the fault a case may be that names something: a case of random steps or frames is about
/// nothing in particular, what came too late may have anything as its cause, and what a profile does
/// stands on all of `core`.
fn remoteness(one: &Named<'_>) -> (bool, bool, bool) {
    let is_random = RANDOM.iter().any(|area| one.case.starts_with(area));
    (is_random, one.late, one.profile != Profile::Core)
}

/// Whether it is a MUST.
fn binds(id: &str) -> bool {
    requirement::find(id).is_none_or(|requirement| requirement.level == Level::Must)
}

fn is_about(one: &Named<'_>) -> bool {
    one.tests.first().map(String::as_str) == Some(one.requirement)
}
