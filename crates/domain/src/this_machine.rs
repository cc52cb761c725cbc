//! Which hosts are this machine: what is said to them does not leave it, with TLS or without.

use std::net::IpAddr;

/// Whether a URL's host is the machine itself, or the path of a socket on it. Names are not looked up.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.starts_with('/') || host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_sockets_are_here_and_all_else_is_not() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
            "/run/pg",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "postgres", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.example", "[::]"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
