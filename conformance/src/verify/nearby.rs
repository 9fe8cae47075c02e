//! What happened around a breach: the newest events of each connection, and those that follow.

use std::collections::{HashMap, VecDeque};

use collab_spec::report::{CaseReport, FrameReport};

use super::Captured;

/// How many of the newest events are remembered of one connection.
const REMEMBERED: usize = 8;

/// How many events a breach is shown with: before it, and behind it.
const BEFORE: usize = 12;
const BEHIND: usize = 3;

/// How many characters of an event are remembered.
const CHARS: usize = 600;

#[derive(Clone)]
struct Remembered {
    event: usize,
    line: u64,
    frame: FrameReport,
}

/// The newest events.
#[derive(Default)]
pub(super) struct Nearby {
    /// The time of the first event of the capture.
    began: Option<u64>,
    /// By connection, the oldest first.
    newest: HashMap<String, VecDeque<Remembered>>,
    waiting: Vec<Waiting>,
}

/// A breach that waits for the events behind it.
struct Waiting {
    case: CaseReport,
    names: Vec<String>,
    missing: usize,
}

impl Nearby {
    pub(super) fn next_capture(&mut self) {
        self.began = None;
        self.newest.clear();
    }

    /// Remembers an event.
    pub(super) fn add(&mut self, event: usize, captured: &Captured<'_>) {
        let began = *self.began.get_or_insert(captured.at_us);
        let at_us = captured.at_us.saturating_sub(began);
        let name = Some(captured.connection).filter(|name| !name.is_empty());
        let frame = captured.what.report(at_us, name, CHARS);
        for waiting in &mut self.waiting {
            if waiting.missing > 0 && waiting.names.contains(&frame.connection) {
                waiting.missing -= 1;
                waiting.case.frames.push(frame.clone());
            }
        }
        let newest = self.newest.entry(captured.connection.to_owned());
        let newest = newest.or_default();
        newest.push_back(Remembered {
            event,
            line: captured.line,
            frame,
        });
        if newest.len() > REMEMBERED {
            newest.pop_front();
        }
    }

    pub(super) fn end(&mut self, connection: &str) {
        self.newest.remove(connection);
    }

    /// The line of an event, where it is remembered.
    pub(super) fn line(&self, event: usize) -> Option<u64> {
        let mut all = self.newest.values().flatten();
        all.find(|one| one.event == event).map(|one| one.line)
    }

    /// Shows a breach with what came before on these connections, and lets it wait for what follows.
    pub(super) fn around(
        &mut self,
        mut case: CaseReport,
        names: Vec<String>,
        event: Option<usize>,
    ) {
        let of = |name: &String| self.newest.get(name).into_iter().flatten();
        let mut before: Vec<&Remembered> = names.iter().flat_map(of).collect();
        before.sort_by_key(|one| one.event);
        let from = before.len().saturating_sub(BEFORE);
        let before = &before[from..];
        let mark = before.iter().position(|one| Some(one.event) == event);
        case.frames = before.iter().map(|one| one.frame.clone()).collect();
        for breach in &mut case.breaches {
            breach.frame = mark;
        }
        self.waiting.push(Waiting {
            case,
            names,
            missing: BEHIND,
        });
    }

    /// How many events are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.newest.values().map(VecDeque::len).sum()
    }

    /// How many breaches wait.
    pub(super) fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// The breaches that have all that is to be shown with them.
    pub(super) fn complete(&mut self) -> Vec<CaseReport> {
        let mut complete = Vec::new();
        while self.waiting.first().is_some_and(|one| one.missing == 0) {
            complete.push(self.waiting.remove(0).case);
        }
        complete
    }

    /// All that wait: the capture has ended.
    pub(super) fn finish(&mut self) -> Vec<CaseReport> {
        self.waiting.drain(..).map(|one| one.case).collect()
    }
}
