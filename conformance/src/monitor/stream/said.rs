//! What clients say: which op it is depends on the profiles that are on.

use std::collections::VecDeque;
use std::sync::Arc;

use collab_spec::id::Name;
use collab_spec::message::{ClientMessage, OpSubmission};
use collab_spec::profile::Profile;

use super::connection::{Line, Seen};
use super::{Stream, document};
use crate::monitor::digest::{Submission, refused};
use crate::validate;

impl Stream {
    pub(super) fn said(&mut self, line: &mut Line, event: usize, text: &Arc<str>) {
        self.counts.sent += 1;
        line.sent += 1;
        let first = !std::mem::replace(&mut line.talk.said, true);
        if first && line.seen != Seen::FromTheMiddle {
            if let Some(ClientMessage::Hello(hello)) = validate::client_message(text, &[]) {
                let document = document(&mut self.documents, &hello.doc_id);
                document.hello(event);
                line.before_hello = document.greatest;
                line.generation = document.generation;
                line.document = Some(hello.doc_id.clone());
                line.talk.hello = Some((event, hello));
                return;
            }
            if line.seen == Seen::MaybeFromStart {
                line.seen = Seen::FromTheMiddle;
            }
        }
        if line.is_over {
            return;
        }
        match (line.seen, &line.talk.ack) {
            (Seen::FromTheMiddle, _) => self.submit(line, event, text, &[Profile::Runs]),
            (_, Some(_)) => self.submit_by_profile(line, event, text),
            (_, None) if is_clear(line, text) => self.submit_by_profile(line, event, text),
            (_, None) => {
                self.whole.waiting += 1;
                line.wait(event, text);
            }
        }
    }

    /// The texts of a connection that have waited for its ack.
    pub(super) fn waited(&mut self, line: &mut Line) -> VecDeque<(usize, Arc<str>)> {
        let waited = line.waited();
        self.whole.waiting -= waited.len();
        waited
    }

    pub(super) fn submit_by_profile(&mut self, line: &mut Line, event: usize, text: &str) {
        let runs: &[Profile] = match line.talk.is_on(Profile::Runs) {
            true => &[Profile::Runs],
            false => &[],
        };
        self.submit(line, event, text, runs);
    }

    pub(super) fn submit(&mut self, line: &mut Line, event: usize, text: &str, on: &[Profile]) {
        match validate::client_message(text, on) {
            Some(ClientMessage::Op(message)) => self.op(line, event, message),
            Some(ClientMessage::PresenceUpdate(update)) => {
                self.whole.showed(line, event, update);
            }
            Some(ClientMessage::Hello(_)) => {}
            None => self.whole.unfit(line),
        }
    }

    /// Finds out which document a connection is on that was under way.
    pub(super) fn meet(&mut self, line: &mut Line, doc_id: &Name) {
        if line.seen == Seen::FromTheMiddle && line.document.is_none() {
            let document = document(&mut self.documents, doc_id);
            line.document = Some(doc_id.clone());
            line.generation = document.generation;
            // What went before on that connection, nobody knows.
            document.base = Some(u64::MAX);
        }
    }

    fn op(&mut self, line: &mut Line, event: usize, message: OpSubmission) {
        if line.seen == Seen::FromTheMiddle {
            line.middle.client = Some(message.client_id.clone());
            self.meet(line, &message.doc_id);
        }
        let refused = match line.seen {
            Seen::FromTheMiddle => None,
            _ => refused(&message, event, &line.talk),
        };
        let document = document(&mut self.documents, &message.doc_id);
        self.whole.submitted(&message);
        let submission = Submission::new(event, line.number, message, refused);
        document.send(submission);
    }
}

/// Whether a text says the same whatever the ack will grant.
fn is_clear(line: &Line, text: &str) -> bool {
    let asks = |profile: Profile| {
        let hello = line.talk.hello.as_ref();
        let names = hello.and_then(|(_, hello)| hello.capabilities.as_ref());
        names.is_some_and(|names| names.iter().any(|name| name == profile.name()))
    };
    let core = validate::client_message(text, &[]);
    let has_epoch = match &core {
        Some(ClientMessage::Op(op)) => !matches!(op.epoch(), Ok(None)),
        _ => false,
    };
    let is_alike = || core == validate::client_message(text, &[Profile::Runs]);
    (!asks(Profile::Resume) || !has_epoch) && (!asks(Profile::Runs) || is_alike())
}
