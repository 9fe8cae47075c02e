//! What the trace of a history shows to have happened, for the activity.

use std::collections::HashMap;

use collab_spec::id::{ElementId, Name};
use collab_spec::message::{ClientMessage, Hello, HelloAck, Op, OpEcho, ServerMessage};
use collab_spec::profile::Profile;

use super::activity::{Activity, Count};
use super::check::FRESH;
use crate::trace::{Trace, What};
use crate::validate;

/// How far a connection has come.
struct Talk {
    hello: Option<(usize, Hello)>,
    ack: Option<HelloAck>,
    /// The event of the last message of the sync.
    sync: Option<usize>,
    looks_only: bool,
}

/// Counts what a trace shows.
pub(super) fn observe(trace: &Trace, activity: &mut Activity) {
    let mut talks: Vec<Talk> = trace
        .connections
        .iter()
        .map(|name| Talk {
            hello: None,
            ack: None,
            sync: None,
            looks_only: name.starts_with(FRESH),
        })
        .collect();
    // The event, the connection and the document of each op sent.
    let mut sent: Vec<(usize, usize, Name)> = Vec::new();
    let mut elements: HashMap<(Name, Name, Name), u64> = HashMap::new();
    let mut first: HashMap<(&Name, u64), &OpEcho> = HashMap::new();
    for (index, event) in trace.events.iter().enumerate() {
        let Some(connection) = event.connection.map(|connection| connection.0) else {
            continue;
        };
        match &event.what {
            What::SentText { text, .. } => match validate::client_message(text, &[Profile::Runs]) {
                Some(ClientMessage::Hello(hello)) => {
                    talks[connection].hello = Some((index, hello));
                }
                Some(ClientMessage::Op(op)) => {
                    let key = (op.doc_id.clone(), op.client_id, op.client_msg_id);
                    elements.insert(key, op.op.elements());
                    sent.push((index, connection, op.doc_id));
                }
                Some(ClientMessage::PresenceUpdate(_)) | None => {}
            },
            What::Text(received) => {
                let message = received.message();
                if let Some(ServerMessage::OpEcho(echo)) = message {
                    first
                        .entry((&echo.doc_id, echo.server_seq.value()))
                        .or_insert(echo);
                    let key = (
                        echo.doc_id.clone(),
                        echo.origin_client_id.clone(),
                        echo.client_msg_id.clone(),
                    );
                    let whole = elements.get(&key).copied().unwrap_or(1);
                    let split = whole > 1 && echo.op.elements() == 1;
                    activity.add_all(Count::SplitRuns, u64::from(split));
                    let partial = echo.op.elements() < whole;
                    let replays = talks[connection].sync.is_none();
                    let in_runs = talks[connection].has_runs() && partial && replays;
                    activity.add_all(Count::InsideRuns, u64::from(in_runs));
                }
                if let Some(message) = message {
                    talks[connection].hear(index, message, activity);
                }
            }
            _ => {}
        }
    }
    activity.add_all(Count::Ops, sent.len() as u64);
    during_syncs(&talks, &sent, activity);
    waited(&first, activity);
}

impl Talk {
    fn has_runs(&self) -> bool {
        let names = self.ack.as_ref().and_then(|ack| ack.capabilities.as_ref());
        names.is_some_and(|names| names.iter().any(|name| name == Profile::Runs.name()))
    }

    fn hear(&mut self, event: usize, message: &ServerMessage, activity: &mut Activity) {
        let Some((_, hello)) = &self.hello else {
            return;
        };
        let seen = hello.last_seen_server_seq;
        match (message, &self.ack) {
            (ServerMessage::HelloAck(ack), None) => {
                let at_head = ack.sync.is_some() && ack.server_seq == seen && seen.value() > 0;
                activity.add_all(Count::AtHead, u64::from(at_head && !self.looks_only));
                self.ack = Some(ack.clone());
            }
            (ServerMessage::Resync(resync), _) if self.sync.is_none() => {
                let empty = resync.server_seq.value() == 0;
                activity.add_all(Count::Resyncs, u64::from(!empty && !self.looks_only));
                self.sync = Some(event);
            }
            (ServerMessage::OpEcho(echo), Some(ack))
                if self.sync.is_none() && echo.server_seq >= ack.server_seq =>
            {
                activity.add_all(Count::Replays, u64::from(!self.looks_only));
                self.sync = Some(event);
            }
            _ => {}
        }
    }
}

/// The ops that others sent between a connection's hello and the end of its sync.
fn during_syncs(talks: &[Talk], sent: &[(usize, usize, Name)], activity: &mut Activity) {
    for (connection, talk) in talks.iter().enumerate() {
        let (Some((begin, hello)), Some(end)) = (&talk.hello, &talk.sync) else {
            continue;
        };
        let during = |(event, by, doc_id): &&(usize, usize, Name)| {
            *by != connection && *doc_id == hello.doc_id && (*begin..*end).contains(event)
        };
        let count = sent.iter().filter(during).count() as u64;
        activity.add_all(Count::Overlapping, count);
    }
}

/// The ops whose seq is below that of what they depend on.
fn waited(first: &HashMap<(&Name, u64), &OpEcho>, activity: &mut Activity) {
    let mut inserted: HashMap<(&Name, ElementId), u64> = HashMap::new();
    for ((doc_id, seq), echo) in first {
        if let Op::Ins(_) = &echo.op
            && echo.op.elements() <= collab_spec::op::MOST_RUN
        {
            for single in echo.op.singles() {
                inserted.insert((doc_id, single.id().clone()), *seq);
            }
        }
    }
    for ((doc_id, seq), echo) in first {
        let needed = echo.op.dependency();
        let came = needed.and_then(|id| inserted.get(&(doc_id, id.clone())));
        activity.add_all(
            Count::Waited,
            u64::from(came.is_some_and(|came| came > seq)),
        );
    }
}
