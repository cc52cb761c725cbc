//! Texts that people sent are forgotten in time.

use chrono::TimeDelta;
use domain::{id::InboundNumberId, received_text::IncomingText, status::ProviderId};
use scheduler::{SchedulerConfig, retain};
use std::time::Duration;

use crate::{Stage, standing_clock};

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_forgotten_after_seven_days() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let (mut conn, now) = (stage.database.connect(), clock.now());
    let service = testkit::sample(&mut conn, now).service.id;
    let number = "07700900861";
    db::inbound_number::add(&mut conn, InboundNumberId::new(now), number, ProviderId::Mmg, now)
        .unwrap();
    db::inbound_number::assign(&mut conn, number, service, now).unwrap();
    let text = IncomingText {
        provider: ProviderId::Mmg,
        notify_number: number.into(),
        user_number: "447700900123".into(),
        content: "Hello".into(),
        provider_reference: None,
        provider_date: None,
        identity: None,
    };
    // More than are deleted at once.
    for n in 0..450 {
        let at = now + TimeDelta::minutes(n);
        db::received_text::store(&mut conn, &testkit::keyring(), &text, at).unwrap();
    }
    let mut left =
        || db::received_text::list(&mut conn, &testkit::keyring(), service, None, 1000).unwrap().len();
    clock.advance(TimeDelta::days(7));
    retain::run(&stage.scheduler).await.unwrap();
    assert_eq!(left(), 450, "on the seventh day they are still there");
    clock.advance(TimeDelta::minutes(420));
    retain::run(&stage.scheduler).await.unwrap();
    assert_eq!(left(), 30);
    let mut for_ever = stage.scheduler.clone();
    for_ever.config.received_texts_kept_for = Duration::MAX;
    clock.advance(TimeDelta::days(70));
    retain::run(&for_ever).await.unwrap();
    assert_eq!(left(), 30);
    stage.end().await;
}
