//! Where a process listens.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use serde::Deserialize;
use tokio::net::TcpSocket;

/// Section `listen`: how all processes bind; the addresses themselves stand in each process's own section.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a port that is already taken moves on to the next free one. For several processes on one machine by hand.
    pub next_free_port: bool,
}

/// How many ports are tried before giving up.
const TRIES: u16 = 100;
/// Connections that the kernel holds until they are accepted; a burst of new ones must not wait for a second SYN.
const BACKLOG: u32 = 1024;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    address: String,
    source: io::Error,
}

/// Binds `host:port` and logs the real address. Must be called within the runtime; the listener is non-blocking.
///
/// # Errors
/// When the name does not resolve, or nothing could be bound.
pub fn bind(purpose: &'static str, address: &str, config: Config) -> Result<TcpListener, ListenError> {
    let failed = |source| ListenError { address: address.to_owned(), source };
    let candidates: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for candidate in candidates {
        match bind_near(candidate, if config.next_free_port { TRIES } else { 0 }) {
            Ok(listener) => {
                tracing::info!(address = %listener.local_addr().map_err(failed)?, "listening: {purpose}");
                return Ok(listener);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn bind_near(mut address: SocketAddr, more: u16) -> io::Result<TcpListener> {
    let mut left = more;
    loop {
        match bind_exactly(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && left > 0 => {
                match address.port().checked_add(1) {
                    Some(next) => {
                        left -= 1;
                        address.set_port(next);
                    }
                    None => return Err(error),
                }
            }
            done => return done,
        }
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted process takes its port over from connections in TIME_WAIT; two living ones still collide.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: Config = Config { next_free_port: true };

    #[tokio::test]
    async fn a_taken_port_is_an_error_or_the_next_one_by_configuration() {
        let first = bind("test", "127.0.0.1:0", Config::default()).unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind("test", &taken.to_string(), Config::default()).unwrap_err();
        assert!(error.to_string().contains(&taken.to_string()), "{error}");

        let second = bind("test", &taken.to_string(), NEXT).unwrap().local_addr().unwrap();
        assert!(
            second.port() > taken.port() && second.port() - taken.port() <= TRIES,
            "{second} after {taken}"
        );
    }

    #[tokio::test]
    async fn names_resolve_and_nonsense_is_refused() {
        assert!(bind("test", "localhost:0", Config::default()).is_ok());
        for bad in ["", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000"] {
            assert!(bind("test", bad, Config::default()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_listener_does_not_block() {
        let listener = bind("test", "127.0.0.1:0", Config::default()).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
