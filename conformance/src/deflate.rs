//! `permessage-deflate`: what a server agreed to, and messages compressed and inflated by it.
//!
//! Source: RFC 7692, section 7. Deliberately absent: sockets (see `wire`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, ReadBuf};

use crate::framing::{Frames, head_of, writes_through};

const NAME: &str = "permessage-deflate";

/// The window that is used where nobody has said how large it may be, as a power of two in bytes.
const WINDOW_BITS: u8 = 15;

/// What ends a message and is not sent (7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// That a message is compressed, in the first byte of its first frame.
const RSV1: u8 = 0x40;
const FIN: u8 = 0x80;
/// In the opcode of a frame that may come amid a message.
const CONTROL: u8 = 8;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// In the second byte of a frame.
const MASKED: u8 = 0x80;

/// What a server agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Whether a message of the client may refer to those before it.
    takeover: bool,
    /// How far back it may refer, as a power of two in bytes.
    window_bits: u8,
}

impl Agreed {
    /// Reads the header `Sec-WebSocket-Extensions` of an answer, and of the request what it offered.
    ///
    /// Errors: why a client must fail the connection.
    pub(crate) fn read(offer: Option<&str>, answer: Option<&str>) -> Result<Option<Self>, String> {
        let Some(answer) = answer else {
            return Ok(None);
        };
        let wrong = |why: &str| Err(format!("its Sec-WebSocket-Extensions, `{answer}`, {why}"));
        let Some(offer) = offer else {
            return wrong("agrees to what nobody offered");
        };
        let mut parts = answer.split(';').map(str::trim);
        if parts.next() != Some(NAME) || !offer.split([';', ',']).any(|part| part.trim() == NAME) {
            return wrong("agrees to what nobody offered");
        }
        // Who offers it keeps to it, whatever the answer says (7.1.1.2).
        let alone = "client_no_context_takeover";
        let mut agreed = Self {
            takeover: !offer.split([';', ',']).any(|part| part.trim() == alone),
            window_bits: WINDOW_BITS,
        };
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            if seen.contains(&name) {
                return wrong("names a parameter twice");
            }
            seen.push(name);
            let bits = value.and_then(|value| value.parse().ok());
            let bits = bits.filter(|bits| (8..=WINDOW_BITS).contains(bits));
            match (name, value, bits) {
                ("server_no_context_takeover", None, _) => {}
                ("client_no_context_takeover", None, _) => agreed.takeover = false,
                ("server_max_window_bits", _, Some(_)) => {}
                ("client_max_window_bits", _, Some(bits)) if offer.contains(name) => {
                    agreed.window_bits = bits;
                }
                _ => return wrong("has a parameter that is not in RFC 7692, or was not offered"),
            }
        }
        Ok(Some(agreed))
    }
}

/// Compresses messages, every other one: both kinds may come on one connection (6).
#[derive(Debug)]
pub(crate) struct Deflater {
    agreed: Agreed,
    compress: Compress,
    sent: u64,
}

impl Deflater {
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self {
            agreed,
            compress: Compress::new(Compression::default(), false),
            sent: 0,
        }
    }

    /// The next message as its frames have it; nothing where it is sent as it is.
    pub(crate) fn next(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.sent += 1;
        let narrow = self.agreed.window_bits < WINDOW_BITS;
        if self.sent.is_multiple_of(2) || narrow && message.len() >> self.agreed.window_bits > 0 {
            return None;
        }
        if narrow || !self.agreed.takeover {
            self.compress.reset();
        }
        // More than the longest that can come of it: whoever fills the room is not told what is left.
        let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 256);
        let status = self
            .compress
            .compress_vec(message, &mut out, FlushCompress::Sync);
        if status.is_err() || !out.ends_with(&TAIL) {
            self.compress.reset();
            return None;
        }
        out.truncate(out.len() - TAIL.len());
        Some(out)
    }
}

/// That a server compressed a message as nobody can inflate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a compressed message can't be inflated (RFC 7692)")]
pub(crate) struct NotDeflated;

impl NotDeflated {
    /// Whether that is why an [`Inflating`] stream has failed.
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Makes frames of compressed messages into such as are not.
#[derive(Debug)]
struct Inflater {
    inflate: Decompress,
    /// What has come and is no whole frame yet.
    left: Vec<u8>,
    /// The compressed message under way: its opcode, and what has come of it.
    under_way: Option<(u8, Vec<u8>)>,
}

impl Inflater {
    fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            left: Vec::new(),
            under_way: None,
        }
    }

    /// Takes bytes, and puts out what they make up.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NotDeflated> {
        self.left.extend_from_slice(bytes);
        let mut from = 0;
        while let Some((head, payload)) = head_of(&self.left[from..]) {
            let payload = usize::try_from(payload).unwrap_or(usize::MAX);
            let Some(to) = from
                .checked_add(head)
                .and_then(|at| at.checked_add(payload))
            else {
                break;
            };
            if to > self.left.len() {
                break;
            }
            let (frame, payload) = (&self.left[from..to], &self.left[from + head..to]);
            from = to;
            let first = frame[0];
            let kind = match frame[1] & MASKED {
                0 => first & !FIN,
                // No frame of a server.
                _ => u8::MAX,
            };
            if self.under_way.is_none() && [RSV1 | TEXT, RSV1 | BINARY].contains(&kind) {
                self.under_way = Some((kind & !RSV1, payload.to_vec()));
            } else if let Some((_, message)) = self.under_way.as_mut().filter(|_| kind == 0) {
                message.extend_from_slice(payload);
            } else {
                // Of no concern here, or wrong. That the library finds, if it knows what is under way.
                if let Some((opcode, _)) = self.under_way.take_if(|_| first & CONTROL == 0) {
                    out.extend([opcode, 0]);
                }
                out.extend_from_slice(frame);
                continue;
            }
            if first & FIN > 0
                && let Some((opcode, message)) = self.under_way.take()
            {
                let inflated = self.inflate(message)?;
                out.push(FIN | opcode);
                // The longest form of a length; the frames that came have been looked at before.
                out.push(127);
                out.extend((inflated.len() as u64).to_be_bytes());
                out.extend(inflated);
            }
        }
        self.left.drain(..from);
        Ok(())
    }

    fn inflate(&mut self, mut message: Vec<u8>) -> Result<Vec<u8>, NotDeflated> {
        message.extend(TAIL);
        let mut out = Vec::new();
        let mut rest = &message[..];
        loop {
            out.reserve(4 * rest.len() + 64);
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(rest, &mut out, FlushDecompress::Sync)
                .map_err(|_| NotDeflated)?;
            let read = self.inflate.total_in() - before;
            rest = &rest[usize::try_from(read).unwrap_or(rest.len())..];
            match status {
                // A block may be said to be the last one (7.2.3.4).
                Status::StreamEnd => self.inflate.reset(false),
                _ if rest.is_empty() && out.len() < out.capacity() => return Ok(out),
                Status::BufError if out.len() < out.capacity() => return Err(NotDeflated),
                Status::Ok | Status::BufError => {}
            }
            if rest.is_empty() && status == Status::StreamEnd {
                return Ok(out);
            }
        }
    }
}

/// A stream from a server, whose compressed messages are inflated where that was agreed to.
#[derive(Debug)]
pub(crate) struct Inflating<S> {
    stream: S,
    /// The handshake, until it is over.
    handshake: Option<Frames>,
    inflater: Option<Inflater>,
    /// What is to be handed out next, from `handed` on.
    ready: Vec<u8>,
    handed: usize,
    /// What comes behind it, where it can't be inflated.
    failed: Option<NotDeflated>,
}

impl<S> Inflating<S> {
    /// Begins with the handshake. What comes behind it is kept until [`Inflating::begin`].
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            handshake: Some(Frames::new()),
            inflater: None,
            ready: Vec::new(),
            handed: 0,
            failed: None,
        }
    }

    /// The handshake is over, and what comes may be compressed or not.
    pub(crate) fn begin(&mut self, compressed: bool) {
        self.handshake = None;
        if compressed {
            self.inflater = Some(Inflater::new());
            let early = std::mem::take(&mut self.ready);
            self.take(&early);
        }
    }

    /// Takes what has come, and makes ready what is whole.
    fn take(&mut self, bytes: &[u8]) {
        match &mut self.inflater {
            Some(inflater) => self.failed = inflater.take(bytes, &mut self.ready).err(),
            None => self.ready.extend_from_slice(bytes),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inflating<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(handshake) = &mut this.handshake {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let (read, _) = handshake.read_to(0, &buf.filled()[before..]);
            this.ready.extend_from_slice(&buf.filled()[before + read..]);
            buf.set_filled(before + read);
            return Poll::Ready(Ok(()));
        }
        while this.handed == this.ready.len() {
            if let Some(failed) = this.failed {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, failed)));
            }
            this.ready.clear();
            this.handed = 0;
            if this.inflater.is_none() {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.take(chunk.filled());
        }
        let count = buf.remaining().min(this.ready.len() - this.handed);
        buf.put_slice(&this.ready[this.handed..this.handed + count]);
        this.handed += count;
        Poll::Ready(Ok(()))
    }
}

writes_through!(Inflating);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const ALL: Agreed = Agreed {
        takeover: true,
        window_bits: WINDOW_BITS,
    };

    #[test]
    fn an_answer_agrees_to_what_was_offered() {
        fn read(offer: Option<&str>, answer: &str) -> Result<Option<Agreed>, String> {
            Agreed::read(offer, Some(answer))
        }
        let deflate = Some("permessage-deflate");
        let wide = Some("other, permessage-deflate; client_max_window_bits");
        assert_eq!(Agreed::read(deflate, None), Ok(None));
        assert_eq!(read(deflate, "permessage-deflate"), Ok(Some(ALL)));
        let narrow = Agreed {
            takeover: false,
            window_bits: 12,
        };
        let answer = "permessage-deflate; client_no_context_takeover;client_max_window_bits=\"12\"";
        assert_eq!(read(wide, answer), Ok(Some(narrow)));
        let alone = Agreed {
            takeover: false,
            ..ALL
        };
        let offer = Some("permessage-deflate; client_no_context_takeover");
        assert_eq!(read(offer, "permessage-deflate"), Ok(Some(alone)));
        let answer = "permessage-deflate; server_max_window_bits=10; server_no_context_takeover";
        assert_eq!(read(deflate, answer), Ok(Some(ALL)));

        assert!(read(None, "permessage-deflate").is_err());
        assert!(read(Some("other"), "permessage-deflate").is_err());
        for parameters in [
            "client_max_window_bits=12",
            "server_max_window_bits=16",
            "server_max_window_bits",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "other",
        ] {
            let answer = format!("permessage-deflate; {parameters}");
            assert!(read(deflate, &answer).is_err(), "{answer}");
        }
    }

    /// A frame of a server.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u64;
        [&[first, 127], &length.to_be_bytes()[..], payload].concat()
    }

    /// What comes out of a stream of these bytes.
    async fn inflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = Inflating::new(bytes);
        stream.begin(true);
        let mut out = Vec::new();
        stream.read_to_end(&mut out).await.map(|_| out)
    }

    #[tokio::test]
    async fn what_is_compressed_comes_out_as_it_was() {
        let texts = ["", "a", "the same again", "the same again"].map(str::to_owned);
        let noise: String = (0..90_000_u32)
            .map(|n| char::from(33 + (n * n % 89) as u8))
            .collect();
        for agreed in [
            ALL,
            Agreed {
                takeover: false,
                window_bits: 9,
            },
        ] {
            let mut deflater = Deflater::new(agreed);
            let (mut sent, mut wanted) = (Vec::new(), Vec::new());
            for text in texts.iter().chain([&noise]).cycle().take(15) {
                wanted.extend(frame(0x81, text.as_bytes()));
                let Some(message) = deflater.next(text.as_bytes()) else {
                    sent.extend(frame(0x81, text.as_bytes()));
                    continue;
                };
                let (head, tail) = message.split_at(message.len() / 3);
                sent.extend(frame(0x41, head));
                // A ping in its midst goes before it.
                sent.extend(frame(0x89, b"ping"));
                let at = wanted.len() - frame(0x81, text.as_bytes()).len();
                wanted.splice(at..at, frame(0x89, b"ping"));
                sent.extend(frame(0x00, &[]));
                sent.extend(frame(0x80, tail));
            }
            assert!(inflated(&sent).await.unwrap() == wanted, "{agreed:?}");
            assert!(!agreed.takeover || sent.len() < wanted.len());
        }
    }

    /// Whatever a block holds when the text ends, all of it comes out.
    #[tokio::test]
    async fn what_does_not_get_shorter_comes_out_whole() {
        let mut numbers = crate::numbers::Numbers::new(1);
        let noise: Vec<u8> = (0..70_000)
            .map(|_| b'!' + numbers.below(90) as u8)
            .collect();
        for length in [1, 300, 31_744, 31_745, 31_800, 32_002, 65_536, 70_000] {
            let mut deflater = Deflater::new(ALL);
            let text = &noise[..length];
            let message = deflater.next(text).unwrap();
            assert!(deflater.next(text).is_none());
            let again = deflater.next(text).unwrap();
            let sent = [frame(0xc1, &message), frame(0xc1, &again)].concat();
            let wanted = [frame(0x81, text), frame(0x81, text)].concat();
            assert!(inflated(&sent).await.unwrap() == wanted, "{length}");
        }
    }

    #[tokio::test]
    async fn what_comes_with_the_handshake_comes_behind_it() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let ping = frame(0x89, b"ping");
        let mut deflater = Deflater::new(ALL);
        let message = frame(0xc1, &deflater.next(b"text").unwrap());
        let sent = [&answer[..], &ping, &message].concat();
        // The first read ends in the ping.
        let (first, rest) = sent.split_at(answer.len() + 3);
        for compressed in [true, false] {
            let mut stream = Inflating::new(first.chain(rest));
            let mut head = vec![0; 1_000];
            let read = stream.read(&mut head).await.unwrap();
            assert_eq!(head[..read], answer[..]);
            stream.begin(compressed);
            let mut out = Vec::new();
            stream.read_to_end(&mut out).await.unwrap();
            let text = match compressed {
                true => frame(0x81, b"text"),
                false => message.clone(),
            };
            assert_eq!(out, [ping.clone(), text].concat());
        }
    }

    /// What the library is to find wrong reaches it, and as something wrong.
    #[tokio::test]
    async fn broken_rules_are_handed_on() {
        let message = Deflater::new(ALL).next(b"text").unwrap();
        let begun = frame(0x41, &message);
        let other = frame(0x81, b"other");
        let out = inflated(&[begun.clone(), other.clone()].concat()).await;
        assert_eq!(out.unwrap(), [&[1, 0], &other[..]].concat());
        let mut masked = frame(0x80, b"");
        masked[1] |= MASKED;
        masked.extend([0; 4]);
        let out = inflated(&[begun, masked.clone()].concat()).await;
        assert_eq!(out.unwrap(), [&[1, 0], &masked[..]].concat());
        for first in [0xf1, 0xc0, 0xc9] {
            let wrong = frame(first, &message);
            assert_eq!(inflated(&wrong).await.unwrap(), wrong);
        }
        // What was right before it comes first.
        let right = frame(0xc1, &message);
        let sent = [right, frame(0xc1, &[0x06])].concat();
        let mut stream = Inflating::new(&sent[..]);
        stream.begin(true);
        let mut out = vec![0; 100];
        let read = stream.read(&mut out).await.unwrap();
        assert_eq!(out[..read], frame(0x81, b"text"));
        assert!(stream.read(&mut out).await.is_err());
    }

    #[tokio::test]
    async fn a_last_block_may_be_said_to_be_the_last() {
        // RFC 7692, 7.2.3.4: "Hello".
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        let twice = [frame(0xc1, &hello), frame(0xc1, &hello)].concat();
        let wanted = [frame(0x81, b"Hello"), frame(0x81, b"Hello")].concat();
        assert_eq!(inflated(&twice).await.unwrap(), wanted);
    }

    #[tokio::test]
    async fn what_can_not_be_inflated_is_an_error() {
        // Kinds of blocks that there are not.
        for wrong in [&[0x06][..], &[0xff, 0xff, 0xff]] {
            let error = inflated(&frame(0xc1, wrong)).await.unwrap_err();
            assert!(NotDeflated::is_in(&error), "{wrong:?}: {error}");
        }
    }
}
