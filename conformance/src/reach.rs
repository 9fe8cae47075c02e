//! How the command reaches the server under test: by a URL, by starting it, or as the built-in one.

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::Arc;

use collab_conformance::exec::{Exec, Leash};
use collab_conformance::gate::{self, NoContact};
use collab_conformance::properties::server::Server;
use collab_conformance::proxy::{Jitter, Proxy};
use collab_conformance::report;
use collab_conformance::runner::Servers;
use collab_conformance::target::{Target, TargetError};
use collab_spec::profile::Profile;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Reach;
use crate::{HARNESS, INTERRUPTED, PASSED, SERVER_FAILED, Stop, USAGE};

/// Where the servers under test come from.
pub(crate) enum Source {
    /// Somebody runs one, perhaps behind a proxy, which ends when it is dropped.
    Target(Target, Option<Proxy>),
    /// The suite starts them, and ends them when the leash is dropped.
    Exec(Arc<Exec>, Leash),
}

/// What ends with the run: what the suite has started, and the proxy.
#[derive(Default)]
pub(crate) struct Kept {
    _leash: Option<Leash>,
    _proxy: Option<Proxy>,
}

impl Source {
    /// The servers of a run, and what has to stay as long as it.
    pub(crate) fn servers(self) -> (Servers, Kept) {
        let mut kept = Kept::default();
        let servers = match self {
            Self::Target(target, proxy) => {
                kept._proxy = proxy;
                target.into()
            }
            Self::Exec(exec, leash) => {
                kept._leash = Some(leash);
                exec.into()
            }
        };
        (servers, kept)
    }
}

/// A server that has passed the first contact.
pub(crate) struct Met {
    pub(crate) server: Server,
    /// The profiles that it offers.
    pub(crate) offered: Vec<Profile>,
    _leash: Option<Leash>,
}

impl Met {
    /// Ends the server where the suite has started it; `code`, unless it passed and the server had not
    /// ended in good order.
    pub(crate) fn end(&self, runtime: &Runtime, code: u8) -> u8 {
        match runtime.block_on(self.server.stop()) {
            Some(exit) if code == PASSED => {
                eprintln!("error: the server did not end as told ({})", exit.status);
                SERVER_FAILED
            }
            _ => code,
        }
    }
}

/// Some number, short enough to be typed.
pub(crate) fn random_seed() -> u64 {
    // Every `RandomState` has keys of its own, from the system's randomness.
    RandomState::new().build_hasher().finish() % 1_000_000_000
}

impl Reach {
    /// Reaches one server, starting it where that is asked for, and makes the first contact.
    pub(crate) fn meet(&self, runtime: &Runtime) -> Result<Met, Stop> {
        let (server, leash) = match self.source(runtime, None, false)? {
            Source::Target(target, _) => (Server::from(Arc::new(target)), None),
            Source::Exec(exec, leash) => {
                let started = runtime.block_on(Server::start(&exec));
                let server = started.map_err(|error| self.unreachable("", &error.to_string()))?;
                (server, Some(leash))
            }
        };
        let target = runtime.block_on(server.target());
        let target = target.map_err(|why| self.unreachable("", &why))?;
        match runtime.block_on(gate::first_contact(&target, self.scale()?)) {
            Ok(offered) => Ok(Met {
                server,
                offered: offered.into_iter().collect(),
                _leash: leash,
            }),
            Err(NoContact::NoServer(why)) => Err(self.unreachable(target.url(), &why)),
            Err(NoContact::WrongServer(why)) => {
                let sentence = format!("the first contact failed: {why}");
                Err(Stop(SERVER_FAILED, sentence))
            }
        }
    }

    /// Whether the server is the built-in one.
    pub(crate) fn is_built_in(&self) -> bool {
        self.url.is_none() && self.exec.is_none()
    }

    /// Where the servers come from, and what delays the way to them. The built-in one is started, unless
    /// `is_idle`: then nobody asks anything of it.
    pub(crate) fn source(
        &self,
        runtime: &Runtime,
        jitter: Option<Jitter>,
        is_idle: bool,
    ) -> Result<Source, Stop> {
        let url = match (&self.url, &self.exec) {
            (Some(url), None) => url.clone(),
            (None, None) if !is_idle => built_in_server(runtime)?,
            // What is started says itself where it is.
            _ => "ws://127.0.0.1/ws".to_owned(),
        };
        let mut target = Target::new(&url).map_err(usage)?;
        for header in &self.header {
            target = target.with_header(header).map_err(usage)?;
        }
        if let Some(path) = &self.ca_file {
            target = target.with_authorities(path).map_err(usage)?;
        }
        let plan = jitter.map(Jitter::plan);
        let Some(command) = &self.exec else {
            let Some(plan) = plan else {
                return Ok(Source::Target(target, None));
            };
            let proxy = runtime.block_on(Proxy::start(&target.authority(), plan));
            let proxy = proxy.map_err(|error| Stop(HARNESS, error.to_string()))?;
            return Ok(Source::Target(proxy.target(&target), Some(proxy)));
        };
        let exec =
            Exec::new(command, self.url.as_deref(), &target, self.scale()?).map_err(usage)?;
        let exec = Arc::new(match plan {
            Some(plan) => exec.through(plan),
            None => exec,
        });
        let _guard = runtime.enter();
        let told = told_to_end().map_err(|error| Stop(HARNESS, error.to_string()))?;
        let ended = Arc::clone(&exec);
        runtime.spawn(async move {
            told.await;
            eprintln!("\ninterrupted; the servers are told to end");
            ended.end_all().await;
            std::process::exit(INTERRUPTED.into());
        });
        let leash = exec.leash();
        Ok(Source::Exec(exec, leash))
    }

    /// What every deadline is multiplied by.
    pub(crate) fn scale(&self) -> Result<f64, Stop> {
        let scale = self.timeout_scale;
        match (0.01..=1000.0).contains(&scale) {
            true => Ok(scale),
            false => Err(Stop(
                USAGE,
                format!("--timeout-scale {scale} is not between 0.01 and 1000"),
            )),
        }
    }

    /// The options that reach the server again; none for the built-in one.
    pub(crate) fn again(&self) -> String {
        report::reach_options(self.url.as_deref(), self.exec.as_deref())
    }

    /// No server is there.
    pub(crate) fn unreachable(&self, url: &str, why: &str) -> Stop {
        let sentence = match &self.exec {
            Some(_) => format!("no server can be tested: {why}"),
            None => format!(
                "no server can be reached at {url}: {why}; start the server, or correct --url"
            ),
        };
        Stop(HARNESS, sentence)
    }
}

fn usage(error: TargetError) -> Stop {
    Stop(USAGE, error.to_string())
}

/// Ready on the first SIGINT, SIGTERM or SIGHUP.
pub(crate) fn told_to_end() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Starts the reference server on a free port of this process, and gives its URL.
fn built_in_server(runtime: &Runtime) -> Result<String, Stop> {
    let (listener, url) = runtime.block_on(listen(0))?;
    let config = collab_reference::Config::default();
    runtime.spawn(collab_reference::serve(
        listener,
        config,
        std::future::pending(),
    ));
    Ok(url)
}

/// Serves as the built-in server does until it is told to end, to have a command for `--exec`.
pub(crate) fn serve(port: u16) -> Result<u8, Stop> {
    let failed = |error: io::Error| Stop(HARNESS, error.to_string());
    let runtime = Runtime::new().map_err(failed)?;
    let served = runtime.block_on(async {
        let (listener, url) = listen(port).await?;
        let told = told_to_end().map_err(failed)?;
        println!("listening on {url}");
        let config = collab_reference::Config::default();
        let served = collab_reference::serve(listener, config, told).await;
        served.map_err(failed)
    });
    runtime.shutdown_background();
    served.map(|()| PASSED)
}

/// A listener on a local port, and the URL of a server that takes its connections.
async fn listen(port: u16) -> Result<(TcpListener, String), Stop> {
    let bound = async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("ws://{}/ws", listener.local_addr()?);
        Ok((listener, url))
    };
    bound.await.map_err(|error: io::Error| {
        let sentence = format!("the built-in server can't start: {error}; give a server by --url");
        Stop(HARNESS, sentence)
    })
}
