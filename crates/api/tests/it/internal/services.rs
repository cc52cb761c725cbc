//! Services, who works with them, and people.

mod members;

use std::collections::BTreeSet;

use db::service::Permission;
use domain::{id::ServiceId, status::KeyType};
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    internal::{missing, refused},
    stage::{Stage, changed},
};

/// Every key that the contract lists, and no other.
const KEYS: [&str; 35] = [
    "active",
    "billing_contact_email_addresses",
    "billing_contact_names",
    "billing_reference",
    "confirmed_email_sender_name",
    "confirmed_unique",
    "consent_to_research",
    "contact_link",
    "count_as_live",
    "created_by",
    "custom_email_sender_name",
    "email_branding",
    "email_message_limit",
    "email_sender_local_part",
    "go_live_at",
    "go_live_user",
    "has_active_go_live_request",
    "id",
    "international_sms_message_limit",
    "letter_branding",
    "letter_message_limit",
    "name",
    "notes",
    "organisation",
    "organisation_type",
    "permissions",
    "prefix_sms",
    "purchase_order_number",
    "rate_limit",
    "restricted",
    "service_callback_api",
    "sms_message_limit",
    "volume_email",
    "volume_letter",
    "volume_sms",
];

impl Stage {
    /// A person called so; their id.
    pub(super) async fn person(&self, name: &str) -> String {
        let address = format!("{}@example.gov.uk", name.to_lowercase());
        let body = json!({"name": name, "email_address": address, "mobile_number": "07700 900855"});
        let answer = self.internal_post("/user", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Makes a service and answers it.
    pub(super) async fn made(&self, user: &str, change: &Value) -> Value {
        let answer = self.internal_post("/service", &new_service(user, change)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["data"].clone()
    }

    fn here(&self) -> String {
        format!("/service/{}", self.service_id())
    }
}

/// As the front end asks for one, with changes; null removes a field.
fn new_service(user: &str, change: &Value) -> Value {
    let body = json!({
        "name": "Library Loans (Leeds)", "user_id": user, "created_by": user, "restricted": true, "active": false,
        "email_message_limit": 50, "sms_message_limit": 50, "letter_message_limit": 50,
        "international_sms_message_limit": 100, "something_else": {"is": "ignored"},
    });
    changed(body, change)
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_service_is_made_with_all_that_belongs_to_it() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let service = stage.made(&user, &json!({})).await;
    assert_eq!(keys(&service), BTreeSet::from(KEYS));
    for (key, value) in [
        ("name", json!("Library Loans (Leeds)")),
        ("active", json!(true)),
        ("restricted", json!(true)),
        ("count_as_live", json!(true)),
        ("created_by", json!(user)),
        ("email_sender_local_part", json!("library.loans.leeds")),
        ("custom_email_sender_name", Value::Null),
        ("email_message_limit", json!(50)),
        ("international_sms_message_limit", json!(100)),
        ("rate_limit", json!(3000)),
        ("prefix_sms", json!(true)),
        ("go_live_at", Value::Null),
        ("service_callback_api", json!([])),
        ("permissions", json!(["sms", "email", "letter", "international_sms", "international_letters"])),
    ] {
        assert_eq!(service[key], value, "{key}");
    }
    let id: ServiceId = service["id"].as_str().unwrap().parse().unwrap();
    let stored = db::service::find(&mut stage.connect(), id).unwrap().unwrap();
    let senders: Vec<_> = stored.sms_senders.iter().map(|s| (s.sender.as_str(), s.is_default)).collect();
    assert_eq!(senders, [("Pillarbox", true)]);
    assert!(stored.permissions.contains(&Permission::InternationalLetters));
    let members = stage.internal_get(&format!("/service/{id}/users")).await.json();
    assert_eq!(members["data"][0]["id"], json!(user));
    assert_eq!(members["data"][0]["permissions"][id.to_string()].as_array().unwrap().len(), 8);
    let read = stage.internal_get(&format!("/service/{id}")).await;
    assert_eq!(read.parts(), (200, json!({ "data": service })));
}

#[tokio::test]
async fn a_service_of_a_platform_admin_does_not_count_as_live() {
    let stage = Stage::new();
    let body = json!({"name": "Root", "email_address": "root@example.gov.uk", "platform_admin": true});
    let user = stage.internal_post("/user", &body).await.json()["data"]["id"].as_str().unwrap().to_owned();
    let service = stage.made(&user, &json!({"international_sms_message_limit": null})).await;
    assert_eq!(service["count_as_live"], json!(false));
    assert_eq!(service["international_sms_message_limit"], json!(250_000), "what is not said is the default");
}

#[tokio::test]
async fn without_a_user_nothing_else_is_looked_at() {
    let stage = Stage::new();
    let answer = stage.internal_post("/service", &json!({"name": 1})).await;
    assert_eq!(answer.parts(), missing("user_id"));
}

#[tokio::test]
async fn each_required_field_of_a_service_is_missed_by_name() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    for field in [
        "name",
        "restricted",
        "created_by",
        "email_message_limit",
        "sms_message_limit",
        "letter_message_limit",
    ] {
        let answer = stage.internal_post("/service", &new_service(&user, &json!({ field: null }))).await;
        assert_eq!(answer.parts(), missing(field));
    }
}

#[tokio::test]
async fn an_unknown_user_makes_no_service() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let nobody = Uuid::new_v4().to_string();
    for wrong in [json!({"user_id": nobody}), json!({"user_id": "no id"}), json!({"created_by": nobody})] {
        let answer = stage.internal_post("/service", &new_service(&user, &wrong)).await;
        assert_eq!(answer.parts(), refused(404, "No result found"), "{wrong}");
    }
    let all = stage.internal_get("/service").await.json();
    assert_eq!(
        all["data"].as_array().unwrap().len(),
        2,
        "nothing of them is left but the platform's and the sample"
    );
}

#[tokio::test]
async fn a_name_is_taken_whatever_its_case_and_punctuation() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    for name in ["Parking permits", "PARKING PERMITS!", "parking - permits"] {
        let answer = stage.internal_post("/service", &new_service(&user, &json!({ "name": name }))).await;
        let message = format!("Duplicate service name '{name}'");
        assert_eq!(answer.parts(), refused(400, json!({ "name": [message] })));
    }
    let id = stage.made(&user, &json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/service/{id}");
    let renamed = stage.internal_post(&path, &json!({"name": "parking permits", "notes": "x"})).await;
    assert_eq!(renamed.parts(), refused(400, json!({"name": ["Duplicate service name 'parking permits'"]})));
    assert_eq!(stage.internal_get(&path).await.json()["data"]["notes"], Value::Null, "all or nothing");
    let own = stage.internal_post(&path, &json!({"name": "library loans LEEDS"})).await;
    assert_eq!(own.status, 200, "its own name is not another's: {own:?}");
}

#[tokio::test]
async fn of_two_who_want_one_name_at_once_one_gets_it() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let body = new_service(&user, &json!({}));
    let asking = (0..6).map(|_| stage.internal_post("/service", &body));
    let mut answers: Vec<u16> =
        futures_util::future::join_all(asking).await.iter().map(|answer| answer.status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [201, 400, 400, 400, 400, 400]);
}

#[tokio::test]
async fn a_name_without_letters_cannot_send_e_mails_and_is_refused() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let words = json!(["Must include a letter or a digit"]);
    let answer = stage.internal_post("/service", &new_service(&user, &json!({"name": "?!"}))).await;
    assert_eq!(answer.parts(), refused(400, json!({ "name": words })));
    let answer = stage.internal_post(&stage.here(), &json!({"custom_email_sender_name": "—"})).await;
    assert_eq!(answer.parts(), refused(400, json!({ "custom_email_sender_name": words })));
}

#[tokio::test]
async fn bad_and_repeated_permissions_are_named() {
    let stage = Stage::new();
    for (permissions, message) in [
        (json!(["sms", "pigeons"]), "Invalid Service Permission: 'pigeons'"),
        (json!(["sms", "email", "sms", "sms"]), "Duplicate Service Permission: ['sms']"),
        (json!(["sms", "email", "sms", "email"]), "Duplicate Service Permission: ['sms', 'email']"),
    ] {
        let answer = stage.internal_post(&stage.here(), &json!({ "permissions": permissions })).await;
        assert_eq!(answer.parts(), refused(400, json!({ "permissions": [message] })));
    }
    let answer = stage.internal_post(&stage.here(), &json!({"permissions": ["email_auth", "sms"]})).await;
    assert_eq!(answer.json()["data"]["permissions"], json!(["sms", "email_auth"]));
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_told_together() {
    let stage = Stage::new();
    let wrong = json!({"name": null, "restricted": "maybe", "rate_limit": -1, "volume_sms": "many", "go_live_at": "soon"});
    let answer = stage.internal_post(&stage.here(), &wrong).await;
    let told = json!({
        "name": ["Field may not be null."],
        "restricted": ["Not a valid boolean."],
        "rate_limit": ["Must be greater than or equal to 0."],
        "volume_sms": ["Not a valid integer."],
        "go_live_at": ["Not a valid datetime."],
    });
    assert_eq!(answer.parts(), refused(400, told));
    let listed = stage.internal_post(&stage.here(), &json!([1])).await;
    assert_eq!(listed.parts(), refused(400, json!({"_schema": ["Invalid input type."]})));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let before = stage.made(&user, &json!({})).await;
    let path = format!("/service/{}", before["id"].as_str().unwrap());
    let change = json!({
        "restricted": false, "sms_message_limit": 250_000, "notes": "Call first", "consent_to_research": true,
        "billing_contact_names": "Ada", "billing_contact_email_addresses": "ada@example.gov.uk",
        "billing_reference": "B1", "purchase_order_number": "P1", "volume_email": 12, "organisation_type": "local",
        "go_live_at": "2026-11-23 22:00:00.123456", "go_live_user": user, "has_active_go_live_request": true,
        "confirmed_unique": true, "confirmed_email_sender_name": false, "custom_email_sender_name": "Loans desk",
        "contact_link": "https://example.gov.uk/ask", "prefix_sms": false, "count_as_live": false,
    });
    let answer = stage.internal_post(&path, &change).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut expected = changed(before, &change);
    expected["email_sender_local_part"] = json!("loans.desk");
    assert_eq!(answer.json()["data"], expected);
    assert_eq!(stage.internal_get(&path).await.json()["data"], expected);
    let cleared =
        json!({"notes": null, "custom_email_sender_name": null, "go_live_at": null, "contact_link": " "});
    let answer = stage.internal_post(&path, &cleared).await.json();
    for key in ["notes", "custom_email_sender_name", "go_live_at", "contact_link"] {
        assert_eq!(answer["data"][key], Value::Null, "{key}");
    }
    assert_eq!(answer["data"]["email_sender_local_part"], json!("library.loans.leeds"));
}

#[tokio::test]
async fn two_who_change_different_things_at_once_both_have_their_way() {
    let stage = Stage::new();
    let changes =
        [json!({"notes": "n"}), json!({"volume_sms": 7}), json!({"rate_limit": 9}), json!({"active": true})];
    let url = stage.here();
    let changing = changes.iter().map(|change| stage.internal_post(&url, change));
    for answer in futures_util::future::join_all(changing).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let service = stage.internal_get(&stage.here()).await.json()["data"].clone();
    assert_eq!(
        (&service["notes"], &service["volume_sms"], &service["rate_limit"]),
        (&json!("n"), &json!(7), &json!(9))
    );
    let history = stage.internal_get(&format!("{}/history", stage.here())).await.json();
    let versions: Vec<_> = history["data"]["service_history"].as_array().unwrap().iter().collect();
    assert_eq!(versions.len(), 4);
}

#[tokio::test]
async fn a_service_tells_its_callbacks_and_if_asked_its_figures() {
    let stage = Stage::new();
    let callback = Uuid::new_v4();
    stage.sql(&format!(
        "INSERT INTO callbacks (id, service_id, callback_type, url, bearer_token, updated_by_id, created_at)
         VALUES ('{callback}', '{}', 'delivery_status', 'https://example.gov.uk', '', '{callback}', now())",
        stage.service_id()
    ));
    let plain = stage.internal_get(&stage.here()).await.json()["data"].clone();
    let told = json!([{"callback_id": callback, "callback_type": "delivery_status"}]);
    assert_eq!(plain["service_callback_api"], told);
    stage.accepted_sms().await;
    let detailed =
        stage.internal_get(&format!("{}?detailed=True&today_only=True", stage.here())).await.json();
    assert_eq!(detailed["data"]["statistics"]["sms"]["requested"], json!(1));
    assert_eq!(changed(detailed["data"].clone(), &json!({"statistics": null})), plain);
}

#[tokio::test]
async fn what_is_changed_is_what_sending_goes_by() {
    let stage = Stage::new();
    let answer = stage.internal_post(&stage.here(), &json!({"permissions": ["email"]})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let sent = stage.send("sms", &stage.sms(&json!({}))).await;
    assert_eq!(sent.status, 400, "{sent:?}");
    assert_eq!(stage.send("email", &stage.email(&json!({}))).await.status, 201);
}

#[tokio::test]
async fn an_unknown_service_is_no_result_and_what_is_no_id_no_url() {
    let stage = Stage::new();
    let (unknown, user) = (Uuid::new_v4(), stage.person("Amara").await);
    for (method, tail) in [
        (Method::GET, String::new()),
        (Method::POST, String::new()),
        (Method::POST, "/archive".into()),
        (Method::GET, "/history".into()),
        (Method::GET, "/users".into()),
        (Method::DELETE, format!("/users/{user}")),
    ] {
        let answer = stage.internal(method.clone(), &format!("/service/{unknown}{tail}"), &json!({})).await;
        assert_eq!(answer.parts(), refused(404, "No result found"), "{method} {tail}");
        let answer = stage.internal(method.clone(), &format!("/service/no-id{tail}"), &json!({})).await;
        assert_eq!(answer.status, 404, "{method} {tail}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with("The requested URL was not found"));
    }
}

#[tokio::test]
async fn services_are_listed_all_or_active_or_of_a_person() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let mine = stage.made(&user, &json!({})).await["id"].clone();
    let sample = json!(stage.service_id());
    let ids = async |query: &str| -> Vec<Value> {
        let answer = stage.internal_get(&format!("/service{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"].as_array().unwrap().iter().map(|service| service["id"].clone()).collect()
    };
    let platform = json!(db::platform::SERVICE);
    assert_eq!(ids("").await, [platform.clone(), sample.clone(), mine.clone()]);
    let only_mine = vec![mine.clone()];
    assert_eq!(ids(&format!("?user_id={user}")).await, only_mine);
    stage.internal_post(&stage.here(), &json!({"active": false})).await;
    assert_eq!(ids("?only_active=True").await, [platform.clone(), mine.clone()]);
    assert_eq!(ids("?only_active=true").await, [platform, sample, mine], "only the very word");
    let answer = stage.internal_get("/service?user_id=nobody").await;
    assert_eq!(answer.parts(), refused(404, "No result found"));
}

#[tokio::test]
async fn services_are_found_by_a_part_of_their_name() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    stage.made(&user, &json!({"name": "100% of_loans"})).await;
    let names = async |part: &str| -> Vec<Value> {
        let answer = stage.internal_get(&format!("/service/find-services-by-name?service_name={part}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"].as_array().unwrap().iter().map(|service| service["name"].clone()).collect()
    };
    assert_eq!(names("KING+per").await, ["Parking permits"]);
    assert_eq!(names("0%25").await, ["100% of_loans"], "a percent sign is itself");
    assert_eq!(names("g_p").await, Vec::<Value>::new(), "and so is an underscore");
    let answer = stage.internal_get("/service/find-services-by-name").await;
    assert_eq!(answer.parts(), missing("service_name"));
}

#[tokio::test]
async fn every_change_is_in_the_history_with_who_made_it() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let id = stage.made(&user, &json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/service/{id}");
    let body = json!({"name": "Loans", "restricted": false});
    assert_eq!(stage.internal_as(Some(&user), Method::POST, &path, &body).await.status, 200);
    assert_eq!(stage.internal_post(&path, &json!({"permissions": ["pigeons"]})).await.status, 400);
    let history = stage.internal_get(&format!("{path}/history")).await.json();
    let rows = history["data"]["service_history"].as_array().unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&row["version"], &row["name"], &row["restricted"])).collect();
    let (first, second) = (json!("Library Loans (Leeds)"), json!("Loans"));
    assert_eq!(told, [(&json!(1), &first, &json!(true)), (&json!(2), &second, &json!(false))]);
    assert!(rows.iter().all(|row| row["changed_by"] == json!(user) && row["id"] == json!(id)));
    assert_eq!(rows[0]["updated_at"], Value::Null);
    assert_eq!(rows[1]["updated_at"], rows[1]["changed_at"]);
    assert_eq!(rows[0]["created_at"], rows[1]["created_at"]);
    assert_eq!(history["data"]["api_key_history"], json!([]));
}

#[tokio::test]
async fn history_rows_tell_who_made_the_version_and_never_nobody() {
    let stage = Stage::new();
    let (amara, ben) = (stage.person("Amara").await, stage.person("Ben").await);
    let platform = "6af522d0-2915-4e52-83a3-3690455a5fe6".to_owned();
    let made_by = async |service: &str, list: &str| -> Vec<String> {
        let history = stage.internal_get(&format!("/service/{service}/history")).await.json();
        let rows = history["data"][list].as_array().unwrap().clone();
        rows.iter().map(|row| row["created_by_id"].as_str().unwrap().to_owned()).collect()
    };
    let id = stage.made(&amara, &json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/service/{id}");
    // Whoever a client acts for is told besides; who made a version, the body says.
    for body in [json!({"notes": "1"}), json!({"notes": "2", "created_by": ben}), json!({"notes": "3"})] {
        assert_eq!(stage.internal_as(Some(&amara), Method::POST, &path, &body).await.status, 200);
    }
    let archive = format!("{path}/archive");
    assert_eq!(stage.internal_as(Some(&amara), Method::POST, &archive, &Value::Null).await.status, 204);
    let expected = [&amara, &amara, &ben, &ben, &ben].map(Clone::clone);
    assert_eq!(made_by(&id, "service_history").await, expected);

    // What an operator made is the platform's until somebody says otherwise.
    let here = stage.service_id().to_string();
    assert_eq!(stage.internal_post(&stage.here(), &json!({"notes": "1"})).await.status, 200);
    assert_eq!(stage.internal_get(&stage.here()).await.json()["data"]["created_by"], json!(platform));
    assert_eq!(
        stage.internal_post(&stage.here(), &json!({"notes": "2", "created_by": ben})).await.status,
        200
    );
    assert_eq!(made_by(&here, "service_history").await, [platform.clone(), ben.clone()]);
    let keys = stage.internal_get(&format!("{}/api-keys", stage.here())).await.json();
    assert!(
        keys["apiKeys"].as_array().unwrap().iter().all(|key| key["created_by"] == json!(platform)),
        "{keys}"
    );
    let revoke = |key: usize| format!("{}/api-key/revoke/{}", stage.here(), stage.sample.keys[key].0);
    let by_ben =
        stage.internal_as(Some(&amara), Method::POST, &revoke(0), &json!({ "created_by": ben })).await;
    assert_eq!(by_ben.status, 202, "{by_ben:?}");
    assert_eq!(stage.internal_as(Some(&amara), Method::POST, &revoke(1), &Value::Null).await.status, 202);
    let nobody = stage.internal_post(&revoke(2), &json!({"created_by": Uuid::new_v4()})).await;
    assert_eq!(nobody.parts(), refused(400, json!({"created_by": ["User not found"]})));
    let made = [&platform, &platform, &platform, &ben, &platform].map(Clone::clone);
    assert_eq!(made_by(&here, "api_key_history").await, made);
}

#[tokio::test]
async fn an_archived_service_loses_its_name_templates_and_keys_once() {
    let stage = Stage::new();
    let archive = format!("{}/archive", stage.here());
    assert_eq!(stage.internal_post(&archive, &Value::Null).await.status, 204);
    let service = stage.internal_get(&stage.here()).await.json()["data"].clone();
    let name = service["name"].as_str().unwrap().to_owned();
    let date =
        name.strip_prefix("_archived_").and_then(|rest| rest.strip_suffix("_Parking permits")).unwrap();
    chrono::NaiveDateTime::parse_from_str(date, "%Y-%m-%d-%H:%M:%S").unwrap();
    assert_eq!(service["active"], json!(false));
    let mut conn = stage.connect();
    let templates =
        db::template::dated(&mut conn, stage.service_id(), db::template::Which::All(None)).unwrap();
    assert_eq!(templates.len(), 0);
    let keys = db::api_key::list(&mut conn, stage.service_id()).unwrap();
    assert!(keys.len() == 3 && keys.iter().all(|key| key.revoked_at.is_some()));
    let history = stage.internal_get(&format!("{}/history", stage.here())).await.json();
    let revoked = history["data"]["api_key_history"].as_array().unwrap();
    assert_eq!(revoked.iter().filter(|row| !row["expiry_date"].is_null()).count(), 3, "{revoked:?}");

    assert_eq!(stage.internal_post(&archive, &Value::Null).await.status, 204);
    assert_eq!(
        stage.internal_get(&stage.here()).await.json()["data"]["name"],
        json!(name),
        "nothing the second time"
    );
    let sent = stage.send_as(KeyType::Normal, "sms", &stage.sms(&json!({}))).await;
    assert_eq!(sent.status, 403, "{sent:?}");
    let user = stage.person("Amara").await;
    stage.made(&user, &json!({"name": "Parking permits"})).await;
}

#[tokio::test]
async fn whom_a_client_acts_for_is_one_person_or_the_request_is_refused() {
    let stage = Stage::new();
    let user = stage.person("Amara").await;
    let bearer = format!("Bearer {}", crate::stage::token("notify-admin", crate::stage::ADMIN_SECRET));
    let get = async |users: &[&str]| {
        let mut headers = vec![("authorization", bearer.clone())];
        headers.extend(users.iter().map(|user| ("x-notify-user-id", (*user).to_owned())));
        stage.http().send(Method::GET, &stage.here(), &headers, "").await.parts()
    };
    for users in [&[][..], &[&*user], &[&*Uuid::new_v4().to_string()], &[&*user.to_uppercase()]] {
        assert_eq!(get(users).await.0, 200, "{users:?}");
    }
    for wrong in ["", " ", "Amara", "5"] {
        assert_eq!(get(&[wrong]).await, refused(400, "X-Notify-User-Id is not a valid UUID"), "{wrong:?}");
    }
    assert_eq!(get(&[&user, &user]).await, refused(400, "X-Notify-User-Id must be given once"));
    let stranger =
        stage.http().send(Method::GET, &stage.here(), &[("x-notify-user-id", String::new())], "").await;
    assert_eq!(stranger.status, 401, "who calls comes first");
}

#[tokio::test]
async fn services_are_nothing_to_whoever_is_no_internal_client() {
    let stage = Stage::new();
    for path in ["/service".to_owned(), stage.here(), format!("{}/users", stage.here()), "/user/x".into()] {
        assert_eq!(stage.http().get(&path, None).await.status, 401, "{path}");
        assert_eq!(stage.get(&path).await.status, 401, "a service's own key: {path}");
    }
}
