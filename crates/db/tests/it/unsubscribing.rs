//! Requests to unsubscribe, and the templates that offer it.

use db::{notification, sealing::Keyring, template, unsubscribe};
use diesel::{ExpressionMethods, PgConnection, QueryDsl, RunQueryDsl};
use domain::{
    clock::Clock,
    id::{NotificationId, UnsubscribeRequestId},
    status::Channel,
};
use testkit::{TestDatabase, keyring};
use uuid::Uuid;

fn ask(conn: &mut PgConnection, id: NotificationId) -> (UnsubscribeRequestId, bool) {
    let now = Clock::System.now();
    let found = notification::find(conn, id).unwrap().unwrap();
    let request = UnsubscribeRequestId::new(now);
    let stored = unsubscribe::store(conn, &keyring(), request, &found, "Rosa@example.com", now).unwrap();
    (request, stored)
}

#[test]
fn one_request_waits_for_each_notification_and_the_address_is_sealed_for_its_row() {
    use db::schema::unsubscribe_requests::dsl::*;
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let accepted = || {
        let new = testkit::notification(&sample, Channel::Email, now);
        let notification = new.id;
        db::intake::store(&mut database.connect(), &[new]).unwrap();
        notification
    };
    let (one, other) = (accepted(), accepted());
    let (request, stored) = ask(&mut conn, one);
    assert!(stored);
    assert!(!ask(&mut conn, one).1, "one waits already");
    assert!(ask(&mut conn, other).1);

    let row: (Uuid, Uuid, i32, Uuid, Vec<u8>) = unsubscribe_requests
        .find(request.0)
        .select((notification_id, template_id, template_version, service_id, address))
        .first(&mut conn)
        .unwrap();
    assert_eq!((row.0, row.1, row.2, row.3), (one.0, sample.email.id.0, 1, sample.service.id.0));
    let ring: Keyring = keyring();
    assert_eq!(ring.open(request.0, &row.4).unwrap(), b"Rosa@example.com");
    assert!(ring.open(one.0, &row.4).is_err());

    diesel::update(unsubscribe_requests)
        .set(processed_at.eq(Some(Clock::System.now())))
        .execute(&mut conn)
        .unwrap();
    assert!(ask(&mut conn, one).1, "whoever was dealt with may ask again");
    assert_eq!(unsubscribe_requests.count().get_result(&mut conn), Ok(3));
}

#[test]
fn a_link_that_comes_or_goes_makes_a_version() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let mut row = testkit::sample(&mut conn, now).email;
    for (has_unsubscribe_link, version) in [(false, 1), (true, 2), (true, 2), (false, 3)] {
        row.has_unsubscribe_link = has_unsubscribe_link;
        assert_eq!(template::put(&mut conn, &row, "rosa@example.gov.uk", now), Ok(version));
        let current = template::current(&mut conn, row.service_id, row.id).unwrap().unwrap();
        assert_eq!(current.has_unsubscribe_link, has_unsubscribe_link);
    }
    let second = template::dated(&mut conn, row.service_id, template::Which::Version(row.id, 2)).unwrap();
    assert!(second[0].template.has_unsubscribe_link, "versions do not change");
}
