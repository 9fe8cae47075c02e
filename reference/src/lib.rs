//! The reference server of the collaborative text protocol, with the profiles `resume`, `state`,
//! `runs` and `presence`.
//!
//! From the wire inwards: `http` upgrades, a `connection` speaks the protocol on one socket, a
//! [`room`] orders and fans out one document, a [`document`] accepts each op once, a [`text`] is
//! the CRDT, a [`log`] keeps it all. The [`hub`] knows which rooms are in memory, [`presence`] what
//! clients show of themselves, [`profiles`] what a connection has asked for.

pub mod config;
mod connection;
pub mod document;
mod frame;
mod heap;
mod http;
pub mod hub;
pub mod log;
mod member;
pub mod presence;
pub mod profiles;
pub mod room;
mod socket;
pub mod text;
pub mod violation;

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use crate::config::Config;
use crate::hub::Hub;
use crate::log::{MemoryStore, Store};

/// Serves documents kept in memory on a listener, until `shutdown` is ready; then closes every
/// connection with 1001 and returns.
///
/// Errors: a configuration out of bounds; a listener that fails.
pub async fn serve<F>(listener: TcpListener, config: Config, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    serve_store(listener, config, Arc::new(MemoryStore::default()), shutdown).await
}

/// Like [`serve`], over a store of the caller's.
///
/// Errors: as those of [`serve`].
pub async fn serve_store<F>(
    listener: TcpListener,
    config: Config,
    store: Arc<dyn Store>,
    shutdown: F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    config.check()?;
    let hub = Hub::new(config, store);
    let sweeper = tokio::spawn(Arc::clone(&hub).sweep());
    let served = http::serve(listener, hub, shutdown).await;
    sweeper.abort();
    served
}
