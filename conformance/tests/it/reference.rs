//! The reference server passes every case, and its traffic breaks no rule.

use collab_conformance::case;
use collab_conformance::report;
use collab_conformance::runner::Options;
use collab_conformance::target::Target;
use collab_spec::report::Verdict;
use tokio::net::TcpListener;

/// Starts the reference server and gives its target.
pub(crate) async fn start() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = collab_reference::Config::default();
    tokio::spawn(collab_reference::serve(
        listener,
        config,
        std::future::pending(),
    ));
    Target::new(&format!("ws://{address}/ws")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_every_case() {
    let _alone = crate::ALONE.lock().await;
    let target = start().await;
    let server = report::server_options(target.url(), None);
    let mut cases = case::all().unwrap();
    // Those that end their server are played in `exec`.
    cases.retain(|case| !case.own_server);
    // Tests may run unoptimised, and beside others.
    let folder = crate::verify::Folder::new("reference");
    let options = Options {
        timeout_scale: 4.0,
        traces: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let report = collab_conformance::run(target, &cases, options)
        .await
        .unwrap();
    let failed: Vec<String> = report
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Pass)
        .map(|case| report::case_text(case, &server))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(report.cases.len(), cases.len());
    crate::verify::assert_all_green(folder.path());
}
