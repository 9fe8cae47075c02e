//! The bytes of a client as a faulty server reads them, and its own as it writes them, below what its
//! WebSocket library does right.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Fault;

/// A connection of which the first byte of each frame may be read wrongly.
pub(super) struct Altered {
    stream: TcpStream,
    fault: Option<Fault>,
    /// Whether a text message has come in part.
    begun: Arc<AtomicBool>,
    place: Place,
    /// What is still to be written, where it is not what the library wrote.
    written: Vec<u8>,
}

/// What the next byte of the client is.
#[derive(Clone, Copy)]
enum Place {
    /// One of the request, so many bytes into the empty line that ends it.
    Request(usize),
    First,
    Length,
    /// The length of a close frame.
    LengthOfClose,
    /// One of a longer length, of which so many are left.
    More(u8, u64),
    /// One of the mask and the payload.
    Rest(u64),
}

const MASK: u64 = 4;

impl Altered {
    pub(super) fn new(stream: TcpStream, fault: Option<Fault>, begun: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            fault,
            begun,
            place: Place::Request(0),
            written: Vec::new(),
        }
    }

    /// Writes what is left to write.
    fn write_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.written.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.written))?;
            self.written.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn read(&mut self, byte: &mut u8) {
        self.place = match self.place {
            Place::Request(matched) if *byte == b"\r\n\r\n"[matched] => match matched {
                3 => Place::First,
                _ => Place::Request(matched + 1),
            },
            Place::Request(_) => Place::Request(usize::from(*byte == b'\r')),
            Place::First => {
                *byte = self.first(*byte);
                match *byte & 0x0f {
                    8 => Place::LengthOfClose,
                    _ => Place::Length,
                }
            }
            Place::LengthOfClose
                if *byte & 0x7f == 0 && matches!(self.fault, Some(Fault::EmptyCloseUnanswered)) =>
            {
                // A longer length, of which nothing comes.
                *byte |= 126;
                Place::Rest(MASK)
            }
            Place::Length | Place::LengthOfClose => match *byte & 0x7f {
                126 => Place::More(2, 0),
                127 => Place::More(8, 0),
                length => Place::Rest(MASK + u64::from(length)),
            },
            Place::More(left, value) => {
                let value = value << 8 | u64::from(*byte);
                match left {
                    1 => Place::Rest(MASK + value),
                    _ => Place::More(left - 1, value),
                }
            }
            Place::Rest(1) => Place::First,
            Place::Rest(left) => Place::Rest(left - 1),
        };
    }

    /// The bit FIN and the kind of a frame: 0 goes on, 1 is text, 9 a ping, 10 a pong.
    fn first(&self, byte: u8) -> u8 {
        match (self.fault, byte & 0x0f) {
            (Some(Fault::FragmentsApart), 0 | 1) => 0x81,
            (Some(Fault::PingUnanswered), 9) => 0x8a,
            (Some(Fault::HelloPartForEver), 1) if byte == 1 => {
                self.begun.store(true, Ordering::SeqCst);
                byte
            }
            _ => byte,
        }
    }
}

impl AsyncRead for Altered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(
            self.fault,
            Some(
                Fault::FragmentsApart
                    | Fault::PingUnanswered
                    | Fault::HelloPartForEver
                    | Fault::EmptyCloseUnanswered
            )
        ) {
            for byte in &mut buffer.filled_mut()[before..] {
                self.read(byte);
            }
        }
        polled
    }
}

impl AsyncWrite for Altered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.fault, Some(Fault::PongsCut)) && bytes[0] & 0x0f == 10 {
            ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        if !matches!(self.fault, Some(Fault::ShortLengthsLong)) || bytes.starts_with(b"HTTP") {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        // The library writes whole frames.
        let mut rest = bytes;
        while let &[first, length, ..] = rest {
            let frame = match length {
                126 => 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])),
                127 => rest.len(),
                length => 2 + usize::from(length),
            };
            let from = match length {
                126.. => 0,
                _ => {
                    self.written.extend([first, 126, 0, length]);
                    2
                }
            };
            self.written.extend(&rest[from..frame]);
            rest = &rest[frame..];
        }
        match self.write_on(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_on(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
