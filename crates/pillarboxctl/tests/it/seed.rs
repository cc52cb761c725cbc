//! `seed`.

use std::collections::BTreeMap;

use db::service::Permission;
use domain::{
    clock::Clock,
    id::{ServiceId, TemplateId},
    status::{Channel, KeyType},
};
use testkit::TestDatabase;

use crate::ctl::{Ctl, Said};

fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| line.split_once('=').unwrap()).collect()
}

#[test]
fn seeding_again_shows_the_same_keys() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let first = ctl.ok(&["seed", "--env"]);
    assert_eq!(ctl.ok(&["seed", "--env"]), first);
    let summary = ctl.ok(&["seed"]);
    for (name, value) in variables(&first) {
        assert!(name == "EMAIL_REPLY_TO_ID" || summary.contains(value), "{name} is not in {summary}");
    }
    let mut conn = database.connect();
    let service: ServiceId = variables(&first)["SERVICE_ID"].parse().unwrap();
    assert_eq!(db::api_key::list(&mut conn, service).unwrap().len(), 3);
    for name in ["SMS_TEMPLATE_ID", "EMAIL_TEMPLATE_ID", "NEWS_TEMPLATE_ID"] {
        let id: TemplateId = variables(&first)[name].parse().unwrap();
        let template = db::template::current(&mut conn, service, id).unwrap().unwrap();
        assert_eq!(template.version, 1);
        assert!(template.content.contains("((name))"));
        assert_eq!(template.has_unsubscribe_link, name == "NEWS_TEMPLATE_ID");
    }
}

#[test]
fn two_databases_have_different_secrets() {
    let (one, other) = (TestDatabase::new(), TestDatabase::new());
    let (one, other) = (Ctl::on(&one).ok(&["seed", "--env"]), Ctl::on(&other).ok(&["seed", "--env"]));
    let (one, other) = (variables(&one), variables(&other));
    for name in ["API_KEY", "API_SENDING_KEY", "API_TEST_KEY"] {
        assert_ne!(one[name], other[name]);
    }
    assert_eq!(one["SERVICE_ID"], other["SERVICE_ID"]);
}

#[test]
fn the_service_can_send_and_its_keys_are_of_the_three_types() {
    let database = TestDatabase::new();
    let seeded = Ctl::on(&database).ok(&["seed", "--env"]);
    let seeded = variables(&seeded);
    let mut conn = database.connect();
    let id: ServiceId = seeded["SERVICE_ID"].parse().unwrap();
    let service = db::service::find(&mut conn, id).unwrap().unwrap();
    assert!(service.active && !service.restricted);
    assert_eq!(service.email_local_part, "pillarbox.demo");
    assert_eq!(service.permissions, [Permission::Sms, Permission::Email, Permission::InboundSms]);
    let numbers = db::inbound_number::list(&mut conn).unwrap();
    assert_eq!(numbers[0].number, seeded["INBOUND_NUMBER"]);
    assert_eq!(numbers[0].service.as_ref().map(|(id, _)| *id), Some(id));
    assert_eq!(service.sms_senders[0].id.to_string(), seeded["SMS_SENDER_ID"]);
    assert_eq!(service.reply_to_addresses[0].id.to_string(), seeded["EMAIL_REPLY_TO_ID"]);
    // Team keys reach the recipients of the tests.
    let number = domain::phone::PhoneNumber::parse(seeded["FUNCTIONAL_TEST_NUMBER"]).unwrap();
    assert!(service.guest_list.contains(&(Channel::Sms, number.normalised().into())));
    assert!(service.guest_list.contains(&(Channel::Email, seeded["FUNCTIONAL_TEST_EMAIL"].into())));

    let keys = db::api_key::visible(&mut conn, &testkit::keyring(), id, Clock::System.now()).unwrap();
    for (name, key_type) in
        [("API_KEY", KeyType::Normal), ("API_SENDING_KEY", KeyType::Team), ("API_TEST_KEY", KeyType::Test)]
    {
        let key = keys.iter().find(|key| key.key_type == key_type).unwrap();
        let secret = String::from_utf8(key.secret.clone().unwrap()).unwrap();
        assert_eq!(seeded[name], format!("demo_{key_type}-{id}-{secret}"));
    }
}

#[test]
fn several_at_once_show_the_same_keys() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let all: Vec<_> = (0..3).map(|_| ctl.start(&["seed", "--env"])).collect();
    let all: Vec<Said> = all.into_iter().map(Said::by).collect();
    for one in &all {
        assert_eq!((one.code, &one.out), (0, &all[0].out), "{}", one.err);
    }
}

#[test]
fn a_revoked_demo_key_gets_a_successor() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let first = ctl.ok(&["seed", "--env"]);
    let first = variables(&first);
    let keys = ctl.json(&["key", "list", "--json", "--service", first["SERVICE_ID"]]);
    let team = keys.as_array().unwrap().iter().find(|key| key["key_type"] == "team").unwrap();
    ctl.ok(&["key", "revoke", team["id"].as_str().unwrap()]);
    let second = ctl.ok(&["seed", "--env"]);
    let second = variables(&second);
    assert_ne!(second["API_SENDING_KEY"], first["API_SENDING_KEY"]);
    assert_eq!(second["API_KEY"], first["API_KEY"]);
}

#[test]
fn keys_sealed_with_a_lost_key_are_explained() {
    let database = TestDatabase::new();
    Ctl::on(&database).ok(&["seed"]);
    let other = format!("2:{}", "ab".repeat(32));
    let ctl = Ctl::new(&[("DATABASE_URL", &database.url()), ("PILLARBOX__SEALING__KEYS", &other)]);
    assert!(ctl.fails(1, &["seed"]).contains("sealing.keys"));
}
