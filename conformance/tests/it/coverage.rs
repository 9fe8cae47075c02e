//! Every requirement has its case, and every id that is cited exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use collab_conformance::case::{self, Source};
use collab_conformance::{ids, monitor};
use collab_spec::requirement::{self, requirements};

#[test]
fn every_requirement_has_a_case_or_says_why_not() {
    let cases = case::all().unwrap();
    let tested: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.requirements)
        .map(String::as_str)
        .collect();
    let untested: Vec<&str> = requirements()
        .iter()
        .filter(|requirement| requirement.untestable.is_none())
        .map(|requirement| requirement.id.as_str())
        .filter(|id| !tested.contains(id) && !monitor::WATCHED.contains(id))
        .collect();
    assert!(untested.is_empty(), "no case tests {untested:#?}");
}

#[test]
fn every_id_that_is_cited_exists() {
    let mut unknown = BTreeSet::new();
    let mut cite = |place: &str, id: &str| {
        if requirement::find(id).is_none() {
            unknown.insert(format!("{place} cites {id}"));
        }
    };
    for id in ids::ALL {
        cite("ids.rs", id);
    }
    for case in case::all().unwrap() {
        for id in &case.requirements {
            cite(&case.id, id);
        }
        if let Source::Scenario(scenario) = &case.source {
            for step in &scenario.steps {
                if let Some(id) = step.requirement() {
                    cite(&case.id, id);
                }
            }
        }
    }
    // Code cases and monitors also cite ids in the middle of their code.
    for file in crate::tidy::rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for id in literals_like_ids(&text) {
            cite(&file.display().to_string(), id);
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// The string literals that have the form of a requirement's id in an area of the specification.
fn literals_like_ids(text: &str) -> impl Iterator<Item = &str> {
    let areas: BTreeSet<&str> = requirements()
        .iter()
        .filter_map(|requirement| requirement.id.split_once('.'))
        .map(|(area, _)| area)
        .collect();
    text.split('"').skip(1).step_by(2).filter(move |literal| {
        literal.split_once('.').is_some_and(|(area, name)| {
            areas.contains(area)
                && !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
    })
}
