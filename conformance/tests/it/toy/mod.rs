//! A third server, small and slow, that is right until it is told to be wrong.
//!
//! Each [`Fault`] is a mistake that somebody has made or will make, in one or two lines at the place
//! where it belongs. Without a fault the toy passes the whole suite; with one it must fail.
//! Deliberately absent: everything that a server for users needs.

#![allow(
    clippy::disallowed_methods,
    reason = "a wrong server may be late, and a right one looks now and then who reads"
)]

mod connection;
mod document;
mod elements;
mod fault;
mod outbox;
mod profiles;
mod runs;
mod sync;
mod text;

pub(crate) use fault::Fault;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use document::Document;

/// What all connections share.
pub(crate) struct Toy {
    fault: Option<Fault>,
    documents: Mutex<HashMap<String, Arc<Mutex<Document>>>>,
}

impl Toy {
    /// Starts a server on a free port and gives its URL. It ends with the runtime.
    pub(crate) async fn start(fault: Option<Fault>) -> String {
        let toy = Arc::new(Self {
            fault,
            documents: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let toy = Arc::clone(&toy);
                tokio::spawn(async move { connection::serve(&toy, stream).await });
            }
        });
        url
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
        } else if self.has(Fault::DocIdCut) {
            doc_id.chars().take(64).collect()
        } else {
            doc_id.to_owned()
        };
        let mut documents = self.documents.lock().unwrap();
        let document = documents
            .entry(key)
            .or_insert_with(|| Document::new(self.fault));
        Arc::clone(document)
    }

    fn documents(&self) -> Vec<Arc<Mutex<Document>>> {
        self.documents.lock().unwrap().values().cloned().collect()
    }
}
