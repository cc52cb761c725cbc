//! The log: what is shown, in which order, from whichever source.

use chrono::{DateTime, TimeDelta, Utc};
use db::{
    log::{Filter, MOST_READ, Page, Search, page},
    notification::page::Which,
};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use domain::{
    clock::Clock,
    id::{NotificationId, ServiceId},
    status::{Channel, KeyType, Status},
};
use testkit::{Sample, TestDatabase};
use uuid::Uuid;

fn all() -> Filter {
    Filter {
        channels: Vec::new(),
        statuses: Vec::new(),
        since: None,
        older_than: None,
        jobs: true,
        test_keys: false,
        one_off: true,
        search: None,
        most_read: MOST_READ,
    }
}

const FIRST: Which = Which { number: 1, size: 50 };

/// A service with ten notifications, the first an hour old, each five minutes younger than the one before.
struct Stage {
    database: TestDatabase,
    sample: Sample,
    ids: Vec<NotificationId>,
    start: DateTime<Utc>,
}

impl Stage {
    fn new() -> Self {
        let database = TestDatabase::new();
        let mut conn = database.connect();
        let start = Clock::System.now() - TimeDelta::hours(1);
        let (sample, stranger) = (testkit::sample(&mut conn, start), testkit::sample(&mut conn, start));
        let mut ids = Vec::new();
        for n in 0..10 {
            let at = start + TimeDelta::minutes(n * 5);
            let channel = if n % 2 == 0 { Channel::Sms } else { Channel::Email };
            let mut new = testkit::notification(&sample, channel, at);
            match n {
                3 => new.key_type = KeyType::Test,
                4 => new.key_type = KeyType::Team,
                5 => (new.api_key_id, new.created_by) = (None, Some(Uuid::from_u128(5))),
                6 => new.api_key_id = None,
                7 => new.client_reference = Some("Order 100%".into()),
                _ => {}
            }
            ids.push(new.id);
            let strangers = testkit::notification(&stranger, channel, at);
            db::intake::store(&mut conn, &[new, strangers]).unwrap();
        }
        Self { database, sample, ids, start }
    }

    fn connect(&self) -> PgConnection {
        self.database.connect()
    }

    fn service(&self) -> ServiceId {
        self.sample.service.id
    }

    /// The positions of what is shown.
    fn shown(&self, filter: &Filter, which: Which) -> (Vec<usize>, Page) {
        let page = page(&mut self.connect(), self.service(), filter, which).unwrap();
        let position = |id| self.ids.iter().position(|known| *known == id).unwrap();
        (page.notifications.iter().map(|n| position(n.id)).collect(), page)
    }

    fn set_status(&self, n: usize, status: &str) {
        let sql = format!(
            "UPDATE notifications SET status = '{status}', updated_at = now(), sent_by = 'mmg',
               international = '{status}' = 'sent' WHERE id = '{}'",
            self.ids[n]
        );
        sql_query(sql).execute(&mut self.connect()).unwrap();
        let sql = format!("DELETE FROM due WHERE subject_id = '{}'", self.ids[n]);
        sql_query(sql).execute(&mut self.connect()).unwrap();
    }
}

#[test]
fn everything_of_the_service_is_shown_but_what_test_keys_sent() {
    let stage = Stage::new();
    assert_eq!(stage.shown(&all(), FIRST).0, [9, 8, 7, 6, 5, 4, 2, 1, 0]);
    let with_test = Filter { test_keys: true, ..all() };
    assert_eq!(stage.shown(&with_test, FIRST).0, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn without_jobs_only_what_any_api_key_made_is_shown() {
    let stage = Stage::new();
    let keys = Filter { jobs: false, ..all() };
    assert_eq!(stage.shown(&keys, FIRST).0, [9, 8, 7, 4, 2, 1, 0]);
    let with_test = Filter { test_keys: true, ..keys };
    assert_eq!(stage.shown(&with_test, FIRST).0, [9, 8, 7, 4, 3, 2, 1, 0]);
    let not_people = Filter { one_off: false, ..all() };
    assert_eq!(stage.shown(&not_people, FIRST).0, [9, 8, 7, 6, 4, 2, 1, 0]);
}

#[test]
fn it_is_narrowed_by_channel_time_and_cursor() {
    let stage = Stage::new();
    let emails = Filter { channels: vec![Channel::Email], ..all() };
    assert_eq!(stage.shown(&emails, FIRST).0, [9, 7, 5, 1]);
    let lately = Filter { since: Some(stage.start + TimeDelta::minutes(35)), ..all() };
    assert_eq!(stage.shown(&lately, FIRST).0, [9, 8, 7]);
    let older = Filter { older_than: Some(stage.ids[2]), ..all() };
    assert_eq!(stage.shown(&older, FIRST).0, [1, 0]);
}

#[test]
fn pages_know_whether_there_is_another() {
    let stage = Stage::new();
    let mut seen = Vec::new();
    for (number, has_next) in [(1, true), (2, true), (3, false)] {
        let (shown, page) = stage.shown(&all(), Which { number, size: 4 });
        assert_eq!(page.has_next, has_next, "page {number}");
        assert_eq!(page.looked_back_to, None);
        seen.extend(shown);
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 2, 1, 0]);
    assert!(stage.shown(&all(), Which { number: 4, size: 4 }).0.is_empty());
    assert!(!stage.shown(&all(), Which { number: 1, size: 9 }).1.has_next, "a full page, and the last");
    assert!(stage.shown(&all(), Which { number: i64::MAX, size: i64::MAX }).0.is_empty());
}

#[test]
fn every_status_is_found_in_its_source_and_all_of_them_together() {
    let stage = Stage::new();
    // Texts are even; 3 was sent by a test key.
    for (n, status) in [
        (0, "pending"),
        (1, "permanent-failure"),
        (2, "sent"),
        (4, "technical-failure"),
        (5, "temporary-failure"),
        (7, "delivered"),
        (8, "sending"),
    ] {
        stage.set_status(n, status);
    }
    let of = |statuses: &[Status]| stage.shown(&Filter { statuses: statuses.to_vec(), ..all() }, FIRST).0;
    use Status::{
        Created, Delivered, Pending, PermanentFailure, Sending, Sent, TechnicalFailure, TemporaryFailure,
    };
    assert_eq!(of(&[Created]), [9, 6]);
    assert_eq!(of(&[Pending]), [0]);
    assert_eq!(of(&[Sent]), [2]);
    assert_eq!(of(&[Delivered]), [7]);
    assert_eq!(of(&[Sending]), [8]);
    assert_eq!(of(&[TemporaryFailure, PermanentFailure, TechnicalFailure]), [5, 4, 1]);
    assert_eq!(of(&[Created, Pending, PermanentFailure]), [9, 6, 1, 0], "of three sources, newest first");
    assert_eq!(of(&[Created, Sending, Pending]), [9, 8, 6, 0]);
    assert_eq!(of(Status::ALL), [9, 8, 7, 6, 5, 4, 2, 1, 0]);
    let keys = Filter { statuses: vec![Created, TemporaryFailure], jobs: false, ..all() };
    assert_eq!(stage.shown(&keys, FIRST).0, [9], "what narrows the list narrows every source");
    let page = Which { number: 2, size: 2 };
    let failed = Filter { statuses: vec![Created, PermanentFailure, TemporaryFailure], ..all() };
    let (shown, page) = stage.shown(&failed, page);
    assert_eq!((shown, page.has_next), (vec![5, 1], false));
}

#[test]
fn a_part_of_the_recipient_or_of_the_reference_is_found() {
    let stage = Stage::new();
    let search = |typed| stage.shown(&Filter { search: Some(Search::new(typed)), ..all() }, FIRST).0;
    for typed in ["07700 900123", "+447700900123", "7700-900", "(0)123"] {
        assert_eq!(search(typed), [8, 6, 4, 2, 0], "{typed}");
    }
    for typed in ["ROSA@", "rosa@example.com", " example.com "] {
        assert_eq!(search(typed), [9, 7, 5, 1], "{typed}");
    }
    assert_eq!(search("order 100%"), [7]);
    assert_eq!(search("DER 1"), [7]);
    assert_eq!(search("%"), [7], "a letter like any other");
    assert_eq!(search("0"), [7], "no number is searched for nothing");
    assert_eq!(search("order_100"), [0; 0]);
    assert_eq!(search("nobody"), [0; 0]);
}

#[test]
fn a_source_with_too_many_rows_says_how_far_it_looked_back_and_can_be_asked_on() {
    let stage = Stage::new();
    stage.set_status(1, "permanent-failure");
    let mut narrow = Filter { search: Some(Search::new("order")), most_read: 3, ..all() };
    let (shown, page) = stage.shown(&narrow, FIRST);
    assert_eq!((shown, page.has_next, page.looked_back_to), (vec![7], false, Some(stage.ids[7])));
    narrow.older_than = page.looked_back_to;
    let (shown, page) = stage.shown(&narrow, FIRST);
    assert_eq!((shown, page.looked_back_to), (vec![], Some(stage.ids[4])));

    // Whoever finds enough does not look on.
    let dense = Filter { most_read: 3, ..all() };
    assert_eq!(stage.shown(&dense, Which { number: 1, size: 2 }).1.looked_back_to, None);

    // What one source has found must not be shown beyond what another one has not looked at: of the ten waiting rows of both
    // services the newest three are looked at.
    let union = Filter { statuses: vec![Status::Created, Status::PermanentFailure], most_read: 3, ..all() };
    let (shown, page) = stage.shown(&union, FIRST);
    assert!(shown.len() < 3 && !shown.contains(&1), "{shown:?}");
    assert!(page.looked_back_to.is_some_and(|to| to > stage.ids[1]));
}

#[test]
fn details_are_told_of_the_version_that_was_used() {
    let stage = Stage::new();
    let mut conn = stage.connect();
    sql_query(
        "INSERT INTO users (id, name, email_address, created_at)
               VALUES ('00000000-0000-0000-0000-000000000005', 'Ada', 'ada@example.gov.uk', now())",
    )
    .execute(&mut conn)
    .unwrap();
    let found = db::log::find(&mut conn, stage.service(), stage.ids[5]).unwrap().unwrap();
    let stranger = ServiceId(Uuid::new_v4());
    assert!(db::log::find(&mut conn, stranger, stage.ids[5]).unwrap().is_none(), "another service's");
    let details = db::log::details(&mut conn, &[found]).unwrap();
    let version = &details.versions[&(stage.sample.email.id, 1)];
    assert_eq!((&*version.name, version.subject.as_deref()), ("Ready (email)", Some("Permit for ((name))")));
    assert!(!version.redact_personalisation && !version.has_unsubscribe_link);
    let ada = &details.people[&Uuid::from_u128(5)];
    assert_eq!((&*ada.name, &*ada.email_address), ("Ada", "ada@example.gov.uk"));
    assert!(details.keys.is_empty());
    let by_key = db::log::find(&mut conn, stage.service(), stage.ids[0]).unwrap().unwrap();
    let details = db::log::details(&mut conn, &[by_key]).unwrap();
    assert_eq!(details.keys[&stage.sample.keys[0].0], "normal");
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

#[test]
fn statuses_are_uncommon_to_the_database_when_they_are_to_the_log() {
    let database = TestDatabase::new();
    let sql = "SELECT status::text AS word FROM unnest(enum_range(NULL::notification_status)) status
               WHERE is_uncommon(status) ORDER BY status";
    let words: Vec<Word> = sql_query(sql).load(&mut database.connect()).unwrap();
    let ours = Status::ALL.iter().filter(|status| db::log::is_uncommon(**status));
    assert_eq!(
        words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>(),
        ours.map(|status| status.as_str()).collect::<Vec<_>>()
    );
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Of the tables and indexes that the log reads.
fn rows_read(conn: &mut PgConnection) -> i64 {
    sql_query("SELECT pg_stat_force_next_flush()").execute(conn).unwrap();
    let sql = "SELECT (sum(seq_tup_read) + sum(idx_tup_fetch))::bigint AS count FROM pg_stat_user_tables
               WHERE relname ~ '^(notifications|due|uncommon_statuses)'";
    sql_query(sql).get_result::<Count>(conn).unwrap().count
}

/// A service with a hundred thousand notifications beside ours, analysed: plans are made for both alike.
#[test]
fn a_page_reads_little_more_than_it_shows_whatever_drives_it() {
    let stage = Stage::new();
    let mut conn = stage.connect();
    let copies = "INSERT INTO notifications (id, service_id, channel, key_type, template_id, template_version, recipient,
           normalised_recipient, created_at, status, updated_at, sent_by)
         SELECT (substr(id::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid, $1, 'sms', key_type, template_id,
           template_version, recipient, normalised_recipient, created_at,
           CASE WHEN n % 10000 = 0 THEN 'permanent-failure' ELSE 'delivered' END::notification_status, now(), 'mmg'
         FROM notifications, generate_series(1, 100000) n WHERE id = $2";
    let large = ServiceId(Uuid::new_v4());
    sql_query(copies)
        .bind::<diesel::sql_types::Uuid, _>(large.0)
        .bind::<diesel::sql_types::Uuid, _>(stage.ids[9].0)
        .execute(&mut conn)
        .unwrap();
    sql_query("VACUUM ANALYZE").execute(&mut conn).unwrap();
    for (name, key_type, statuses, expected) in [
        ("rare", KeyType::Normal, vec![Status::PermanentFailure], 10),
        ("none", KeyType::Normal, vec![Status::Sending], 0),
        ("several", KeyType::Normal, vec![Status::PermanentFailure, Status::Created], 10),
        ("of another key type", KeyType::Team, vec![], 0),
        ("of another key type, and rare", KeyType::Team, vec![Status::PermanentFailure], 0),
    ] {
        let filter = db::notification::Filter { statuses: statuses.clone(), ..Default::default() };
        let before = rows_read(&mut conn);
        let listed = db::notification::list(&mut conn, large, key_type, &filter, 250).unwrap();
        let read = rows_read(&mut conn) - before;
        assert_eq!(listed.len(), expected, "{name}");
        assert!(read < 100, "{name}: {read} rows for {expected}");
        if !statuses.contains(&Status::Created) {
            let narrowing = db::notification::page::Narrowing { statuses, ..Default::default() };
            let beyond = Which { number: 1_000_000, size: 50 };
            for which in [Which { number: 1, size: 5 }, beyond] {
                let before = rows_read(&mut conn);
                let page =
                    db::notification::page::page(&mut conn, large, key_type, &narrowing, which).unwrap();
                let read = rows_read(&mut conn) - before;
                let shown = if which.number == 1 { expected.min(5) } else { 0 };
                assert_eq!(page.notifications.len(), shown, "{name}");
                let total = if which.number == 1 { expected as i64 } else { 0 };
                assert_eq!(page.total, total, "{name}");
                assert!(read < 100, "{name}, by number: {read} rows");
            }
        }
    }
    let which = Which { number: 1, size: 5 };
    let mut reads = |service, filter: &Filter| {
        let before = rows_read(&mut conn);
        let shown = page(&mut conn, service, filter, which).unwrap().notifications.len();
        (shown, rows_read(&mut conn) - before)
    };
    let failed = Filter { statuses: vec![Status::PermanentFailure], ..all() };
    let waiting = Filter { statuses: vec![Status::Created, Status::Pending], ..all() };
    let sending = Filter { statuses: vec![Status::Sending], ..all() };
    let emails = Filter { channels: vec![Channel::Email], ..all() };
    let newer = Filter { since: Some(Clock::System.now() + TimeDelta::hours(1)), ..all() };
    for (name, service, filter, expected) in [
        ("large", large, all(), 5),
        ("large, a rare status", large, failed, 5),
        ("large, nothing waits", large, waiting.clone(), 0),
        ("large, nothing is on its way", large, sending, 0),
        ("large, no e-mail", large, emails, 0),
        ("large, nothing as new as that", large, newer, 0),
        ("small", stage.service(), all(), 5),
        ("small, waiting", stage.service(), waiting, 5),
    ] {
        let (shown, read) = reads(service, &filter);
        assert_eq!(shown, expected, "{name}");
        assert!(read < 100, "{name}: {read} rows for {shown}");
    }
}
