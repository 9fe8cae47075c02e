//! A GET request beside the WebSocket's address. The only user of `hyper`.

use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::dial;
use crate::target::Target;

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 10 << 20;

/// What came of a GET request.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// What the server calls itself, in the header `Server`.
    pub server: Option<String>,
    /// The body.
    pub body: String,
}

/// Makes a GET request, on a connection of its own that ends with it.
///
/// Errors: why no answer came.
pub async fn get(target: &Target, path: &str) -> Result<Page, String> {
    let stream = dial::dial(target, None)
        .await
        .map_err(|error| error.to_string())?;
    let request = request(target, path).map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    // Drives the connection until this function is left.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| words(&error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|error| words(&*error))?.to_bytes();
    let server = head.headers.get("server");
    Ok(Page {
        status: head.status.as_u16(),
        server: server.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn request(target: &Target, path: &str) -> hyper::http::Result<Request<String>> {
    let mut request = Request::get(path)
        .header(HOST, target.http_host())
        .header(CONNECTION, "close");
    for (name, value) in target.headers() {
        request = request.header(name, value);
    }
    request.body(String::new())
}

/// An error and what is behind it, which `hyper` leaves out of its own words.
fn words(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", words(source)),
        None => error.to_string(),
    }
}
