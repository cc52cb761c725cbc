//! What a text message can be written in: the GSM alphabet, its extension, and the letters of Welsh, for which a message
//! is sent as UCS-2 instead. Everything else is downgraded.

use unicode_normalization::char::{compose, decompose_canonical};

use crate::whitespace::{NON_BREAKING, ZERO_WIDTH};

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

/// A letter of Welsh outside GSM: one of them, and the whole message is sent as UCS-2.
#[must_use]
pub fn is_welsh(c: char) -> bool {
    matches!(
        c,
        'À' | 'Á'
            | 'Â'
            | 'È'
            | 'Ê'
            | 'Ë'
            | 'Ì'
            | 'Í'
            | 'Î'
            | 'Ï'
            | 'Ò'
            | 'Ó'
            | 'Ô'
            | 'Ù'
            | 'Ú'
            | 'Û'
            | 'Ý'
    ) || matches!(c, 'á' | 'â' | 'ê' | 'ë' | 'í' | 'î' | 'ï' | 'ó' | 'ô' | 'ú' | 'û' | 'ý' | 'ÿ')
        || matches!(c, 'Ŵ' | 'ŵ' | 'Ŷ' | 'ŷ' | 'Ÿ' | 'Ẁ' | 'ẁ' | 'Ẃ' | 'ẃ' | 'Ẅ' | 'ẅ' | 'Ỳ' | 'ỳ')
}

fn is_kept(c: char) -> bool {
    is_basic(c) || is_extended(c) || is_welsh(c)
}

/// What becomes of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    Kept,
    Replaced(&'static str),
    /// By the letter without its accent.
    Bare(char),
    /// Sent as `?`.
    Unsupported,
}

#[must_use]
pub fn downgrade(c: char) -> Downgrade {
    if is_kept(c) {
        return Downgrade::Kept;
    }
    if let Some(bare) = decomposition_start(c) {
        return if is_kept(bare) { Downgrade::Bare(bare) } else { Downgrade::Unsupported };
    }
    match c {
        '‑' | '–' | '—' | '−' => Downgrade::Replaced("-"),
        '…' => Downgrade::Replaced("..."),
        '‘' | '’' | '‚' => Downgrade::Replaced("'"),
        '“' | '”' | '„' => Downgrade::Replaced("\""),
        'Ł' => Downgrade::Bare('L'),
        'ł' => Downgrade::Bare('l'),
        '\t' => Downgrade::Replaced(" "),
        c if NON_BREAKING.contains(&c) => Downgrade::Replaced(" "),
        c if ZERO_WIDTH.contains(&c) => Downgrade::Replaced(""),
        _ => Downgrade::Unsupported,
    }
}

/// Adds what `c` is sent as.
pub(crate) fn push_downgraded(out: &mut String, c: char) {
    match downgrade(c) {
        Downgrade::Kept => out.push(c),
        Downgrade::Replaced(text) => out.push_str(text),
        Downgrade::Bare(bare) => out.push(bare),
        Downgrade::Unsupported => out.push('?'),
    }
}

/// UTF-16 units of the text once downgraded.
pub(crate) fn downgraded_length(text: &str) -> usize {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_downgraded(&mut out, c));
    out.encode_utf16().count()
}

/// The first character of the canonical mapping in Unicode's character database, which goes one step only: `ǘ` is `ü` and
/// an accent there. Normalisation goes all the way, so the way back is composed up to the last step.
fn decomposition_start(c: char) -> Option<char> {
    // Hangul syllables are decomposed by arithmetic, not by the database.
    if c.is_ascii() || ('\u{ac00}'..='\u{d7a3}').contains(&c) {
        return None;
    }
    let mut whole = Vec::with_capacity(4);
    decompose_canonical(c, |part| whole.push(part));
    let (last, before) = match whole.as_slice() {
        [same] if *same == c => return None,
        [other] => return Some(*other),
        [before @ .., last] => (*last, before),
        [] => return None,
    };
    let (first, rest) = before.split_first()?;
    let start = rest.iter().try_fold(*first, |composed, part| compose(composed, *part)).unwrap_or(*first);
    match compose(start, last) {
        // Mapped to one other character as a whole, as the Ångström sign is to the letter.
        Some(composed) if composed != c => Some(composed),
        _ => Some(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        let mut out = String::new();
        text.chars().for_each(|c| push_downgraded(&mut out, c));
        out
    }

    #[test]
    fn alphabets_have_the_size_that_the_standard_says() {
        let count =
            |is: fn(char) -> bool| (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| is(*c)).count();
        // 03.38 has 128 places, one of which is the escape to the extension, and the extension's form feed is not used.
        assert_eq!((count(is_basic), count(is_extended), count(is_welsh)), (128, 9, 43));
    }

    #[test]
    fn letters_lose_accents_one_step_at_a_time() {
        assert_eq!(sent("çõ ǘ ấ ậ Å Ω ≠ ď"), "co ü â ? Å Ω = d");
        assert_eq!(sent("“a” ‘b’ – — … ł\u{200b}\t|"), "\"a\" 'b' - - ... l |");
        assert_eq!(sent("½ ™ ‐ Ж 가 😀 `"), "? ? ? ? ? ? ?");
    }
}
