//! What is to be done in a random history, as data: nothing in a plan is a seq, an id or a time, so it
//! keeps its meaning when steps are taken out of it.

use std::fmt;

use collab_spec::profile::Profile;

/// A random history: who takes part, and what they do in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who takes part.
    pub members: Vec<Member>,
    /// What they do.
    pub steps: Vec<Step>,
}

/// A simulated replica: one client of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which of the plan's documents it edits.
    pub document: usize,
    /// Its `client_id`, which other documents may have as well.
    pub client_id: String,
    /// The profiles that it asks for, as far as the server offers them.
    pub profiles: Vec<Profile>,
    /// The greatest lamport that it takes itself to know when it begins.
    pub clock: u64,
    /// Whether it joins before the first step.
    pub from_start: bool,
    /// Whether its ops carry the epoch, where it knows one.
    pub stamps: bool,
}

/// One step of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// By what other steps name it. Steps keep their numbers when others go.
    pub number: usize,
    /// Who, an index into the plan's members.
    pub member: usize,
    /// What.
    pub act: Act,
    /// Whether the next step waits until the server has answered this one.
    pub waits: bool,
}

/// What a member does in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Inserts characters, each under the one before, the first at a place.
    Insert {
        /// Where.
        at: Place,
        /// What.
        text: String,
        /// As one op, where the profile `runs` is on.
        as_run: bool,
        /// When the ops go out.
        sending: Sending,
    },
    /// Deletes adjacent elements of one insert, deleted ones included.
    Delete {
        /// The first.
        of: Place,
        /// How many, as far as that insert goes.
        count: usize,
        /// When the ops go out.
        sending: Sending,
    },
    /// Sends what was held back.
    Send,
    /// Reads what the server has sent, all of it or some messages.
    Read {
        /// How many messages at most.
        most: Option<usize>,
    },
    /// Loses or ends the connection. What it has not read it never sees.
    Cut(Cut),
    /// Comes back, or joins. One that is still connected leaves its old connection open.
    Return(Return),
    /// Sends the ops of a step again, and expects their answers.
    Again {
        /// The number of the step, one of this member's own.
        of: usize,
        /// Under new `client_msg_id`s, where they are inserts.
        renamed: bool,
    },
    /// Shows a cursor behind a place.
    Show {
        /// Where.
        at: Place,
    },
}

/// An element, by what the member knows or by what the plan made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The root.
    Start,
    /// The last character that the member sees.
    End,
    /// The member's own newest element.
    Own,
    /// An element of an earlier insert; the root where the member has not seen it.
    Of {
        /// The number of the step that inserted it.
        step: usize,
        /// Which of its elements.
        offset: usize,
        /// Whether it need not be seen: the op then may come before what it depends on.
        unseen: bool,
    },
    /// One of the deleted elements that the member knows.
    Tombstone(usize),
    /// An element that never comes.
    Nowhere(usize),
}

/// When ops go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// At once, in order.
    Now,
    /// At once, the last first.
    Backwards,
    /// With the next [`Act::Send`], or when the member comes back.
    Held,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// TCP ends without a close frame.
    Drop,
    /// With the closing handshake.
    Close,
}

/// How a member comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// What it says to have seen.
    pub seen: Seen,
    /// Which epoch it names, where it asks for `resume`.
    pub epoch: Epoch,
    /// Other profiles than before.
    pub profiles: Option<Vec<Profile>>,
    /// The connection breaks again after so many messages.
    pub breaks_after: Option<usize>,
}

impl Return {
    /// As a client does that has lost nothing but its connection.
    pub const fn plain() -> Self {
        Self {
            seen: Seen::Own,
            epoch: Epoch::Right,
            profiles: None,
            breaks_after: None,
        }
    }
}

/// The `last_seen_server_seq` of a `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The member's last seq.
    Own,
    /// Nothing.
    Zero,
    /// So many less than the member's last, but 1 at least.
    Back(usize),
    /// Far beyond the head.
    Beyond,
}

/// The epoch of a `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// The one that the member knows.
    Right,
    /// Another.
    Wrong,
    /// None.
    Unsaid,
}

impl Plan {
    /// How many documents there are.
    pub fn documents(&self) -> usize {
        let documents = self.members.iter().map(|member| member.document + 1);
        documents.max().unwrap_or(0)
    }
}

impl Place {
    /// The number of the step that it names.
    pub fn step(&self) -> Option<usize> {
        match self {
            Self::Of { step, .. } => Some(*step),
            _ => None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, member) in self.members.iter().enumerate() {
            let names: Vec<_> = member.profiles.iter().map(|p| p.name()).collect();
            let with = if names.is_empty() {
                "no profile".to_owned()
            } else {
                names.join(", ")
            };
            let joins = if member.from_start {
                "joins first"
            } else {
                "is not there yet"
            };
            write!(
                f,
                "{}: client {:?} of document {}, with {with}, {joins}",
                letter(index),
                member.client_id,
                member.document + 1
            )?;
            if member.clock > 0 {
                write!(f, ", its clock at {}", member.clock)?;
            }
            writeln!(f)?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

/// A member's name in words: `A`, `B`, …
pub(crate) fn letter(member: usize) -> char {
    let letters = 'A'..='Z';
    letters.clone().nth(member % 26).unwrap_or('?')
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3} {} ", self.number, letter(self.member))?;
        match &self.act {
            Act::Insert {
                at,
                text,
                as_run,
                sending,
            } => {
                let run = if *as_run { " as a run" } else { "" };
                write!(f, "inserts {text:?} at {at}{run}{sending}")?;
            }
            Act::Delete { of, count, sending } => {
                write!(f, "deletes {count} from {of} on{sending}")?;
            }
            Act::Send => f.write_str("sends what was held back")?,
            Act::Read { most: None } => f.write_str("reads everything")?,
            Act::Read { most: Some(most) } => write!(f, "reads {most} messages")?,
            Act::Cut(Cut::Drop) => f.write_str("loses the connection")?,
            Act::Cut(Cut::Close) => f.write_str("closes the connection")?,
            Act::Return(back) => back.fmt(f)?,
            Act::Again { of, renamed } => {
                let names = if *renamed { " under new names" } else { "" };
                write!(f, "sends step {of} again{names}")?;
            }
            Act::Show { at } => write!(f, "shows a cursor at {at}")?,
        }
        if !self.waits {
            f.write_str(", and nobody waits")?;
        }
        Ok(())
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connects, having seen ")?;
        match self.seen {
            Seen::Own => f.write_str("what it has seen")?,
            Seen::Zero => f.write_str("nothing")?,
            Seen::Back(less) => write!(f, "{less} less than it has")?,
            Seen::Beyond => f.write_str("more than there is")?,
        }
        match self.epoch {
            Epoch::Right => {}
            Epoch::Wrong => f.write_str(", of another epoch")?,
            Epoch::Unsaid => f.write_str(", without an epoch")?,
        }
        if let Some(profiles) = &self.profiles {
            let names: Vec<_> = profiles.iter().map(|profile| profile.name()).collect();
            write!(f, ", now with [{}]", names.join(", "))?;
        }
        if let Some(messages) = self.breaks_after {
            write!(f, "; it breaks after {messages} messages")?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the start"),
            Self::End => f.write_str("the end"),
            Self::Own => f.write_str("its newest element"),
            Self::Of {
                step,
                offset,
                unseen,
            } => {
                let unseen = if *unseen { ", seen or not" } else { "" };
                write!(f, "element {offset} of step {step}{unseen}")
            }
            Self::Tombstone(which) => write!(f, "tombstone {which}"),
            Self::Nowhere(which) => write!(f, "element {which} of those that never come"),
        }
    }
}

impl fmt::Display for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "",
            Self::Backwards => ", sent backwards",
            Self::Held => ", held back",
        })
    }
}
