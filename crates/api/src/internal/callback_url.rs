//! Where a service wants to be told of things: https, a host that somebody else can have, a port that there is, no password.
//!
//! A callback is posted from inside our network, so an address there is refused however it is spelt; names are not looked up
//! here, since what they stand for may change: whoever posts looks at the address that he connects to.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use url::{Host, Url};

use crate::v2::schema::https_url;

/// Names of the machine itself, and endings that no public name has (RFC 6761, RFC 6762, RFC 8375, RFC 9476, ICANN's
/// `internal`).
const OWN_NAMES: [&str; 7] =
    ["localhost", "localdomain", "local", "internal", "home.arpa", "ip6-localhost", "ip6-loopback"];

/// The URL as it was given.
pub(super) fn callback_url(value: Value, private_allowed: bool) -> Result<String, String> {
    let text = https_url(value)?;
    let bad = || "is not a valid https url".to_owned();
    // What is no letter of a URL has been refused; what a parser would read otherwise than people do is, too.
    let url = text
        .strip_prefix("https://")
        .filter(|rest| !rest.starts_with(['/', '?', '#']))
        .and_then(|_| Url::parse(&text).ok())
        .ok_or_else(bad)?;
    let has_user = !url.username().is_empty() || url.password().is_some() || authority(&text).contains('@');
    let Some(host) = url.host().filter(|_| !has_user && url.port() != Some(0)) else { return Err(bad()) };
    if !private_allowed && is_private(&host) {
        return Err("is not the url of a public host".into());
    }
    Ok(text)
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let ends_so =
                |own: &&str| name == *own || name.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
            // A name without a dot is one of our own network's.
            !name.contains('.') || OWN_NAMES.iter().any(ends_so)
        }
        Host::Ipv4(address) => is_private_v4(*address),
        Host::Ipv6(address) => is_private_v6(*address),
    }
}

/// What IANA's registry of special addresses has that is not reachable from everywhere.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || segments[0] & 0xffc0 == 0xfec0
        || v4_within(address).is_some_and(is_private_v4)
}

/// Of addresses that lead to one of IPv4: mapped, compatible, NAT64 and 6to4. Teredo hides one that is anybody's.
fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0, 0) if c == 0 && d == 0 => match (e, f) {
            (0, 0 | 0xffff) | (0xffff, 0) => Some(v4(g, h)),
            _ => None,
        },
        (0x64, 0xff9b) => Some(v4(g, h)),
        (0x2001, 0) => Some(Ipv4Addr::LOCALHOST),
        (0x2002, _) => Some(v4(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> Result<String, String> {
        callback_url(url.into(), false)
    }

    #[test]
    fn urls_of_public_hosts_are_kept_as_given() {
        for good in [
            "https://permits.example/told",
            "https://permits.example:8443/told?service=1&x=%20#part",
            "https://PERMITS.example.",
            "https://203.0.113.7/told",
            "https://xn--bcher-kva.example/",
            "https://permits.example/a@b",
            "https://permits.example?to=rosa@example.com",
            "https://local.example/",
            "https://internal.example.com/",
            "https://10.0.0.1.example.com/",
        ] {
            assert_eq!(told(good), Ok(good.to_owned()));
        }
    }

    #[test]
    fn what_is_no_url_of_a_host_is_refused() {
        for bad in [
            "http://permits.example/",
            "https:permits.example",
            "https:/permits.example",
            "https:///permits.example",
            "https://",
            "https:///",
            "https://?x",
            "https://:443/",
            "httpsx://permits.example",
            "HTTPS://permits.example",
            "https://permits.example:0/",
            "https://permits.example:65536/",
            "https://permits.example:-1/",
            "https://permits.example:x/",
            "https://user@permits.example/",
            "https://user:hush@permits.example/",
            "https://@permits.example/",
            "https://:@permits.example/",
            "https://permits..example:443:443/",
            "https://per mits.example/",
            "https://permits.example\\@127.0.0.1/",
            "https://per\tmits.example/",
            "https://[::1]/",
            "https://1.2.3.256/",
            "https://%00.example/",
        ] {
            assert_eq!(told(bad), Err("is not a valid https url".into()), "{bad}");
        }
    }

    #[test]
    fn hosts_of_our_own_network_are_refused_however_they_are_spelt() {
        for bad in [
            "https://localhost/",
            "https://LOCALHOST:8443/",
            "https://localhost./",
            "https://app.localhost/",
            "https://localhost.localdomain/",
            "https://ip6-localhost/",
            "https://printer.local/",
            "https://metadata.google.internal/computeMetadata/v1/",
            "https://rabbitmq/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://017700000001/",
            "https://127.0.0.1./",
            "https://%31%32%37.0.0.1/",
            "https://0/",
            "https://10.1.2.3/",
            "https://172.31.255.255/",
            "https://192.168.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
        ] {
            assert_eq!(told(bad), Err("is not the url of a public host".into()), "{bad}");
            assert_eq!(callback_url(bad.into(), true), Ok(bad.into()), "allowed");
        }
        assert!(told("https://172.32.0.1/").is_ok() && told("https://100.128.0.1/").is_ok());
    }

    /// Literals of IPv6 are no URLs of the contract, which has no `[`; should they become some, they are judged by what they
    /// lead to.
    #[test]
    fn addresses_of_ipv6_are_judged_by_what_they_lead_to() {
        let is_private = |address: &str| is_private(&Host::Ipv6(address.parse().unwrap()));
        for private in [
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001:0:4136:e378::1",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in ["2a00:1450:4001::1", "::ffff:203.0.113.7", "64:ff9b::203.0.113.7"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
