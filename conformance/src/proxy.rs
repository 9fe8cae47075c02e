//! A TCP proxy that harms the connections through it, as a [`Plan`] says.
//!
//! ```no_run
//! use collab_conformance::proxy::{Direction, Faults, How, Place, Plan, Proxy};
//!
//! # async fn example() -> std::io::Result<()> {
//! let cut = Faults::none().cut(Direction::ToClient, Place::Frame(3), How::Reset);
//! let proxy = Proxy::start("127.0.0.1:8000", Plan::in_turn([cut])).await?;
//! let url = proxy.url("/ws"); // its first connection ends behind the server's third frame
//! # Ok(())
//! # }
//! ```
//!
//! Bytes pass in order and unchanged, as far as they pass. What is done to a connection depends on the
//! plan and on the connection's number alone, so a seed says it all; when it is done depends on who
//! sends what. The proxy holds back little by itself, so that a slow reader is felt at the other end.
//!
//! Deliberately absent: what a frame means, and TLS: encrypted bytes pass, and have no frames.

mod jitter;
mod plan;
mod pump;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};

use crate::numbers::Numbers;
use crate::target::Target;
pub use jitter::Jitter;
pub use plan::{Cut, Direction, Faults, How, Pace, Place, Plan};
use pump::{Lane, Stop};

/// The buffers of each socket. The system's own would hold megabytes.
const BUFFER: u32 = 64 * 1024;

/// How long the peers of a connection that is cut with FIN may take to end it too.
const LINGER: Duration = Duration::from_secs(2);

/// A proxy on a free local port. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    happened: Arc<Mutex<Vec<Happened>>>,
    accepting: AbortHandle,
}

/// What was done to a connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The number of the connection, from 0.
    pub connection: u64,
    /// How many bytes passed to the server.
    pub to_server: u64,
    /// How many bytes passed to the client.
    pub to_client: u64,
    /// How it was cut, where it was.
    pub cut: Option<How>,
}

impl Proxy {
    /// Listens on a free port, and passes on to `authority`, such as `127.0.0.1:8000`.
    ///
    /// Errors: no port is free. A server that is not there shows as connections that end at once.
    pub async fn start(authority: &str, plan: Plan) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // What is accepted has the buffers of what listens.
        socket.set_send_buffer_size(BUFFER)?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        let happened = Arc::<Mutex<Vec<Happened>>>::default();
        let kept = Arc::clone(&happened);
        let accepting = tokio::spawn(accept(listener, authority.to_owned(), plan, kept));
        Ok(Self {
            address,
            happened,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path of the server, through the proxy.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The target whose WebSockets go through the proxy; its name, certificates and headers stay.
    pub fn target(&self, target: &Target) -> Target {
        target.clone().via(self.address)
    }

    /// What was done to the connections that have ended, the first to end first.
    pub fn happened(&self) -> Vec<Happened> {
        let happened = self.happened.lock();
        happened.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    authority: String,
    plan: Plan,
    happened: Arc<Mutex<Vec<Happened>>>,
) {
    // They end with this task.
    let mut connections = JoinSet::new();
    for number in 0.. {
        // A connection that ends before it is taken is nothing to the others.
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let faults = plan.faults(number);
        let (authority, happened) = (authority.clone(), Arc::clone(&happened));
        connections.spawn(async move {
            let Ok(server) = connect(&authority).await else {
                return end(client, How::Reset).await;
            };
            let mut what = Happened {
                connection: number,
                to_server: 0,
                to_client: 0,
                cut: None,
            };
            carry(client, server, &faults, &mut what).await;
            let mut happened = happened.lock().unwrap_or_else(PoisonError::into_inner);
            happened.push(what);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in lookup_host(authority).await? {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_send_buffer_size(BUFFER)?;
        socket.set_recv_buffer_size(BUFFER)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Passes bytes in both directions until both have ended, or a fault ends them.
async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: &Faults,
    happened: &mut Happened,
) {
    // Only the chunks would be greater.
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let seed = Numbers::new(faults.seed).of_part(happened.connection);
    let mut up = Lane::new(faults, Direction::ToServer, &seed);
    let mut down = Lane::new(faults, Direction::ToClient, &seed);
    let stop = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let up = std::pin::pin!(pump::run(client_read, server_write, &mut up));
        let down = std::pin::pin!(pump::run(server_read, client_write, &mut down));
        both(up, down).await
    };
    happened.to_server = up.passed();
    happened.to_client = down.passed();
    match stop {
        Stop::Ended => {}
        Stop::HalfOpen => happened.cut = Some(How::HalfOpen),
        Stop::Broken => {
            tokio::join!(end(client, How::Reset), end(server, How::Reset));
        }
        Stop::Cut(how) => {
            happened.cut = Some(how);
            tokio::join!(end(client, how), end(server, how));
        }
    }
}

/// Waits for both directions, unless one ends the connection as a whole.
async fn both(
    mut up: impl Future<Output = Stop> + Unpin,
    mut down: impl Future<Output = Stop> + Unpin,
) -> Stop {
    let stops = tokio::select! {
        stop = &mut up => match stop {
            Stop::Ended | Stop::HalfOpen => (stop, down.await),
            whole => return whole,
        },
        stop = &mut down => match stop {
            Stop::Ended | Stop::HalfOpen => (stop, up.await),
            whole => return whole,
        },
    };
    match stops {
        (Stop::HalfOpen, Stop::Ended) => Stop::HalfOpen,
        (_, second) => second,
    }
}

async fn end(mut stream: TcpStream, how: How) {
    if how == How::Reset {
        // What can't be reset any more has ended.
        let _ = stream.set_zero_linger();
        return;
    }
    let _ = stream.shutdown().await;
    // Bytes that nobody has read would make it a reset.
    let mut nowhere = tokio::io::sink();
    let drain = tokio::io::copy(&mut stream, &mut nowhere);
    let _ = tokio::time::timeout(LINGER, drain)
        .await
        .map(|drained| drained.ok());
}
