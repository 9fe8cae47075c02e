//! The load, on the null relay.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use collab_conformance::context::Context;
use collab_conformance::load::{self, Pace, Plan, relay};
use collab_conformance::target::Target;
use tokio::net::TcpListener;

use crate::cli::assert_stops;
use crate::reference;

/// Starts a null relay for as long as the tests run.
fn relay() -> Target {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let serving = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            relay::serve(listener).await.unwrap();
        };
        load::on_this_thread(serving).unwrap();
    });
    Target::new(&format!("ws://{}/ws", told.recv().unwrap())).unwrap()
}

#[test]
fn every_op_comes_to_every_client() {
    let target = relay();
    for pace in [Pace::InFlight(3), Pace::Rate(2000.0)] {
        let plan = Plan {
            documents: 2,
            clients: 3,
            characters: 0,
            pace,
            warm_up: Duration::ZERO,
            time: Duration::from_millis(300),
        };
        let figures = load::run(&target, &plan, "doc").unwrap();
        assert!(!figures.has_failed(), "{}", figures.words());
        // With the drain counted, and nothing to warm up, each op has one own echo and two others.
        assert!(figures.own.count > 100, "{}", figures.words());
        assert_eq!(figures.others.count, 2 * figures.own.count);
        assert!(figures.own.max >= figures.own.p50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_type_all_over_a_text_that_is_there() {
    let target = reference::start().await;
    let plan = Plan {
        documents: 1,
        clients: 2,
        characters: 3_000,
        pace: Pace::InFlight(1),
        warm_up: Duration::ZERO,
        time: Duration::from_millis(200),
    };
    let load = {
        let target = target.clone();
        tokio::task::spawn_blocking(move || load::run(&target, &plan, "filled"))
    };
    let figures = load.await.unwrap().unwrap();
    assert!(!figures.has_failed(), "{}", figures.words());
    assert!(figures.words().starts_with("1 document of 3000 characters"));
    let context = Context::new(Arc::new(target), 1.0);
    let late = context.join_as("late", "filled-0", "late").await.unwrap();
    let text = late.synced().full_text.chars().count() as u64;
    assert_eq!(text, plan.characters + figures.own.count);
}

#[test]
fn bad_options_say_what_to_write() {
    for (options, sentence) in [
        (&["--docs", "0"][..], "--docs and --clients are 1 or more"),
        (&["--docs", "1000", "--clients", "1000"], "at most 100000"),
        (&["--chars", "10000001"], "--chars is at most 10000000"),
        (&["--rate", "0"], "--rate is from"),
        (&["--in-flight", "0"], "--in-flight is from"),
        (&["--rate", "1", "--in-flight", "1"], "cannot be used with"),
        (&["--secs", "0"], "--secs 0 measures nothing"),
        (&["--warm-up=-1"], "--warm-up -1 is not from 0"),
    ] {
        let mut arguments = vec!["load"];
        arguments.extend(options);
        assert_stops(&arguments, 2, sentence);
    }
}
