//! The program: its one line on stdout, its exit codes, its signals.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collab-reference"));
    command
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

/// Starts the program on a free port; gives the line that it prints.
fn start(args: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut command = program(args);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (child, stdout, line)
}

#[test]
fn says_where_it_listens_and_stops_on_a_signal() {
    for (signal, format) in [("TERM", "text"), ("INT", "json")] {
        let (mut child, mut stdout, line) = start(&["--port", "0", "--log-format", format]);
        let port = line.strip_prefix("listening on ws://127.0.0.1:").unwrap();
        let port: u16 = port.strip_suffix("/ws\n").unwrap().parse().unwrap();
        assert_ne!(port, 0);
        let signal = format!("-{signal}");
        let sent = Command::new("kill")
            .args([&signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        let mut logs = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut logs)
            .unwrap();
        assert_eq!(logs.starts_with('{'), format == "json", "{logs}");
    }
}

#[test]
fn a_busy_port_is_3() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = run(&["--port", &port]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&port), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn bad_arguments_are_2() {
    for args in [
        &["--no-such-flag"][..],
        &["--port", "65536"],
        &["--port"],
        &["--listen", "nowhere"],
        &["--hello-seconds", "4"],
        &["--max-message-bytes", "65535"],
        &["--max-waiting-bytes", "16777216"],
        &["--log-format", "xml"],
        &["--profiles", "resume,history"],
        &["stray"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_names_every_limit_and_exit_code() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--listen",
        "--port",
        "COLLAB_HELLO_SECONDS",
        "[default: resume,state,runs,presence]",
        "in bytes",
        "3  an address",
    ] {
        assert!(help.contains(word), "{word}");
    }
}
