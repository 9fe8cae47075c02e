//! The WebSocket frames of the server's messages, as bytes.
//!
//! A server masks nothing, so the frame of an echo is the same for all that get it, and is made once.
//!
//! Source: RFC 6455, 5.2.

use bytes::Bytes;
use serde::Serialize;

/// The last frame of a text message.
const TEXT: u8 = 0x81;

/// The longest head: kind, kind of length, length.
const HEAD: usize = 10;

/// Most frames are no longer than this: they are written without making room again and again.
const MOSTLY: usize = 256;

/// A message as a text frame.
pub(crate) fn text(message: &impl Serialize) -> Bytes {
    let mut frame = Vec::with_capacity(MOSTLY);
    frame.resize(HEAD, 0);
    serde_json::to_writer(&mut frame, message)
        .expect("messages have string keys and no failing types");
    let length = frame.len() - HEAD;
    let mut head = [0; HEAD];
    // The head ends where the text begins.
    let from = match length {
        0..=125 => {
            head[8..].copy_from_slice(&[TEXT, length as u8]);
            8
        }
        126..=0xffff => {
            head[6..8].copy_from_slice(&[TEXT, 126]);
            head[8..].copy_from_slice(&(length as u16).to_be_bytes());
            6
        }
        _ => {
            head[..2].copy_from_slice(&[TEXT, 127]);
            head[2..].copy_from_slice(&(length as u64).to_be_bytes());
            0
        }
    };
    frame[..HEAD].copy_from_slice(&head);
    Bytes::from(frame).slice(from..)
}

/// How many bytes of a text frame are its text.
pub(crate) fn text_bytes(frame: &[u8]) -> usize {
    frame.len()
        - match frame[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        }
}
