//! The player says which step failed and why, and the outcome becomes the right verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use collab_conformance::case::{self, Case};
use collab_conformance::outcome::{Failure, Outcome};
use collab_conformance::runner::{Options, Session};
use collab_conformance::target::Target;
use collab_spec::report::{CaseReport, Verdict};
use serde_json::{Value, json};

use crate::reference::start;

fn scenario(steps: Value) -> Case {
    let scenario = json!({
        "id": "test/played", "title": "a scenario", "requirements": ["seq.fan-out"], "steps": steps,
    });
    Case::scenario(serde_json::from_value(scenario).unwrap())
}

async fn play(case: Case) -> CaseReport {
    let options = Options {
        timeout_scale: 0.1,
        ..Options::default()
    };
    let report = collab_conformance::run(start().await, &[case], options)
        .await
        .unwrap();
    report.cases.into_iter().next().unwrap()
}

fn op(client: &str, msg_id: &str, lamport: u64, value: &str) -> Value {
    json!({"type": "op", "doc_id": "${doc}", "client_id": client, "client_msg_id": msg_id, "op":
        {"type": "ins", "parent_id": [0, "root"], "id": [lamport, client], "value": value}})
}

#[tokio::test]
async fn every_step_plays() {
    let echo =
        json!({"type": "op_echo", "server_seq": {"$bind": "seq"}, "surplus": {"$absent": true}});
    let result = play(scenario(json!([
        {"step": "get", "path": "/health", "status": 200, "body": {"status": "ok"}},
        {"step": "join", "on": "A"},
        {"step": "connect", "on": ["B", "C"]},
        {"step": "send_fragments", "on": "B", "fragments":
            ["{\"type\":\"hello\",\"doc_id\":\"", "${doc}", "\",\"client_id\":\"B\"}"]},
        {"step": "expect", "on": "B", "frame": {"type": "hello_ack", "server_seq": 0}},
        {"step": "expect", "on": "B", "frame": {"type": "resync", "full_text": ""}},
        {"step": "send", "on": "A", "frame": op("A", "m-1", 1, "x")},
        {"step": "expect", "on": "A", "frame": echo},
        {"step": "expect", "on": "B", "frame": {"type": "op_echo", "server_seq": {"$var": "seq"}}},
        {"step": "send_bytes", "on": "C", "kind": "binary", "hex": "00ff"},
        {"step": "expect_close", "on": "C", "codes": [1003]},
        {"step": "barrier", "via": "B", "on": ["A", "B"]},
        {"step": "stop_reading", "on": "B"},
        {"step": "send", "on": "A", "frame": op("A", "m-2", 2, "y")},
        {"step": "send", "on": "A", "frame": op("A", "m-3", 3, "z")},
        {"step": "expect_unordered", "on": "A", "frames":
            [{"client_msg_id": "m-3"}, {"client_msg_id": "m-2"}]},
        {"step": "resume_reading", "on": "B"},
        {"step": "expect", "on": "B", "frame": {"client_msg_id": "m-2"}},
        {"step": "drop", "on": "B"},
        {"step": "join", "on": "D", "head": 5, "text": "zyx"},
        {"step": "disconnect", "on": "A"},
        {"step": "send_text", "on": "D", "text": "[]"},
        {"step": "expect_close", "on": "D", "codes": [1002]}
    ])))
    .await;
    assert_eq!(result.verdict, Verdict::Pass, "{:#?}", result.breaches);
}

#[tokio::test]
async fn a_mismatch_names_the_step_the_path_and_the_frame() {
    let result = play(scenario(json!([
        {"step": "join", "on": "A"},
        {"step": "send", "on": "A", "frame": op("A", "m-1", 1, "x")},
        {"step": "expect", "on": "A", "frame": {"type": "op_echo", "op": {"value": "y"}},
            "requirement": "echo.faithful"},
    ])))
    .await;
    assert_eq!(result.verdict, Verdict::Fail);
    let breach = &result.breaches[0];
    assert_eq!(breach.requirement, "echo.faithful");
    assert!(
        breach.what.starts_with("step 3 (expect): "),
        "{}",
        breach.what
    );
    assert!(
        breach.what.ends_with(r#"/op/value is "x", not "y""#),
        "{}",
        breach.what
    );
    assert!(
        result.frames[breach.frame.unwrap()]
            .content
            .contains("op_echo")
    );
}

#[tokio::test]
async fn a_wait_in_vain_says_what_was_awaited_and_what_came_last() {
    let result = play(scenario(json!([
        {"step": "join", "on": "A"},
        {"step": "expect", "on": "A", "frame": {"type": "op_echo", "server_seq": 1}},
    ])))
    .await;
    let breach = &result.breaches[0];
    assert_eq!(breach.requirement, "seq.fan-out");
    assert!(
        breach.what.contains("nothing came on A in"),
        "{}",
        breach.what
    );
    assert_eq!(
        breach.expected.as_deref(),
        Some(r#"{"type":"op_echo","server_seq":1}"#)
    );
    assert!(
        breach
            .got
            .as_deref()
            .unwrap()
            .contains("the last to come was {\"type\":\"resync\"")
    );
}

#[tokio::test]
async fn a_wait_in_vain_says_whose_connection_the_server_has_closed() {
    let result = play(scenario(json!([
        {"step": "join", "on": "A"},
        {"step": "join", "on": "B"},
        {"step": "send", "on": "B", "frame": {"type": "hello"}},
        {"step": "expect", "on": "A", "frame": {"type": "op_echo", "server_seq": 1}},
    ])))
    .await;
    let got = result.breaches[0].got.as_deref().unwrap();
    assert!(
        got.starts_with("nothing, but the server closed B: close 1002 \"protocol: ")
            && got.contains("; the last to come was {"),
        "{got}"
    );
}

#[tokio::test]
async fn a_barrier_shows_what_should_not_have_come() {
    let result = play(scenario(json!([
        {"step": "join", "on": "A"},
        {"step": "send", "on": "A", "frame": op("A", "m-1", 1, "x")},
        {"step": "barrier", "via": "A", "on": "A", "requirement": "close.isolated"},
    ])))
    .await;
    let breach = &result.breaches[0];
    assert_eq!(breach.requirement, "close.isolated");
    assert!(
        breach.what.contains("before which nothing must come"),
        "{}",
        breach.what
    );
}

#[tokio::test]
async fn outcomes_become_verdicts() {
    async fn should() -> Outcome {
        Err(Failure::breach("sync.replay-kept", "a resync"))
    }
    async fn untestable() -> Outcome {
        Err(Failure::Untestable("no way".to_owned()))
    }
    async fn harness() -> Outcome {
        Err(Failure::Harness("broken".to_owned()))
    }
    async fn panic() -> Outcome {
        panic!("on purpose, in a test")
    }
    let case = |verdict, case: Case| (verdict, case);
    for (verdict, case) in [
        case(Verdict::Warn, Case::code("t/a", "", &[], |_| should())),
        case(
            Verdict::Untestable,
            Case::code("t/b", "", &[], |_| untestable()),
        ),
        case(Verdict::Error, Case::code("t/c", "", &[], |_| harness())),
        case(Verdict::Error, Case::code("t/d", "", &[], |_| panic())),
    ] {
        assert_eq!(play(case).await.verdict, verdict);
    }
}

#[tokio::test]
async fn repeated_cases_are_counted_and_the_worst_counts() {
    let played = Arc::new(AtomicUsize::new(0));
    let sometimes = Case::code("t/sometimes", "now and then", &[], move |_| {
        let number = played.fetch_add(1, Ordering::SeqCst);
        async move {
            match number % 3 {
                1 => Err(Failure::breach("seq.dense", format!("number {number}"))),
                _ => Ok(()),
            }
        }
    });
    let always = Case::code("t/always", "every time", &[], |_| async { Ok(()) });
    let options = Options {
        repeat: 7,
        concurrency: 1,
        ..Options::default()
    };
    let report = collab_conformance::run(start().await, &[sometimes, always], options)
        .await
        .unwrap();
    let [sometimes, always] = &report.cases[..] else {
        panic!("{:?}", report.cases);
    };
    let counted = |case: &CaseReport| {
        let repeats = case.repeats.unwrap();
        (repeats.failed, repeats.played)
    };
    assert_eq!(
        (sometimes.verdict, counted(sometimes)),
        (Verdict::Fail, (2, 7))
    );
    assert_eq!(sometimes.breaches[0].what, "number 1");
    assert_eq!((always.verdict, counted(always)), (Verdict::Pass, (0, 7)));
    assert_eq!((report.summary.fail, report.summary.pass), (1, 1));
    let text = collab_conformance::report::summary_text(&report);
    let rates = "not passed every time:\n  t/sometimes  2 of 7 failed\n\n";
    assert!(text.contains(rates), "{text}");
}

#[test]
fn long_cases_start_first_but_quick_ones_where_the_first_failure_ends_the_run() {
    let all = case::all().unwrap();
    let weights = |fail_fast| {
        let options = Options {
            fail_fast,
            ..Options::default()
        };
        let session = Session::new(Target::new("ws://127.0.0.1/ws").unwrap(), options);
        let order = session.start_order(&all).into_iter();
        order.map(|case| case.weight).collect::<Vec<_>>()
    };
    assert!(weights(true).is_sorted());
    assert!(weights(false).is_sorted_by(|before, next| before >= next));
    assert_ne!(weights(true), weights(false));
}
