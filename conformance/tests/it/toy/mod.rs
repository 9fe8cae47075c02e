//! A third server, small and slow, that is right until it is told to be wrong.
//!
//! Each [`Fault`] is a mistake that somebody has made or will make, in one or two lines at the place
//! where it belongs. Without a fault the toy passes the whole suite; with one it must fail.
//! Deliberately absent: everything that a server for users needs.

#![allow(
    clippy::disallowed_methods,
    reason = "a wrong server may be late, and a right one looks now and then who reads"
)]

mod altered;
mod connection;
mod document;
mod elements;
mod fault;
mod handshake;
mod life;
mod messages;
mod misreads;
mod outbox;
mod profiles;
mod runs;
mod stalled;
mod sync;
mod text;

pub(crate) use fault::Fault;
pub(crate) use life::Life;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::watch;

use document::{Document, Refusal};

/// What all connections share.
pub(crate) struct Toy {
    fault: Option<Fault>,
    /// How it lives and ends, where it is a process of its own.
    life: Option<Life>,
    /// What every connection is closed with once the toy is to end.
    ending: watch::Sender<Option<Refusal>>,
    documents: Mutex<HashMap<String, Arc<Mutex<Document>>>>,
}

impl Toy {
    /// Starts a server on a free port and gives its URL. It ends with the runtime.
    pub(crate) async fn start(fault: Option<Fault>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        tokio::spawn(Self::new(fault, None).accept(listener));
        url
    }

    fn new(fault: Option<Fault>, life: Option<Life>) -> Arc<Self> {
        Arc::new(Self {
            fault,
            life,
            ending: watch::Sender::new(None),
            documents: Mutex::default(),
        })
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let toy = Arc::clone(&self);
            tokio::spawn(async move { connection::serve(&toy, stream).await });
        }
    }

    /// Waits until the toy is to end: what connections are closed with.
    async fn ending(&self) -> Refusal {
        let mut ending = self.ending.subscribe();
        let code = *ending.wait_for(Option::is_some).await.unwrap();
        code.unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn document(&self, doc_id: &str) -> Arc<Mutex<Document>> {
        let key = if self.has(Fault::DocIdFolded) {
            doc_id.to_lowercase()
        } else if self.has(Fault::DocIdTrimmed) {
            doc_id.trim().to_owned()
        } else if self.has(Fault::DocIdComposed) {
            doc_id.replace("e\u{301}", "é")
        } else if self.has(Fault::DocIdOfForm) {
            doc_id.replace('+', " ")
        } else if self.has(Fault::DocIdCut) {
            doc_id.chars().take(64).collect()
        } else {
            doc_id.to_owned()
        };
        let mut documents = self.documents.lock().unwrap();
        let document = documents.entry(key).or_insert_with_key(|key| {
            let document = Document::new(self.fault);
            if let Some(epoch) = self.life.and_then(|life| life.epoch(key)) {
                document.lock().unwrap().epoch = epoch;
            }
            document
        });
        Arc::clone(document)
    }

    fn documents(&self) -> Vec<Arc<Mutex<Document>>> {
        self.documents.lock().unwrap().values().cloned().collect()
    }
}
