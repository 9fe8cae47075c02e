//! A GET request beside the WebSocket's address. The only user of `ureq`.

use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::target::Target;

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

/// Makes a GET request: the status and the body.
///
/// Errors: why no answer came.
pub async fn get(target: &Target, path: &str, within: Duration) -> Result<(u16, String), String> {
    let page = page(target, path, within).await?;
    Ok((page.status, page.body))
}

/// Makes a GET request.
///
/// Errors: why no answer came.
pub async fn page(target: &Target, path: &str, within: Duration) -> Result<Page, String> {
    let url = target.http_url(path);
    let headers = target.headers().to_vec();
    let tls = tls(target);
    // A thread that blocks; its own deadline ends it.
    tokio::task::spawn_blocking(move || request(&url, &headers, tls, within))
        .await
        .map_err(|error| error.to_string())?
}

fn tls(target: &Target) -> TlsConfig {
    let own: Vec<Certificate<'static>> = target
        .authorities()
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    let roots = match own.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&own),
    };
    TlsConfig::builder().root_certs(roots).build()
}

fn request(
    url: &str,
    headers: &[(String, String)],
    tls: TlsConfig,
    within: Duration,
) -> Result<Page, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(within))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .build();
    let mut request = ureq::Agent::new_with_config(config).get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = request.call().map_err(|error| error.to_string())?;
    let body = response
        .body_mut()
        .read_to_string()
        .map_err(|error| error.to_string())?;
    let server = response.headers().get("server");
    Ok(Page {
        status: response.status().as_u16(),
        server: server.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
        body,
    })
}
