//! Where a request comes from, as limits count: the peer, or whom a proxy of ours names.
//!
//! Anybody may write `X-Forwarded-For` or `Forwarded`. So these are read from their end, where the nearest proxy writes, for as
//! long as whoever has written is in `api.trusted_proxies`; and only the one header that the proxies are said to write.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::header::{FORWARDED, HeaderName, X_FORWARDED_FOR},
};
use ipnet::{IpNet, Ipv6Net};
use serde::Deserialize;

/// Which header proxies say in whom they speak for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// An address; of IPv6 the network that one customer of a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpNet);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().into(),
        })
    }
}

/// Proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl Proxies {
    /// Addresses and networks, separated by commas. None: one of them is neither.
    pub(crate) fn parse(trusted: &str, header: ForwardedHeader) -> Option<Self> {
        let entries = trusted.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network =
            |entry: &str| entry.parse().ok().or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from));
        Some(Self { trusted: entries.map(network).collect::<Option<_>>()?, header })
    }

    pub(crate) fn origin(&self, request: &HttpRequest) -> Origin {
        // A request without a peer is a test's.
        let peer = request.peer_addr().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.ip());
        let values = request.headers().get_all(self.header_name()).map(|value| value.to_str().unwrap_or("?"));
        self.behind(peer, &values.collect::<Vec<_>>().join(",")).into()
    }

    fn header_name(&self) -> HeaderName {
        match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        }
    }

    /// The last one who is no proxy of ours, or the first proxy that does not say for whom it speaks.
    fn behind(&self, peer: IpAddr, header: &str) -> IpAddr {
        let elements = match self.header {
            ForwardedHeader::XForwardedFor => header.split(',').collect(),
            ForwardedHeader::Forwarded => split(header, ','),
        };
        let mut elements = elements.into_iter().rev();
        let mut speaker = peer.to_canonical();
        while self.trusted.iter().any(|network| network.contains(&speaker)) {
            let named = elements.next().and_then(|element| match self.header {
                ForwardedHeader::XForwardedFor => address(element),
                ForwardedHeader::Forwarded => forwarded_for(element),
            });
            let Some(named) = named else { break };
            speaker = named.to_canonical();
        }
        speaker
    }
}

/// At the separators that stand outside of quotes: what a proxy quotes may be anything that a caller wrote.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '"' if !was_escaped => quoted = !quoted,
            '\\' if quoted && !was_escaped => escaped = true,
            _ => {}
        }
        c == separator && !quoted
    })
    .collect()
}

/// `for=192.0.2.43`, `For="[2001:db8::17]:4711"`; neither `unknown` nor `_hidden`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next().filter(|_| named.next().is_none())?;
    let value = value.trim();
    address(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// With a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(trusted: &str, header: ForwardedHeader, peer: &str, value: &str) -> String {
        let proxies = Proxies::parse(trusted, header).unwrap();
        proxies.behind(peer.parse().unwrap(), value).to_string()
    }

    #[test]
    fn only_proxies_are_believed_and_only_what_they_wrote() {
        let of = |peer, value| behind("10.0.0.0/8, 2001:db8::1", ForwardedHeader::XForwardedFor, peer, value);
        for (peer, value, expected) in [
            ("203.0.113.7", "192.0.2.1", "203.0.113.7"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.9, 192.0.2.1, 10.2.3.4", "192.0.2.1"),
            ("10.0.0.1", "192.0.2.1:5678,10.2.3.4:80", "192.0.2.1"),
            ("2001:db8::1", "[2001:db8::9]:80", "2001:db8::9"),
            ("10.0.0.1", "198.51.100.9, nonsense", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.9, nonsense, 10.2.3.4", "10.2.3.4"),
            ("10.0.0.1", "198.51.100.9,", "10.0.0.1"),
            ("10.0.0.1", "\", 192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(of(peer, value), expected, "{peer} {value}");
        }
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        let of = |value| behind("10.0.0.0/8", ForwardedHeader::Forwarded, "10.0.0.1", value);
        for (value, expected) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("proto=https;For=\"192.0.2.43:47011\"; by=203.0.113.60", "192.0.2.43"),
            ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=198.51.100.1, for=192.0.2.43, for=10.9.9.9", "192.0.2.43"),
            ("for=192.0.2.43;host=\"x,for=198.51.100.1\"", "192.0.2.43"),
            ("for=192.0.2.43;host=\"x\\\",for=198.51.100.1\"", "192.0.2.43"),
            ("for=192.0.2.43;host=\"x;for=198.51.100.1\"", "192.0.2.43"),
            ("for=198.51.100.1, for=unknown", "10.0.0.1"),
            ("for=198.51.100.1, by=192.0.2.43", "10.0.0.1"),
            ("for=198.51.100.1;for=192.0.2.43", "10.0.0.1"),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_origin() {
        let origin = |address: &str| Origin::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.1;10.0.0.2"] {
            assert!(Proxies::parse(bad, ForwardedHeader::default()).is_none(), "{bad}");
        }
    }
}
