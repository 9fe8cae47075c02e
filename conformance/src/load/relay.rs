//! The null relay: fans frames out and decodes nothing. What it reaches is the floor, in cost, for any
//! server of the protocol.
//!
//! An op becomes an echo by splicing its text; only a `hello` is parsed. It is wrong as a server on
//! purpose: it checks nothing, keeps nothing and takes an op sent again for a new one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::frame;
use super::socket::{Socket, read_head};
use crate::dial::Stream;
use crate::wire;

type Rooms = Rc<RefCell<HashMap<String, Rc<Room>>>>;

#[derive(Default)]
struct Room {
    seq: Cell<u64>,
    members: RefCell<Vec<Rc<Member>>>,
}

/// What waits for a connection, as frames, and who is to be told.
#[derive(Default)]
struct Member {
    out: RefCell<Vec<u8>>,
    waker: RefCell<Option<Waker>>,
}

impl Member {
    fn give(&self, frame: &[u8]) {
        self.out.borrow_mut().extend_from_slice(frame);
        // One wakeup for all that is given until it runs.
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Serves on one thread, for as long as it is polled; belongs on a `LocalSet`.
///
/// Errors: those of accepting.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(connection(stream, Rc::clone(&rooms)));
    }
}

/// A connection to its end, of which nobody is told.
async fn connection(stream: TcpStream, rooms: Rooms) {
    let mut stream = Stream::Plain(stream);
    let Ok((head, rest)) = read_head(&mut stream).await else {
        return;
    };
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_key = name.eq_ignore_ascii_case("sec-websocket-key");
        is_key.then(|| value.trim().to_owned())
    });
    let answer = match &key {
        Some(key) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            wire::accept_key(key.as_bytes())
        ),
        None => "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
    };
    if stream.write_all(answer.as_bytes()).await.is_err() || key.is_none() {
        return;
    }
    let member = Rc::new(Member::default());
    let mut socket = Socket::upgraded(stream, rest, None);
    let mut room: Option<Rc<Room>> = None;
    let (mut text, mut echo) = (Vec::new(), Vec::new());
    poll_fn(|cx| {
        loop {
            socket.queue_frames(&member.out.borrow());
            member.out.borrow_mut().clear();
            let turn = socket.poll_turn(cx, |frame| {
                text.clear();
                text.extend_from_slice(frame.payload);
                if let Some(mask) = frame.mask {
                    frame::unmask(&mut text, mask);
                }
                match &room {
                    None => room = join(&rooms, &member, &text),
                    Some(room) => fan_out(room, &text, &mut echo),
                }
            });
            match turn {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending if member.out.borrow().is_empty() => {
                    *member.waker.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
        }
    })
    .await;
    if let Some(room) = room {
        let mut members = room.members.borrow_mut();
        members.retain(|other| !Rc::ptr_eq(other, &member));
    }
}

/// Answers a `hello`; gives the room.
fn join(rooms: &Rooms, member: &Rc<Member>, hello: &[u8]) -> Option<Rc<Room>> {
    let hello: Value = serde_json::from_slice(hello).ok()?;
    let doc_id = hello["doc_id"].as_str()?;
    let room = Rc::clone(rooms.borrow_mut().entry(doc_id.to_owned()).or_default());
    let seq = room.seq.get();
    let ack = json!({"type": "hello_ack", "doc_id": doc_id, "server_seq": seq});
    let resync = json!({"type": "resync", "doc_id": doc_id, "server_seq": seq, "full_text": ""});
    for message in [ack, resync] {
        let mut out = Vec::new();
        frame::push(&mut out, frame::TEXT, message.to_string().as_bytes(), None);
        member.give(&out);
    }
    room.members.borrow_mut().push(Rc::clone(member));
    Some(room)
}

fn fan_out(room: &Room, op: &[u8], echo: &mut Vec<u8>) {
    room.seq.set(room.seq.get() + 1);
    echo.clear();
    if splice(op, room.seq.get(), echo).is_none() {
        return;
    }
    let mut framed = Vec::with_capacity(echo.len() + 10);
    frame::push(&mut framed, frame::TEXT, echo, None);
    for member in room.members.borrow().iter() {
        member.give(&framed);
    }
}

/// Makes an op's text that of its echo; nothing for other texts.
fn splice(op: &[u8], seq: u64, echo: &mut Vec<u8>) -> Option<()> {
    const CLIENT: &[u8] = b"\"client_id\"";
    let rest = op.strip_prefix(b"{\"type\":\"op\",")?;
    let client = rest.windows(CLIENT.len()).position(|text| text == CLIENT)?;
    io::Write::write_fmt(
        echo,
        format_args!("{{\"type\":\"op_echo\",\"server_seq\":{seq},"),
    )
    .ok()?;
    echo.extend_from_slice(&rest[..client]);
    echo.extend_from_slice(b"\"origin_");
    echo.extend_from_slice(&rest[client + 1..]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_becomes_its_echo() {
        let op = br#"{"type":"op","doc_id":"d","client_id":"A","client_msg_id":"m","op":{"type":"del","id":[1,"A"]}}"#;
        let mut echo = Vec::new();
        splice(op, 7, &mut echo).unwrap();
        let echo: Value = serde_json::from_slice(&echo).unwrap();
        let due = json!({"type": "op_echo", "server_seq": 7, "doc_id": "d", "origin_client_id": "A",
            "client_msg_id": "m", "op": {"type": "del", "id": [1, "A"]}});
        assert_eq!(echo, due);
    }
}
