//! Times and durations as people read and write them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use humantime_serde::re::humantime;

/// `30s`, `5m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected something like 30s or 5m"))
}

/// `2026-03-02 09:15:00.120 UTC`
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// Two units are enough: `7 ms`, `1.20 s`, `4m 30s`, `2h 5m`, `3days 4h`.
pub(crate) fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis} ms");
    }
    if millis < 60_000 {
        // Cut, not rounded: 59,999 ms are not a minute.
        return format!("{}.{:02} s", millis / 1000, millis % 1000 / 10);
    }
    let whole = humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `4m 30s ago`, `in 7 ms`.
pub(crate) fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at > now { format!("in {}", between(now, at)) } else { format!("{} ago", between(at, now)) }
}

/// How long from one time to the other, whichever is first.
pub(crate) fn between(one: DateTime<Utc>, other: DateTime<Utc>) -> String {
    let delta: TimeDelta = (other - one).abs();
    span(delta.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1200, "1.20 s"),
            (59_999, "59.99 s"),
            (60_000, "1m"),
            (270_500, "4m 30s"),
            (7_530_000, "2h 5m"),
            (273_600_000, "3days 4h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let now = DateTime::from_timestamp(1_700_000_000, 120_000_000).unwrap();
        assert_eq!(time(now), "2023-11-14 22:13:20.120 UTC");
        assert_eq!(relative(now - TimeDelta::seconds(270), now), "4m 30s ago");
        assert_eq!(relative(now + TimeDelta::milliseconds(7), now), "in 7 ms");
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("30").is_err() && duration("soon").is_err());
    }
}
