//! The program: arguments, the address, signals, logs.
//!
//! Deliberately absent: everything that another program could want; that is the library.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use collab_reference::Config;
use collab_reference::config::{HELLO_SECONDS, MESSAGE_BYTES, RUN, WAITING_BYTES};
use collab_spec::profile::Profile;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The exit code for arguments that can't be understood.
const USAGE: u8 = 2;

/// The exit code for an address that can't be bound.
const CANNOT_BIND: u8 = 3;

const AFTER_HELP: &str = "\
Exit codes:
  0  stopped by SIGINT or SIGTERM
  1  failed while serving
  2  bad arguments
  3  an address that can't be bound

RUST_LOG sets what is logged, such as RUST_LOG=debug; the default is info.";

/// The reference server of the collaborative text protocol.
///
/// Serves WebSockets at /ws and its health at /health, keeps documents in memory, and prints one
/// line, `listening on ws://ADDRESS/ws`, on stdout once it listens.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Args {
    /// The address to listen on.
    #[arg(
        long,
        env = "COLLAB_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8000"
    )]
    listen: SocketAddr,

    /// The port to listen on, in place of the address's; 0 takes a free one.
    #[arg(long, env = "COLLAB_PORT")]
    port: Option<u16>,

    /// The profiles that clients may ask for, with commas between; `core` alone for none.
    #[arg(long, env = "COLLAB_PROFILES", value_name = "NAMES", value_delimiter = ',',
        default_value = "resume,state,runs,presence", value_parser = profile)]
    profiles: Vec<Profile>,

    /// The greatest message taken from a client, in bytes: 65536 to 16777216.
    #[arg(long, env = "COLLAB_MAX_MESSAGE_BYTES", value_name = "BYTES",
        default_value_t = Config::default().max_message_bytes as u64,
        value_parser = clap::value_parser!(u64)
            .range(*MESSAGE_BYTES.start() as u64..=*MESSAGE_BYTES.end() as u64))]
    max_message_bytes: u64,

    /// The greatest op of a client with the profile runs, in characters: 1024 to 65536.
    #[arg(long, env = "COLLAB_MAX_RUN", value_name = "N",
        default_value_t = Config::default().max_run, value_parser = clap::value_parser!(u64).range(RUN))]
    max_run: u64,

    /// How much may wait for a client that does not read, in bytes: 1048576 to 15728640.
    #[arg(long, env = "COLLAB_MAX_WAITING_BYTES", value_name = "BYTES",
        default_value_t = Config::default().max_waiting_bytes as u64,
        value_parser = clap::value_parser!(u64)
            .range(*WAITING_BYTES.start() as u64..=*WAITING_BYTES.end() as u64))]
    max_waiting_bytes: u64,

    /// How long a client has for its hello, in seconds: 5 to 60.
    #[arg(long, env = "COLLAB_HELLO_SECONDS", value_name = "SECONDS",
        default_value_t = Config::default().hello_timeout.as_secs(),
        value_parser = clap::value_parser!(u64).range(HELLO_SECONDS))]
    hello_seconds: u64,

    /// How long a document that nobody has open stays ready, in seconds.
    #[arg(long, env = "COLLAB_IDLE_SECONDS", value_name = "SECONDS",
        default_value_t = Config::default().idle.as_secs())]
    idle_seconds: u64,

    /// How logs are written, on stderr.
    #[arg(
        long,
        env = "COLLAB_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    fn address(&self) -> SocketAddr {
        let mut address = self.listen;
        address.set_port(self.port.unwrap_or(address.port()));
        address
    }

    fn config(&self) -> Config {
        Config {
            profiles: self.profiles.clone(),
            max_message_bytes: self.max_message_bytes as usize,
            max_run: self.max_run,
            max_waiting_bytes: self.max_waiting_bytes as usize,
            hello_timeout: Duration::from_secs(self.hello_seconds),
            idle: Duration::from_secs(self.idle_seconds),
        }
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::from_name(name).ok_or_else(|| {
        format!(
            "it is none of {}",
            Profile::ALL.map(Profile::name).join(", ")
        )
    })
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            // The first line says what is wrong; clap's others repeat the help.
            let text = error.to_string();
            let sentence = text.lines().next().unwrap_or("error: bad arguments");
            return fail(USAGE, &format!("{sentence} (see --help)"));
        }
        Err(help) => help.exit(),
    };
    log(args.log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("error: can't start the runtime: {error}")),
    };
    let code = runtime.block_on(run(&args));
    // Nothing is left to do but what tasks do for nobody any more.
    runtime.shutdown_background();
    code
}

async fn run(args: &Args) -> ExitCode {
    let address = args.address();
    let bound = TcpListener::bind(address).await.and_then(|listener| {
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    });
    let (listener, bound) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            return fail(
                CANNOT_BIND,
                &format!("error: can't listen on {address}: {error}"),
            );
        }
    };
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => return fail(1, &format!("error: can't wait for signals: {error}")),
    };
    // Who started us may have closed our stdout; that is no reason not to serve.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on ws://{bound}/ws").and_then(|()| stdout.flush());
    match collab_reference::serve(listener, args.config(), stopped).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("error: serving failed: {error}")),
    }
}

/// Ready on the first SIGINT or SIGTERM.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    eprintln!("{sentence}");
    ExitCode::from(code)
}
