//! The query of the list: what it may hold, what it narrows to, and the links that carry it on.

use db::notification::Filter;
use domain::{
    id::{NotificationId, parse_lenient},
    status::{Channel, Status},
};

use super::super::schema::{NOT_A_UUID, TEMPLATE_TYPES, additional, not_one_of, without_repetitions};
use crate::error::Problem;

/// In the order of the error message. Some are only ever met elsewhere: letters, and scanned files.
pub(crate) const STATUSES: [&str; 16] = [
    "cancelled",
    "created",
    "sending",
    "sent",
    "delivered",
    "pending",
    "failed",
    "technical-failure",
    "temporary-failure",
    "permanent-failure",
    "pending-virus-check",
    "validation-failed",
    "virus-scan-failed",
    "returned-letter",
    "accepted",
    "received",
];
pub(crate) const INCLUDE_JOBS: [&str; 2] = ["true", "True"];
const NAMES: [&str; 5] = ["template_type", "status", "reference", "older_than", "include_jobs"];

/// A query without anything wrong in it.
pub(crate) struct ListQuery {
    template_types: Vec<String>,
    statuses: Vec<String>,
    reference: Option<String>,
    older_than: Option<NotificationId>,
    /// As the links repeat them: grouped by name, in the order of their first appearance.
    parameters: Vec<(String, String)>,
}

/// What to ask the database.
pub(super) enum Filters {
    /// Only words that no notification of ours can have.
    MatchNothing,
    Some(Filter),
}

impl ListQuery {
    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Problem::bad_request("Text must not contain NUL characters"));
        }
        let all = |name: &str| -> Vec<String> {
            pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
        };
        let first = |name: &str| all(name).into_iter().next();
        let (template_types, statuses) = (all("template_type"), all("status"));
        let older_than = first("older_than").map(|id| parse_lenient(&id).map(NotificationId));
        let include_jobs: Vec<String> = first("include_jobs").into_iter().collect();

        let mut errors = none_of(&STATUSES, "status", &statuses);
        errors.extend(none_of(&TEMPLATE_TYPES, "template_type", &template_types));
        if older_than == Some(None) {
            errors.push(format!("older_than {NOT_A_UUID}"));
        }
        errors.extend(none_of(&INCLUDE_JOBS, "include_jobs", &include_jobs));
        errors.extend(additional(
            pairs.iter().map(|(name, _)| name).filter(|name| !NAMES.contains(&name.as_str())),
        ));
        if !errors.is_empty() {
            return Err(Problem::Validation(without_repetitions(errors)));
        }
        Ok(Self {
            template_types,
            statuses,
            reference: first("reference"),
            older_than: older_than.flatten(),
            parameters: grouped(&pairs),
        })
    }

    pub(super) fn filters(&self) -> Filters {
        let channels: Vec<Channel> =
            self.template_types.iter().filter_map(|word| word.parse().ok()).collect();
        let mut statuses: Vec<Status> = self.statuses.iter().flat_map(|word| meant(word)).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let empty = |words: &[String], known: bool| !words.is_empty() && !known;
        if empty(&self.template_types, !channels.is_empty()) || empty(&self.statuses, !statuses.is_empty()) {
            return Filters::MatchNothing;
        }
        Filters::Some(Filter {
            channels,
            statuses,
            client_reference: self.reference.clone(),
            older_than: self.older_than,
        })
    }

    pub(super) fn current(&self, url: &str) -> String {
        link(url, self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The cursor comes first: the Python client takes the first UUID that it finds in here.
    pub(super) fn next(&self, url: &str, oldest: NotificationId) -> String {
        let oldest = oldest.to_string();
        let filters = self.parameters.iter().filter(|(name, _)| name != "older_than");
        let filters = filters.map(|(name, value)| (name.as_str(), value.as_str()));
        link(url, std::iter::once(("older_than", oldest.as_str())).chain(filters))
    }
}

/// An error for each value that is no word of the list.
fn none_of(words: &[&str], name: &str, values: &[String]) -> Vec<String> {
    let wrong = values.iter().filter(|value| !words.contains(&value.as_str()));
    wrong.map(|value| format!("{name} {}", not_one_of(value, words))).collect()
}

/// The statuses of ours that a word stands for.
pub(crate) fn meant(word: &str) -> Vec<Status> {
    match word {
        "failed" => vec![Status::TechnicalFailure, Status::TemporaryFailure, Status::PermanentFailure],
        "accepted" => vec![Status::Created, Status::Sending],
        "received" => vec![Status::Delivered],
        other => other.parse().into_iter().collect(),
    }
}

/// Of parameters that count once, the first; of the others all, beside each other.
fn grouped(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in pairs {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let values = |name: &String| {
        let times = if matches!(name.as_str(), "status" | "template_type") { usize::MAX } else { 1 };
        pairs.iter().filter(|(known, _)| known == name).take(times).cloned().collect::<Vec<_>>()
    };
    names.into_iter().flat_map(values).collect()
}

fn link<'p>(url: &str, parameters: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let parameters: Vec<_> = parameters.collect();
    match serde_urlencoded::to_string(parameters) {
        Ok(query) if !query.is_empty() => format!("{url}?{query}"),
        Ok(_) | Err(_) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11";

    fn errors(query: &str) -> Vec<String> {
        match ListQuery::read(query) {
            Ok(_) => Vec::new(),
            Err(Problem::Validation(messages)) => messages,
            Err(other) => vec![format!("{other:?}")],
        }
    }

    fn filter(query: &str) -> Option<Filter> {
        match ListQuery::read(query).ok()?.filters() {
            Filters::Some(filter) => Some(filter),
            Filters::MatchNothing => None,
        }
    }

    #[test]
    fn words_that_are_none() {
        assert_eq!(errors("template_type=foo"), ["template_type foo is not one of [sms, email, letter]"]);
        assert_eq!(
            errors("status=created,sending&status=it%27s&status=sent"),
            [
                "status created,sending is not one of [cancelled, created, sending, sent, delivered, pending, failed, \
                 technical-failure, temporary-failure, permanent-failure, pending-virus-check, validation-failed, \
                 virus-scan-failed, returned-letter, accepted, received]",
                "status \"its\" is not one of [cancelled, created, sending, sent, delivered, pending, failed, \
                 technical-failure, temporary-failure, permanent-failure, pending-virus-check, validation-failed, \
                 virus-scan-failed, returned-letter, accepted, received]"
            ]
        );
        assert_eq!(errors("status=x&status=x").len(), 1, "identical messages once");
    }

    #[test]
    fn older_than_is_a_uuid() {
        assert_eq!(errors("older_than=x"), ["older_than is not a valid UUID"]);
        assert_eq!(
            errors(&format!("older_than={ID}&older_than=x")),
            Vec::<String>::new(),
            "the first counts"
        );
    }

    #[test]
    fn include_jobs_is_only_ever_true() {
        assert_eq!(errors("include_jobs=false"), ["include_jobs false is not one of [true, True]"]);
        assert_eq!(errors("include_jobs=True"), Vec::<String>::new());
    }

    #[test]
    fn anything_else_is_unexpected() {
        assert_eq!(errors("page=2"), ["Additional properties are not allowed (page was unexpected)"]);
        assert_eq!(
            errors("page=2&a=1&page=3"),
            ["Additional properties are not allowed (a, page were unexpected)"]
        );
    }

    #[test]
    fn all_violations_in_the_order_of_the_schema() {
        let starts: Vec<String> = errors("x=1&include_jobs=0&older_than=1&status=1&template_type=1")
            .iter()
            .map(|m| m.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(starts, ["status", "template_type", "older_than", "include_jobs", "Additional"]);
    }

    #[test]
    fn nul_is_refused() {
        assert!(errors("reference=a%00b")[0].contains("NUL"));
    }

    #[test]
    fn aliases_stand_for_statuses() {
        use Status::{Created, Delivered, PermanentFailure, Sending, TechnicalFailure, TemporaryFailure};
        let statuses = |query| filter(query).map(|filter| filter.statuses);
        assert_eq!(
            statuses("status=failed"),
            Some(vec![TemporaryFailure, PermanentFailure, TechnicalFailure])
        );
        assert_eq!(statuses("status=accepted&status=created"), Some(vec![Created, Sending]));
        assert_eq!(statuses("status=received"), Some(vec![Delivered]));
        assert_eq!(statuses(""), Some(vec![]));
        assert_eq!(statuses("status=cancelled"), None, "none of ours can be");
        assert_eq!(statuses("status=cancelled&status=sending"), Some(vec![Sending]));
        assert!(filter("template_type=letter").is_none());
    }

    #[test]
    fn links_repeat_the_filters_and_the_cursor_comes_first() {
        let url = "https://host/v2/notifications";
        let id: NotificationId = ID.parse().unwrap();
        let query = ListQuery::read("").unwrap();
        assert_eq!(query.current(url), url);
        assert_eq!(query.next(url, id), format!("{url}?older_than={ID}"));

        let query = ListQuery::read(&format!(
            "status=created&reference=a+b%26c&reference=d&status=sending&older_than={ID}"
        ))
        .unwrap();
        assert_eq!(
            query.current(url),
            format!("{url}?status=created&status=sending&reference=a+b%26c&older_than={ID}")
        );
        assert_eq!(
            query.next(url, id),
            format!("{url}?older_than={ID}&status=created&status=sending&reference=a+b%26c")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics_and_links_read_back(query in "((status|reference|older_than|template_type|x)=?.{0,10}&?){0,5}") {
            if let Ok(read) = ListQuery::read(&query) {
                let link = read.current("http://host");
                let again = ListQuery::read(link.split_once('?').map_or("", |(_, query)| query));
                proptest::prop_assert_eq!(again.map(|again| again.current("http://host")).ok(), Some(link));
            }
        }
    }
}
