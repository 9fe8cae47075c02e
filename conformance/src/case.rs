//! The cases of the suite, from all their sources: scenario files, frame tables and code.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use collab_spec::data::{self, DataError, DataFile};
use collab_spec::frame::FrameTable;
use collab_spec::profile::Profile;
use collab_spec::scenario::Scenario;

use crate::context::Context;
use crate::outcome::Outcome;
use crate::{cases, frames, player};

/// A played case, which ends some time.
pub type Playing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How long a case takes against a right server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Milliseconds.
    #[default]
    Light,
    /// Up to a second.
    Heavy,
    /// Several seconds.
    Slow,
    /// Several seconds in which it does next to nothing but wait for the server's clock. Such cases are
    /// started first, and beside the others.
    Waiting,
}

/// Where a case comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A scenario file.
    Scenario(Arc<Scenario>),
    /// A row of a table of frames: its message and text.
    Frame(Arc<frames::Row>),
    /// Code of the suite, in this file.
    Code(&'static str),
}

/// One case.
#[derive(Clone)]
pub struct Case {
    /// The id, `area/name`.
    pub id: String,
    /// What a right server does in it, in one line.
    pub title: String,
    /// The profile that the case belongs to, which the server must offer.
    pub profile: Profile,
    /// Further profiles that the server must offer.
    pub needs: Vec<Profile>,
    /// The requirements that it tests, the one that it is about first.
    pub requirements: Vec<String>,
    /// How long it takes.
    pub weight: Weight,
    /// Where it comes from.
    pub source: Source,
    /// The file that it was read from, where it is none of the suite's own.
    pub file: Option<String>,
    /// Whether it needs a server that it alone uses, and may end and start again.
    pub own_server: bool,
    play: Arc<dyn Fn(Context) -> Playing + Send + Sync>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why there is no list of cases.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A data file can't be read.
    #[error("a data file of the specification can't be read: {0}")]
    Data(#[from] DataError),
    /// Two cases share an id.
    #[error("two cases have the id {0}")]
    DuplicateId(String),
    /// A scenario's id is not its path.
    #[error("the scenario file {path} has the id {id}; the id must be the path")]
    IdIsNotPath {
        /// The file's path below `scenarios`, without its ending.
        path: String,
        /// The id in it.
        id: String,
    },
}

impl Case {
    /// A case in code, of the core profile.
    ///
    /// `play` is an `async fn(Context) -> Outcome`.
    #[track_caller]
    pub fn code<F, P>(id: &str, title: &str, requirements: &[&str], play: F) -> Self
    where
        F: Fn(Context) -> P + Send + Sync + 'static,
        P: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            profile: Profile::Core,
            needs: Vec::new(),
            requirements: requirements.iter().map(|id| (*id).to_owned()).collect(),
            weight: Weight::Light,
            source: Source::Code(Location::caller().file()),
            file: None,
            own_server: false,
            play: Arc::new(move |context| Box::pin(play(context))),
        }
    }

    /// The case with another weight.
    #[must_use]
    pub fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The case as one of another profile.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// The case with a server of its own; it can be played where the suite starts the server itself.
    #[must_use]
    pub fn own_server(self) -> Self {
        Self {
            own_server: true,
            ..self
        }
    }

    /// What the case is about in a word: its id up to the slash.
    pub fn area(&self) -> &str {
        self.id.split_once('/').map_or(&self.id, |(area, _)| area)
    }

    /// The case with further profiles that the server must offer.
    #[must_use]
    pub fn needs(self, needs: &[Profile]) -> Self {
        Self {
            needs: needs.to_vec(),
            ..self
        }
    }

    /// The case as one that was read from a file.
    #[must_use]
    pub fn file(self, path: &str) -> Self {
        let file = Some(path.to_owned());
        Self { file, ..self }
    }

    /// The first profile that the case needs and that is not among those offered.
    pub fn lacks(&self, offered: &[Profile]) -> Option<Profile> {
        let needed = std::iter::once(&self.profile).chain(&self.needs);
        needed.copied().find(|profile| !offered.contains(profile))
    }

    /// The case of a scenario.
    pub fn scenario(scenario: Scenario) -> Self {
        let scenario = Arc::new(scenario);
        let played = Arc::clone(&scenario);
        Self {
            id: scenario.id.clone(),
            title: scenario.title.clone(),
            profile: scenario.profile,
            needs: scenario.needs.clone(),
            requirements: scenario.requirements.clone(),
            weight: Weight::Light,
            source: Source::Scenario(scenario),
            file: None,
            own_server: false,
            play: Arc::new(move |context| {
                let scenario = Arc::clone(&played);
                Box::pin(async move { player::play(&scenario, context).await })
            }),
        }
    }

    /// The cases of a table of frames: one for each message of a client.
    pub fn frames(table: &FrameTable) -> Vec<Self> {
        frames::rows(table).into_iter().map(Self::frame).collect()
    }

    fn frame(row: frames::Row) -> Self {
        let row = Arc::new(row);
        let played = Arc::clone(&row);
        Self {
            id: row.id(),
            title: row.title(),
            profile: row.profile,
            needs: Vec::new(),
            requirements: row.requirements.clone(),
            weight: Weight::Light,
            source: Source::Frame(row),
            file: None,
            own_server: false,
            play: Arc::new(move |context| {
                let row = Arc::clone(&played);
                Box::pin(async move { frames::play(&row, context).await })
            }),
        }
    }

    /// Plays the case.
    pub fn play(&self, context: Context) -> Playing {
        (self.play)(context)
    }
}

/// Every case: scenarios, frames, code, in this order.
///
/// Errors: an unreadable data file, or two cases with one id.
pub fn all() -> Result<Vec<Case>, CaseError> {
    let mut found = Vec::new();
    for DataFile { path, content, .. } in data::scenarios()? {
        if content.id != path {
            return Err(CaseError::IdIsNotPath {
                path,
                id: content.id,
            });
        }
        found.push(Case::scenario(content));
    }
    for file in data::frames()? {
        found.extend(Case::frames(&file.content));
    }
    found.extend(cases::all());
    let mut ids = BTreeSet::new();
    if let Some(double) = found.iter().find(|case| !ids.insert(case.id.as_str())) {
        return Err(CaseError::DuplicateId(double.id.clone()));
    }
    Ok(found)
}
