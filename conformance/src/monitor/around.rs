//! What one connection's rules have to know of the others: of a whole trace, or of what is remembered of
//! a long one.

use collab_spec::id::Name;
use collab_spec::message::OpEcho;

use super::digest::Submission;
use super::pieces::Piece;
use crate::trace::Connection;

/// What a session has to know of all else that happened.
pub(super) trait Around {
    /// The name of a connection.
    fn name(&self, connection: Connection) -> &str;
    /// The text of an event's message.
    fn text(&self, event: usize) -> String;
    /// Whether anybody has said hello to a document in a span of events.
    fn joins(&self, doc_id: &Name, from: usize, to: usize) -> bool;
    /// How often an echo's op was sent before an event, where that is known.
    fn sent(&self, connection: Connection, echo: &OpEcho, before: usize) -> Option<Sent>;
    /// Whether an echo is of some elements of an op that a client has sent here, and not of all.
    fn is_part_of_sent(
        &self,
        connection: Connection,
        client_id: &Name,
        echo: &OpEcho,
        before: usize,
    ) -> bool;
    /// What a connection was first told of a seq.
    fn told(&self, connection: Connection, doc_id: &Name, seq: u64) -> Option<Told<'_>>;
}

/// How often an op was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// On the connection in question, ops that a server need not refuse.
    pub(super) here: usize,
    /// On all connections.
    pub(super) anywhere: usize,
    /// Whether it was sent at all, ops that a server must refuse included.
    pub(super) ever: bool,
    /// Whether nobody else can have sent it unseen.
    pub(super) all_seen: bool,
}

impl Sent {
    /// Counts an op that was sent, for an echo on a connection.
    pub(super) fn count(&mut self, submission: &Submission, connection: Connection) {
        let is_fit = submission.refused.is_none();
        self.ever = true;
        self.anywhere += usize::from(is_fit);
        self.here += usize::from(is_fit && submission.connection == connection);
    }
}

/// What is known of a seq.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// The event of the echo that told it.
    pub(super) event: usize,
    /// That echo.
    pub(super) echo: &'a OpEcho,
    /// The element.
    pub(super) piece: Piece<'a>,
}
