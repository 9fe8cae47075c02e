//! The TCP and TLS connection below a WebSocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::target::Target;

/// Why a WebSocket could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No connection: the name is unknown, nobody listens, or TLS fails.
    #[error("{0}")]
    NoConnection(String),
    /// A connection, but no WebSocket on it.
    #[error("{0}")]
    NoWebSocket(String),
    /// Neither yet, when the time of the whole case was over: nothing is said of the server.
    #[error("the case's time is over")]
    OutOfTime,
}

/// A TCP connection, encrypted or not.
pub(crate) enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to the target, with a receive buffer of the size given.
pub(crate) async fn dial(target: &Target, receive_bytes: Option<u32>) -> Result<Stream, OpenError> {
    let host = target.host();
    let addresses: Vec<_> = match target.proxy() {
        Some(proxy) => vec![proxy],
        None => lookup_host((host, target.port()))
            .await
            .map_err(|error| no_connection(format!("the name {host} is not known ({error})")))?
            .collect(),
    };
    let mut last = format!("the name {host} has no address");
    for address in addresses {
        match connect(address, receive_bytes).await {
            Ok(stream) if target.tls() => return encrypt(target, stream).await,
            Ok(stream) => return Ok(Stream::Plain(stream)),
            Err(error) => last = format!("{address} does not take connections ({error})"),
        }
    }
    Err(no_connection(last))
}

fn no_connection(why: String) -> OpenError {
    OpenError::NoConnection(why)
}

async fn connect(
    address: std::net::SocketAddr,
    receive_bytes: Option<u32>,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(bytes) = receive_bytes {
        // Before connecting, since TCP agrees on its window's scale there.
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn encrypt(target: &Target, stream: TcpStream) -> Result<Stream, OpenError> {
    let failed = |error: &dyn std::fmt::Display| no_connection(format!("TLS failed: {error}"));
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for certificate in target.authorities() {
        roots
            .add(certificate.clone())
            .map_err(|error| failed(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(target.host().to_owned()).map_err(|error| failed(&error))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| {
            failed(&format_args!(
                "{error} (--ca-file takes a certificate of your own)"
            ))
        })?;
    Ok(Stream::Tls(Box::new(stream)))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
