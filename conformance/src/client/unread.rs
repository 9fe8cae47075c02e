//! A client that does not read what comes.

use std::convert::Infallible;
use std::time::Duration;

use super::Client;
use crate::wire::{Outgoing, Phase, Wire};

/// How often a client pings that pings on.
const PING_EVERY: Duration = Duration::from_millis(50);

impl Client {
    /// Stops reading from the socket. What has come already can still be expected.
    pub fn stop_reading(&mut self) {
        self.wire.stop_reading();
    }

    /// Reads from the socket again.
    pub fn resume_reading(&mut self) {
        self.wire.resume_reading();
    }

    /// Waits until the TCP connection is gone, for at most `within` (scaled): whether it is.
    pub async fn ended_within(&mut self, within: Duration) -> bool {
        let within = self.context.scaled(within);
        tokio::time::timeout(within, self.wire.reached(Phase::Ended))
            .await
            .is_ok()
    }

    /// Waits until the system has taken all that was sent, for at most `within` (scaled): whether it has.
    pub async fn taken_within(&mut self, within: Duration) -> bool {
        let within = self.context.scaled(within);
        tokio::time::timeout(within, self.wire.flushed())
            .await
            .is_ok()
    }

    /// Pings on, without reading, for as long as it is awaited.
    pub async fn ping_on(&mut self) -> Infallible {
        pings(&self.wire).await
    }

    /// Pings until no ping can be sent any more, for at most `within` (scaled): whether it came to that.
    pub async fn refused_within(&mut self, within: Duration) -> bool {
        let within = self.context.scaled(within);
        let refused = async {
            tokio::select! {
                never = pings(&self.wire) => match never {},
                () = self.wire.refused() => {}
            }
        };
        tokio::time::timeout(within, refused).await.is_ok()
    }
}

async fn pings(wire: &Wire) -> Infallible {
    let mut turns = tokio::time::interval(PING_EVERY);
    loop {
        turns.tick().await;
        wire.send(Outgoing::Ping(b"still there".to_vec()));
    }
}
