//! `domain` against GOV.UK Notify's published behaviour (`vectors`) and against any input at all (`properties`).

mod email;
mod email_pages;
mod email_properties;
mod known_differences;
mod properties;
mod reader;
mod vectors;
