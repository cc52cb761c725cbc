//! Numbered pages of the API of 2016.

use chrono::{NaiveTime, TimeDelta};
use db::notification::page::{Narrowing, Which, page};
use domain::{
    clock::Clock,
    status::{Channel, KeyType, Status},
};
use testkit::TestDatabase;

#[test]
fn pages_are_newest_first_and_of_one_key_type_and_narrowed_and_counted() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let noon = Clock::System.now().date_naive().and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(12);
    let sample = testkit::sample(&mut conn, noon);
    let stranger = testkit::sample(&mut conn, noon);
    let mut ids = Vec::new();
    for n in 0..8 {
        let channel = if n % 2 == 0 { Channel::Sms } else { Channel::Email };
        let mut new = testkit::notification(&sample, channel, noon - TimeDelta::days(7 - n));
        new.key_type = if n == 7 { KeyType::Team } else { KeyType::Normal };
        ids.push(new.id);
        db::intake::store(&mut conn, &[new]).unwrap();
    }
    db::intake::store(&mut conn, &[testkit::notification(&stranger, Channel::Sms, noon)]).unwrap();
    let service = sample.service.id;
    let mut asked = |narrowing: &Narrowing, number, size| {
        let page = page(&mut conn, service, KeyType::Normal, narrowing, Which { number, size }).unwrap();
        let positions = page.notifications.iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap());
        (positions.collect::<Vec<_>>(), page.total)
    };
    let all = Narrowing::default();
    assert_eq!(asked(&all, 1, 50), (vec![6, 5, 4, 3, 2, 1, 0], 7));
    assert_eq!(asked(&all, 1, 3), (vec![6, 5, 4], 7));
    assert_eq!(asked(&all, 3, 3), (vec![0], 7));
    assert_eq!(asked(&all, 7, 1), (vec![0], 7), "a full page, and the last");
    assert_eq!(asked(&all, 4, 3), (vec![], 0), "beyond the end");
    assert_eq!(asked(&all, i64::MAX, i64::MAX), (vec![], 0));
    let emails = Narrowing { channels: vec![Channel::Email], ..Narrowing::default() };
    assert_eq!(asked(&emails, 1, 2), (vec![5, 3], 3));
    let delivered = Narrowing { statuses: vec![Status::Delivered], ..Narrowing::default() };
    assert_eq!(asked(&delivered, 1, 2), (vec![], 0));
    let lately = Narrowing { since: Some(noon - TimeDelta::days(3)), jobs: true, ..Narrowing::default() };
    assert_eq!(asked(&lately, 1, 2), (vec![6, 5], 3), "from that moment on");
}

#[test]
fn a_version_has_the_name_that_its_template_has_now() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let (sms, email) = (sample.sms.id, sample.email.id);
    let renamed =
        db::template::Template { name: "Renamed".into(), content: "Changed".into(), ..sample.email };
    db::template::put(&mut conn, &renamed, "rosa@example.gov.uk", now).unwrap();
    let named = db::template::named(&mut conn, &[(sms, 1), (email, 1), (email, 3)]).unwrap();
    assert_eq!(named.len(), 2);
    assert_eq!((&*named[&(sms, 1)].name, &named[&(sms, 1)].subject), ("Ready (sms)", &None));
    let first = &named[&(email, 1)];
    assert_eq!((&*first.name, first.subject.as_deref()), ("Renamed", Some("Permit for ((name))")));
    assert!(first.content.starts_with("# Hello"));
}
