//! Standard output, where a reader that has had enough (`| head`) is no error.

use std::io::{self, Write};

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
