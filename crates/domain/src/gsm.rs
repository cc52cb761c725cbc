//! What a text message is written in: the GSM alphabet and its extension, where they have all that it says, or else UCS-2, which
//! has every character. A few typographic characters are replaced, so that they alone make no text dearer.

use crate::whitespace::{NON_BREAKING, ZERO_WIDTH_IN_TEXT};

/// In the basic alphabet of GSM 03.38: one septet each.
#[must_use]
pub fn is_basic(c: char) -> bool {
    matches!(c,
        ' '..='_' if !matches!(c, '[' | '\\' | ']' | '^'))
        || matches!(
            c,
            'a'..='z'
                | '\n'
                | '\r'
                | '\u{1b}'
                | '£'
                | '¥'
                | 'è'
                | 'é'
                | 'ù'
                | 'ì'
                | 'ò'
                | 'Ç'
                | 'Ø'
                | 'ø'
                | 'Å'
                | 'å'
        )
        || matches!(
            c,
            'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' | 'Æ' | 'æ' | 'ß' | 'É' | '¤'
        )
        || matches!(c, '¡' | 'Ä' | 'Ö' | 'Ñ' | 'Ü' | '§' | '¿' | 'ä' | 'ö' | 'ñ' | 'ü' | 'à')
}

/// In the extension table: two septets each.
#[must_use]
pub fn is_extended(c: char) -> bool {
    matches!(c, '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€')
}

/// The alphabet that a text is sent in as a whole: one character that has no place in the alphabet of GSM, and all of it is
/// UCS-2.
#[must_use]
pub fn is_gsm(c: char) -> bool {
    is_basic(c) || is_extended(c)
}

/// What a text says instead of a character that would make it dearer and looks the same without; `None` for all others, which
/// are sent as they are.
#[must_use]
pub fn replacement(c: char) -> Option<&'static str> {
    match c {
        '\u{2011}' | '–' | '—' | '−' => Some("-"),
        '…' => Some("..."),
        '‘' | '’' | '‚' => Some("'"),
        '“' | '”' | '„' => Some("\""),
        '\t' => Some(" "),
        c if NON_BREAKING.contains(&c) => Some(" "),
        c if ZERO_WIDTH_IN_TEXT.contains(&c) => Some(""),
        _ => None,
    }
}

/// The text as it is sent.
#[must_use]
pub fn replaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match replacement(c) {
            Some(instead) => out.push_str(instead),
            None => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_have_the_size_that_the_standard_says() {
        let count =
            |is: fn(char) -> bool| (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| is(*c)).count();
        // 03.38 has 128 places, one of which is the escape to the extension, and the extension's form feed is not used.
        assert_eq!((count(is_basic), count(is_extended)), (128, 9));
    }

    #[test]
    fn only_what_looks_the_same_is_replaced() {
        assert_eq!(
            replaced("“a” ‘b’ „c‚ – — − \u{2011} … \u{200b}\t|\u{a0}"),
            "\"a\" 'b' \"c' - - - - ...  | "
        );
        // Accents, composed or not; other alphabets; a family held together by joiners; controls.
        for kept in [
            "çõ ǘ ấ Ł ŵ e\u{301}",
            "½ ™ \u{2010} « » Ж 가 `",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
            "\u{1}\u{ad}\u{202e}\u{fdd0}",
        ] {
            assert_eq!(replaced(kept), kept);
        }
    }

    #[test]
    fn what_is_put_in_has_a_place_in_gsm() {
        let instead = (0..=0x0010_ffff).filter_map(char::from_u32).filter_map(replacement);
        assert!(instead.flat_map(str::chars).all(is_basic));
    }
}
