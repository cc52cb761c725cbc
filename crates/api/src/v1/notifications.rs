//! `GET /notifications/{id}` and `GET /notifications`. A key sees only what was made with keys of its own type.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use db::{
    notification::{
        self, StoredNotification,
        page::{Page, page},
    },
    template::{self, NamedVersion},
};
use domain::{
    email::BYTE_LIMIT,
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId},
    status::{Channel, ProviderId},
    template::{Lists, Missing, Personalisation, Template},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Wrapped,
    query::{Links, ListQuery, word},
};
use crate::{
    App,
    budget::Owner,
    error::{PlainError, Problem},
    openapi::{self, example, refusal, request},
    pages, reads,
    stored::{personalisation, versions},
};

/// A notification as it is now. Keys are always there, but for the subject of a text.
#[derive(Serialize, ToSchema)]
#[schema(as = v1::Notification)]
struct Shown {
    #[schema(value_type = Uuid)]
    id: NotificationId,
    to: String,
    #[schema(schema_with = openapi::channel)]
    notification_type: Channel,
    status: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    #[schema(schema_with = openapi::optional_provider)]
    sent_by: Option<ProviderId>,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    /// The provider's, not the caller's.
    reference: Option<String>,
    billable_units: i32,
    #[schema(value_type = Uuid)]
    service: ServiceId,
    #[schema(value_type = Option<Uuid>)]
    api_key: Option<ApiKeyId>,
    /// Nothing is made from jobs yet.
    job: (),
    job_row_number: (),
    template: TemplateShown,
    template_version: i32,
    body: String,
    /// Absent for texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    /// Null for e-mails.
    content_char_count: Option<usize>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = v1::Template)]
struct TemplateShown {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
    version: i32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = v1::One)]
struct One {
    notification: Shown,
}

/// A page of a list, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = v1::Notifications, examples(example::v1_notifications))]
struct List {
    notifications: Vec<Shown>,
    page_size: i64,
    total: i64,
    links: Links,
}

type Texts = HashMap<(TemplateId, i32), NamedVersion>;

#[utoipa::path(
    get, path = "/notifications/{id}", tag = openapi::V1, operation_id = "v1GetNotification",
    summary = "One notification (2016)",
    params(request::NotificationId),
    responses(
        (status = 200, description = "The notification.", body = inline(Wrapped<One>),
            example = json!(example::v1_notification())),
        refusal::V1ReadNotification,
    ),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    let caller = reads::caller(&app, &request).await?;
    let id: NotificationId =
        request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or(Problem::UnknownUrl)?;
    let (service, key_type) = (caller.service_id(), caller.key_type);
    let found = app.reads.run(service, "notification.find", move |conn| {
        let found = notification::find(conn, id)?;
        let found: Vec<_> =
            found.into_iter().filter(|n| n.service_id == service && n.key_type == key_type).collect();
        let texts = template::named(conn, &versions(&found))?;
        Ok((found, texts))
    });
    let (mut found, texts) = found.await?;
    let notification = shown(&app, found.pop().ok_or(Problem::NoResult)?, &texts);
    Ok(pages::whole(&app, Owner::Service(service), &Wrapped { data: One { notification } }).await?)
}

#[utoipa::path(
    get, path = "/notifications", tag = openapi::V1, operation_id = "v1GetNotifications",
    summary = "All notifications (2016)", description = "In numbered pages; a page beyond the last is a 404.",
    params(request::V1NotificationFilters),
    responses((status = 200, description = "A page of the list.", body = List), refusal::V1ReadNotifications),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    let caller = reads::caller(&app, &request).await?;
    let query = ListQuery::read(request.query_string())?;
    let (service, key_type, which) = (caller.service_id(), caller.key_type, query.page());
    let (found, texts) = match query.narrowing(key_type, app.clock.now()) {
        None => (Page { notifications: Vec::new(), total: 0 }, Texts::default()),
        Some(narrowing) => {
            let found = app.reads.run(service, "notification.page", move |conn| {
                let found = page(conn, service, key_type, &narrowing, which)?;
                let texts = template::named(conn, &versions(&found.notifications))?;
                Ok((found, texts))
            });
            found.await?
        }
    };
    if found.notifications.is_empty() && which.number > 1 {
        return Err(Problem::NoResult.into());
    }
    let links = query.links(found.total);
    let frame = List { notifications: Vec::new(), page_size: which.size, total: found.total, links };
    let show = move |app: &App, stored| shown(app, stored, &texts);
    Ok(pages::page(&app, Owner::Service(service), &frame, found.notifications, show).await?)
}

fn shown(app: &App, stored: StoredNotification, texts: &Texts) -> Shown {
    let (id, version) = (stored.template_id, stored.template_version);
    let NamedVersion { name, subject, content } = texts.get(&(id, version)).cloned().unwrap_or_default();
    let values = personalisation(app, &stored);
    let fill = |text: &str, lists| filled(text, &values, lists);
    let (body, subject, content_char_count) = match stored.channel {
        Channel::Sms => {
            let body = fill(&content, Lists::Sentence);
            let length = body.chars().count();
            (body, None, Some(length))
        }
        Channel::Email => {
            let subject = fill(&subject.unwrap_or_default(), Lists::Sentence);
            (fill(&content, Lists::Bullets), Some(subject), None)
        }
    };
    Shown {
        id: stored.id,
        to: stored.recipient,
        notification_type: stored.channel,
        status: word(stored.status),
        created_at: timestamp(stored.created_at),
        sent_at: stored.sent_at.map(timestamp),
        sent_by: stored.sent_by,
        updated_at: stored.updated_at.map(timestamp),
        reference: stored.provider_reference,
        billable_units: stored.billable_units,
        service: stored.service_id,
        api_key: stored.api_key_id,
        job: (),
        job_row_number: (),
        template: TemplateShown { id, name, template_type: stored.channel, version },
        template_version: version,
        body,
        subject,
        content_char_count,
    }
}

/// What is longer than any mail may be (a text can be, before its white space is cleaned) is not written.
fn filled(text: &str, values: &Personalisation, lists: Lists) -> String {
    let template = Template::parse(text);
    let filling = template.filling(values, lists, Missing::AsTyped);
    if filling.size() > BYTE_LIMIT { String::new() } else { filling.text() }
}

/// With its offset, and with six decimals unless they are all zero.
fn timestamp(time: DateTime<Utc>) -> String {
    let format = if time.timestamp_subsec_micros() == 0 {
        "%Y-%m-%dT%H:%M:%S+00:00"
    } else {
        "%Y-%m-%dT%H:%M:%S%.6f+00:00"
    };
    time.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_zero_is_left_out() {
        let at =
            |micros: i64| timestamp(DateTime::from_timestamp_micros(1_474_549_285_000_000 + micros).unwrap());
        assert_eq!(at(120_034), "2016-09-22T13:01:25.120034+00:00");
        assert_eq!(at(100), "2016-09-22T13:01:25.000100+00:00");
        assert_eq!(at(0), "2016-09-22T13:01:25+00:00");
    }
}
