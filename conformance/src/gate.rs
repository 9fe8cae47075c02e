//! The first contact: whether there is a server at all that is worth playing cases against.
//!
//! It is made before the first case, and again after a case that waited in vain, so that a server
//! that is dead costs seconds and not a deadline a case.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::client::ROOT;
use crate::context::Context;
use crate::dial::OpenError;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::target::Target;
use crate::wire::Buffers;

/// How much longer a first contact may take while other cases are under way.
const BUSY: f64 = 3.0;

/// Why no case is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoContact {
    /// Nobody is there; nothing is said of the server.
    NoServer(String),
    /// Somebody is there, and does not speak the protocol.
    WrongServer(String),
}

/// Opens a WebSocket, says `hello` for a fresh document, and submits one op.
///
/// Errors: what did not come.
pub async fn first_contact(target: &Arc<Target>, scale: f64) -> Result<(), NoContact> {
    let context = Context::new(Arc::clone(target), scale);
    let result = match context.open("first-contact", Buffers::Usual).await {
        Err(OpenError::NoConnection(why)) => Err(NoContact::NoServer(why)),
        Err(OpenError::NoWebSocket(why)) => Err(NoContact::WrongServer(why)),
        Ok(mut client) => {
            let talk: Outcome = async {
                client.hello(context.doc_id(), "first-contact", Some(0));
                client.expect_joined().await?;
                let submission = client.insert(&ROOT, 'x');
                client.submit(&submission);
                client
                    .expect_echo(&submission, ids::SEQ_FAN_OUT)
                    .await
                    .map(drop)
            }
            .await;
            talk.map_err(|failure| NoContact::WrongServer(words(&failure)))
        }
    };
    context.abandon_all().await;
    result
}

fn words(failure: &Failure) -> String {
    match failure {
        Failure::Untestable(why) | Failure::Harness(why) => why.clone(),
        Failure::Breach(fault) => {
            let breach = &fault.breach;
            let mut text = format!("[{}] {}", breach.requirement, breach.what);
            if let Some(expected) = &breach.expected {
                text.push_str(&format!("; expected: {expected}"));
            }
            if let Some(got) = &breach.got {
                text.push_str(&format!("; got: {got}"));
            }
            text
        }
    }
}

/// Whether cases are played.
#[derive(Debug)]
pub struct Gate {
    target: Arc<Target>,
    scale: f64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shut: Option<String>,
    last_check: Option<Instant>,
}

impl Gate {
    /// An open gate.
    pub fn new(target: Arc<Target>, scale: f64) -> Self {
        Self {
            target,
            scale,
            state: Mutex::default(),
        }
    }

    /// Why no further case is played, if that is so.
    pub async fn shut(&self) -> Option<String> {
        self.state.lock().await.shut.clone()
    }

    /// Makes the first contact, and shuts the gate where it fails.
    ///
    /// Errors: why it is shut.
    pub async fn open(&self) -> Result<(), NoContact> {
        let mut state = self.state.lock().await;
        let contact = first_contact(&self.target, self.scale).await;
        if let Err(NoContact::NoServer(why) | NoContact::WrongServer(why)) = &contact {
            state.shut = Some(format!("the first contact failed: {why}"));
        }
        contact
    }

    /// After `case` waited in vain: makes the first contact again, unless somebody has since then.
    pub async fn check_after(&self, case: &str) {
        let failed_at = Instant::now();
        let mut state = self.state.lock().await;
        let checked_since = state.last_check.is_some_and(|at| at >= failed_at);
        if state.shut.is_some() || checked_since {
            return;
        }
        state.last_check = Some(Instant::now());
        // The cases beside may keep the server busy, so this contact has more time than others.
        let scale = self.scale * BUSY;
        if first_contact(&self.target, scale).await.is_err() {
            state.shut = Some(format!("the server stopped answering after {case}"));
        }
    }
}
