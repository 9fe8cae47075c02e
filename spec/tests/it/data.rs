//! Scenario and vector files fit their schemas, cite requirements that exist, and say what they use.

use std::collections::BTreeSet;

use collab_spec::scenario::{Scenario, Step};
use collab_spec::{data, requirement};
use jsonschema::Validator;
use serde_json::Value;

use crate::{faults, validator};

fn assert_fits_schema(validator: &Validator, path: &str, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(faults(validator, &value), Vec::<String>::new(), "{path}");
}

fn assert_known(path: &str, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        assert!(
            requirement::find(&id).is_some(),
            "{path} cites {id}, which is not in the prose"
        );
    }
}

/// The connections that a step opens, those that it uses, and the requirement that it cites.
fn names(step: &Step) -> (Vec<String>, Vec<String>, Option<String>) {
    let one = |name: &String| vec![name.clone()];
    match step {
        Step::Connect { on, .. } => (on.names().to_vec(), vec![], None),
        Step::Join {
            on, requirement, ..
        } => (one(on), vec![], requirement.clone()),
        Step::Send { on, .. }
        | Step::SendText { on, .. }
        | Step::SendFragments { on, .. }
        | Step::SendBytes { on, .. }
        | Step::Disconnect { on }
        | Step::Drop { on }
        | Step::StopReading { on }
        | Step::ResumeReading { on } => (vec![], one(on), None),
        Step::Expect {
            on, requirement, ..
        }
        | Step::ExpectUnordered {
            on, requirement, ..
        } => (vec![], on.names().to_vec(), requirement.clone()),
        Step::ExpectClose {
            on, requirement, ..
        } => (vec![], one(on), requirement.clone()),
        Step::Barrier {
            via,
            on,
            requirement,
        } => {
            let mut used = on.names().to_vec();
            used.push(via.clone());
            (vec![], used, requirement.clone())
        }
        Step::Get { .. } => (vec![], vec![], None),
    }
}

fn assert_sound(path: &str, scenario: &Scenario) {
    assert_eq!(scenario.id, path, "the id is the path");
    assert!(
        scenario.title.chars().count() <= 100,
        "{path}: the title is one line"
    );
    assert_known(path, scenario.requirements.iter().cloned());
    let mut open = BTreeSet::new();
    let mut expects = 0;
    for step in &scenario.steps {
        let (opened, used, cited) = names(step);
        for name in opened {
            assert!(open.insert(name.clone()), "{path} opens {name} twice");
        }
        for name in used {
            assert!(open.contains(&name), "{path} uses {name} before it is open");
        }
        assert_known(path, cited);
        let looks = !matches!(
            step,
            Step::Connect { .. }
                | Step::Send { .. }
                | Step::SendText { .. }
                | Step::SendBytes { .. }
        );
        expects += usize::from(looks);
    }
    assert!(expects > 0, "{path} expects nothing");
}

#[test]
fn scenarios_are_sound() {
    let scenarios = data::scenarios().unwrap();
    let schema = validator("scenario");
    for file in &scenarios {
        assert_fits_schema(&schema, &file.path, file.text);
        assert_sound(&file.path, &file.content);
    }
    assert!(scenarios.len() >= 100, "{} scenarios", scenarios.len());
}

#[test]
fn scenarios_have_titles_of_their_own() {
    let mut seen = BTreeSet::new();
    for file in data::scenarios().unwrap() {
        assert!(
            seen.insert(file.content.title.clone()),
            "{}: {}",
            file.path,
            file.content.title
        );
    }
}

#[test]
fn frames_and_vectors_fit_their_schemas() {
    for file in data::frames().unwrap() {
        assert_fits_schema(&validator("frames"), &file.path, file.text);
    }
    let vectors = data::vectors().unwrap();
    for file in &vectors {
        assert_fits_schema(&validator("vectors"), &file.path, file.text);
        assert_known(&file.path, file.content.requirements.iter().cloned());
    }
    assert!(!vectors.is_empty());
}
