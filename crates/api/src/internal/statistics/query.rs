//! What a query string asks of figures: days, years, dates.

use actix_web::HttpRequest;
use chrono::{Datelike, NaiveDate};
use db::statistics::Days;
use domain::london;

use crate::{App, error::Problem};

/// As Python reads one, and what it says of what is none.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("{text} is not an integer"))
}

pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self(serde_urlencoded::from_str(request.query_string()).unwrap_or_default())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.first(name) == Some("True")
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<Option<i64>, Problem> {
        self.first(name).map(integer).transpose().map_err(|message| Problem::field(name, message))
    }

    /// `year=2026`: its months, from April to March.
    pub(super) fn financial_year(&self) -> Result<Days, Problem> {
        let year =
            self.first("year").and_then(|year| integer(year).ok()).and_then(|year| i32::try_from(year).ok());
        let month = |year: i32, month| NaiveDate::from_ymd_opt(year, month, 1);
        let months = year
            .filter(|year| (1..9999).contains(year))
            .and_then(|year| Some(Days { first: month(year, 4)?, last: month(year + 1, 3)? }));
        months.ok_or(Problem::bad_request("Year must be a number"))
    }

    /// `start_date` and `end_date`, both included; today when they are absent.
    pub(super) fn days(&self, app: &App) -> Result<Days, Problem> {
        let today = london::day(app.clock.now());
        let mut faults = Vec::new();
        let [first, last] = ["start_date", "end_date"].map(|name| {
            let Some(text) = self.first(name) else { return today };
            date(text).unwrap_or_else(|| {
                faults.push(format!("{name} time data {text} does not match format %Y-%m-%d"));
                today
            })
        });
        if faults.is_empty() { Ok(Days { first, last }) } else { Err(Problem::Validation(faults)) }
    }
}

/// Of nothing but digits and hyphens, the year in four, as Python's `%Y-%m-%d` wants it.
fn date(text: &str) -> Option<NaiveDate> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !is_plain || text.find('-') != Some(4) {
        return None;
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (1..=9999).contains(&date.year()).then_some(date)
}
