//! Known failures: which cases are expected to go wrong, how, and why.
//!
//! A file of them has a line for each: the case, the outcome and the reason, which goes to the end of the
//! line. Empty lines, and those that begin with `#`, are for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use collab_spec::report::{Report, Verdict};

use crate::case::Case;
use crate::report::{headline, is_not_played};

/// The outcomes that can be expected, as a file has them.
const OUTCOMES: [(&str, Verdict); 3] = [
    ("fail", Verdict::Fail),
    ("warn", Verdict::Warn),
    ("error", Verdict::Error),
];

/// What a file of known failures says, by case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    outcome: Verdict,
    reason: String,
}

impl Expected {
    /// Reads a file's text.
    ///
    /// # Errors
    /// A sentence with the number of the line that is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: String| Err(format!("line {number}: {what}"));
            let (case, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim_start();
            let (word, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let Some((_, outcome)) = OUTCOMES.into_iter().find(|(name, _)| *name == word) else {
                return wrong(format!(
                    "`{word}` is no outcome; write: CASE fail|warn|error REASON"
                ));
            };
            let reason = reason.trim().to_owned();
            if reason.is_empty() {
                return wrong(format!("{case} has no reason; write it behind `{word}`"));
            }
            let entry = Entry { outcome, reason };
            if entries.insert(case.to_owned(), entry).is_some() {
                return wrong(format!("{case} has a line before, too; take one out"));
            }
        }
        Ok(Self { entries })
    }

    /// Why it is known that a case ends so, or nothing where it is not.
    pub fn reason(&self, case: &str, verdict: Verdict) -> Option<&str> {
        let entry = self.entries.get(case)?;
        (entry.outcome == verdict).then_some(&entry.reason)
    }

    /// What in the file is not so any more, a sentence each: cases that pass, that end in another way, that
    /// the server's profiles rule out, or that there are none of in the suite (`all`). Of cases that were
    /// not played, and of those that this target leaves untestable, nothing is said.
    pub fn stale(&self, report: &Report, all: &[Case]) -> Vec<String> {
        let stale = |(id, entry): (&String, &Entry)| {
            let word = name(entry.outcome);
            let case = report.cases.iter().find(|case| case.id == *id);
            let Some(case) = case else {
                let is_there = all.iter().any(|case| case.id == *id);
                return (!is_there).then(|| format!("{id}: the suite has no such case"));
            };
            match case.verdict {
                Verdict::Untestable => None,
                Verdict::Pass => Some(format!("{id} passed, and {word} was expected")),
                Verdict::NotApplicable => {
                    Some(format!("{id} is not applicable, and {word} was expected"))
                }
                verdict if verdict == entry.outcome => None,
                verdict => Some(format!(
                    "{id} ended with {}, and {word} was expected",
                    name(verdict)
                )),
            }
        };
        self.entries.iter().filter_map(stale).collect()
    }

    /// The file that fits a run: an entry for each case that went wrong, with its reason as before where
    /// there was one; those of cases that the run says nothing of stay, unless the suite has none of them.
    pub fn updated(&self, report: &Report, all: &[Case]) -> String {
        let mut entries = self.entries.clone();
        entries.retain(|id, _| all.iter().any(|case| case.id == *id));
        for case in &report.cases {
            let has_outcome = OUTCOMES.iter().any(|(_, outcome)| *outcome == case.verdict);
            match case.verdict {
                Verdict::Untestable => {}
                _ if is_not_played(case) => {}
                _ if !has_outcome => {
                    entries.remove(&case.id);
                }
                outcome => {
                    let old = self.entries.get(&case.id);
                    let reason = old.map(|old| old.reason.clone());
                    let headline = headline(case);
                    let words = || headline.split_whitespace().collect::<Vec<_>>().join(" ");
                    let reason = reason.unwrap_or_else(words);
                    entries.insert(case.id.clone(), Entry { outcome, reason });
                }
            }
        }
        let mut text =
            "# Known failures, for --expect: the case, the outcome, and why it is left so.\n"
                .to_owned();
        for (id, entry) in &entries {
            let _ = writeln!(text, "{id} {} {}", name(entry.outcome), entry.reason);
        }
        text
    }
}

fn name(verdict: Verdict) -> &'static str {
    let named = OUTCOMES
        .into_iter()
        .find(|(_, outcome)| *outcome == verdict);
    named.map_or("another outcome", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Expected::read(text).unwrap_err()
    }

    #[test]
    fn a_line_has_a_case_an_outcome_and_a_reason() {
        let read = Expected::read("# ours\n\n  sync/a  fail   the log is short \nslow/b warn y\n");
        let read = read.unwrap();
        let reason = |id, verdict| read.reason(id, verdict);
        assert_eq!(reason("sync/a", Verdict::Fail), Some("the log is short"));
        assert_eq!(reason("sync/a", Verdict::Error), None);
        assert_eq!(reason("slow/b", Verdict::Warn), Some("y"));
        assert_eq!(reason("slow/c", Verdict::Warn), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert!(wrong("\nsync/a").starts_with("line 2: `` is no outcome"));
        assert!(wrong("sync/a pass x").starts_with("line 1: `pass` is no outcome"));
        assert!(wrong("sync/a fail").starts_with("line 1: sync/a has no reason"));
        assert!(wrong("a/b fail x\na/b warn y").starts_with("line 2: a/b has a line before"));
    }
}
