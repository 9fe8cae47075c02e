//! The HTML pages, as far as no browser is needed; `tests/browser` looks at them in one.

use collab_conformance::report::html::{self, Implementation, annotated};
use collab_spec::profile::Profile;
use collab_spec::report::Report;
use collab_spec::requirement::{self, Requirement};
use serde_json::{Value, json};

use crate::cli::{assert_stops, stdout};

const EVIL: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}";

fn case(id: &str, verdict: &str) -> Value {
    json!({ "id": id, "title": "a title", "verdict": verdict, "profile": "core",
        "requirements": ["sync.replay-exact"], "duration_ms": 1500 })
}

fn report(cases: Vec<Value>, requirements: Value) -> Report {
    let count = |verdict: &str| {
        let ended = cases.iter().filter(|case| case["verdict"] == verdict);
        ended.count()
    };
    let summary = json!({ "pass": count("pass"), "fail": count("fail"), "warn": count("warn"),
        "not_applicable": 0, "untestable": 0, "error": count("error") });
    let report = json!({ "version": 1, "suite": { "name": "collab-conformance", "version": "0.1.0" },
        "target": "ws://127.0.0.1:8000/ws", "started_at_ms": 1_700_000_000_000_u64,
        "duration_ms": 5000, "summary": summary, "cases": cases, "requirements": requirements });
    serde_json::from_value(report).unwrap()
}

fn named(name: &str, report: Report) -> Implementation {
    let mut named = html::named(vec![(Some(name.to_owned()), report)]);
    named.remove(0)
}

fn verdict(of: &str) -> Value {
    json!([{ "id": "sync.replay-exact", "level": "MUST", "verdict": of, "cases": ["sync/replay"] }])
}

fn op(kind: &str, seq: usize, parent: &str, id: &str, value: &str) -> Value {
    let doc_id = "doc-0123456789abcdef";
    let op: Value = serde_json::from_str(&format!(
        r#"{{"type":"ins","parent_id":{parent},"id":{id},"value":"{value}"}}"#
    ))
    .unwrap();
    let message = match kind {
        "op" => json!({ "type": "op", "doc_id": doc_id, "client_id": "A",
            "client_msg_id": format!("m-{seq}"), "op": op }),
        _ => json!({ "type": "op_echo", "doc_id": doc_id, "server_seq": seq,
            "origin_client_id": "A", "client_msg_id": format!("m-{seq}"), "op": op }),
    };
    let from = if kind == "op" { "client" } else { "server" };
    json!({ "at_us": seq * 1000, "connection": "A", "from": from, "kind": "text",
        "content": message.to_string() })
}

/// A case in which a server has two siblings the wrong way round.
fn wrong_order() -> Value {
    let root = "[0,\"root\"]";
    let ops = [
        (root, "[1,\"A\"]", "a"),
        ("[1,\"A\"]", "[2,\"A\"]", "c"),
        ("[1,\"A\"]", "[3,\"A\"]", "b"),
    ];
    let mut frames = Vec::new();
    for (at, (parent, id, value)) in ops.into_iter().enumerate() {
        frames.push(op("op", at + 1, parent, id, value));
        frames.push(op("op_echo", at + 1, parent, id, value));
    }
    let resync = json!({ "type": "resync", "doc_id": "doc-0123456789abcdef", "server_seq": 3,
        "full_text": "acb" });
    frames.push(
        json!({ "at_us": 9000, "connection": "B", "from": "server", "kind": "text",
        "content": resync.to_string() }),
    );
    let mut failed = case("crdt/newest", "fail");
    failed["requirements"] = json!(["crdt.sibling-order"]);
    failed["breaches"] = json!([{ "requirement": "crdt.sibling-order", "what": "it is wrong",
        "expected": "\"abc\"", "got": "\"acb\"", "frame": 6 }]);
    failed["frames"] = json!(frames);
    failed
}

#[test]
fn what_a_server_sends_is_text() {
    let mut evil = case(EVIL, "fail");
    evil["title"] = json!(EVIL);
    evil["breaches"] = json!([{ "requirement": EVIL, "what": EVIL, "expected": EVIL,
        "got": "x", "frame": 0 }]);
    evil["frames"] = json!([{ "at_us": 1, "connection": EVIL, "from": "server", "kind": EVIL,
        "content": EVIL }]);
    evil["measurements"] = json!([{ "name": EVIL, "value": 1, "unit": EVIL }]);
    let mut whole = report(vec![evil], json!([]));
    whole.target = EVIL.to_owned();
    let pages = [named(EVIL, whole)];
    for text in [html::write(&pages), annotated::write(&pages)] {
        assert_eq!(text.matches("<script").count(), 1, "only the page's own");
        for part in ["<img", "\u{202e}", "onerror=alert(1)>"] {
            assert!(!text.contains(part), "{part}");
        }
        assert!(text.contains("onerror=alert(1)&gt;⟨202e⟩"), "it is shown");
        assert!(
            text.contains("script-src 'sha256-"),
            "and nothing else may run"
        );
    }
}

#[test]
fn several_reports_stand_beside_each_other() {
    let mut failed = case("sync/replay", "fail");
    failed["breaches"] =
        json!([{ "requirement": "sync.replay-exact", "what": "seq 3 came twice" }]);
    let pages = [
        named(
            "mine",
            report(vec![case("sync/replay", "pass")], verdict("pass")),
        ),
        named("theirs", report(vec![failed], verdict("fail"))),
        named("third", report(vec![], json!([]))),
    ];
    let text = html::write(&pages);
    for part in [
        "mine</th>",
        "theirs</th>",
        "third</th>",
        "✗</span> does not conform",
        "✓</span> right as far as played",
        "?</span> nothing can be said",
        "data-of=\"req-sync.replay-exact\" data-is=\"broken open differs\"",
        "title=\"mine: pass\"",
        "title=\"theirs: fail\"",
        "title=\"third: not in the report\"",
        "seq 3 came twice",
    ] {
        assert!(text.contains(part), "{part} is not there");
    }
    assert_eq!(text, html::write(&pages), "a page is the same each time");
}

#[test]
fn a_server_conforms_where_every_requirement_of_what_it_offers_was_played() {
    let told = |kept: fn(&Requirement) -> bool| -> Value {
        let all = requirement::requirements().iter();
        let told = all.filter(|one| one.profile == Profile::Core && kept(one));
        told.map(|one| json!({ "id": one.id, "level": "MUST", "verdict": "pass", "cases": [] }))
            .collect()
    };
    for (requirements, words) in [
        (told(|_| true), "✓</span> conforms"),
        (
            told(|one| one.id != "sync.replay-exact"),
            "✓</span> right as far as played",
        ),
    ] {
        let whole = report(vec![case("sync/replay", "pass")], requirements);
        let text = html::write(&[named("mine", whole)]);
        assert!(text.contains(words), "{words} is not there");
    }
}

#[test]
fn columns_of_one_name_are_told_apart() {
    let one = || (None, report(vec![], json!([])));
    let names = html::named(vec![one(), one()]);
    let names: Vec<&str> = names.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        ["ws://127.0.0.1:8000/ws", "ws://127.0.0.1:8000/ws (2)"]
    );
}

#[test]
fn a_wrong_order_is_drawn_as_a_tree() {
    let text = html::write(&[named("x", report(vec![wrong_order()], json!([])))]);
    let words = "Under [1,&quot;A&quot;], [3,&quot;A&quot;] 'b' stands before [2,&quot;A&quot;] 'c' \
                 (the greater lamport first); the server has them the other way round.";
    // Where to begin says it, and the case does.
    assert_eq!(text.matches(words).count(), 2, "{text}");
    assert!(text.contains("class=\"join bad\""), "what moved is marked");
    assert_eq!(
        text.matches("◀ breach").count(),
        2,
        "in the diagram and in the table"
    );
}

#[test]
fn a_tree_is_not_made_up() {
    // Without the first op nobody knows what the text should be.
    let mut some = wrong_order();
    let frames = some["frames"].as_array().unwrap()[2..].to_vec();
    some["frames"] = json!(frames);
    some["breaches"][0]["frame"] = json!(4);
    let text = html::write(&[named("x", report(vec![some], json!([])))]);
    assert!(!text.contains("<figure class=\"tree\">"));
    assert!(text.contains("<figure class=\"sequence\">"));
}

#[test]
fn a_requirement_whose_cases_broke_others_is_unclear() {
    let mut failed = case("sync/replay", "fail");
    failed["breaches"] = json!([{ "requirement": "seq.dense", "what": "a gap" }]);
    let pages = [named("x", report(vec![failed], verdict("untestable")))];
    let text = html::write(&pages);
    assert!(text.contains("~</span> unclear"), "{text}");
}

#[test]
fn the_annotated_specification_has_each_requirement_once() {
    let pages = [named("x", report(vec![wrong_order()], json!([])))];
    let text = annotated::write(&pages);
    for found in requirement::requirements() {
        let place = format!("id=\"req-{}\"", found.id);
        assert_eq!(text.matches(&place).count(), 1, "{}", found.id);
        for lead in ["<p>", "<li>"] {
            assert!(
                !text.contains(&format!("{lead}[{}]", found.id)),
                "{}",
                found.id
            );
        }
    }
    assert!(!text.contains("<requirement"), "no marker is left");
    assert!(text.contains("href=\"#case-crdt/newest\""));
}

#[test]
fn a_server_that_fails_everything_makes_a_page_that_stays_usable() {
    let all = requirement::requirements();
    let cases = (0..300).map(|number| {
        let mut failed = wrong_order();
        failed["id"] = json!(format!("crdt/case-{number}"));
        failed["breaches"][0]["requirement"] = json!(all[number % all.len()].id);
        let long = "x".repeat(30_000);
        failed["breaches"][0]["got"] = json!(format!("{long}{number}{long}"));
        failed["breaches"][0]["expected"] = json!(format!("{long}y{long}"));
        let frames = failed["frames"].as_array().unwrap().clone();
        let many: Vec<Value> = frames.iter().cycle().take(400).cloned().collect();
        failed["frames"] = json!(many);
        failed
    });
    let pages = [named("x", report(cases.collect(), json!([])))];
    for text in [html::write(&pages), annotated::write(&pages)] {
        assert!(text.len() < 8 << 20, "{} bytes", text.len());
        let left_out = "So many cases went wrong";
        assert_eq!(text.matches(left_out).count(), 210);
    }
}

#[test]
fn the_command_names_the_columns_and_refuses_several_where_one_is_taken() {
    let folder = std::env::temp_dir().join(format!("collab-pages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a=b.json");
    let report = report(vec![wrong_order()], json!([]));
    std::fs::write(&path, serde_json::to_string(&report).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    let text = stdout(&["report", "html", path, &format!("mine={path}")], 0);
    assert!(text.contains("<h2>ws://127.0.0.1:8000/ws</h2>") && text.contains("<h2>mine</h2>"));
    let text = stdout(&["report", "spec", &format!("mine={path}")], 0);
    assert!(text.contains("<h2>mine</h2>") && text.contains("a replicated growable array"));
    assert_stops(&["report", "junit", path, path], 2, "takes one report");
    assert_stops(&["report", "html", "x=/no/such.json"], 2, "can't be read");
    std::fs::remove_dir_all(&folder).unwrap();
}
