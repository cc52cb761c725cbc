//! The companies that carry messages: how each stands, who made it so, and why. Every process that sends follows within
//! seconds (`delivery/standings`).

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use chrono::{DateTime, Utc};
use db::{
    history::Version,
    provider_details::{self, Author, Change, ProviderDetails},
    statistics::month,
    user,
};
use domain::status::{Channel, ProviderId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped, fields::Fields},
    openapi::{
        self,
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{BOTH, READ, at, get},
    v2::timestamp,
};

/// What an update may name.
const UPDATED: [&str; 4] = ["priority", "active", "reason", "created_by"];

pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/provider-details", READ).route(get().to(list)))
        .service(at("/provider-details/{id}", BOTH).route(get().to(one)).route(post().to(update)))
        .service(at("/provider-details/{id}/versions", READ).route(get().to(versions)));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
struct Row {
    id: Uuid,
    display_name: String,
    #[schema(schema_with = openapi::provider)]
    identifier: ProviderId,
    priority: i16,
    #[schema(schema_with = openapi::channel)]
    notification_type: Channel,
    active: bool,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    supports_international: bool,
    created_by_name: Option<String>,
    reason: Option<String>,
    current_month_billable_sms: i64,
}

impl Row {
    fn new(details: ProviderDetails, time: fn(DateTime<Utc>) -> String) -> Self {
        Self {
            id: details.id,
            display_name: details.display_name,
            identifier: details.identifier,
            priority: details.priority,
            notification_type: details.channel,
            active: details.active,
            updated_at: details.updated_at.map(time),
            supports_international: details.supports_international,
            created_by_name: details.created_by_name,
            reason: details.reason,
            current_month_billable_sms: details.billable_sms,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Told<T> {
    provider_details: T,
}

#[utoipa::path(
    get, path = "/provider-details", tag = tag::PROVIDERS, operation_id = "getProviders",
    summary = "All providers",
    responses(
        (status = 200, description = "By type, then by priority. `updated_at` is a date as in headers.",
            body = inline(Told<answer::ListedProviders>)),
        refusal::ReadAll,
    ),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let since = month(app.clock.now());
    let rows = app.db.run("provider_details.list", move |conn| provider_details::list(conn, since)).await?;
    let provider_details: Vec<_> = rows.into_iter().map(|row| Row::new(row, http_date)).collect();
    Ok(HttpResponse::Ok().json(Told { provider_details }))
}

#[utoipa::path(
    get, path = "/provider-details/{id}", tag = tag::PROVIDERS, operation_id = "getProvider",
    summary = "One provider", params(ask::Provider),
    responses((status = 200, description = "The provider.", body = inline(Told<Row>)), refusal::Read),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (id, since) = (internal::id(&request, "id")?, month(app.clock.now()));
    let row = app.db.run("provider_details.find", move |conn| provider_details::find(conn, id, since));
    Ok(told(row.await?.ok_or(Problem::NoResult)?))
}

fn told(row: ProviderDetails) -> HttpResponse {
    HttpResponse::Ok().json(Told { provider_details: Row::new(row, timestamp) })
}

/// An update that says nothing still counts as one, as upstream: it is a version, and stamps the time.
#[utoipa::path(
    post, path = "/provider-details/{id}", tag = tag::PROVIDERS, operation_id = "updateProvider",
    summary = "Change a provider", params(ask::Provider, ask::Acting), request_body = ask::ProviderRequest,
    responses(
        (status = 200, description = "The provider as it is now. Whoever sends follows within ten seconds.",
            body = inline(Told<Row>)),
        refusal::UpdateProvider,
    ),
)]
pub(crate) async fn update(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let acting = internal::client(&app, &request)?;
    let id = internal::id(&request, "id")?;
    let (mut change, named) = read(internal::json(&app, payload).await?)?;
    change.changed_by = named.or(acting.user);
    let now = app.clock.now();
    let row = app.db.run("provider_details.change", move |conn| {
        if let Some(user) = named
            && !user::exists(conn, user)?
        {
            return Ok(None);
        }
        let changed = provider_details::change(conn, id, &change, now)?;
        if changed { provider_details::find(conn, id, month(now)) } else { Ok(None) }
    });
    Ok(told(row.await?.ok_or(Problem::NoResult)?))
}

/// What is to change, and who the body says does it.
fn read(body: Value) -> Result<(Change, Option<Uuid>), Problem> {
    let mut fields = Fields::of(body)?;
    fields.only(&UPDATED);
    fields.check()?;
    let priority = fields.optional::<i32>("priority").and_then(|priority| {
        let weight = i16::try_from(priority).ok().filter(|weight| (0..=100).contains(weight));
        if weight.is_none() {
            fields.wrong("priority", "Must be greater than or equal to 0 and less than or equal to 100.");
        }
        weight
    });
    let change = Change {
        priority,
        active: fields.optional("active"),
        reason: fields.optional::<Option<String>>("reason").flatten(),
        ..Change::default()
    };
    let named = fields.optional::<Option<Uuid>>("created_by").flatten();
    fields.check()?;
    Ok((change, named))
}

#[utoipa::path(
    get, path = "/provider-details/{id}/versions", tag = tag::PROVIDERS, operation_id = "getProviderVersions",
    summary = "What became of a provider", params(ask::Provider),
    responses(
        (status = 200, description = "At most a hundred, the newest first.",
            body = inline(Wrapped<answer::ProviderVersions>)),
        refusal::Read,
    ),
)]
pub(crate) async fn versions(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::id(&request, "id")?;
    let versions = app.db.run("provider_details.versions", move |conn| provider_details::versions(conn, id));
    let data: Vec<Value> = versions.await?.into_iter().map(version).collect();
    // Every provider has the version that it began with.
    if data.is_empty() {
        return Err(Problem::NoResult.into());
    }
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

fn version((Version { version, mut state, changed_at, .. }, author): (Version, Option<Author>)) -> Value {
    state["version"] = version.into();
    state["updated_at"] = timestamp(changed_at).into();
    state["created_by_name"] = author.as_ref().map(|(_, name, _)| name.as_str()).into();
    state["created_by"] = author
        .map(|(id, name, email_address)| json!({ "id": id, "name": name, "email_address": email_address }))
        .into();
    state
}

/// As headers have it, and lists of providers.
fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn dates_in_lists_are_those_of_http() {
        assert_eq!(http_date(utc("2016-09-22T13:01:25.999Z")), "Thu, 22 Sep 2016 13:01:25 GMT");
        assert_eq!(http_date(utc("2026-03-02T03:04:05Z")), "Mon, 02 Mar 2026 03:04:05 GMT");
    }

    #[test]
    fn a_month_begins_at_midnight_in_london() {
        assert_eq!(month(utc("2026-05-31T22:59:59Z")).to_string(), "2026-05-01");
        assert_eq!(month(utc("2026-05-31T23:00:00Z")).to_string(), "2026-06-01");
    }
}
