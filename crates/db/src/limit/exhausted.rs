//! Limits that are known to be used up, so that requests beyond them cost nothing but the answer.
//!
//! What is remembered here can only be worse in the database, since nobody gives anything back: replicas together take more
//! tokens and count more messages than one of them. So a refusal is certain, whatever the others do, and nothing is ever
//! admitted here. Refused requests take their tokens, too, and the database learns of that with the next request that is not
//! certainly refused: whoever keeps knocking keeps a bucket empty.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, NaiveDate, Utc};
use domain::{id::ServiceId, status::KeyType};

use super::{Bucket, Daily, Exceeded, Limit, Measure, Usage, exceeded, until_tomorrow};

/// Services and types of keys that are remembered; further ones are asked about.
const CAPACITY: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Exhausted(Mutex<HashMap<(ServiceId, KeyType), Last>>);

/// What the database said last, and what was refused since.
#[derive(Debug)]
struct Last {
    bucket: Bucket,
    days: Vec<(NaiveDate, Exceeded)>,
}

impl Exhausted {
    /// A refusal that is certain. `may_be_repeated`: only the limit of the minute comes before earlier requests.
    pub(crate) fn refuse(
        &self,
        service: ServiceId,
        measure: &Measure,
        at: DateTime<Utc>,
        may_be_repeated: bool,
    ) -> Option<Exceeded> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known.get_mut(&(service, measure.key_type))?;
        let mut bucket = last.bucket;
        let of_minute = measure.rate.and_then(|rate| {
            let wait = bucket.take(rate, at).err()?;
            Some(exceeded(Limit::Rate(measure.key_type), rate, wait))
        });
        let of_day = || last.days.iter().find_map(|(day, known)| beyond_day(*day, known, measure, at));
        let refusal = of_minute.or_else(|| if may_be_repeated { None } else { of_day() })?;
        last.bucket = bucket;
        Some(refusal)
    }

    /// The bucket as it must be at most.
    pub(crate) fn bucket(&self, service: ServiceId, key_type: KeyType) -> Option<Bucket> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(service, key_type)).map(|last| last.bucket)
    }

    /// What the database said of a request.
    pub(crate) fn learn(
        &self,
        service: ServiceId,
        measure: &Measure,
        at: DateTime<Utc>,
        usage: &Usage,
        refusal: Option<Exceeded>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (service, measure.key_type);
        let Some(refusal) = refusal else {
            known.remove(&id);
            return;
        };
        if known.len() >= CAPACITY && !known.contains_key(&id) {
            // Whatever nobody asks about any more is of another day, or another minute.
            known.retain(|_, last| last.days.iter().any(|(day, _)| *day == at.date_naive()));
            if known.len() >= CAPACITY {
                return;
            }
        }
        let bucket = usage.bucket(measure.key_type);
        let last = known.entry(id).or_insert_with(|| Last { bucket, days: Vec::new() });
        // Others may have been refused meanwhile.
        last.bucket = measure.rate.map_or(bucket, |rate| bucket.lower_of(last.bucket, rate, at));
        if !matches!(refusal.of, Limit::Rate(_)) {
            last.days.retain(|(day, known)| *day == at.date_naive() && known.of != refusal.of);
            last.days.push((at.date_naive(), refusal));
        }
    }
}

/// The count has reached the limit that it had then; it is beyond every one that is no higher, on that day.
fn beyond_day(day: NaiveDate, known: &Exceeded, measure: &Measure, at: DateTime<Utc>) -> Option<Exceeded> {
    let limit = match (known.of, measure.daily) {
        (Limit::Daily(channel), Daily::Channel(limit)) if channel == measure.channel => limit,
        (Limit::DailyTogether, Daily::Together(limit)) => limit,
        (Limit::DailyInternational, _) => measure.international?,
        _ => return None,
    };
    let is_beyond = day == at.date_naive() && limit <= known.limit;
    is_beyond.then(|| exceeded(known.of, limit, until_tomorrow(at)))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::status::Channel;
    use uuid::Uuid;

    use super::*;

    const SERVICE: ServiceId = ServiceId(Uuid::nil());

    fn at(seconds: f64) -> DateTime<Utc> {
        let after = std::time::Duration::from_secs_f64(seconds);
        DateTime::from_timestamp(1_772_442_900, 0).unwrap() + TimeDelta::from_std(after).unwrap()
    }

    fn measure(rate: i32, daily: Daily) -> Measure {
        Measure {
            key_type: KeyType::Normal,
            channel: Channel::Sms,
            rate: Some(rate),
            daily,
            international: None,
        }
    }

    /// What the database does with a request that is not certainly refused.
    fn ask(
        known: &Exhausted,
        usage: &mut Usage,
        measure: &Measure,
        at: DateTime<Utc>,
    ) -> Result<(), Exceeded> {
        if let Some(refusal) = known.refuse(SERVICE, measure, at, false) {
            return Err(refusal);
        }
        if let Some(bucket) = known.bucket(SERVICE, measure.key_type) {
            usage.lower_bucket(measure, bucket, at);
        }
        let within = usage.take_token(measure, at).and_then(|()| usage.check_day(measure, at));
        known.learn(SERVICE, measure, at, usage, within.err());
        within
    }

    #[test]
    fn every_request_is_answered_as_if_all_had_been_asked_about() {
        for (rate, every) in [(60, 0.3), (60, 0.9), (60, 1.0), (60, 1.7), (60, 2.1), (3000, 0.01), (7, 5.0)] {
            let (known, mut asked, mut exact) = (Exhausted::default(), Usage::unused(), Usage::unused());
            let measure = measure(rate, Daily::Unlimited);
            for n in 0..3000 {
                // Now and then a pause, in which the bucket fills.
                let time = at(f64::from(n) * every + f64::from(n / 700) * 13.0);
                let expected = exact.take_token(&measure, time);
                assert_eq!(ask(&known, &mut asked, &measure, time), expected, "{rate}, {every}: request {n}");
            }
        }
    }

    #[test]
    fn knocking_is_not_asked_about() {
        let (known, mut usage) = (Exhausted::default(), Usage::unused());
        let measure = measure(60, Daily::Unlimited);
        while ask(&known, &mut usage, &measure, at(0.0)).is_ok() {}
        let refused = |n: u32| known.refuse(SERVICE, &measure, at(f64::from(n) * 0.5), true).is_some();
        assert!((0..1000).all(refused), "a thousand, and the database hears of none");
        assert!(known.refuse(SERVICE, &measure, at(505.0), false).is_none(), "after a pause it is asked");
        let team = Measure { key_type: KeyType::Team, ..measure };
        assert!(known.refuse(SERVICE, &team, at(1.0), false).is_none(), "another type of key");
    }

    #[test]
    fn a_day_is_used_up_until_midnight_or_until_the_limit_is_raised() {
        let (known, mut usage) = (Exhausted::default(), Usage::unused());
        let limited = |limit| measure(6000, Daily::Channel(limit));
        ask(&known, &mut usage, &limited(1), at(0.0)).unwrap();
        usage.count(&limited(1));
        let refused = ask(&known, &mut usage, &limited(1), at(1.0)).unwrap_err();
        let again = known.refuse(SERVICE, &limited(1), at(2.0), false).unwrap();
        assert_eq!((again.of, again.limit), (Limit::Daily(Channel::Sms), 1));
        assert_eq!(again.retry_after, refused.retry_after - TimeDelta::seconds(1));
        assert!(known.refuse(SERVICE, &limited(0), at(2.0), false).is_some(), "it was lowered");
        assert!(known.refuse(SERVICE, &limited(2), at(2.0), false).is_none(), "it was raised");
        assert!(known.refuse(SERVICE, &limited(1), at(2.0), true).is_none(), "it may have been made before");
        let mail = Measure { channel: Channel::Email, ..limited(1) };
        assert!(known.refuse(SERVICE, &mail, at(2.0), false).is_none());
        let tomorrow = at(2.0) + again.retry_after;
        assert!(known.refuse(SERVICE, &limited(1), tomorrow, false).is_none());
    }
}
