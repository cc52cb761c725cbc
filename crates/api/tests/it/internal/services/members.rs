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
async fn people_need_a_name_and_an_address_of_their_own() {
    let stage = Stage::new();
    stage.person("Rosa").await;
    let answer = stage.internal_post("/user", &json!({"email_address": "a@example.gov.uk"})).await;
    assert_eq!(answer.parts(), missing("name"));
    let answer = stage.internal_post("/user", &json!({"name": "Ada"})).await;
    assert_eq!(answer.parts(), missing("email_address"));
    let wrong = json!({"name": " ", "email_address": "nowhere", "mobile_number": "12"});
    let answer = stage.internal_post("/user", &wrong).await.parts();
    assert_eq!(answer.1["message"]["name"], json!(["Must not be blank"]));
    assert_eq!(answer.1["message"]["email_address"], json!(["Not a valid email address"]));
    assert!(answer.1["message"]["mobile_number"][0].as_str().unwrap().starts_with("Invalid phone number: "));
    let taken = json!({"name": "Rosa", "email_address": "ROSA@example.gov.uk"});
    let answer = stage.internal_post("/user", &taken).await;
    let told = json!({"email_address": ["A user with this email address exists already"]});
    assert_eq!(answer.parts(), refused(400, told));
}
