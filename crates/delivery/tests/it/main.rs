//! One attempt to send, against the simulator's real sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod large;
mod lease;
mod send;
mod simulation;
mod standings;

use chrono::{DateTime, TimeDelta, Utc};
use delivery::{Large, Message, Time};
use domain::{
    clock::Clock,
    id::{NotificationId, ServiceId},
    notification::{Attempt, Notification, Sender},
    provider::Standing,
    status::{Channel, KeyType, ProviderId},
    template::Personalisation,
};
use provider::{AtOnce, Config, Providers};
use serde_json::json;
use simulator::{Options, Simulator};

fn now() -> DateTime<Utc> {
    "2026-03-02T10:11:12Z".parse().unwrap()
}

fn text() -> Notification {
    let personalisation = json!({"name": "Ada"});
    Notification {
        id: NotificationId::new(now()),
        service_id: ServiceId::new(now()),
        channel: Channel::Sms,
        key_type: KeyType::Normal,
        recipient: "07700 900123".into(),
        normalised_recipient: "447700900123".into(),
        international: false,
        sender: Some("QUEUE".into()),
        subject: None,
        content: "Hello ((name)), it is your turn".into(),
        personalisation: Personalisation::new(personalisation.as_object().unwrap().clone()),
        unsubscribe_url: None,
        unsubscribe_page_url: None,
        service: Sender {
            active: true,
            name: "Queue".into(),
            prefix_sms: true,
            email_local_part: "queue".into(),
        },
        created_at: now(),
    }
}

fn email() -> Notification {
    Notification {
        channel: Channel::Email,
        recipient: "Ada@Example.com".into(),
        normalised_recipient: "ada@example.com".into(),
        sender: Some("desk@example.com".into()),
        subject: Some("Your turn, ((name))".into()),
        content: "Hello ((name))\n\n* one\n* two".into(),
        ..text()
    }
}

/// A simulator, and the providers pointed at it.
async fn world(change: impl FnOnce(&mut Config)) -> (Simulator, Providers) {
    let options = Options { record_all: true, ..Options::default() };
    let simulator = Simulator::start(options).await.unwrap();
    let mut config = Config::default();
    config.mmg.url = simulator.mmg_url();
    config.mmg.key = "key".into();
    config.firetext.url = simulator.firetext_url();
    config.firetext.key = "key".into();
    config.smtp.url = format!("smtp://{}", simulator.smtp_addr()).as_str().into();
    config.smtp.from_domain = "notify.example".into();
    change(&mut config);
    let providers = Providers::new(&config, AtOnce { sms: 1000, email: 100 }).unwrap();
    providers.stand(weighing(51));
    (simulator, providers)
}

/// Everybody takes part; MMG has this weight, and Firetext, which stays in the country, the rest of a hundred.
fn weighing(mmg: u8) -> Vec<Standing> {
    let standing =
        |provider, weight, international| Standing { provider, active: true, weight, international };
    vec![
        standing(ProviderId::Mmg, mmg, true),
        standing(ProviderId::Firetext, 100 - mmg, false),
        standing(ProviderId::Smtp, 100, false),
    ]
}

/// With all the time in the world.
async fn send(providers: &Providers, notification: &Notification) -> Attempt {
    send_within(providers, notification, TimeDelta::hours(1)).await
}

async fn send_within(providers: &Providers, notification: &Notification, limit: TimeDelta) -> Attempt {
    let (clock, large) = (Clock::manual(now()), Large::default());
    let time = Time { begin_by: now() + TimeDelta::seconds(1), over_by: now() + limit, clock };
    delivery::send(providers, &large, message(notification.clone()), &time).await
}

fn message(notification: Notification) -> Message {
    let values = serde_json::to_string(notification.personalisation.as_map()).unwrap();
    let size = notification.content.len() + values.len();
    Message::new(notification, size)
}
