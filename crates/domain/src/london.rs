//! Days as people in the United Kingdom know them: from midnight to midnight in London. Figures and reports go by them; limits
//! go by days of UTC.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Europe::London;

/// The day in London at a moment.
#[must_use]
pub fn day(time: DateTime<Utc>) -> NaiveDate {
    time.with_timezone(&London).date_naive()
}

/// What clocks in London show at a moment.
#[must_use]
pub fn local(time: DateTime<Utc>) -> NaiveDateTime {
    time.with_timezone(&London).naive_local()
}

/// When a day begins in London.
#[must_use]
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    // Clocks change at one in the morning, so that every midnight is there, and once.
    let start = London.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    start.map_or_else(|| day.and_time(NaiveTime::MIN).and_utc(), |start| start.with_timezone(&Utc))
}

/// When the day began that was so many days before the one of this moment.
#[must_use]
pub fn midnight_days_ago(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    midnight(day(now).checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn days_begin_an_hour_earlier_in_summer() {
        assert_eq!(day(utc("2026-06-01T22:59:59Z")).to_string(), "2026-06-01");
        assert_eq!(day(utc("2026-06-01T23:00:00Z")).to_string(), "2026-06-02");
        assert_eq!(day(utc("2026-12-01T23:59:59Z")).to_string(), "2026-12-01");
        for text in
            ["2026-06-02T12:00:00Z", "2026-12-02T12:00:00Z", "2026-03-29T12:00:00Z", "2026-10-25T12:00:00Z"]
        {
            let start = midnight(day(utc(text)));
            assert_eq!(day(start), day(utc(text)));
            assert_ne!(day(start - chrono::TimeDelta::microseconds(1)), day(utc(text)));
        }
    }

    #[test]
    fn seven_days_ago_crosses_the_change_of_the_clocks() {
        let now = utc("2026-03-30T10:00:00Z");
        assert_eq!(midnight_days_ago(now, 0), utc("2026-03-29T23:00:00Z"));
        assert_eq!(midnight_days_ago(now, 7), utc("2026-03-23T00:00:00Z"));
    }
}
