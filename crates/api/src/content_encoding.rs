//! Bodies that came compressed. None is unpacked, since a few bytes may become gigabytes; whoever reads one meets an error,
//! which `body` knows and answers with 415.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::{CONTENT_ENCODING, HeaderMap},
    middleware::Next,
};
use futures_util::{future::ready, stream};

pub(crate) async fn is_identity(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if !plain(request.headers()) {
        let unreadable = stream::once(ready(Err(PayloadError::EncodingCorrupted)));
        request.set_payload(Payload::Stream { payload: Box::pin(unreadable) });
    }
    next.call(request).await
}

fn plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).all(|codings| {
        let mut codings = codings.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn identity_is_as_good_as_nothing_said() {
        let plain = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            super::plain(&headers)
        };
        for good in [&[][..], &[""], &["identity"], &["Identity , identity"], &["identity", ""]] {
            assert!(plain(good), "{good:?}");
        }
        for bad in
            [&["gzip"][..], &["br"], &["x"], &["identity, gzip"], &["identity", "deflate"], &["identity;q=1"]]
        {
            assert!(!plain(bad), "{bad:?}");
        }
    }
}
