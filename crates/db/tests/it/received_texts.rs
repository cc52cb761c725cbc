//! Texts that people send: for whom they are stored, that they are stored once, how they are read and forgotten.

use chrono::{DateTime, TimeDelta, Utc};
use db::{
    inbound_number,
    received_text::{self, Reception},
    service::Permission,
};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use domain::{
    clock::Clock,
    id::{InboundNumberId, ReceivedTextId, ServiceId},
    received_text::IncomingText,
    status::ProviderId,
};
use testkit::{TestDatabase, keyring};

const NUMBER: &str = "07700900861";

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

/// A service with a number.
fn service_with_number(conn: &mut PgConnection, number: &str) -> ServiceId {
    let service = testkit::sample(conn, now()).service.id;
    assert!(inbound_number::add(conn, InboundNumberId::new(now()), number, ProviderId::Mmg, now()).unwrap());
    assert!(inbound_number::assign(conn, number, service, now()).unwrap());
    service
}

fn text(content: &str, identity: &[&str]) -> IncomingText {
    IncomingText {
        provider: ProviderId::Mmg,
        notify_number: NUMBER.into(),
        user_number: "447700900123".into(),
        content: content.into(),
        provider_reference: identity.first().map(ToString::to_string),
        provider_date: None,
        identity: (!identity.is_empty()).then(|| identity.iter().map(ToString::to_string).collect()),
    }
}

fn store(conn: &mut PgConnection, text: &IncomingText) -> Reception {
    received_text::store(conn, &keyring(), text, now()).unwrap()
}

fn contents(conn: &mut PgConnection, service: ServiceId) -> Vec<String> {
    let texts = received_text::list(conn, &keyring(), service, None, 250).unwrap();
    texts.into_iter().map(|text| text.content.unwrap()).collect()
}

#[test]
fn a_text_is_stored_for_the_service_that_has_the_number() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let stranger = service_with_number(&mut conn, "07700900862");
    assert_eq!(store(&mut conn, &text("STOP please", &["a"])), Reception::Stored);
    let texts = received_text::list(&mut conn, &keyring(), service, None, 250).unwrap();
    assert_eq!(texts.len(), 1);
    assert_eq!((texts[0].notify_number.as_str(), texts[0].user_number.as_str()), (NUMBER, "447700900123"));
    assert_eq!(texts[0].content.as_deref(), Some("STOP please"));
    assert_eq!(format!("{:?}", texts[0]), format!("ReceivedText {{ id: {}, .. }}", texts[0].id));
    assert_eq!(contents(&mut conn, stranger), [""; 0]);
}

#[test]
fn nobodys_texts_are_not_kept() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    assert_eq!(store(&mut conn, &text("x", &["a"])), Reception::Unwanted, "unknown");
    let service = service_with_number(&mut conn, NUMBER);
    database.execute("DELETE FROM service_permissions WHERE permission = 'inbound_sms'");
    assert_eq!(store(&mut conn, &text("x", &["a"])), Reception::Unwanted, "not permitted");
    database.execute(&format!("INSERT INTO service_permissions VALUES ('{service}', 'inbound_sms')"));
    database.execute("UPDATE inbound_numbers SET service_id = NULL");
    assert_eq!(store(&mut conn, &text("x", &["a"])), Reception::Unwanted, "free");
    database.execute("UPDATE inbound_numbers SET active = false");
    assert_eq!(store(&mut conn, &text("x", &["a"])), Reception::Unwanted, "archived");
    assert!(!inbound_number::assign(&mut conn, NUMBER, service, now()).unwrap(), "archived for good");
    assert_eq!(contents(&mut conn, service), [""; 0]);
}

#[test]
fn the_same_text_is_stored_once() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let first = text("one", &["a"]);
    assert_eq!(store(&mut conn, &first), Reception::Stored);
    assert_eq!(store(&mut conn, &first), Reception::Repeated);
    assert_eq!(store(&mut conn, &text("two", &["b"])), Reception::Stored);
    let of_another = IncomingText { provider: ProviderId::Firetext, ..first };
    assert_eq!(store(&mut conn, &of_another), Reception::Stored, "another provider's reference");
    for _ in 0..2 {
        assert_eq!(store(&mut conn, &text("no words", &[])), Reception::Stored, "nothing tells them apart");
    }
    assert_eq!(contents(&mut conn, service), ["no words", "no words", "one", "two", "one"]);
}

#[test]
fn the_same_text_at_the_same_time_is_stored_once() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let receptions: Vec<Reception> = std::thread::scope(|scope| {
        let posts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| store(&mut database.connect(), &text("one", &["a"])))).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert_eq!(receptions.iter().filter(|reception| **reception == Reception::Stored).count(), 1);
    assert_eq!(contents(&mut conn, service), ["one"]);
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    row: String,
}

#[test]
fn the_content_is_in_no_column_and_opens_only_in_its_row() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    store(&mut conn, &text("first secret", &["447700900123", "x", "first secret"]));
    store(&mut conn, &text("second secret", &["b"]));
    let rows: Vec<Row> =
        sql_query("SELECT r::text || encode(content, 'escape') || encode(fingerprint, 'escape') AS row FROM received_texts r")
            .load(&mut conn)
            .unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| !row.row.contains("secret")));
    database.execute(
        "UPDATE received_texts SET content = (SELECT content FROM received_texts ORDER BY id LIMIT 1)",
    );
    let texts = received_text::list(&mut conn, &keyring(), service, None, 250).unwrap();
    let opened: Vec<_> = texts.iter().map(|text| text.content.as_deref()).collect();
    assert_eq!(opened, [None, Some("first secret")]);
}

#[test]
fn pages_end_where_the_next_begins() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let stranger = service_with_number(&mut conn, "07700900862");
    for n in 0..5 {
        store(&mut conn, &text(&n.to_string(), &[&n.to_string()]));
    }
    let mut page = |older_than: Option<ReceivedTextId>, of: ServiceId| {
        let texts = received_text::list(&mut conn, &keyring(), of, older_than, 2).unwrap();
        let contents: Vec<String> = texts.iter().map(|text| text.content.clone().unwrap()).collect();
        (contents, texts.last().map(|text| text.id))
    };
    let (first, cursor) = page(None, service);
    assert_eq!(first, ["4", "3"]);
    let (second, next) = page(cursor, service);
    assert_eq!(second, ["2", "1"]);
    let (third, last) = page(next, service);
    assert_eq!(third, ["0"]);
    assert_eq!(page(last, service).0, [""; 0]);
    assert_eq!(page(cursor, stranger).0, [""; 0], "another's cursor");
    assert_eq!(page(Some(ReceivedTextId::new(now())), service).0, [""; 0], "an unknown cursor");
}

#[test]
fn old_texts_are_forgotten_by_pages() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let now = now();
    for days in [9, 8, 7, 6] {
        let at = now - TimeDelta::days(days);
        received_text::store(&mut conn, &keyring(), &text(&days.to_string(), &[]), at).unwrap();
    }
    let before = now - TimeDelta::days(7) + TimeDelta::seconds(1);
    assert_eq!(received_text::forget(&mut conn, service, before, 2).unwrap(), 2);
    assert_eq!(contents(&mut conn, service), ["6", "7"], "the oldest go first");
    assert_eq!(received_text::forget(&mut conn, service, before, 2).unwrap(), 1);
    assert_eq!(received_text::forget(&mut conn, service, before, 2).unwrap(), 0);
    assert_eq!(contents(&mut conn, service), ["6"]);
}

#[test]
fn a_number_is_one_services_and_a_service_has_one() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = service_with_number(&mut conn, NUMBER);
    let id = InboundNumberId::new(now());
    assert!(!inbound_number::add(&mut conn, id, NUMBER, ProviderId::Mmg, now()).unwrap(), "twice");
    assert!(inbound_number::add(&mut conn, id, "60060", ProviderId::Firetext, now()).unwrap());
    assert!(inbound_number::assign(&mut conn, NUMBER, service, now()).unwrap(), "again does no harm");
    assert!(!inbound_number::assign(&mut conn, "60060", service, now()).unwrap(), "a second number");
    let other = testkit::sample(&mut conn, now()).service.id;
    assert!(!inbound_number::assign(&mut conn, NUMBER, other, now()).unwrap(), "taken");
    assert!(!inbound_number::assign(&mut conn, "60061", other, now()).unwrap(), "unknown");
    let numbers = inbound_number::list(&mut conn).unwrap();
    let shown: Vec<_> =
        numbers.iter().map(|n| (n.number.as_str(), n.provider, n.service.as_ref().map(|s| s.0))).collect();
    assert_eq!(shown, [(NUMBER, ProviderId::Mmg, Some(service)), ("60060", ProviderId::Firetext, None)]);
    let permissions = db::service::find(&mut conn, service).unwrap().unwrap().permissions;
    assert!(permissions.contains(&Permission::InboundSms));
    let others = db::service::find(&mut conn, other).unwrap().unwrap().permissions;
    assert!(!others.contains(&Permission::InboundSms), "a number that is not given comes without permission");
}

#[test]
fn the_migration_can_be_taken_back_with_rows_in_its_tables() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    service_with_number(&mut conn, NUMBER);
    store(&mut conn, &text("x", &["a"]));
    db::migrations::revert_all(&mut conn).unwrap();
    db::migrations::migrate(&mut conn).unwrap();
    assert_eq!(inbound_number::list(&mut conn).unwrap(), []);
}
