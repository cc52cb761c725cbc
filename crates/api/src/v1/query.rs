//! The query of the list: what it may hold, what it narrows to, and the links that carry it on.

use chrono::{DateTime, Days, NaiveTime, Utc};
use db::notification::page::{Narrowing, Which};
use domain::status::{Channel, KeyType, Status};

use crate::error::{FieldErrors, Problem};

pub(crate) const PAGE_SIZE: i64 = 50;
/// Upstream knew no limit. Whoever asks for more gets this many, is told so, and follows the links.
pub(crate) const LARGEST_PAGE: i64 = 250;

/// A query without anything wrong in it. What it does not know it ignores, but for the links.
pub(super) struct ListQuery {
    page: i64,
    page_size: i64,
    limit_days: Option<i64>,
    include_jobs: bool,
    parameters: Vec<(String, String)>,
}

impl ListQuery {
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let parameters: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let first =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut errors = FieldErrors::new();
        let mut read = |name: &'static str, rule: fn(&str) -> Result<i64, &'static str>| {
            let value = rule(first(name)?);
            value.map_err(|text| errors.insert(name.into(), vec![text.into()])).ok()
        };
        let page = read("page", positive);
        let page_size = read("page_size", positive);
        let limit_days = read("limit_days", integer);
        let include_jobs = read("include_jobs", boolean);
        if !errors.is_empty() {
            return Err(Problem::Fields(errors));
        }
        Ok(Self {
            page: page.unwrap_or(1),
            page_size: page_size.unwrap_or(PAGE_SIZE).min(LARGEST_PAGE),
            limit_days,
            include_jobs: include_jobs == Some(1),
            parameters,
        })
    }

    pub(super) fn page(&self) -> Which {
        Which { number: self.page, size: self.page_size }
    }

    /// None: only words that no notification of ours can have.
    pub(super) fn narrowing(&self, key_type: KeyType, now: DateTime<Utc>) -> Option<Narrowing> {
        let words = |name: &str| -> Vec<&str> {
            self.parameters.iter().filter(|(known, _)| known == name).map(|(_, word)| word.as_str()).collect()
        };
        let (types, statuses) = (words("template_type"), words("status"));
        let narrowing = Narrowing {
            channels: types.iter().filter_map(|word| word.parse::<Channel>().ok()).collect(),
            statuses: statuses.iter().flat_map(|word| meant(word)).copied().collect(),
            since: self.limit_days.and_then(|days| first_day(days, now)),
            jobs: self.include_jobs && key_type == KeyType::Normal,
        };
        let nothing = (!types.is_empty() && narrowing.channels.is_empty())
            || (!statuses.is_empty() && narrowing.statuses.is_empty());
        (!nothing).then_some(narrowing)
    }

    /// To other pages of the same list: the previous one, the next one, the last one.
    pub(super) fn links(&self, total: i64) -> Links {
        let last = (total + self.page_size - 1) / self.page_size;
        let has_next = self.page < last;
        Links {
            prev: (self.page > 1).then(|| self.link(self.page - 1)),
            next: has_next.then(|| self.link(self.page + 1)),
            last: has_next.then(|| self.link(last)),
        }
    }

    fn link(&self, page: i64) -> String {
        let page = page.to_string();
        let others = self.parameters.iter().filter(|(name, _)| name != "page");
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = std::iter::once(("page", page.as_str())).chain(others).collect();
        let query = serde_urlencoded::to_string(all).expect("pairs of text can always be encoded");
        format!("/notifications?{query}")
    }
}

/// From the root of the server, with the other parameters.
#[derive(Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = v1::Links)]
pub(super) struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<String>,
}

/// The word that 2016 had for a status. Texts abroad came later, and with them `sent`: handed over, no receipt so far.
pub(super) const fn word(status: Status) -> &'static str {
    match status {
        Status::Sent => Status::Sending.as_str(),
        other => other.as_str(),
    }
}

/// What a word is shown for; no word stands for several failures here.
fn meant(shown: &str) -> impl Iterator<Item = &'static Status> + use<'_> {
    Status::ALL.iter().filter(move |status| word(**status) == shown)
}

/// Midnight (UTC), so many days ago; of days to come the first is as good as any. None: since ever.
fn first_day(days: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let today = now.date_naive();
    let day = match u64::try_from(days) {
        Ok(ago) => today.checked_sub_days(Days::new(ago))?,
        Err(_) => today.checked_add_days(Days::new(1))?,
    };
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// A number of any length, as Python reads one; what is beyond ours is as good as the last of ours.
pub(crate) fn integer(text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Not a valid integer.");
    }
    Ok(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

pub(crate) fn positive(text: &str) -> Result<i64, &'static str> {
    let number = integer(text)?;
    if number < 1 { Err("Not a positive integer") } else { Ok(number) }
}

fn boolean(text: &str) -> Result<i64, &'static str> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" | "1" => Ok(1),
        "f" | "F" | "false" | "False" | "FALSE" | "0" => Ok(0),
        _ => Err("Not a valid boolean."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(query: &str) -> ListQuery {
        ListQuery::read(query).unwrap_or_else(|problem| panic!("{query}: {problem:?}"))
    }

    fn errors(query: &str) -> Value {
        match ListQuery::read(query) {
            Ok(_) => json!({}),
            Err(Problem::Fields(errors)) => json!(errors),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn now() -> DateTime<Utc> {
        "2016-09-22T13:01:25Z".parse().unwrap()
    }

    #[test]
    fn numbers_that_are_none() {
        for (text, error) in [
            ("", "Not a valid integer."),
            ("x", "Not a valid integer."),
            ("1.0", "Not a valid integer."),
            ("-", "Not a valid integer."),
            ("0", "Not a positive integer"),
            ("-99999999999999999999", "Not a positive integer"),
        ] {
            assert_eq!(
                errors(&format!("page={text}&page_size={text}")),
                json!({"page": [error], "page_size": [error]}),
                "{text}"
            );
        }
        assert_eq!(errors("limit_days=week"), json!({"limit_days": ["Not a valid integer."]}));
        assert_eq!(errors("include_jobs=yes"), json!({"include_jobs": ["Not a valid boolean."]}));
        assert_eq!(errors("page=99999999999999999999&page_size=+5&limit_days=-1&x=y"), json!({}));
    }

    #[test]
    fn pages_are_of_fifty_unless_asked_and_never_too_large() {
        let page = |query| {
            let which = read(query).page();
            (which.number, which.size)
        };
        assert_eq!(page(""), (1, 50));
        assert_eq!(page("page=3&page_size=7&page=4"), (3, 7));
        assert_eq!(page("page_size=1000000"), (1, 250));
    }

    #[test]
    fn jobs_are_included_for_normal_keys_only() {
        let jobs = |query: &str, key_type| read(query).narrowing(key_type, now()).unwrap().jobs;
        for yes in ["t", "T", "true", "True", "TRUE", "1"] {
            let query = format!("include_jobs={yes}");
            assert!(jobs(&query, KeyType::Normal));
            assert!(!jobs(&query, KeyType::Team) && !jobs(&query, KeyType::Test));
        }
        for no in ["", "include_jobs=false", "include_jobs=0"] {
            assert!(!jobs(no, KeyType::Normal));
        }
    }

    #[test]
    fn statuses_are_literal() {
        use Status::{Created, PermanentFailure, Sending, Sent};
        let statuses = |query| read(query).narrowing(KeyType::Normal, now()).map(|n| n.statuses);
        assert_eq!(statuses(""), Some(vec![]));
        assert_eq!(
            statuses("status=created&status=permanent-failure"),
            Some(vec![Created, PermanentFailure])
        );
        assert_eq!(statuses("status=failed"), None, "not an alias of the failures");
        assert_eq!(statuses("status=sent"), None, "nobody is told of it");
        assert_eq!(statuses("status=sending"), Some(vec![Sending, Sent]));
        assert_eq!(statuses("status=failed&status=created"), Some(vec![Created]));
        assert_eq!(statuses("template_type=letter"), None);
    }

    #[test]
    fn days_are_calendar_days() {
        let since =
            |query| read(query).narrowing(KeyType::Normal, now()).unwrap().since.map(|at| at.to_rfc3339());
        assert_eq!(since(""), None);
        assert_eq!(since("limit_days=0").as_deref(), Some("2016-09-22T00:00:00+00:00"));
        assert_eq!(since("limit_days=7").as_deref(), Some("2016-09-15T00:00:00+00:00"));
        assert_eq!(since("limit_days=-1").as_deref(), Some("2016-09-23T00:00:00+00:00"));
        assert_eq!(since("limit_days=99999999999999999999"), None, "since ever");
        assert_eq!(since("limit_days=-99999999999999999999").as_deref(), Some("2016-09-23T00:00:00+00:00"));
    }

    #[test]
    fn links_are_relative_and_keep_everything_else() {
        let links = |query, total| serde_json::to_value(read(query).links(total)).unwrap();
        assert_eq!(links("", 0), json!({}));
        assert_eq!(links("", 50), json!({}));
        assert_eq!(links("", 123), json!({"next": "/notifications?page=2", "last": "/notifications?page=3"}));
        assert_eq!(
            links("status=a+b%26&page=2&status=c&x=1", 123),
            json!({
                "prev": "/notifications?page=1&status=a+b%26&status=c&x=1",
                "next": "/notifications?page=3&status=a+b%26&status=c&x=1",
                "last": "/notifications?page=3&status=a+b%26&status=c&x=1",
            })
        );
        assert_eq!(links("page=3", 123), json!({"prev": "/notifications?page=2"}));
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(query in "((page|page_size|limit_days|status|include_jobs|x)=?.{0,20}&?){0,5}", total in 0..1_000_i64) {
            if let Ok(read) = ListQuery::read(&query) {
                read.narrowing(KeyType::Normal, now());
                read.links(total);
            }
        }
    }
}
