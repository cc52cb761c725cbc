//! Templates and their versions, and the history of keys, as programs without HTTP see them.

use std::{
    thread,
    time::{Duration, Instant},
};

use db::{
    api_key::{self, NewKey},
    history::{self, Kind},
    template::{self, Author, Change, Which},
};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use domain::{
    clock::Clock,
    id::{ApiKeyId, ServiceId, TemplateId},
    status::KeyType,
};
use testkit::{TestDatabase, keyring};
use uuid::Uuid;

fn content(content: &str) -> Change {
    Change { content: Some(content.into()), ..Change::default() }
}

/// Version and content of each, newest first.
fn versions(conn: &mut PgConnection, service: ServiceId, id: TemplateId) -> Vec<(i32, String)> {
    let found = template::detailed(conn, service, Which::Versions(id)).unwrap();
    let version = |detailed: template::Detailed| detailed.dated.template;
    found.into_iter().map(version).map(|template| (template.version, template.content)).collect()
}

/// For a lock; within ten seconds.
fn until_somebody_waits(conn: &mut PgConnection) {
    let waiters =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let start = Instant::now();
    while sql_query(waiters).execute(conn).unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_update_waits_for_another_one_and_builds_on_it() {
    let database = TestDatabase::new();
    let (mut first, mut second) = (database.connect(), database.connect());
    let now = Clock::System.now();
    let sample = testkit::sample(&mut first, now);
    let known = (sample.service.id, sample.sms.id);
    let waiting = first.transaction(|conn| {
        let version = template::update(conn, known, content("First"), None, now)?;
        assert_eq!(version, Some(2));
        let waiting = thread::spawn(move || {
            template::update(&mut second, known, content("Second"), None, now).unwrap()
        });
        until_somebody_waits(&mut database.connect());
        Ok::<_, diesel::result::Error>(waiting)
    });
    assert_eq!(waiting.unwrap().join().unwrap(), Some(3));
    let expected =
        [(3, "Second".into()), (2, "First".into()), (1, "Hello ((name)), your permit is ready".into())];
    assert_eq!(versions(&mut first, known.0, known.1), expected);
}

#[test]
fn versions_keep_their_names_and_authors() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let known = (sample.service.id, sample.sms.id);
    let nobody = Uuid::new_v4();
    assert!(template::author(&mut conn, nobody).unwrap().is_none());
    let author = Author { id: None, email_address: "cli@example.gov.uk".into() };
    let renamed = Change { name: Some("Renamed".into()), ..Change::default() };
    assert_eq!(template::update(&mut conn, known, renamed.clone(), Some(&author), now).unwrap(), Some(2));
    assert_eq!(
        template::update(&mut conn, known, renamed, Some(&author), now).unwrap(),
        Some(2),
        "no change"
    );
    let archived = Change { archived: Some(true), ..Change::default() };
    assert_eq!(template::update(&mut conn, known, archived, None, now).unwrap(), Some(3));
    let found = template::detailed(&mut conn, known.0, Which::Versions(known.1)).unwrap();
    let told: Vec<(&str, Option<&str>, bool)> = found
        .iter()
        .map(|version| &version.dated)
        .map(|dated| (dated.template.name.as_str(), dated.created_by.as_deref(), dated.template.archived))
        .collect();
    let cli = Some("cli@example.gov.uk");
    let first = ("Ready (sms)", Some("rosa@example.gov.uk"), false);
    assert_eq!(told, [("Renamed", cli, true), ("Renamed", cli, false), first]);
    let listed = template::detailed(&mut conn, known.0, Which::All(None)).unwrap();
    assert!(listed.iter().all(|detailed| detailed.dated.template.id != known.1));
    let elsewhere = (ServiceId(nobody), known.1);
    assert_eq!(template::update(&mut conn, elsewhere, content("x"), None, now).unwrap(), None);
}

#[test]
fn a_key_that_is_not_made_or_not_revoked_leaves_no_history() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let id = ApiKeyId::new(now);
    let new = |name| NewKey {
        id,
        service_id: sample.service.id,
        key_type: KeyType::Test,
        name,
        secret: Uuid::new_v4(),
        created_by: None,
    };
    assert!(!api_key::create(&mut conn, &keyring(), &new("normal"), now).unwrap(), "taken");
    assert!(api_key::create(&mut conn, &keyring(), &new("Mine"), now).unwrap());
    assert!(!api_key::create(&mut conn, &keyring(), &new("Other"), now).unwrap(), "the id is taken");
    assert!(api_key::revoke(&mut conn, id, None, now).unwrap());
    assert!(!api_key::revoke(&mut conn, id, None, now).unwrap(), "once");
    let history = history::of(&mut conn, Kind::ApiKey, id.0, 9).unwrap();
    assert_eq!(history.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(history[1].state["name"], "Mine");
    let key = api_key::list(&mut conn, sample.service.id).unwrap().into_iter().find(|key| key.id == id);
    assert!(key.is_some_and(|key| key.revoked_at.is_some() && key.updated_at == key.revoked_at));
}
