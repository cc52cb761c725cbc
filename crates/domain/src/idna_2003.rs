//! International domain names in ASCII, after the first edition of IDNA (RFC 3490), as Python's codec does it: unassigned
//! characters are allowed, and only the length of ASCII labels is looked at.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;

/// The longest label, in octets.
const LABEL_LIMIT: usize = 63;

/// `None` when the host has no such form.
pub(crate) fn to_ascii(host: &str) -> Option<String> {
    if host.is_ascii() {
        // The last label may be empty: a trailing dot.
        let (before, last) = host.rsplit_once('.').unwrap_or(("", host));
        let all_fit = (before.is_empty() || before.split('.').all(fits)) && last.len() <= LABEL_LIMIT;
        return (all_fit && !host.starts_with('.')).then(|| host.to_owned());
    }
    let (host, end) = match host.strip_suffix(is_dot) {
        Some(without) => (without, "."),
        None => (host, ""),
    };
    let labels: Vec<String> = host.split(is_dot).map(label_to_ascii).collect::<Option<_>>()?;
    Some(labels.join(".") + end)
}

fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

fn fits(label: &str) -> bool {
    (1..=LABEL_LIMIT).contains(&label.len())
}

fn label_to_ascii(label: &str) -> Option<String> {
    let prepared = if label.is_ascii() { label.to_owned() } else { nameprep(label)? };
    let ascii = if prepared.is_ascii() {
        prepared
    } else if prepared.starts_with("xn--") {
        return None;
    } else {
        format!("xn--{}", idna::punycode::encode_str(&prepared)?)
    };
    fits(&ascii).then_some(ascii)
}

/// RFC 3491, on Unicode 3.2: characters that came later are as they are, and have no direction.
fn nameprep(label: &str) -> Option<String> {
    let mapped: String = label
        .chars()
        .filter(|c| !tables::commonly_mapped_to_nothing(*c))
        .flat_map(tables::case_fold_for_nfkc)
        .collect();
    let mut normalised = String::with_capacity(mapped.len());
    for run in mapped.split_inclusive(tables::unassigned_code_point) {
        match run.chars().next_back().filter(|c| tables::unassigned_code_point(*c)) {
            Some(later) => {
                normalised.extend(run[..run.len() - later.len_utf8()].nfkc());
                normalised.push(later);
            }
            None => normalised.extend(run.nfkc()),
        }
    }
    let is_fine = !normalised.chars().any(is_prohibited) && has_one_direction(&normalised);
    is_fine.then_some(normalised)
}

fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// A label with a letter written from right to left has none written the other way, and one at each end.
fn has_one_direction(label: &str) -> bool {
    let right_to_left = |c: char| tables::bidi_r_or_al(c) && !tables::unassigned_code_point(c);
    let left_to_right = |c: char| tables::bidi_l(c) && !tables::unassigned_code_point(c);
    if !label.chars().any(right_to_left) {
        return true;
    }
    let ends = [label.chars().next(), label.chars().next_back()];
    !label.chars().any(left_to_right) && ends.into_iter().flatten().all(right_to_left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_encodes() {
        for (host, ascii) in [
            ("example.com", Some("example.com")),
            ("例え.テスト", Some("xn--r8jz45g.xn--zckzah")),
            ("Straße。de", Some("strasse.de")),
            // A letter from right to left, but Unicode 3.2 does not know it.
            ("a\u{620}b.com", Some("xn--ab-qsd.com")),
            ("xn--bücher.com", None),
            ("א1.com", None),
            (".com", None),
            ("a..com", None),
        ] {
            assert_eq!(to_ascii(host).as_deref(), ascii, "{host}");
        }
    }
}
