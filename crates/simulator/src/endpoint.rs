//! Where receipts are posted to: a URL, with the credentials in it turned into the header they mean.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    Uri,
    header::HeaderValue,
    http::uri::{Authority, Scheme},
};
use percent_encoding::percent_decode_str;

/// A receipt URL that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without credentials.
    pub(crate) uri: Uri,
    /// Basic; marked as sensitive, so that its `Debug` hides it.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Fails on what is not an absolute `http` URL: the simulator speaks no TLS.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "the receipt URL is not a URL".to_owned())?;
        let mut parts = uri.into_parts();
        if parts.scheme != Some(Scheme::HTTP) {
            return Err("the receipt URL must start with http://".to_owned());
        }
        let authority = parts.authority.ok_or("the receipt URL has no host")?;
        let (credentials, host) = authority
            .as_str()
            .rsplit_once('@')
            .map_or((None, authority.as_str()), |(user, host)| (Some(user), host));
        let authorization = credentials.map(basic);
        parts.authority = Some(host.parse::<Authority>().map_err(|_| "the receipt URL has no host")?);
        let uri = Uri::from_parts(parts).map_err(|_| "the receipt URL is not a URL".to_owned())?;
        Ok(Self { uri, authorization })
    }
}

fn basic(credentials: &str) -> HeaderValue {
    let decoded: Vec<u8> = percent_decode_str(credentials).collect();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(decoded)))
        .expect("base64 has only characters that a header may have");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_become_a_header() {
        let endpoint = Endpoint::parse("http://user:p%40ss@127.0.0.1:6011/notifications/sms/mmg").unwrap();
        assert_eq!(endpoint.uri, "http://127.0.0.1:6011/notifications/sms/mmg");
        assert_eq!(endpoint.authorization.clone().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(!format!("{endpoint:?}").contains("dXNl"));
    }

    #[test]
    fn a_plain_url_stays_as_it_is() {
        let endpoint = Endpoint::parse("http://127.0.0.1:6011/a?b=c").unwrap();
        assert_eq!(
            (endpoint.uri.to_string().as_str(), endpoint.authorization),
            ("http://127.0.0.1:6011/a?b=c", None)
        );
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused() {
        for url in ["", "nonsense", "/notifications", "https://notify.example/x", "http://", "http://user@/x"]
        {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
