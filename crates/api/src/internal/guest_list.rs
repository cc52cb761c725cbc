//! Whom a service in trial mode, and its team keys, may reach besides the team.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, put},
};
use db::{
    guest_list::{self, Guest},
    service,
};
use domain::status::Channel;
use serde_json::{Value, json};

use crate::{
    App,
    error::{InternalError, Problem},
    internal,
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{at, get},
    v2::schema::{Form, wrong_type},
};

pub(crate) fn table(config: &mut ServiceConfig) {
    let list = at("/service/{service}/guest-list", "GET, HEAD, PUT");
    config.service(list.route(get().to(show)).route(put().to(replace)));
}

#[utoipa::path(
    get, path = "/service/{service}/guest-list", tag = tag::SETTINGS, operation_id = "getGuestList",
    summary = "Whom a service in trial mode may reach", params(ask::Service),
    responses((status = 200, description = "Besides its team.", body = inline(answer::GuestList)), refusal::Read),
)]
pub(crate) async fn show(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let guests = app.db.run("guest_list.list", move |conn| {
        service::of(conn, service, |conn| guest_list::list(conn, service))
    });
    let guests = guests.await?.ok_or(Problem::NoResult)?;
    let of = |channel: Channel| {
        let theirs = guests.iter().filter(|guest| guest.channel == channel);
        theirs.map(|guest| &guest.recipient).collect::<Vec<_>>()
    };
    let shown = json!({ "email_addresses": of(Channel::Email), "phone_numbers": of(Channel::Sms) });
    Ok(HttpResponse::Ok().json(shown))
}

#[utoipa::path(
    put, path = "/service/{service}/guest-list", tag = tag::SETTINGS, operation_id = "replaceGuestList",
    summary = "Replace the guest list", params(ask::Service), request_body = ask::GuestListRequest,
    responses((status = 204, description = "Replaced."), refusal::ReplaceGuestList),
)]
pub(crate) async fn replace(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let (numbers, addresses) =
        (form.required("phone_numbers", array), form.required("email_addresses", array));
    let (numbers, addresses) = match (numbers, addresses, form.errors_of_known()) {
        (Some(numbers), Some(addresses), errors) if errors.is_empty() => (numbers, addresses),
        (_, _, errors) => return Err(Problem::Validation(errors).into()),
    };
    let number = |value: &Value| read(value, Channel::Sms);
    let address = |value: &Value| read(value, Channel::Email);
    let guests =
        numbers.iter().map(number).chain(addresses.iter().map(address)).collect::<Result<Vec<_>, _>>()?;
    let replaced = app.db.run("guest_list.replace", move |conn| guest_list::replace(conn, service, &guests));
    if replaced.await? { Ok(HttpResponse::NoContent().finish()) } else { Err(Problem::NoResult.into()) }
}

fn read(value: &Value, channel: Channel) -> Result<Guest, Problem> {
    value.as_str().and_then(|as_given| Guest::parse(channel, as_given)).ok_or_else(|| {
        let as_given = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let message =
            format!("Invalid guest list: \"{as_given}\" is not a valid email address or phone number");
        Problem::bad_request(message)
    })
}

fn array(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type(&other, "array")),
    }
}
