//! The frames of what is sent.

use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, coding::CloseCode};

use super::Outgoing;
use crate::trace::What;

/// A compressed message in so many frames at most.
pub(super) fn compressed(message: &[u8], count: usize) -> Vec<Message> {
    let parts = message.chunks(message.len().div_ceil(count.max(1)).max(1));
    let mut frames = fragments(parts);
    if let Some(Message::Frame(first)) = frames.first_mut() {
        first.header_mut().rsv1 = true;
    }
    frames
}

/// The frames of a text message, one for each part.
fn fragments<'a>(parts: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Message> {
    let last = parts.len().saturating_sub(1);
    let frame = |(index, part)| {
        let kind = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let bytes = Bytes::copy_from_slice(part);
        Message::Frame(Frame::message(bytes, OpCode::Data(kind), index == last))
    };
    parts.enumerate().map(frame).collect()
}

/// What is put into the trace of a message, and its frames.
pub(super) fn of(outgoing: Outgoing) -> (What, Vec<Message>) {
    match outgoing {
        Outgoing::Text(text) => {
            let message = Message::text(text.as_ref());
            (What::SentText { text, fragments: 1 }, vec![message])
        }
        Outgoing::Fragments(parts) => {
            let frames = fragments(parts.iter().map(Vec::as_slice));
            (
                What::SentText {
                    text: String::from_utf8_lossy(&parts.concat()).into(),
                    fragments: parts.len(),
                },
                frames,
            )
        }
        Outgoing::Bytes { text, bytes } => {
            let kind = if text { Data::Text } else { Data::Binary };
            let payload = Bytes::copy_from_slice(&bytes);
            let frame = Message::Frame(Frame::message(payload, OpCode::Data(kind), true));
            (What::SentBytes { text, bytes }, vec![frame])
        }
        Outgoing::Begun(bytes) => {
            let payload = Bytes::copy_from_slice(&bytes);
            let frame = Message::Frame(Frame::message(payload, OpCode::Data(Data::Text), false));
            (What::SentBytes { text: true, bytes }, vec![frame])
        }
        Outgoing::Ping(data) => (
            What::SentPing(data.clone()),
            vec![Message::Ping(data.into())],
        ),
        Outgoing::Pong(data) => (
            What::SentPong(data.clone()),
            vec![Message::Pong(data.into())],
        ),
        Outgoing::Close(code) => {
            let frame = CloseFrame {
                code: code.into(),
                reason: "".into(),
            };
            let frame = (code != u16::from(CloseCode::Status)).then_some(frame);
            (What::SentClose { code }, vec![Message::Close(frame)])
        }
    }
}
