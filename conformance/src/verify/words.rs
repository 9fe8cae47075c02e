//! What came of captures, in words and as a report.

use std::fmt::Write as _;

use collab_spec::report::{
    CaseReport, REPORT_VERSION, Report, RequirementReport, Summary, Verdict,
};
use collab_spec::requirement::{self, Level};

use super::Graded;
use crate::report::broken::binds;
use crate::report::{SHOWN_BROKEN, captured_text, suite, wrapped};

impl Graded {
    /// The breaches, then what was read, what was left unjudged, and what is broken.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for case in &self.breaches {
            let lead = match case.verdict {
                Verdict::Warn => "warning: ",
                _ => "",
            };
            let words = captured_text(case);
            let _ = writeln!(text, "\n{lead}{words}");
        }
        let counts = &self.counts;
        let read = format!(
            "read {} in {}: {} on {}, {} from the opening on; {} of clients, {} of the server; {} compared with their ops",
            number(self.lines, "event"),
            number(self.files.len() as u64, "file"),
            number(counts.connections, "connection"),
            number(counts.documents, "document"),
            counts.from_start,
            number(counts.sent, "message"),
            counts.received,
            number(counts.texts, "resync"),
        );
        wrapped(&mut text, "", &read);
        if !self.unjudged.is_empty() {
            text.push_str("\nnot judged:\n");
        }
        for (why, count) in &self.unjudged {
            wrapped(&mut text, "  ", &format!("{count} {why}"));
        }
        if !self.is_whole {
            text.push_str("\nWhere the capture has every connection, --whole judges more.\n");
        }
        self.broken_text(&mut text);
        text
    }

    fn broken_text(&self, text: &mut String) {
        if self.broken.is_empty() {
            text.push_str("\nNo rule is broken in it.\n");
            return;
        }
        text.push_str("\nbroken, how often, and where first:\n");
        let mut rows: Vec<_> = self.broken.iter().collect();
        rows.sort_by_key(|(id, (count, _))| (!binds(id), std::cmp::Reverse(*count)));
        for (id, (count, place)) in rows.iter().take(SHOWN_BROKEN) {
            let place = last_part(place);
            let _ = writeln!(text, "  {count:>5}  {id:<28} {place}");
        }
        if rows.len() > SHOWN_BROKEN {
            let _ = writeln!(text, "         and {} more", rows.len() - SHOWN_BROKEN);
        }
    }

    /// The same as the JSON report of a run: a case for each breach that was kept, and one that passed
    /// where there is none.
    pub fn report(&self, started_at_ms: u64, duration_ms: u64) -> Report {
        let mut cases = self.breaches.clone();
        if cases.is_empty() {
            let clean =
                |file: &String| CaseReport::new(file, "no rule is broken in it", Verdict::Pass);
            cases.extend(self.files.iter().map(clean));
        }
        let requirements = self.broken.keys().map(|id| {
            let level = requirement::find(id).map_or(Level::Must, |found| found.level);
            let of = |case: &&CaseReport| case.requirements.contains(id);
            RequirementReport {
                id: id.clone(),
                level,
                verdict: match level {
                    Level::Must => Verdict::Fail,
                    _ => Verdict::Warn,
                },
                cases: cases
                    .iter()
                    .filter(of)
                    .map(|case| case.id.clone())
                    .collect(),
            }
        });
        Report {
            version: REPORT_VERSION,
            suite: suite(),
            target: format!("captured traffic: {}", self.files.join(", ")),
            started_at_ms,
            duration_ms,
            jitter: None,
            profiles: Vec::new(),
            server: None,
            summary: Summary::of(&cases),
            requirements: requirements.collect(),
            cases,
        }
    }
}

fn number(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// As much of a place's end as there is room for.
fn last_part(place: &str) -> String {
    const ROOM: usize = 42;
    let length = place.chars().count();
    match length > ROOM {
        true => format!(
            "…{}",
            place.chars().skip(length - ROOM + 1).collect::<String>()
        ),
        false => place.to_owned(),
    }
}
