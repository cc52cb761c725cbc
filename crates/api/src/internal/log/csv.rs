//! The log as the rows of a file that people download: short, in London's time, and with statuses as people say them.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use db::{
    log::{Details, Filter},
    notification::{StoredNotification, page::Which},
};
use domain::{
    id::NotificationId,
    london,
    status::{Channel, Status},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{page, query::LogQuery};
use crate::{
    App,
    error::InternalError,
    internal,
    openapi::{self, internal::tag, refusal::internal as refusal, request::internal as ask},
};

#[derive(Serialize, ToSchema)]
#[schema(as = NotificationRows)]
struct File {
    notifications: Vec<Row>,
    page_size: i64,
    /// Only when so much was looked at that the rest was not: ask on with this as `older_than`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    looked_back_to: Option<NotificationId>,
}

/// No row was made from a job's yet.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationRow)]
struct Row {
    #[schema(value_type = Uuid)]
    id: NotificationId,
    row_number: &'static str,
    recipient: String,
    client_reference: String,
    template_name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
    job_name: &'static str,
    status: &'static str,
    created_at: String,
    created_by_name: Option<String>,
    created_by_email_address: Option<String>,
    api_key_name: Option<String>,
}

/// Pages follow each other by `older_than`.
#[utoipa::path(
    get, path = "/service/{service}/notifications/csv", tag = tag::LOG, operation_id = "getNotificationRows",
    summary = "The same as rows of a file", description = "Pages follow each other by `older_than`.",
    params(ask::Service, ask::RowFilters),
    responses((status = 200, description = "Rows, the newest first.", body = File), refusal::ReadLog),
)]
pub(crate) async fn rows(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let query = LogQuery::of_url(request.query_string())?;
    let page_size = query.rows_of_file();
    let filter =
        query.filter(app.clock.now()).map(|filter| Filter { jobs: true, test_keys: false, ..filter });
    let (page, details) = page(&app, service, filter, Which { number: 1, size: page_size }).await?;
    let notifications = page.notifications.into_iter().map(|n| row(n, &details)).collect();
    Ok(HttpResponse::Ok().json(File { notifications, page_size, looked_back_to: page.looked_back_to }))
}

fn row(stored: StoredNotification, details: &Details) -> Row {
    let version = details.versions.get(&(stored.template_id, stored.template_version));
    let person = stored.created_by.and_then(|id| details.people.get(&id));
    Row {
        id: stored.id,
        row_number: "",
        recipient: stored.recipient,
        client_reference: stored.client_reference.unwrap_or_default(),
        template_name: version.map(|version| version.name.clone()).unwrap_or_default(),
        template_type: stored.channel,
        job_name: "",
        status: label(stored.channel, stored.status),
        created_at: london::local(stored.created_at).format("%Y-%m-%d %H:%M:%S").to_string(),
        created_by_name: person.map(|person| person.name.clone()),
        created_by_email_address: person.map(|person| person.email_address.clone()),
        api_key_name: stored.api_key_id.and_then(|id| details.keys.get(&id).cloned()),
    }
}

const fn label(channel: Channel, status: Status) -> &'static str {
    match (status, channel) {
        (Status::Created | Status::Sending, _) => "Sending",
        (Status::Delivered, _) | (Status::Sent, Channel::Email) => "Delivered",
        (Status::Sent, Channel::Sms) => "Sent internationally",
        (Status::TemporaryFailure, Channel::Sms) => "Phone not accepting messages right now",
        (Status::TemporaryFailure, Channel::Email) => "Inbox not accepting messages right now",
        (Status::PermanentFailure, Channel::Sms) => "Phone number doesn’t exist",
        (Status::PermanentFailure, Channel::Email) => "Email address doesn’t exist",
        (Status::TechnicalFailure, _) => "Technical failure",
        (Status::Pending, _) => status.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_labels_and_pending_has_none() {
        let labels =
            |channel| Status::ALL.iter().map(move |status| label(channel, *status)).collect::<Vec<_>>();
        assert_eq!(
            labels(Channel::Sms),
            [
                "Sending",
                "Sending",
                "pending",
                "Sent internationally",
                "Delivered",
                "Phone not accepting messages right now",
                "Phone number doesn\u{2019}t exist",
                "Technical failure",
            ]
        );
        assert_eq!(
            labels(Channel::Email),
            [
                "Sending",
                "Sending",
                "pending",
                "Delivered",
                "Delivered",
                "Inbox not accepting messages right now",
                "Email address doesn\u{2019}t exist",
                "Technical failure",
            ]
        );
    }
}
