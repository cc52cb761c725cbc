//! Files sent by e-mail: sealed before they reach a row, each with a key of its own that is only in the link.
//!
//! A sealed part is `nonce (12) | ciphertext | tag (16)`, AES-256-GCM, bound to its service, its document and to which part it
//! is. The database alone opens nothing; whoever has the link alone gets no further than the address that is asked for.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time, digest, rand,
};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use domain::id::{DocumentId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::{schema::documents, sealing::CannotOpen};

/// Wrong addresses that one document takes within [`ATTEMPTS_WITHIN`], by whomever and at whichever replica.
pub const ATTEMPTS: i16 = 10;
/// From the first wrong address on.
pub const ATTEMPTS_WITHIN: TimeDelta = TimeDelta::hours(1);

const KEY_LEN: usize = 32;

/// What opens one document. It is stored nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentKey([u8; KEY_LEN]);

impl std::fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentKey(…)")
    }
}

#[derive(Clone, Copy)]
enum Part {
    Details,
    Content,
}

impl DocumentKey {
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; KEY_LEN];
        rand::fill(&mut bytes).expect("the operating system's randomness never ends");
        Self(bytes)
    }

    /// What stood in a link. None when it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).expect("the algorithm's key is 32 bytes long")
    }

    fn seal(&self, bound_to: [u8; 33], mut plain: Vec<u8>) -> Vec<u8> {
        let nonce = self
            .cipher()
            .seal_in_place_append_tag(Aad::from(bound_to), &mut plain)
            .expect("AES-GCM seals anything below 64 GiB");
        plain.splice(..0, nonce.as_ref().iter().copied());
        plain
    }

    fn open(&self, bound_to: [u8; 33], mut sealed: Vec<u8>) -> Result<Vec<u8>, CannotOpen> {
        let (nonce, _) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let nonce = Nonce::from(nonce);
        sealed.drain(..NONCE_LEN);
        let plain = self
            .cipher()
            .open_in_place(nonce, Aad::from(bound_to), &mut sealed)
            .map_err(|_| CannotOpen)?
            .len();
        sealed.truncate(plain);
        Ok(sealed)
    }
}

fn bound_to(service: ServiceId, id: DocumentId, part: Part) -> [u8; 33] {
    let mut bytes = [0; 33];
    bytes[..16].copy_from_slice(service.0.as_bytes());
    bytes[16..32].copy_from_slice(id.0.as_bytes());
    bytes[32] = part as u8;
    bytes
}

/// What is known of a file beside its bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// As the service gave it; null when it gave none.
    pub filename: Option<String>,
    /// `pdf`: what kind of file it is.
    pub extension: String,
    /// The normalised address that must be named before the file can be downloaded; null: none.
    pub confirmed_by: Option<String>,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Details").finish_non_exhaustive()
    }
}

impl Details {
    /// Whether this normalised address opens the file. How long the comparison takes says nothing about the right one.
    #[must_use]
    pub fn is_confirmed_by(&self, address: &str) -> bool {
        let Some(right) = &self.confirmed_by else { return true };
        let digest = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        constant_time::verify_slices_are_equal(digest(right).as_ref(), digest(address).as_ref()).is_ok()
    }
}

/// A file to be stored, sealed already.
#[derive(Insertable)]
#[diesel(table_name = documents)]
pub struct NewDocument {
    id: uuid::Uuid,
    service_id: uuid::Uuid,
    details: Vec<u8>,
    content: Vec<u8>,
    size: i32,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for NewDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDocument").field("id", &self.id).field("size", &self.size).finish_non_exhaustive()
    }
}

impl NewDocument {
    /// # Panics
    /// When the file is larger than 2 GiB.
    #[must_use]
    pub fn sealed(
        (service, id): (ServiceId, DocumentId),
        key: &DocumentKey,
        details: &Details,
        content: Vec<u8>,
        (created_at, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        let size = content.len().try_into().expect("requests are limited to far less than 2 GiB");
        let details = serde_json::to_vec(details).expect("strings are JSON");
        Self {
            id: id.0,
            service_id: service.0,
            details: key.seal(bound_to(service, id, Part::Details), details),
            content: key.seal(bound_to(service, id, Part::Content), content),
            size,
            created_at,
            expires_at,
        }
    }

    #[must_use]
    pub fn id(&self) -> DocumentId {
        DocumentId(self.id)
    }

    /// As it is stored.
    pub(crate) fn bytes(&self) -> usize {
        self.content.len() + self.details.len()
    }
}

/// # Errors
/// When the database refuses; then none is stored.
pub fn store(conn: &mut PgConnection, new: &[NewDocument]) -> QueryResult<()> {
    store_all(conn, new.iter().collect())
}

/// In the transaction of their notifications: a link never leads nowhere, and of a request that is refused nothing is written.
pub(crate) fn store_all(conn: &mut PgConnection, new: Vec<&NewDocument>) -> QueryResult<()> {
    diesel::insert_into(documents::table).values(new).execute(conn).map(drop)
}

/// A stored file, without its bytes.
#[derive(Debug)]
pub struct Document {
    pub service: ServiceId,
    pub id: DocumentId,
    /// In bytes.
    pub size: i32,
    pub expires_at: DateTime<Utc>,
    details: Vec<u8>,
}

impl Document {
    /// # Errors
    /// When the key is not this document's.
    pub fn open(&self, key: &DocumentKey) -> Result<Details, CannotOpen> {
        let json = key.open(bound_to(self.service, self.id, Part::Details), self.details.clone())?;
        serde_json::from_slice(&json).map_err(|_| CannotOpen)
    }
}

/// What is there and not past its time.
///
/// # Errors
/// When the query fails.
pub fn find(
    conn: &mut PgConnection,
    service: ServiceId,
    id: DocumentId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Document>> {
    let found: Option<(i32, DateTime<Utc>, Vec<u8>)> = documents::table
        .find(id.0)
        .filter(documents::service_id.eq(service.0).and(documents::expires_at.gt(now)))
        .select((documents::size, documents::expires_at, documents::details))
        .first(conn)
        .optional()?;
    Ok(found.map(|(size, expires_at, details)| Document { service, id, size, expires_at, details }))
}

/// The bytes of a file that [`find`] found. None when it has gone since, or the key is another's.
///
/// # Errors
/// When the query fails.
pub fn content(
    conn: &mut PgConnection,
    document: &Document,
    key: &DocumentKey,
) -> QueryResult<Option<Vec<u8>>> {
    let sealed = documents::table.find(document.id.0).select(documents::content).first(conn).optional()?;
    Ok(sealed
        .and_then(|sealed| key.open(bound_to(document.service, document.id, Part::Content), sealed).ok()))
}

/// What an answer to the question for the address came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// There were too many wrong ones lately; this one was not looked at.
    TooMany,
}

/// Judges an answer, and counts it when it is wrong. The row is locked meanwhile, so that the limit is exact however many ask
/// at once. None: the document has gone.
///
/// # Errors
/// When a query fails; then nothing is counted.
pub fn judge(
    conn: &mut PgConnection,
    id: DocumentId,
    is_right: bool,
    now: DateTime<Utc>,
) -> QueryResult<Option<Verdict>> {
    use documents::{table, wrong_answers, wrong_answers_since};
    conn.transaction(|conn| {
        let row: Option<(i16, Option<DateTime<Utc>>)> = table
            .find(id.0)
            .select((wrong_answers, wrong_answers_since))
            .for_update()
            .first(conn)
            .optional()?;
        let Some((counted, since)) = row else { return Ok(None) };
        let (counted, since) = match since {
            Some(since) if now < since + ATTEMPTS_WITHIN => (counted, since),
            Some(_) | None => (0, now),
        };
        if counted >= ATTEMPTS {
            return Ok(Some(Verdict::TooMany));
        }
        if is_right {
            return Ok(Some(Verdict::Right));
        }
        diesel::update(table.find(id.0))
            .set((wrong_answers.eq(counted + 1), wrong_answers_since.eq(since)))
            .execute(conn)?;
        Ok(Some(Verdict::Wrong))
    })
}

/// Deletes at most `page` of what is past its time; answers how many.
///
/// # Errors
/// When the query fails.
pub fn delete_expired(conn: &mut PgConnection, now: DateTime<Utc>, page: u32) -> QueryResult<usize> {
    use documents::{expires_at, id, table};
    let expired = table
        .filter(expires_at.le(now))
        .order(expires_at)
        .limit(page.into())
        .select(id)
        .load::<uuid::Uuid>(conn)?;
    diesel::delete(table.filter(id.eq_any(expired))).execute(conn)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn details() -> Details {
        Details {
            filename: Some("permit.pdf".into()),
            extension: "pdf".into(),
            confirmed_by: Some("rosa@example.com".into()),
        }
    }

    fn document(new: &NewDocument) -> Document {
        Document {
            service: ServiceId(new.service_id),
            id: new.id(),
            size: new.size,
            expires_at: new.expires_at,
            details: new.details.clone(),
        }
    }

    #[test]
    fn a_document_opens_with_its_own_key_for_its_own_service_only() {
        let (service, id, key) =
            (ServiceId(Uuid::from_u128(1)), DocumentId(Uuid::from_u128(2)), DocumentKey::random());
        let times = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::weeks(1));
        let new = NewDocument::sealed((service, id), &key, &details(), b"%PDF".to_vec(), times);
        let document = document(&new);
        assert_eq!(document.open(&key), Ok(details()));
        assert_eq!(document.open(&DocumentKey::random()), Err(CannotOpen));
        let elsewhere = Document { service: ServiceId(Uuid::from_u128(3)), ..document };
        assert_eq!(elsewhere.open(&key), Err(CannotOpen));
        for length in [0, 11, 12, 27] {
            let short = key.open(bound_to(service, id, Part::Content), new.content[..length].to_vec());
            assert_eq!(short, Err(CannotOpen), "{length}");
        }
        let as_details = Document { details: new.content, service, id, size: 0, expires_at: times.1 };
        assert_eq!(as_details.open(&key), Err(CannotOpen), "one part is not taken for the other");
    }

    #[test]
    fn keys_have_256_bits_and_differ() {
        assert_ne!(DocumentKey::random(), DocumentKey::random());
        assert_eq!(DocumentKey::from_bytes(&[1; 31]), None);
        let key = DocumentKey::random();
        assert_eq!(DocumentKey::from_bytes(key.as_bytes()), Some(key));
    }

    #[test]
    fn only_the_right_address_confirms() {
        assert!(details().is_confirmed_by("rosa@example.com"));
        for wrong in ["", "rosa@example.co", "rosa@example.comm", "Rosa@example.com"] {
            assert!(!details().is_confirmed_by(wrong), "{wrong}");
        }
        assert!(Details { confirmed_by: None, ..details() }.is_confirmed_by("anyone"));
    }
}
