//! Figures of providers: what each was given, and what became of it. What test keys sent went to none.

use std::marker::PhantomData;

use chrono::NaiveDate;
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::ServiceId,
    status::{ProviderId, Status},
};
use uuid::Uuid;

use super::Days;
use crate::{
    pg_enum::{PgProvider, PgStatus},
    schema::sql_types::{self, NotificationStatus},
    service,
    statement::statement,
};

/// What a provider was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub provider: ProviderId,
    pub status: Status,
    pub count: i64,
    pub billable_units: i64,
}

statement! {
    ByProvider {
        first: NaiveDate => sql::Date,
        last: NaiveDate => sql::Date,
    } -> (sql_types::Provider, NotificationStatus, sql::BigInt, sql::BigInt),
    "SELECT provider, status, sum(count)::bigint, sum(billable_units)::bigint FROM figures
     WHERE day BETWEEN ? AND ? AND provider IS NOT NULL AND key_type <> 'test' GROUP BY 1, 2"
}

statement! {
    ByProviderOfService {
        service: Uuid => sql::Uuid,
        since: NaiveDate => sql::Date,
    } -> (sql_types::Provider, NotificationStatus, sql::BigInt, sql::BigInt),
    "SELECT provider, status, sum(count)::bigint, sum(billable_units)::bigint FROM figures
     WHERE service_id = ? AND day >= ? AND provider IS NOT NULL AND key_type <> 'test' GROUP BY 1, 2"
}

type CarriedRow = (PgProvider, PgStatus, i64, i64);

fn carried((provider, status, count, billable_units): CarriedRow) -> Carried {
    Carried { provider: provider.0, status: status.0, count, billable_units }
}

/// By provider, of all services together.
///
/// # Errors
/// When the query fails.
pub fn by_provider(conn: &mut PgConnection, days: Days) -> QueryResult<Vec<Carried>> {
    let query = ByProvider { first: days.first, last: days.last, _binds: PhantomData };
    let rows: Vec<CarriedRow> = query.load(conn)?;
    Ok(rows.into_iter().map(carried).collect())
}

/// By provider since a day, of one service; None when there is no such service.
///
/// # Errors
/// When a query fails.
pub fn by_provider_of_service(
    conn: &mut PgConnection,
    service: ServiceId,
    since: NaiveDate,
) -> QueryResult<Option<Vec<Carried>>> {
    service::of(conn, service, |conn| {
        let query = ByProviderOfService { service: service.0, since, _binds: PhantomData };
        let rows: Vec<CarriedRow> = query.load(conn)?;
        Ok(rows.into_iter().map(carried).collect())
    })
}
