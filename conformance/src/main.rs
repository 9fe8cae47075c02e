//! The command `collab-conformance`.

use std::process::ExitCode;
use std::sync::Arc;

use collab_conformance::case;
use collab_conformance::mimic::{self, Arguments};
use collab_conformance::report;
use collab_conformance::runner::{Options, Session};
use collab_conformance::target::Target;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let cases = case::all().expect("cases");
    let url = std::env::args().nth(1);
    let url = match url.filter(|u| u.starts_with("ws")) {
        Some(url) => url,
        None => {
            let listener = runtime
                .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
                .expect("bind");
            let port = listener.local_addr().expect("addr").port();
            runtime.spawn(collab_reference::serve(
                listener,
                collab_reference::Config::default(),
                std::future::pending(),
            ));
            format!("ws://127.0.0.1:{port}/ws")
        }
    };
    let session = Arc::new(Session::new(
        Target::new(&url).expect("url"),
        Options::default(),
    ));
    runtime.block_on(session.open()).expect("open");
    let arguments = Arguments {
        test_threads: Some(8),
        ..Arguments::default()
    };
    mimic::run(&session, &cases, &arguments, runtime.handle());
    print!("{}", report::summary_text(&session.report(&cases)));
    ExitCode::SUCCESS
}
