//! What dashboards ask. Each answer is one statement over the figures; none counts notifications.
//!
//! What goes back further than some days reads the figures by month. Test keys never count, unless a function says so.

use std::marker::PhantomData;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{OptionalExtension, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{ServiceId, TemplateId},
    status::{Channel, KeyType, Status},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    pg_enum::{PgChannel, PgKeyType, PgStatus},
    schema::sql_types::{self, NotificationStatus},
    service,
    statement::statement,
};

/// How many notifications have a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub channel: Channel,
    pub status: Status,
    pub count: i64,
}

/// Figures as people are told them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub requested: i64,
    pub delivered: i64,
    pub failed: i64,
}

impl Counts {
    pub fn add(&mut self, status: Status, count: i64) {
        self.requested += count;
        match status {
            Status::Delivered | Status::Sent => self.delivered += count,
            Status::TemporaryFailure | Status::PermanentFailure | Status::TechnicalFailure => {
                self.failed += count;
            }
            Status::Created | Status::Sending | Status::Pending => {}
        }
    }
}

/// A template, as figures name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: TemplateId,
    pub name: String,
    pub channel: Channel,
}

impl Named {
    fn new(id: Uuid, name: String, channel: PgChannel) -> Self {
        Self { id: TemplateId(id), name, channel: channel.0 }
    }
}

/// The days from one to another, both included, in London.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    pub first: NaiveDate,
    pub last: NaiveDate,
}

statement! {
    OfService {
        service: Uuid => sql::Uuid,
        since: NaiveDate => sql::Date,
    } -> (sql_types::Channel, NotificationStatus, sql::BigInt),
    "SELECT channel, status, sum(count)::bigint FROM figures
     WHERE service_id = ? AND day >= ? AND key_type <> 'test' GROUP BY 1, 2"
}

/// Of one service since a day; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn of_service(
    conn: &mut PgConnection,
    service: ServiceId,
    since: NaiveDate,
) -> QueryResult<Option<Vec<Sum>>> {
    service::of(conn, service, |conn| {
        let query = OfService { service: service.0, since, _binds: PhantomData };
        let rows: Vec<(PgChannel, PgStatus, i64)> = query.load(conn)?;
        let sum = |(channel, status, count): (PgChannel, PgStatus, i64)| Sum {
            channel: channel.0,
            status: status.0,
            count,
        };
        Ok(rows.into_iter().map(sum).collect())
    })
}

/// A service, as figures of all services name it.
#[derive(Debug)]
pub struct Listed {
    pub id: ServiceId,
    pub name: String,
    pub restricted: bool,
    pub active: bool,
    pub created_at: DateTime<Utc>,
    /// E-mails first.
    pub sums: Vec<Sum>,
}

statement! {
    OfAllServices {
        first: NaiveDate => sql::Date,
        last: NaiveDate => sql::Date,
        test_keys: bool => sql::Bool,
        inactive: bool => sql::Bool,
    } -> (sql::Uuid, sql::Text, sql::Bool, sql::Bool, sql::Timestamptz, sql::Nullable<sql_types::Channel>,
          sql::Nullable<NotificationStatus>, sql::Nullable<sql::BigInt>),
    "SELECT s.id, s.name, s.restricted, s.active, s.created_at, f.channel, f.status, f.count
     FROM services AS s
     LEFT JOIN (
       SELECT service_id, channel, status, sum(count)::bigint AS count FROM figures
       WHERE day BETWEEN ? AND ? AND (key_type <> 'test' OR ?)
       GROUP BY 1, 2, 3 HAVING sum(count) <> 0) AS f ON f.service_id = s.id
     WHERE s.active OR ?
     ORDER BY s.id, f.channel DESC"
}

/// Of every service, those without figures too, by their ids.
///
/// # Errors
/// When the query fails.
pub fn of_all_services(
    conn: &mut PgConnection,
    days: Days,
    with_test_keys: bool,
    with_inactive: bool,
) -> QueryResult<Vec<Listed>> {
    type Row = (Uuid, String, bool, bool, DateTime<Utc>, Option<PgChannel>, Option<PgStatus>, Option<i64>);
    let rows: Vec<Row> = OfAllServices {
        first: days.first,
        last: days.last,
        test_keys: with_test_keys,
        inactive: with_inactive,
        _binds: PhantomData,
    }
    .load(conn)?;
    let mut listed: Vec<Listed> = Vec::new();
    for (id, name, restricted, active, created_at, channel, status, count) in rows {
        if listed.last().is_none_or(|service| service.id.0 != id) {
            listed.push(Listed { id: ServiceId(id), name, restricted, active, created_at, sums: Vec::new() });
        }
        if let (Some(service), Some(channel), Some(status), Some(count)) =
            (listed.last_mut(), channel, status, count)
        {
            service.sums.push(Sum { channel: channel.0, status: status.0, count });
        }
    }
    Ok(listed)
}

statement! {
    ByMonth {
        service: Uuid => sql::Uuid,
        first: NaiveDate => sql::Date,
        last: NaiveDate => sql::Date,
    } -> (sql::Date, sql_types::Channel, NotificationStatus, sql::BigInt),
    "SELECT month, channel, status, sum(count)::bigint FROM figures_by_month
     WHERE service_id = ? AND month BETWEEN ? AND ? AND key_type <> 'test'
     GROUP BY 1, 2, 3 HAVING sum(count) <> 0"
}

/// Of one service by month (its first day), where there are any; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn by_month(
    conn: &mut PgConnection,
    service: ServiceId,
    months: Days,
) -> QueryResult<Option<Vec<(NaiveDate, Sum)>>> {
    service::of(conn, service, |conn| {
        let query =
            ByMonth { service: service.0, first: months.first, last: months.last, _binds: PhantomData };
        let rows: Vec<(NaiveDate, PgChannel, PgStatus, i64)> = query.load(conn)?;
        let sum = |(month, channel, status, count): (NaiveDate, PgChannel, PgStatus, i64)| {
            (month, Sum { channel: channel.0, status: status.0, count })
        };
        Ok(rows.into_iter().map(sum).collect())
    })
}

statement! {
    TemplatesByMonth {
        service: Uuid => sql::Uuid,
        first: NaiveDate => sql::Date,
        last: NaiveDate => sql::Date,
    } -> (sql::Date, sql::Uuid, sql::Text, sql_types::Channel, sql::BigInt),
    "SELECT f.month, t.id, t.name, t.channel, f.count
     FROM (
       SELECT month, template_id, sum(count)::bigint AS count FROM figures_by_month
       WHERE service_id = ? AND month BETWEEN ? AND ? AND key_type <> 'test'
       GROUP BY 1, 2 HAVING sum(count) <> 0) AS f
     JOIN templates AS t ON t.id = f.template_id
     ORDER BY f.month, t.name, t.id"
}

/// How often each template was used, by month (its first day) and name; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn templates_by_month(
    conn: &mut PgConnection,
    service: ServiceId,
    months: Days,
) -> QueryResult<Option<Vec<(NaiveDate, Named, i64)>>> {
    service::of(conn, service, |conn| {
        let query = TemplatesByMonth {
            service: service.0,
            first: months.first,
            last: months.last,
            _binds: PhantomData,
        };
        let rows: Vec<(NaiveDate, Uuid, String, PgChannel, i64)> = query.load(conn)?;
        let used = |(month, id, name, channel, count): (NaiveDate, Uuid, String, PgChannel, i64)| {
            (month, Named::new(id, name, channel), count)
        };
        Ok(rows.into_iter().map(used).collect())
    })
}

statement! {
    ByTemplate {
        service: Uuid => sql::Uuid,
        since: NaiveDate => sql::Date,
    } -> (sql::Uuid, sql::Text, sql_types::Channel, NotificationStatus, sql::BigInt),
    "SELECT t.id, t.name, t.channel, f.status, f.count
     FROM (
       SELECT template_id, status, sum(count)::bigint AS count FROM figures
       WHERE service_id = ? AND day >= ? AND key_type <> 'test'
       GROUP BY 1, 2 HAVING sum(count) <> 0) AS f
     JOIN templates AS t ON t.id = f.template_id
     ORDER BY t.name, t.id, f.status"
}

/// By template and status since a day, by name; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn by_template(
    conn: &mut PgConnection,
    service: ServiceId,
    since: NaiveDate,
) -> QueryResult<Option<Vec<(Named, Status, i64)>>> {
    service::of(conn, service, |conn| {
        let query = ByTemplate { service: service.0, since, _binds: PhantomData };
        let rows: Vec<(Uuid, String, PgChannel, PgStatus, i64)> = query.load(conn)?;
        let used = |(id, name, channel, status, count): (Uuid, String, PgChannel, PgStatus, i64)| {
            (Named::new(id, name, channel), status.0, count)
        };
        Ok(rows.into_iter().map(used).collect())
    })
}

statement! {
    CountSince {
        service: Uuid => sql::Uuid,
        channels: Vec<&'a str> => sql::Array<sql::Text>,
        since: NaiveDate => sql::Date,
    } -> (sql::BigInt,),
    "SELECT coalesce(sum(count), 0)::bigint FROM figures
     WHERE service_id = ? AND channel::text = ANY(?) AND key_type <> 'test' AND day >= ?"
}

statement! {
    Count {
        service: Uuid => sql::Uuid,
        channels: Vec<&'a str> => sql::Array<sql::Text>,
    } -> (sql::BigInt,),
    "SELECT coalesce(sum(count), 0)::bigint FROM figures_by_month
     WHERE service_id = ? AND channel::text = ANY(?) AND key_type <> 'test'"
}

/// How many there are on these channels, since a day or ever; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn count(
    conn: &mut PgConnection,
    service: ServiceId,
    channels: &[Channel],
    since: Option<NaiveDate>,
) -> QueryResult<Option<i64>> {
    let channels = channels.iter().map(|channel| channel.as_str()).collect();
    service::of(conn, service, |conn| {
        let service = service.0;
        let (count,) = match since {
            Some(since) => CountSince { service, channels, since, _binds: PhantomData }.get_result(conn)?,
            None => Count { service, channels, _binds: PhantomData }.get_result(conn)?,
        };
        Ok(count)
    })
}

statement! {
    LastUse {
        template: Uuid => sql::Uuid,
        service: Uuid => sql::Uuid,
        month: NaiveDate => sql::Date,
    } -> (sql::Nullable<sql::Timestamptz>,),
    "SELECT (
       SELECT max(last_created_at) FROM figures_by_month AS f
       WHERE f.service_id = t.service_id AND f.template_id = t.id AND f.key_type <> 'test' AND f.month >= m.first)
     FROM (SELECT id, service_id FROM templates WHERE id = ? AND service_id = ?) AS t, (SELECT ? AS first) AS m"
}

/// When a template was last used, if that was at this time or later; None when the service has no such template.
///
/// # Errors
/// When the query fails.
pub fn last_use(
    conn: &mut PgConnection,
    service: ServiceId,
    template: TemplateId,
    since: DateTime<Utc>,
) -> QueryResult<Option<Option<DateTime<Utc>>>> {
    let query =
        LastUse { template: template.0, service: service.0, month: month(since), _binds: PhantomData };
    let last: Option<(Option<DateTime<Utc>>,)> = query.get_result(conn).optional()?;
    Ok(last.map(|(time,)| time.filter(|time| *time >= since)))
}

statement! {
    MostRecentlyUsed {
        service: Uuid => sql::Uuid,
        month: NaiveDate => sql::Date,
        since: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Uuid, sql::Text, sql_types::Channel, sql::Timestamptz),
    "SELECT t.id, t.name, t.channel, f.last
     FROM (
       SELECT template_id, max(last_created_at) AS last FROM figures_by_month
       WHERE service_id = ? AND month >= ? AND key_type <> 'test' GROUP BY 1) AS f
     JOIN templates AS t ON t.id = f.template_id
     WHERE f.last >= ?
     ORDER BY f.last DESC, t.id LIMIT 1"
}

/// A template, and when it was last used.
#[derive(Clone, Debug)]
pub struct LastUsed {
    pub template: Named,
    pub at: DateTime<Utc>,
}

/// The template that the service used last, if that was at this time or later; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn most_recently_used(
    conn: &mut PgConnection,
    service: ServiceId,
    since: DateTime<Utc>,
) -> QueryResult<Option<Option<LastUsed>>> {
    service::of(conn, service, |conn| {
        let query = MostRecentlyUsed { service: service.0, month: month(since), since, _binds: PhantomData };
        let row: Option<(Uuid, String, PgChannel, DateTime<Utc>)> = query.get_result(conn).optional()?;
        Ok(row.map(|(id, name, channel, at)| LastUsed { template: Named::new(id, name, channel), at }))
    })
}

/// The first day of a moment's month in London.
#[must_use]
pub fn month(time: DateTime<Utc>) -> NaiveDate {
    use chrono::Datelike;
    let day = domain::london::day(time);
    day.with_day(1).unwrap_or(day)
}

statement! {
    OfPlatform {
        first: NaiveDate => sql::Date,
        last: NaiveDate => sql::Date,
    } -> (sql_types::Channel, sql_types::KeyType, NotificationStatus, sql::BigInt),
    "SELECT channel, key_type, status, sum(count)::bigint FROM figures WHERE day BETWEEN ? AND ? GROUP BY 1, 2, 3"
}

/// Of all services together, with test keys.
///
/// # Errors
/// When the query fails.
pub fn of_platform(conn: &mut PgConnection, days: Days) -> QueryResult<Vec<(KeyType, Sum)>> {
    let query = OfPlatform { first: days.first, last: days.last, _binds: PhantomData };
    let rows: Vec<(PgChannel, PgKeyType, PgStatus, i64)> = query.load(conn)?;
    let sum = |(channel, key_type, status, count): (PgChannel, PgKeyType, PgStatus, i64)| {
        (key_type.0, Sum { channel: channel.0, status: status.0, count })
    };
    Ok(rows.into_iter().map(sum).collect())
}
