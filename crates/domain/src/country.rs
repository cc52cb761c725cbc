//! What text messages to other countries cost and whether their networks answer, by dialling prefix. Rates change, so
//! they are data: `data/international_prefixes.json`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// One row of the table; its key is a country code, or four digits for places in the +1 plan with their own price.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prefix {
    /// How many times the UK price one message costs.
    pub(crate) rate_multiplier: u8,
    /// Not known everywhere.
    alpha: Option<Alpha>,
    /// Networks there send receipts from handsets.
    receipts: bool,
    /// Who is there; for people who read the file.
    #[serde(rename = "names")]
    _names: Vec<String>,
}

/// Whether a sender may be made of letters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Alpha {
    Yes,
    No,
    /// Once registered there.
    Reg,
}

impl Prefix {
    pub(crate) fn needs_numeric_sender(&self) -> bool {
        self.alpha == Some(Alpha::No)
    }
}

/// The row of a prefix, if messages can be sent there.
pub(crate) fn prefix(digits: &str) -> Option<&'static Prefix> {
    static PREFIXES: LazyLock<HashMap<String, Prefix>> = LazyLock::new(|| {
        let table = include_str!("../data/international_prefixes.json");
        serde_json::from_str(table).expect("the table is part of the program; a unit test reads it")
    });
    PREFIXES.get(digits)
}

/// Whether networks of this country send receipts from handsets; without them `sent` is the last word.
#[must_use]
pub fn gives_receipts(country_prefix: &str) -> bool {
    prefix(country_prefix).is_none_or(|row| row.receipts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads() {
        let italy = prefix("39").unwrap();
        assert_eq!((italy.rate_multiplier, italy.needs_numeric_sender()), (2, false));
        assert!(prefix("1242").unwrap().needs_numeric_sender());
        assert!(prefix("870").is_none());
        assert!(gives_receipts("44") && !gives_receipts("1") && !gives_receipts("993"));
    }
}
