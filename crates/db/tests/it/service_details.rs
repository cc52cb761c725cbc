//! Services without HTTP, as an operator's tools make them.

use db::service_details::{self, Details, NewService, Refused};
use domain::{clock::Clock, id::ServiceId};
use testkit::TestDatabase;
use uuid::Uuid;

fn named(name: &str) -> NewService<'static> {
    let details = Details::new(name.into(), Clock::System.now());
    NewService { details, user: None, sms_sender: "PILLARBOX" }
}

#[test]
fn an_operator_makes_a_service_that_has_no_members() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let made = service_details::create(&mut conn, named("Queue"), None, now).unwrap().unwrap();
    let service = db::service::find(&mut conn, made.id).unwrap().unwrap();
    assert_eq!((service.name.as_str(), service.email_local_part.as_str()), ("Queue", "queue"));
    assert!(service.active && service.restricted && service.team.is_empty());
    assert_eq!(service.limits.sms, 50);
    assert!(service.sms_senders[0].is_default && service.sms_senders[0].sender == "PILLARBOX");
    let history = db::history::of(&mut conn, db::history::Kind::Service, made.id.0, 10).unwrap();
    assert_eq!((history.len(), history[0].changed_by, &history[0].state["name"]), (1, None, &"Queue".into()));
}

#[test]
fn names_of_services_that_were_stored_otherwise_are_taken_too() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let taken = service_details::create(&mut conn, named("PARKING  permits."), None, now).unwrap();
    assert_eq!(taken.unwrap_err(), Refused::NameTaken("PARKING  permits.".into()));
    service_details::archive(&mut conn, sample.service.id, None, now).unwrap().unwrap();
    service_details::create(&mut conn, named("PARKING  permits."), None, now).unwrap().unwrap();
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let stranger = NewService { user: Some(Uuid::new_v4()), ..named("Queue") };
    let refused = service_details::create(&mut conn, stranger, None, now).unwrap();
    assert_eq!(refused.unwrap_err(), Refused::Unknown);
    let id = service_details::create(&mut conn, named("Queue"), None, now).unwrap().unwrap().id;
    let refused = service_details::update(
        &mut conn,
        id,
        |details| {
            details.settings.restricted = false;
            details.facts.go_live_user = Some(Uuid::new_v4());
            Ok::<(), Refused>(())
        },
        None,
        now,
    );
    assert_eq!(refused.unwrap().unwrap_err(), Refused::Unknown);
    let nowhere = ServiceId(Uuid::new_v4());
    assert_eq!(service_details::archive(&mut conn, nowhere, None, now).unwrap(), Err(Refused::Unknown));
    assert!(service_details::find(&mut conn, id).unwrap().unwrap().settings.restricted);
    assert_eq!(db::history::version(&mut conn, db::history::Kind::Service, id.0).unwrap(), 1);
}
