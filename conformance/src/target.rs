//! Which server is tested, and how it is reached.
//!
//! Deliberately absent: sockets (see `wire`).

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// The server under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    url: String,
    headers: Vec<(String, String)>,
    authorities: Vec<CertificateDer<'static>>,
    via: Option<SocketAddr>,
}

/// Why a URL or a header can't be used; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(String);

impl TargetError {
    pub(crate) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl Target {
    /// The target at a WebSocket URL, `ws://HOST[:PORT]/PATH` or `wss://…`.
    ///
    /// Errors: anything else, with a sentence that says what to write.
    pub fn new(url: &str) -> Result<Self, TargetError> {
        let wrong = |why: &str| {
            TargetError(format!(
                "`{url}` {why}: write ws://HOST:PORT/ws or wss://HOST/ws"
            ))
        };
        let (tls, rest) = if let Some(rest) = url.strip_prefix("ws://") {
            (false, rest)
        } else if let Some(rest) = url.strip_prefix("wss://") {
            (true, rest)
        } else {
            return Err(wrong("is not a WebSocket URL"));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err(wrong("has a fragment (#…), which WebSocket URLs have not"));
        }
        if authority.contains('@') {
            return Err(wrong("has a user name, which can't be sent; use --header"));
        }
        if !url.chars().all(|c| c.is_ascii_graphic()) {
            return Err(wrong("has characters that a URL must write as %XX"));
        }
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = split_port(authority, default_port)
            .ok_or_else(|| wrong("has a port that is not a number from 1 to 65535"))?;
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            tls,
            host,
            port,
            path,
            url: url.to_owned(),
            headers: Vec::new(),
            authorities: Vec::new(),
            via: None,
        })
    }

    /// Adds a header, written `NAME=VALUE`, to every request.
    ///
    /// Errors: text without `=`, or with characters that a header can't have.
    pub fn with_header(mut self, header: &str) -> Result<Self, TargetError> {
        let wrong = |why: &str| {
            TargetError(format!(
                "`{header}` {why}: write NAME=VALUE, such as Origin=https://a.b"
            ))
        };
        let (name, value) = header
            .split_once('=')
            .ok_or_else(|| wrong("is not a header"))?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return Err(wrong("has no header's name before the `=`"));
        }
        if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(wrong("has characters that a header's value can't have"));
        }
        self.headers
            .push((name.to_owned(), value.trim().to_owned()));
        Ok(self)
    }

    /// Trusts the certificates of a PEM file, beside those that everybody trusts.
    ///
    /// Errors: a file that can't be read or holds no certificate.
    pub fn with_authorities(mut self, path: &Path) -> Result<Self, TargetError> {
        let wrong = |why: &dyn fmt::Display| {
            TargetError(format!(
                "`{}` can't be used as certificates in PEM form: {why}",
                path.display()
            ))
        };
        let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
        for certificate in read {
            self.authorities
                .push(certificate.map_err(|error| wrong(&error))?);
        }
        if self.authorities.is_empty() {
            return Err(wrong(&"it holds none"));
        }
        Ok(self)
    }

    /// Another URL, with the headers and the certificates of this one.
    ///
    /// Errors: as those of [`Target::new`].
    pub fn at(&self, url: &str) -> Result<Self, TargetError> {
        let other = Self::new(url)?;
        Ok(Self {
            headers: self.headers.clone(),
            authorities: self.authorities.clone(),
            ..other
        })
    }

    /// The same server, whose WebSockets go through a proxy at an address.
    #[must_use]
    pub fn via(self, address: SocketAddr) -> Self {
        Self {
            via: Some(address),
            ..self
        }
    }

    /// The proxy that WebSockets go through, where there is one.
    pub fn proxy(&self) -> Option<SocketAddr> {
        self.via
    }

    /// The host and the port, as in a URL.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path, with its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The certificates that are trusted for this target alone.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The WebSocket URL as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the connection is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The additional headers, in the order given.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The WebSocket URL in full, with its port and path.
    pub fn request_url(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!(
            "{scheme}://{}{}{}",
            self.host,
            self.port_suffix(),
            self.path
        )
    }

    /// What a request over HTTP names as its `Host`.
    pub fn http_host(&self) -> String {
        format!("{}{}", self.host, self.port_suffix())
    }

    fn port_suffix(&self) -> String {
        let default_port = if self.tls { 443 } else { 80 };
        if self.port == default_port {
            String::new()
        } else {
            format!(":{}", self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn split_port(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_host..].rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            let port = port[1..].parse().ok().filter(|port| *port != 0)?;
            Some((host.to_owned(), port))
        }
        None => Some((authority.to_owned(), default_port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::new("ws://127.0.0.1:8000/ws").unwrap();
        assert_eq!(
            (target.host(), target.port(), target.tls()),
            ("127.0.0.1", 8000, false)
        );
        assert_eq!(target.http_host(), "127.0.0.1:8000");
        let target = Target::new("wss://[::1]/a/ws?x=1").unwrap();
        assert_eq!(
            (target.host(), target.port(), target.tls()),
            ("::1", 443, true)
        );
        assert_eq!(target.http_host(), "[::1]");
        assert_eq!(target.request_url(), "wss://[::1]/a/ws?x=1");
    }

    #[test]
    fn bad_urls_say_what_to_write() {
        for url in [
            "http://a/ws",
            "ws://",
            "ws://a:0/",
            "ws://a:x/",
            "a",
            "ws://u@h/",
            "ws://h/#a",
        ] {
            let error = Target::new(url).unwrap_err().to_string();
            assert!(error.contains("write ws://HOST:PORT/ws"), "{error}");
        }
        let target = Target::new("ws://a/").unwrap();
        assert!(target.clone().with_header("Origin=https://a=b").is_ok());
        for header in ["Origin", "=x", "a b=c", "A=\u{e9}"] {
            assert!(target.clone().with_header(header).is_err(), "{header}");
        }
    }
}
