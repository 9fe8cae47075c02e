//! As much of RFC 6455 as a load needs: where a frame begins and ends.
//!
//! Deliberately absent: any check of what the other side sends; that is the suite's work elsewhere.

pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// What a client masks with. One key for all spares random numbers, and costs a server as much.
pub(super) const MASK: [u8; 4] = [0x51, 0x0d, 0xc3, 0x2a];

/// A frame as it lies in a buffer.
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    /// Whether its message ends with it.
    pub(super) is_last: bool,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) payload: &'a [u8],
}

/// The frame at the beginning of some bytes and its length; nothing where it is not there as a whole.
pub(super) fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (&[head, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        length => (usize::from(length), rest),
    };
    let (mask, rest) = match second & 0x80 {
        0 => (None, rest),
        _ => rest
            .split_first_chunk()
            .map(|(mask, rest)| (Some(*mask), rest))?,
    };
    let payload = rest.get(..length)?;
    let frame = Frame {
        opcode: head & 0x0f,
        is_last: head & 0x80 != 0,
        mask,
        payload,
    };
    Some((frame, bytes.len() - rest.len() + length))
}

/// Appends a frame that is a whole message.
pub(super) fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let mask_bit = u8::from(mask.is_some()) << 7;
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..126 => out.push(mask_bit | length as u8),
        length @ 126..0x1_0000 => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
    let from = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        unmask(&mut out[from..], mask);
    }
}

/// Masks, or takes a mask off.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for chunk in payload.chunks_mut(4) {
        for (byte, key) in chunk.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_again() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_001] {
            for mask in [None, Some(MASK)] {
                let payload: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
                let mut bytes = Vec::new();
                push(&mut bytes, TEXT, &payload, mask);
                let whole = bytes.len();
                assert!(first(&bytes[..whole - 1]).is_none());
                push(&mut bytes, PING, b"x", mask);
                let (frame, taken) = first(&bytes).unwrap();
                assert_eq!((taken, frame.opcode, frame.is_last), (whole, TEXT, true));
                let mut found = frame.payload.to_vec();
                if let Some(mask) = frame.mask {
                    unmask(&mut found, mask);
                }
                assert_eq!((found, frame.mask), (payload, mask));
            }
        }
    }
}
