//! A port for a server, that no other suite on the machine gives to one of its own meanwhile: between the
//! look whether a port is free and a server's listening on it, another could, and would be taken for it.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// The ports that servers are told to take: below those that systems give to outgoing connections.
const PORTS: Range<u16> = 20_000..26_000;

/// How far above a port its twin is, which nobody but the suite that has given the port listens on.
const TWIN: u16 = 6_000;

/// How many ports are looked at before the system is asked for any.
const TRIES: usize = 200;

/// A port that was free. It is this suite's for as long as this is kept.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _twin: Option<TcpListener>,
}

impl Port {
    /// Errors: none is free.
    pub(super) fn free() -> io::Result<Self> {
        let mut candidates = std::iter::repeat_with(|| {
            let random = crate::context::random();
            PORTS.start + (random % u64::from(PORTS.end - PORTS.start)) as u16
        });
        if let Some(port) = candidates.by_ref().take(TRIES).find_map(Self::take) {
            return Ok(port);
        }
        let any = listen(0)?.local_addr()?.port();
        Ok(Self {
            number: any,
            _twin: None,
        })
    }

    /// The port of this number, unless somebody has it.
    fn take(number: u16) -> Option<Self> {
        // The twin first: the port itself may be a server's that is about to listen.
        let twin = listen(number + TWIN).ok()?;
        listen(number).ok()?;
        Some(Self {
            number,
            _twin: Some(twin),
        })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let first = Port::free().unwrap();
        let number = first.number();
        assert!(PORTS.contains(&number));
        // Nobody listens on it yet.
        drop(listen(number).unwrap());
        assert!(Port::take(number).is_none());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_given() {
        let port = Port::free().unwrap();
        let number = port.number();
        let _theirs = listen(number).unwrap();
        drop(port);
        assert!(Port::take(number).is_none());
    }
}
