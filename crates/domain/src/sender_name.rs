//! Names made safe: of a service or sender for the left side of an e-mail's From address, of a key for its text.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::whitespace::is_space;

/// The part before the @ of the From address, from the name that e-mails of a service show: `Parking permits (Leeds)` sends
/// as `parking.permits.leeds`. Empty when the name has no letter and no digit: such a name cannot send.
#[must_use]
pub fn email_local_part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for c in safe(name, '.').chars() {
        if c != '.' || !(part.is_empty() || part.ends_with('.')) {
            part.push(c);
        }
    }
    if part.ends_with('.') {
        part.pop();
    }
    part
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
            ("ŁÓDŹ 2026", "łodz.2026"),
            ("ﬁne № 4", "fine.no.4"),
            ("Müller & Söhne (“GmbH”)", "muller.sohne.gmbh"),
            ("a\u{a0}b\u{2003}c", "a.b.c"),
            ("İzmir ΟΔΟΣ", "izmir.οδοσ"),
            ("!?", ""),
            ("", ""),
        ] {
            assert_eq!(email_local_part(name), part, "{name:?}");
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
