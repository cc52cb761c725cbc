//! What the log may be asked: the same names in a query and in a JSON body.

use chrono::{DateTime, Utc};
use db::{
    log::{Filter, MOST_READ, Search},
    notification::page::Which,
};
use domain::{
    id::{NotificationId, parse_lenient},
    london,
    status::{Channel, Status},
};
use serde_json::Value;

use crate::{
    error::{FieldErrors, Problem},
    v1::query::{LARGEST_PAGE, PAGE_SIZE, integer, positive},
    v2::notifications::query::meant,
};

/// Notifications that have page numbers. Whoever wants to see more goes on by `older_than`, which costs the same on every
/// page; a numbered page reads all that come before it.
pub(super) const NUMBERED: i64 = 10_000;
/// Rows of a file may be many: each is short.
pub(super) const LARGEST_FILE: i64 = 5_000;
/// Further back than anything is kept.
const SINCE_EVER: i64 = 36_500;

/// A question without anything wrong in it. What it does not know it ignores.
pub(super) struct LogQuery {
    parameters: Vec<(String, String)>,
    page: i64,
    page_size: i64,
    limit_days: Option<i64>,
    older_than: Option<NotificationId>,
}

impl LogQuery {
    pub(super) fn of_url(query: &str) -> Result<Self, Problem> {
        Self::read(serde_urlencoded::from_str(query).unwrap_or_default())
    }

    /// A list of values is as good as a parameter that is repeated.
    pub(super) fn of_body(body: Value) -> Result<Self, Problem> {
        let Value::Object(fields) = body else {
            return Err(Problem::field("_schema", "Invalid input type."));
        };
        let mut parameters = Vec::new();
        for (name, value) in fields {
            let values = if let Value::Array(values) = value { values } else { vec![value] };
            parameters.extend(values.iter().filter_map(word).map(|word| (name.clone(), word)));
        }
        Self::read(parameters)
    }

    fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        if parameters.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Problem::bad_request("Text must not contain NUL characters"));
        }
        let mut errors = FieldErrors::new();
        let mut read = |name: &'static str, rule: fn(&str) -> Result<i64, &'static str>| {
            let value = rule(first(&parameters, name)?);
            value.map_err(|text| errors.insert(name.into(), vec![text.into()])).ok()
        };
        let (page, page_size) = (read("page", positive), read("page_size", positive));
        let limit_days = read("limit_days", days);
        let older_than = first(&parameters, "older_than").map(parse_lenient);
        if older_than == Some(None) {
            errors.insert("older_than".into(), vec!["Not a valid UUID.".into()]);
        }
        if !errors.is_empty() {
            return Err(Problem::Fields(errors));
        }
        Ok(Self {
            page: page.unwrap_or(1),
            page_size: page_size.unwrap_or(PAGE_SIZE),
            limit_days,
            older_than: older_than.flatten().map(NotificationId),
            parameters,
        })
    }

    /// A search has one page.
    pub(super) fn page(&self) -> Which {
        if self.searched().is_some() {
            return Which { number: 1, size: PAGE_SIZE };
        }
        Which { number: self.page, size: self.page_size.min(LARGEST_PAGE) }
    }

    pub(super) fn rows_of_file(&self) -> i64 {
        self.page_size.min(LARGEST_FILE)
    }

    pub(super) fn has_links(&self) -> bool {
        self.flag("count_pages", true)
    }

    fn searched(&self) -> Option<&str> {
        first(&self.parameters, "to").filter(|to| !to.trim().is_empty())
    }

    /// Only `True` is true.
    fn flag(&self, name: &str, default: bool) -> bool {
        first(&self.parameters, name).map_or(default, |word| word == "True")
    }

    /// None: only words that no notification of ours can have.
    pub(super) fn filter(&self, now: DateTime<Utc>) -> Option<Filter> {
        let words = |name: &str| -> Vec<&str> {
            self.parameters.iter().filter(|(known, _)| known == name).map(|(_, word)| word.as_str()).collect()
        };
        let (types, words) = (words("template_type"), words("status"));
        let channels: Vec<Channel> = types.iter().filter_map(|word| word.parse().ok()).collect();
        let mut statuses: Vec<Status> = words.iter().flat_map(|word| meant(word)).collect();
        statuses.sort_unstable();
        statuses.dedup();
        if (!types.is_empty() && channels.is_empty()) || (!words.is_empty() && statuses.is_empty()) {
            return None;
        }
        let search = self.searched().map(Search::new);
        let since = |days: i64| {
            let days = u32::try_from(days).ok().filter(|days| i64::from(*days) < SINCE_EVER)?;
            Some(london::midnight_days_ago(now, days))
        };
        Some(Filter {
            channels,
            statuses,
            since: self.limit_days.and_then(since),
            older_than: self.older_than,
            jobs: self.flag("include_jobs", true),
            test_keys: search.is_none() && self.flag("include_from_test_key", false),
            one_off: self.flag("include_one_off", true),
            search,
            most_read: MOST_READ,
        })
    }
}

fn first<'p>(parameters: &'p [(String, String)], name: &str) -> Option<&'p str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// As it would stand in a query; null is as good as nothing.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn days(text: &str) -> Result<i64, &'static str> {
    let number = integer(text)?;
    if number < 0 { Err("Not a positive integer") } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn filter(query: &str) -> Option<Filter> {
        LogQuery::of_url(query).unwrap_or_else(|problem| panic!("{query}: {problem:?}")).filter(now())
    }

    fn errors(query: &str) -> Value {
        match LogQuery::of_url(query) {
            Ok(_) => json!({}),
            Err(Problem::Fields(errors)) => json!(errors),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_is_shown_but_what_test_keys_sent() {
        let all = filter("").unwrap();
        assert!(all.jobs && all.one_off && !all.test_keys && all.search.is_none());
        assert!(all.channels.is_empty() && all.statuses.is_empty() && all.since.is_none());
    }

    #[test]
    fn only_true_is_true() {
        let flags = |word: &str| {
            let query = format!(
                "include_jobs={word}&include_from_test_key={word}&include_one_off={word}&count_pages={word}"
            );
            let read = LogQuery::of_url(&query).unwrap();
            let filter = read.filter(now()).unwrap();
            (filter.jobs, filter.test_keys, filter.one_off, read.has_links())
        };
        assert_eq!(flags("True"), (true, true, true, true));
        for word in ["true", "1", "False", "", "TRUE"] {
            assert_eq!(flags(word), (false, false, false, false), "{word}");
        }
    }

    #[test]
    fn statuses_and_types_narrow_and_aliases_stand_for_several() {
        use Status::{Created, PermanentFailure, Sending, TechnicalFailure, TemporaryFailure};
        let statuses = |query: &str| filter(query).map(|filter| filter.statuses);
        assert_eq!(
            statuses("status=failed"),
            Some(vec![TemporaryFailure, PermanentFailure, TechnicalFailure])
        );
        assert_eq!(statuses("status=sending&status=accepted"), Some(vec![Created, Sending]));
        assert_eq!(statuses("status=cancelled"), None, "none of ours can be");
        assert!(filter("template_type=letter").is_none());
        assert_eq!(filter("template_type=letter&template_type=sms").unwrap().channels, [Channel::Sms]);
    }

    #[test]
    fn days_begin_in_london() {
        let since = |query: &str| filter(query).unwrap().since.map(|at| at.to_rfc3339());
        assert_eq!(since("limit_days=0").as_deref(), Some("2026-05-31T23:00:00+00:00"));
        assert_eq!(since("limit_days=7").as_deref(), Some("2026-05-24T23:00:00+00:00"));
        assert_eq!(since("limit_days=999999999999"), None);
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        assert_eq!(
            errors("page=0&page_size=x&limit_days=-1&older_than=5"),
            json!({
                "page": ["Not a positive integer"],
                "page_size": ["Not a valid integer."],
                "limit_days": ["Not a positive integer"],
                "older_than": ["Not a valid UUID."],
            })
        );
    }

    #[test]
    fn a_search_has_one_page_and_no_test_keys() {
        let read = LogQuery::of_url("to=0770&page=3&page_size=5&include_from_test_key=True").unwrap();
        assert_eq!((read.page().number, read.page().size), (1, 50));
        let filter = read.filter(now()).unwrap();
        assert!(filter.search.is_some() && !filter.test_keys);
        assert!(LogQuery::of_url("to=+").unwrap().filter(now()).unwrap().search.is_none());
    }

    #[test]
    fn a_body_says_the_same_as_a_query() {
        let body = json!({"status": ["created", "failed"], "template_type": "sms", "page": 2, "page_size": "7",
            "include_jobs": false, "include_from_test_key": "True", "older_than": null});
        let read = LogQuery::of_body(body).unwrap();
        assert_eq!((read.page().number, read.page().size), (2, 7));
        let filter = read.filter(now()).unwrap();
        assert!(!filter.jobs && filter.test_keys && filter.one_off);
        assert_eq!((filter.statuses.len(), filter.channels), (4, vec![Channel::Sms]));
        assert!(LogQuery::of_body(json!([])).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(query in "((page|page_size|limit_days|status|to|older_than|include_jobs)=?.{0,20}&?){0,5}") {
            if let Ok(read) = LogQuery::of_url(&query) {
                read.filter(now());
                read.page();
            }
        }
    }
}
