//! What services and authentication read.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use db::notification::Filter;
use domain::{
    clock::Clock,
    status::{Channel, KeyType, Status},
};
use testkit::{TestDatabase, keyring};

#[test]
fn lists_are_newest_first_and_of_one_key_type_and_filtered() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let sample = testkit::sample(&mut conn, clock.now());
    let mut ids = Vec::new();
    for n in 0..6 {
        clock.advance(TimeDelta::milliseconds(5));
        let channel = if n % 2 == 0 { Channel::Sms } else { Channel::Email };
        let mut new = testkit::notification(&sample, channel, clock.now());
        new.client_reference = (n == 3).then(|| "order-3".into());
        new.key_type = if n == 5 { KeyType::Team } else { KeyType::Normal };
        ids.push(new.id);
        db::intake::store(&mut conn, &[new]).unwrap();
    }
    let service = sample.service.id;
    let mut list = |filter: Filter| {
        let rows = db::notification::list(&mut conn, service, KeyType::Normal, &filter, 250).unwrap();
        rows.iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list(Filter::default()), [4, 3, 2, 1, 0]);
    assert_eq!(list(Filter { channels: vec![Channel::Email], ..Filter::default() }), [3, 1]);
    assert_eq!(list(Filter { client_reference: Some("order-3".into()), ..Filter::default() }), [3]);
    assert_eq!(list(Filter { older_than: Some(ids[2]), ..Filter::default() }), [1, 0]);
    assert_eq!(list(Filter { statuses: vec![Status::Delivered], ..Filter::default() }), [0; 0]);
    let stranger =
        Filter { older_than: Some(domain::id::NotificationId::new(clock.now())), ..Filter::default() };
    assert_eq!(list(stranger), [0; 0], "an unknown cursor gives an empty list");
}

/// "Midnight of the revocation day is later than now − 7 days."
#[test]
fn revoked_keys_stay_visible_for_a_week() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let at = |day, hour| -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2026, 3, day).unwrap().and_hms_opt(hour, 0, 0).unwrap().and_utc()
    };
    let sample = testkit::sample(&mut conn, at(1, 0));
    let (service, revoked) = (sample.service.id, sample.keys[1].0);
    assert!(db::api_key::revoke(&mut conn, sample.keys[1].0, None, at(10, 15)).unwrap());
    assert!(!db::api_key::revoke(&mut conn, sample.keys[1].0, None, at(10, 16)).unwrap(), "once");
    let mut visible = |now| {
        let keys = db::api_key::visible(&mut conn, &keyring(), service, now).unwrap();
        keys.iter().any(|key| key.id == revoked && key.revoked)
    };
    assert!(visible(at(16, 23)));
    assert!(!visible(at(17, 0)));
}

#[test]
fn a_key_opens_with_its_secret_and_a_template_at_its_version() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let mut sample = testkit::sample(&mut conn, now);
    let keys = db::api_key::visible(&mut conn, &keyring(), sample.service.id, now).unwrap();
    let key = keys.iter().find(|key| key.id == sample.keys[0].0).unwrap();
    assert_eq!(key.secret.as_deref(), Some(sample.keys[0].2.to_string().as_bytes()));
    sample.sms.content = "Changed".into();
    assert_eq!(db::template::put(&mut conn, &sample.sms, "rosa@example.gov.uk", now).unwrap(), 2);
    assert_eq!(
        db::template::put(&mut conn, &sample.sms, "rosa@example.gov.uk", now).unwrap(),
        2,
        "no change"
    );
    let current = db::template::current(&mut conn, sample.service.id, sample.sms.id).unwrap().unwrap();
    assert_eq!((current.version, current.content.as_str()), (2, "Changed"));
    let texts = db::template::texts(&mut conn, &[(sample.sms.id, 1)]).unwrap();
    assert_eq!(texts[&(sample.sms.id, 1)].1, "Hello ((name)), your permit is ready");
}

#[test]
fn one_replica_holds_the_schedulers_lock() {
    let database = TestDatabase::new();
    let key = db::advisory_lock::SCHEDULER;
    let mut held = db::advisory_lock::try_hold(&database.config(), key).unwrap().unwrap();
    assert!(db::advisory_lock::try_hold(&database.config(), key).unwrap().is_none());
    assert!(held.check(key).unwrap());
    drop(held);
    let again = db::advisory_lock::try_hold(&database.config(), key).unwrap();
    assert!(again.is_some(), "its connection ended, and so did the lock");
}
