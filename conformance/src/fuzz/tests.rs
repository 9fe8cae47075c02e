//! What holds for all frames together.

use std::collections::{BTreeMap, BTreeSet};

use collab_spec::data;
use collab_spec::frame::MessageType;
use collab_spec::message::ClientMessage;
use collab_spec::profile::Profile;
use collab_spec::requirement;
use serde_json::Value;

use super::frame::{count, example, singles};
use super::verdict::{Setting, Verdict, not_json};
use super::whole::Sending;
use super::{Kind, Recipe};
use crate::pattern::interpolate_text;
use crate::validate;

#[test]
fn the_verdicts_are_those_of_the_table_of_frames() {
    let mut rows = 0;
    for file in data::frames().unwrap() {
        let table = &file.content;
        if !table.message.is_client() {
            continue;
        }
        for row in &table.frames {
            let setting = Setting {
                on: vec![row.profile],
                accepted: Vec::new(),
                ..example(Kind::Op)
            };
            let text = interpolate_text(&row.text, &setting.doc_id);
            let ruling = match serde_json::from_str::<Value>(&text) {
                Ok(value) => setting.rule(&value, table.message == MessageType::Hello),
                Err(error) => not_json(error.to_string()),
            };
            let name = format!("{} {}", table.message.name(), row.name);
            match row.valid {
                true => assert!(
                    matches!(ruling.verdict, Verdict::Taken(_)),
                    "{name}: {ruling:?}"
                ),
                false => assert_eq!(ruling.verdict, Verdict::Closed(1002), "{name}"),
            }
            assert!(!ruling.open, "{name}");
            rows += 1;
        }
    }
    assert!(rows > 300, "{rows} rows");
}

#[test]
fn schemas_and_types_agree_on_every_change() {
    let mut compared = 0;
    for kind in Kind::ALL {
        let setting = example(kind);
        let runs = setting.on.contains(&Profile::Runs);
        for frame in singles(kind) {
            let Sending::Text(text) = &frame.sending else {
                continue;
            };
            let Ok(value) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            let Some(message) = MessageType::ALL
                .into_iter()
                .find(|known| known.is_client() && value["type"] == known.name())
            else {
                continue;
            };
            // Numbers such as 3.0 fit the schemas alone, and what is at its lamports' end does, too.
            let (known, _) = setting.without_unknown(message, &value);
            let read = validate::client_message(&known.to_string(), &setting.on);
            // Epochs are read by those who have the profile on.
            let by_type = read.is_some_and(|message| match message {
                ClientMessage::Hello(hello) => hello.epoch().is_ok(),
                ClientMessage::Op(sent) => sent.epoch().is_ok(),
                ClientMessage::PresenceUpdate(_) => true,
            });
            let by_schema = validate::client_problem(message, runs, &known).is_none();
            let is_odd = frame.is_open || frame.rulings[0].why.starts_with("its last lamport");
            assert!(by_type == by_schema || is_odd, "{}: {text}", frame.words());
            compared += 1;
        }
    }
    assert!(compared > 3_000, "{compared} compared");
}

#[test]
fn seeds_that_follow_each_other_go_through_all_changes() {
    for kind in Kind::ALL {
        let seeds = 7_777..7_777 + count(kind);
        let mains: BTreeSet<_> = seeds.map(|seed| Recipe::new(kind, seed).main()).collect();
        assert_eq!(mains.len() as u64, count(kind), "{}", kind.name());
    }
}

#[test]
fn what_is_said_of_a_frame_is_what_it_is() {
    let setting = example(Kind::Op);
    for kind in Kind::ALL {
        for seed in 0..count(kind).min(1_500) {
            let recipe = Recipe::new(kind, seed);
            let frame = recipe.example();
            let words = frame.words();
            assert!(requirement::find(frame.requirement()).is_some(), "{words}");
            assert!(!frame.rulings.is_empty(), "{words}");
            // What is harmless beside it changes nothing, and one that closes says why.
            for ruling in &frame.rulings {
                let closes = matches!(ruling.verdict, Verdict::Closed(_));
                assert_eq!(closes, !ruling.why.is_empty(), "{words}");
            }
            // No document is named but those that begin with the one of the setting.
            if let Sending::Text(text) = &frame.sending
                && let Ok(value) = serde_json::from_str::<Value>(text)
                && let Some(doc_id) = value["doc_id"].as_str()
                && !doc_id.is_empty()
                && doc_id.chars().count() <= 256
            {
                let digits = &setting.doc_id[4..setting.doc_id.len() - 1];
                assert!(doc_id.contains(digits), "{words}");
            }
        }
    }
}

#[test]
fn every_kind_has_frames_of_each_sort() {
    for kind in Kind::ALL {
        let mut sorts: BTreeMap<String, usize> = BTreeMap::new();
        for seed in 0..200 {
            let frame = Recipe::new(kind, seed).example();
            let sort = match (frame.must_close(), frame.is_open) {
                (_, true) => "open".to_owned(),
                (Some(code), _) => code.to_string(),
                (None, false) => "taken".to_owned(),
            };
            *sorts.entry(sort).or_default() += 1;
        }
        for sort in ["taken", "1002", "open"] {
            let found = sorts.get(sort).copied().unwrap_or(0);
            assert!(found >= 4, "{} has {sorts:?}", kind.name());
        }
    }
}

#[test]
fn a_recipe_becomes_simpler_in_small_steps() {
    let long = (0..500)
        .map(|seed| Recipe::new(Kind::Op, seed))
        .find(|recipe| recipe.example().changes.len() == 3 && recipe.client_id() != "A")
        .unwrap();
    let simpler = long.simpler();
    let sizes: Vec<usize> = simpler
        .iter()
        .map(|one| one.example().changes.len())
        .collect();
    assert_eq!(sizes, [0, 1, 1, 1, 0, 1, 1, 1, 2, 2, 2, 3]);
    assert!(simpler[..4].iter().all(|one| one.client_id() == "A"));
}

#[test]
fn a_simple_frame_is_a_row_of_the_table() {
    let rows = (0..400).filter_map(|seed| {
        let recipe = Recipe::new(Kind::Hello, seed);
        recipe.row()
    });
    let rows: Vec<Value> = rows.collect();
    assert!(rows.len() > 50, "{} rows", rows.len());
    for row in rows {
        let row: collab_spec::frame::FrameRow = serde_json::from_value(row).unwrap();
        assert!(!row.text.contains("doc-0000"), "{}", row.text);
    }
}
