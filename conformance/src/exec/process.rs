//! A command in a process group of its own, so that all that it starts ends with it. With
//! `memory` and `strain`, the only user of `rustix`.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Command;
use tokio::sync::watch;

use super::memory;
use super::output::Output;

/// How often is looked whether a group has ended; no event tells it.
const LOOK: Duration = Duration::from_millis(10);

/// How long the streams of a process that has ended may stay open, since others hold them.
const STREAMS: Duration = Duration::from_millis(500);

/// How a process is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// A process and its group. Dropping it ends both at once.
#[derive(Debug)]
pub(super) struct Process {
    group: Pid,
    output: Output,
    exit: watch::Receiver<Option<ExitStatus>>,
    gone: AtomicBool,
}

impl Process {
    /// Starts a command.
    ///
    /// Errors: as those of the system, such as an unknown command.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let lost = || io::Error::other("the process has no id or no streams");
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let group = group.ok_or_else(lost)?;
        let stdout = child.stdout.take().ok_or_else(lost)?;
        let stderr = child.stderr.take().ok_or_else(lost)?;
        let output = Output::new(stdout, stderr);
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            // Where the system does not say how the process ended, `ended` is dropped.
            if let Ok(status) = child.wait().await {
                ended.send_replace(Some(status));
            }
        });
        Ok(Self {
            group,
            output,
            exit,
            gone: AtomicBool::new(false),
        })
    }

    /// What it writes.
    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits until it has ended; nothing where the system does not say how.
    pub(super) async fn ended(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status)
    }

    /// Waits for the last lines of a process that has ended, as far as they come.
    pub(super) async fn last_words(&self) {
        self.output.finished(STREAMS).await;
    }

    /// Tells the whole group to end.
    pub(super) fn tell(&self, end: End) {
        let signal = match end {
            End::Terminate => Signal::TERM,
            End::Kill => Signal::KILL,
        };
        if !self.gone.load(Ordering::Relaxed) {
            // A group that has ended needs no signal.
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// Waits until nothing of the group is left.
    pub(super) async fn group_ended(&self) {
        let mut look = tokio::time::interval(LOOK);
        while !self.is_gone() {
            look.tick().await;
        }
    }

    /// Whether nothing of the group is left.
    fn is_gone(&self) -> bool {
        let group = self.group.as_raw_nonzero().get();
        // Ended processes that nobody has asked for keep a group in being, and may for ever.
        let only_zombies =
            || memory::members(group).is_some_and(|all| all.iter().all(|one| one.is_zombie));
        let gone = test_kill_process_group(self.group).is_err() || only_zombies();
        self.gone.fetch_or(gone, Ordering::Relaxed);
        gone
    }

    /// The memory that the group holds; nothing where the system does not tell.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        memory::resident_bytes(self.group.as_raw_nonzero().get())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.tell(End::Kill);
    }
}
