//! Where WebSocket frames end in a stream of bytes: headers and lengths of RFC 6455, no more.

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
pub(super) struct Frames {
    at: At,
    ended: u64,
}

impl Frames {
    /// A stream that begins with the handshake.
    pub(super) fn new() -> Self {
        Self {
            at: At::Handshake(0),
            ended: 0,
        }
    }

    /// Reads on to the end of a frame, or through all of the bytes: how many of them are up to there,
    /// and whether it is the end of that frame. 0 is the handshake.
    pub(super) fn read_to(&mut self, frame: u64, bytes: &[u8]) -> (usize, bool) {
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

/// The length of the payload, where the header is whole. Source: RFC 6455, section 5.2.
fn payload(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    let length = header[2..2 + extended].iter();
    Some(match extended {
        0 => u64::from(second & 0x7f),
        _ => length.fold(0, |length, byte| length << 8 | u64::from(*byte)),
    })
}

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
}
