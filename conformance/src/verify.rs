//! Grades captured traffic: reads it event by event, lets the judge hear each, and keeps what was found.
//!
//! Deliberately absent: the rules (see `monitor::stream`), and memory that grows with the capture.

mod har;
mod lines;
mod nearby;
mod words;

use std::collections::BTreeMap;
use std::io::BufRead;

use collab_spec::report::{CaseReport, Verdict};

use crate::monitor::stream::{Counts, Finding, Stream, Unjudged};
use crate::report::broken;
use crate::trace::What;
use nearby::Nearby;

/// How many breaches of one requirement are kept with their frames.
const PER_REQUIREMENT: u64 = 5;

/// How many in all.
const MOST_KEPT: usize = 50;

/// An event of a capture.
struct Captured<'a> {
    /// The line of the file; of a HAR, the number of the message.
    line: u64,
    at_us: u64,
    connection: &'a str,
    what: What,
}

/// What came of captures.
#[derive(Debug)]
pub struct Graded {
    /// What was read, as the command line has it.
    pub files: Vec<String>,
    /// How many lines or messages were read.
    pub lines: u64,
    /// What there was.
    pub counts: Counts,
    /// What was not judged, and why.
    pub unjudged: Unjudged,
    /// Breaches with what was around them, the first ones of each requirement.
    pub breaches: Vec<CaseReport>,
    /// How often each requirement is broken, and where first.
    pub broken: BTreeMap<String, (u64, String)>,
    /// Whether each capture was taken for whole.
    pub is_whole: bool,
}

impl Graded {
    /// Whether there was any message of a server.
    pub fn is_judged(&self) -> bool {
        self.counts.received > 0
    }

    /// Whether a MUST is broken.
    pub fn has_failed(&self) -> bool {
        self.broken.keys().any(|id| broken::binds(id))
    }
}

/// Reads captures, one after the other.
pub struct Verifier {
    is_whole: bool,
    stream: Stream,
    files: Vec<String>,
    lines: u64,
    /// The number of the next event.
    event: usize,
    nearby: Nearby,
    unjudged: Unjudged,
    breaches: Vec<CaseReport>,
    broken: BTreeMap<String, (u64, String)>,
}

impl Verifier {
    /// `is_whole` says that each capture has every connection of its documents, and its events in the
    /// order of one clock.
    pub fn new(is_whole: bool) -> Self {
        Self {
            is_whole,
            stream: Stream::new(is_whole),
            files: Vec::new(),
            lines: 0,
            event: 0,
            nearby: Nearby::default(),
            unjudged: Unjudged::new(),
            breaches: Vec::new(),
            broken: BTreeMap::new(),
        }
    }

    /// Reads a capture under its name: a HAR, or JSON Lines.
    ///
    /// Errors: the file, the line, and what is wrong there.
    pub fn read(&mut self, name: &str, mut input: impl BufRead) -> Result<(), String> {
        if !self.files.is_empty() {
            self.stream.next_capture();
        }
        self.files.push(name.to_owned());
        self.nearby.next_capture();
        let is_har = har::is_har(&mut input).map_err(|error| unreadable(name, &error))?;
        match is_har {
            true => har::read(input, name, self)?,
            false => lines::read(input, name, self)?,
        }
        self.breaches.extend(self.nearby.finish());
        Ok(())
    }

    /// What came of all captures.
    pub fn finish(mut self) -> Graded {
        self.stream.next_capture();
        let mut unjudged = self.unjudged;
        for (why, count) in self.stream.unjudged() {
            *unjudged.entry(why).or_default() += count;
        }
        Graded {
            files: self.files,
            lines: self.lines,
            counts: self.stream.counts(),
            unjudged,
            breaches: self.breaches,
            broken: self.broken,
            is_whole: self.is_whole,
        }
    }

    /// How much is remembered of what was read: how many ops, seqs, ids, events and the like.
    pub fn remembered(&self) -> usize {
        self.stream.remembered() + self.nearby.remembered()
    }

    fn hear(&mut self, name: &str, captured: &Captured<'_>) {
        let event = self.event;
        self.event += 1;
        let (connection, what) = (captured.connection, &captured.what);
        self.nearby.add(event, captured);
        self.stream.hear(event, connection, what);
        let found = self.stream.take_found();
        for finding in found {
            self.keep(name, captured, finding);
        }
        self.breaches.extend(self.nearby.complete());
        if matches!(what, What::Dropped | What::Ended { .. }) {
            self.nearby.end(connection);
        }
    }

    fn keep(&mut self, name: &str, captured: &Captured<'_>, finding: Finding) {
        let shown = finding
            .breach
            .frame
            .and_then(|event| self.nearby.line(event));
        let place = format!("{name}:{}", shown.unwrap_or(captured.line));
        let id = finding.breach.requirement.clone();
        let (count, _) = self.broken.entry(id).or_insert((0, place.clone()));
        *count += 1;
        let kept = self.breaches.len() + self.nearby.pending();
        if *count > PER_REQUIREMENT || kept >= MOST_KEPT {
            return;
        }
        let case = case(&place, &finding);
        let mut names: Vec<String> = match &finding.document {
            Some(document) => self
                .stream
                .on_document(document)
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        };
        if !names.contains(&finding.connection) {
            names.push(finding.connection);
        }
        self.nearby.around(case, names, finding.breach.frame);
    }

    fn leave(&mut self, why: &'static str) {
        *self.unjudged.entry(why).or_default() += 1;
    }
}

/// A breach as the reports of cases have one.
fn case(place: &str, finding: &Finding) -> CaseReport {
    let document = finding.document.as_ref();
    let document = document.map_or_else(String::new, |name| format!(", document {name:?}"));
    let breach = finding.breach.clone();
    let title = format!("connection {:?}{document}", finding.connection);
    let verdict = match broken::binds(&breach.requirement) {
        true => Verdict::Fail,
        false => Verdict::Warn,
    };
    CaseReport {
        requirements: vec![breach.requirement.clone()],
        message: Some(format!("[{}] {}", breach.requirement, breach.what)),
        breaches: vec![breach],
        ..CaseReport::new(place, title, verdict)
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> String {
    format!("{name} can't be read: {error}")
}
