//! What services set for themselves: under concurrency, over migrations, and as others of the house read it.

use chrono::{DateTime, Utc};
use db::{
    guest_list::{self, Guest},
    inbound_number, received_text,
    retention::{self, Kept},
    sender::{self, Kind, NewSender, Refusal},
};
use domain::{
    clock::Clock,
    id::{InboundNumberId, ServiceId},
    received_text::IncomingText,
    status::{Channel, ProviderId},
};
use testkit::{TestDatabase, keyring};
use uuid::Uuid;

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

fn guest(recipient: &str, normalised: &str) -> Guest {
    Guest { channel: Channel::Sms, recipient: recipient.into(), normalised: normalised.into() }
}

fn new(text: &str, is_default: bool) -> NewSender {
    NewSender { id: Uuid::new_v4(), text: text.into(), is_default }
}

#[test]
fn one_default_is_left_however_many_are_made_default_at_once() {
    let database = TestDatabase::new();
    let service = testkit::sample(&mut database.connect(), now()).service.id;
    for kind in [Kind::Sms, Kind::ReplyTo] {
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (new, database) = (new(&format!("sender {n}"), true), &database);
                scope.spawn(move || {
                    sender::add(&mut database.connect(), kind, service, &new, now()).unwrap().unwrap()
                });
            }
        });
        let senders = sender::list(&mut database.connect(), kind, service).unwrap();
        assert_eq!(senders.len(), 9);
        assert_eq!(senders.iter().filter(|sender| sender.is_default).count(), 1, "{kind:?}");
        assert!(senders[0].is_default);
    }
}

#[test]
fn a_service_with_senders_keeps_a_default() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = testkit::sample(&mut conn, now()).service;
    let own = service.sms_senders[0].id.0;
    let unset = NewSender { id: own, text: "PILLARBOX".into(), is_default: false };
    assert_eq!(
        sender::update(&mut conn, Kind::Sms, service.id, &unset, now()).unwrap().unwrap_err(),
        Refusal::NoDefault
    );
    assert_eq!(
        sender::archive(&mut conn, Kind::Sms, service.id, own, now()).unwrap().unwrap_err(),
        Refusal::DefaultArchived
    );
    let stranger = ServiceId(Uuid::new_v4());
    let unknown = sender::add(&mut conn, Kind::Sms, stranger, &new("x", true), now()).unwrap();
    assert_eq!(unknown.unwrap_err(), Refusal::Unknown);
}

#[test]
fn a_service_that_is_put_again_has_its_senders_back() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = testkit::sample(&mut conn, now()).service;
    inbound_number::add(&mut conn, InboundNumberId::new(now()), "07860000001", ProviderId::Mmg, now())
        .unwrap();
    inbound_number::allocate(&mut conn, service.id, None, true, now()).unwrap().unwrap();
    let senders = |conn: &mut _| {
        let senders = sender::list(conn, Kind::Sms, service.id).unwrap().into_iter();
        senders.map(|s| (s.text, s.is_default, s.inbound_number_id.is_some())).collect::<Vec<_>>()
    };
    let own = ("PILLARBOX".to_owned(), true, false);
    db::service::put(&mut conn, &service, now()).unwrap();
    assert_eq!(senders(&mut conn), std::slice::from_ref(&own), "its sender had become a number");
    inbound_number::allocate(&mut conn, service.id, None, true, now()).unwrap().unwrap();
    inbound_number::give_up(&mut conn, service.id, false, "Platform", now()).unwrap();
    db::service::put(&mut conn, &service, now()).unwrap();
    assert_eq!(senders(&mut conn), [own, ("Platform".to_owned(), false, false)], "and was archived");
}

#[test]
fn two_services_never_get_one_number() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let services: Vec<ServiceId> = (0..6).map(|_| testkit::sample(&mut conn, now()).service.id).collect();
    for n in 0..4 {
        let number = format!("0786000000{n}");
        inbound_number::add(&mut conn, InboundNumberId::new(now()), &number, ProviderId::Mmg, now()).unwrap();
    }
    let given: Vec<bool> = std::thread::scope(|scope| {
        let give = |service| {
            let database = &database;
            scope.spawn(move || {
                inbound_number::allocate(&mut database.connect(), service, None, true, now()).unwrap().is_ok()
            })
        };
        let all: Vec<_> = services.iter().map(|service| give(*service)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(given.iter().filter(|given| **given).count(), 4);
    let numbers = inbound_number::list(&mut conn).unwrap();
    let mut owners: Vec<ServiceId> =
        numbers.iter().map(|number| number.service.as_ref().unwrap().0).collect();
    owners.sort_unstable();
    owners.dedup();
    assert_eq!(owners.len(), 4, "{numbers:?}");
}

#[test]
fn guests_are_kept_as_given_and_found_as_normalised() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = testkit::sample(&mut conn, now()).service.id;
    let guests = [guest("07700 900456", "447700900456"), guest("+447700900456", "447700900456")];
    assert!(guest_list::replace(&mut conn, service, &guests).unwrap());
    assert_eq!(guest_list::list(&mut conn, service).unwrap(), guests);
    let known = db::service::find(&mut conn, service).unwrap().unwrap().guest_list;
    assert_eq!(known, vec![(Channel::Sms, "447700900456".to_owned()); 2]);
    assert_eq!(format!("{:?}", guests[0]), "Guest { channel: Sms, .. }");
    assert!(!guest_list::replace(&mut conn, ServiceId(Uuid::new_v4()), &guests).unwrap());
}

#[test]
fn texts_are_kept_as_each_service_says() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let [silent, long, without_texts] = [(); 3].map(|()| testkit::sample(&mut conn, now()).service.id);
    for (service, number) in [(silent, "07860000001"), (long, "07860000002")] {
        inbound_number::add(&mut conn, InboundNumberId::new(now()), number, ProviderId::Mmg, now()).unwrap();
        inbound_number::assign(&mut conn, number, service, now()).unwrap();
        let text = IncomingText {
            provider: ProviderId::Mmg,
            notify_number: number.into(),
            user_number: "447700900123".into(),
            content: "Hello".into(),
            provider_reference: None,
            provider_date: None,
            identity: None,
        };
        received_text::store(&mut conn, &keyring(), &text, now()).unwrap();
    }
    for (service, kept, days) in
        [(long, Kept::Sms, 30), (long, Kept::Email, 3), (without_texts, Kept::Sms, 4)]
    {
        retention::create(&mut conn, service, (kept, days), (Uuid::new_v4(), now())).unwrap().unwrap();
    }
    let mut kept = received_text::kept(&mut conn, ServiceId(Uuid::nil()), 10).unwrap();
    let mut expected = [(silent, None), (long, Some(30))];
    kept.sort_unstable();
    expected.sort_unstable();
    assert_eq!(kept, expected);
    assert_eq!(retention::days_of_texts(&mut conn, long).unwrap(), 30);
    assert_eq!(retention::days_of_texts(&mut conn, silent).unwrap(), 7);
}

#[test]
fn the_migration_can_be_taken_back_with_rows_in_its_tables() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let service = testkit::sample(&mut conn, now()).service.id;
    let guests = [guest("07700 900456", "447700900456"), guest("+447700900456", "447700900456")];
    guest_list::replace(&mut conn, service, &guests).unwrap();
    inbound_number::add(&mut conn, InboundNumberId::new(now()), "07860000001", ProviderId::Mmg, now())
        .unwrap();
    inbound_number::allocate(&mut conn, service, None, true, now()).unwrap().unwrap();
    inbound_number::switch_off(&mut conn, service, now()).unwrap();
    retention::create(&mut conn, service, (Kept::Letter, 3), (Uuid::new_v4(), now())).unwrap().unwrap();
    db::migrations::revert_all(&mut conn).unwrap();
    db::migrations::migrate(&mut conn).unwrap();
}
