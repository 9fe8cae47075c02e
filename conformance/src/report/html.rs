//! Reports as one HTML page that needs nothing else: no network, no files, and no script but for comfort.
//!
//! Two pages are made of the same parts: `write` sets implementations beside each other by requirement,
//! [`annotated::write`] is the specification with the verdicts in its text. What a server has sent is only
//! ever text there: `maud` escapes it, and the page's policy names the hash of the one script that may run.

pub mod annotated;
mod begin;
mod case;
mod diff;
mod frames;
mod matrix;
mod page;
mod plots;
mod requirement;
mod sequence;
mod tree;
mod words;

use std::collections::BTreeSet;

use collab_spec::report::Report;
use maud::html;

use self::page::Page;

/// A report and the name of what it is about.
#[derive(Clone, Debug)]
pub struct Implementation {
    /// The name, for a column's head.
    pub name: String,
    /// What the suite found.
    pub report: Report,
}

/// Names reports by their targets, where they have no name yet; none stands twice.
pub fn named(reports: Vec<(Option<String>, Report)>) -> Vec<Implementation> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let named = reports.into_iter().map(|(name, report)| {
        let wanted = name.unwrap_or_else(|| report.target.clone());
        let numbered = (2..).map(|number| format!("{wanted} ({number})"));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        let name = names.find(|name| taken.insert(name.clone()));
        let name = name.expect("there are more numbers than reports");
        Implementation { name, report }
    });
    named.collect()
}

/// The page of one or several reports, with everything that they hold.
pub fn write(implementations: &[Implementation]) -> String {
    let page = Page::new(implementations);
    let title = "Conformance report";
    let links = [
        ("#begin", "Where to begin"),
        ("#matrix", "All requirements"),
        ("#requirements", "By requirement"),
        ("#cases", "By case"),
        ("#figures", "Times and figures"),
    ];
    let main = html! {
        (matrix::glance(&page))
        (begin::write(&page))
        (matrix::write(&page))
        (requirement::write(&page))
        (case::write(&page))
        (plots::write(&page))
    };
    page::frame(title, &links, begin::head(&page, title), main)
}
