//! `GET /v2/notifications/{id}` and `GET /v2/notifications`: stored notifications, with their texts made anew from the
//! template version and the personalisation.

pub(crate) mod query;

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use db::{
    log::{self, Person},
    notification::{self, StoredNotification},
    template::{self, VersionText},
};
use domain::{
    email,
    id::{NotificationId, TemplateId},
    sms::Sms,
    status::{Channel, Status},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::query::{Filters, ListQuery};
use super::{Links, root, schema::NOT_A_UUID, timestamp};
use crate::{
    App,
    budget::Owner,
    error::{Problem, V2Error},
    lookup::Rates,
    openapi::{self, example, refusal, request},
    pages, reads,
    stored::{personalisation, versions},
};

/// Notifications on a page.
pub(crate) const PAGE: i64 = 250;

type Texts = HashMap<(TemplateId, i32), VersionText>;

/// What notifications are shown with: the texts of their templates, and who sent them, if people did.
#[derive(Default)]
struct Shows {
    texts: Texts,
    people: HashMap<Uuid, Person>,
}

/// A notification as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification, examples(example::notification))]
struct Shown {
    #[schema(value_type = Uuid)]
    id: NotificationId,
    /// The caller's.
    reference: Option<String>,
    /// As it was given; null for a text.
    email_address: Option<String>,
    /// As it was given; null for an e-mail.
    phone_number: Option<String>,
    line_1: (),
    line_2: (),
    line_3: (),
    line_4: (),
    line_5: (),
    line_6: (),
    postcode: (),
    #[schema(schema_with = openapi::channel)]
    r#type: Channel,
    #[schema(schema_with = openapi::status)]
    status: Status,
    template: TemplateLink,
    /// With its values filled in; of an e-mail the Markdown.
    body: String,
    /// Null for a text.
    subject: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Who sent it, if a person at the front end did.
    created_by_name: Option<String>,
    /// When it was handed to a provider.
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    /// When its status became a final one.
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    scheduled_for: (),
    postage: (),
    one_click_unsubscribe_url: Option<String>,
    is_cost_data_ready: bool,
    cost_in_pounds: Option<f64>,
    #[schema(schema_with = openapi::cost_details)]
    cost_details: CostDetails,
}

/// The version of a template that a message is made from.
#[derive(Serialize, ToSchema)]
struct TemplateLink {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    version: i32,
    uri: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CostDetails {
    /// The multiplier is a float for the sake of typed clients.
    Sms { billable_sms_fragments: i32, international_rate_multiplier: f64, sms_rate: f64 },
    /// An e-mail's, and a text's that is not known yet.
    Nothing {},
}

/// A page of a list, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Notifications, examples(example::notifications))]
struct Page {
    notifications: Vec<Shown>,
    links: Links,
}

#[utoipa::path(
    get, path = "/v2/notifications/{id}", tag = openapi::NOTIFICATIONS, operation_id = "getNotification",
    summary = "One notification", description = "Whichever type of key it was sent with.",
    params(request::NotificationId),
    responses((status = 200, description = "The notification.", body = Shown), refusal::ReadNotification),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    let (found, shows) = of_caller(&app, &request).await?;
    let (owner, rates) = (Owner::Service(found.service_id), rates(&app, std::slice::from_ref(&found)).await?);
    let shown = shown(&app, &root(&request), found, &shows, &rates);
    Ok(pages::whole(&app, owner, &shown).await?)
}

/// Only letters have one.
#[utoipa::path(
    get, path = "/v2/notifications/{id}/pdf", tag = openapi::NOTIFICATIONS, operation_id = "getPdf",
    summary = "The PDF of a letter", description = "Letters are not carried yet, and nothing else has one.",
    params(request::NotificationId),
    responses(refusal::ReadPdf),
)]
pub(crate) async fn pdf(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    of_caller(&app, &request).await?;
    Err(Problem::bad_request("Notification is not a letter").into())
}

/// The notification that the URL names, whatever key it was made with, and what it is rendered from.
async fn of_caller(app: &App, request: &HttpRequest) -> Result<(StoredNotification, Shows), Problem> {
    let service = reads::caller(app, request).await?.service_id();
    let id = request.match_info().get("id").and_then(|id| id.parse::<NotificationId>().ok());
    let id = id.ok_or_else(|| Problem::Validation(vec![format!("notification_id {NOT_A_UUID}")]))?;
    let found = app.reads.run(service, "notification.find", move |conn| {
        let Some(found) = notification::find(conn, id)?.filter(|found| found.service_id == service) else {
            return Ok(None);
        };
        let texts = template::texts(conn, &versions(std::slice::from_ref(&found)))?;
        let people = log::people(conn, found.created_by.into_iter())?;
        Ok(Some((found, Shows { texts, people })))
    });
    found.await?.ok_or(Problem::NoResult)
}

#[utoipa::path(
    get, path = "/v2/notifications", tag = openapi::NOTIFICATIONS, operation_id = "getNotifications",
    summary = "All notifications",
    description = "Those that were sent with keys of the caller's type, the newest first. Other parameters are refused.",
    params(request::NotificationFilters),
    responses((status = 200, description = "A page of the list.", body = Page), refusal::ReadNotifications),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    let caller = reads::caller(&app, &request).await?;
    let query = ListQuery::read(request.query_string())?;
    let (service, key_type) = (caller.service_id(), caller.key_type);
    let (found, shows) = match query.filters() {
        Filters::MatchNothing => Default::default(),
        Filters::Some(filter) => {
            app.reads
                .run(service, "notification.list", move |conn| {
                    let found = notification::list(conn, service, key_type, &filter, PAGE)?;
                    let texts = template::texts(conn, &versions(&found))?;
                    let people = log::people(conn, found.iter().filter_map(|n| n.created_by))?;
                    Ok((found, Shows { texts, people }))
                })
                .await?
        }
    };
    let url = format!("{}/v2/notifications", root(&request));
    let links =
        Links { current: query.current(&url), next: found.last().map(|oldest| query.next(&url, oldest.id)) };
    let (root, rates) = (root(&request), rates(&app, &found).await?);
    let show = move |app: &App, stored| shown(app, &root, stored, &shows, &rates);
    let frame = Page { notifications: Vec::new(), links };
    Ok(pages::page(&app, Owner::Service(service), &frame, found, show).await?)
}

async fn rates(app: &App, found: &[StoredNotification]) -> Result<Rates, Problem> {
    if found.iter().any(|n| n.channel == Channel::Sms) {
        Ok(app.lookup.sms_rates().await?)
    } else {
        Ok([].into())
    }
}

fn shown(
    app: &App,
    root: &str,
    stored: StoredNotification,
    shows: &Shows,
    rates: &[(DateTime<Utc>, f64)],
) -> Shown {
    let (body, subject) = rendered(app, &stored, &shows.texts);
    let created_by = stored.created_by.and_then(|id| shows.people.get(&id));
    let created_by_name = created_by.map(|person| person.name.clone());
    let (phone_number, email_address) = match stored.channel {
        Channel::Sms => (Some(stored.recipient), None),
        Channel::Email => (None, Some(stored.recipient)),
    };
    let is_cost_data_ready =
        stored.channel == Channel::Email || stored.status != Status::Created || stored.billable_units != 0;
    let (cost, cost_details) = match stored.channel {
        Channel::Email => (0.0, CostDetails::Nothing {}),
        Channel::Sms => {
            let (units, multiplier) = (stored.billable_units, f64::from(stored.rate_multiplier));
            let sms_rate = rate_at(rates, stored.created_at);
            let details = CostDetails::Sms {
                billable_sms_fragments: units,
                international_rate_multiplier: multiplier,
                sms_rate,
            };
            (f64::from(units) * multiplier * sms_rate, details)
        }
    };
    let (id, version) = (stored.template_id, stored.template_version);
    Shown {
        id: stored.id,
        reference: stored.client_reference,
        email_address,
        phone_number,
        line_1: (),
        line_2: (),
        line_3: (),
        line_4: (),
        line_5: (),
        line_6: (),
        postcode: (),
        r#type: stored.channel,
        status: stored.status,
        template: TemplateLink { id, version, uri: format!("{root}/v2/template/{id}/version/{version}") },
        body,
        subject,
        created_at: timestamp(stored.created_at),
        created_by_name,
        sent_at: stored.sent_at.map(timestamp),
        completed_at: stored.updated_at.filter(|_| stored.status.is_completed()).map(timestamp),
        scheduled_for: (),
        postage: (),
        one_click_unsubscribe_url: stored.unsubscribe_url,
        is_cost_data_ready,
        cost_in_pounds: is_cost_data_ready.then_some(cost),
        cost_details: if is_cost_data_ready { cost_details } else { CostDetails::Nothing {} },
    }
}

/// The rate valid on the day it was made.
fn rate_at(rates: &[(DateTime<Utc>, f64)], at: DateTime<Utc>) -> f64 {
    rates.iter().rev().find(|(from, _)| *from <= at).map_or(0.0, |(_, rate)| *rate)
}

/// Body, and for e-mails the subject, as the answer to the POST had them.
fn rendered(app: &App, stored: &StoredNotification, texts: &Texts) -> (String, Option<String>) {
    let version = (stored.template_id, stored.template_version);
    let (subject, content) = texts.get(&version).cloned().unwrap_or_default();
    let values = personalisation(app, stored);
    match stored.channel {
        Channel::Sms => (Sms::render(&content, &values, None).text().to_owned(), None),
        Channel::Email => {
            let filled = email::fill(&subject.unwrap_or_default(), &content, &values);
            (filled.body, Some(filled.subject))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_day() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let rates = [(at("2020-01-01T00:00:00Z"), 0.01), (at("2026-04-01T00:00:00Z"), 0.02)];
        assert_eq!(rate_at(&rates, at("2026-03-31T23:59:59Z")), 0.01);
        assert_eq!(rate_at(&rates, at("2026-04-01T00:00:00Z")), 0.02);
        assert_eq!(rate_at(&rates, at("2019-01-01T00:00:00Z")), 0.0);
    }
}
