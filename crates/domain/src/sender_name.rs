//! Names made safe: of a service or sender for the left side of an e-mail's From address, of a key for its text.

use std::hash::Hasher;

use deunicode::deunicode_char;
use fnv::FnvHasher;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::whitespace::is_space;

/// The longest local part, in octets (RFC 5321, 4.5.3.1.1).
const LOCAL_PART_LIMIT: usize = 64;

/// What is left of a name when case, accents and punctuation do not count. Empty when it has no letter and no digit.
#[must_use]
pub fn normalised_name(name: &str) -> String {
    single_dots(&safe(name, '.'))
}

/// The part before the @ of the From address, from the name that e-mails of a service show: `Parking permits (Leeds)` sends
/// as `parking.permits.leeds`, `Łódź` as `lodz`.
///
/// Every name has one that every relay takes: ASCII, because few offer SMTPUTF8, and at most 64 octets. What had to be cut,
/// or is in no script that we can spell, is told from others by a hash of the name.
#[must_use]
pub fn email_local_part(name: &str) -> String {
    let normalised = normalised_name(name);
    let spelt = |c: char| {
        let letters = deunicode_char(c).unwrap_or_default().bytes().filter(u8::is_ascii_alphanumeric);
        letters.map(|letter| char::from(letter.to_ascii_lowercase())).collect()
    };
    let letters = |c: char| if c.is_ascii() { c.to_string() } else { spelt(c) };
    let part = single_dots(&normalised.chars().map(letters).collect::<String>());
    if part.is_empty() {
        return format!("service.{}", hash(&normalised));
    }
    if part.len() <= LOCAL_PART_LIMIT {
        return part;
    }
    let hash = hash(&normalised);
    let beginning = part[..LOCAL_PART_LIMIT - 1 - hash.len()].trim_end_matches('.');
    format!("{beginning}.{hash}")
}

/// A local part that was stored: as it is if it can be sent from, or else made so. They were not always made by
/// [`email_local_part`].
#[must_use]
pub fn sendable_local_part(stored: String) -> String {
    let in_order = (1..=LOCAL_PART_LIMIT).contains(&stored.len())
        && stored.split('.').all(|atom| !atom.is_empty())
        && stored.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte));
    if in_order { stored } else { email_local_part(&stored) }
}

/// The same in every release, and short enough to be read out. Nobody is kept out by it.
fn hash(text: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    format!("{:012x}", hasher.finish() >> 16)
}

/// Without dots at the ends, and none beside another.
fn single_dots(text: &str) -> String {
    let parts: Vec<&str> = text.split('.').filter(|part| !part.is_empty()).collect();
    parts.join(".")
}

/// The name at the front of an API key's text: cosmetic, and so allowed to be empty.
#[must_use]
pub fn safe_key_name(name: &str) -> String {
    safe(name, '_')
}

/// Letters and digits without their accents, in lower case; a run of white space is one `space`, which also may stand in the
/// name itself; everything else goes.
fn safe(name: &str, space: char) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_space = false;
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)) {
        if is_space(c) {
            if !in_space {
                out.push(space);
            }
        } else if c == space {
            out.push(c);
        } else {
            // Letter by letter, so that a final sigma is like any other.
            out.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        }
        in_space = is_space(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts() {
        for (name, part) in [
            ("Parking permits", "parking.permits"),
            ("  Parking \t permits\n", "parking.permits"),
            ("Parking - permits", "parking.permits"),
            ("parking.permits", "parking.permits"),
            ("...Parking .. permits. ", "parking.permits"),
            ("park-and-ride", "parkandride"),
            ("Crème brûlée Ångström", "creme.brulee.angstrom"),
            ("ŁÓDŹ 2026", "lodz.2026"),
            ("Sønderborg Bibliotek", "sonderborg.bibliotek"),
            ("Straße", "strasse"),
            ("Þórshöfn", "thorshofn"),
            ("Библиотека", "biblioteka"),
            ("北京 图书馆", "beijing.tushuguan"),
            ("ﬁne № 4", "fine.no.4"),
            ("Müller & Söhne (“GmbH”)", "muller.sohne.gmbh"),
            ("a\u{a0}b\u{2003}c", "a.b.c"),
            ("İzmir ΟΔΟΣ", "izmir.odos"),
        ] {
            assert_eq!(email_local_part(name), part, "{name:?}");
        }
    }

    #[test]
    fn case_accents_and_punctuation_do_not_count_but_letters_do() {
        assert_eq!(normalised_name(" Łódź,  (2026)"), "łodz.2026");
        assert_ne!(normalised_name("Łódź"), normalised_name("Lodz"));
        assert_eq!(normalised_name("!?"), "");
    }

    #[test]
    fn long_names_are_cut_and_told_apart() {
        let (one, other) = (format!("{} one", "long ".repeat(20)), format!("{} other", "long ".repeat(20)));
        let part = email_local_part(&one);
        assert_eq!(part, "long.long.long.long.long.long.long.long.long.long.l.20285bf84bfe");
        assert_ne!(part, email_local_part(&other));
        let exactly = "a".repeat(LOCAL_PART_LIMIT);
        assert_eq!(email_local_part(&exactly), exactly);
        assert_ne!(email_local_part(&"a".repeat(65)), email_local_part(&"a".repeat(66)));
    }

    #[test]
    fn what_cannot_be_spelt_has_an_address_of_its_own() {
        let letters = ('\u{3000}'..=char::MAX).filter(|c| c.is_alphanumeric()).map(String::from);
        let parts: Vec<_> =
            letters.map(|c| email_local_part(&c)).filter(|part| part.contains('.')).take(2).collect();
        let [one, other] = &parts[..] else { panic!("every letter can be spelt: {parts:?}") };
        assert!(one.starts_with("service.") && one != other, "{one} {other}");
    }

    #[test]
    fn what_was_stored_is_kept_if_it_can_be_sent_from() {
        for stored in ["parking.permits", "park-and-ride", "A_b+c"] {
            assert_eq!(sendable_local_part(stored.into()), stored);
        }
        for stored in ["", "sønderborg", ".a", "a..b", "a b", "a@b", "a\r\nb", &"a".repeat(65)] {
            assert_eq!(sendable_local_part(stored.into()), email_local_part(stored), "{stored:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_has_a_local_part_that_can_be_sent_from(name in "(\\PC|[a-z .]){0,90}") {
            let part = email_local_part(&name);
            assert_eq!(sendable_local_part(part.clone()), part);
            assert_eq!(email_local_part(&part), part);
            assert_eq!(email_local_part(&normalised_name(&name)), part);
        }
    }

    #[test]
    fn key_names() {
        for (name, safe) in [
            ("Live key", "live_key"),
            ("Live  \n key", "live_key"),
            ("live_key-2", "live_key2"),
            ("Schlüssel für Jörg", "schlussel_fur_jorg"),
            ("🔑", ""),
        ] {
            assert_eq!(safe_key_name(name), safe, "{name:?}");
        }
    }
}
