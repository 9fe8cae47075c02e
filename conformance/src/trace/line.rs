//! An event as a line of captured traffic, and back.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use collab_spec::report::{FrameReport, Sender};
use collab_spec::trace::{TraceKind, TraceLine};

use super::{Received, ServerEvent, What};

/// Codes that stand in no close frame: a library's way to say that none came.
const PSEUDO_CODES: [u16; 2] = [1006, 1015];

/// The line of an event that a report has in these words.
pub(super) fn written(frame: FrameReport, what: &What) -> TraceLine {
    let base64 = |bytes: &[u8]| Some(BASE64_STANDARD.encode(bytes));
    let mut line = TraceLine {
        at_us: frame.at_us,
        connection: frame.connection,
        from: frame.from,
        kind: what.kind(),
        content: Some(frame.content),
        text: None,
        base64: None,
        code: None,
        reason: None,
    };
    match what {
        What::SentText { text, fragments } if *fragments != 1 => line.text = Some(text.to_string()),
        What::SentBytes { bytes, .. } | What::Binary(bytes) => line.base64 = base64(bytes),
        What::SentPing(bytes) | What::SentPong(bytes) | What::Pong(bytes) => {
            line.base64 = base64(bytes);
        }
        What::SentClose { code } => line.code = Some(*code),
        What::Close { code, reason } => {
            line.code = Some(*code).filter(|code| *code != 1005);
            line.reason = Some(reason.clone()).filter(|reason| !reason.is_empty());
        }
        What::Server(event) => line.text = Some(word(*event).to_owned()),
        _ => {}
    }
    line
}

fn word(event: ServerEvent) -> &'static str {
    match event {
        ServerEvent::Terminated => "terminated",
        ServerEvent::Killed => "killed",
        ServerEvent::Restarted => "restarted",
    }
}

/// The event that a line tells; nothing where it is none that anybody judges.
///
/// Errors: what is wrong with the line.
pub fn read(line: TraceLine) -> Result<Option<What>, String> {
    let is_of_a_connection = !matches!(line.kind, TraceKind::Server | TraceKind::Http);
    if is_of_a_connection && line.connection.is_empty() {
        return Err("`connection` is missing".to_owned());
    }
    let content = line.content.unwrap_or_default();
    let bytes = line.base64.map(|text| {
        let bytes = BASE64_STANDARD.decode(text);
        bytes.map_err(|error| format!("`base64` can't be read: {error}"))
    });
    let bytes = bytes.transpose()?;
    let what = match (line.from, line.kind) {
        (_, TraceKind::Http) => return Ok(None),
        (_, TraceKind::Open) => What::Opened,
        (Sender::Client, TraceKind::Text) => match (bytes, line.text) {
            (Some(bytes), _) => What::SentBytes {
                text: true,
                bytes: bytes.into(),
            },
            (None, text) => What::SentText {
                text: text.unwrap_or(content).into(),
                fragments: 1,
            },
        },
        (Sender::Server, TraceKind::Text) => match (bytes, line.text) {
            (Some(_), _) => What::WebSocketError("a text message came that is not UTF-8".into()),
            (None, text) => What::Text(Arc::new(Received::new(text.unwrap_or(content)))),
        },
        (Sender::Client, TraceKind::Binary) => What::SentBytes {
            text: false,
            bytes: bytes.unwrap_or_default().into(),
        },
        (Sender::Server, TraceKind::Binary) => What::Binary(bytes.unwrap_or_default().into()),
        (Sender::Client, TraceKind::Ping) => What::SentPing(bytes.unwrap_or_default()),
        (Sender::Client, TraceKind::Pong) => What::SentPong(bytes.unwrap_or_default()),
        (Sender::Server, TraceKind::Pong) => What::Pong(bytes.unwrap_or_default()),
        (Sender::Server, TraceKind::Ping) => return Ok(None),
        (from, TraceKind::Close) => match (from, line.code.unwrap_or(1005)) {
            (_, code) if PSEUDO_CODES.contains(&code) => What::Ended { error: None },
            (Sender::Client, code) => What::SentClose { code },
            (Sender::Server, code) => What::Close {
                code,
                reason: line.reason.unwrap_or_default(),
            },
        },
        (Sender::Client, TraceKind::End) => What::Dropped,
        (Sender::Server, TraceKind::End) => What::Ended { error: None },
        (Sender::Client, TraceKind::Error) => What::NotSent(content),
        (Sender::Server, TraceKind::Error) => What::WebSocketError(content),
        (_, TraceKind::Pause) => What::ReadingStopped,
        (_, TraceKind::Resume) => What::ReadingResumed,
        (_, TraceKind::Server) => What::Server(server_event(line.text.as_deref())?),
    };
    Ok(Some(what))
}

/// Whether a line of a message says what the message is.
pub fn has_message(line: &TraceLine) -> bool {
    line.kind != TraceKind::Text
        || line.content.is_some()
        || line.text.is_some()
        || line.base64.is_some()
}

fn server_event(word: Option<&str>) -> Result<ServerEvent, String> {
    match word {
        Some("terminated") => Ok(ServerEvent::Terminated),
        Some("killed") => Ok(ServerEvent::Killed),
        Some("restarted") => Ok(ServerEvent::Restarted),
        _ => Err("`text` of a `server` line is terminated, killed or restarted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trace::Trace;

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let events = [
            What::Opened,
            What::SentText {
                text: "a (in 2 WebSocket frames)".into(),
                fragments: 3,
            },
            What::SentBytes {
                text: true,
                bytes: vec![0xff; 100].into(),
            },
            What::SentBytes {
                text: false,
                bytes: vec![0, 1].into(),
            },
            What::SentPing(vec![7; 126]),
            What::SentPong(vec![0, 7]),
            What::SentClose { code: 3000 },
            What::Text(Arc::new(Received::new("{}"))),
            What::Binary(vec![9; 65].into()),
            What::Close {
                code: 1008,
                reason: "protocol: \"no\"".to_owned(),
            },
            What::Close {
                code: 1005,
                reason: String::new(),
            },
            What::Dropped,
            What::ReadingStopped,
            What::Server(ServerEvent::Restarted),
        ];
        let mut trace = Trace::new("d");
        let on = trace.add_connection("A");
        for what in events.clone() {
            let connection = (!matches!(what, What::Server(_))).then_some(on);
            trace.push(Duration::ZERO, connection, what);
        }
        let text = trace.json_lines();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let read: Vec<What> = lines.map(|line| read(line).unwrap().unwrap()).collect();
        let plain = |what: &What| match what {
            What::SentText { text, .. } => format!("{text:?}"),
            what => format!("{what:?}"),
        };
        let plain = |all: &[What]| all.iter().map(plain).collect::<Vec<_>>();
        assert_eq!(plain(&read), plain(&events));
    }
}
