//! HTTP basic authentication, which is how providers prove who they are.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::header;

/// What a caller says it is.
pub(crate) struct Credentials(Vec<u8>);

impl Credentials {
    /// None: there are none, or more than once, or none that can be read. Another scheme than basic has neither user nor password.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let header = header::only(headers, AUTHORIZATION).ok()??.to_str().ok()?;
        let (scheme, credentials) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            return Some(Self(Vec::new()));
        }
        BASE64_STANDARD.decode(credentials.trim()).ok().map(Self)
    }

    /// Whether they are one of these users (separated by commas) with one of these passwords.
    pub(crate) fn are_any_of(&self, users: &str, passwords: &str) -> bool {
        let end_of_user = self.0.iter().position(|byte| *byte == b':');
        let Some((user, password)) =
            end_of_user.and_then(|end| Some((&self.0[..end], self.0.get(end + 1..)?)))
        else {
            return false;
        };
        // Both are always looked at.
        is_one_of(users, user) & is_one_of(passwords, password)
    }

    /// Whether they are this user with this password, which may have commas in them.
    pub(crate) fn are(&self, user: &str, password: &str) -> bool {
        equal(&self.0, format!("{user}:{password}").as_bytes())
    }
}

fn is_one_of(list: &str, word: &[u8]) -> bool {
    let known = list.split(',').map(str::trim).filter(|known| !known.is_empty());
    known.fold(false, |found, known| found | equal(known.as_bytes(), word))
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(header: &str) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        Credentials::of(&headers)
    }

    fn basic(text: &str) -> Credentials {
        of(&format!("bAsIc {}", BASE64_STANDARD.encode(text))).unwrap()
    }

    #[test]
    fn any_user_of_the_list_with_any_password_of_the_list() {
        for good in ["a:x", "b:x", "a:y:z"] {
            assert!(basic(good).are_any_of("a, b,", "x,y:z"), "{good}");
        }
        for bad in ["", ":", "a", "a:", ":x", "c:x", "a:y", "a:X", "a:x ", "a,b:x", "a:x,y:z"] {
            assert!(!basic(bad).are_any_of("a, b,", "x,y:z"), "{bad}");
        }
        assert!(!basic(":").are_any_of("", ""), "an empty list admits nobody");
    }

    #[test]
    fn what_cannot_be_read_is_as_good_as_none() {
        assert!(Credentials::of(&HeaderMap::new()).is_none());
        assert!(of("Basic %%%").is_none());
        for other in ["Bearer YTp4", "Basic", "Basic YQ==", ""] {
            assert!(of(other).is_some_and(|given| !given.are_any_of("a", "x")), "{other}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic YTp4"));
        assert!(Credentials::of(&twice).is_some());
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic YTp4"));
        assert!(Credentials::of(&twice).is_none());
        assert!(basic("a:x,y").are("a", "x,y"));
        assert!(!basic("a:x").are("a", "x,y"));
    }
}
