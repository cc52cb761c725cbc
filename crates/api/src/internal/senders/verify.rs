//! A test e-mail to an address that answers are to go to. The platform's service sends it: it is the team's neither in figures
//! nor in limits nor in the log.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use db::{
    limit::{Daily, Measure},
    platform, sender,
};
use domain::{
    email_address::EmailAddress,
    id::NotificationId,
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
    internal::{self, Wrapped, fields::Fields},
    lookup::KnownTemplate,
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    unsubscribe::Links,
};

#[utoipa::path(
    post, path = "/service/{service}/email-reply-to/verify", tag = tag::SENDERS, operation_id = "verifyReplyTo",
    summary = "Send a test e-mail to an address", params(ask::Service),
    request_body = ask::VerifyRequest,
    responses(
        (status = 201, description = "It is stored; whether it arrives is seen in the log of the platform's service.",
            body = inline(Wrapped<answer::Sent>)),
        refusal::Verify,
    ),
)]
pub(crate) async fn verify(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let address = address(Fields::of(internal::json(&app, payload).await?)?)?;
    let service = app.lookup.service(id).await?.ok_or(Problem::NoResult)?;
    if !service.is_active() {
        return Err(Problem::Forbidden("Sending is not allowed: service is inactive".into()).into());
    }
    let wanted = address.as_given().to_owned();
    let taken = app.db.run("sender.has_address", move |conn| sender::has_address(conn, id, &wanted, None));
    if taken.await? {
        return Err(duplicate(address.as_given()).into());
    }
    let missing = || Problem::Internal("the platform has no service, or no template for this".into());
    let service = app.lookup.service(platform::SERVICE).await?.ok_or_else(missing)?;
    let template =
        app.lookup.template(platform::SERVICE, platform::REPLY_TO_TEST).await?.ok_or_else(missing)?;
    let caller = Caller { service, by: By::Person(None), key_type: KeyType::Normal };
    let measure = Measure { rate: None, daily: Daily::Unlimited, ..admit::measure(&caller, Channel::Email) };
    let judged = judge(&app, &caller, &template, &address);
    Ok(admit::admit(&app, &caller, measure, None, judged).await?)
}

fn address(mut fields: Fields) -> Result<EmailAddress, Problem> {
    let text: Option<String> = fields.required("email");
    let address = text.and_then(|text| {
        EmailAddress::parse(&text).map_err(|fault| fields.wrong("email", fault.to_string())).ok()
    });
    fields.check()?;
    address.ok_or_else(|| Problem::Internal("an address is neither there nor wrong".into()))
}

/// To anybody: the platform is not in trial mode.
fn judge(app: &App, caller: &Caller, template: &KnownTemplate, address: &EmailAddress) -> Judged {
    let now = app.clock.now();
    let id = NotificationId::new(now);
    let message = Message {
        id,
        created_at: now,
        recipient: address.as_given().to_owned(),
        normalised_recipient: address.normalised().to_owned(),
        reference: None,
        sender: accept::reply_to(caller, template, None)?.map(ToOwned::to_owned),
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
