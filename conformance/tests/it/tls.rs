//! A server behind TLS, with a certificate that only `--ca-file` makes good.

use std::path::PathBuf;
use std::sync::Arc;

use collab_conformance::case;
use collab_conformance::runner::Options;
use collab_conformance::target::Target;
use collab_spec::report::Verdict;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::toy::Toy;

/// Starts a TLS proxy before the toy: its `wss` URL and its certificate.
async fn start() -> (String, String) {
    let plain = Toy::start(None).await;
    let behind = plain
        .trim_start_matches("ws://")
        .trim_end_matches("/ws")
        .to_owned();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    (format!("wss://localhost:{port}/ws"), own.cert.pem())
}

/// A file of the test binary's own, which outlives the test.
fn pem_file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_pass_behind_tls() {
    let _alone = crate::ALONE.lock().await;
    let (url, certificate) = start().await;
    let target = Target::new(&url)
        .unwrap()
        .with_authorities(&pem_file("behind-tls.pem", &certificate))
        .unwrap();
    let cases: Vec<_> = case::all()
        .unwrap()
        .into_iter()
        .filter(|case| case.id.starts_with("http/") || case.id.starts_with("echo/"))
        .collect();
    let report = collab_conformance::run(target, &cases, Options::default())
        .await
        .unwrap();
    assert!(report.summary.pass > 2, "{:?}", report.summary);
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Pass)
        .map(|case| (&case.id, &case.message))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_is_refused() {
    let (url, _) = start().await;
    let target = Target::new(&url).unwrap();
    let why = collab_conformance::run(target, &case::all().unwrap(), Options::default())
        .await
        .unwrap_err();
    assert!(why.contains("TLS failed"), "{why}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let target = Target::new("wss://localhost/ws").unwrap();
    let path = pem_file("empty.pem", "nothing\n");
    let error = target.clone().with_authorities(&path).unwrap_err();
    assert!(error.to_string().contains("it holds none"), "{error}");
    let missing = path.with_file_name("missing.pem");
    assert!(target.with_authorities(&missing).is_err());
}
