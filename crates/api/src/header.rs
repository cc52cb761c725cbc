//! Headers that make sense once. Of two neither counts: whoever stands in front of us may have looked at the other one.

use actix_web::http::header::{AsHeaderName, HeaderMap, HeaderValue};

/// A header that came more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated;

/// The one header of this name; None: there is none.
pub(crate) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&HeaderValue>, Repeated> {
    let mut all = headers.get_all(name);
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(Repeated),
        (one, None) => Ok(one),
    }
}
