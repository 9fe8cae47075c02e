//! One connection of the toy.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collab_spec::message::ClientMessage;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::altered::Altered;
use super::document::{Document, Member, Refusal};
use super::outbox::Outbox;
use super::profiles::On;
use super::{Fault, Toy, handshake, messages, misreads, runs};

type Socket = WebSocketStream<Altered>;
type Shared = Arc<Mutex<Document>>;

static NUMBERS: AtomicU64 = AtomicU64::new(1);
const PACE: usize = 1 << 20;

/// How long after its hello a client must not be quick, where that is the fault.
const EARLY: Duration = Duration::from_millis(300);

/// How the reading of a connection ended.
enum End {
    Left,
    Closed,
    Refused(Refusal),
}

pub(super) async fn serve(toy: &Arc<Toy>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut start = [0; 8];
    while matches!(stream.peek(&mut start).await, Ok(1..=7)) {
        if toy.has(Fault::PiecesRefused) {
            return;
        }
        tokio::task::yield_now().await;
    }
    if start.starts_with(b"GET /hea") {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let body = match toy.has(Fault::HealthInWords) {
            true => "all is well",
            false => "{\"status\":\"ok\"}",
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    if toy.has(Fault::NoUpgrade) {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
        return;
    }
    let begun = Arc::new(AtomicBool::new(false));
    let Ok(socket) = handshake::accept(stream, toy.fault, &begun).await else {
        return;
    };
    let (sink, mut reader) = socket.split();
    let number = NUMBERS.fetch_add(1, Ordering::SeqCst);
    let outbox = Arc::new(Outbox::default());
    let mut session = Session {
        toy,
        number,
        outbox: Arc::clone(&outbox),
        joined: None,
        joined_at: None,
        on: On::default(),
        texts: 0,
        begun,
    };
    let mut writer = Writer {
        sink,
        outbox: Arc::clone(&outbox),
        fault: toy.fault,
    };
    let end = tokio::select! {
        end = session.read(&mut reader) => end,
        end = writer.run() => end,
        refusal = toy.ending() => match toy.has(Fault::BehindCutAtEnd) && !outbox.is_empty() {
            true => End::Left,
            false => {
                outbox.clear();
                End::Refused(refusal)
            }
        }
    };
    if toy.has(Fault::VanishedEndsOthers) && matches!(end, End::Left) {
        session.end_all();
    }
    if let Some((document, doc_id, _)) = &session.joined {
        let clean = matches!(end, End::Closed);
        document.lock().unwrap().leave(number, doc_id, clean);
    }
    let slow = outbox.slow.load(Ordering::SeqCst);
    if toy.has(Fault::CloseUnanswered) && matches!(end, End::Closed) {
        return;
    }
    if toy.has(Fault::SlowTcpUntilRead) && slow {
        writer.close(toy, (1013, "too slow")).await;
    }
    if toy.has(Fault::SlowTcpKept) && slow {
        let kept = Duration::from_secs(20);
        let _ = tokio::time::timeout(kept, writer.close(toy, (1013, "too slow"))).await;
        tokio::time::sleep(kept).await;
    }
    if matches!(end, End::Left | End::Closed) && !slow {
        // The library sends its answer to a close frame when it is read from.
        let rest = async { while let Some(Ok(_)) = reader.next().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
    if let End::Refused(refusal) = end
        && !slow
    {
        if toy.has(Fault::ViolationEndsAll) {
            session.end_all();
        }
        if toy.has(Fault::ViolationUnflushed) {
            outbox.clear();
        }
        let patience = match toy.has(Fault::FlushesForEver) {
            true => Duration::from_secs(3_600),
            false => Duration::from_secs(3),
        };
        let _ = tokio::time::timeout(patience, writer.close(toy, refusal)).await;
        let drain = async {
            while let Some(Ok(message)) = reader.next().await {
                let shows = |text: &str| text.contains("presence_update");
                if let Message::Text(text) = &message
                    && (toy.has(Fault::ViolationGoesOn)
                        || toy.has(Fault::ShownBehindViolation) && shows(text))
                {
                    let _ = session.text(text);
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(3), drain).await;
        // What the library refused to read has to be taken from the socket, or TCP resets.
        if let Ok(socket) = reader.reunite(writer.sink) {
            let mut stream = socket.into_inner();
            let _ = stream.shutdown().await;
            let mut rest = vec![0; 64 << 10];
            let drain = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
            let _ = tokio::time::timeout(Duration::from_secs(3), drain).await;
        }
    }
}

struct Writer {
    sink: SplitSink<Socket, Message>,
    outbox: Arc<Outbox>,
    fault: Option<Fault>,
}

impl Writer {
    async fn run(&mut self) -> End {
        let outbox = Arc::clone(&self.outbox);
        loop {
            tokio::select! {
                biased;
                end = watch(&outbox) => return end,
                sent = self.drain() => if !sent { return End::Left },
            }
        }
    }

    /// Sends what is queued, then waits for more.
    async fn drain(&mut self) -> bool {
        if self.fault == Some(Fault::AnswerOvertakes) {
            // So that something waits.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        loop {
            // First, as what is taken is lost where the reader ends meanwhile.
            let is_ready = poll_fn(|context| self.sink.poll_ready_unpin(context)).await;
            let Some(text) = self.outbox.pop() else {
                break;
            };
            let message = messages::sent(text, self.fault);
            let fed = is_ready.and_then(|()| self.sink.start_send_unpin(message));
            if fed.is_err() || self.sink.flush().await.is_err() {
                return false;
            }
        }
        self.outbox.wake.notified().await;
        true
    }

    async fn close(&mut self, toy: &Toy, (code, words): Refusal) {
        while let Some(text) = self.outbox.pop() {
            if self.sink.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        let prefix = if toy.has(Fault::ReasonPlain) {
            ""
        } else {
            "protocol: "
        };
        let frame = CloseFrame {
            code: code.into(),
            reason: format!("{prefix}{words}").into(),
        };
        let _ = self.sink.send(Message::Close(Some(frame))).await;
    }
}

/// Ends when the connection is too slow, or is to go for another reason.
async fn watch(outbox: &Outbox) -> End {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        if outbox.slow.load(Ordering::SeqCst) {
            return End::Left;
        }
        if outbox.kicked.load(Ordering::SeqCst) {
            return End::Refused((1008, "replaced"));
        }
    }
}

struct Session<'a> {
    toy: &'a Arc<Toy>,
    number: u64,
    outbox: Arc<Outbox>,
    joined: Option<(Shared, String, String)>,
    joined_at: Option<Instant>,
    on: On,
    texts: usize,
    /// Whether a text message has come in part.
    begun: Arc<AtomicBool>,
}

impl Session<'_> {
    fn has(&self, fault: Fault) -> bool {
        self.toy.has(fault)
    }

    async fn read(&mut self, reader: &mut SplitStream<Socket>) -> End {
        let wait = if self.has(Fault::HelloTimeoutShort) {
            1
        } else {
            10
        };
        let patience = match self.has(Fault::NoHelloTimeout) {
            true => Duration::from_secs(3600),
            false => Duration::from_secs(wait),
        };
        let mut deadline = tokio::time::Instant::now() + patience;
        let mut late = Vec::new();
        loop {
            self.pace().await;
            let message = if self.joined.is_none() {
                match tokio::time::timeout_at(deadline, reader.next()).await {
                    Ok(message) => message,
                    Err(_) if self.begun.load(Ordering::SeqCst) => reader.next().await,
                    Err(_) => return End::Refused((1002, "no hello in time")),
                }
            } else {
                reader.next().await
            };
            if let (Some(life), Some(Ok(message))) = (self.toy.life, &message) {
                life.meet(message).await;
            }
            let result = match message {
                None
                | Some(Err(
                    Error::ConnectionClosed
                    | Error::Io(_)
                    | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                )) => return End::Left,
                Some(Err(Error::Capacity(_))) => Err((1009, "too big")),
                Some(Err(Error::Utf8(_))) if self.has(Fault::NotUtf8Invalid) => {
                    Err((1002, "not UTF-8"))
                }
                Some(Err(Error::Utf8(_))) => Err((1007, "not UTF-8")),
                Some(Err(_)) if self.has(Fault::FramingUnanswered) => return End::Left,
                Some(Err(_)) => Err((1002, "not WebSocket")),
                Some(Ok(Message::Close(_))) => return End::Closed,
                Some(Ok(Message::Binary(_))) if self.has(Fault::BinaryFails) => {
                    Err((1011, "error"))
                }
                Some(Ok(Message::Binary(bytes))) if self.has(Fault::BinaryTaken) => {
                    self.text(&String::from_utf8_lossy(&bytes))
                }
                Some(Ok(Message::Binary(_))) => Err((1003, "binary")),
                Some(Ok(Message::Text(text)))
                    if matches!(
                        self.toy.fault,
                        Some(Fault::LastOpsLost | Fault::LastOpsTorn)
                    ) && self.joined.is_some() =>
                {
                    // Each op waits for the next message, or for the timer that loses the race.
                    late.push(text);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    match futures_util::FutureExt::now_or_never(reader.next()) {
                        Some(Some(Ok(Message::Close(_)))) if self.has(Fault::LastOpsTorn) => {
                            let handled = late.drain(..).try_for_each(|text| self.text(&text));
                            return handled.map_or_else(End::Refused, |()| End::Closed);
                        }
                        Some(None | Some(Err(_) | Ok(Message::Close(_)))) => return End::Left,
                        Some(Some(Ok(Message::Text(text)))) => late.push(text),
                        _ => {}
                    }
                    late.drain(..).try_for_each(|text| self.text(&text))
                }
                Some(Ok(Message::Text(text)))
                    if self.has(Fault::OpsOvertake) && self.joined.is_some() =>
                {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    match futures_util::FutureExt::now_or_never(reader.next()) {
                        Some(Some(Ok(Message::Text(next)))) => {
                            self.text(&next).and_then(|()| self.text(&text))
                        }
                        Some(None | Some(Err(_) | Ok(Message::Close(_)))) => {
                            let _ = self.text(&text);
                            return End::Closed;
                        }
                        _ => self.text(&text),
                    }
                }
                Some(Ok(Message::Text(text))) => self.text(&text),
                Some(Ok(Message::Ping(_))) if self.has(Fault::PingsHoldUp) => {
                    self.outbox.taken.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
                Some(Ok(Message::Ping(_))) if self.has(Fault::PingsAreHellos) => {
                    deadline = tokio::time::Instant::now() + patience;
                    Ok(())
                }
                Some(Ok(Message::Pong(_))) if self.has(Fault::PongsRefused) => {
                    Err((1002, "nobody has asked"))
                }
                Some(Ok(_)) => Ok(()),
            };
            if let Err(refusal) = result {
                return End::Refused(refusal);
            }
        }
    }

    /// Waits while echoes pile up for the sender, or for somebody else who still reads.
    async fn pace(&self) {
        let Some((document, _, _)) = &self.joined else {
            return;
        };
        if let Some(Fault::StalledCostsAll | Fault::StalledCostsEach) = self.toy.fault {
            let late = document.lock().unwrap().lateness();
            // To sleep for no time takes a millisecond.
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
        }
        if self.has(Fault::SendersNeverWait) {
            return;
        }
        let holds_up = self.has(Fault::SlowHoldsUp);
        loop {
            let stalled = |outbox: &Outbox| {
                let taken = outbox.taken.load(Ordering::SeqCst);
                taken > 0 && outbox.stalled_at.load(Ordering::SeqCst) == taken && !holds_up
            };
            let full =
                |outbox: &Outbox| outbox.waiting.load(Ordering::SeqCst) > PACE && !stalled(outbox);
            let others: Vec<Arc<Outbox>> = {
                let document = document.lock().unwrap();
                document
                    .members
                    .iter()
                    .map(|m| Arc::clone(&m.outbox))
                    .filter(|o| full(o))
                    .collect()
            };
            if others.is_empty() {
                return;
            }
            let before: Vec<u64> = others
                .iter()
                .map(|o| o.taken.load(Ordering::SeqCst))
                .collect();
            // Looks often, so that those who read hold nobody up for long.
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if !others.iter().any(|outbox| full(outbox)) {
                    return;
                }
            }
            for (outbox, &taken) in others.iter().zip(&before) {
                if outbox.taken.load(Ordering::SeqCst) == taken {
                    outbox.stalled_at.store(taken, Ordering::SeqCst);
                }
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        self.texts += 1;
        if self.has(Fault::BusyClosed) && self.texts > 1_000 {
            return Err((1008, "too many messages"));
        }
        let text = &*misreads::text(text, self.toy.fault);
        let Some(mut value) = messages::parse(text, self.toy.fault) else {
            let code = match self.toy.fault {
                Some(Fault::NotJsonNormal) => 1000,
                Some(Fault::NotJsonPrivate) => 4000,
                _ => 1002,
            };
            return Err((code, "not JSON"));
        };
        misreads::value(&mut value, self.toy.fault)?;
        if self.has(Fault::LimitOf64M) && self.on.runs && text.len() > runs::MAX_MESSAGE {
            return Err((1009, "too big"));
        }
        if let Some(fault) = self.toy.fault
            && let Some(result) = messages::meet(&mut value, text, fault)
        {
            return result;
        }
        if self.has(Fault::FloatsTaken) {
            misreads::truncate(&mut value);
        }
        if self.has(Fault::NamesInUtf16) && misreads::utf16_too_long(&value) {
            return Err((1002, "name too long"));
        }
        let asks = |name: &str| {
            let names = value["capabilities"].as_array();
            names.is_some_and(|names| names.iter().any(|asked| asked == name))
        };
        if value["type"] == "hello"
            && !asks("resume")
            && let Some(fields) = value.as_object_mut()
        {
            fields.shift_remove("epoch");
        }
        let known = match value["type"].as_str() {
            Some("hello" | "op") => true,
            Some("presence_update") if self.on.presence => true,
            Some("presence_update") if self.has(Fault::PresenceOffIgnored) => return Ok(()),
            Some("presence_update") if self.joined.is_some() => {
                return Err((1002, "presence is off"));
            }
            _ => false,
        };
        if !known && value.is_object() && self.has(Fault::UnknownTypeIgnored) {
            return Ok(());
        }
        if self.has(Fault::EmptyIgnored) && self.on.runs && runs::is_empty(&value) {
            return Ok(());
        }
        let Some(message) = runs::read(value.clone(), self.on.runs, self.toy.fault) else {
            return match self.toy.fault {
                Some(Fault::InvalidIgnored) => Ok(()),
                Some(Fault::InvalidPolicy) => Err((1008, "invalid")),
                _ => Err((1002, "does not fit its schema")),
            };
        };
        match (message, self.joined.clone()) {
            (ClientMessage::Hello(_), Some(_)) if self.has(Fault::SecondHelloIgnored) => Ok(()),
            (ClientMessage::Hello(_), Some(_)) if !self.has(Fault::SecondHelloJoins) => {
                Err((1003, "second hello"))
            }
            (ClientMessage::Hello(hello), _) => {
                let (doc_id, client_id) = (hello.doc_id.to_string(), hello.client_id.to_string());
                let asked = hello.capabilities.iter().flatten();
                let any = self.has(Fault::HelloEpochAnyShape);
                if asked.into_iter().any(|name| name == "resume") && hello.epoch().is_err() && !any
                {
                    return Err((1002, "epoch is no name"));
                }
                let document = self.toy.document(&doc_id);
                let outbox = Arc::clone(&self.outbox);
                let member = Member {
                    number: self.number,
                    client_id: client_id.clone(),
                    outbox,
                    on: On::default(),
                    joined: Instant::now(),
                    replayed: 0,
                };
                self.on = document.lock().unwrap().join(&doc_id, &hello, member)?;
                self.joined = Some((document, doc_id, client_id));
                self.joined_at = Some(Instant::now());
                Ok(())
            }
            (ClientMessage::Op(_), None) if self.has(Fault::NoHelloNeeded) => Ok(()),
            (ClientMessage::Op(_) | ClientMessage::PresenceUpdate(_), None) => {
                Err((1002, "no hello"))
            }
            (ClientMessage::PresenceUpdate(update), Some((document, doc_id, client_id))) => {
                let own =
                    update.doc_id.as_str() == doc_id && update.client_id.as_str() == client_id;
                if self.has(Fault::PresenceSizeEarly) {
                    document.lock().unwrap().check_state(&value)?;
                }
                if !own && !self.has(Fault::PresenceOfAnyone) {
                    return Err((1008, "presence of another"));
                }
                if self.has(Fault::ShownLate) {
                    document.lock().unwrap().check_state(&value)?;
                    let number = self.number;
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let _ = document.lock().unwrap().show(number, &value);
                    });
                    return Ok(());
                }
                document.lock().unwrap().show(self.number, &value)
            }
            (ClientMessage::Op(op), Some((document, doc_id, client_id))) => {
                let epoch = value
                    .get("epoch")
                    .filter(|_| self.on.resume || self.has(Fault::EpochCheckedWhereOff));
                let named = epoch.is_none_or(|epoch| {
                    collab_spec::id::Name::new(epoch.as_str().unwrap_or_default()).is_some()
                });
                if !named && !self.has(Fault::OpEpochAnyShape) {
                    return Err((1002, "epoch is no name"));
                }
                if self.has(Fault::MaxRunEarly) {
                    runs::check_size(&op.op, self.toy.fault)?;
                }
                if op.doc_id.as_str() != doc_id && !self.has(Fault::OtherDocTaken) {
                    return Err((1008, "other doc_id"));
                }
                if !misreads::is_client(op.client_id.as_str(), &client_id, self.toy.fault) {
                    return Err((1008, "other client_id"));
                }
                if !self.has(Fault::MaxRunLate) {
                    runs::check_size(&op.op, self.toy.fault)?;
                }
                let current = document.lock().unwrap().epoch.clone();
                let other = named && epoch.is_some_and(|epoch| *epoch != current.as_str());
                if other && !self.has(Fault::OpEpochIgnored) {
                    return Err((1008, "other epoch"));
                }
                if epoch.is_some() && self.has(Fault::OpEpochRefused) {
                    return Err((1008, "an epoch"));
                }
                let early = self.joined_at.is_some_and(|at| at.elapsed() < EARLY);
                if self.has(Fault::EarlyOpsLost) && early {
                    return Ok(());
                }
                value["doc_id"] = doc_id.into();
                let newest = {
                    let mut document = document.lock().unwrap();
                    let head = document.head;
                    if let Err(refusal) = document.submit(self.number, &value, op.op) {
                        document.head += u64::from(self.has(Fault::RefusedTakesSeq));
                        return Err(match self.has(Fault::IdsInvalid) {
                            true => (1002, refusal.1),
                            false => refusal,
                        });
                    }
                    if let Some(life) = self.toy.life.filter(|_| document.head > head) {
                        life.keep(&value);
                    }
                    document.newest()
                };
                if self.has(Fault::EchoEverywhere)
                    && let Some(text) = newest
                {
                    self.intrude(&document, &text);
                }
                Ok(())
            }
        }
    }

    fn intrude(&self, own: &Shared, text: &str) {
        for document in self.toy.documents() {
            if !Arc::ptr_eq(&document, own) {
                document.lock().unwrap().intrude(text);
            }
        }
    }

    fn end_all(&self) {
        let Some((document, _, _)) = &self.joined else {
            return;
        };
        for member in &document.lock().unwrap().members {
            member.outbox.kicked.store(true, Ordering::SeqCst);
        }
    }
}
