//! The first contact: whether there is a server at all that is worth playing cases against.
//!
//! It is made before the first case, and again after a case that waited in vain, so that a server
//! that is dead costs seconds and not a deadline a case. The first one also finds out which profiles
//! the server offers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use collab_spec::profile::Profile;
use tokio::sync::Mutex;

use crate::client::{Ask, ROOT};
use crate::context::Context;
use crate::dial::OpenError;
use crate::ids;
use crate::monitor;
use crate::outcome::{Failure, Outcome};
use crate::target::Target;
use crate::trace::Trace;
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

/// Opens a WebSocket, says `hello` for a fresh document, and submits one op; then asks in another
/// connection's `hello` for every profile, and gives those that the server turns on.
///
/// Errors: what did not come.
pub async fn first_contact(
    target: &Arc<Target>,
    scale: f64,
) -> Result<BTreeSet<Profile>, NoContact> {
    let context = Context::new(Arc::clone(target), scale);
    let result = match context.open("first-contact", Buffers::Usual).await {
        Err(OpenError::NoConnection(why)) => Err(NoContact::NoServer(why)),
        Err(error @ OpenError::OutOfTime) => Err(NoContact::NoServer(error.to_string())),
        Err(OpenError::NoWebSocket(why)) => {
            Err(NoContact::WrongServer(format!("[{}] {why}", ids::UPGRADE)))
        }
        Ok(mut client) => {
            let talk: Outcome<BTreeSet<Profile>> = async {
                client.hello(context.doc_id(), "first-contact", Some(0));
                client.expect_joined().await?;
                let submission = client.insert(&ROOT, 'x');
                client.submit(&submission);
                client.expect_echo(&submission, ids::SEQ_FAN_OUT).await?;
                offered(&context).await
            }
            .await;
            talk.map_err(|failure| NoContact::WrongServer(words(&failure, &context.trace())))
        }
    };
    context.abandon_all().await;
    result
}

/// The profiles that the ack of a `hello` with all of them turns on.
async fn offered(context: &Context) -> Outcome<BTreeSet<Profile>> {
    let mut client = context.connect("first-contact").await?;
    let all: Vec<Profile> = Profile::ALL
        .into_iter()
        .filter(|profile| *profile != Profile::Core)
        .collect();
    client.hello_asking(context.doc_id(), "first-contact", &Ask::of(&all));
    let granted = client.expect_ack().await?.capabilities.unwrap_or_default();
    let granted = granted.iter().filter_map(|name| Profile::from_name(name));
    Ok(granted.chain([Profile::Core]).collect())
}

/// What is wrong: what the monitors see in what came, and otherwise what did not come.
pub(crate) fn words(failure: &Failure, trace: &Trace) -> String {
    match failure {
        Failure::Untestable(why) | Failure::Harness(why) => why.clone(),
        Failure::Breach(fault) => {
            let seen = monitor::check(trace);
            let breach = seen.first().unwrap_or(&fault.breach);
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
    scale: f64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shut: Option<String>,
    last_check: Option<Instant>,
    offered: BTreeSet<Profile>,
}

impl Gate {
    /// An open gate.
    pub fn new(scale: f64) -> Self {
        Self {
            scale,
            state: Mutex::default(),
        }
    }

    /// Why no further case is played, if that is so.
    pub async fn shut(&self) -> Option<String> {
        self.state.lock().await.shut.clone()
    }

    /// The profiles that the first contact found; none before it.
    pub async fn offered(&self) -> Vec<Profile> {
        self.state.lock().await.offered.iter().copied().collect()
    }

    /// Shuts it.
    pub async fn shut_because(&self, why: String) {
        self.state.lock().await.shut.get_or_insert(why);
    }

    /// Makes the first contact, and shuts the gate where it fails.
    ///
    /// Errors: why it is shut.
    pub async fn open(&self, target: &Arc<Target>) -> Result<(), NoContact> {
        let mut state = self.state.lock().await;
        let contact = first_contact(target, self.scale).await;
        match &contact {
            Ok(offered) => state.offered.clone_from(offered),
            Err(NoContact::NoServer(why) | NoContact::WrongServer(why)) => {
                state.shut = Some(format!("the first contact failed: {why}"));
            }
        }
        contact.map(drop)
    }

    /// After `case` waited in vain: makes the first contact again, unless somebody has since then.
    pub async fn check_after(&self, target: &Arc<Target>, case: &str) {
        let failed_at = Instant::now();
        let mut state = self.state.lock().await;
        let checked_since = state.last_check.is_some_and(|at| at >= failed_at);
        if state.shut.is_some() || checked_since {
            return;
        }
        state.last_check = Some(Instant::now());
        if !self.answers(target).await {
            state.shut = Some(format!("the server stopped answering after {case}"));
        }
    }

    /// Whether a server still gets through the first contact.
    pub async fn answers(&self, target: &Arc<Target>) -> bool {
        // The cases beside may keep the server busy, so this contact has more time than others.
        first_contact(target, self.scale * BUSY).await.is_ok()
    }
}
