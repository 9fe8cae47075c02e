//! What random histories have brought about. A run that has brought about nothing has shown nothing.

use std::collections::BTreeMap;
use std::fmt;

use collab_spec::profile::Profile;

macro_rules! counts {
    ($($name:ident: $words:literal;)+) => {
        /// Something that a random history is to bring about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Count {
            $(#[doc = $words] $name,)+
        }

        impl Count {
            /// Everything that is counted.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What is counted, in words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)+ }
            }
        }
    };
}

counts! {
    Ops: "ops";
    Siblings: "inserts at one place whose authors had not seen each other";
    Pastes: "inserts of a paste";
    UnderTombstones: "inserts under tombstones";
    DeletedAgain: "deletes of tombstones";
    Waited: "ops that came before what they depend on";
    OutOfOrder: "ops sent in another order than made";
    ForEver: "ops that depend on what never comes";
    Resent: "ops sent again on the connection that had sent them";
    ResentLater: "ops sent again on a later connection";
    Renamed: "inserts sent again under another client_msg_id";
    CutBeforeSend: "connections lost before an op went out";
    CutBeforeEcho: "connections lost after an op went out and before its echo was read";
    CutInSync: "connections lost in the middle of a sync";
    LateJoins: "joins of documents that others were typing in";
    DuringSync: "ops sent behind another's hello, its sync unread";
    DuringReplay: "ops sent behind another's hello, its replay unread";
    Overlapping: "ops sent before the end of another's sync had come";
    Replays: "replays";
    Resyncs: "resyncs of documents that are not empty";
    AtHead: "replays of nothing";
    BeyondHead: "hellos beyond the head";
    WrongEpochs: "hellos of another epoch, or of none";
    Seeded: "members that went on from a state";
    Runs: "ops of several elements";
    SplitRuns: "runs told in single echoes";
    InsideRuns: "replays that began inside a run";
    Shown: "cursors shown";
    SharedNames: "client_msg_ids that are used in several documents by one client_id";
    Reconnected: "connections that broke without being asked to";
    ReplaysCompared: "replays to newcomers at the end";
    Compared: "texts compared with the oracle's";
}

impl Count {
    /// The profile without which it can't be brought about.
    pub fn profile(self) -> Option<Profile> {
        match self {
            Self::AtHead | Self::WrongEpochs => Some(Profile::Resume),
            Self::Seeded => Some(Profile::State),
            Self::Runs | Self::SplitRuns | Self::InsideRuns => Some(Profile::Runs),
            Self::Shown => Some(Profile::Presence),
            _ => None,
        }
    }

    /// Whether it takes a replay, which a server need not give.
    pub fn is_of_replays(self) -> bool {
        matches!(self, Self::Replays | Self::DuringReplay | Self::InsideRuns)
    }
}

/// How often each thing was brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity(BTreeMap<Count, u64>);

impl Activity {
    /// Counts one.
    pub fn add(&mut self, count: Count) {
        self.add_all(count, 1);
    }

    /// Counts several.
    pub fn add_all(&mut self, count: Count, number: u64) {
        if number > 0 {
            *self.0.entry(count).or_default() += number;
        }
    }

    /// Adds what another history has brought about.
    pub fn join(&mut self, other: &Self) {
        for (count, number) in &other.0 {
            self.add_all(*count, *number);
        }
    }

    /// How often something was brought about.
    pub fn of(&self, count: Count) -> u64 {
        self.0.get(&count).copied().unwrap_or(0)
    }

    /// Those of some things that were never brought about.
    pub fn lacking(&self, wanted: &[Count]) -> Vec<Count> {
        let lacks = |count: &Count| self.of(*count) == 0;
        wanted.iter().copied().filter(lacks).collect()
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, number) in &self.0 {
            writeln!(f, "{number:>8}  {}", count.words())?;
        }
        Ok(())
    }
}
