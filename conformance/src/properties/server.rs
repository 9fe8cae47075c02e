//! The server that histories are played against. One that the suite has started is started again where
//! it has failed as a whole, so that a history that ends it can be made small, too.

use std::sync::Arc;

use collab_spec::report::{ExitReason, ServerExit};
use tokio::sync::Mutex;

use super::plan::Plan;
use super::{How, Played, play};
use crate::context::Context;
use crate::exec::{Exec, Instance, StartError};
use crate::gate;
use crate::target::Target;
use crate::trace::{Event, Trace, What};

/// How much longer a server may take to answer that others ask as well.
const BUSY: f64 = 3.0;

/// A server for histories.
#[derive(Debug)]
pub struct Server(Source);

#[derive(Debug)]
enum Source {
    /// Somebody runs it.
    Target(Arc<Target>),
    /// The suite starts it.
    Started {
        exec: Arc<Exec>,
        instance: Mutex<Arc<Instance>>,
    },
}

/// How a server failed as a whole.
#[derive(Clone, Debug)]
pub enum End {
    /// It ended, or was ended because it did not answer.
    Exit(Box<ServerExit>),
    /// It does not answer any more, and goes on.
    Silent,
}

impl From<Arc<Target>> for Server {
    fn from(target: Arc<Target>) -> Self {
        Self(Source::Target(target))
    }
}

impl Server {
    /// Starts one.
    ///
    /// Errors: as those of [`Exec::start`].
    pub async fn start(exec: &Arc<Exec>) -> Result<Self, StartError> {
        let instance = Mutex::new(Arc::new(exec.start().await?));
        let exec = Arc::clone(exec);
        Ok(Self(Source::Started { exec, instance }))
    }

    /// The server as it is now, started again where it has failed.
    ///
    /// Errors: why it does not start.
    pub(super) async fn visit(&self, scale: f64) -> Result<Visit, String> {
        let (target, instance) = match &self.0 {
            Source::Target(target) => (Arc::clone(target), None),
            Source::Started { exec, instance } => {
                let mut instance = instance.lock().await;
                if instance.has_failed() {
                    let started = exec.start().await;
                    *instance = Arc::new(started.map_err(|error| error.to_string())?);
                }
                (Arc::clone(instance.target()), Some(Arc::clone(&instance)))
            }
        };
        Ok(Visit {
            target,
            instance,
            scale,
        })
    }

    /// Where it is reached.
    ///
    /// Errors: why it does not start.
    pub async fn target(&self) -> Result<Arc<Target>, String> {
        Ok(self.visit(1.0).await?.target)
    }

    /// Plays a plan on fresh documents, judges its trace, and looks after the server.
    pub(super) async fn play(&self, plan: &Plan, how: &How, scale: f64) -> Played {
        let visit = match self.visit(scale).await {
            Ok(visit) => visit,
            Err(why) => return Played::nothing(why),
        };
        let mut played = play(plan, &visit.context(), how).await;
        if played.broken().is_some() {
            played.end = visit.end(played.timed_out, was_cut(&played.trace)).await;
        }
        played
    }

    /// Ends it in good order, where the suite has started it: how it failed, if it had.
    pub async fn stop(&self) -> Option<ServerExit> {
        match &self.0 {
            Source::Target(_) => None,
            Source::Started { instance, .. } => {
                let exit = instance.lock().await.stop().await;
                exit.why.is_failure().then_some(exit)
            }
        }
    }
}

/// A server while a history is played against it.
pub(super) struct Visit {
    target: Arc<Target>,
    instance: Option<Arc<Instance>>,
    scale: f64,
}

impl Visit {
    /// Surroundings with documents that no one else uses.
    pub(super) fn context(&self) -> Context {
        Context::new(Arc::clone(&self.target), self.scale)
    }

    /// How the server has failed as a whole, if it has; one that does not answer after a wait in vain is
    /// ended, where the suite has started it. One that has cut a connection may be about to end.
    pub(super) async fn end(&self, in_vain: bool, has_cut: bool) -> Option<End> {
        if let Some(instance) = &self.instance
            && instance.is_failing(has_cut).await
        {
            return Some(end(instance, ExitReason::Died).await);
        }
        let contact = gate::first_contact(&self.target, self.scale * BUSY);
        if !in_vain || contact.await.is_ok() {
            return None;
        }
        Some(match &self.instance {
            Some(instance) => end(instance, ExitReason::Hung).await,
            None => End::Silent,
        })
    }
}

/// Whether a connection ended without a close frame.
pub(super) fn was_cut(trace: &Trace) -> bool {
    let ended = |event: &Event| matches!(event.what, What::Ended { .. });
    trace.events.iter().any(ended)
}

async fn end(instance: &Instance, why: ExitReason) -> End {
    End::Exit(Box::new(instance.end(why, Vec::new()).await))
}
