//! What people see who follow a link to a file.

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use db::{
    document::{Details, Document},
    service::Service,
};
use maud::{Markup, html};

use super::file_type::FileType;
use crate::page;

/// The id of the one input, which an error points to, and its name in the form.
pub(super) const ADDRESS: &str = "email_address";

/// A file, as its page tells of it.
pub(super) struct Shown<'a> {
    pub(super) service: &'a Service,
    pub(super) document: &'a Document,
    pub(super) details: &'a Details,
}

impl Shown<'_> {
    fn kind(&self) -> &'static str {
        FileType::by_extension(&self.details.extension).map_or("file", |kind| kind.name)
    }

    fn size(&self) -> String {
        size(u64::try_from(self.document.size).unwrap_or_default())
    }
}

/// What was wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    NotAnAddress,
    WrongAddress,
}

impl Mistake {
    fn message(self) -> &'static str {
        match self {
            Self::NotAnAddress => "Enter an email address in the correct format, like name@example.com",
            Self::WrongAddress => "This is not the email address the file was sent to",
        }
    }
}

const TITLE: &str = "You have a file to download";

/// Asks for the address that the file was sent to.
pub(super) fn confirm(answer: HttpResponse, shown: &Shown<'_>, mistake: Option<Mistake>) -> HttpResponse {
    let prefix = if mistake.is_some() { "Error: " } else { "" };
    let content = html! {
        @if let Some(mistake) = mistake {
            div.mistake role="alert" aria-labelledby="mistake-title" {
                h2 #mistake-title { "There is a problem" }
                p { a href={ "#" (ADDRESS) } { (mistake.message()) } }
            }
        }
        (introduction(shown))
        (facts(shown, None))
        form method="post" novalidate { (question(mistake)) }
        (contact(shown.service))
    };
    page::show_whole(answer, &format!("{prefix}{TITLE} – {}", shown.service.name), &content)
}

fn question(mistake: Option<Mistake>) -> Markup {
    let described_by = if mistake.is_some() { "hint message" } else { "hint" };
    html! {
        h2 { "Confirm your email address" }
        div.field.wrong[mistake.is_some()] {
            label for=(ADDRESS) { "Email address" }
            p.soft #hint { "Enter the one that this link was sent to, so that nobody else can open your file." }
            @if let Some(mistake) = mistake {
                p.message #message { span.visually-hidden { "Error: " } (mistake.message()) }
            }
            input #(ADDRESS) name=(ADDRESS) type="email" autocomplete="email" autocapitalize="none" spellcheck="false"
                required aria-invalid=[mistake.map(|_| "true")] aria-describedby=(described_by);
        }
        button { "Continue" }
    }
}

/// Has the link to the file itself.
pub(super) fn ready(answer: HttpResponse, shown: &Shown<'_>, file: &str) -> HttpResponse {
    let content = html! {
        (introduction(shown))
        (facts(shown, shown.details.filename.as_deref()))
        p { a.button href=(file) download { "Download this " (shown.kind()) " (" (shown.size()) ")" } }
        (contact(shown.service))
    };
    page::show_whole(answer, &format!("{TITLE} – {}", shown.service.name), &content)
}

/// Too many wrong addresses.
pub(super) fn too_many(answer: HttpResponse, service: &Service) -> HttpResponse {
    let content = html! {
        p { "A wrong email address was entered too many times." }
        p { "To protect the file, it cannot be opened for up to an hour. After that, follow the link in your email again." }
        (contact(service))
    };
    page::show(answer, "Try again later", &content)
}

/// For whatever is not there, and for keys that do not fit: which of these it is, is told to nobody.
pub(super) fn gone(answer: HttpResponse) -> HttpResponse {
    let content = html! {
        p { "The time to download it may be over, or a part of the link may be missing." }
        p {
            "Check that you followed the whole link in your email. If it still does not work, ask whoever sent you the file to "
            "send it again."
        }
    };
    page::show(answer, "This file is no longer available", &content)
}

/// A failure of ours, or a request that no browser makes.
pub(super) fn problem(answer: HttpResponse, request_id: Option<&str>) -> HttpResponse {
    let content = html! {
        p { "Try again in a few minutes." }
        @if let Some(id) = request_id { p.soft { "If you report this, name this number: " (id) } }
    };
    page::show(answer, "Sorry, there is a problem", &content)
}

fn introduction(shown: &Shown<'_>) -> Markup {
    html! {
        h1 { (TITLE) }
        p.lead { (shown.service.name) " sent you a file." }
    }
}

/// The name of the file is for its reader only.
fn facts(shown: &Shown<'_>, filename: Option<&str>) -> Markup {
    html! {
        dl {
            @if let Some(name) = filename { div { dt { "Name" } dd { bdi { (name) } } } }
            div { dt { "File type" } dd { (capitalised(shown.kind())) } }
            div { dt { "Size" } dd { (shown.size()) } }
            div { dt { "Available until" } dd { (until(shown.document.expires_at)) } }
        }
    }
}

/// A web page, an address or a telephone number.
fn contact(service: &Service) -> Markup {
    let Some(contact) = service.contact_link.as_deref().map(str::trim).filter(|link| !link.is_empty()) else {
        return html! {};
    };
    let is_web = ["https://", "http://"].iter().any(|scheme| contact.starts_with(scheme));
    html! {
        footer {
            p {
                "If you have questions, contact " (service.name)
                @if is_web { ": " a href=(contact) { (contact) } }
                @else if contact.contains('@') { ": " a href={ "mailto:" (contact) } { (contact) } }
                @else { ": " strong { (contact) } }
            }
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

fn until(expires_at: DateTime<Utc>) -> String {
    expires_at.format("%-d %B %Y, %-H:%M UTC").to_string()
}

/// `12KB`, `1.4MB`: rounded up, so that nothing has 0KB.
pub(crate) fn size(bytes: u64) -> String {
    const KB: u64 = 1024;
    match bytes.div_ceil(KB) {
        kilobytes @ ..KB => format!("{}KB", kilobytes.max(1)),
        kilobytes => {
            let tenths = (kilobytes * 10).div_ceil(KB);
            let fraction =
                if tenths.is_multiple_of(10) { String::new() } else { format!(".{}", tenths % 10) };
            format!("{}{fraction}MB", tenths / 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        for (bytes, text) in [
            (0, "1KB"),
            (1, "1KB"),
            (1024, "1KB"),
            (1025, "2KB"),
            (1023 * 1024, "1023KB"),
            (1024 * 1024, "1MB"),
            (1024 * 1024 + 1, "1.1MB"),
            (2 * 1024 * 1024, "2MB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
