//! Escaping for HTML, and decoding its entities the way Python does.

use std::borrow::Cow;

use htmlize::ENTITIES;

/// Longer names are not looked at (Python's limit, one more than the longest that exists).
const NAME_LIMIT: usize = 32;

/// Entities that mean something to the reader of the source and therefore survive [`escape`].
const KEPT: [&str; 2] = ["&nbsp;", "&amp;"];

/// Which names are entities. All have their semicolon: `&currency=GBP` is a part of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Whole,
    /// A name that HTML knows without a semicolon counts at the start of a longer one, too: `&notit;` is `¬it;`.
    OrTheirStart,
}

/// Makes text safe inside HTML elements (quotes stay: not for attributes). Entities are decoded first, so that nothing
/// is escaped twice; `&nbsp;` and `&amp;` stay entities.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        push_escaped(&mut out, &rest[..at]);
        rest = &rest[at..];
        if let Some(kept) = KEPT.iter().find(|kept| rest.starts_with(**kept)) {
            out.push_str(kept);
            rest = &rest[kept.len()..];
        } else if let Some((decoded, length)) = decode(rest, Names::OrTheirStart) {
            push_escaped(&mut out, &decoded);
            rest = &rest[length..];
        } else {
            out.push_str("&amp;");
            rest = &rest[1..];
        }
    }
    push_escaped(&mut out, rest);
    out
}

/// Replaces every entity by what it stands for; what is no entity stays.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((decoded, length)) = decode(rest, Names::Whole) {
            out.push_str(&decoded);
            rest = &rest[length..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
}

/// What the entity at the start of `text` (a `&`) stands for, and how many bytes it takes up.
fn decode(text: &str, names: Names) -> Option<(Cow<'static, str>, usize)> {
    match text.strip_prefix("&#") {
        Some(number) => decode_number(number).map(|(decoded, length)| (decoded.into(), length + 2)),
        None => decode_name(text, names).map(|(decoded, length)| (decoded.into(), length)),
    }
}

fn decode_number(text: &str) -> Option<(String, usize)> {
    let (radix, prefix) = if text.starts_with(['x', 'X']) { (16, 1) } else { (10, 0) };
    let digits = text[prefix..].bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
    let end = prefix + digits;
    if digits == 0 || !text[end..].starts_with(';') {
        return None;
    }
    // A number that does not fit is beyond Unicode anyway.
    let code_point = u32::from_str_radix(&text[prefix..end], radix).unwrap_or(u32::MAX);
    Some((character(code_point).map(String::from).unwrap_or_default(), end + 1))
}

/// HTML's rules for numbers that name no character: Windows-1252 for C1 controls, U+FFFD for surrogates and the like,
/// nothing for controls and non-characters.
fn character(code_point: u32) -> Option<char> {
    const WINDOWS_1252: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match code_point {
        0 => Some(char::REPLACEMENT_CHARACTER),
        0x80..=0x9f => Some(WINDOWS_1252[code_point as usize - 0x80]),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if code_point & 0xfffe == 0xfffe && code_point <= 0x0010_ffff => None,
        _ => Some(char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

fn decode_name(text: &str, names: Names) -> Option<(&'static str, usize)> {
    let length = text[1..].bytes().take(NAME_LIMIT + 1).take_while(u8::is_ascii_alphanumeric).count();
    if length > NAME_LIMIT || !text[1 + length..].starts_with(';') {
        return None;
    }
    let whole = length + 2;
    let shortest = if names == Names::Whole { whole } else { 3 };
    (shortest..=whole).rev().find_map(|length| {
        let decoded = ENTITIES.get(&text.as_bytes()[..length])?;
        Some((std::str::from_utf8(decoded).ok()?, length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_escaped_twice() {
        for (text, escaped) in [
            ("a < b & c", "a &lt; b &amp; c"),
            ("&lt;b&gt; &amp;lt; &nbsp;", "&lt;b&gt; &amp;lt; &nbsp;"),
            ("&notit; &notin; &foo; &;", "¬it; ∉ &amp;foo; &amp;;"),
            ("&#40;&#x29;&#34", "()&amp;#34"),
        ] {
            assert_eq!(escape(text), escaped, "{text}");
        }
    }

    #[test]
    fn numbers_that_name_no_character_follow_html() {
        let text = "&#x80;|&#0;|&#xD800;|&#1114112;|&#99999999999;|&#11;|&#xFFFE;|&#13;";
        assert_eq!(unescape(text), "€|\u{fffd}|\u{fffd}|\u{fffd}|\u{fffd}|||\r");
    }

    #[test]
    fn only_entities_with_their_semicolon_are_read() {
        for link in [
            "https://a.example/?id=1&currency=GBP&timestamp=2",
            "https://a.example/?id=1&copy=2;",
            "https://a.example/?lt=1&lt&gt=2&amp=3&#65",
            "https://a.example/?a&section/b;c&times,;",
        ] {
            assert_eq!(unescape(link), link);
            assert_eq!(escape(link), link.replace('&', "&amp;"));
        }
        assert_eq!(unescape("&lt; &#65; &copy;x &notin; &notit; &currency;"), "< A ©x ∉ &notit; &currency;");
    }
}
