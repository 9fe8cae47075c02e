//! The command line's face of a run: libtest's filters, formats and output. The only user of
//! `libtest-mimic`.
//!
//! Deliberately absent: verdicts. Those are the runner's; here they only get a colour.

use std::sync::Arc;

use collab_spec::report::Verdict;
pub use libtest_mimic::Arguments;
pub use libtest_mimic::FormatSetting;
use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::Handle;

use crate::case::Case;
use crate::report;
use crate::runner::Session;

/// Whether the arguments let a case through.
pub fn selects(arguments: &Arguments, case: &Case) -> bool {
    !arguments.is_filtered_out(&Trial::test(case.id.clone(), || Ok(())))
}

/// The cases that the arguments and the session let through, in the order in which they start.
pub fn selected(session: &Session, cases: &[Case], arguments: &Arguments) -> Vec<Case> {
    let order = session.start_order(cases).into_iter();
    order
        .filter(|case| session.selects(case) && selects(arguments, case))
        .collect()
}

/// Plays the cases, and prints each result as libtest does.
pub fn run(session: &Arc<Session>, cases: Vec<Case>, arguments: &Arguments, handle: &Handle) {
    session.expect(&cases);
    let arguments = Arguments {
        test_threads: Some(session.at_once(&cases)),
        ..arguments.clone()
    };
    let format = arguments.format;
    let trials = cases
        .into_iter()
        .map(|case| trial(Arc::clone(session), case, handle.clone(), format))
        .collect();
    // The verdict is the report's; this one only knows passed and failed.
    let _ = libtest_mimic::run(&arguments, trials);
}

fn trial(
    session: Arc<Session>,
    case: Case,
    handle: Handle,
    format: Option<FormatSetting>,
) -> Trial {
    Trial::ignorable_test(case.id.clone(), move || {
        let played = async {
            let _place = session.place(&case).await;
            session.play_unless_failed(&case).await
        };
        let Some(result) = handle.block_on(played) else {
            return Ok(Completion::ignored_with("a case has failed (--fail-fast)"));
        };
        if session.fails(&result) {
            // In words for people all failures are shown at the end, the likely cause first.
            return Err(
                match format == Some(FormatSetting::Json) && !report::is_not_played(&result) {
                    true => Failed::from(report::case_text(&result, &session.again())),
                    false => Failed::without_message(),
                },
            );
        }
        if let Some(reason) = &result.known {
            return Ok(Completion::ignored_with(format!("known to fail: {reason}")));
        }
        match result.verdict {
            Verdict::NotApplicable | Verdict::Untestable => {
                Ok(Completion::ignored_with(result.message.unwrap_or_default()))
            }
            _ => Ok(Completion::Completed),
        }
    })
}
