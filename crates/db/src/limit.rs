//! Limits: requests a minute for each type of key, messages a day for each channel. Exact across any number of api replicas,
//! since a service's usage is one row that is locked, judged here and written back in the transaction that stores the
//! notifications. Nothing counts notification rows.
//!
//! A minute is a token bucket, as upstream has it: a request takes a token and is refused when none is left then, so a full
//! bucket lets one request fewer through than it holds, and whoever keeps knocking keeps it empty. A day is a UTC day.

pub(crate) mod exhausted;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use diesel::{
    Connection, PgConnection, QueryResult, RunQueryDsl, connection::SimpleConnection, sql_types as sql,
};
use domain::{
    id::ServiceId,
    status::{Channel, KeyType},
};
use uuid::Uuid;

use crate::{
    error::{Meaning, is_connection_lost},
    session,
    statement::statement,
};

/// The most that any bucket holds.
const BUCKET_CAPACITY: i32 = 1000;

/// What a request is measured against.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub key_type: KeyType,
    pub channel: Channel,
    /// Requests a minute; the API of 2016 has no such limit.
    pub rate: Option<i32>,
    pub daily: Daily,
    /// The daily limit of texts to numbers that do not begin with 44, for such a text that nothing else refuses.
    pub international: Option<i32>,
}

/// What a day's messages are measured by.
#[derive(Clone, Copy, Debug)]
pub enum Daily {
    /// Those of the request's channel.
    Channel(i32),
    /// Texts and e-mails together, as in 2016.
    Together(i32),
    /// Not at all.
    Unlimited,
}

/// A request beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: i32,
    pub of: Limit,
    /// When it is worth trying again; at least one second.
    pub retry_after: TimeDelta,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Rate(KeyType),
    Daily(Channel),
    DailyTogether,
    DailyInternational,
}

/// What a service has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// By [`index`].
    buckets: [Bucket; 3],
    day: NaiveDate,
    sms: i32,
    email: i32,
    international_sms: i32,
}

/// Tokens, and when the last of them was put in. Never used means full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket(Option<(i32, DateTime<Utc>)>);

impl Bucket {
    fn take(&mut self, rate: i32, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let (tokens, refilled_at) = self.refilled(rate, now);
        let tokens = (tokens - 1).max(0);
        self.0 = Some((tokens, refilled_at));
        if tokens >= 1 { Ok(()) } else { Err(refilled_at + time_of(2, rate) - now) }
    }

    fn refilled(self, rate: i32, now: DateTime<Utc>) -> (i32, DateTime<Utc>) {
        let capacity = (rate.max(0).saturating_add(2) / 3 + 1).min(BUCKET_CAPACITY);
        let (tokens, refilled_at) = self.0.unwrap_or((capacity, now));
        let elapsed = (now - refilled_at).max(TimeDelta::zero());
        let refill = whole_tokens(elapsed, rate);
        let tokens = i32::try_from(refill).unwrap_or(i32::MAX).saturating_add(tokens).min(capacity);
        // Not `now`: what has passed towards the next token must not be lost.
        (tokens, refilled_at + time_of(refill, rate))
    }

    /// The one that holds less by now.
    fn lower_of(self, other: Self, rate: i32, now: DateTime<Utc>) -> Self {
        let left = |bucket: Self| {
            let (tokens, refilled_at) = bucket.refilled(rate, now);
            (tokens, std::cmp::Reverse(refilled_at))
        };
        if left(other) < left(self) { other } else { self }
    }
}

const fn index(key_type: KeyType) -> usize {
    match key_type {
        KeyType::Normal => 0,
        KeyType::Team => 1,
        KeyType::Test => 2,
    }
}

fn whole_tokens(elapsed: TimeDelta, rate: i32) -> i64 {
    let micros = i128::from(elapsed.num_microseconds().unwrap_or(i64::MAX));
    i64::try_from(micros * i128::from(rate.max(0)) / 60_000_000).unwrap_or(i64::MAX)
}

/// How long it takes to put so many tokens in.
fn time_of(tokens: i64, rate: i32) -> TimeDelta {
    if rate <= 0 {
        return TimeDelta::minutes(i64::from(tokens > 0));
    }
    let micros = i128::from(tokens) * 60_000_000 / i128::from(rate);
    TimeDelta::microseconds(i64::try_from(micros).unwrap_or(i64::MAX / 2))
}

impl Usage {
    #[cfg(test)]
    fn unused() -> Self {
        let buckets = [Bucket::default(); 3];
        Self { buckets, day: NaiveDate::MIN, sms: 0, email: 0, international_sms: 0 }
    }

    /// Takes a token; whatever else becomes of the request, it was one.
    pub(crate) fn take_token(&mut self, measure: &Measure, now: DateTime<Utc>) -> Result<(), Exceeded> {
        let Some(rate) = measure.rate else { return Ok(()) };
        let taken = self.buckets[index(measure.key_type)].take(rate, now);
        taken.map_err(|wait| exceeded(Limit::Rate(measure.key_type), rate, wait))
    }

    fn bucket(&self, key_type: KeyType) -> Bucket {
        self.buckets[index(key_type)]
    }

    /// It holds no more than one that was refused from since.
    pub(crate) fn lower_bucket(&mut self, measure: &Measure, other: Bucket, now: DateTime<Utc>) {
        if let Some(rate) = measure.rate {
            let bucket = &mut self.buckets[index(measure.key_type)];
            *bucket = bucket.lower_of(other, rate, now);
        }
    }

    /// Whether one more of its channel may be sent today.
    pub(crate) fn check_day(&mut self, measure: &Measure, now: DateTime<Utc>) -> Result<(), Exceeded> {
        self.turn_to(now.date_naive());
        let channel = match measure.channel {
            Channel::Sms => self.sms,
            Channel::Email => self.email,
        };
        match measure.daily {
            Daily::Channel(limit) => check(measure, channel, limit, Limit::Daily(measure.channel), now),
            Daily::Together(limit) => {
                let both = self.sms.saturating_add(self.email);
                check(measure, both, limit, Limit::DailyTogether, now)
            }
            Daily::Unlimited => Ok(()),
        }
    }

    /// Whether one more text may go abroad today.
    pub(crate) fn check_international(&self, measure: &Measure, now: DateTime<Utc>) -> Result<(), Exceeded> {
        let Some(limit) = measure.international else { return Ok(()) };
        check(measure, self.international_sms, limit, Limit::DailyInternational, now)
    }

    /// One was stored. What test keys send does not count.
    pub(crate) fn count(&mut self, measure: &Measure) {
        if measure.key_type == KeyType::Test {
            return;
        }
        let counter = match measure.channel {
            Channel::Sms => &mut self.sms,
            Channel::Email => &mut self.email,
        };
        *counter = counter.saturating_add(1);
        if measure.international.is_some() {
            self.international_sms = self.international_sms.saturating_add(1);
        }
    }

    /// A replica whose clock is behind at midnight goes on with the new day.
    fn turn_to(&mut self, today: NaiveDate) {
        if today > self.day {
            *self = Self { buckets: self.buckets, day: today, sms: 0, email: 0, international_sms: 0 };
        }
    }
}

/// For test keys the count is that of a counter which stays at nought.
fn check(measure: &Measure, used: i32, limit: i32, of: Limit, now: DateTime<Utc>) -> Result<(), Exceeded> {
    let used = if measure.key_type == KeyType::Test { 0 } else { used };
    if used < limit {
        return Ok(());
    }
    Err(exceeded(of, limit, until_tomorrow(now)))
}

fn until_tomorrow(now: DateTime<Utc>) -> TimeDelta {
    (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc() - now
}

fn exceeded(of: Limit, limit: i32, wait: TimeDelta) -> Exceeded {
    Exceeded { limit, of, retry_after: wait.max(TimeDelta::seconds(1)) }
}

/// What services have used, for update; in the order of the key, so that nobody waits in a circle.
macro_rules! lock {
    ($name:ident, $how:literal) => {
        statement! {
            $name { services: &'a [Uuid] => sql::Array<sql::Uuid>, } -> (
                sql::Uuid,
                sql::Nullable<sql::Integer>, sql::Nullable<sql::Timestamptz>,
                sql::Nullable<sql::Integer>, sql::Nullable<sql::Timestamptz>,
                sql::Nullable<sql::Integer>, sql::Nullable<sql::Timestamptz>,
                sql::Date, sql::Integer, sql::Integer, sql::Integer,
            ),
            concat!("SELECT service_id, normal_tokens, normal_refilled_at, team_tokens, team_refilled_at, test_tokens,
               test_refilled_at, day, sms, email, international_sms
             FROM service_usage WHERE service_id = ANY(?) ORDER BY service_id FOR UPDATE ", $how)
        }
    };
}
lock!(LockFree, "SKIP LOCKED");
lock!(LockOne, "");

statement! {
    Create { services: &'a [Uuid] => sql::Array<sql::Uuid>, } -> (),
    "INSERT INTO service_usage (service_id) SELECT id FROM UNNEST(?) AS t (id) ORDER BY id ON CONFLICT DO NOTHING"
}

type Nullable<T> = Option<T>;
type Row = (
    Uuid,
    Nullable<i32>,
    Nullable<DateTime<Utc>>,
    Nullable<i32>,
    Nullable<DateTime<Utc>>,
    Nullable<i32>,
    Nullable<DateTime<Utc>>,
    NaiveDate,
    i32,
    i32,
    i32,
);

/// The usage of those of some services that nobody else holds, by their ids; ours until the end of the transaction. A service
/// that never made a request has none ([`wait_for`]).
pub(crate) fn lock_free(conn: &mut PgConnection, services: &[Uuid]) -> QueryResult<Vec<(ServiceId, Usage)>> {
    let rows: Vec<Row> = LockFree { services, _binds: std::marker::PhantomData }.load(conn)?;
    Ok(rows.into_iter().map(of).collect())
}

/// How long a group waits for one service, while everybody else's requests wait for the group: a commit takes less, and a holder
/// that stands still cannot be waited for.
const A_MOMENT: &str = "20ms";

/// What [`lock_free`] answers once those of the services have a row that never made a request; and if somebody else holds all of
/// them, the `turn`th as soon as it is free, in the order in which replicas ask for it. None when it is not free in a moment.
pub(crate) fn wait_for(
    conn: &mut PgConnection,
    services: &[Uuid],
    turn: usize,
) -> QueryResult<Vec<(ServiceId, Usage)>> {
    // A transaction within the transaction, which goes on when the time is over.
    let waited = conn.transaction(|conn| {
        conn.batch_execute(&format!("SET LOCAL lock_timeout = '{A_MOMENT}'"))?;
        Create { services, _binds: std::marker::PhantomData }.execute(conn)?;
        let free = lock_free(conn, services)?;
        if !free.is_empty() {
            return Ok(free);
        }
        let one = &services[turn % services.len()..][..1];
        let rows: Vec<Row> = LockOne { services: one, _binds: std::marker::PhantomData }.load(conn)?;
        Ok(rows.into_iter().map(of).collect())
    });
    match waited {
        Err(error) if Meaning::of(&error) != Meaning::Unavailable || is_connection_lost(&error) => Err(error),
        // Whatever it was: who is not done in time is told that the database is in trouble.
        Err(_) => Ok(Vec::new()),
        Ok(usage) => {
            conn.batch_execute(&format!("SET LOCAL lock_timeout = {}", session::LOCK.as_millis()))?;
            Ok(usage)
        }
    }
}

fn of(
    (id, normal, normal_at, team, team_at, test, test_at, day, sms, email, international_sms): Row,
) -> (ServiceId, Usage) {
    let buckets = [normal.zip(normal_at), team.zip(team_at), test.zip(test_at)].map(Bucket);
    (ServiceId(id), Usage { buckets, day, sms, email, international_sms })
}

statement! {
    Write {
        services: Vec<Uuid> => sql::Array<sql::Uuid>,
        normal: Vec<Option<i32>> => sql::Array<sql::Nullable<sql::Integer>>,
        normal_at: Vec<Option<DateTime<Utc>>> => sql::Array<sql::Nullable<sql::Timestamptz>>,
        team: Vec<Option<i32>> => sql::Array<sql::Nullable<sql::Integer>>,
        team_at: Vec<Option<DateTime<Utc>>> => sql::Array<sql::Nullable<sql::Timestamptz>>,
        test: Vec<Option<i32>> => sql::Array<sql::Nullable<sql::Integer>>,
        test_at: Vec<Option<DateTime<Utc>>> => sql::Array<sql::Nullable<sql::Timestamptz>>,
        days: Vec<NaiveDate> => sql::Array<sql::Date>,
        sms: Vec<i32> => sql::Array<sql::Integer>,
        email: Vec<i32> => sql::Array<sql::Integer>,
        international_sms: Vec<i32> => sql::Array<sql::Integer>,
    } -> (),
    "UPDATE service_usage AS u SET
       normal_tokens = t.normal, normal_refilled_at = t.normal_at, team_tokens = t.team, team_refilled_at = t.team_at,
       test_tokens = t.test, test_refilled_at = t.test_at, day = t.day, sms = t.sms, email = t.email,
       international_sms = t.international_sms
     FROM UNNEST(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS t (service_id, normal, normal_at, team, team_at, test, test_at, day, sms,
       email, international_sms)
     WHERE u.service_id = t.service_id"
}

/// Writes back what was locked.
pub(crate) fn write(conn: &mut PgConnection, usage: &[(ServiceId, Usage)]) -> QueryResult<()> {
    fn column<T>(usage: &[(ServiceId, Usage)], of: impl Fn(&Usage) -> T) -> Vec<T> {
        usage.iter().map(|(_, usage)| of(usage)).collect()
    }
    let tokens =
        |key_type: KeyType| column(usage, |u| u.buckets[index(key_type)].0.map(|(tokens, _)| tokens));
    let refilled = |key_type: KeyType| column(usage, |u| u.buckets[index(key_type)].0.map(|(_, at)| at));
    Write {
        services: usage.iter().map(|(id, _)| id.0).collect(),
        normal: tokens(KeyType::Normal),
        normal_at: refilled(KeyType::Normal),
        team: tokens(KeyType::Team),
        team_at: refilled(KeyType::Team),
        test: tokens(KeyType::Test),
        test_at: refilled(KeyType::Test),
        days: column(usage, |u| u.day),
        sms: column(usage, |u| u.sms),
        email: column(usage, |u| u.email),
        international_sms: column(usage, |u| u.international_sms),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_442_900, 0).unwrap()
    }

    fn unused() -> Usage {
        Usage::unused()
    }

    fn measure(key_type: KeyType, daily: Daily) -> Measure {
        Measure { key_type, channel: Channel::Sms, rate: Some(3000), daily, international: None }
    }

    #[test]
    fn a_full_bucket_of_the_default_rate_lets_999_through_at_once() {
        let (mut usage, asked) = (unused(), measure(KeyType::Normal, Daily::Unlimited));
        let through = (0..1500).filter(|_| usage.take_token(&asked, now()).is_ok()).count();
        assert_eq!(through, 999);
        let other = measure(KeyType::Team, Daily::Unlimited);
        assert!(usage.take_token(&other, now()).is_ok(), "each type of key has a bucket of its own");
    }

    #[test]
    fn a_bucket_holds_a_third_of_its_rate_and_one_rounded_up() {
        for (rate, through) in
            [(0, 0), (1, 1), (3, 1), (4, 2), (60, 20), (2996, 999), (2997, 999), (i32::MAX, 999)]
        {
            let mut bucket = Bucket::default();
            let taken = (0..2000).filter(|_| bucket.take(rate, now()).is_ok()).count();
            assert_eq!(taken, through, "{rate}");
        }
    }

    #[test]
    fn a_bucket_fills_at_its_rate_and_loses_no_part_of_a_token() {
        let mut bucket = Bucket::default();
        while bucket.take(60, now()).is_ok() {}
        let at = |millis| now() + TimeDelta::milliseconds(millis);
        assert!(bucket.take(60, at(1900)).is_err(), "one token came, and this request took it");
        assert_eq!(bucket.take(60, at(2000)), Err(TimeDelta::seconds(2)), "the second came, and went");
        assert!(bucket.take(60, at(3999)).is_err(), "knocking keeps it empty");
        assert!(bucket.take(60, at(5999)).is_ok(), "two seconds of quiet");
        let through = (0..100).filter(|_| bucket.take(60, at(1_000_000)).is_ok()).count();
        assert_eq!(through, 20, "it never holds more than its capacity");
    }

    #[test]
    fn a_clock_that_is_behind_neither_fills_nor_drains() {
        let mut bucket = Bucket::default();
        bucket.take(60, now()).unwrap();
        let before = bucket.0.unwrap();
        bucket.take(60, now() - TimeDelta::hours(1)).unwrap();
        assert_eq!(bucket.0.unwrap(), (before.0 - 1, before.1));
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let (mut usage, asked) = (unused(), measure(KeyType::Normal, Daily::Channel(2)));
        for _ in 0..2 {
            usage.check_day(&asked, now()).unwrap();
            usage.count(&asked);
        }
        let refused = usage.check_day(&asked, now()).unwrap_err();
        assert_eq!((refused.of, refused.limit), (Limit::Daily(Channel::Sms), 2));
        let midnight = now() + refused.retry_after;
        assert_eq!(midnight.time(), NaiveTime::MIN);
        assert!(usage.check_day(&asked, midnight - TimeDelta::microseconds(1)).is_err());
        usage.check_day(&asked, midnight).unwrap();
        usage.count(&asked);
        usage.check_day(&asked, midnight - TimeDelta::seconds(1)).unwrap();
        assert_eq!(usage.sms, 1, "a clock that is behind does not bring the old day back");
    }

    #[test]
    fn what_test_keys_send_does_not_count_and_is_checked_against_nought() {
        let (mut usage, asked) = (unused(), measure(KeyType::Test, Daily::Channel(1)));
        for _ in 0..3 {
            usage.check_day(&asked, now()).unwrap();
            usage.count(&asked);
        }
        assert_eq!(usage.sms, 0);
        assert!(usage.check_day(&measure(KeyType::Test, Daily::Channel(0)), now()).is_err());
    }

    #[test]
    fn texts_abroad_count_twice_and_2016_counts_both_channels() {
        let (mut usage, mut asked) = (unused(), measure(KeyType::Normal, Daily::Channel(10)));
        asked.international = Some(1);
        usage.check_day(&asked, now()).unwrap();
        usage.check_international(&asked, now()).unwrap();
        usage.count(&asked);
        assert_eq!(usage.check_international(&asked, now()).unwrap_err().of, Limit::DailyInternational);
        usage.count(&Measure { channel: Channel::Email, international: None, ..asked });
        let together = |limit| measure(KeyType::Team, Daily::Together(limit));
        assert!(usage.check_day(&together(3), now()).is_ok());
        assert_eq!(usage.check_day(&together(2), now()).unwrap_err().of, Limit::DailyTogether);
    }
}
