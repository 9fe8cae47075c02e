//! The handshake of a connection of the toy, and how long its messages may be.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::altered::Altered;
use super::{Fault, runs};

/// Makes a WebSocket of a connection.
pub(super) async fn accept(
    stream: TcpStream,
    fault: Option<Fault>,
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
    let look = |request: &Request, response: Response| match request.headers().get("connection") {
        Some(header) if exact && header != "Upgrade" => Err(ErrorResponse::new(None)),
        _ => Ok(response),
    };
    let stream = Altered::new(stream, fault);
    accept_hdr_async_with_config(stream, look, Some(config)).await
}
