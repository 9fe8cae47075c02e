//! A server on a free port and a client of it, for the tests over a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use collab_reference::log::{MemoryStore, Store};
use collab_reference::{Config, serve_store};
use collab_spec::message::Op;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub(crate) use tokio_tungstenite::tungstenite::Message;
pub(crate) use tokio_tungstenite::tungstenite::protocol::frame::Frame;
pub(crate) use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// No answer of a healthy server takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default(), MemoryStore::default()).await
    }

    pub(crate) async fn with(config: Config, store: impl Store) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve_store(listener, config, Arc::new(store), shutdown));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Shuts down in good order, and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// A client whose system takes as little as it can for a program that does not read.
    pub(crate) async fn connect_tight(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Client::over(socket.connect(self.address).await.unwrap()).await
    }

    /// A client that has asked for profiles; gives what it got up to the resync.
    pub(crate) async fn join_with(
        &self,
        doc: &str,
        client: &str,
        profiles: &[&str],
    ) -> (Client, Value, Value) {
        let mut joined = self.connect().await;
        let mut hello = hello(doc, client, 0);
        hello["capabilities"] = json!(profiles);
        joined.send(hello).await;
        let (ack, resync) = (joined.next().await, joined.next().await);
        assert_eq!(
            (&ack["type"], &resync["type"]),
            (&json!("hello_ack"), &json!("resync"))
        );
        (joined, ack, resync)
    }

    /// A client with the profile `presence` that has joined; gives the states of the snapshot.
    pub(crate) async fn join_shown(&self, doc: &str, client: &str) -> (Client, Value) {
        let (mut joined, _, _) = self.join_with(doc, client, &["presence"]).await;
        let mut snapshot = joined.next().await;
        assert_eq!(snapshot["type"], "presence_snapshot", "{snapshot}");
        (joined, snapshot["states"].take())
    }

    /// A client that has joined a document and read the sync, a resync.
    pub(crate) async fn join(&self, doc: &str, client: &str) -> Client {
        let mut joined = self.connect().await;
        joined.hello(doc, client, 0).await;
        assert_eq!(joined.next().await["type"], "hello_ack");
        assert_eq!(joined.next().await["type"], "resync");
        joined
    }
}

/// How a connection ended: the code of the close frame, or 1006.
pub(crate) type Code = u16;

pub(crate) struct Client {
    pub(crate) ws: WebSocketStream<TcpStream>,
}

impl Client {
    async fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        let limits = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let url = "ws://localhost/ws";
        let connecting = tokio_tungstenite::client_async_with_config(url, socket, Some(limits));
        let (ws, _) = connecting.await.unwrap();
        Self { ws }
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.ws.send(message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn hello(&mut self, doc: &str, client: &str, last_seen: u64) {
        self.send(hello(doc, client, last_seen)).await;
    }

    pub(crate) async fn op(&mut self, doc: &str, client: &str, message: &str, op: &Op) {
        self.send(submission(doc, client, message, op)).await;
    }

    /// The next message, or the code of the close.
    pub(crate) async fn receive(&mut self) -> Result<Value, Code> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ws.next()).await;
            match next.expect("the server answers") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.expect("the server's close frames have a code");
                    let code = u16::from(frame.code);
                    if [1002, 1003, 1008].contains(&code) {
                        assert!(frame.reason.starts_with("protocol: "), "{}", frame.reason);
                        assert!(frame.reason.len() <= 123);
                    }
                    // Drives the closing handshake to its end.
                    while let Some(Ok(_)) = self.ws.next().await {}
                    return Err(code);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        self.receive().await.expect("a message, not a close")
    }

    /// The client and the state of the next message, which must be a `presence_update`.
    pub(crate) async fn shown(&mut self) -> (String, Value) {
        let mut update = self.next().await;
        assert_eq!(update["type"], "presence_update", "{update}");
        assert_eq!(update.as_object().unwrap().len(), 4, "{update}");
        let client = update["client_id"].as_str().unwrap().to_owned();
        (client, update["state"].take())
    }

    /// The seq of the next message, which must be an echo.
    pub(crate) async fn echo(&mut self) -> u64 {
        let echo = self.next().await;
        assert_eq!(echo["type"], "op_echo", "{echo}");
        echo["server_seq"].as_u64().unwrap()
    }

    /// The code of the close, which must be next.
    pub(crate) async fn closed(&mut self) -> Code {
        self.receive().await.expect_err("a close, not a message")
    }
}

pub(crate) fn hello(doc: &str, client: &str, last_seen: u64) -> Value {
    json!({"type":"hello","doc_id":doc,"client_id":client,"last_seen_server_seq":last_seen})
}

pub(crate) fn submission(doc: &str, client: &str, message: &str, op: &Op) -> Value {
    json!({"type":"op","doc_id":doc,"client_id":client,"client_msg_id":message,"op":op})
}

pub(crate) fn showing(doc: &str, client: &str, state: Value) -> Value {
    json!({"type":"presence_update","doc_id":doc,"client_id":client,"state":state})
}
