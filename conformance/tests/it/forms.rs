//! The forms of a report: JUnit, TAP, Markdown, a badge; and what the command says of a file that is none.

use collab_conformance::report::{badge, junit, markdown, tap};
use collab_spec::report::Report;
use serde_json::{Value, json};

use crate::cli::{assert_stops, stdout};

fn case(id: &str, verdict: &str) -> Value {
    json!({ "id": id, "title": "a title", "verdict": verdict, "profile": "core",
        "requirements": ["sync.replay-exact"], "duration_ms": 1500 })
}

/// A report with a case of every verdict, in which texts are as bad as they can be.
fn report() -> Value {
    let mut fail = case("sync/replay", "fail");
    fail["breaches"] = json!([{ "requirement": "sync.replay-exact",
        "what": "seq 3 came <twice> & \"late\"", "expected": "a ]]> # b\u{0}", "got": "```\n````|" }]);
    let mut warn = case("slow/one", "warn");
    warn["breaches"] = json!([{ "requirement": "slow.latency", "what": "it took long" }]);
    let mut skipped = case("presence/one", "not_applicable");
    skipped["message"] = json!("the server does not offer presence # at all");
    let mut error = case("sync/harness", "error");
    error["message"] = json!("the harness fell\nover");
    json!({ "version": 1, "suite": { "name": "collab-conformance", "version": "0.1.0" },
        "target": "ws://127.0.0.1:8000/ws", "started_at_ms": 1_700_000_000_000_u64, "duration_ms": 5000,
        "summary": { "pass": 1, "fail": 1, "warn": 1, "not_applicable": 1, "untestable": 0, "error": 1 },
        "cases": [case("sync/at-head", "pass"), fail, warn, skipped, error], "requirements": [] })
}

/// A report of these cases, which counts them.
fn with_cases(cases: Vec<Value>) -> Value {
    let mut report = report();
    for (verdict, count) in report["summary"].as_object_mut().unwrap() {
        let ended = cases.iter().filter(|case| case["verdict"] == *verdict);
        *count = json!(ended.count());
    }
    report["cases"] = json!(cases);
    report
}

#[test]
fn a_known_failure_is_no_failure_of_a_pipeline() {
    let mut known = case("sync/replay", "fail");
    known["known"] = json!("the log # is short");
    known["breaches"] = json!([{ "requirement": "sync.replay-exact", "what": "it was short" }]);
    let report = read(with_cases(vec![case("sync/at-head", "pass"), known]));
    let text = junit::write(&report).unwrap();
    assert!(
        text.contains(r#"<skipped message="known to fail: the log # is short"/>"#)
            && text.contains(r#"failures="0""#),
        "{text}"
    );
    let text = tap::write(&report);
    let line = "\nnot ok 2 - sync/replay # TODO the log \\# is short\n";
    assert!(text.contains(line), "{text}");
    let text = markdown::write(&report);
    assert!(
        text.starts_with("### collab-conformance: 1 passed, 1 known to fail\n")
            && !text.contains("Broken"),
        "{text}"
    );
}

fn read(report: Value) -> Report {
    serde_json::from_value(report).unwrap()
}

fn counted(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn junit_has_a_suite_an_area_and_says_which_requirement_broke() {
    let text = junit::write(&read(report())).unwrap();
    assert_eq!(counted(&text, "<testsuite "), 3, "{text}");
    assert_eq!(counted(&text, "<testcase "), 5, "{text}");
    for part in [
        r#"tests="5" skipped="1" failures="1" errors="1""#,
        r#"<skipped message="the server does not offer presence # at all"/>"#,
        r#"<failure message="[sync.replay-exact] seq 3 came &lt;twice&gt; &amp; &quot;late&quot;" type="sync.replay-exact">"#,
        r#"<error message="the harness fell">"#,
        "<system-out>warning: slow/one",
        r#"name="sync/replay" classname="collab-conformance.sync" time="1.500""#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\0') && !text.contains("a ]]> #"), "{text}");
}

#[test]
fn tap_has_a_test_point_a_case() {
    let text = tap::write(&read(report()));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["TAP version 13", "1..5"]);
    for line in [
        "ok 1 - sync/at-head",
        "not ok 2 - sync/replay",
        "ok 3 - slow/one",
        "ok 4 - presence/one # SKIP the server does not offer presence \\# at all",
        "not ok 5 - sync/harness",
        "  severity: \"warning\"",
        "  requirement: \"sync.replay-exact\"",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{text}");
    }
    assert_eq!(counted(&text, "\n  ---\n"), 3, "{text}");
    assert_eq!(counted(&text, "\n  ...\n"), 3, "{text}");
}

#[test]
fn markdown_begins_with_the_outcome_and_keeps_its_fences() {
    let text = markdown::write(&read(report()));
    assert!(
        text.starts_with("### collab-conformance: 1 of 4 failed\n"),
        "{text}"
    );
    assert!(text.contains("| 1 | 1 | 1 | 1 | 0 | 1 |"), "{text}");
    assert!(
        text.contains("| `sync.replay-exact`: ") && text.contains(" | 1 | `sync/replay` |"),
        "{text}"
    );
    assert!(text.contains("\n`````text\nsync/replay: a title"), "{text}");
    assert_eq!(counted(&text, "<details>"), 2, "{text}");
}

#[test]
fn markdown_of_a_server_that_breaks_everything_fits_a_comment() {
    let mut whole = report();
    let long = "x".repeat(40_000);
    let failed = (0..300).map(|number| {
        let requirements = collab_spec::requirement::requirements();
        let mut failed = case(&format!("sync/case-{number}"), "fail");
        let id = &requirements[number % requirements.len()].id;
        failed["breaches"] = json!([{ "requirement": id, "what": long }]);
        failed
    });
    whole["cases"] = failed.collect();
    let text = markdown::write(&read(whole));
    assert!(text.chars().count() < 65_536, "{}", text.chars().count());
    assert!(text.contains("\nand "), "what is left out is not said");
}

#[test]
fn a_badge_says_how_the_run_stands() {
    let said = |cases: Vec<Value>| badge::write(&read(with_cases(cases)));
    let of = |pass: usize, fail: usize, warn: usize, error: usize| {
        let counts = [
            ("pass", pass),
            ("fail", fail),
            ("warn", warn),
            ("error", error),
        ];
        let cases = counts
            .into_iter()
            .flat_map(|(verdict, count)| vec![case("a/b", verdict); count]);
        cases.collect::<Vec<_>>()
    };
    let mut known = of(7, 2, 0, 0);
    known[7]["known"] = json!("we know");
    let mut all_known = of(7, 1, 0, 0);
    all_known[7]["known"] = json!("we know");
    let rows = [
        (of(7, 0, 0, 0), "7 passed", "#1a7f37"),
        (of(7, 0, 1, 0), "7 passed, 1 warned", "#9a6700"),
        (of(7, 2, 1, 1), "2 of 11 failed", "#cf222e"),
        (of(7, 0, 0, 1), "1 of 8 with errors", "#57606a"),
        (of(0, 0, 0, 0), "nothing was played", "#57606a"),
        (known, "1 of 9 failed, 1 known to fail", "#cf222e"),
        (all_known, "7 passed, 1 known to fail", "#1a7f37"),
    ];
    for (cases, words, colour) in rows {
        let text = said(cases);
        assert!(
            text.contains(&format!(">{words}</text>")) && text.contains(colour),
            "{words}: {text}"
        );
    }
}

#[test]
fn a_server_that_died_is_not_green() {
    let mut died = with_cases(vec![case("sync/at-head", "pass")]);
    died["server"] = json!({ "command": "x", "started": 1, "exits": [
        { "why": "died", "status": "exit code 1", "lived_ms": 5 }] });
    assert!(badge::write(&read(died)).contains("the server died or hung"));
}

#[test]
fn the_command_writes_the_forms_and_refuses_what_is_no_report() {
    let folder = std::env::temp_dir().join(format!("collab-forms-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let right = file("right.json", &report().to_string());
    let mut newer = report();
    newer["version"] = json!(2);
    let newer = file("newer.json", &newer.to_string());
    let other = file("other.json", "[]");
    let out = folder.join("out.xml");
    let arguments = ["report", "junit", &right, "--out", out.to_str().unwrap()];
    stdout(&arguments, 0);
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        junit::write(&read(report())).unwrap()
    );
    assert_stops(&["report", "tap", &newer], 2, "this suite reads version 1");
    assert_stops(&["report", "tap", &other], 2, "is no report");
    assert_stops(&["report", "tap", "/no/such.json"], 2, "can't be read");
    assert_stops(
        &["report", "tap", &right, "--out", "/no/such/folder/x"],
        2,
        "can't be written",
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn completions_and_a_man_page_name_the_commands() {
    for arguments in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["man"],
    ] {
        let text = stdout(arguments, 0);
        for part in ["properties", "explain", "report"] {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    }
}
