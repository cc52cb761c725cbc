//! What the fuzz targets reach (see `crates/fuzz`): the readers of what strangers send. Compiled for them only.

use crate::{auth, body, v2};

/// A body as the send and preview endpoints read it, up to where the database is asked.
pub fn json_body(bytes: &[u8]) {
    if let Ok(value) = body::json(bytes) {
        v2::read_in_every_way(&value);
    }
}

/// What stands after `Bearer `, judged against the key `secret`.
pub fn token(text: &str, now: i64) {
    auth::judge(text, b"secret", now);
}
