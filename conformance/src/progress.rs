//! The face of a run for people: a line that moves while cases are played, on a terminal, and a line for
//! each case that goes wrong, everywhere. What passes is not told, but where it is asked for.
//!
//! Deliberately absent: the summary and the failures in full, which come after the run (see `report`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use collab_spec::report::CaseReport;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::Handle;

use crate::case::Case;
use crate::paint;
use crate::report::{self, Detail};
use crate::runner::Session;

/// How often the moving line is drawn, whatever happens.
const TICK: Duration = Duration::from_millis(100);

/// How much is told while cases are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Nothing.
    Nothing,
    /// What goes wrong, and on a terminal how far the run is.
    Wrong,
    /// Every case with every frame.
    Everything,
}

/// Plays the cases and tells what comes of them. How many were not played, since one had failed before
/// (`fail_fast`).
pub fn run(session: &Session, cases: &[Case], telling: Telling, handle: &Handle) -> usize {
    session.expect(cases);
    let face = Face::new(cases.len(), telling);
    let waiting = Mutex::new(cases.iter());
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    };
    std::thread::scope(|scope| {
        for _ in 0..session.at_once(cases).min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let played = async {
                        let _place = session.place(case).await;
                        face.begins(case);
                        session.play_unless_failed(case).await
                    };
                    let result = handle.block_on(played);
                    face.ends(case, result.as_ref(), session);
                }
            });
        }
    });
    face.bar.finish_and_clear();
    face.state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .left_out
}

/// What is seen of the run.
struct Face {
    bar: ProgressBar,
    telling: Telling,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The cases under way.
    under_way: BTreeSet<Arc<str>>,
    failed: usize,
    left_out: usize,
}

impl Face {
    fn new(count: usize, telling: Telling) -> Self {
        let target = match telling {
            Telling::Nothing => ProgressDrawTarget::hidden(),
            // Hidden as well where stderr is no terminal.
            _ => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(count as u64), target);
        let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg}");
        bar.set_style(style.expect("the template is right"));
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self {
            bar,
            telling,
            state: Mutex::default(),
        }
    }

    fn begins(&self, case: &Case) {
        self.change(|state| {
            state.under_way.insert(Arc::from(case.id.as_str()));
        });
    }

    fn ends(&self, case: &Case, result: Option<&CaseReport>, session: &Session) {
        let told = result.and_then(|result| self.words(result));
        if let Some(words) = told {
            // Nothing is drawn while it is printed.
            self.bar.suspend(|| paint::print(&words));
        }
        self.change(|state| {
            state.under_way.remove(case.id.as_str());
            state.left_out += usize::from(result.is_none());
            state.failed += usize::from(result.is_some_and(|result| session.fails(result)));
        });
        self.bar.inc(1);
    }

    /// What is told of a case that has been played.
    fn words(&self, result: &CaseReport) -> Option<String> {
        match self.telling {
            Telling::Wrong | Telling::Everything if report::is_news(result) => {
                Some(report::line(result))
            }
            Telling::Everything => {
                let frames = report::frames_text(result, Detail::Whole);
                Some(report::line(result) + &frames)
            }
            Telling::Nothing | Telling::Wrong => None,
        }
    }

    /// Changes what is known, and shows it.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.bar.is_hidden() {
            return;
        }
        let names: Vec<&str> = state.under_way.iter().map(AsRef::as_ref).collect();
        let failed = match state.failed {
            0 => String::new(),
            failed => format!("{failed} failed, "),
        };
        self.bar.set_message(format!("{failed}{}", names.join(" ")));
    }
}
