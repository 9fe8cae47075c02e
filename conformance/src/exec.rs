//! Starts the server under test, watches it, and ends it.
//!
//! An [`Exec`] is the command; each [`Instance`] is one run of it, in a process group of its own and on
//! a port of its own. `fleet` shares instances between cases.
//!
//! Deliberately absent: what a case makes of it (see `context::server`), and systems that are not Unix.

pub(crate) mod fleet;
mod home;
mod line;
mod memory;
mod output;
mod port;
mod process;

use std::fmt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use collab_spec::report::{ExitReason, ServerExit, ServerReport};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::dial;
use crate::http;
use crate::proxy::{Plan, Proxy};
use crate::recorder::Recorder;
use crate::target::{Target, TargetError};
use crate::wire::{Buffers, Wire};
use home::Home;
use line::{Line, PORT};
use port::Port;
use process::{End, Process};

/// How long a server may take to be ready, before it is scaled.
const READY: Duration = Duration::from_secs(60);

/// How long a server may take to end after SIGTERM, before it is scaled.
const ENDS: Duration = Duration::from_secs(10);

/// How long it may take where the suite itself is told to end.
const HURRY: Duration = Duration::from_secs(2);

/// How often is looked whether the server is ready; no event tells it.
const LOOK: Duration = Duration::from_millis(20);

/// How long a process that has closed its sockets may take to be seen to have ended.
const ENDING: Duration = Duration::from_millis(500);

/// How long one attempt to reach a server that may not be ready takes at most.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How many lines of a server's output stand in a sentence about it.
const SAID: usize = 20;

/// The command that starts the server under test, and all its instances.
#[derive(Debug)]
pub struct Exec {
    line: Line,
    url: Option<String>,
    like: Target,
    scale: f64,
    /// What is done to the connections on their way, where something is.
    plan: Option<Plan>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_closing: bool,
    live: Vec<Weak<Process>>,
    homes: Vec<Weak<Home>>,
    started: usize,
    exits: Vec<ServerExit>,
}

/// Why there is no server; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    sentence: String,
    /// How the process ended, where there was one.
    pub exit: Option<Box<ServerExit>>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        let Some(exit) = &self.exit else {
            return Ok(());
        };
        let said = match exit.stderr_tail.is_empty() {
            true => &exit.stdout_tail,
            false => &exit.stderr_tail,
        };
        if !said.is_empty() {
            f.write_str("; its last words:")?;
        }
        for line in &said[said.len().saturating_sub(SAID)..] {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

impl Exec {
    /// A command that is told its port by `{port}`, or says its URL on stdout.
    ///
    /// `url` may hold `{port}` too; without it the URL is `ws://127.0.0.1:PORT/ws`. The targets have the
    /// headers and the certificates of `like`. `scale` multiplies every deadline.
    ///
    /// Errors: what is wrong with the command or the URL, and what to write.
    pub fn new(
        command: &str,
        url: Option<&str>,
        like: &Target,
        scale: f64,
    ) -> Result<Self, TargetError> {
        let line = Line::new(command)
            .map_err(|why| TargetError::new(format!("--exec can't be run: {why}")))?;
        if let Some(url) = url {
            if !line.takes_port() || !url.contains(PORT) {
                return Err(TargetError::new(format!(
                    "--url beside --exec needs {PORT} in both, since the suite starts several servers, \
                     each on a port of its own"
                )));
            }
            Target::new(&url.replace(PORT, "1"))?;
        }
        Ok(Self {
            line,
            url: url.map(str::to_owned),
            like: like.clone(),
            scale,
            plan: None,
            state: Mutex::default(),
        })
    }

    /// The same command, where the connections to each instance go through a proxy of their own.
    #[must_use]
    pub fn through(self, plan: Plan) -> Self {
        Self {
            plan: Some(plan),
            ..self
        }
    }

    /// The command as it was given.
    pub fn command(&self) -> &str {
        self.line.text()
    }

    /// Starts an instance and waits until it takes connections. `{dir}` in the command is a fresh
    /// folder for it.
    ///
    /// Errors: the command can't be run, ends, or is never ready.
    pub async fn start(self: &Arc<Self>) -> Result<Instance, StartError> {
        let home = match self.line.takes_dir() {
            true => Some(self.home()?),
            false => None,
        };
        self.start_in(home).await
    }

    async fn start_in(self: &Arc<Self>, home: Option<Arc<Home>>) -> Result<Instance, StartError> {
        let port = match self.line.takes_port() {
            true => Some(Port::free().map_err(|why| failed(format!("no port is free: {why}")))?),
            false => None,
        };
        let number = port.as_ref().map(Port::number);
        let dir = home.as_ref().map(|home| home.path());
        let process = self.spawn(self.line.command(number, dir))?;
        let mut instance = Instance {
            exec: Arc::clone(self),
            process,
            port,
            home,
            proxy: None,
            target: Arc::new(self.like.clone()),
            started: Instant::now(),
            told: Mutex::default(),
            is_recorded: AtomicBool::new(false),
        };
        let within = READY.mul_f64(self.scale);
        let ready = tokio::select! {
            biased;
            _ = instance.process.ended() => Err(NotReady::Ended),
            target = tokio::time::timeout(within, self.ready(&instance)) => {
                target.unwrap_or(Err(NotReady::Never(within)))
            }
        };
        let mut target = match ready {
            Ok(target) => target,
            Err(why) => return Err(self.never_ready(instance, why).await),
        };
        if let Some(plan) = &self.plan {
            let proxy = Proxy::start(&target.authority(), plan.clone()).await;
            let proxy = proxy.map_err(|why| failed(format!("the proxy can't start: {why}")))?;
            target = proxy.target(&target);
            instance.proxy = Some(proxy);
        }
        instance.target = Arc::new(target);
        Ok(instance)
    }

    /// Makes a folder and keeps it among those that go with the suite, as [`Exec::spawn`] does.
    fn home(&self) -> Result<Arc<Home>, StartError> {
        let mut state = self.open()?;
        let home = Home::new();
        let home = home.map_err(|why| failed(format!("no folder can be made: {why}")))?;
        let home = Arc::new(home);
        state.homes.push(Arc::downgrade(&home));
        Ok(home)
    }

    /// Starts a process and keeps it among those that end with the suite. Both are done under the lock,
    /// so that none is missed by [`Exec::close`].
    fn spawn(&self, command: Command) -> Result<Arc<Process>, StartError> {
        let mut state = self.open()?;
        let process = Process::spawn(command).map_err(|error| {
            failed(format!(
                "the command `{}` can't be run: {error}",
                self.command()
            ))
        })?;
        let process = Arc::new(process);
        state.started += 1;
        state.live.retain(|live| live.strong_count() > 0);
        state.live.push(Arc::downgrade(&process));
        Ok(process)
    }

    /// Waits until an instance takes connections, and gives its target.
    async fn ready(&self, instance: &Instance) -> Result<Target, NotReady> {
        let url = match (instance.port(), &self.url) {
            (Some(port), Some(url)) => url.replace(PORT, &port.to_string()),
            (Some(port), None) => format!("ws://127.0.0.1:{port}/ws"),
            (None, _) => instance.process.output().url().await,
        };
        let target = self.like.at(&url).map_err(NotReady::WrongUrl)?;
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if takes_connections(&target).await && answers(&target).await {
                return Ok(target);
            }
        }
    }

    async fn never_ready(&self, instance: Instance, why: NotReady) -> StartError {
        // Whatever it has done by itself.
        *instance.told.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(ExitReason::NeverReady);
        let exit = instance.finish(Vec::new()).await;
        let sentence = match why {
            NotReady::Ended => format!(
                "the command `{}` ended before it was ready ({})",
                self.command(),
                exit.status
            ),
            NotReady::WrongUrl(error) => format!(
                "the command `{}` says where it listens, but {error}",
                self.command()
            ),
            NotReady::Never(within) => match instance.port() {
                Some(port) => format!(
                    "the command `{}` took no connections on port {port} within {within:.1?}",
                    self.command()
                ),
                None => format!(
                    "the command `{}` wrote no line with a ws:// URL that takes connections on its \
                     stdout within {within:.1?}; write {PORT} in --exec to tell it the port",
                    self.command()
                ),
            },
        };
        StartError {
            sentence,
            exit: Some(Box::new(exit)),
        }
    }

    /// What came of all instances until now.
    pub fn report(&self) -> ServerReport {
        let state = self.lock();
        ServerReport {
            command: self.command().to_owned(),
            url: self.url.clone(),
            started: state.started,
            exits: state.exits.clone(),
        }
    }

    /// Ends all instances because the suite ends: by SIGTERM, and soon after by SIGKILL. None starts
    /// any more.
    pub async fn end_all(&self) {
        let live = self.close();
        for process in &live {
            process.tell(End::Terminate);
        }
        let ended =
            futures_util::future::join_all(live.iter().map(|process| process.group_ended()));
        if tokio::time::timeout(HURRY, ended).await.is_err() {
            self.kill_all();
        }
        let homes = self.lock().homes.clone();
        for home in homes.iter().filter_map(Weak::upgrade) {
            home.remove();
        }
    }

    /// Ends all instances at once by SIGKILL. None starts any more.
    pub fn kill_all(&self) {
        for process in self.close() {
            process.tell(End::Kill);
        }
    }

    /// Ends all instances when it is dropped, such as by a panic.
    pub fn leash(self: &Arc<Self>) -> Leash {
        Leash(Arc::clone(self))
    }

    fn close(&self) -> Vec<Arc<Process>> {
        let mut state = self.lock();
        state.is_closing = true;
        state.live.iter().filter_map(Weak::upgrade).collect()
    }

    /// The state, where the suite does not end.
    fn open(&self) -> Result<MutexGuard<'_, State>, StartError> {
        let state = self.lock();
        match state.is_closing {
            true => Err(failed("the suite is about to end".to_owned())),
            false => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends all instances of an [`Exec`] when it is dropped.
#[derive(Debug)]
pub struct Leash(Arc<Exec>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}

/// Why an instance is not ready.
enum NotReady {
    Ended,
    WrongUrl(TargetError),
    Never(Duration),
}

fn failed(sentence: String) -> StartError {
    StartError {
        sentence,
        exit: None,
    }
}

/// One run of the command. Dropping it ends the whole process group at once.
#[derive(Debug)]
pub struct Instance {
    exec: Arc<Exec>,
    process: Arc<Process>,
    /// What it was told to listen on; it is free for others once the instance is gone.
    port: Option<Port>,
    /// Where it keeps what it keeps.
    home: Option<Arc<Home>>,
    /// What stands before it; it ends with the instance.
    proxy: Option<Proxy>,
    target: Arc<Target>,
    started: Instant,
    /// Why the suite has told it to end, where it has.
    told: Mutex<Option<ExitReason>>,
    is_recorded: AtomicBool,
}

impl Instance {
    fn port(&self) -> Option<u16> {
        self.port.as_ref().map(Port::number)
    }

    /// Where it is reached.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Starts the command again, in the folder of this instance, which has ended.
    ///
    /// Errors: as those of [`Exec::start`].
    pub async fn start_again(&self) -> Result<Self, StartError> {
        self.exec.start_in(self.home.clone()).await
    }

    /// Whether it has failed, as far as is known: ended by itself, or stopped answering.
    pub fn has_failed(&self) -> bool {
        match self.why() {
            Some(why) => why.is_failure(),
            None => self.process.exit().is_some(),
        }
    }

    /// Whether it has failed, or is about to: it takes no connections any more, or `has_cut` some, and
    /// ends. A process closes its sockets a little before it is seen to have ended, and its port may be
    /// another's by then.
    pub async fn is_failing(&self, has_cut: bool) -> bool {
        if self.why().is_none() {
            let within = match takes_connections(&self.target).await {
                false => ATTEMPT,
                true if has_cut => ENDING,
                true => Duration::ZERO,
            };
            let _ = tokio::time::timeout(within, self.process.ended()).await;
        }
        self.has_failed()
    }

    /// Why the suite has told it to end, where it has.
    fn why(&self) -> Option<ExitReason> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes why it is told to end, unless it has ended already or is about to for a reason that
    /// weighs as much.
    fn is_told(&self, why: ExitReason) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.process.exit().is_none() && matches!(*told, None | Some(ExitReason::Terminated)) {
            *told = Some(why);
        }
    }

    /// The memory that its processes hold; nothing where the system does not tell.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.process.resident_bytes()
    }

    /// Sends SIGTERM and waits for nothing.
    pub fn terminate(&self) {
        self.is_told(ExitReason::Terminated);
        self.process.tell(End::Terminate);
    }

    /// Waits until it has ended, for at most `within` (scaled): whether it has.
    pub async fn ended_within(&self, within: Duration) -> bool {
        let ended = async {
            self.process.ended().await;
            self.process.group_ended().await;
        };
        let within = within.mul_f64(self.exec.scale);
        tokio::time::timeout(within, ended).await.is_ok()
    }

    /// Ends it by SIGTERM, and by SIGKILL where that takes too long.
    pub async fn stop(&self) -> ServerExit {
        self.terminate();
        if !self.ended_within(ENDS).await {
            self.is_told(ExitReason::Overdue);
        }
        self.finish(Vec::new()).await
    }

    /// Ends it by SIGKILL, for a reason that counts where it has not ended yet. `cases` are under way.
    pub async fn end(&self, why: ExitReason, cases: Vec<String>) -> ServerExit {
        self.is_told(why);
        self.finish(cases).await
    }

    /// Ends what is left of it, and takes its end into the report.
    async fn finish(&self, cases: Vec<String>) -> ServerExit {
        self.process.tell(End::Kill);
        let status = self.process.ended().await;
        self.process.last_words().await;
        let exit = self.exit(status, cases);
        self.record(exit.clone());
        exit
    }

    fn exit(&self, status: Option<ExitStatus>, cases: Vec<String>) -> ServerExit {
        use std::os::unix::process::ExitStatusExt as _;
        let why = self.why().unwrap_or(ExitReason::Died);
        let as_told = matches!(why, ExitReason::Terminated | ExitReason::Killed);
        let code = status.and_then(|status| status.code());
        let signal = status.and_then(|status| status.signal());
        let output = self.process.output();
        let kept = |lines: Vec<String>| if as_told { Vec::new() } else { lines };
        ServerExit {
            why,
            status: match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "unknown".to_owned(),
            },
            code,
            signal,
            lived_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cases,
            stderr_tail: kept(output.stderr_tail()),
            stdout_tail: kept(output.stdout_tail()),
        }
    }

    /// Puts the end into the report, once.
    fn record(&self, exit: ServerExit) {
        if !self.is_recorded.swap(true, Ordering::Relaxed) {
            self.exec.lock().exits.push(exit);
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.process.exit().is_some() {
            self.record(self.exit(self.process.exit(), Vec::new()));
        }
    }
}

/// Whether somebody takes TCP connections at a target.
async fn takes_connections(target: &Target) -> bool {
    let connecting = TcpStream::connect((target.host(), target.port()));
    matches!(tokio::time::timeout(ATTEMPT, connecting).await, Ok(Ok(_)))
}

/// Whether it answers over HTTP, whatever, or opens a WebSocket: who listens for it may come earlier.
async fn answers(target: &Target) -> bool {
    let health = tokio::time::timeout(ATTEMPT, http::get(target, "/health"));
    if matches!(health.await, Ok(Ok(_))) {
        return true;
    }
    let recorder = Arc::new(Recorder::new("ready"));
    let opening = async {
        let stream = dial::dial(target, None).await?;
        Wire::open(target, stream, "ready", Buffers::Usual, recorder).await
    };
    match tokio::time::timeout(ATTEMPT, opening).await {
        Ok(Ok((wire, _inbox))) => {
            wire.abandon().await;
            true
        }
        _ => false,
    }
}
