//! `demo`: a text and an e-mail through the public API, followed to `delivered`.

use std::time::{Duration, Instant};

use clap::Args;
use domain::{
    id::{NotificationId, TemplateId},
    status::Status,
};
use serde_json::{Value, json};

use crate::{
    api_client::ApiClient, error::Error, humane, output::say, patience::patiently, token::KeyArgument,
};

/// Between two looks at a message: short enough to see it pass through `sending`.
const PAUSE: Duration = Duration::from_millis(20);
/// One that is still on its way after a second is no hurry any more.
const LATER_PAUSE: Duration = Duration::from_millis(250);

/// Send a text and an e-mail through the public API and follow them to `delivered`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The API
    #[arg(long, env = "NOTIFY_API_URL")]
    url: String,
    #[command(flatten)]
    key: KeyArgument,
    /// A template with the placeholder ((name)) and no other
    #[arg(long, env = "SMS_TEMPLATE_ID", value_name = "ID")]
    sms_template: TemplateId,
    /// A template with the placeholder ((name)) and no other
    #[arg(long, env = "EMAIL_TEMPLATE_ID", value_name = "ID")]
    email_template: TemplateId,
    /// Whom the text goes to
    #[arg(long, env = "FUNCTIONAL_TEST_NUMBER", value_name = "NUMBER")]
    phone_number: String,
    /// Whom the e-mail goes to
    #[arg(long, env = "FUNCTIONAL_TEST_EMAIL", value_name = "ADDRESS")]
    email_address: String,
    /// How long both may take
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = humane::duration)]
    limit: Duration,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let api = ApiClient::new(&arguments.url, arguments.key.parse()?)?;
    let personalisation = json!({"name": "Rosa"});
    let text = json!({
        "phone_number": arguments.phone_number,
        "template_id": arguments.sms_template,
        "personalisation": personalisation,
    });
    let mail = json!({
        "email_address": arguments.email_address,
        "template_id": arguments.email_template,
        "personalisation": personalisation,
    });
    let limit = arguments.limit;
    let (text, mail) = tokio::join!(
        deliver(&api, "text", "/v2/notifications/sms", &text, limit),
        deliver(&api, "e-mail", "/v2/notifications/email", &mail, limit),
    );
    match (text, mail) {
        (Err(Error::No(text)), Err(Error::No(mail))) => Err(Error::No(format!("{text}; {mail}"))),
        (text, mail) => text.and(mail),
    }
}

/// The statuses that a message was seen in, and how long after sending.
struct Journey {
    what: &'static str,
    since: Instant,
    stations: Vec<(String, Duration)>,
}

impl Journey {
    fn is_at(&mut self, status: &str) {
        if self.stations.last().is_none_or(|(last, _)| last != status) {
            self.stations.push((status.into(), self.since.elapsed()));
        }
    }

    fn status(&self) -> &str {
        self.stations.last().map_or("not accepted", |(status, _)| status)
    }

    fn line(&self, id: NotificationId) -> String {
        let station = |(status, after): &(String, Duration)| format!("{status} {} ms", after.as_millis());
        let way = self.stations.iter().map(station).collect::<Vec<_>>().join(" → ");
        format!("{:<6}  {id}  {way}", self.what)
    }
}

async fn deliver(
    api: &ApiClient,
    what: &'static str,
    path: &str,
    body: &Value,
    limit: Duration,
) -> Result<(), Error> {
    let mut journey = Journey { what, since: Instant::now(), stations: Vec::new() };
    // Only while there is no connection, so that nothing is sent twice.
    let accepted = patiently(limit, async || api.post(path, body).await).await.map_err(|e| named(what, e))?;
    let id = accepted["id"].as_str().and_then(|id| id.parse().ok());
    let id: NotificationId = id.ok_or_else(|| Error::No(format!("{what}: the API's 201 has no id")))?;
    journey.is_at(Status::Created.as_str());
    let followed = follow(api, &mut journey, id, limit).await;
    say(&journey.line(id))?;
    followed.map_err(|e| named(what, e))?;
    match journey.status() {
        delivered if delivered == Status::Delivered.as_str() => Ok(()),
        other => Err(Error::No(format!(
            "the {what} {id} is {other} after {}",
            humane::span(journey.since.elapsed())
        ))),
    }
}

/// Looks until the status is final or the time is over. An API that is away meanwhile is asked again.
async fn follow(
    api: &ApiClient,
    journey: &mut Journey,
    id: NotificationId,
    limit: Duration,
) -> Result<(), Error> {
    let path = format!("/v2/notifications/{id}");
    loop {
        let asked = api.get(&path).await;
        let over = journey.since.elapsed() >= limit;
        match asked {
            Ok(notification) => {
                let status = notification["status"].as_str().unwrap_or("without a status");
                journey.is_at(status);
                if over || status.parse().is_ok_and(Status::is_completed) {
                    return Ok(());
                }
            }
            Err(Error::ApiUnreachable(_) | Error::ApiBroken(_)) if !over => {}
            Err(error) => return Err(error),
        }
        let pause = if journey.since.elapsed() < Duration::from_secs(1) { PAUSE } else { LATER_PAUSE };
        tokio::time::sleep(pause).await;
    }
}

/// Says which of the two an answer was about.
fn named(what: &str, error: Error) -> Error {
    match error {
        Error::No(reason) => Error::No(format!("{what}: {reason}")),
        other => other,
    }
}
