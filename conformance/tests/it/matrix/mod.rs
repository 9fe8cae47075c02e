//! The kill matrix: every case against every fault of the toy, and what the report says first.
//!
//! `renew` plays and writes `tests/kill-matrix.json` and `docs/kill-matrix.md`; it takes its time, and
//! is told to be run. The other tests are quick: that the file speaks of the faults, cases and
//! requirements that there are, and that it shows what it has to show.

mod data;
mod page;
pub(crate) mod play;
mod reasons;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use collab_conformance::case::{self, Case};
use collab_conformance::report::broken;
use collab_spec::requirement::{self, Level, Requirement};
use futures_util::StreamExt as _;

use crate::toy::Fault;
use data::{Matrix, Mutant, prints};
use reasons::{BROKEN_WITH, NAMED_OTHERWISE, STANDS_UNDER};

/// What renews the files.
const COMMAND: &str = "cargo kill-matrix";

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kill-matrix.md")
}

/// The case that names a fault's requirement in the shortest time, by what was played last.
pub(crate) fn quickest(fault: Fault) -> Option<String> {
    static COMMITTED: std::sync::LazyLock<Matrix> = std::sync::LazyLock::new(Matrix::load);
    COMMITTED.of(fault)?.quickest.clone()
}

/// Every MUST that can be observed.
fn musts() -> impl Iterator<Item = &'static Requirement> {
    requirement::requirements()
        .iter()
        .filter(|requirement| requirement.level == Level::Must && requirement.untestable.is_none())
}

/// The cases that test a requirement.
fn cases_of<'a>(requirement: &str, cases: &'a [Case]) -> BTreeSet<&'a str> {
    let tests = |case: &&Case| case.requirements.iter().any(|id| id == requirement);
    cases
        .iter()
        .filter(tests)
        .map(|case| case.id.as_str())
        .collect()
}

/// The faults that nothing but the checks of a requirement kills: every case that fails tests it, or
/// names it first, such as by a monitor. Cases that choose at random are left out.
fn killed_alone(requirement: &str, matrix: &Matrix, cases: &[Case]) -> Vec<Fault> {
    let own = cases_of(requirement, cases);
    let alone = |mutant: &Mutant| {
        let mut aimed = mutant
            .failures()
            .filter(|(case, _)| !broken::is_random(case))
            .peekable();
        let is_killed = mutant.contact.is_none() && aimed.peek().is_some();
        is_killed && aimed.all(|(case, named)| own.contains(case) || named == Some(requirement))
    };
    let all = Fault::ALL.iter().copied();
    all.filter(|fault| matrix.of(*fault).is_some_and(alone))
        .collect()
}

/// Why a MUST has no mutant of its own.
fn reason(requirement: &str) -> Option<&'static str> {
    if STANDS_UNDER.contains(&requirement) {
        return Some("cases of other requirements stand on it, and fail with its mutants");
    }
    let otherwise = BROKEN_WITH.contains(&requirement);
    otherwise.then_some("what breaks it breaks another requirement as well, named above")
}

/// A number in the environment.
fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    let given = std::env::var(name).ok();
    given.map_or(usual, |given| {
        given.parse().unwrap_or_else(|_| panic!("{name}={given}?"))
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "plays for half an hour"]
async fn renew() {
    let _alone = crate::ALONE.lock().await;
    let cases = case::all().unwrap();
    let now = prints(&cases);
    let state = data::print([serde_json::to_string(&now).unwrap().as_str()]);
    let anew = std::env::var("KILL_MATRIX").unwrap_or_default();
    let anew: BTreeSet<&str> = anew
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .collect();
    for name in &anew {
        let known = ["all", "failed"].contains(name)
            || Fault::ALL.iter().any(|fault| format!("{fault:?}") == *name);
        assert!(known, "KILL_MATRIX={name}: there is no such fault");
    }
    // What a monitor finds in more cases shows in those that fail.
    let failed_anew = anew.contains("failed");
    let scale = setting("KILL_MATRIX_SCALE", 1.0);
    let at_once = setting("KILL_MATRIX_AT_ONCE", 4);

    let mut matrix = Matrix::load();
    let names: BTreeSet<String> = Fault::ALL
        .iter()
        .map(|fault| format!("{fault:?}"))
        .collect();
    matrix.mutants.retain(|name, _| {
        names.contains(name) && !anew.contains("all") && !anew.contains(name.as_str())
    });
    let changed: BTreeSet<String> = now
        .iter()
        .filter(|(id, print)| matrix.cases.get(*id) != Some(*print))
        .map(|(id, _)| id.clone())
        .collect();
    let todo: Vec<Fault> = Fault::ALL
        .iter()
        .copied()
        .filter(|fault| {
            matrix
                .of(*fault)
                .is_none_or(|mutant| failed_anew || mutant.played != state)
        })
        .collect();
    println!(
        "{} faults to play, {} cases are new or changed",
        todo.len(),
        changed.len()
    );
    let known: BTreeMap<String, Mutant> = matrix.mutants.clone();
    let matrix = Mutex::new(matrix);
    let (started, count) = (Instant::now(), todo.len());
    let played = futures_util::stream::iter(todo)
        .map(|fault| {
            let (cases, now, changed) = (&cases, &now, &changed);
            let before = known.get(&format!("{fault:?}")).cloned();
            async move {
                let again: BTreeSet<String> = match &before {
                    Some(before) if failed_anew => {
                        before.killers().into_iter().map(str::to_owned).collect()
                    }
                    _ => BTreeSet::new(),
                };
                let is_new = |id: &str| changed.contains(id) || again.contains(id);
                let is_played = |case: &&Case| {
                    let is_due = before.is_none() || is_new(&case.id);
                    is_due && play::is_played(fault, case)
                };
                let due: Vec<Case> = cases.iter().filter(is_played).cloned().collect();
                let mut mutant = match due.is_empty() {
                    true => Mutant::default(),
                    false => play::play_apart(fault, due, scale).await,
                };
                if let Some(mut before) = before {
                    before.forget(|id| is_new(id) || !now.contains_key(id));
                    mutant = before.and(mutant);
                }
                (fault, mutant)
            }
        })
        .buffer_unordered(at_once);
    let mut played = std::pin::pin!(played);
    let mut number = 0;
    while let Some((fault, mut mutant)) = played.next().await {
        number += 1;
        mutant.played.clone_from(&state);
        let first = mutant.first(&cases).map(|(requirement, _)| requirement);
        println!(
            "{number}/{count} {fault:?}: {} cases fail, {} is named first, {:.0?}",
            mutant.killers().len(),
            first.unwrap_or("nothing"),
            started.elapsed()
        );
        let mut matrix = matrix.lock().unwrap_or_else(PoisonError::into_inner);
        matrix.mutants.insert(format!("{fault:?}"), mutant);
        matrix.save();
    }
    let mut matrix = matrix.into_inner().unwrap();
    matrix.cases.clone_from(&now);
    matrix.save();
    fs::write(page_path(), page::page(&matrix, &cases)).unwrap();
    println!("wrote docs/kill-matrix.md");
}

#[test]
fn the_matrix_is_of_these_faults_and_cases() {
    let matrix = Matrix::load();
    let cases = case::all().unwrap();
    let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    let played: BTreeSet<&str> = matrix.cases.keys().map(String::as_str).collect();
    let new: Vec<_> = ids.difference(&played).collect();
    let gone: Vec<_> = played.difference(&ids).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "new cases {new:?}, gone {gone:?}: {COMMAND}"
    );
    let names: BTreeSet<String> = Fault::ALL
        .iter()
        .map(|fault| format!("{fault:?}"))
        .collect();
    let known: BTreeSet<String> = matrix.mutants.keys().cloned().collect();
    let new: Vec<_> = names.difference(&known).collect();
    let gone: Vec<_> = known.difference(&names).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "new faults {new:?}, gone {gone:?}: {COMMAND}"
    );
    for mutant in matrix.mutants.values() {
        let unknown: Vec<_> = mutant
            .killers()
            .into_iter()
            .filter(|id| !ids.contains(id))
            .collect();
        assert!(
            unknown.is_empty(),
            "there are no cases {unknown:?}: {COMMAND}"
        );
    }
}

#[test]
fn every_must_has_a_mutant_of_its_own_or_a_reason() {
    let (matrix, cases) = (Matrix::load(), case::all().unwrap());
    let mut wrong = Vec::new();
    for must in musts() {
        let alone = killed_alone(&must.id, &matrix, &cases);
        match (alone.is_empty(), reason(&must.id).is_some()) {
            (true, false) => wrong.push(format!("{}: no mutant, no reason", must.id)),
            (false, true) => wrong.push(format!("{}: a reason, and {alone:?}", must.id)),
            _ => {}
        }
    }
    let of = |id: &str| {
        let id = id.to_owned();
        let faults = Fault::ALL.iter().copied();
        faults.filter(move |fault| fault.requirement() == id)
    };
    for id in STANDS_UNDER {
        let is_named = |fault: Fault| {
            let first = matrix.of(fault).and_then(|mutant| mutant.first(&cases));
            first.is_some_and(|(first, _)| first == *id)
        };
        if !of(id).any(is_named) {
            wrong.push(format!("{id}: the report names it first for no mutant"));
        }
    }
    for id in BROKEN_WITH {
        let is_told = |fault: Fault| {
            let name = format!("{fault:?}");
            NAMED_OTHERWISE.iter().any(|(of, _, _)| *of == name)
        };
        if !of(id).any(is_told) {
            wrong.push(format!("{id}: it has no mutant that is named otherwise"));
        }
    }
    for id in STANDS_UNDER.iter().chain(BROKEN_WITH) {
        if !musts().any(|must| must.id == *id) {
            wrong.push(format!("{id} is no MUST that can be observed"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} MUSTs:\n{}",
        wrong.len(),
        musts().count(),
        wrong.join("\n")
    );
}

#[test]
fn the_report_names_each_fault_first() {
    let (matrix, cases) = (Matrix::load(), case::all().unwrap());
    let mut wrong = Vec::new();
    let faults = Fault::ALL.iter().copied();
    let mutants = faults.filter_map(|fault| Some((fault, matrix.of(fault)?)));
    for (fault, mutant) in mutants {
        let name = format!("{fault:?}");
        let otherwise = NAMED_OTHERWISE.iter().find(|(of, _, _)| *of == name);
        let first = mutant.first(&cases).map(|(requirement, _)| requirement);
        let due = otherwise.map_or(fault.requirement(), |(_, named, _)| named);
        if !mutant.is_killed() || first.is_some_and(|first| first != due) {
            let first = first.unwrap_or("nothing");
            wrong.push(format!("{name}: {first} is named before {due}"));
        }
    }
    for (name, _, _) in NAMED_OTHERWISE {
        if !Fault::ALL.iter().any(|fault| format!("{fault:?}") == *name) {
            wrong.push(format!("{name} is no fault"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        matrix.mutants.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_page_is_that_of_the_data() {
    let (matrix, cases) = (Matrix::load(), case::all().unwrap());
    let page = fs::read_to_string(page_path()).unwrap_or_default();
    let due = page::page(&matrix, &cases);
    if std::env::var_os("KILL_MATRIX_PAGE").is_some() {
        fs::write(page_path(), due).unwrap();
        return;
    }
    assert!(
        page == due,
        "docs/kill-matrix.md is not that of the data: {COMMAND}"
    );
}
