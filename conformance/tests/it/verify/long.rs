//! Traffic that is long: what is remembered of it does not grow.

use std::fs;
use std::io::{BufReader, Read, Write as _};
use std::process::{Command, Stdio};

use collab_conformance::verify::Verifier;
use serde_json::{Value, json};

/// Two clients that type in turn, each op echoed to both: made as it is read.
struct Typing {
    ops: u64,
    next: u64,
    /// What is to be read next, and how far it has been.
    text: Vec<u8>,
    read: usize,
}

impl Typing {
    fn new(ops: u64) -> Self {
        let mut typing = Self {
            ops,
            next: 1,
            text: Vec::new(),
            read: 0,
        };
        for name in ["A", "B"] {
            typing.line(name, "client", "open", None);
            typing.message(
                name,
                "client",
                &json!({"type": "hello", "doc_id": "d", "client_id": name}),
            );
            typing.message(
                name,
                "server",
                &json!({"type": "hello_ack", "doc_id": "d", "server_seq": 0}),
            );
            typing.message(
                name,
                "server",
                &json!({"type": "resync", "doc_id": "d", "server_seq": 0, "full_text": ""}),
            );
        }
        typing
    }

    fn line(&mut self, connection: &str, from: &str, kind: &str, content: Option<String>) {
        let line = json!({"at_us": self.next * 1_000, "connection": connection, "from": from,
            "kind": kind, "content": content});
        writeln!(self.text, "{line}").unwrap();
    }

    fn message(&mut self, connection: &str, from: &str, message: &Value) {
        self.line(connection, from, "text", Some(message.to_string()));
    }

    fn op(&mut self) {
        let seq = self.next;
        let name = if seq.is_multiple_of(2) { "A" } else { "B" };
        let msg_id = format!("m-{seq}");
        let op = json!({"type": "ins", "parent_id": [0, "root"], "id": [seq, name], "value": "x"});
        self.message(
            name,
            "client",
            &json!({"type": "op", "doc_id": "d", "client_id": name, "client_msg_id": msg_id, "op": op}),
        );
        let echo = json!({"type": "op_echo", "doc_id": "d", "server_seq": seq,
            "origin_client_id": name, "client_msg_id": msg_id, "op": op});
        for to in ["A", "B"] {
            self.message(to, "server", &echo);
        }
        self.next += 1;
    }
}

impl Read for Typing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.text.len() {
            self.text.clear();
            self.read = 0;
            if self.next <= self.ops {
                self.op();
            }
        }
        let length = buffer.len().min(self.text.len() - self.read);
        buffer[..length].copy_from_slice(&self.text[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

#[test]
fn what_is_remembered_does_not_grow_with_the_traffic() {
    for is_whole in [false, true] {
        let remembered = |ops| {
            let mut verifier = Verifier::new(is_whole);
            let typing = BufReader::new(Typing::new(ops));
            verifier.read("typing", typing).unwrap();
            let remembered = verifier.remembered();
            let graded = verifier.finish();
            assert_eq!(graded.counts.received, 2 * ops + 4);
            assert!(graded.broken.is_empty(), "{}", graded.text());
            remembered
        };
        // So many that every window is full.
        let (long, longer) = (remembered(20_000), remembered(30_000));
        assert!(long > 8_192, "{long}");
        assert_eq!(long, longer);
    }
}

/// The greatest memory of the command that reads so many ops from its stdin, in KiB.
fn peak(ops: u64) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_collab-conformance"))
        .args(["verify", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::copy(&mut Typing::new(ops), &mut stdin).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let peak = peak.unwrap().split_whitespace().nth(1).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    peak.parse().unwrap()
}

/// Prints the figures of docs/verifying-traffic.md.
#[test]
#[ignore = "it takes minutes"]
fn memory_of_100_000_and_of_1_000_000_ops() {
    for ops in [10_000, 100_000, 1_000_000] {
        let started = std::time::Instant::now();
        let peak = peak(ops);
        println!("{ops} ops: {} MiB, {:?}", peak >> 10, started.elapsed());
    }
}
