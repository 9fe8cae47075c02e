//! The toy as a process of its own, which is started, killed and told to end: `serve` is such a
//! process, run by this test program on itself.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use collab_spec::message::ClientMessage;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::tungstenite::Message;

use super::{Fault, Toy};

/// How the toy lives and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Right: it has lost everything when it starts again, and names other epochs.
    Forgets,
    /// Right: it keeps every op in a file before it echoes it.
    Keeps,
    /// Wrong: it has lost everything when it starts again, and names the epochs of before.
    Repeats,
    /// Wrong: of what it has kept the last op is gone.
    LosesLast,
    /// Wrong: when it is told to end it does, without a word to anybody.
    Leaves,
    /// Wrong: when it is told to end it closes with 1000.
    HangsUp,
    /// Right but for manners: it does not end when it is told to.
    Stays,
    /// Wrong: a binary message ends the process.
    DiesOfBinary,
    /// Wrong: after a binary message it does nothing any more.
    StallsOfBinary,
    /// Wrong: a delete ends the process.
    DiesOfDelete,
}

impl Life {
    const ALL: [Self; 10] = [
        Self::Forgets,
        Self::Keeps,
        Self::Repeats,
        Self::LosesLast,
        Self::Leaves,
        Self::HangsUp,
        Self::Stays,
        Self::DiesOfBinary,
        Self::StallsOfBinary,
        Self::DiesOfDelete,
    ];

    /// The command that starts such a toy, for `--exec`.
    pub(crate) fn command(self, fault: Option<Fault>) -> String {
        let program = std::env::current_exe().unwrap();
        let fault = fault.map_or_else(String::new, |fault| format!("{fault:?}"));
        format!(
            "TOY_LIFE={self:?} TOY_FAULT={fault} TOY_PORT={{port}} TOY_FOLDER={{dir}} '{}' \
             --exact toy::life::serve --ignored --nocapture",
            program.display()
        )
    }

    /// The life in which a fault shows.
    pub(crate) fn of(fault: Fault) -> Option<Self> {
        match fault {
            Fault::EpochNamedAgain => Some(Self::Repeats),
            Fault::LastOpNotKept => Some(Self::LosesLast),
            Fault::BehindCutAtEnd => Some(Self::Forgets),
            Fault::EndsSilently => Some(Self::Leaves),
            Fault::EndsNormally => Some(Self::HangsUp),
            _ => None,
        }
    }

    pub(super) fn epoch(self, doc_id: &str) -> Option<String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        match self {
            Self::Keeps | Self::LosesLast | Self::Repeats => Some(format!("of-{doc_id}")),
            _ => {
                let number = COUNT.fetch_add(1, Ordering::SeqCst);
                Some(format!("{number}-of-process-{}", std::process::id()))
            }
        }
    }

    pub(super) async fn meet(self, message: &Message) {
        match self {
            Self::DiesOfBinary if message.is_binary() => {
                eprintln!("fatal: what is this?\nit is binary");
                std::process::exit(7);
            }
            Self::DiesOfDelete
                if message
                    .to_text()
                    .is_ok_and(|text| text.contains(r#""del""#)) =>
            {
                eprintln!("fatal: there is nothing to delete");
                std::process::exit(7);
            }
            // With one thread nothing else goes on either.
            Self::StallsOfBinary if message.is_binary() => loop {
                std::thread::park();
            },
            _ => {}
        }
    }

    /// Keeps an op that was accepted. The toy has one thread here, so nothing is sent meanwhile.
    pub(super) fn keep(self, op: &Value) {
        if matches!(self, Self::Keeps | Self::LosesLast) {
            let mut file = OpenOptions::new();
            let mut file = file.create(true).append(true).open(log()).unwrap();
            // In one piece, since it may be killed.
            file.write_all(format!("{op}\n").as_bytes()).unwrap();
        }
    }

    fn restore(self, toy: &Toy) {
        let text = fs::read_to_string(log()).unwrap_or_default();
        let lost = usize::from(self == Self::LosesLast);
        let ops: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for value in &ops[..ops.len().saturating_sub(lost)] {
            let Ok(ClientMessage::Op(op)) = serde_json::from_value(value.clone()) else {
                panic!("{value} is no op");
            };
            let document = toy.document(op.doc_id.as_str());
            document.lock().unwrap().submit(0, value, op.op).unwrap();
        }
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn log() -> PathBuf {
    PathBuf::from(setting("TOY_FOLDER").unwrap()).join("ops.jsonl")
}

/// The process; as a test it is nothing.
#[tokio::test]
#[ignore = "a server for other tests, not a test"]
async fn serve() {
    let Some(name) = setting("TOY_LIFE") else {
        return;
    };
    let life = Life::ALL
        .into_iter()
        .find(|life| format!("{life:?}") == name);
    let fault = setting("TOY_FAULT").unwrap_or_default();
    let fault = Fault::ALL
        .iter()
        .copied()
        .find(|known| format!("{known:?}") == fault);
    let toy = Toy::new(fault, life);
    let life = life.unwrap();
    life.restore(&toy);
    let mut told = signal(SignalKind::terminate()).unwrap();
    let port: u16 = setting("TOY_PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let accepting = tokio::spawn(std::sync::Arc::clone(&toy).accept(listener));
    while told.recv().await.is_some() && life == Life::Stays {}
    accepting.abort();
    let code = match life {
        Life::Leaves => return,
        Life::HangsUp => 1000,
        _ => 1001,
    };
    toy.ending.send_replace(Some((code, "the server ends")));
    // Every connection keeps the toy for as long as it lasts.
    let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
    for _ in 0..1_000 {
        if std::sync::Arc::strong_count(&toy) == 1 {
            break;
        }
        look.tick().await;
    }
}
