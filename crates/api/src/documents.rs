//! Where people download the files that were sent to them by e-mail: `GET /d/{service}/{document}?key=…`, as HTML pages.
//!
//! The key in the link opens the file and is stored nowhere. Whoever has the link is asked for the address that it was sent to,
//! unless the service did without, and gets a ticket for the bytes; wrong answers are counted ([`db::document::judge`]). Nothing
//! that comes in here is logged, and what is not there looks like what does not open.

pub(crate) mod file_type;
pub(crate) mod link;
pub(crate) mod page;

use std::{fmt, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, Resource, ResponseError,
    http::{
        StatusCode,
        header::{
            Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue, HeaderValue,
            LOCATION, RETRY_AFTER,
        },
    },
    web::{self, Data, Payload, ServiceConfig, post},
};
use db::document::{self, ATTEMPTS_WITHIN, Details, Document, Verdict};
use domain::email_address::EmailAddress;

use self::{
    file_type::FileType,
    link::Link,
    page::{Mistake, Shown},
};
use crate::{
    App, body,
    error::{PlainError, Problem},
    lookup::KnownService,
    page::keep_secret,
    routes::get,
};

/// A file that a browser shows all the same can do nothing.
const FILE_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// A form with one address in it.
const FORM_LIMIT: usize = 8 * 1024;

pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/d/{service}/{document}").route(get().to(landing)).route(post().to(confirm)))
        .service(at("/d/{service}/{document}/file").route(get().to(file)))
        .service(at("/d/{rest:.*}"));
}

/// Whatever else is asked for there is not.
fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Err::<HttpResponse, _>(Refusal::Gone)))
}

/// A document that the link opens.
struct Found {
    link: Link,
    ticket: Option<String>,
    document: Arc<Document>,
    details: Details,
    service: Arc<KnownService>,
}

impl Found {
    async fn by(request: &HttpRequest, app: &App) -> Result<Self, Refusal> {
        let part = |name| request.match_info().get(name).unwrap_or_default();
        let read = Link::read(part("service"), part("document"), request.query_string());
        let (link, ticket) = read.ok_or(Refusal::Gone)?;
        let document = app.lookup.document(link.service, link.document).await?.ok_or(Refusal::Gone)?;
        let details = document.open(&link.key).map_err(|_| Refusal::Gone)?;
        let service = app.lookup.service(link.service).await?.ok_or(Refusal::Gone)?;
        Ok(Self { link, ticket, document, details, service })
    }

    fn shown(&self) -> Shown<'_> {
        Shown { service: &self.service.service, document: &self.document, details: &self.details }
    }

    fn needs_address(&self) -> bool {
        self.details.confirmed_by.is_some()
    }

    fn ready(&self, app: &App) -> HttpResponse {
        let ticket = self.needs_address().then(|| self.link.ticket(&app.keyring, app.clock.now()));
        page::ready(HttpResponse::Ok().finish(), &self.shown(), &self.link.to_file(ticket.as_deref()))
    }
}

async fn landing(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Refusal> {
    let found = Found::by(&request, &app).await?;
    if found.needs_address() {
        Ok(page::confirm(HttpResponse::Ok().finish(), &found.shown(), None))
    } else {
        Ok(found.ready(&app))
    }
}

async fn confirm(request: HttpRequest, payload: Payload, app: Data<App>) -> Result<HttpResponse, Refusal> {
    let found = Found::by(&request, &app).await?;
    let limits = body::Limits { bytes: FORM_LIMIT, ..app.body_limits() };
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(&body::read(payload, limits).await?).unwrap_or_default();
    let given = form.iter().find(|(name, _)| name == page::ADDRESS).map_or("", |(_, given)| given.as_str());
    let mistake = |mistake| page::confirm(HttpResponse::BadRequest().finish(), &found.shown(), Some(mistake));
    let Ok(address) = EmailAddress::parse(given) else { return Ok(mistake(Mistake::NotAnAddress)) };

    let is_right = found.details.is_confirmed_by(address.normalised());
    let (id, now) = (found.document.id, app.clock.now());
    let judged = app.db.run("document.judge", move |conn| document::judge(conn, id, is_right, now));
    match judged.await?.ok_or(Refusal::Gone)? {
        Verdict::Right => Ok(found.ready(&app)),
        Verdict::Wrong => Ok(mistake(Mistake::WrongAddress)),
        Verdict::TooMany => {
            let mut answer = HttpResponse::TooManyRequests();
            answer.insert_header((RETRY_AFTER, ATTEMPTS_WITHIN.num_seconds()));
            Ok(page::too_many(answer.finish(), &found.service.service))
        }
    }
}

/// The bytes, for whoever has the key and, where an address is asked for, a ticket.
async fn file(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Refusal> {
    let found = Found::by(&request, &app).await?;
    let admits = |ticket: &String| found.link.admits(&app.keyring, ticket, app.clock.now());
    if found.needs_address() && !found.ticket.as_ref().is_some_and(admits) {
        let to_page = HttpResponse::SeeOther().insert_header((LOCATION, found.link.to_page())).finish();
        return Ok(secret(to_page));
    }
    let Found { link, document, details, .. } = found;
    let content = app.db.run("document.content", move |conn| document::content(conn, &document, &link.key));
    let content = content.await?.ok_or(Refusal::Gone)?;
    let mimetype =
        FileType::by_extension(&details.extension).map_or("application/octet-stream", |kind| kind.mimetype);
    let mut answer = HttpResponse::Ok();
    answer.content_type(mimetype).insert_header(disposition(&details));
    Ok(secret(answer.body(content)))
}

/// To be kept, under the name that the service gave it (RFC 6266), in ASCII for old programs and in UTF-8 for others.
fn disposition(details: &Details) -> ContentDisposition {
    let name: String = match &details.filename {
        // What a path, or a line of a header, would end with; and what turns the direction of writing.
        Some(name) => name.chars().map(|c| if is_unfit(c) { '_' } else { c }).collect(),
        None => format!("document.{}", details.extension),
    };
    let ascii = name.chars().map(|c| if c.is_ascii() && c != '%' { c } else { '_' }).collect();
    let mut parameters = vec![DispositionParam::Filename(ascii)];
    if !name.is_ascii() {
        parameters.push(DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".into()),
            language_tag: None,
            value: name.into_bytes(),
        }));
    }
    ContentDisposition { disposition: DispositionType::Attachment, parameters }
}

fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '"' | '*' | '?' | '<' | '>' | '|')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn secret(mut answer: HttpResponse) -> HttpResponse {
    keep_secret(answer.headers_mut(), HeaderValue::from_static(FILE_POLICY));
    answer
}

/// Why there is no page for somebody. It is told as a page.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Unknown, past its time, of another service, or the key does not fit: nobody learns which.
    Gone,
    Problem(PlainError),
}

impl<P: Into<Problem>> From<P> for Refusal {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into().into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("no such document"),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Gone => StatusCode::NOT_FOUND,
            Self::Problem(problem) => problem.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Gone => page::gone(HttpResponse::NotFound().finish()),
            Self::Problem(problem) => {
                // It is logged there, and gets the headers that belong to it; only its JSON is not for people.
                let answer = problem.error_response();
                let id =
                    answer.headers().get("X-Request-Id").and_then(|id| id.to_str().ok()).map(str::to_owned);
                page::problem(answer, id.as_deref())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::TryIntoHeaderValue;

    use super::*;

    fn header(filename: Option<&str>) -> String {
        let details =
            Details { filename: filename.map(Into::into), extension: "pdf".into(), confirmed_by: None };
        disposition(&details).try_into_value().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn file_names_in_headers() {
        for (filename, expected) in [
            (None, r#"attachment; filename="document.pdf""#),
            (Some("my permit.pdf"), r#"attachment; filename="my permit.pdf""#),
            (
                Some("Genehmigung für Zoë.pdf"),
                "attachment; filename=\"Genehmigung f_r Zo_.pdf\"; filename*=UTF-8''Genehmigung%20f%C3%BCr%20Zo%C3%AB.pdf",
            ),
            (Some("../../etc/a\"b\\c.pdf"), r#"attachment; filename=".._.._etc_a_b_c.pdf""#),
            (Some("a\r\nSet-Cookie: x\t\0.pdf"), r#"attachment; filename="a__Set-Cookie_ x__.pdf""#),
            (Some("50%2F.pdf"), r#"attachment; filename="50_2F.pdf""#),
            (Some("exe\u{202e}fdp.pdf"), r#"attachment; filename="exe_fdp.pdf""#),
        ] {
            assert_eq!(header(filename), expected);
        }
    }
}
