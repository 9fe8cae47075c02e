//! A trace sorted by connection, submission and echo, once for all monitors.

use std::collections::HashMap;

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{
    ClientMessage, Hello, HelloAck, Op, OpEcho, OpSubmission, PresenceUpdate, ServerMessage,
};
use collab_spec::op::MOST_RUN;
use collab_spec::profile::Profile;

use super::around::{Around, Sent, Told};
use super::pieces::{Piece, Pieces, values};
use super::shown;
use crate::ids;
use crate::trace::{Connection, Event, Trace, What};
use crate::validate;

/// What a client calls an op: the document, the client, and its `client_msg_id`.
pub(super) type OpKey = (Name, Name, Name);

/// The trace and what is looked up in it.
pub(super) struct Digest<'a> {
    pub(super) trace: &'a Trace,
    /// By connection.
    pub(super) talks: Vec<Talk>,
    /// In the order sent.
    pub(super) submissions: Vec<Submission>,
    /// The submissions under each key.
    pub(super) by_key: HashMap<OpKey, Vec<usize>>,
    /// The submissions of inserts with each element id.
    pub(super) by_element: HashMap<(Name, ElementId), Vec<usize>>,
    /// The echoes of all connections, in the order received.
    pub(super) echoes: Vec<Echo<'a>>,
    /// The events of echoes with more elements than any op may have; they are no `echoes`.
    pub(super) overlong: Vec<usize>,
    /// The echo that first told each seq of each document: an index into `echoes`, and which of its
    /// elements the seq is.
    by_seq: HashMap<Name, HashMap<u64, (usize, u64)>>,
    /// What the suite showed as presence, by document and client, in the order sent.
    pub(super) shown: HashMap<(Name, Name), Vec<Shown>>,
}

/// What was said on one connection.
#[derive(Default)]
pub(super) struct Talk {
    /// The event and the `hello`, where the connection's first message is a valid one.
    pub(super) hello: Option<(usize, Hello)>,
    /// The event and the first ack behind the `hello`.
    pub(super) ack: Option<(usize, HelloAck)>,
    /// The indices of the connection's events.
    pub(super) events: Vec<usize>,
    pub(super) said: bool,
    /// Whether the suite sent another text behind the first.
    pub(super) has_gone_on: bool,
    /// Whether it sent another `hello`.
    pub(super) says_hello_again: bool,
    /// Whether the suite sent a text here that is no valid message of a client.
    pub(super) is_unfit: bool,
}

impl Talk {
    /// Whether a profile was asked for and granted.
    pub(super) fn is_on(&self, profile: Profile) -> bool {
        let names =
            |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name == profile.name());
        self.hello
            .as_ref()
            .is_some_and(|(_, hello)| names(&hello.capabilities))
            && self
                .ack
                .as_ref()
                .is_some_and(|(_, ack)| names(&ack.capabilities))
    }

    /// The greatest number of elements of one op, by the ack.
    fn max_run(&self) -> u64 {
        let ack = self.ack.as_ref();
        let limits = ack.and_then(|(_, ack)| ack.limits);
        limits.map_or(MOST_RUN, |limits| limits.max_run.value())
    }

    /// The document's epoch, where the profile `resume` is on.
    pub(super) fn epoch(&self) -> Option<&Name> {
        let (_, ack) = self.ack.as_ref().filter(|_| self.is_on(Profile::Resume))?;
        ack.epoch.as_ref()
    }
}

/// A `presence_update` that the suite sent.
pub(super) struct Shown {
    pub(super) event: usize,
    pub(super) connection: Connection,
    pub(super) update: PresenceUpdate,
    /// The requirement by which a server must not pass it on, where one look shows that.
    pub(super) refused: Option<&'static str>,
}

/// An op that the suite sent.
pub(super) struct Submission {
    pub(super) event: usize,
    pub(super) connection: Connection,
    pub(super) message: OpSubmission,
    values: Vec<char>,
    /// The requirement by which a server must refuse it, where one look shows that.
    pub(super) refused: Option<&'static str>,
}

/// An echo that came.
pub(super) struct Echo<'a> {
    pub(super) event: usize,
    pub(super) echo: &'a OpEcho,
    values: Vec<char>,
    /// Whether it is the first that told any of its seqs.
    pub(super) is_first: bool,
}

impl<'a> Echo<'a> {
    /// Its op, element by element.
    pub(super) fn pieces(&self) -> Pieces<'_> {
        Pieces::new(&self.echo.op, &self.values)
    }

    pub(super) fn key(&self) -> OpKey {
        key_of(self.echo)
    }

    /// The seq of each of its elements, with the element's index; none where its `server_seq` is too
    /// small to be the last of so many.
    pub(super) fn seqs(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let last = self.echo.server_seq.value();
        let elements = self.pieces().len();
        let after = last.checked_sub(elements);
        after
            .into_iter()
            .flat_map(move |after| (0..elements).map(move |index| (after + index + 1, index)))
    }
}

/// What an echo calls its op.
fn key_of(echo: &OpEcho) -> OpKey {
    (
        echo.doc_id.clone(),
        echo.origin_client_id.clone(),
        echo.client_msg_id.clone(),
    )
}

/// A text that the suite sent: its event, where, what it says, and what that is where the profile `runs`
/// is off.
type SentText<'a> = (usize, Connection, &'a str, Option<ClientMessage>);

impl Submission {
    /// An op that was sent, and by which requirement a server must refuse it.
    pub(super) fn new(
        event: usize,
        connection: Connection,
        message: OpSubmission,
        refused: Option<&'static str>,
    ) -> Self {
        Self {
            event,
            connection,
            values: values(&message.op),
            message,
            refused,
        }
    }

    /// Its op, element by element.
    pub(super) fn pieces(&self) -> Pieces<'_> {
        Pieces::new(&self.message.op, &self.values)
    }

    /// Whether an op is of some of its elements, and not of all.
    pub(super) fn is_more_than(&self, op: &Op) -> bool {
        let values = values(op);
        let part = Pieces::new(op, &values);
        self.pieces().len() > part.len() && self.pieces().holds(part).is_some()
    }

    pub(super) fn key(&self) -> OpKey {
        let message = &self.message;
        (
            message.doc_id.clone(),
            message.client_id.clone(),
            message.client_msg_id.clone(),
        )
    }
}

impl<'a> Digest<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut digest = Self {
            trace,
            talks: Vec::new(),
            submissions: Vec::new(),
            by_key: HashMap::new(),
            by_element: HashMap::new(),
            echoes: Vec::new(),
            overlong: Vec::new(),
            by_seq: HashMap::new(),
            shown: HashMap::new(),
        };
        digest
            .talks
            .resize_with(trace.connections.len(), Talk::default);
        let mut sent = Vec::new();
        for (index, event) in trace.events.iter().enumerate() {
            digest.add(index, event, &mut sent);
        }
        // What a message is depends on the profiles that are on, so on acks that may come later.
        for sent in sent {
            digest.submitted(sent);
        }
        digest.refuse();
        digest
    }

    /// Finds what a server must refuse, now that it is known which profiles are on.
    fn refuse(&mut self) {
        for submission in &mut self.submissions {
            let talk = &self.talks[submission.connection.0];
            submission.refused = refused(&submission.message, submission.event, talk);
        }
        for shown in self.shown.values_mut().flatten() {
            let talk = &self.talks[shown.connection.0];
            shown.refused = presence_refused(&shown.update, talk);
        }
    }

    fn add(&mut self, index: usize, event: &'a Event, sent: &mut Vec<SentText<'a>>) {
        let Some(connection) = event.connection else {
            return;
        };
        self.talks[connection.0].events.push(index);
        match &event.what {
            What::SentText { text, .. } => {
                let talk = &mut self.talks[connection.0];
                let first = !std::mem::replace(&mut talk.said, true);
                talk.has_gone_on |= !first;
                match validate::client_message(text, &[]) {
                    Some(ClientMessage::Hello(hello)) if first => talk.hello = Some((index, hello)),
                    Some(ClientMessage::Hello(_)) => talk.says_hello_again = true,
                    message => sent.push((index, connection, text, message)),
                }
            }
            What::SentBytes { .. } => self.talks[connection.0].said = true,
            What::Text(received) => {
                self.got(index, connection, received.message());
            }
            _ => {}
        }
    }

    fn got(&mut self, event: usize, connection: Connection, message: Option<&'a ServerMessage>) {
        let talk = &mut self.talks[connection.0];
        match message {
            Some(ServerMessage::OpEcho(echo)) if echo.op.elements() > MOST_RUN => {
                self.overlong.push(event);
            }
            Some(ServerMessage::OpEcho(echo)) => {
                let mut echo = Echo {
                    event,
                    echo,
                    values: values(&echo.op),
                    is_first: false,
                };
                let place = self.echoes.len();
                let seqs = self.by_seq.entry(echo.echo.doc_id.clone()).or_default();
                for (seq, element) in echo.seqs() {
                    seqs.entry(seq).or_insert_with(|| {
                        echo.is_first = true;
                        (place, element)
                    });
                }
                self.echoes.push(echo);
            }
            Some(ServerMessage::HelloAck(ack)) if talk.hello.is_some() && talk.ack.is_none() => {
                talk.ack = Some((event, ack.clone()));
            }
            _ => {}
        }
    }

    fn submitted(&mut self, (index, connection, text, message): SentText<'_>) {
        let message = match self.talks[connection.0].is_on(Profile::Runs) {
            true => validate::client_message(text, &[Profile::Runs]),
            false => message,
        };
        match message {
            Some(ClientMessage::Op(message)) => {
                let submission = Submission::new(index, connection, message, None);
                let place = self.submissions.len();
                self.by_key.entry(submission.key()).or_default().push(place);
                if let Op::Ins(insert) = &submission.message.op {
                    let key = (submission.message.doc_id.clone(), insert.id.clone());
                    self.by_element.entry(key).or_default().push(place);
                }
                self.submissions.push(submission);
            }
            Some(ClientMessage::PresenceUpdate(update)) => {
                let key = (update.doc_id.clone(), update.client_id.clone());
                self.shown.entry(key).or_default().push(Shown {
                    event: index,
                    connection,
                    update,
                    refused: None,
                });
            }
            Some(ClientMessage::Hello(_)) => {}
            None => self.talks[connection.0].is_unfit = true,
        }
    }

    /// Whether a client has sent what no server may take: what a server that has taken it makes of it
    /// is not judged.
    pub(super) fn sent_unfit(&self, doc_id: &Name, client_id: &Name) -> bool {
        self.unfit_in(doc_id)
            .any(|hello| hello.client_id == *client_id)
    }

    /// Whether any client of a document has.
    pub(super) fn has_unfit(&self, doc_id: &Name) -> bool {
        self.unfit_in(doc_id).next().is_some()
    }

    fn unfit_in(&self, doc_id: &Name) -> impl Iterator<Item = &Hello> {
        let unfit = self.talks.iter().filter(|talk| talk.is_unfit);
        let hellos = unfit.filter_map(|talk| talk.hello.as_ref());
        hellos
            .map(|(_, hello)| hello)
            .filter(move |hello| hello.doc_id == *doc_id)
    }

    /// What is known of a seq: the echo that first told it, and the element.
    pub(super) fn known(&self, doc_id: &Name, seq: u64) -> Option<(&Echo<'a>, Piece<'_>)> {
        let &(place, element) = self.by_seq.get(doc_id)?.get(&seq)?;
        let echo = &self.echoes[place];
        Some((echo, echo.pieces().at(element)?))
    }

    /// The submissions under an echo's key that precede it.
    pub(super) fn under_key(&self, echo: &Echo<'_>) -> impl Iterator<Item = &Submission> {
        let before = echo.event;
        let places = self.by_key.get(&echo.key()).into_iter().flatten();
        places
            .map(|place| &self.submissions[*place])
            .filter(move |submission| submission.event < before)
    }

    /// The submissions of an echo's op that precede an event: under its key, or of the same insert.
    pub(super) fn submissions_of(
        &self,
        echo: &OpEcho,
        before: usize,
    ) -> impl Iterator<Item = &Submission> {
        let under_key = self.by_key.get(&key_of(echo));
        let under_key = under_key.map_or(&[][..], Vec::as_slice);
        let inserting = match &echo.op {
            Op::Ins(insert) => self
                .by_element
                .get(&(echo.doc_id.clone(), insert.id.clone()))
                .map_or(&[][..], Vec::as_slice),
            Op::Del(_) => &[],
        };
        let op = &echo.op;
        under_key
            .iter()
            .chain(
                inserting
                    .iter()
                    .filter(move |place| !under_key.contains(place)),
            )
            .map(|place| &self.submissions[*place])
            .filter(move |submission| submission.event < before && submission.message.op == *op)
    }

    /// Whether a document is the case's own, so that the trace knows all that happened in it.
    pub(super) fn is_fresh(&self, doc_id: &Name) -> bool {
        !self.trace.doc_id.is_empty() && doc_id.as_str().contains(&self.trace.doc_id)
    }

    /// The name of an event's connection.
    pub(super) fn name(&self, event: usize) -> &str {
        let connection = self
            .trace
            .events
            .get(event)
            .and_then(|event| event.connection);
        connection.map_or("?", |connection| self.trace.name(connection))
    }

    /// What was said on an event's connection.
    pub(super) fn talk_of(&self, event: usize) -> Option<&Talk> {
        let connection = self.trace.events.get(event)?.connection?;
        self.talks.get(connection.0)
    }

    /// The length of an event's message.
    pub(super) fn bytes(&self, event: usize) -> usize {
        match self.trace.events.get(event).map(|event| &event.what) {
            Some(What::Text(received)) => received.text.len(),
            Some(What::SentText { text, .. }) => text.len(),
            _ => 0,
        }
    }

    /// The text of an event's message.
    pub(super) fn text(&self, event: usize) -> String {
        match self.trace.events.get(event).map(|event| &event.what) {
            Some(What::Text(received)) => shown(&received.text),
            Some(What::SentText { text, .. }) => shown(text),
            _ => String::new(),
        }
    }
}

impl Around for Digest<'_> {
    fn name(&self, connection: Connection) -> &str {
        self.trace.name(connection)
    }

    fn text(&self, event: usize) -> String {
        Self::text(self, event)
    }

    fn joins(&self, doc_id: &Name, from: usize, to: usize) -> bool {
        let hellos = self.talks.iter().filter_map(|talk| talk.hello.as_ref());
        let mut between = hellos.filter(|(said, _)| (from..to).contains(said));
        between.any(|(_, hello)| hello.doc_id == *doc_id)
    }

    fn sent(&self, connection: Connection, echo: &OpEcho, before: usize) -> Option<Sent> {
        let mut sent = Sent {
            all_seen: true,
            ..Sent::default()
        };
        for submission in self.submissions_of(echo, before) {
            sent.count(submission, connection);
        }
        Some(sent)
    }

    fn is_part_of_sent(
        &self,
        connection: Connection,
        client_id: &Name,
        echo: &OpEcho,
        before: usize,
    ) -> bool {
        let Some((_, hello)) = &self.talks[connection.0].hello else {
            return false;
        };
        let doc_id = hello.doc_id.clone();
        let key = (doc_id, client_id.clone(), echo.client_msg_id.clone());
        let places = self.by_key.get(&key).into_iter().flatten();
        let mut submissions = places.map(|place| &self.submissions[*place]);
        submissions.any(|submission| {
            submission.connection == connection
                && submission.event < before
                && submission.is_more_than(&echo.op)
        })
    }

    fn told(&self, _: Connection, doc_id: &Name, seq: u64) -> Option<Told<'_>> {
        let (echo, piece) = self.known(doc_id, seq)?;
        Some(Told {
            event: echo.event,
            echo: echo.echo,
            piece,
        })
    }
}

pub(super) fn refused(message: &OpSubmission, event: usize, talk: &Talk) -> Option<&'static str> {
    let Some((_, hello)) = talk.hello.as_ref().filter(|(said, _)| *said < event) else {
        return Some("close.no-hello");
    };
    let epoch = match message.epoch() {
        _ if !talk.is_on(Profile::Resume) => None,
        Err(_) => return Some(ids::RESUME_OP_EPOCH_INVALID),
        Ok(epoch) => epoch,
    };
    if message.doc_id != hello.doc_id {
        return Some(ids::CLOSE_OTHER_DOC);
    }
    if message.client_id != hello.client_id {
        return Some(ids::CLOSE_OTHER_CLIENT);
    }
    if message.op.elements() > talk.max_run() {
        return Some(ids::RUNS_MAX_RUN);
    }
    if epoch.is_some() && epoch.as_ref() != talk.epoch() {
        return Some(ids::RESUME_OTHER_OP_EPOCH);
    }
    match &message.op {
        Op::Ins(insert) if insert.id.lamport() <= insert.parent_id.lamport() => {
            Some(ids::CRDT_LAMPORT_ABOVE_PARENT)
        }
        Op::Ins(insert) if insert.id.replica_id() != &message.client_id => {
            Some(ids::CRDT_OWN_REPLICA)
        }
        _ => None,
    }
}

/// The most bytes of a state, as compact JSON.
const STATE_BYTES: usize = 4_096;

pub(super) fn presence_refused(update: &PresenceUpdate, talk: &Talk) -> Option<&'static str> {
    let (_, hello) = talk.hello.as_ref()?;
    let bytes = serde_json::to_string(&update.state).map_or(0, |text| text.len());
    if !talk.is_on(Profile::Presence) {
        Some(ids::PROFILES_OFF)
    } else if bytes > STATE_BYTES {
        Some("presence.too-big")
    } else if update.doc_id != hello.doc_id || update.client_id != hello.client_id {
        Some("presence.ids")
    } else {
        None
    }
}
