//! What a case is played in: its target, its fresh document, its trace and its patience.

mod server;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use collab_spec::profile::Profile;
use collab_spec::report::Measurement;
use serde_json::Value;

use crate::client::{Ask, Client};
use crate::dial::{self, OpenError};
use crate::exec::Instance;
use crate::http;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::proxy::{Plan, Proxy};
use crate::recorder::Recorder;
use crate::strain::strain;
use crate::target::Target;
use crate::trace::{Trace, What};
use crate::wire::{Buffers, Outgoing, Phase, Wire};

/// How long one wait may take, before it is scaled.
const PATIENCE: Duration = Duration::from_secs(5);

/// What part of it is waited through a proxy that may swallow what is waited for.
const HASTE: f64 = 0.2;

/// How long all waits of one case may take together, before it is scaled.
const CASE_PATIENCE: Duration = Duration::from_secs(120);

/// How much longer where a proxy delays every step, which a case may have thousands of.
const DELAYED: u32 = 8;

/// How long a passed case waits for its connections to close, before it is scaled.
const FAREWELL: Duration = Duration::from_secs(1);

/// The lamport of a case's first barrier; ops of cases stay below.
const FIRST_BARRIER_LAMPORT: u64 = 1_000_000_000;

fn case_patience(target: &Target) -> Duration {
    match target.proxy() {
        Some(_) => CASE_PATIENCE * DELAYED,
        None => CASE_PATIENCE,
    }
}

/// The surroundings of one case. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Mutex<Arc<Target>>,
    /// The server of the case's own, where it has one.
    server: Mutex<Option<Arc<Instance>>>,
    measurements: Mutex<Vec<Measurement>>,
    doc_id: String,
    recorder: Arc<Recorder>,
    scale: f64,
    seed: Option<u64>,
    ends: Instant,
    lamport: AtomicU64,
    barrier_lamport: AtomicU64,
    msg_id: AtomicU64,
    wires: Mutex<Vec<Arc<Wire>>>,
    /// What connections go through, where they do; it ends with the context.
    proxy: Mutex<Option<Arc<Proxy>>>,
}

/// A wait that brought nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InVain {
    /// It has lasted as long as one wait may.
    Patience(Duration),
    /// It ended early, since the time of the whole case was over: nothing is said of the server.
    OutOfTime,
}

impl Context {
    /// Surroundings with a document that no one else uses. `scale` multiplies every deadline.
    pub fn new(target: Arc<Target>, scale: f64) -> Self {
        Self::seeded(target, scale, None)
    }

    /// As [`Context::new`], with the seed of what a case chooses at random; each case has one of its own
    /// where none is given.
    pub fn seeded(target: Arc<Target>, scale: f64, seed: Option<u64>) -> Self {
        let doc_id = fresh_id("doc");
        let inner = Inner {
            ends: Instant::now() + case_patience(&target).mul_f64(scale),
            target: Mutex::new(target),
            server: Mutex::default(),
            measurements: Mutex::default(),
            recorder: Arc::new(Recorder::new(&doc_id)),
            doc_id,
            scale,
            seed,
            lamport: AtomicU64::new(0),
            barrier_lamport: AtomicU64::new(FIRST_BARRIER_LAMPORT),
            msg_id: AtomicU64::new(0),
            wires: Mutex::default(),
            proxy: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Surroundings of the same kind, with another document and an empty trace.
    pub fn another(&self) -> Self {
        let inner = &self.inner;
        Self::seeded(self.target(), inner.scale, inner.seed)
    }

    /// The seed that was given for this run.
    pub fn seed(&self) -> Option<u64> {
        self.inner.seed
    }

    /// The server under test.
    pub fn target(&self) -> Arc<Target> {
        Arc::clone(&lock(&self.inner.target))
    }

    /// The case's document. Further ones are named after it, so that they are fresh as well.
    pub fn doc_id(&self) -> &str {
        &self.inner.doc_id
    }

    /// How long one wait may take on a machine that has the time.
    pub fn patience(&self) -> Duration {
        let haste = match self.is_hasty() {
            true => HASTE,
            false => 1.0,
        };
        self.scaled(PATIENCE).mul_f64(haste)
    }

    /// Waits for something of the server's, for as long as one wait may take; where the machine is short
    /// of processors, for as much longer as it is short of them.
    ///
    /// Errors: it did not come.
    pub(crate) async fn wait<T>(&self, awaited: impl Future<Output = T>) -> Result<T, InVain> {
        let mut awaited = pin!(awaited);
        let begun = Instant::now();
        let mut within = self.patience();
        loop {
            let until = (begun + within).min(self.inner.ends);
            if let Ok(came) = tokio::time::timeout_at(until.into(), &mut awaited).await {
                return Ok(came);
            }
            if until < begun + within {
                return Err(InVain::OutOfTime);
            }
            let longer = match self.is_hasty() {
                true => within,
                false => self.patience().mul_f64(strain().await),
            };
            if longer <= within {
                return Err(InVain::Patience(begun.elapsed()));
            }
            within = longer;
        }
    }

    /// Whether what is waited for may have been swallowed on its way.
    fn is_hasty(&self) -> bool {
        lock(&self.inner.proxy).is_some()
    }

    /// Lets later connections go through a proxy that may harm them. Waits are shorter from now on, since
    /// what it has swallowed never comes.
    pub(crate) fn go_through(&self, proxy: Arc<Proxy>) {
        let target = proxy.target(&self.target());
        *lock(&self.inner.target) = Arc::new(target);
        *lock(&self.inner.proxy) = Some(proxy);
    }

    /// What every deadline is multiplied by.
    pub fn scale(&self) -> f64 {
        self.inner.scale
    }

    /// A time by the run's scale.
    pub fn scaled(&self, time: Duration) -> Duration {
        time.mul_f64(self.inner.scale)
    }

    /// The trace until now.
    pub fn trace(&self) -> Trace {
        self.inner.recorder.snapshot()
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    /// Nothing is said of a server that has answered every time, only slowly.
    pub(crate) fn out_of_time(&self) -> Failure {
        let all = self.scaled(case_patience(&self.target()));
        Failure::Harness(format!(
            "the case has taken more than {all:.0?} in all, though nothing took long by itself; \
             try a greater --timeout-scale or fewer --test-threads"
        ))
    }

    /// The case's next lamport: above all that it has given out.
    pub fn next_lamport(&self) -> u64 {
        self.inner.lamport.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sees to it that the next lamport is above one that a case has chosen itself.
    pub fn saw_lamport(&self, lamport: u64) {
        if lamport < FIRST_BARRIER_LAMPORT {
            self.inner.lamport.fetch_max(lamport, Ordering::Relaxed);
        }
    }

    pub(crate) fn next_barrier_lamport(&self) -> u64 {
        self.inner.barrier_lamport.fetch_add(1, Ordering::Relaxed)
    }

    /// The case's next `client_msg_id`: `m-1`, `m-2`, …
    pub fn next_msg_id(&self) -> String {
        format!(
            "m-{}",
            self.inner.msg_id.fetch_add(1, Ordering::Relaxed) + 1
        )
    }

    /// Opens a WebSocket and says nothing yet.
    pub async fn connect(&self, name: &str) -> Outcome<Client> {
        self.connect_with(name, Buffers::Usual).await
    }

    /// Opens a WebSocket with the receive buffer given; see [`Buffers::Small`] for slow readers.
    pub async fn connect_with(&self, name: &str, buffers: Buffers) -> Outcome<Client> {
        self.connect_to(&self.target(), name, buffers).await
    }

    /// Opens a WebSocket with another header in its handshake, written `NAME=VALUE`.
    pub async fn connect_saying(&self, name: &str, header: &str) -> Outcome<Client> {
        let target = (*self.target()).clone().with_header(header);
        let target = target.map_err(|error| Failure::Harness(error.to_string()))?;
        self.connect_to(&target, name, Buffers::Usual).await
    }

    /// Starts a proxy before the server under test.
    pub(crate) async fn start_proxy(&self, plan: Plan) -> Outcome<Proxy> {
        let started = Proxy::start(&self.target().authority(), plan).await;
        started.map_err(|why| Failure::Harness(format!("the proxy can't start: {why}")))
    }

    /// Opens a WebSocket through a proxy, with which it ends.
    pub(crate) async fn connect_through(&self, proxy: &Proxy, name: &str) -> Outcome<Client> {
        let target = proxy.target(&self.target());
        self.connect_to(&target, name, Buffers::Usual).await
    }

    async fn connect_to(&self, target: &Target, name: &str, buffers: Buffers) -> Outcome<Client> {
        let since = self.recorder().now();
        self.open_to(target, name, buffers).await.map_err(|error| {
            let (failed, why) = match error {
                OpenError::OutOfTime => return self.out_of_time(),
                OpenError::NoConnection(why) => ("can't connect", why),
                OpenError::NoWebSocket(why) => ("gets no WebSocket", why),
            };
            let since = since.as_secs_f64();
            let what = format!("{name} {failed}, awaited since {since:.3} s");
            Failure::breach(ids::UPGRADE, what)
                .expected("a WebSocket")
                .got(why)
                .timed_out()
        })
    }

    /// As [`Context::connect_with`], with the error as it is.
    pub(crate) async fn open(&self, name: &str, buffers: Buffers) -> Result<Client, OpenError> {
        self.open_to(&self.target(), name, buffers).await
    }

    async fn open_to(
        &self,
        target: &Target,
        name: &str,
        buffers: Buffers,
    ) -> Result<Client, OpenError> {
        let recorder = Arc::clone(&self.inner.recorder);
        let dialling = dial::dial(target, buffers.receive_bytes());
        let stream = self.wait(dialling).await.map_err(|vain| match vain {
            InVain::OutOfTime => OpenError::OutOfTime,
            InVain::Patience(waited) => {
                OpenError::NoConnection(format!("no connection within {waited:.1?}"))
            }
        })??;
        let opening = Wire::open(target, stream, name, buffers, recorder);
        let (wire, inbox) = self.wait(opening).await.map_err(|vain| match vain {
            InVain::OutOfTime => OpenError::OutOfTime,
            InVain::Patience(waited) => OpenError::NoWebSocket(format!(
                "the server took the TCP connection, but did not answer the WebSocket handshake within {waited:.1?}"
            )),
        })??;
        let wire = Arc::new(wire);
        self.wires().push(Arc::clone(&wire));
        let name = self.recorder().name(wire.connection());
        Ok(Client::new(self.clone(), name, wire, inbox))
    }

    /// Opens a WebSocket and joins the case's document as client `name`, with nothing seen: the ack
    /// and the resync have come and are right in form; see [`Client::synced`].
    pub async fn join(&self, name: &str) -> Outcome<Client> {
        self.join_as(name, self.doc_id(), name).await
    }

    /// As [`Context::join`], with another document or another `client_id`.
    pub async fn join_as(&self, name: &str, doc_id: &str, client_id: &str) -> Outcome<Client> {
        let mut client = self.connect(name).await?;
        client.hello(doc_id, client_id, Some(0));
        client.expect_joined().await?;
        Ok(client)
    }

    /// As [`Context::join`], asking for profiles, all of which are granted.
    pub async fn join_asking(&self, name: &str, profiles: &[Profile]) -> Outcome<Client> {
        self.join_asking_as(name, self.doc_id(), name, profiles)
            .await
    }

    /// As [`Context::join_asking`], with another document or another `client_id`.
    pub async fn join_asking_as(
        &self,
        name: &str,
        doc_id: &str,
        client_id: &str,
        profiles: &[Profile],
    ) -> Outcome<Client> {
        let mut client = self.connect(name).await?;
        let ask = Ask::of(profiles);
        client.hello_asking(doc_id, client_id, &ask);
        client.expect_joined_asking(&ask).await?;
        Ok(client)
    }

    /// Opens a WebSocket and says `hello` for the case's document as `ask` says. The ack has come
    /// and grants everything; what follows is still to be expected.
    pub async fn reconnect_asking(
        &self,
        name: &str,
        client_id: &str,
        ask: &Ask,
    ) -> Outcome<Client> {
        let mut client = self.connect(name).await?;
        client.hello_asking(self.doc_id(), client_id, ask);
        client.expect_ack_asking(ask).await?;
        Ok(client)
    }

    /// Opens a WebSocket and says `hello` for the case's document with `last_seen`. The ack has come
    /// (see [`Client::head`]); the sync is still to be expected.
    pub async fn reconnect(&self, name: &str, client_id: &str, last_seen: u64) -> Outcome<Client> {
        let mut client = self.connect(name).await?;
        client.hello(self.doc_id(), client_id, Some(last_seen));
        client.expect_ack().await?;
        Ok(client)
    }

    /// Makes a GET request for a path: the status and the body, which is also in the trace.
    ///
    /// Errors: a breach of `requirement` where no answer comes.
    pub async fn get(&self, path: &str, requirement: &str) -> Outcome<(u16, String)> {
        self.recorder().record(
            None,
            What::HttpRequest {
                path: path.to_owned(),
            },
        );
        let target = self.target();
        let no_answer = |why: String| {
            let what = format!("GET {path} brought no answer: {why}");
            Failure::breach(requirement, what).expected("an HTTP answer")
        };
        let answer = self.wait(http::get(&target, path)).await;
        let answer = answer.map_err(|vain| match vain {
            InVain::OutOfTime => self.out_of_time(),
            InVain::Patience(waited) => {
                no_answer(format!("nothing came in {waited:.1?}")).timed_out()
            }
        })?;
        let http::Page { status, body, .. } = answer.map_err(no_answer)?;
        self.recorder().record(
            None,
            What::HttpResponse {
                status,
                body: body.clone(),
            },
        );
        Ok((status, body))
    }

    /// As [`Context::get`], and the status and the JSON body must be right.
    pub async fn expect_get(
        &self,
        path: &str,
        status: u16,
        body: Option<&Value>,
        requirement: &str,
    ) -> Outcome<Value> {
        let (got_status, got_body) = self.get(path, requirement).await?;
        let event = self.recorder().snapshot().events.len() - 1;
        let wrong = |what: String| Failure::breach(requirement, what).at(event);
        if got_status != status {
            return Err(wrong(format!(
                "GET {path} brought status {got_status}, not {status}"
            )));
        }
        let Some(pattern) = body else {
            return Ok(Value::Null);
        };
        let got: Value = serde_json::from_str(&got_body).map_err(|error| {
            wrong(format!("the body of GET {path} is not JSON: {error}")).got(&got_body)
        })?;
        let mut bindings = crate::pattern::Bindings::new();
        crate::pattern::match_value(pattern, &got, &mut bindings).map_err(|mismatches| {
            wrong(format!(
                "in the body of GET {path} {}",
                crate::pattern::sentence(&mismatches)
            ))
            .expected(pattern.to_string())
            .got(&got_body)
        })?;
        Ok(got)
    }

    /// Closes what is still open and waits a little for the answers, so that the trace ends with
    /// what the server had still to say.
    pub(crate) async fn farewell(&self) {
        let wires: Vec<_> = self.wires().iter().map(Arc::clone).collect();
        let open = wires
            .iter()
            .filter(|wire| wire.phase() == Phase::Open && wire.is_reading());
        let closing = open.map(|wire| {
            wire.send(Outgoing::Close(1000));
            wire.reached(Phase::Closed)
        });
        let all = futures_util::future::join_all(closing);
        // Whether a server completes the handshake is the matter of a case of its own.
        let _ = tokio::time::timeout(self.scaled(FAREWELL), all).await;
        self.abandon_all().await;
    }

    /// Drops every connection of the case.
    pub(crate) async fn abandon_all(&self) {
        let wires = std::mem::take(&mut *self.wires());
        for wire in wires {
            if wire.phase() == Phase::Open {
                wire.abandon().await;
            }
        }
    }

    /// Keeps a figure for the report.
    pub fn measured(&self, name: &str, value: u64, unit: &str) {
        lock(&self.inner.measurements).push(Measurement {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }

    /// The figures that the case has taken.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        lock(&self.inner.measurements).clone()
    }

    fn wires(&self) -> MutexGuard<'_, Vec<Arc<Wire>>> {
        lock(&self.inner.wires)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other case, run or machine has used: the prefix, a hyphen and 22 digits.
pub fn fresh_id(prefix: &str) -> String {
    format!("{prefix}-{:016x}{:06x}", random(), random() & 0xff_ffff)
}

/// Some number.
pub(crate) fn random() -> u64 {
    // Every `RandomState` has keys of its own, from the system's randomness.
    RandomState::new().build_hasher().finish()
}
