//! Texts that people sent are forgotten in time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::{
    inbound_number, received_text,
    retention::{self, Kept},
};
use domain::{
    id::{InboundNumberId, ServiceId},
    london,
    received_text::IncomingText,
    status::ProviderId,
};
use scheduler::{SchedulerConfig, retain};

use crate::{Stage, standing_clock, turn};

const NUMBER: &str = "07700900861";

/// A service with a number that people can text.
fn service_with_number(stage: &Stage, now: DateTime<Utc>, number: &str) -> ServiceId {
    let mut conn = stage.database.connect();
    let service = testkit::sample(&mut conn, now).service.id;
    inbound_number::add(&mut conn, InboundNumberId::new(now), number, ProviderId::Mmg, now).unwrap();
    inbound_number::assign(&mut conn, number, service, now).unwrap();
    service
}

fn receive(stage: &Stage, number: &str, at: DateTime<Utc>) {
    let text = IncomingText {
        provider: ProviderId::Mmg,
        notify_number: number.into(),
        user_number: "447700900123".into(),
        content: "Hello".into(),
        provider_reference: None,
        provider_date: None,
        identity: None,
    };
    received_text::store(&mut stage.database.connect(), &testkit::keyring(), &text, at).unwrap();
}

fn left(stage: &Stage, service: ServiceId) -> usize {
    received_text::list(&mut stage.database.connect(), &testkit::keyring(), service, None, 1000)
        .unwrap()
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_forgotten_when_seven_days_have_ended_in_london() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let now = clock.now();
    let service = service_with_number(&stage, now, NUMBER);
    let tomorrow = london::midnight(london::day(now).succ_opt().unwrap());
    // More than are deleted at once.
    for n in 0..450 {
        receive(&stage, NUMBER, tomorrow - TimeDelta::seconds(n + 1));
    }
    receive(&stage, NUMBER, tomorrow);
    clock.advance(tomorrow - now + TimeDelta::days(7) - TimeDelta::seconds(1));
    turn(async || retain::run(&stage.scheduler).await).await;
    assert_eq!(left(&stage, service), 451, "on the seventh day they are still there");
    clock.advance(TimeDelta::seconds(1));
    turn(async || retain::run(&stage.scheduler).await).await;
    assert_eq!(left(&stage, service), 1);
    let mut for_ever = stage.scheduler.clone();
    for_ever.config.received_texts_kept_for = Duration::MAX;
    clock.advance(TimeDelta::days(70));
    turn(async || retain::run(&for_ever).await).await;
    assert_eq!(left(&stage, service), 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_its_texts_kept_for_as_long_as_it_says() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let (mut conn, now) = (stage.database.connect(), clock.now());
    let services =
        [("07700900861", None), ("07700900862", Some(3)), ("07700900863", Some(30))].map(|(number, days)| {
            let service = service_with_number(&stage, now, number);
            receive(&stage, number, now);
            if let Some(days) = days {
                retention::create(&mut conn, service, (Kept::Sms, days), (InboundNumberId::new(now).0, now))
                    .unwrap()
                    .unwrap();
            }
            service
        });
    for (days, expected) in [(3, [1, 1, 1]), (1, [1, 0, 1]), (4, [0, 0, 1]), (22, [0, 0, 1]), (1, [0, 0, 0])]
    {
        clock.advance(TimeDelta::days(days));
        turn(async || retain::run(&stage.scheduler).await).await;
        assert_eq!(services.map(|service| left(&stage, service)), expected);
    }
    stage.end().await;
}
