//! `key` and `token`.

use domain::{clock::Clock, status::KeyType};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use testkit::TestDatabase;

use crate::ctl::Ctl;

#[test]
fn a_key_is_created_shown_once_and_revoked() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let mut conn = database.connect();
    let sample = testkit::sample(&mut conn, Clock::System.now());
    let service = sample.service.id.to_string();
    let create = ["key", "create", "--service", &service, "--name", "Crème brûlée desk", "--type", "team"];
    let whole = ctl.ok(&create);
    let whole = whole.trim_end();
    assert!(whole.starts_with(&format!("creme_brulee_desk-{service}-")), "{whole}");

    let keys = db::api_key::visible(&mut conn, &testkit::keyring(), sample.service.id, Clock::System.now());
    let secret = &whole.as_bytes()[whole.len() - 36..];
    let key = keys.unwrap().into_iter().find(|key| key.secret.as_deref() == Some(secret)).unwrap();
    assert_eq!((key.key_type, key.revoked), (KeyType::Team, false));

    assert!(ctl.fails(1, &create).contains("named \"Crème brûlée desk\" already"));
    let list = ctl.ok(&["key", "list", "--service", &service]);
    assert!(list.contains(&key.id.to_string()) && list.contains("Crème brûlée desk"), "{list}");
    assert!(!list.contains(&whole[whole.len() - 36..]), "a secret is listed");

    ctl.ok(&["key", "revoke", &key.id.to_string()]);
    assert!(ctl.fails(1, &["key", "revoke", &key.id.to_string()]).contains("revoked already"));
    let listed = ctl.json(&["key", "list", "--json", "--service", &service]);
    let row = listed.as_array().unwrap().iter().find(|row| row["id"] == key.id.to_string()).unwrap();
    assert!(row["expiry_date"].is_string() && row["updated_at"].is_string());
    // The name is free again.
    assert_ne!(ctl.ok(&create).trim_end(), whole);
}

#[test]
fn what_does_not_exist_is_said() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let id = uuid::Uuid::new_v4().to_string();
    let create = ["key", "create", "--name", "x", "--type", "test", "--service", &id];
    for command in [&["key", "list", "--service", &id][..], &create] {
        assert_eq!(ctl.fails(1, command), format!("no service has the id {id}"));
    }
    assert!(ctl.fails(1, &["key", "revoke", &id]).contains("unknown"));
    for wrong in
        [&["key", "revoke", "x"][..], &["key", "create", "--name", "x", "--type", "live", "--service", &id]]
    {
        let said = ctl.run(wrong);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(
            said.err.contains("not a valid UUID") || said.err.contains("normal, team, test"),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_token_is_of_this_moment_and_verifies() {
    let (service, secret) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
    let ctl = Ctl::new(&[("API_KEY", &format!("any-name-{service}-{secret}"))]);
    let token = ctl.ok(&["token"]);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims::<&str>(&[]);
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token.trim_end(), &key, &validation).unwrap().claims;
    assert_eq!(claims["iss"], service);
    let age = Clock::System.now().timestamp() - claims["iat"].as_i64().unwrap();
    assert!((0..30).contains(&age), "{age} s old");
    assert_eq!(claims.as_object().unwrap().len(), 2);
}

#[test]
fn a_token_for_the_internal_api_is_signed_with_the_clients_first_secret() {
    let ctl = Ctl::new(&[("PILLARBOX__INTERNAL__CLIENTS", "cron:c, notify-admin:new:er, notify-admin:old")]);
    let token = ctl.ok(&["token", "--client", "notify-admin"]);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims::<&str>(&[]);
    let key = DecodingKey::from_secret(b"new:er");
    let claims = jsonwebtoken::decode::<Value>(token.trim_end(), &key, &validation).unwrap().claims;
    assert_eq!(claims["iss"], "notify-admin");
    let complaint = ctl.fails(1, &["token", "--client", "nobody"]);
    assert!(complaint.contains("nobody") && !complaint.contains("new:er"), "{complaint}");
    assert!(ctl.fails(1, &["token"]).contains("API_KEY"));
}

#[test]
fn a_malformed_key_is_not_repeated() {
    let ctl = Ctl::new(&[("API_KEY", "name-hunter2")]);
    let complaint = ctl.fails(1, &["token"]);
    assert!(complaint.contains("NAME-SERVICE_ID-SECRET") && !complaint.contains("hunter2"), "{complaint}");
}
