//! What the report says of a wrong server, in words.

use std::sync::Arc;

use collab_conformance::case;
use collab_conformance::report::{Detail, broken, failures_text};
use collab_conformance::runner::{Options, Session};
use collab_conformance::target::Target;

use crate::toy::{Fault, Toy};

#[tokio::test]
async fn the_likely_cause_is_told_first() {
    let fault = Fault::ReplayFromL;
    let url = Toy::start(Some(fault)).await;
    let cases: Vec<_> = case::all()
        .unwrap()
        .into_iter()
        .filter(|case| case.id.starts_with("sync/replay-of-") || case.id.starts_with("submit/"))
        .collect();
    let session = Arc::new(Session::new(Target::new(&url).unwrap(), Options::default()));
    for case in &cases {
        session.play(case).await;
    }
    let report = session.report(&cases);
    let rows = broken::of(&report);
    assert_eq!(rows[0].requirement, fault.requirement());
    let text = failures_text(&report, "--url ws://127.0.0.1:1/ws", Detail::Whole);
    let first = rows[0].cases[0].case;
    assert!(text.trim_start().starts_with(first), "{text}");
    for named in rows.iter().flat_map(|row| &row.cases) {
        let command = format!(
            "collab-conformance run --url ws://127.0.0.1:1/ws --exact {}\n",
            named.case
        );
        assert_eq!(text.matches(&command).count(), 1, "{command} in\n{text}");
    }
    // In brief, one case stands for each requirement.
    let brief = failures_text(&report, "--url ws://127.0.0.1:1/ws", Detail::Brief);
    assert!(brief.trim_start().starts_with(first), "{brief}");
    let told = brief.matches("collab-conformance run --url ").count();
    assert_eq!(told, rows.len(), "{brief}");
    assert!(brief.contains(" more cases did not pass"), "{brief}");
}
