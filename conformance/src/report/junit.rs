//! A report as JUnit XML, as CI systems read it: a test suite for each area.

use std::time::Duration;

use collab_spec::report::{CaseReport, Report, Verdict};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{area, failure_text, headline, why_not_tested};

/// The report as JUnit XML.
pub fn write(report: &Report) -> Result<String, String> {
    let mut all = quick_junit::Report::new(&report.suite.name);
    all.set_time(Duration::from_millis(report.duration_ms));
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in &report.cases {
        let name = area(&case.id);
        let place = match suites.iter().position(|suite| suite.name.as_str() == name) {
            Some(place) => place,
            None => {
                suites.push(TestSuite::new(name));
                suites.len() - 1
            }
        };
        suites[place].add_test_case(test_case(report, case));
    }
    for suite in &mut suites {
        suite.add_property(("target", report.target.as_str()));
    }
    all.add_test_suites(suites);
    all.to_string().map_err(|error| error.to_string())
}

fn test_case(report: &Report, case: &CaseReport) -> TestCase {
    let mut told = TestCase::new(&case.id, status(case));
    told.set_classname(format!("{}.{}", report.suite.name, area(&case.id)));
    told.set_time(Duration::from_millis(case.duration_ms));
    if case.verdict == Verdict::Warn && case.known.is_none() {
        // JUnit has no warnings: the case succeeds, and says what it saw.
        told.set_system_out(format!("warning: {}", failure_text(case)));
    }
    told
}

fn status(case: &CaseReport) -> TestCaseStatus {
    if let Some(reason) = &case.known {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("known to fail: {reason}"));
        return status;
    }
    let kind = match case.verdict {
        Verdict::Pass | Verdict::Warn => return TestCaseStatus::success(),
        Verdict::NotApplicable | Verdict::Untestable => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why_not_tested(case));
            return status;
        }
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Error => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(headline(case));
    if let Some(breach) = case.breaches.first() {
        status.set_type(&breach.requirement);
    }
    status.set_description(failure_text(case));
    status
}
