//! Where the content of a template comes from: an argument, a file, or standard input.

use std::{io, path::PathBuf};

use clap::Args;

use crate::error::Error;

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Content {
    /// What it says, with ((placeholders))
    #[arg(long, value_name = "TEXT")]
    content: Option<String>,
    /// Where that is; - is standard input
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

impl Content {
    pub(super) fn read(self) -> Result<String, Error> {
        let Some(path) = self.file else { return Ok(self.content.unwrap_or_default()) };
        let read = if path.as_os_str() == "-" {
            io::read_to_string(io::stdin())
        } else {
            std::fs::read_to_string(&path)
        };
        let text = read.map_err(|error| Error::No(format!("{}: {error}", path.display())))?;
        // Editors end the last line.
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
