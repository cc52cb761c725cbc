//! Members of a service, and people.

use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    internal::{missing, refused},
    stage::Stage,
};

fn member(stage: &Stage, user: &str) -> String {
    format!("/service/{}/users/{user}", stage.service_id())
}

fn may_send_texts() -> Value {
    json!({"permissions": [{"permission": "send_texts"}], "folder_permissions": []})
}

#[tokio::test]
async fn people_join_a_service_once() {
    let stage = Stage::new();
    let user = stage.person("Rosa").await;
    let path = member(&stage, &user);
    let answer = stage.internal_post(&path, &may_send_texts()).await;
    assert_eq!((answer.status, &answer.json()["data"]["id"]), (201, &json!(stage.service_id())));
    let members = stage.internal_get(&format!("/service/{}/users", stage.service_id())).await.json();
    let id = stage.service_id().to_string();
    assert_eq!(members["data"][0]["permissions"], json!({ &id: ["send_texts"] }));
    assert_eq!(members["data"][0]["services"], json!([id]));
    assert_eq!(members["data"][0]["email_address"], json!("rosa@example.gov.uk"));
    let again = stage.internal_post(&path, &may_send_texts()).await;
    let message = format!("User id: {user} already part of service id: {id}");
    assert_eq!(again.parts(), refused(400, message));
}

#[tokio::test]
async fn only_people_that_are_known_join_and_only_with_permissions_that_are() {
    let stage = Stage::new();
    let answer = stage.internal_post(&member(&stage, &Uuid::new_v4().to_string()), &may_send_texts()).await;
    assert_eq!(answer.parts(), refused(404, "No result found"));
    let path = member(&stage, &stage.person("Rosa").await);
    for (body, message) in [
        (json!({}), "permissions is a required property"),
        (json!({"permissions": "all"}), "permissions all is not of type array"),
        (json!({"permissions": [{"permission": "fly"}]}), "permissions fly is not one of [manage_users, "),
    ] {
        let answer = stage.internal_post(&path, &body).await;
        let error = &answer.json()["errors"][0];
        assert_eq!((answer.status, &error["error"]), (400, &json!("ValidationError")));
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
}

#[tokio::test]
async fn members_leave_but_for_the_last_one() {
    let stage = Stage::new();
    let (rosa, ada) = (stage.person("Rosa").await, stage.person("Ada").await);
    let leave = async |user: &str| stage.internal(Method::DELETE, &member(&stage, user), &Value::Null).await;
    assert_eq!(leave(&rosa).await.parts(), refused(404, "User not found"));
    for user in [&rosa, &ada] {
        assert_eq!(stage.internal_post(&member(&stage, user), &may_send_texts()).await.status, 201);
    }
    assert_eq!(leave(&rosa).await.status, 204);
    assert_eq!(leave(&rosa).await.parts(), refused(404, "User not found"));
    assert_eq!(leave(&ada).await.parts(), refused(400, "User cannot be removed from the service"));
    let wrong = stage.internal(Method::PUT, &member(&stage, &ada), &Value::Null).await;
    assert_eq!((wrong.status, &wrong.headers["allow"]), (405, &"POST, DELETE".parse().unwrap()));
}

#[tokio::test]
async fn people_are_made_and_read() {
    let stage = Stage::new();
    let id = stage.person("Rosa").await;
    let person = stage.internal_get(&format!("/user/{id}")).await.json()["data"].clone();
    assert_eq!(person["name"], json!("Rosa"));
    assert_eq!(person["email_address"], json!("rosa@example.gov.uk"));
    assert_eq!(person["mobile_number"], json!("07700 900855"));
    assert_eq!(person["platform_admin"], json!(false));
    assert_eq!(person["services"], json!([]));
    let unknown = stage.internal_get(&format!("/user/{}", Uuid::new_v4())).await;
    assert_eq!(unknown.parts(), refused(404, "No result found"));
}

#[tokio::test]
async fn a_user_has_every_field_of_the_contract_wherever_one_is_told() {
    let stage = Stage::new();
    let body = json!({"name": "Rosa", "email_address": "rosa@example.gov.uk", "mobile_number": "07700 900855",
        "auth_type": "email_auth", "state": "active", "take_part_in_research": false});
    let made = stage.internal_post("/user", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let rosa = made.json()["data"].clone();
    let created_at = rosa["created_at"].as_str().unwrap().to_owned();
    let expected = json!({
        "id": rosa["id"], "name": "Rosa", "email_address": "rosa@example.gov.uk", "created_at": created_at,
        "auth_type": "email_auth", "current_session_id": null, "failed_login_count": 0,
        "email_access_validated_at": created_at, "logged_in_at": null, "mobile_number": "07700 900855",
        "organisations": [], "password_changed_at": created_at.replace('T', " ").replace('Z', ""), "permissions": {},
        "organisation_permissions": {}, "platform_admin": false, "services": [], "can_use_webauthn": false,
        "state": "active", "take_part_in_research": false, "receives_new_features_email": true,
    });
    assert_eq!(rosa, expected);
    let id = rosa["id"].as_str().unwrap();
    assert_eq!(stage.internal_get(&format!("/user/{id}")).await.json()["data"], expected);

    let (here, archived) = (stage.service_id().to_string(), stage.made(id, &json!({})).await);
    let archived = archived["id"].as_str().unwrap();
    let none = json!({"permissions": [], "folder_permissions": []});
    assert_eq!(stage.internal_post(&member(&stage, id), &none).await.status, 201);
    let mut services = [here.clone(), archived.to_owned()];
    services.sort_unstable();
    let told = stage.internal_get(&format!("/user/{id}")).await.json()["data"].clone();
    assert_eq!(told["services"], json!(services));
    assert_eq!(
        told["permissions"].as_object().unwrap().keys().collect::<Vec<_>>(),
        [archived],
        "where there are any"
    );
    stage.internal_post(&format!("/service/{archived}"), &json!({"active": false})).await;
    let told = stage.internal_get(&format!("/service/{here}/users")).await.json()["data"][0].clone();
    let expected = crate::stage::changed(expected, &json!({ "services": [here] }));
    let nulls = ["current_session_id", "logged_in_at"];
    assert!(nulls.iter().all(|name| told[name].is_null()));
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    assert_eq!(told.as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn people_are_pending_and_get_texts_if_they_have_a_number_unless_told() {
    let stage = Stage::new();
    let made = async |change: Value| {
        let body = json!({"name": "Rosa", "email_address": format!("{}@example.gov.uk", Uuid::new_v4())});
        let answer = stage.internal_post("/user", &crate::stage::changed(body, &change)).await;
        let user = answer.json()["data"].clone();
        (user["auth_type"].clone(), user["state"].clone(), user["can_use_webauthn"].clone())
    };
    let number = json!("07700900855");
    let (sms, email) = (json!("sms_auth"), json!("email_auth"));
    assert_eq!(made(json!({ "mobile_number": number })).await, (sms, json!("pending"), json!(false)));
    assert_eq!(made(json!({})).await, (email, json!("pending"), json!(false)));
    let key = json!({"auth_type": "webauthn_auth", "state": "inactive"});
    assert_eq!(made(key).await, (json!("webauthn_auth"), json!("inactive"), json!(true)));
    assert_eq!(made(json!({"platform_admin": true})).await.2, json!(true));
}

#[tokio::test]
async fn a_password_is_not_dropped_silently_and_all_faults_are_told_at_once() {
    let stage = Stage::new();
    let rosa = json!({"name": "Rosa", "email_address": "rosa@example.gov.uk", "password": "correct horse",
        "mobile_number": "07700900855", "auth_type": "sms_auth"});
    let answer = stage.internal_post("/user", &rosa).await;
    assert_eq!(
        answer.parts(),
        refused(400, json!({"password": ["Nobody can sign in here yet, so no password is kept."]}))
    );
    let wrong = json!({"email_address": "nowhere", "mobile_number": "020 7946 0958", "auth_type": "pigeon", "state": "asleep",
        "password": "x", "take_part_in_research": "yes"});
    let told = json!({
        "name": ["Missing data for required field."],
        "email_address": ["Not a valid email address"],
        "mobile_number": ["Invalid phone number: Not a UK mobile number"],
        "auth_type": ["Must be one of: sms_auth, email_auth, webauthn_auth."],
        "state": ["Must be one of: pending, active, inactive."],
        "password": ["Nobody can sign in here yet, so no password is kept."],
        "take_part_in_research": ["Not a valid boolean."],
    });
    assert_eq!(stage.internal_post("/user", &wrong).await.parts(), refused(400, told));
    let long = json!({"name": "Rosa", "email_address": format!("{}@example.com", "a".repeat(250))});
    let told = json!({"email_address": ["Longer than maximum length 255."]});
    assert_eq!(stage.internal_post("/user", &long).await.parts(), refused(400, told));
    let no_number = json!({"name": "Rosa", "email_address": "rosa@example.gov.uk", "auth_type": "sms_auth"});
    let message = "Mobile number must be set if auth_type is set to sms_auth";
    assert_eq!(stage.internal_post("/user", &no_number).await.parts(), refused(400, message));
}

#[tokio::test]
async fn words_that_stand_where_ids_of_people_do_are_other_urls() {
    let stage = Stage::new();
    for word in ["email", "reset-password", "find-users-by-email", "x"] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let url = format!("/user/{word}");
            let answer = stage.internal(method.clone(), &url, &json!({"email": "rosa@example.gov.uk"})).await;
            let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.starts_with("The requested URL was not found"), "{method} {url}: {answer:?}");
            assert_eq!(stage.http().call(method, &url, None, "").await.status, 401, "{url}");
        }
    }
}

#[tokio::test]
async fn people_need_a_name_and_an_address_of_their_own() {
    let stage = Stage::new();
    stage.person("Rosa").await;
    let answer = stage.internal_post("/user", &json!({"email_address": "a@example.gov.uk"})).await;
    assert_eq!(answer.parts(), missing("name"));
    let answer = stage.internal_post("/user", &json!({"name": "Ada"})).await;
    assert_eq!(answer.parts(), missing("email_address"));
    let wrong = json!({"name": " ", "email_address": "nowhere", "mobile_number": "12"});
    let answer = stage.internal_post("/user", &wrong).await.parts();
    assert_eq!(answer.1["message"]["name"], json!(["Invalid name"]));
    assert_eq!(answer.1["message"]["email_address"], json!(["Not a valid email address"]));
    assert!(answer.1["message"]["mobile_number"][0].as_str().unwrap().starts_with("Invalid phone number: "));
    let taken = json!({"name": "Rosa", "email_address": "ROSA@example.gov.uk"});
    let answer = stage.internal_post("/user", &taken).await;
    let told = json!({"email_address": ["A user with this email address exists already"]});
    assert_eq!(answer.parts(), refused(400, told));
}
