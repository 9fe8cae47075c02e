//! The conformance suite alone, from outside, as the judge of the mutants that cargo-mutants makes of
//! this package and of `collab-spec` (`docs/mutants.md`).
//!
//! The suite comes built, as the program that `COLLAB_SUITE` names: what is mutated here is never the
//! judge too, and need not be linked into it again. So this target is left out of `cargo test` unless
//! it is named.

use std::process::Command;

/// What every deadline of the suite is multiplied by: a busy machine must not kill a mutant.
const PATIENCE: &str = "4";

/// How many cases are played at once; the slow ones mostly wait.
const AT_ONCE: &str = "16";

#[test]
fn the_suite_passes() {
    // A document leaves memory with its last connection, and is rebuilt for the next one.
    let all = ["resume", "state", "runs", "presence"].map(|name| ["--require-profile", name]);
    play("--idle-seconds 0", all.as_flattened());
    play("--profiles core", &["hello/", "profiles/"]);
}

fn play(server_options: &str, more: &[&str]) {
    let suite = std::env::var_os("COLLAB_SUITE");
    let suite = suite.expect("COLLAB_SUITE names the built program collab-conformance");
    let server = env!("CARGO_BIN_EXE_collab-reference");
    let status = Command::new(suite)
        .args([
            "run",
            "--strict",
            "--fail-fast",
            "--timeout-scale",
            PATIENCE,
        ])
        .args(["--test-threads", AT_ONCE])
        .args([
            "--exec",
            &format!("'{server}' --port {{port}} {server_options}"),
        ])
        .args(more)
        .env("RUST_LOG", "off")
        .status()
        .expect("the suite can be started");
    assert!(status.success(), "the suite ended with {status}");
}
