//! One WebSocket: `hello`, then a reader and a writer side by side, then the close.
//!
//! The WebSocket library is used here and nowhere else, over a socket that stays in reach: after an
//! oversized or broken frame, what the peer still sends must be read and dropped, or TCP would
//! reset the connection and lose the close frame (`close.delivered`).
//!
//! Deliberately absent: pings of the server's own. A dead peer is found by its backlog or by TCP.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use collab_spec::close::CloseCode;
use collab_spec::message::{ClientMessage, Hello, OpSubmission, PresenceUpdate, SingleOp};
use futures_util::stream::FuturesUnordered;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tracing::{Instrument, debug, info, info_span};

use crate::config::Config;
use crate::document::Submitted;
use crate::hub::Hub;
use crate::presence::State;
use crate::profiles::Profiles;
use crate::room::{self, Seat};
use crate::socket::{Outgoing, Socket};
use crate::violation::Violation;

type WebSocket = WebSocketStream<Socket>;

/// What one connection reads at a time; the library keeps this much for it even when idle,
/// and clears it before each read.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// What may wait in the library's buffer: the pongs for a peer that does not read pile up there.
const MAX_WRITE_BUFFER_BYTES: usize = 2 << 20;

/// How long what is queued may take to be sent before a close. Source: `close.flush`.
const FLUSH_TIME: Duration = Duration::from_secs(4);

/// How long it may take until the close frame is sent, what is queued included, and then until the peer's
/// comes. Source: `close.delivered`, `close.drops-tcp`, `slow.drops-tcp`.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How much is read and dropped after a close frame that the peer can't have got yet.
const MAX_DRAIN_BYTES: usize = 64 << 20;

/// A reader lets its writer run after so many messages.
const MESSAGES_A_TURN: u32 = 64;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client broke the protocol.
    Violated(Violation),
    /// The server shuts down.
    Shutdown,
    /// The client sent a close frame.
    ClosedByClient,
    /// The socket is of no use any more.
    Gone,
}

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub(crate) fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// Serves a socket that has just been upgraded, to its end.
///
/// `early` is what the client sent right behind its request to upgrade.
pub(crate) async fn run(
    socket: TcpStream,
    early: Vec<u8>,
    hub: Arc<Hub>,
    mut shutdown: watch::Receiver<bool>,
) {
    let limits = Some(library_limits(hub.config()));
    let outgoing = Outgoing::default();
    let socket = Socket::new(socket, outgoing.clone());
    let mut ws = WebSocket::from_partially_read(socket, early, Role::Server, limits).await;
    let hello = tokio::select! {
        hello = receive_hello(&mut ws, hub.config()) => hello,
        () = told(&mut shutdown) => Err(End::Shutdown),
    };
    match hello {
        Ok(hello) => {
            let (doc_id, client_id) = (hello.doc_id.as_str(), hello.client_id.as_str());
            let span = info_span!("connection", doc_id, client_id);
            let session = async {
                let lease = hub.lease(&hello.doc_id);
                let (seat, opening) = lease.room().await.join(&hello, hub.config());
                info!(
                    last_seen_server_seq = hello.last_seen_server_seq.value(),
                    profiles = seat.profiles().names().join(","),
                    "joined"
                );
                outgoing.extend(opening);
                let (ws, end, since) = converse(ws, &outgoing, &seat, &hello, shutdown).await;
                info!(?end, "left");
                drop(seat);
                drop(lease);
                finish(ws, end, since).await;
            };
            session.instrument(span).await;
        }
        Err(end) => {
            debug!(?end, "ended without a hello");
            finish(ws, end, Instant::now()).await;
        }
    }
}

fn library_limits(config: &Config) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(config.max_message_bytes))
        .max_frame_size(Some(config.max_message_bytes))
}

/// Waits until the server shuts down.
async fn told(shutdown: &mut watch::Receiver<bool>) {
    // An error says that the server is gone altogether.
    let _ = shutdown.wait_for(|&shutting_down| shutting_down).await;
}

async fn receive_hello<R>(stream: &mut R, config: &Config) -> Result<Hello, End>
where
    R: Stream<Item = Result<Message, Error>> + Unpin,
{
    let first = receive(stream, Profiles::default());
    match timeout(config.hello_timeout, first).await {
        Ok(Ok((ClientMessage::Hello(hello), _))) => match room::refuses(&hello, config) {
            Some(violation) => Err(End::Violated(violation)),
            None => Ok(hello),
        },
        Ok(Ok(_)) => Err(End::Violated(Violation::NoHello)),
        Ok(Err(end)) => Err(end),
        Err(_) => Err(End::Violated(Violation::HelloTimeout)),
    }
}

/// The next message of the client, and its text. Pings are answered by the library, on the next read.
///
/// Source: `close.order`: size and encoding are checked by the library before the kind and the form.
async fn receive<R>(stream: &mut R, on: Profiles) -> Result<(ClientMessage, Utf8Bytes), End>
where
    R: Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        let Some(received) = stream.next().await else {
            return Err(End::Gone);
        };
        match received.map_err(|error| end_of(&error))? {
            Message::Text(text) => {
                return match decode(&text, on) {
                    Ok(message) => Ok((message, text)),
                    Err(error) => {
                        debug!(%error, "malformed message");
                        Err(End::Violated(Violation::Malformed))
                    }
                };
            }
            Message::Binary(_) => return Err(End::Violated(Violation::Binary)),
            Message::Close(_) => return Err(End::ClosedByClient),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Source: `profiles.off-is-core`: without the profile `runs` a value is one character, and a `count`
/// an unknown field.
fn decode(text: &str, on: Profiles) -> serde_json::Result<ClientMessage> {
    match on.runs {
        true => ClientMessage::from_json(text),
        false => ClientMessage::<SingleOp>::from_json(text).map(Into::into),
    }
}

/// What a failed read means for the connection.
fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Violated(Violation::MessageTooBig),
        Error::Utf8(_) => End::Violated(Violation::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(_) | Error::AttackAttempt => End::Violated(Violation::Framing),
        _ => End::Gone,
    }
}

/// Reads and writes until something ends the conversation, then sends what is still queued: what ended it,
/// and when.
async fn converse(
    ws: WebSocket,
    outgoing: &Outgoing,
    seat: &Seat,
    hello: &Hello,
    mut shutdown: watch::Receiver<bool>,
) -> (WebSocket, End, Instant) {
    let (mut sink, mut stream) = ws.split();
    let (end, since) = {
        let last = AtomicU64::new(u64::MAX);
        let mut writer = Box::pin(write(&mut sink, outgoing, seat, &last));
        let mut writing = true;
        let end = {
            // Each is looked at only when it was woken itself, not with every echo.
            let mut endings: FuturesUnordered<Pin<Box<dyn Future<Output = End> + Send + '_>>> =
                FuturesUnordered::new();
            endings.push(Box::pin(read(&mut stream, seat, hello)));
            endings.push(Box::pin(async {
                seat.signals().too_slow.notified().await;
                End::Violated(Violation::TooSlow)
            }));
            endings.push(Box::pin(async {
                told(&mut shutdown).await;
                End::Shutdown
            }));
            loop {
                tokio::select! {
                    end = endings.next() => break end.unwrap_or(End::Gone),
                    _ = &mut writer, if writing => {
                        // The peer has stopped listening, but what it sent before is still handled
                        // (`session.sent-before-close`).
                        writing = false;
                        seat.stop_listening();
                    }
                }
            }
        };
        let since = Instant::now();
        let flush = match end {
            End::Violated(Violation::TooSlow) | End::ClosedByClient | End::Gone => false,
            End::Violated(_) | End::Shutdown => writing,
        };
        if flush {
            last.store(seat.wind_up(), Relaxed);
            seat.signals().wake.notify_one();
            let dropping = async {
                while let Some(Ok(_)) = stream.next().await {}
                std::future::pending::<()>().await;
            };
            let flushing = async {
                tokio::select! {
                    _ = writer => {}
                    () = dropping => {}
                }
            };
            // What can't be sent in time is not sent.
            let _ = timeout(FLUSH_TIME, flushing).await;
        }
        (end, since)
    };
    let ws = stream.reunite(sink).expect("both halves are of one socket");
    (ws, end, since)
}

/// Handles the client's messages in order, to the first that ends the connection.
async fn read<R>(stream: &mut R, seat: &Seat, hello: &Hello) -> End
where
    R: Stream<Item = Result<Message, Error>> + Unpin,
{
    for turn in (0..MESSAGES_A_TURN).cycle() {
        if turn == 0 {
            tokio::task::yield_now().await;
        }
        seat.clearance().await;
        let handled = match receive(stream, seat.profiles()).await {
            Ok((ClientMessage::Hello(_), _)) => Err(Violation::SecondHello),
            Ok((ClientMessage::Op(op), _)) => submit(seat, hello, &op),
            Ok((ClientMessage::PresenceUpdate(update), text)) => show(seat, hello, &update, &text),
            Err(end) => return end,
        };
        if let Err(violation) = handled {
            return End::Violated(violation);
        }
    }
    unreachable!("the turns go round for ever")
}

/// Source: `close.order`; `resume.op-epoch-invalid`, `resume.other-op-epoch`, `runs.max-run`.
fn submit(seat: &Seat, hello: &Hello, op: &OpSubmission) -> Result<(), Violation> {
    let epoch = match seat.profiles().resume {
        true => op.epoch().map_err(|_| Violation::Malformed)?,
        false => None,
    };
    if op.doc_id != hello.doc_id {
        return Err(Violation::OtherDocument);
    }
    if op.client_id != hello.client_id {
        return Err(Violation::OtherClient);
    }
    if op.op.elements() > seat.max_run() {
        return Err(Violation::RunTooLong);
    }
    if epoch.is_some_and(|epoch| epoch != *seat.epoch()) {
        return Err(Violation::OtherEpoch);
    }
    // Its own name of the client is not kept with each op.
    match seat.submit(&hello.client_id, &op.client_msg_id, &op.op)? {
        Submitted::New(server_seq) => debug!(server_seq, "op accepted"),
        Submitted::Duplicate(server_seq) => debug!(server_seq, "op sent again"),
    }
    Ok(())
}

/// Source: `profiles.off-is-core`, `close.order`; `presence.too-big`, `presence.ids`.
fn show(seat: &Seat, hello: &Hello, update: &PresenceUpdate, text: &str) -> Result<(), Violation> {
    if !seat.profiles().presence {
        return Err(Violation::Malformed);
    }
    let state = update.state.as_ref();
    let state = state.map(|read| State::new(text, read)).transpose();
    // A state that is too big comes after the names.
    if let Err(Violation::Malformed) = state {
        return Err(Violation::Malformed);
    }
    if update.doc_id != hello.doc_id {
        return Err(Violation::OtherDocument);
    }
    if update.client_id != hello.client_id {
        return Err(Violation::OtherClient);
    }
    seat.show(state?);
    Ok(())
}

/// Sends what is ready to go, then whatever the room has for this connection; ends when all up to `last`
/// is sent, or when the socket fails.
async fn write<W>(
    sink: &mut W,
    outgoing: &Outgoing,
    seat: &Seat,
    last: &AtomicU64,
) -> Result<(), Error>
where
    W: Sink<Message, Error = Error> + Unpin,
{
    let mut has_all = false;
    loop {
        poll_fn(|cx| {
            let flushed = sink.poll_flush_unpin(cx);
            if outgoing.has_moved() {
                seat.progressed();
            }
            flushed
        })
        .await?;
        let last = last.load(Relaxed);
        if last != u64::MAX && seat.has_taken(last) {
            return Ok(());
        }
        if has_all && last == u64::MAX {
            seat.signals().wake.notified().await;
            // Whoever has something to submit now goes first, and all of it goes out in one write.
            tokio::task::yield_now().await;
        }
        let batch = seat.take();
        outgoing.extend(batch.frames);
        has_all = batch.is_all;
    }
}

/// Closes the connection as its end, which came at `since`, asks for: within [`CLOSE_TIME`] for each half.
async fn finish(mut ws: WebSocket, end: End, since: Instant) {
    let (code, reason) = match end {
        End::Gone => return,
        End::ClosedByClient => {
            // The library has the answer ready and sends it on the next read.
            let answering = async { while let Some(Ok(_)) = ws.next().await {} };
            let _ = timeout(CLOSE_TIME, answering).await;
            return;
        }
        End::Shutdown => (CloseCode::GoingAway, "the server shuts down"),
        End::Violated(violation) => violation.close(),
    };
    let frame = CloseFrame {
        code: code.code().into(),
        reason: reason.into(),
    };
    match timeout_at(since + CLOSE_TIME, ws.send(Message::Close(Some(frame)))).await {
        // A peer that takes longer is dropped.
        Ok(Ok(())) => drop(timeout(CLOSE_TIME, read_on(&mut ws)).await),
        Ok(Err(_)) => {}
        // What the peer does not take must not keep the socket (`slow.drops-tcp`).
        Err(_) => drop(ws.get_ref().set_zero_linger()),
    }
}

/// Reads on after a close frame until the peer has closed too. Source: `close.delivered`.
async fn read_on(ws: &mut WebSocket) {
    loop {
        match ws.next().await {
            Some(Ok(Message::Close(_))) => return,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
    // No frames can be made out any more: end our side, and read what comes as mere bytes.
    let socket = ws.get_mut();
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut scratch = vec![0; READ_BUFFER_BYTES];
    let mut drained = 0;
    while drained < MAX_DRAIN_BYTES {
        match socket.read(&mut scratch).await {
            Ok(0) | Err(_) => return,
            Ok(read) => drained += read,
        }
    }
}
