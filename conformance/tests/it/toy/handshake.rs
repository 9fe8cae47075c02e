//! The handshake of a connection of the toy, and how long its messages may be.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::altered::Altered;
use super::{Fault, runs};

const EXTENSIONS: &str = "sec-websocket-extensions";

/// Makes a WebSocket of a connection; `begun` tells whether a text message of it has come in part.
pub(super) async fn accept(
    stream: TcpStream,
    fault: Option<Fault>,
    begun: &Arc<AtomicBool>,
) -> Result<WebSocketStream<Altered>, Error> {
    let limit = match fault {
        Some(Fault::TooBigTaken) => None,
        Some(Fault::SmallLimit) => Some(32 << 10),
        Some(Fault::LimitOf64M) => Some(64 << 20),
        _ => Some(runs::MAX_MESSAGE),
    };
    let config = WebSocketConfig::default()
        .max_message_size(limit)
        .max_frame_size(limit);
    let exact = fault == Some(Fault::ConnectionExact);
    #[allow(clippy::result_large_err, reason = "the library wants it so")]
    let look = |request: &Request, mut response: Response| {
        let connection = request.headers().get("connection");
        if exact && connection.is_none_or(|header| header != "Upgrade") {
            return Err(ErrorResponse::new(None));
        }
        let compresses = match fault {
            Some(Fault::AgreesUnasked) => true,
            Some(Fault::AgreesToCompression) => request.headers().contains_key(EXTENSIONS),
            _ => false,
        };
        if compresses {
            let value = HeaderValue::from_static("permessage-deflate");
            response.headers_mut().insert(EXTENSIONS, value);
        }
        Ok(response)
    };
    let stream = Altered::new(stream, fault, Arc::clone(begun));
    accept_hdr_async_with_config(stream, look, Some(config)).await
}
