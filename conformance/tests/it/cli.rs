//! The command's exit codes and sentences.

use std::process::{Command, Output};

fn suite(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_collab-conformance"))
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn assert_stops(arguments: &[&str], code: i32, sentence: &str) {
    let output = suite(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(sentence), "{arguments:?}: {stderr}");
}

pub(crate) fn stdout(arguments: &[&str], code: i32) -> String {
    let output = suite(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {text}{stderr}"
    );
    text
}

#[test]
fn wrong_usage_is_2_with_a_sentence() {
    assert_stops(
        &["run", "--url", "http://a/ws"],
        2,
        "write ws://HOST:PORT/ws",
    );
    assert_stops(
        &["run", "--url", "ws://a/ws", "--header", "x"],
        2,
        "write NAME=VALUE",
    );
    assert_stops(&["run", "no-such-case"], 2, "no case fits the filters");
    assert_stops(&["run", "--profile", "nope"], 2, "the profiles are: core");
    assert_stops(
        &["run", "--require-profile", "nope"],
        2,
        "there is no profile `nope`",
    );
    assert_stops(&["run", "--timeout-scale", "0"], 2, "between 0.01 and 1000");
    assert_stops(&["run", "--test-threads", "0"], 2, "1 or more");
    assert_stops(&["run", "--repeat", "0"], 2, "1 or more");
    assert_stops(
        &["run", "--format", "xml"],
        2,
        "possible values: progress, pretty, terse, json",
    );
    assert_stops(
        &["run", "--report", "/no/such/folder/r.json"],
        2,
        "can't be written",
    );
    assert_stops(
        &["explain", "sync.replay-exac"],
        2,
        "is it one of: sync.replay-exact?",
    );
    assert_stops(&["--nope"], 2, "--nope");
}

#[test]
fn nobody_there_is_3_with_what_to_do() {
    assert_stops(
        &["run", "--url", "ws://127.0.0.1:1/ws"],
        3,
        "start the server, or correct --url",
    );
    let unknown = ["run", "--url", "ws://no-such-host.invalid/ws"];
    assert_stops(
        &unknown,
        3,
        "no server can be reached at ws://no-such-host.invalid/ws",
    );
}

#[test]
fn the_built_in_server_passes_and_the_report_says_so() {
    let _alone = crate::ALONE.blocking_lock();
    let folder = std::env::temp_dir().join(format!("collab-conformance-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("report.json");
    let text = stdout(&["run", "http/", "--report", path.to_str().unwrap()], 0);
    assert!(text.contains(" passed"), "{text}");
    let profiles = "the server offers the profiles: core, resume, state, runs, presence";
    assert!(text.contains(profiles), "{text}");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["profiles"].as_array().unwrap().len(), 5);
    assert!(report["summary"]["pass"].as_u64().unwrap() > 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_passes_is_told_where_it_is_asked_for() {
    let quiet = stdout(&["run", "-q", "http/"], 0);
    assert!(quiet.starts_with("2 passed in "), "{quiet}");
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    let text = stdout(&["run", "http/"], 0);
    assert!(text.contains("\n      http      2\n"), "{text}");
    assert!(!text.contains("http/health-ok"), "{text}");
    let verbose = stdout(&["run", "-v", "--exact", "sync/at-head"], 0);
    assert!(verbose.contains("pass sync/at-head  "), "{verbose}");
    let frame = r#"A < {"type":"hello_ack","doc_id":"doc-"#;
    assert!(verbose.contains(frame), "{verbose}");
    assert!(
        verbose.lines().all(|line| line.chars().count() <= 80),
        "{verbose}"
    );
    assert!(!verbose.contains('\u{1b}'), "colours in a pipe");
}

#[test]
fn a_probe_says_on_a_page_what_the_server_is() {
    let page = stdout(&["probe"], 0);
    assert!(page.lines().count() <= 40, "{page}");
    assert!(
        page.lines().all(|line| line.chars().count() <= 80),
        "{page}"
    );
    let has = |name: &str, value: &str| {
        let mut lines = page.lines();
        let found = lines.find(|line| line.trim_start().starts_with(name));
        assert!(
            found.is_some_and(|line| line.contains(value)),
            "{name} {value}: {page}"
        );
    };
    has("profiles", "core, resume, state, runs, presence");
    has("GET /health", "200");
    has("longest message, as found", "1048576 bytes taken");
    has("a binary message", "1003");
    has("a close with 1000", "1000");
    has("op to another's echo", "of 200");
    assert!(
        !page.contains("section 10 has") && !page.contains("Not found out"),
        "{page}"
    );
    assert_stops(&["probe", "--url", "ws://127.0.0.1:1/ws"], 3, "");
}

#[test]
fn cases_are_played_as_often_as_is_said_and_listed_once() {
    let only = ["run", "--repeat", "3", "--exact", "http/health-ok"];
    let libtest = stdout(&[&only[..], &["--format", "pretty"]].concat(), 0);
    assert!(libtest.contains("running 3 tests"), "{libtest}");
    let text = stdout(&only, 0);
    assert!(text.contains("    1 passed"), "{text}");
    let list = stdout(&[&only[..], &["--list"]].concat(), 0);
    assert_eq!(list.matches("http/health-ok").count(), 1, "{list}");
}

#[test]
fn lists_and_explanations_are_complete() {
    let cases = stdout(&["list"], 0);
    let first = cases
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert!(stdout(&["explain", first], 0).contains("Requirements:"));
    let requirements = stdout(&["list", "--requirements"], 0);
    assert!(
        requirements.contains("sync.replay-exact (MUST)"),
        "{requirements}"
    );
    let text = stdout(&["explain", "sync.replay-exact"], 0);
    assert!(
        text.contains("spec/protocol.md:") && text.contains("Cases:"),
        "{text}"
    );
    assert!(stdout(&["run", "--list", "--exact", first], 0).contains(first));
}

#[test]
fn schemas_are_written() {
    let folder = std::env::temp_dir().join(format!("collab-schemas-{}", std::process::id()));
    let text = stdout(&["schemas", "--out", folder.to_str().unwrap()], 0);
    assert!(text.starts_with("wrote "), "{text}");
    assert!(folder.join("schemas/op_echo.schema.json").exists());
    assert!(folder.join("asyncapi.json").exists() && folder.join("openapi.json").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn scenario_files_are_checked() {
    let folder = std::env::temp_dir().join(format!("collab-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x.json");
    std::fs::write(
        &path,
        r#"{"id":"a/b","title":"t","requirements":["no.such"],"steps":[{"step":"nope"}]}"#,
    )
    .unwrap();
    let output = stdout(&["scenarios", "validate", path.to_str().unwrap()], 2);
    assert!(output.contains("/steps/0"), "{output}");
    std::fs::write(
        &path,
        r#"{"id":"a/b","title":"t","requirements":["no.such"],"steps":[{"step":"drop","on":"A"}]}"#,
    )
    .unwrap();
    let output = stdout(&["scenarios", "validate", path.to_str().unwrap()], 2);
    assert!(
        output.contains(r#"the specification has no "no.such""#),
        "{output}"
    );
    assert!(output.contains("is not the end of the path"), "{output}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn scenario_files_are_played_instead_of_the_cases() {
    let folder = std::env::temp_dir().join(format!("collab-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let right = file(
        "right.json",
        r#"{"id":"mine/joins","title":"t","requirements":["sync.zero"],
            "steps":[{"step":"join","on":"A","requirement":"sync.zero"}]}"#,
    );
    let wrong = file("wrong.json", r#"{"id":"mine/x","title":"t","steps":[]}"#);
    let text = stdout(&["run", "--scenario", &right], 0);
    assert!(
        text.contains("      mine  ") && text.contains("1 passed"),
        "{text}"
    );
    assert!(stdout(&["run", "--scenario", &right, "--list"], 0).starts_with("mine/joins: test\n"));
    let twice = ["run", "--scenario", &right, "--scenario", &right];
    assert_stops(&twice, 2, "another file has the id mine/joins, too");
    let filtered = ["run", "--scenario", &right, "sync/"];
    assert_stops(&filtered, 2, "no case fits the filters");
    assert_stops(&["run", "--scenario", &wrong], 2, "wrong.json: ");
    let missing = folder.join("none.json").display().to_string();
    assert_stops(&["run", "--scenario", &missing], 2, "can't be read");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_frame_is_kept_where_that_is_asked_for() {
    let folder = std::env::temp_dir().join(format!("collab-traces-{}", std::process::id()));
    let name = folder.to_str().unwrap();
    let arguments = [
        "run",
        "--exact",
        "sync/at-head",
        "--trace",
        name,
        "--repeat",
        "2",
    ];
    stdout(&arguments, 0);
    for file in ["sync/at-head.jsonl", "sync/at-head.2.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let frames = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let frames: Vec<collab_spec::report::FrameReport> = frames.collect();
        let has = |kind: &str, part: &str| {
            let mut frames = frames.iter();
            frames.any(|frame| frame.kind == kind && frame.content.contains(part))
        };
        assert!(
            has("text", r#""type":"hello_ack""#) && has("text", r#""type":"resync""#),
            "{text}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_stops(&["run", "--trace", "/dev/null/x"], 2, "can't be made");
}

#[test]
fn help_fits_a_screen_of_80_columns() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["properties", "--help"],
        &["verify", "--help"],
    ] {
        let text = stdout(arguments, 0);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(
            text.lines().count() <= 50,
            "{} lines: {text}",
            text.lines().count()
        );
    }
    for part in ["Exit codes:", "Examples:"] {
        assert!(
            stdout(&["--help"], 0).contains(part) && stdout(&["run", "--help"], 0).contains(part)
        );
    }
}
