//! A socket for frames from two sides: those that are made already, which go as they are, and what the
//! WebSocket library writes itself, pongs and closes. Neither ever stands inside a frame of the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many frames go to the system at a time.
const SLICES: usize = 64;

/// A TCP connection, and what is to go out on it before anything else is written.
pub(crate) struct Socket {
    tcp: TcpStream,
    outgoing: Outgoing,
}

/// The frames that are ready to go. They go when the socket is flushed.
#[derive(Clone, Default)]
pub(crate) struct Outgoing(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Whether the system has taken something since somebody asked.
    has_moved: bool,
}

impl Outgoing {
    /// Puts frames in. Only whole ones may be put in.
    pub(crate) fn extend(&self, frames: impl IntoIterator<Item = Bytes>) {
        self.lock().frames.extend(frames);
    }

    /// Whether some of it has gone out since this was asked last.
    pub(crate) fn has_moved(&self) -> bool {
        std::mem::take(&mut self.lock().has_moved)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, outgoing: Outgoing) -> Self {
        Self { tcp, outgoing }
    }

    /// Lets the connection be dropped with what it has not sent.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        self.tcp.set_zero_linger()
    }

    /// Writes until nothing waits.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.outgoing.lock();
        while !queue.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, frame) in slices.iter_mut().zip(&queue.frames) {
                *slice = IoSlice::new(frame);
            }
            let count = queue.frames.len().min(SLICES);
            let tcp = Pin::new(&mut self.tcp);
            let mut written = ready!(tcp.poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            queue.has_moved = true;
            while let Some(frame) = queue.frames.front_mut() {
                if written < frame.len() {
                    frame.advance(written);
                    break;
                }
                written -= frame.len();
                queue.frames.pop_front();
            }
        }
        // A replay must not cost memory for as long as the connection stays.
        queue.frames.shrink_to(SLICES);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        if written < bytes.len() {
            // The rest of a frame that has begun to go.
            let rest = Bytes::copy_from_slice(&bytes[written..]);
            self.outgoing.extend([rest]);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
