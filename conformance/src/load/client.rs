//! A client that types: a chain of characters, each under the one before.
//!
//! The `client_msg_id` of an op says who sent it and when, so an echo tells its latency by itself and
//! nothing is looked up. Of an echo, that field alone is read.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use collab_spec::id::ParentId;
use tokio::time::{Instant, timeout, timeout_at};

use super::figures::Tally;
use super::frame::Frame;
use super::socket::Socket;
use super::{Pace, Plan};
use crate::target::Target;

/// How long the sync of a client may take.
const JOIN_TIME: Duration = Duration::from_secs(60);

/// How long echoes are waited for when nothing more is sent.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// How often a client looks whether the others have ended, too.
const LOOK: Duration = Duration::from_millis(50);

/// An op that is sent this late is sent on time: timers go by the millisecond.
const TICK: Duration = Duration::from_millis(2);

const KEY: &[u8] = b"\"client_msg_id\"";

/// A document, as its clients see it together.
pub(super) struct Document {
    pub(super) doc_id: String,
    /// How many characters it had before its clients came; their lamports are greater.
    pub(super) characters: u64,
    pub(super) sent: Cell<u64>,
    /// How many clients still send.
    pub(super) senders: Cell<usize>,
}

/// A client that is brought to the head.
pub(super) struct Client {
    socket: Socket,
    document: Rc<Document>,
    /// Its number among all clients.
    number: usize,
    client_id: String,
    /// What it types behind first, as JSON.
    place: String,
    tally: Rc<RefCell<Tally>>,
    /// How many ops it has sent.
    sent: u64,
    seen: Seen,
    text: Vec<u8>,
}

/// What has come to a client.
#[derive(Default)]
struct Seen {
    echoes: u64,
    own: u64,
    is_synced: bool,
    /// Where the key was in the last echo.
    key_at: usize,
}

impl Client {
    /// Connects and joins.
    ///
    /// Errors: in words.
    pub(super) async fn join(
        target: &Target,
        document: Rc<Document>,
        number: usize,
        place: ParentId,
        tally: Rc<RefCell<Tally>>,
    ) -> Result<Self, String> {
        let joining = async {
            let mut client = Self {
                socket: Socket::open(target).await?,
                client_id: format!("load-{number}"),
                place: serde_json::json!(place).to_string(),
                document,
                number,
                tally,
                sent: 0,
                seen: Seen::default(),
                text: Vec::new(),
            };
            let hello = serde_json::json!({
                "type": "hello", "doc_id": client.document.doc_id, "client_id": client.client_id,
                "last_seen_server_seq": 0,
            });
            client.socket.queue(hello.to_string().as_bytes());
            while !client.seen.is_synced {
                client.turn(Instant::now()).await?;
            }
            Ok(client)
        };
        let joined = timeout(JOIN_TIME, joining).await;
        joined.map_err(|_| format!("no resync within {JOIN_TIME:?}"))?
    }

    /// Sends by the plan, then waits for the echoes that are due; gives how many did not come.
    ///
    /// Errors: the connection failed, in words.
    pub(super) async fn play(&mut self, plan: &Plan, begin: Instant) -> Result<u64, String> {
        let end = begin + plan.warm_up + plan.time;
        let played = match plan.pace {
            Pace::InFlight(most) => match timeout_at(end, self.fly(begin, most)).await {
                Ok(failed) => failed,
                Err(_) => Ok(()),
            },
            Pace::Rate(rate) => self.keep_time(plan, rate, begin, end).await,
        };
        let document = Rc::clone(&self.document);
        document.senders.set(document.senders.get() - 1);
        played?;
        let drained = Instant::now() + DRAIN_TIME;
        while (document.senders.get() > 0 || self.seen.echoes < document.sent.get())
            && Instant::now() < drained
        {
            if let Ok(turn) = timeout(LOOK, self.turn(begin)).await {
                turn?;
            }
        }
        Ok(document.sent.get().saturating_sub(self.seen.echoes))
    }

    async fn fly(&mut self, begin: Instant, most: u64) -> Result<(), String> {
        loop {
            if self.sent - self.seen.own < most {
                let now = begin.elapsed();
                while self.sent - self.seen.own < most {
                    self.send(now);
                }
            }
            self.turn(begin).await?;
        }
    }

    /// Sends ops as they fall due, however the server does.
    async fn keep_time(
        &mut self,
        plan: &Plan,
        rate: f64,
        begin: Instant,
        end: Instant,
    ) -> Result<(), String> {
        let clients = plan.connections() as f64;
        let pause = Duration::from_secs_f64(clients / rate);
        let mut due = begin + pause.mul_f64(self.number as f64 / clients);
        loop {
            let now = Instant::now();
            while due <= now && due < end {
                let late = now - due;
                let from = if late > TICK { due } else { now };
                self.send(from - begin);
                due += pause;
            }
            let until = due.min(end);
            match timeout_at(until, self.turn(begin)).await {
                Ok(turn) => turn?,
                Err(_) if until == end => return Ok(()),
                Err(_) => {}
            }
        }
    }

    /// Queues an op whose latency counts from `from`.
    fn send(&mut self, from: Duration) {
        self.sent += 1;
        self.document.sent.set(self.document.sent.get() + 1);
        let (sent, number, at) = (self.sent, self.number, from.as_nanos());
        let (doc_id, client_id) = (&self.document.doc_id, &self.client_id);
        let lamport = self.document.characters + sent;
        self.text.clear();
        write!(
            self.text,
            "{{\"type\":\"op\",\"doc_id\":\"{doc_id}\",\"client_id\":\"{client_id}\",\
             \"client_msg_id\":\"{number}.{at}.{sent}\",\"op\":{{\"type\":\"ins\",\
             \"id\":[{lamport},\"{client_id}\"],\"value\":\"a\",\"parent_id\":"
        )
        .and_then(|()| match sent {
            1 => write!(self.text, "{}}}}}", self.place),
            _ => write!(self.text, "[{},\"{client_id}\"]}}}}", lamport - 1),
        })
        .expect("memory takes what is written");
        self.socket.queue(&self.text);
    }

    /// Writes what is queued and takes in what has come, once something has.
    async fn turn(&mut self, begin: Instant) -> Result<(), String> {
        let Self {
            socket,
            seen,
            tally,
            number,
            ..
        } = self;
        poll_fn(|cx| {
            // Looked at once for all that has come together.
            let mut now = None;
            socket.poll_turn(cx, |frame| {
                let now = *now.get_or_insert_with(|| begin.elapsed());
                seen.take(frame, *number, now, &mut tally.borrow_mut());
            })
        })
        .await
        .map_err(|error| error.to_string())
    }
}

impl Seen {
    fn take(&mut self, frame: &Frame<'_>, number: usize, now: Duration, tally: &mut Tally) {
        if !self.is_synced {
            // The sync ends with the resync, however many frames that has.
            let is_ack = contains(
                &frame.payload[..frame.payload.len().min(64)],
                b"\"hello_ack\"",
            );
            self.is_synced = !is_ack && frame.is_last;
            return;
        }
        let Some((from, at)) = self.origin(frame.payload) else {
            return tally.fail("a frame that is no echo of the load");
        };
        self.echoes += 1;
        let is_own = from == number as u64;
        self.own += u64::from(is_own);
        tally.echo(is_own, Duration::from_nanos(at), now);
    }

    /// Who sent the op of an echo, and when.
    fn origin(&mut self, echo: &[u8]) -> Option<(u64, u64)> {
        // Echoes of a server are alike, so the key is mostly where it was, or near.
        let near = self.key_at.saturating_sub(1)..self.key_at + 2;
        let at = near
            .into_iter()
            .find(|&at| echo.get(at..).is_some_and(|text| text.starts_with(KEY)))
            .or_else(|| echo.windows(KEY.len()).position(|text| text == KEY))?;
        self.key_at = at;
        let behind = &echo[at + KEY.len()..];
        let quote = behind.iter().position(|&byte| byte == b'"')?;
        let (number, rest) = digits(&behind[quote + 1..])?;
        let (at, _) = digits(rest.strip_prefix(b".")?)?;
        Some((number, at))
    }
}

/// The number at the beginning of a text, and what follows.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let digit =
        |number: u64, byte: &u8| number.checked_mul(10)?.checked_add(u64::from(byte - b'0'));
    let number = text[..end].iter().try_fold(0, digit)?;
    (end > 0).then_some((number, &text[end..]))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|some| some == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_says_who_and_when() {
        let mut seen = Seen::default();
        for echo in [
            r#"{"type":"op_echo","client_msg_id":"12.345.6","op":{}}"#,
            r#"{"type": "op_echo", "client_msg_id" : "12.345.6", "op": {}}"#,
        ] {
            assert_eq!(seen.origin(echo.as_bytes()), Some((12, 345)));
        }
        for other in [r#"{"type":"resync"}"#, r#"{"client_msg_id":"m-1"}"#] {
            assert_eq!(seen.origin(other.as_bytes()), None);
        }
    }
}
