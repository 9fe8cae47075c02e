//! A WebSocket to the server under test. The only user of `tokio-tungstenite`, with `wire/frames`.
//!
//! Each connection has two tasks. The reader puts what comes into the trace and the inbox; told to
//! stop, it leaves the bytes in the socket, so that TCP holds the server back. The writer sends what
//! is queued, so that a server that does not read holds up nobody but it. Pings are answered as long
//! as the connection reads.
//!
//! Deliberately absent: what a message means, and deadlines other than that of opening.

mod frames;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::header::{CONNECTION, SEC_WEBSOCKET_EXTENSIONS, UPGRADE};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::deflate::{Agreed, Deflater, Inflating, NotDeflated};
use crate::dial::{OpenError, Stream};
use crate::framing::{Strict, Wide};
use crate::recorder::Recorder;
use crate::target::Target;
use crate::trace::{Connection, Received, What};

/// How many queued messages the writer takes at once.
const BATCH: usize = 64;

/// A WebSocket whose frames are looked at.
type Socket = WebSocketStream<Inflating<Strict<Stream>>>;

/// How a connection reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buffers {
    /// As the system sets them.
    #[default]
    Usual,
    /// A small receive buffer, so that the server feels early that nothing is read.
    Small,
}

impl Buffers {
    pub(crate) fn receive_bytes(self) -> Option<u32> {
        (self == Self::Small).then_some(4 * 1024)
    }

    fn read_bytes(self) -> usize {
        match self {
            Self::Usual => 64 * 1024,
            Self::Small => 4 * 1024,
        }
    }
}

/// What came from the server, with the index of its event in the trace.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The index of the event.
    pub event: usize,
    /// What came.
    pub what: Arrival,
}

/// What can come from a server.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A text message.
    Text(Arc<Received>),
    /// A binary message.
    Binary(Arc<[u8]>),
    /// The data of a pong.
    Pong(Vec<u8>),
    /// A close frame.
    Close {
        /// The code; 1005 where the frame has none.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// The end of the TCP connection.
    End {
        /// What the error was, where there was one.
        error: Option<String>,
    },
}

/// What the server sends, in order.
pub type Inbox = mpsc::UnboundedReceiver<Incoming>;

/// What the suite sends.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A text message in one frame.
    Text(Arc<str>),
    /// A text message in several frames, cut anywhere.
    Fragments(Vec<Vec<u8>>),
    /// A message of bytes.
    Bytes {
        /// Whether it says that it is text.
        text: bool,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// The first frame of a text message that does not go on.
    Begun(Arc<[u8]>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong that nobody asked for.
    Pong(Vec<u8>),
    /// A close frame; 1005 stands for one without a code.
    Close(u16),
}

enum Command {
    Send(Outgoing),
    Flushed(oneshot::Sender<()>),
}

/// How far a connection has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Open.
    Open,
    /// A close frame came.
    Closed,
    /// The TCP connection is gone.
    Ended,
}

/// An open connection. Dropping it drops the TCP connection.
#[derive(Debug)]
pub struct Wire {
    connection: Connection,
    recorder: Arc<Recorder>,
    compresses: bool,
    commands: mpsc::UnboundedSender<Command>,
    reads: watch::Sender<bool>,
    phase: watch::Receiver<Phase>,
    refuses: watch::Receiver<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Wire {
    /// Opens a WebSocket on a connection, and names it in the trace.
    ///
    /// Errors: where the server grants none.
    pub(crate) async fn open(
        target: &Target,
        stream: Stream,
        name: &str,
        buffers: Buffers,
        recorder: Arc<Recorder>,
    ) -> Result<(Self, Inbox), OpenError> {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None)
            .read_buffer_size(buffers.read_bytes());
        let request = request(target)?;
        let offer = extensions(request.headers());
        let stream = Inflating::new(Strict::new(stream));
        let (mut socket, response) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(|error| OpenError::NoWebSocket(handshake_words(&error)))?;
        let answer = extensions(response.headers());
        let agreed = Agreed::read(offer.as_deref(), answer.as_deref()).map_err(|why| {
            OpenError::NoWebSocket(format!("the server's answer is wrong: {why}"))
        })?;
        socket.get_mut().begin(agreed.is_some());
        let connection = recorder.add_connection(name);
        recorder.record(Some(connection), What::Opened);
        Ok(Self::start(socket, agreed, connection, recorder))
    }

    fn start(
        socket: Socket,
        agreed: Option<Agreed>,
        connection: Connection,
        recorder: Arc<Recorder>,
    ) -> (Self, Inbox) {
        let (sink, stream) = socket.split();
        let (commands, queue) = mpsc::unbounded_channel();
        let (deliver, inbox) = mpsc::unbounded_channel();
        let (reads, reads_rx) = watch::channel(true);
        let (phase_tx, phase) = watch::channel(Phase::Open);
        let (refuses_tx, refuses) = watch::channel(false);
        let reader = Reader {
            stream,
            connection,
            recorder: Arc::clone(&recorder),
            deliver,
            reads: reads_rx,
            phase: phase_tx,
        };
        let writer = Writer {
            sink,
            deflater: agreed.map(Deflater::new),
            connection,
            recorder: Arc::clone(&recorder),
            broken: refuses_tx,
        };
        let tasks = Mutex::new(vec![
            tokio::spawn(reader.run()),
            tokio::spawn(writer.run(queue)),
        ]);
        (
            Self {
                connection,
                recorder,
                compresses: agreed.is_some(),
                commands,
                reads,
                phase,
                refuses,
                tasks,
            },
            inbox,
        )
    }

    /// The connection in the trace.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether the server has agreed to `permessage-deflate`.
    pub fn compresses(&self) -> bool {
        self.compresses
    }

    /// Queues a message; what can't be sent any more is noted in the trace.
    pub fn send(&self, outgoing: Outgoing) {
        // The writer lives as long as `self`, but for `abandon`.
        let _ = self.commands.send(Command::Send(outgoing));
    }

    /// Waits until everything queued has gone to the socket, or can't any more.
    pub async fn flushed(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Flushed(done)).is_ok() {
            // Where the writer is gone there is nothing to wait for.
            let _ = wait.await;
        }
    }

    /// Stops reading from the socket.
    pub fn stop_reading(&self) {
        self.recorder
            .record(Some(self.connection), What::ReadingStopped);
        self.reads.send_replace(false);
    }

    /// Reads from the socket again.
    pub fn resume_reading(&self) {
        self.recorder
            .record(Some(self.connection), What::ReadingResumed);
        self.reads.send_replace(true);
    }

    /// Whether the connection reads.
    pub fn is_reading(&self) -> bool {
        *self.reads.borrow()
    }

    /// How far the connection has come to its end.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the connection has come as far as `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut receiver = self.phase.clone();
        // An error means that the reader is gone, which is further than any phase.
        let _ = receiver.wait_for(|reached| *reached >= phase).await;
    }

    /// Waits until something could not be sent any more.
    pub async fn refused(&self) {
        let mut receiver = self.refuses.clone();
        // An error means that the writer is gone.
        let _ = receiver.wait_for(|&refuses| refuses).await;
    }

    /// Drops the TCP connection at once, without a close frame; what is queued is not sent.
    pub async fn abandon(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if !tasks.is_empty() && self.phase() != Phase::Ended {
            self.recorder.record(Some(self.connection), What::Dropped);
        }
        for task in tasks {
            task.abort();
            // Waits until the task has let its half of the socket go.
            let _ = task.await;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }
}

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub(crate) fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

fn request(target: &Target) -> Result<Request<()>, OpenError> {
    let wrong = |error: &dyn std::fmt::Display| {
        OpenError::NoConnection(format!("{} can't be requested: {error}", target.url()))
    };
    let mut request = target
        .request_url()
        .into_client_request()
        .map_err(|error| wrong(&error))?;
    for (name, value) in target.headers() {
        let name: HeaderName = name.parse().map_err(|error| wrong(&error))?;
        let value: HeaderValue = value.parse().map_err(|error| wrong(&error))?;
        if [CONNECTION, UPGRADE].contains(&name) {
            // Those of the handshake itself, said in another way.
            request.headers_mut().remove(&name);
        }
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// What a handshake says of extensions.
fn extensions(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn handshake_words(error: &Error) -> String {
    match error {
        Error::Http(response) => format!(
            "the server answered the WebSocket handshake with HTTP {}; is the path of the URL right?",
            response.status()
        ),
        Error::Io(error) => {
            format!("the server ended the connection in the WebSocket handshake ({error})")
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            "the server ended the connection in the WebSocket handshake".to_owned()
        }
        error => {
            format!("the server answered the WebSocket handshake with something else ({error})")
        }
    }
}

struct Reader {
    stream: SplitStream<Socket>,
    connection: Connection,
    recorder: Arc<Recorder>,
    deliver: mpsc::UnboundedSender<Incoming>,
    reads: watch::Receiver<bool>,
    phase: watch::Sender<Phase>,
}

impl Reader {
    async fn run(mut self) {
        loop {
            let reading = *self.reads.borrow_and_update();
            tokio::select! {
                biased;
                changed = self.reads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                item = self.stream.next(), if reading => match item {
                    Some(Ok(message)) => self.take(message),
                    Some(Err(error)) => return self.fail(&error),
                    None => return self.end(None),
                },
            }
        }
    }

    fn take(&self, message: Message) {
        match message {
            Message::Text(text) => {
                let received = Arc::new(Received::new(text.as_str()));
                self.note(What::Text(Arc::clone(&received)), Arrival::Text(received));
            }
            Message::Binary(bytes) => {
                let bytes: Arc<[u8]> = bytes.as_ref().into();
                self.note(What::Binary(Arc::clone(&bytes)), Arrival::Binary(bytes));
            }
            Message::Pong(data) => {
                self.note(What::Pong(data.to_vec()), Arrival::Pong(data.to_vec()));
            }
            Message::Close(frame) => {
                let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                    (frame.code.into(), frame.reason.as_str().to_owned())
                });
                self.note(
                    What::Close {
                        code,
                        reason: reason.clone(),
                    },
                    Arrival::Close { code, reason },
                );
                self.phase.send_replace(Phase::Closed);
            }
            // The library answers pings itself, and gives no frames.
            Message::Ping(_) | Message::Frame(_) => {}
        }
    }

    fn fail(self, error: &Error) {
        let what = match error {
            Error::Io(error) if Wide::is_in(error) || NotDeflated::is_in(error) => {
                format!("the server broke the rules of WebSocket: {error}")
            }
            Error::Io(error) => return self.end(Some(error.to_string())),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return self.end(None),
            Error::Protocol(ProtocolError::ReceivedAfterClosing) => {
                "the server sent another frame after its close frame".to_owned()
            }
            Error::Utf8(_) => "the server sent a text message that is not UTF-8".to_owned(),
            error => format!("the server broke the rules of WebSocket: {error}"),
        };
        self.recorder
            .record(Some(self.connection), What::WebSocketError(what.clone()));
        self.end(Some(what));
    }

    fn end(self, error: Option<String>) {
        self.note(
            What::Ended {
                error: error.clone(),
            },
            Arrival::End { error },
        );
        self.phase.send_replace(Phase::Ended);
    }

    fn note(&self, what: What, arrival: Arrival) {
        let event = self.recorder.record(Some(self.connection), what);
        // Nobody may be listening any more; the trace still has it.
        let _ = self.deliver.send(Incoming {
            event,
            what: arrival,
        });
    }
}

struct Writer {
    sink: SplitSink<Socket, Message>,
    deflater: Option<Deflater>,
    connection: Connection,
    recorder: Arc<Recorder>,
    broken: watch::Sender<bool>,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let mut waiting = Vec::new();
            for command in batch.drain(..) {
                match command {
                    Command::Send(outgoing) => self.feed(outgoing).await,
                    Command::Flushed(done) => waiting.push(done),
                }
            }
            if !*self.broken.borrow()
                && let Err(error) = self.sink.flush().await
            {
                self.fail(&error);
            }
            for done in waiting {
                // The one who asked may have given up.
                let _ = done.send(());
            }
        }
    }

    /// Puts a message into the trace and then into the socket, so that no answer precedes it there.
    async fn feed(&mut self, outgoing: Outgoing) {
        if *self.broken.borrow() {
            return;
        }
        let compressed = match (&mut self.deflater, &outgoing) {
            (Some(deflater), Outgoing::Text(text)) => deflater.next(text.as_bytes()),
            (Some(deflater), Outgoing::Fragments(parts)) => deflater.next(&parts.concat()),
            _ => None,
        };
        let (what, mut frames) = frames::of(outgoing);
        if let Some(compressed) = compressed {
            frames = frames::compressed(&compressed, frames.len());
        }
        self.recorder.record(Some(self.connection), what);
        for frame in frames {
            if let Err(error) = self.sink.feed(frame).await {
                return self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &Error) {
        let why = match error {
            Error::Protocol(ProtocolError::SendAfterClosing)
            | Error::AlreadyClosed
            | Error::ConnectionClosed => "the connection is closed".to_owned(),
            error => error.to_string(),
        };
        self.recorder
            .record(Some(self.connection), What::NotSent(why));
        self.broken.send_replace(true);
    }
}
