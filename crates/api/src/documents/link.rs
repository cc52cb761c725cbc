//! Links to files, and tickets: a proof, for a short while, that the right address was named.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, TimeDelta, Utc};
use db::{document::DocumentKey, sealing::Keyring};
use domain::id::{DocumentId, ServiceId};
use serde::Deserialize;
use uuid::Uuid;

/// How long the button on the page works after the address was named.
const TICKET_LIFE: TimeDelta = TimeDelta::hours(1);

/// Where a file is, and what opens it. Never in a log line.
pub(crate) struct Link {
    pub(crate) service: ServiceId,
    pub(crate) document: DocumentId,
    pub(crate) key: DocumentKey,
}

/// What may stand in the query; mail programs add more.
#[derive(Deserialize)]
struct Query {
    key: String,
    ticket: Option<String>,
}

impl Link {
    pub(crate) fn new(service: ServiceId, now: DateTime<Utc>) -> Self {
        Self { service, document: DocumentId::new(now), key: DocumentKey::random() }
    }

    /// Under `base`, which ends without a slash.
    pub(crate) fn url(&self, base: &str) -> String {
        let (service, document) = (BASE64.encode(self.service.0), BASE64.encode(self.document.0));
        format!("{base}/d/{service}/{document}?{}", self.query())
    }

    /// From the page to the file, whatever the pages are under.
    pub(super) fn to_file(&self, ticket: Option<&str>) -> String {
        let ticket = ticket.map(|ticket| format!("&ticket={ticket}")).unwrap_or_default();
        format!("{}/file?{}{ticket}", BASE64.encode(self.document.0), self.query())
    }

    /// From the file to the page.
    pub(super) fn to_page(&self) -> String {
        format!("../{}?{}", BASE64.encode(self.document.0), self.query())
    }

    fn query(&self) -> String {
        format!("key={}", BASE64.encode(self.key.as_bytes()))
    }

    /// None when it was cut off, or is no link of ours. With it, the ticket that may come along.
    pub(super) fn read(service: &str, document: &str, query: &str) -> Option<(Self, Option<String>)> {
        let id = |text: &str| Uuid::from_slice(&BASE64.decode(text).ok()?).ok();
        let (service, document) = (id(service)?.into(), id(document)?.into());
        let Query { key, ticket } = serde_urlencoded::from_str(query).ok()?;
        let key = DocumentKey::from_bytes(&BASE64.decode(key).ok()?)?;
        Some((Self { service, document, key }, ticket))
    }

    /// Sealed with the house's key: whoever has the link cannot make one.
    pub(super) fn ticket(&self, keyring: &Keyring, now: DateTime<Utc>) -> String {
        let ends = (now + TICKET_LIFE).timestamp().to_be_bytes();
        BASE64.encode(keyring.seal(self.document.0, &ends))
    }

    pub(super) fn admits(&self, keyring: &Keyring, ticket: &str, now: DateTime<Utc>) -> bool {
        let sealed = BASE64.decode(ticket).ok();
        let ends = sealed.and_then(|sealed| keyring.open(self.document.0, &sealed).ok());
        ends.and_then(|ends| ends.try_into().ok())
            .is_some_and(|ends| now.timestamp() < i64::from_be_bytes(ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://files.example";

    fn parts(url: &str) -> [&str; 3] {
        let rest = url.strip_prefix("https://files.example/d/").unwrap();
        let (path, query) = rest.split_once('?').unwrap();
        let (service, document) = path.split_once('/').unwrap();
        [service, document, query]
    }

    fn link() -> Link {
        Link::new(ServiceId(Uuid::from_u128(7)), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_link_is_read_as_it_was_written() {
        let link = link();
        let url = link.url(BASE);
        let [service, document, query] = parts(&url);
        assert_eq!((service.len(), document.len(), query.len()), (22, 22, 47));
        let (read, ticket) = Link::read(service, document, &format!("utm_source=x&{query}")).unwrap();
        assert!(read.service == link.service && read.document == link.document && read.key == link.key);
        assert_eq!(ticket, None);
    }

    #[test]
    fn a_link_that_was_cut_off_or_changed_in_shape_is_none() {
        let url = link().url(BASE);
        let [service, document, query] = parts(&url);
        for (service, document, query) in [
            (&service[1..], document, query),
            (service, &document[..21], query),
            (service, "", query),
            (service, document, &query[..46]),
            (service, document, "key="),
            (service, document, ""),
            (service, document, "key=%ff"),
            (service, document, "key=é"),
        ] {
            assert!(Link::read(service, document, query).is_none(), "{service} {document} {query}");
        }
    }

    #[test]
    fn a_ticket_admits_to_its_document_for_an_hour() {
        let (link, other, keyring) = (link(), link(), testkit::keyring());
        let now = DateTime::UNIX_EPOCH;
        let ticket = link.ticket(&keyring, now);
        assert!(link.admits(&keyring, &ticket, now + TimeDelta::minutes(59)));
        assert!(!link.admits(&keyring, &ticket, now + TimeDelta::minutes(60)));
        assert!(!other.admits(&keyring, &ticket, now));
        for forged in ["", "x", &ticket[1..], &BASE64.encode(keyring.seal(link.document.0, b"x"))] {
            assert!(!link.admits(&keyring, forged, now), "{forged}");
        }
    }
}
