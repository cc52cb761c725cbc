//! E-mail addresses: parsed once at the door, never checked again.
//!
//! Stricter than the standards in the local part (no quotes, no semicolons), because mail providers are.

use std::sync::LazyLock;

use regex::Regex;

use crate::idna_2003;
use crate::whitespace::{is_space, without_invisible};

/// The longest address, in characters.
const CHARACTER_LIMIT: usize = 320;
/// The longest host, in octets of its ASCII form.
const HOST_LIMIT: usize = 253;

/// Not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Not a valid email address")]
pub struct InvalidEmailAddress;

#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    normalised: String,
}

impl EmailAddress {
    /// # Errors
    /// When mail cannot be sent there.
    pub fn parse(raw: &str) -> Result<Self, InvalidEmailAddress> {
        let address = without_invisible(raw);
        if is_valid(&address) {
            let normalised = address.to_lowercase();
            Ok(Self { address, normalised })
        } else {
            Err(InvalidEmailAddress)
        }
    }

    /// As given, cleaned of invisible characters.
    #[must_use]
    pub fn as_given(&self) -> &str {
        &self.address
    }

    /// As it is written on the wire: the local part as given, the host in punycode.
    #[must_use]
    pub fn in_ascii(&self) -> String {
        let (local, host) = self.address.split_once('@').expect("parsed: there is one @");
        format!("{local}@{}", idna_2003::to_ascii(host).expect("parsed: the host can be encoded"))
    }

    /// Lower-cased: what is sent to and compared.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }
}

impl std::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

fn is_valid(address: &str) -> bool {
    let Some((local, host)) = address.split_once('@') else { return false };
    !local.is_empty()
        && local.bytes().all(is_allowed_in_local_part)
        && address.chars().nth(CHARACTER_LIMIT).is_none()
        && !address.contains("..")
        && has_shape_of_host(host)
        && idna_2003::to_ascii(host).is_some_and(|ascii| is_mail_host(&ascii))
}

fn is_allowed_in_local_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn has_shape_of_host(host: &str) -> bool {
    !host.starts_with('.') && !host.contains('@') && !host.chars().skip(1).any(is_space)
}

fn is_mail_host(ascii: &str) -> bool {
    static LABEL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?i-u:(?:xn|[a-z0-9]+)(?:-?-[a-z0-9]+)*)$").expect("a constant pattern")
    });
    static LAST_LABEL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?i-u:[a-z]{2,63}|xn--(?:[a-z0-9]+-)*[a-z0-9]+)$").expect("a constant pattern")
    });
    ascii.len() <= HOST_LIMIT
        && ascii.contains('.')
        && ascii.split('.').all(|label| label.len() <= 63 && LABEL.is_match(label))
        && ascii.rsplit('.').next().is_some_and(|label| LAST_LABEL.is_match(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_given_and_compared_in_lower_case() {
        let address = EmailAddress::parse(" Rosa\u{200b}@Example.COM\n").unwrap();
        assert_eq!((address.as_given(), address.normalised()), ("Rosa@Example.COM", "rosa@example.com"));
        assert_eq!(format!("{address:?}"), "EmailAddress(…)");
    }

    #[test]
    fn on_the_wire_the_host_is_punycode() {
        for (given, wire) in [
            ("Ada.O'Hara+tag@bücher.example", "Ada.O'Hara+tag@xn--bcher-kva.example"),
            ("ada@straße.example", "ada@strasse.example"),
            (".ada.@example.com", ".ada.@example.com"),
        ] {
            assert_eq!(EmailAddress::parse(given).unwrap().in_ascii(), wire);
        }
    }

    #[test]
    fn a_host_has_two_labels_at_least() {
        for refused in
            ["", "a", "a@", "@b.com", "a@b", "a@b.com.", "a@.com", "a..b@c.com", "a@b@c.com", "a@b.1c"]
        {
            assert!(EmailAddress::parse(refused).is_err(), "{refused}");
        }
    }
}
