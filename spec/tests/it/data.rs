//! Scenario and vector files fit their schemas, cite requirements that exist, and say what they use.

use std::collections::BTreeSet;

use collab_spec::scenario::Scenario;
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

#[test]
fn scenarios_that_can_t_be_played_are_found_out() {
    let sound = r#"{"id":"a/b","title":"t","requirements":["seq.dense"],"steps":[
        {"step":"join","on":"A"},{"step":"expect_close","on":"A","codes":[1002]}]}"#;
    let problems = |text: &str| serde_json::from_str::<Scenario>(text).unwrap().problems();
    assert_eq!(problems(sound), Vec::<String>::new());
    for (from, to, part) in [
        ("seq.dense", "seq.dens", "/requirements/0"),
        (r#""title":"t""#, r#""title":" ""#, "/title"),
        ("1002", "4999", "no server may close with 4999"),
        (
            r#""on":"A","codes""#,
            r#""on":"B","codes""#,
            "\"B\" is not open",
        ),
        (
            r#"{"step":"join","on":"A"},"#,
            r#"{"step":"join","on":"A"},{"step":"join","on":"A"},"#,
            "twice",
        ),
        (
            r#"{"step":"expect_close","on":"A","codes":[1002]}"#,
            r#"{"step":"barrier","via":"B","on":"A"}"#,
            "\"B\" is not open",
        ),
    ] {
        let found = problems(&sound.replace(from, to)).join("; ");
        assert!(found.contains(part), "{to}: {found}");
    }
}

#[test]
fn scenarios_are_sound() {
    let scenarios = data::scenarios().unwrap();
    let schema = validator("scenario");
    for file in &scenarios {
        assert_fits_schema(&schema, &file.path, file.text);
        assert_eq!(file.content.id, file.path, "the id is the path");
        assert_eq!(
            file.content.problems(),
            Vec::<String>::new(),
            "{}",
            file.path
        );
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
