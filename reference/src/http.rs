//! The two addresses, `/ws` and `/health`, and the life of the server around them.
//!
//! The upgrade is done here by hand, so that the connection keeps the raw socket in reach.
//! Deliberately absent: anything that happens after the upgrade.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::connection;
use crate::hub::Hub;

/// How much the system keeps for a client that does not read. What lies there is not seen to move, and
/// the system's own default is megabytes.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// How long open HTTP requests may hold up a shutdown.
const HTTP_SHUTDOWN: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Context {
    hub: Arc<Hub>,
    shutdown: watch::Receiver<bool>,
    /// How many connections there are.
    connections: watch::Sender<usize>,
}

/// Counts a connection until dropped.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(connections: watch::Sender<usize>) -> Self {
        connections.send_modify(|count| *count += 1);
        Self(connections)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Serves until `shutdown` is ready and all connections are closed.
pub(crate) async fn serve<F>(listener: TcpListener, hub: Arc<Hub>, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (tell, told) = watch::channel(false);
    let (connections, mut counted) = watch::channel(0);
    let context = Context {
        hub,
        shutdown: told.clone(),
        connections,
    };
    let router = Router::new()
        .route("/ws", get(upgrade))
        .route("/health", get(health))
        .with_state(context);
    let listener = listener.tap_io(|socket| {
        if let Err(error) = prepare(socket) {
            tracing::debug!(%error, "socket options");
        }
    });
    let signal = async move {
        let mut told = told;
        // An error says that the server is gone, which ends it too.
        let _ = told.wait_for(|&shutting_down| shutting_down).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(signal);
    let mut serving = tokio::spawn(serving.into_future());
    tokio::select! {
        result = &mut serving => return result.map_err(io::Error::other)?,
        () = shutdown => {}
    }
    tracing::info!("shutting down");
    tell.send_replace(true);
    if tokio::time::timeout(HTTP_SHUTDOWN, &mut serving)
        .await
        .is_err()
    {
        serving.abort();
    }
    // An error says that nobody is left to count.
    let _ = counted.wait_for(|&count| count == 0).await;
    Ok(())
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // An echo is small and must not wait for the next one.
    socket.set_nodelay(true)?;
    let socket = socket2::SockRef::from(socket);
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    // Finds peers that vanished without a word.
    socket.set_keepalive(true)
}

/// Source: `http.health`.
async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// Source: `transport.upgrade`; RFC 6455, section 4.2.
async fn upgrade(State(context): State<Context>, mut request: Request) -> Response {
    let accept = match accept(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err((status, why)) => {
            let wanted = [
                (header::SEC_WEBSOCKET_VERSION, "13"),
                (header::UPGRADE, "websocket"),
            ];
            return (status, wanted, why).into_response();
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let counted = Counted::new(context.connections);
    tokio::spawn(async move {
        let (hub, shutdown) = (context.hub, context.shutdown);
        match upgrade.await.map(downcast::<TokioIo<TcpStream>>) {
            Ok(Ok(parts)) => {
                // Copied: the buffer of the request is large, and would be kept.
                let early = parts.read_buf.to_vec();
                drop(parts.read_buf);
                connection::run(parts.io.into_inner(), early, hub, shutdown).await;
            }
            Ok(Err(_)) => tracing::error!("the upgraded connection is not the listener's"),
            Err(error) => tracing::debug!(%error, "upgrade failed"),
        }
        drop(counted);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The `Sec-WebSocket-Accept` for a request to upgrade, or why it is not one.
fn accept(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, (StatusCode, &'static str)> {
    if method != Method::GET
        || !lists(headers, &header::CONNECTION, "upgrade")
        || !lists(headers, &header::UPGRADE, "websocket")
    {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "This address speaks WebSocket only.\n",
        ));
    }
    if !lists(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "The WebSocket version must be 13.\n",
        ));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err((
            StatusCode::BAD_REQUEST,
            "The header Sec-WebSocket-Key is missing.\n",
        ));
    };
    let accept = connection::accept_key(key.as_bytes());
    Ok(HeaderValue::try_from(accept).expect("base64 is a header value"))
}

/// Whether a header, a list with commas, names a token.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}
