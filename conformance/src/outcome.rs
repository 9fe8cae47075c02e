//! How a case ends: the server did right, the server failed, or nothing can be said of it.

use collab_spec::report::Breach;

/// What a case returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server broke a requirement.
    Breach(Box<Fault>),
    /// The case's condition could not be brought about with this target.
    Untestable(String),
    /// The harness failed; nothing is said of the server.
    Harness(String),
}

/// A breach, and how it came to light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The breach.
    pub breach: Breach,
    /// Whether the server may have stopped answering at all.
    pub timed_out: bool,
}

impl Failure {
    /// The server broke `requirement`; `what` was seen.
    pub fn breach(requirement: &str, what: impl Into<String>) -> Self {
        Self::Breach(Box::new(Fault {
            breach: Breach {
                requirement: requirement.to_owned(),
                what: what.into(),
                expected: None,
                got: None,
                frame: None,
                late: false,
            },
            timed_out: false,
        }))
    }

    /// What a monitor found.
    pub fn found(breach: Breach) -> Self {
        Self::Breach(Box::new(Fault {
            breach,
            timed_out: false,
        }))
    }

    /// What should have come; of no effect where the server is not at fault.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Self {
        self.map(|fault| fault.breach.expected = Some(expected.into()))
    }

    /// What came instead; of no effect where the server is not at fault.
    #[must_use]
    pub fn got(self, got: impl Into<String>) -> Self {
        self.map(|fault| fault.breach.got = Some(got.into()))
    }

    /// The index in the trace of the event that showed it.
    #[must_use]
    pub fn at(self, event: usize) -> Self {
        self.map(|fault| fault.breach.frame = Some(event))
    }

    /// The event that showed it is in no trace that is kept.
    #[must_use]
    pub fn nowhere(self) -> Self {
        self.map(|fault| fault.breach.frame = None)
    }

    /// Names another requirement where the fault is not that something did not come in time.
    #[must_use]
    pub fn unless_late(self, requirement: &str) -> Self {
        self.map(|fault| {
            if !fault.timed_out {
                requirement.clone_into(&mut fault.breach.requirement);
            }
        })
    }

    /// Marks that the server may have stopped answering at all, such as when nothing came in time.
    #[must_use]
    pub fn timed_out(self) -> Self {
        self.map(|fault| fault.timed_out = true)
    }

    /// Puts words before what was seen, such as the number of a step.
    #[must_use]
    pub fn context(self, before: impl std::fmt::Display) -> Self {
        match self {
            Self::Breach(mut fault) => {
                fault.breach.what = format!("{before}: {}", fault.breach.what);
                Self::Breach(fault)
            }
            Self::Untestable(why) => Self::Untestable(format!("{before}: {why}")),
            Self::Harness(why) => Self::Harness(format!("{before}: {why}")),
        }
    }

    fn map(mut self, change: impl FnOnce(&mut Fault)) -> Self {
        if let Self::Breach(fault) = &mut self {
            change(fault);
        }
        self
    }
}
