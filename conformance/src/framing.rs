//! Where WebSocket frames end in a stream of bytes: headers and lengths of RFC 6455, no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Lets what is written to a stream that wraps another, its field `stream`, go to that as it is.
macro_rules! writes_through {
    ($wrapper:ident) => {
        impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for $wrapper<S> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write(cx, buf)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_shutdown(cx)
            }
        }
    };
}
pub(crate) use writes_through;

/// How far the stream has been read.
#[derive(Clone, Debug)]
enum At {
    /// In the handshake, with so many bytes of the empty line that ends it.
    Handshake(usize),
    /// In a frame's header, as far as it has come.
    Header(Vec<u8>),
    /// In a frame's payload, with so many bytes to come.
    Payload(u64),
}

/// Counts the frames of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    at: At,
    ended: u64,
    wide: Option<Wide>,
}

/// A length that takes more bytes than it needs, which some peers let pass and browsers do not.
///
/// Source: RFC 6455, section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the length of a frame, {length}, takes {bytes} bytes more than it needs")]
pub(crate) struct Wide {
    length: u64,
    bytes: usize,
}

impl Wide {
    /// Whether that is why a [`Strict`] stream has failed.
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl Frames {
    /// A stream that begins with the handshake.
    pub(crate) fn new() -> Self {
        Self {
            at: At::Handshake(0),
            ended: 0,
            wide: None,
        }
    }

    /// Reads on to the end of a frame, or through all of the bytes: how many of them are up to there,
    /// and whether it is the end of that frame. 0 is the handshake.
    pub(crate) fn read_to(&mut self, frame: u64, bytes: &[u8]) -> (usize, bool) {
        let mut read = 0;
        while read < bytes.len() {
            match &mut self.at {
                At::Handshake(matched) => {
                    let byte = bytes[read];
                    *matched = match (byte, *matched) {
                        (b'\r', 0 | 2) | (b'\n', 1 | 3) => *matched + 1,
                        (b'\r', _) => 1,
                        _ => 0,
                    };
                    read += 1;
                    if *matched == 4 {
                        self.at = At::Header(Vec::new());
                        if frame == 0 {
                            return (read, true);
                        }
                    }
                }
                At::Header(header) => {
                    header.push(bytes[read]);
                    read += 1;
                    if let Some(length) = payload(header) {
                        self.wide = self.wide.or(wide(header, length));
                        self.at = At::Payload(length);
                        if self.is_end(frame) {
                            return (read, true);
                        }
                    }
                }
                At::Payload(left) => {
                    let here =
                        (bytes.len() - read).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    read += here;
                    if self.is_end(frame) {
                        return (read, true);
                    }
                }
            }
        }
        (read, false)
    }

    /// Goes on to the next frame where this one has ended: whether it is the one asked for.
    fn is_end(&mut self, frame: u64) -> bool {
        if !matches!(self.at, At::Payload(0)) {
            return false;
        }
        self.at = At::Header(Vec::new());
        self.ended += 1;
        self.ended == frame
    }
}

/// Whether the length in a whole header takes more bytes than it needs.
fn wide(header: &[u8], length: u64) -> Option<Wide> {
    let needed = match length {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    let bytes = extended(header[1]) - needed;
    (bytes > 0).then_some(Wide { length, bytes })
}

/// How many bytes of length stand behind the second byte.
fn extended(second: u8) -> usize {
    match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// The length of the payload, where the header is whole.
fn payload(header: &[u8]) -> Option<u64> {
    head_of(header).map(|(_, payload)| payload)
}

/// The lengths of the header and of the payload of the frame that begins here, where the header is whole.
///
/// Source: RFC 6455, section 5.2.
pub(crate) fn head_of(bytes: &[u8]) -> Option<(usize, u64)> {
    let second = *bytes.get(1)?;
    let extended = extended(second);
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let head = 2 + extended + mask;
    let length = bytes.get(2..head)?[..extended].iter();
    Some((
        head,
        match extended {
            0 => u64::from(second & 0x7f),
            _ => length.fold(0, |length, byte| length << 8 | u64::from(*byte)),
        },
    ))
}

/// A stream from a server whose frames are looked at as they come: behind a frame whose length is [`Wide`]
/// it is at an end, with that as the error.
#[derive(Debug)]
pub(crate) struct Strict<S> {
    stream: S,
    frames: Frames,
}

impl<S> Strict<S> {
    /// Begins with the handshake.
    pub(crate) fn new(stream: S) -> Self {
        let frames = Frames::new();
        Self { stream, frames }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(wide) = self.frames.wide {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, wide)));
        }
        let mut read = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        while read < buf.filled().len() && self.frames.wide.is_none() {
            let next = self.frames.ended + 1;
            read += self.frames.read_to(next, &buf.filled()[read..]).0;
        }
        // What comes behind is not handed out.
        buf.set_filled(read);
        Poll::Ready(Ok(()))
    }
}

writes_through!(Strict);

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake and frames of these lengths, masked every other; with the end of each.
    fn stream(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = b"GET /ws HTTP/1.1\r\nA: b\r\r\n c\r\n\r\n".to_vec();
        let mut ends = vec![bytes.len()];
        for (index, &length) in lengths.iter().enumerate() {
            let mask = if index % 2 == 0 { 0x80 } else { 0 };
            bytes.push(0x81);
            match length {
                0..=125 => bytes.push(mask | length as u8),
                126..=65_535 => {
                    bytes.push(mask | 126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            if mask > 0 {
                bytes.extend([1, 2, 3, 4]);
            }
            bytes.extend(std::iter::repeat_n(b'\n', length));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn the_end_of_each_frame_is_found_in_chunks_of_any_size() {
        let (bytes, ends) = stream(&[0, 5, 125, 126, 65_535, 65_536, 0, 1]);
        for size in [1, 2, 3, 7, 1_000, bytes.len()] {
            for (frame, &end) in ends.iter().enumerate() {
                let mut frames = Frames::new();
                let mut read = 0;
                let found = bytes.chunks(size).any(|chunk| {
                    let (here, is_end) = frames.read_to(frame as u64, chunk);
                    read += here;
                    is_end
                });
                assert_eq!(
                    (found, read),
                    (true, end),
                    "frame {frame} in chunks of {size}"
                );
            }
            let mut frames = Frames::new();
            assert!(!bytes.chunks(size).any(|chunk| frames.read_to(99, chunk).1));
        }
    }

    #[tokio::test]
    async fn a_wide_length_ends_the_stream_behind_its_frame() {
        use tokio::io::AsyncReadExt as _;
        let (right, _) = stream(&[0, 125, 126, 65_535, 65_536]);
        let mut back = Vec::new();
        let read = Strict::new(&right[..]).read_to_end(&mut back).await;
        assert!(read.is_ok() && back == right);

        let heads: [(&[u8], u64, usize); 4] = [
            (&[0x81, 126, 0, 5], 5, 2),
            (&[0x81, 126, 0, 0], 0, 2),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 5], 5, 8),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 65_535, 6),
        ];
        for (head, length, bytes) in heads {
            let mut wrong = [&right, head].concat();
            wrong.resize(wrong.len() + length as usize, 0);
            let more = [&wrong[..], &[0x81, 0]].concat();
            let mut back = Vec::new();
            let read = Strict::new(&more[..]).read_to_end(&mut back).await;
            let error = read.unwrap_err().downcast::<Wide>().unwrap();
            assert_eq!(error, Wide { length, bytes });
            assert!(back == wrong, "{error}");
        }
    }
}
