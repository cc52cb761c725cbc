//! A test e-mail to an address that answers are to go to. Upstream sends it from a service of the platform; here the service
//! sends it itself, with a hidden template, so that it counts like any other of its messages.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use db::{limit::Measure, sender, template};
use domain::{
    email_address::EmailAddress,
    id::{NotificationId, ServiceId},
    status::{Channel, KeyType},
    template::Personalisation,
};
use serde_json::json;

use super::duplicate;
use crate::{
    App,
    accept::{self, Message},
    admit::{self, Judged, Ready},
    auth::{By, Caller},
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    lookup::KnownTemplate,
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    unsubscribe::Links,
    v2::schema::{Form, email_address},
};

#[utoipa::path(
    post, path = "/service/{service}/email-reply-to/verify", tag = tag::SENDERS, operation_id = "verifyReplyTo",
    summary = "Send a test e-mail to an address", params(ask::Service, ask::Acting),
    request_body = ask::VerifyRequest,
    responses(
        (status = 201, description = "It is stored; whether it arrives is seen in the log.",
            body = inline(Wrapped<answer::Sent>)),
        refusal::Verify,
    ),
)]
pub(crate) async fn verify(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let acting = internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let address = form.required("email", email_address);
    let address = address.ok_or_else(|| Problem::Validation(form.errors_of_known()))?;
    let service = app.lookup.service(id).await?.ok_or(Problem::NoResult)?;
    if !service.is_active() {
        return Err(Problem::Forbidden("Sending is not allowed: service is inactive".into()).into());
    }
    let template = template_unless_taken(&app, id, address.as_given()).await?;
    let caller = Caller { service, by: By::Person(acting.user), key_type: KeyType::Normal };
    let measure = Measure { rate: None, ..admit::measure(&caller, Channel::Email) };
    let judged = judge(&app, &caller, &template, &address);
    Ok(admit::admit(&app, &caller, measure, None, judged).await?)
}

async fn template_unless_taken(
    app: &App,
    service: ServiceId,
    address: &str,
) -> Result<KnownTemplate, Problem> {
    let (wanted, now) = (address.to_owned(), app.clock.now());
    let template = app.db.run("template.reply_to_test", move |conn| {
        if sender::has_address(conn, service, &wanted, None)? {
            return Ok(Err(()));
        }
        template::reply_to_test(conn, service, now).map(Ok)
    });
    let row = template.await?.map_err(|()| duplicate(address))?.ok_or(Problem::NoResult)?;
    Ok(KnownTemplate::new(row, None))
}

/// To anybody, also in trial mode: what is sent is not the service's to say.
fn judge(app: &App, caller: &Caller, template: &KnownTemplate, address: &EmailAddress) -> Judged {
    let now = app.clock.now();
    let id = NotificationId::new(now);
    let message = Message {
        id,
        created_at: now,
        recipient: address.as_given().to_owned(),
        normalised_recipient: address.normalised().to_owned(),
        reference: None,
        sender: None,
        links: Links::default(),
        international: false,
        phone_prefix: None,
        rate_multiplier: 1,
    };
    let nothing = Personalisation::new(serde_json::Map::new());
    let new = accept::notification(app, caller, template, &nothing, message)?;
    let answer = json!({ "data": { "id": id } }).to_string().into();
    Ok(Ready { id, answer, new: Some(new), documents: Vec::new(), abroad: false })
}
