//! The server of a case's own: looked into, ended, started again.

use std::sync::Arc;
use std::time::Duration;

use collab_spec::report::{ExitReason, ServerExit};

use super::{Context, lock};
use crate::exec::Instance;
use crate::outcome::{Failure, Outcome};
use crate::trace::{ServerEvent, What};
use crate::wire::Phase;

/// How long the connections of a server that was killed may take to end, before it is scaled.
const CUT: Duration = Duration::from_secs(2);

impl Context {
    /// The surroundings with a server that the case may do with as it likes.
    pub(crate) fn with_server(self, instance: &Arc<Instance>) -> Self {
        *lock(&self.inner.server) = Some(Arc::clone(instance));
        self
    }

    /// The server of the case's own.
    fn server(&self) -> Outcome<Arc<Instance>> {
        self.server_instance()
            .ok_or_else(|| Failure::Harness("the case has no server of its own".to_owned()))
    }

    /// The memory that the server's processes hold, in bytes.
    pub fn server_memory(&self) -> Outcome<u64> {
        self.server()?.resident_bytes().ok_or_else(|| {
            let why = "this system does not tell how much memory a process holds";
            Failure::Untestable(why.to_owned())
        })
    }

    /// Tells the server to end in good order, by SIGTERM, and waits for nothing.
    pub fn terminate_server(&self) -> Outcome {
        let server = self.server()?;
        self.note(ServerEvent::Terminated);
        server.terminate();
        Ok(())
    }

    /// Waits until the server has ended, for at most `within` (scaled): whether it has.
    pub async fn server_ended_within(&self, within: Duration) -> Outcome<bool> {
        Ok(self.server()?.ended_within(within).await)
    }

    /// Ends the server by SIGKILL where it has not ended, and with it all connections of the case;
    /// then starts it again. Later connections go to the new one.
    pub async fn restart_server(&self) -> Outcome {
        let server = self.server()?;
        self.note(ServerEvent::Killed);
        let exit = server.end(ExitReason::Killed, Vec::new()).await;
        if exit.why.is_failure() {
            let what = format!("the server ended by itself ({})", exit.status);
            return Err(Failure::Harness(what));
        }
        let wires: Vec<_> = self.wires().iter().map(Arc::clone).collect();
        let ends = wires
            .iter()
            .filter(|wire| wire.is_reading())
            .map(|wire| wire.reached(Phase::Ended));
        let all = futures_util::future::join_all(ends);
        // What has come from the old server stands in the trace before the new one.
        let _ = tokio::time::timeout(self.scaled(CUT), all).await;
        self.abandon_all().await;
        let started = server.start_again().await;
        let started = started.map_err(|error| {
            Failure::Harness(format!("the server does not start again: {error}"))
        })?;
        *lock(&self.inner.target) = Arc::clone(started.target());
        *lock(&self.inner.server) = Some(Arc::new(started));
        self.note(ServerEvent::Restarted);
        Ok(())
    }

    /// The server of the case's own, where it has one.
    pub(crate) fn server_instance(&self) -> Option<Arc<Instance>> {
        lock(&self.inner.server).clone()
    }

    /// Ends the case's server, where there is one: at once where it has failed, else in good order.
    pub(crate) async fn end_server(
        &self,
        failed: Option<ExitReason>,
        case: &str,
    ) -> Option<ServerExit> {
        let server = lock(&self.inner.server).take()?;
        Some(match failed {
            Some(why) => server.end(why, vec![case.to_owned()]).await,
            None => server.stop().await,
        })
    }

    fn note(&self, event: ServerEvent) {
        self.recorder().record(None, What::Server(event));
    }
}
