//! Standard output, where a reader that has had enough (`| head`) is no error.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::Error;

/// Prints a line, or several.
pub(crate) fn say(text: &str) -> Result<(), Error> {
    match writeln!(io::stdout(), "{}", text.trim_end_matches('\n')) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints JSON, indented.
pub(crate) fn say_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Output(e.into()))?;
    say(&text)
}

/// As the APIs write times.
pub(crate) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
