//! The prose parses into requirements, and what it shows is valid.

use std::collections::BTreeSet;

use collab_spec::close::CloseCode;
use collab_spec::profile::Profile;
use collab_spec::requirement::{self, DOCUMENTS, Level};
use collab_spec::schema;
use serde_json::Value;

use crate::{faults, validator};

/// The lines of all fenced blocks with this info string: file and line from 1, the profile of the
/// section, text.
fn fenced(info: &str) -> Vec<(String, Profile, &'static str)> {
    let mut found = Vec::new();
    for (file, text) in DOCUMENTS {
        let mut open: Option<&str> = None;
        let mut profile = Profile::Core;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with("## ") {
                let runs = line.contains("Profile `runs`");
                profile = if runs { Profile::Runs } else { Profile::Core };
            }
            match (line.strip_prefix("```"), open) {
                (Some(_), Some(_)) => open = None,
                (Some(info), None) => open = Some(info),
                (None, Some(block)) if block == info => {
                    found.push((format!("{file}:{}", index + 1), profile, line));
                }
                _ => {}
            }
        }
    }
    found
}

fn assert_fits(place: &str, schema: &str, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{place}: {e}"));
    assert_eq!(
        faults(&validator(schema), &value),
        Vec::<String>::new(),
        "{place}"
    );
}

#[test]
fn every_document_parses() {
    for (file, text) in DOCUMENTS {
        if let Err(error) = requirement::parse(file, text) {
            panic!("{error}");
        }
    }
}

#[test]
fn ids_stand_once() {
    let mut seen = BTreeSet::new();
    for requirement in requirement::requirements() {
        let place = format!("{}:{}", requirement.file, requirement.line);
        assert!(
            seen.insert(&requirement.id),
            "{place}: {} stands twice",
            requirement.id
        );
    }
    assert!(seen.len() > 100);
}

#[test]
fn ids_cited_in_the_prose_exist() {
    let areas: BTreeSet<&str> = requirement::requirements()
        .iter()
        .filter_map(|requirement| requirement.id.split('.').next())
        .collect();
    for (file, text) in DOCUMENTS {
        // Every other piece between backticks is code; fenced blocks hold an odd number of ticks.
        for cited in text.split('`') {
            let is_id = cited.split_once('.').is_some_and(|(area, name)| {
                areas.contains(area)
                    && name
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit())
                    && name != "md"
            });
            assert!(
                !is_id || requirement::find(cited).is_some(),
                "{file} cites {cited}"
            );
        }
    }
}

#[test]
fn json_blocks_are_valid_messages() {
    let lines = fenced("json");
    assert!(lines.len() >= 7);
    for (place, profile, line) in lines {
        let value: Value = serde_json::from_str(line).unwrap();
        let kind = value["type"].as_str().unwrap_or_default();
        assert_fits(&place, &schema::name_with(kind, profile), line);
    }
}

#[test]
fn example_conversations_are_valid() {
    let lines = fenced("frames");
    assert!(lines.len() >= 17);
    for (place, profile, line) in lines {
        let (who, frame) = line.split_at(4);
        let schema = match who.trim().split_once(' ') {
            Some((_, ">")) => "client-message",
            Some((_, "<")) => "server-message",
            _ => panic!("{place} begins neither with `A >` nor with `A <`"),
        };
        assert_fits(&place, &schema::name_with(schema, profile), frame);
    }
}

#[test]
fn the_table_of_close_codes_is_that_of_the_types() {
    let (_, protocol) = DOCUMENTS[0];
    let in_table: BTreeSet<u16> = protocol
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| {
            line.trim_end_matches('|')
                .rsplit('|')
                .next()?
                .trim()
                .parse()
                .ok()
        })
        .collect();
    let mut in_types: BTreeSet<u16> = CloseCode::ALL.into_iter().map(CloseCode::code).collect();
    for named_in_text in [1000, 1001] {
        assert!(in_types.remove(&named_in_text));
    }
    assert_eq!(in_table, in_types);
}

#[test]
fn levels_and_reasons_are_read() {
    let text = "[a.one] A server MUST NOT [x](y.md), and MAY y.\n\n- [a.two] It SHOULD\n  z. (untestable: it\n  is so)\n";
    let found = requirement::parse("test.md", text).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].level, found[0].line), (Level::Must, 1));
    assert_eq!(found[0].sentence, "A server MUST NOT x, and MAY y.");
    assert_eq!((found[1].level, found[1].line), (Level::Should, 3));
    assert_eq!(found[1].sentence, "It SHOULD z.");
    assert_eq!(found[1].untestable.as_deref(), Some("it is so"));
}

#[test]
fn faulty_prose_is_refused_with_its_line() {
    for (text, line, part) in [
        ("x\n\nA server MUST x.", 3, "outside a requirement"),
        ("[a.one] A server does x.", 1, "neither MUST"),
        ("[one] A server MUST x.", 1, "not of the form"),
        ("[A.One] A server MUST x.", 1, "not of the form"),
    ] {
        let error = requirement::parse("test.md", text).unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
