//! A socket that writes all that is queued at once, and reads all that has come.
//!
//! Not the suite's own WebSocket (`wire`), which records every frame and has two tasks a connection.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use super::frame::{self, Frame};
use crate::dial::{self, Stream};
use crate::target::Target;

/// What is read at a time. All sockets of a thread share the buffer: an idle one holds none.
const READ_BYTES: usize = 64 << 10;

/// The longest head of an HTTP message that is taken.
const MOST_HEAD: usize = 16 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A connection after the upgrade.
pub(super) struct Socket {
    stream: Stream,
    /// The beginning of a frame that has not come as a whole.
    rest: Vec<u8>,
    /// What is to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// What is sent is masked with this.
    mask: Option<[u8; 4]>,
}

impl Socket {
    /// Connects and upgrades.
    ///
    /// Errors: in words, where that fails.
    pub(super) async fn open(target: &Target) -> Result<Self, String> {
        let dialled = dial::dial(target, None).await;
        let mut stream = dialled.map_err(|error| error.to_string())?;
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            target.path(),
            target.authority()
        );
        for (name, value) in target.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let asked = stream.write_all(request.as_bytes()).await;
        asked.map_err(|error| format!("the handshake can't be sent ({error})"))?;
        let (head, rest) = read_head(&mut stream)
            .await
            .map_err(|error| format!("the handshake is not answered ({error})"))?;
        match head.lines().next() {
            Some(line) if line.split(' ').nth(1) == Some("101") => {
                Ok(Self::upgraded(stream, rest, Some(frame::MASK)))
            }
            line => Err(format!(
                "the handshake is answered with `{}`",
                line.unwrap_or_default()
            )),
        }
    }

    /// A connection that is upgraded, with what has come behind the handshake.
    pub(super) fn upgraded(stream: Stream, rest: Vec<u8>, mask: Option<[u8; 4]>) -> Self {
        Self {
            stream,
            rest,
            out: Vec::new(),
            written: 0,
            mask,
        }
    }

    /// Queues a text message.
    pub(super) fn queue(&mut self, text: &[u8]) {
        frame::push(&mut self.out, frame::TEXT, text, self.mask);
    }

    /// Queues frames as they are.
    pub(super) fn queue_frames(&mut self, frames: &[u8]) {
        self.out.extend_from_slice(frames);
    }

    /// Writes what is queued, and gives the frames that have come to `take`. Ready when something came.
    ///
    /// Errors: the connection failed or has ended.
    pub(super) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&Frame<'_>),
    ) -> Poll<io::Result<()>> {
        let written = self.poll_write(cx)?;
        let read = BUFFER.with_borrow_mut(|buffer| self.poll_read(cx, buffer, &mut take))?;
        if written.is_ready() {
            // A pong may have been queued.
            let _ = self.poll_write(cx)?;
        }
        read.map(Ok)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let some = &self.out[self.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, some))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.out.clear();
        self.written = 0;
        match &self.stream {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(_) => Pin::new(&mut self.stream).poll_flush(cx),
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        take: &mut impl FnMut(&Frame<'_>),
    ) -> Poll<io::Result<()>> {
        let mut has_come = false;
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let used = self.frames(&rest, take)?;
            has_come = used > 0;
            self.rest = rest;
            self.rest.drain(..used);
        }
        loop {
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read)? {
                Poll::Pending if has_come => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {}
            }
            let came = read.filled();
            if came.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let is_full = came.len() == READ_BYTES;
            if self.rest.is_empty() {
                let used = self.frames(came, take)?;
                self.rest.extend_from_slice(&came[used..]);
            } else {
                let mut rest = std::mem::take(&mut self.rest);
                rest.extend_from_slice(came);
                let used = self.frames(&rest, take)?;
                rest.drain(..used);
                self.rest = rest;
            }
            has_come = true;
            // A buffer that is not full has emptied the socket; the next read waits.
            if !is_full {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Gives the whole frames of some bytes away; how many bytes they took.
    fn frames(&mut self, bytes: &[u8], take: &mut impl FnMut(&Frame<'_>)) -> io::Result<usize> {
        let mut used = 0;
        while let Some((frame, length)) = frame::first(&bytes[used..]) {
            used += length;
            match frame.opcode {
                frame::PING => frame::push(&mut self.out, frame::PONG, frame.payload, self.mask),
                frame::CLOSE => {
                    let why = match frame.payload {
                        [high, low, ..] if frame.mask.is_none() => {
                            format!("closed with {}", u16::from_be_bytes([*high, *low]))
                        }
                        _ => "closed".to_owned(),
                    };
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
                }
                _ => take(&frame),
            }
        }
        Ok(used)
    }
}

/// Reads up to the empty line of an HTTP message; gives the head and what came behind it.
pub(super) async fn read_head(stream: &mut Stream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if bytes.len() > MOST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
