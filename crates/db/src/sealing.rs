//! Sealing: personalisation and API key secrets are encrypted (AES-256-GCM) before they reach a row.
//!
//! A sealed value is `key id (2 bytes, big endian) | nonce (12) | ciphertext | tag (16)`. The id says which key opens it, so
//! that keys can be rotated: new values take the first key of the list, old ones are opened by whichever sealed them. The
//! owner's id is authenticated along, so that a value copied to another row does not open there.
//!
//! Beside that there are fingerprints: keyed hashes, to find the same thing again without keeping it in clear.

use std::{collections::HashMap, fmt, str::FromStr};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use serde::Deserialize;
use uuid::Uuid;

const KEY_ID_LEN: usize = 2;

/// The value cannot be opened: an unknown key, another owner, or tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed value cannot be opened")]
pub struct CannotOpen;

/// A key list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealing keys: {0}")]
pub struct BadKeys(&'static str);

/// The section `sealing`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `id:64 hex digits`, more after commas; the first one seals. Or `keys_file`.
    keys: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

impl Config {
    /// # Errors
    /// When the list cannot be used.
    pub fn keyring(&self) -> Result<Keyring, BadKeys> {
        self.keys.parse()
    }
}

/// The keys in use: the first seals, all open.
pub struct Keyring {
    sealing: u16,
    keys: HashMap<u16, RandomizedNonceKey>,
    fingerprints: hmac::Key,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("sealing", &self.sealing).finish_non_exhaustive()
    }
}

impl FromStr for Keyring {
    type Err = BadKeys;

    /// `1:<64 hex digits>`, more after commas; the first one seals.
    fn from_str(text: &str) -> Result<Self, BadKeys> {
        let (mut keys, mut first) = (HashMap::new(), None);
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, hex) = entry.split_once(':').ok_or(BadKeys("an entry is `id:hex`"))?;
            let id = id.parse().map_err(|_| BadKeys("an id is a number from 0 to 65535"))?;
            let bytes = decode_hex(hex).ok_or(BadKeys("a key is 64 hex digits (32 bytes)"))?;
            let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| BadKeys("unusable key"))?;
            if keys.insert(id, key).is_some() {
                return Err(BadKeys("an id stands twice"));
            }
            first.get_or_insert((id, bytes));
        }
        let (sealing, bytes) = first.ok_or(BadKeys("none given"))?;
        Ok(Self { sealing, keys, fingerprints: fingerprint_key(&bytes) })
    }
}

impl Keyring {
    /// Seals `plain` for `owner`.
    #[must_use]
    pub fn seal(&self, owner: Uuid, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[&self.sealing];
        let mut body = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut body)
            .expect("AES-GCM seals anything below 64 GiB");
        [&self.sealing.to_be_bytes()[..], nonce.as_ref(), &body].concat()
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// When the key is unknown, the owner another, or the value was changed.
    pub fn open(&self, owner: Uuid, sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (id, rest) = sealed.split_first_chunk::<KEY_ID_LEN>().ok_or(CannotOpen)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let key = self.keys.get(&u16::from_be_bytes(*id)).ok_or(CannotOpen)?;
        let mut body = body.to_vec();
        let plain = key
            .open_in_place(Nonce::from(nonce), Aad::from(owner.as_bytes()), &mut body)
            .map_err(|_| CannotOpen)?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// The same for the same words in the same order, for as long as the first key stays the first; tells nothing to
    /// whoever does not have that key.
    #[must_use]
    pub fn fingerprint<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.fingerprints);
        for word in words {
            context.update(&(word.len() as u64).to_be_bytes());
            context.update(word.as_bytes());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }
}

/// A key of its own, so that no key does two things.
fn fingerprint_key(sealing: &[u8; 32]) -> hmac::Key {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, sealing), b"fingerprints");
    hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u16, digit: char) -> String {
        format!("{id}:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_only() {
        let ring: Keyring = key(1, 'a').parse().unwrap();
        let (owner, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = ring.seal(owner, b"Rosa");
        assert_ne!(sealed, ring.seal(owner, b"Rosa"), "a fresh nonce each time");
        assert_eq!(ring.open(owner, &sealed), Ok(b"Rosa".to_vec()));
        assert_eq!(ring.open(other, &sealed), Err(CannotOpen));
        for end in 0..sealed.len() {
            assert_eq!(ring.open(owner, &sealed[..end]), Err(CannotOpen));
        }
    }

    #[test]
    fn keys_rotate() {
        let (old, owner) = (key(1, 'a'), Uuid::from_u128(7));
        let sealed = old.parse::<Keyring>().unwrap().seal(owner, b"x");
        let rotated: Keyring = format!("{},{old}", key(2, 'b')).parse().unwrap();
        assert_eq!(rotated.open(owner, &sealed), Ok(b"x".to_vec()));
        assert_eq!(rotated.seal(owner, b"x")[..2], [0, 2]);
        let forgot: Keyring = key(2, 'b').parse().unwrap();
        assert_eq!(forgot.open(owner, &sealed), Err(CannotOpen));
    }

    #[test]
    fn fingerprints_tell_words_apart_and_need_the_key() {
        let ring: Keyring = key(1, 'a').parse().unwrap();
        let print = ring.fingerprint(["ab", "c"]);
        assert_eq!(print, ring.fingerprint(["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["c", "ab"]] {
            assert_ne!(print, ring.fingerprint(other.iter().copied()), "{other:?}");
        }
        assert_ne!(print, key(1, 'b').parse::<Keyring>().unwrap().fingerprint(["ab", "c"]));
    }

    #[test]
    fn bad_keys_are_refused() {
        for bad in
            ["", "1", "x:00", "1:00", &format!("{},{}", key(1, 'a'), key(1, 'b')), &key(1, 'g'), &key(1, 'é')]
        {
            assert!(bad.parse::<Keyring>().is_err(), "{bad}");
        }
    }
}
