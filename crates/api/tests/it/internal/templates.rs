//! Templates as the front end makes them.

use std::collections::BTreeSet;

use domain::{id::TemplateId, status::Channel};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refused;
use crate::stage::{Stage, changed, error, now};

/// Somebody who works on templates.
struct Person {
    id: Uuid,
    email_address: String,
}

fn person(stage: &Stage, name: &str) -> Person {
    let (id, email_address) = (Uuid::new_v4(), format!("{name}@example.gov.uk"));
    stage.sql(&format!(
        "INSERT INTO users (id, name, email_address, created_at) VALUES ('{id}', '{name}', '{email_address}', now())"
    ));
    Person { id, email_address }
}

fn path(stage: &Stage, rest: &str) -> String {
    format!("/service/{}/template{rest}", stage.service_id())
}

/// A text to be, with changes; null removes a field.
fn text(stage: &Stage, by: &Person, change: &Value) -> Value {
    let body = json!({
        "name": "Reminder",
        "template_type": "sms",
        "content": "Dear ((name)), tomorrow",
        "service": stage.service_id(),
        "created_by": by.id,
    });
    changed(body, change)
}

async fn created(stage: &Stage, body: &Value) -> Value {
    let answer = stage.internal_post(&path(stage, ""), body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["data"].clone()
}

fn id_of(template: &Value) -> &str {
    template["id"].as_str().unwrap()
}

async fn update(stage: &Stage, template: &Value, body: &Value) -> (u16, Value) {
    stage.internal_post(&path(stage, &format!("/{}", id_of(template))), body).await.parts()
}

async fn updated(stage: &Stage, template: &Value, body: &Value) -> Value {
    let (status, body) = update(stage, template, body).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

async fn read(stage: &Stage, rest: &str) -> (u16, Value) {
    stage.internal_get(&path(stage, rest)).await.parts()
}

fn no_result() -> (u16, Value) {
    refused(404, "No result found")
}

/// Violations of the schema.
fn invalid(messages: &[&str]) -> (u16, Value) {
    let errors: Vec<Value> =
        messages.iter().map(|message| json!({"error": "ValidationError", "message": message})).collect();
    (400, json!({"status_code": 400, "errors": errors}))
}

#[tokio::test]
async fn a_new_template_is_at_version_1_and_shown_whole() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let body = text(&stage, &ada, &json!({"postage": "second", "parent_folder_id": null}));
    let template = created(&stage, &body).await;
    let id: TemplateId = id_of(&template).parse().unwrap();
    assert_eq!(id.0.get_version_num(), 7);
    assert!(template["created_at"].as_str().is_some_and(|at| at.len() == 27 && at.ends_with('Z')));
    let expected = json!({
        "id": id,
        "name": "Reminder",
        "template_type": "sms",
        "content": "Dear ((name)), tomorrow",
        "subject": null,
        "archived": false,
        "hidden": false,
        "version": 1,
        "service": stage.service_id(),
        "created_by": ada.id,
        "created_at": template["created_at"],
        "updated_at": null,
        "folder": null,
        "postage": null,
        "reply_to": null,
        "reply_to_text": "PILLARBOX",
        "letter_attachment": null,
        "letter_languages": null,
        "letter_welsh_content": null,
        "letter_welsh_subject": null,
        "is_precompiled_letter": false,
        "redact_personalisation": false,
        "has_unsubscribe_link": false,
        "email_files": [],
    });
    assert_eq!(template, expected);
    assert_eq!(read(&stage, &format!("/{id}")).await, (200, json!({"data": expected})));
}

#[tokio::test]
async fn an_email_has_a_subject_and_may_have_an_unsubscribe_link() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let email = json!({"template_type": "email", "subject": "For ((name))", "has_unsubscribe_link": true});
    let template = created(&stage, &text(&stage, &ada, &email)).await;
    assert_eq!(template["subject"], "For ((name))");
    assert_eq!(template["has_unsubscribe_link"], true);
    assert_eq!(template["reply_to_text"], "desk@example.com");
}

#[tokio::test]
async fn required_fields_of_a_new_template() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    for field in ["name", "content", "service", "created_by"] {
        let answer =
            stage.internal_post(&path(&stage, ""), &text(&stage, &ada, &json!({ field: null }))).await;
        assert_eq!(answer.parts(), invalid(&[&format!("{field} is a required property")]));
    }
    for channel in ["email", "letter"] {
        let body = text(&stage, &ada, &json!({"template_type": channel}));
        let answer = stage.internal_post(&path(&stage, ""), &body).await;
        assert_eq!(answer.parts(), invalid(&["subject is a required property"]));
    }
    let all = ["name", "template_type", "content", "service", "created_by", "subject"];
    let all = all.map(|field| format!("{field} is a required property"));
    let answer = stage.internal_post(&path(&stage, ""), &json!({})).await;
    assert_eq!(answer.parts(), invalid(&all.each_ref().map(String::as_str)));
}

#[tokio::test]
async fn values_of_the_wrong_kind_fail_the_schema() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let bad =
        json!({"name": 5, "template_type": "fax", "subject": "", "service": "x", "has_unsubscribe_link": 1});
    let answer = stage.internal_post(&path(&stage, ""), &text(&stage, &ada, &bad)).await;
    let said = [
        "name 5 is not of type string",
        "template_type fax is not one of [sms, email, letter]",
        "service is not a valid UUID",
    ];
    assert_eq!(answer.parts(), invalid(&said));
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let bad = json!({"content": null, "archived": "yes", "reply_to": "x", "created_by": 1});
    let said = [
        "content None is not of type string",
        "created_by is not a valid UUID",
        "archived yes is not of type boolean",
        "reply_to is not a valid UUID",
    ];
    assert_eq!(update(&stage, &template, &bad).await, invalid(&said));
}

#[tokio::test]
async fn service_lacks_the_permission() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    stage.sql("DELETE FROM service_permissions");
    stage.sql(&format!("INSERT INTO service_permissions VALUES ('{}', 'letter')", stage.service_id()));
    for (channel, name) in [("sms", "text message"), ("email", "email"), ("letter", "letter")] {
        let body = text(&stage, &ada, &json!({"template_type": channel, "subject": "Hello"}));
        let message = format!("Creating {name} templates is not allowed");
        let answer = stage.internal_post(&path(&stage, ""), &body).await;
        assert_eq!(answer.parts(), refused(403, json!({"template_type": [message]})));
    }
    let expected = refused(403, json!({"template_type": ["Updating text message templates is not allowed"]}));
    assert_eq!(update(&stage, &template, &json!({"name": "New"})).await, expected);
}

#[tokio::test]
async fn sms_content_over_918_characters() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let too_long =
        refused(400, json!({"content": ["Content has a character count greater than the limit of 918"]}));
    let fits = format!("{} ((placeholder))", "x".repeat(917));
    let template = created(&stage, &text(&stage, &ada, &json!({"content": fits}))).await;
    let long = json!({"content": "x".repeat(919)});
    let answer = stage.internal_post(&path(&stage, ""), &text(&stage, &ada, &long)).await;
    assert_eq!(answer.parts(), too_long);
    assert_eq!(update(&stage, &template, &long).await, too_long);
    assert_eq!(updated(&stage, &template, &json!({"content": "x".repeat(918)})).await["version"], 2);
}

#[tokio::test]
async fn unknown_folder() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let body = text(&stage, &ada, &json!({"parent_folder_id": Uuid::new_v4()}));
    let answer = stage.internal_post(&path(&stage, ""), &body).await;
    assert_eq!(answer.parts(), refused(400, "parent_folder_id not found"));
}

#[tokio::test]
async fn unknown_user() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let expected = refused(400, json!({"created_by": ["User not found"]}));
    let nobody = json!({"created_by": Uuid::new_v4()});
    let answer = stage.internal_post(&path(&stage, ""), &text(&stage, &ada, &nobody)).await;
    assert_eq!(answer.parts(), expected);
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    for change in [json!({"name": "New"}), json!({"redact_personalisation": true})] {
        assert_eq!(update(&stage, &template, &changed(change, &nobody)).await, expected);
    }
    assert_eq!(read(&stage, &format!("/{}", id_of(&template))).await.1["data"], template);
}

#[tokio::test]
async fn an_email_whose_subject_is_blank() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let expected = refused(400, json!({"subject": ["Invalid template subject"]}));
    let body = text(&stage, &ada, &json!({"template_type": "email", "subject": " "}));
    assert_eq!(stage.internal_post(&path(&stage, ""), &body).await.parts(), expected);
    let template = created(&stage, &changed(body, &json!({"subject": "Hello"}))).await;
    assert_eq!(update(&stage, &template, &json!({"subject": ""})).await, expected);
}

#[tokio::test]
async fn missing_rows_and_ids_that_are_none() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let (unknown, template) = (Uuid::new_v4(), stage.sample.sms.id);
    let of_nobody = format!("/service/{unknown}/template");
    assert_eq!(stage.internal_get(&of_nobody).await.parts(), no_result());
    assert_eq!(stage.internal_post(&of_nobody, &text(&stage, &ada, &json!({}))).await.parts(), no_result());
    assert_eq!(stage.internal_get(&format!("{of_nobody}/{template}")).await.parts(), no_result());
    for rest in [
        format!("/{unknown}"),
        format!("/{unknown}/versions"),
        format!("/{unknown}/version/1"),
        format!("/{unknown}/preview"),
        format!("/{template}/version/0"),
        format!("/{template}/version/2"),
        format!("/{template}/version/99999999999"),
    ] {
        assert_eq!(read(&stage, &rest).await, no_result(), "{rest}");
    }
    assert_eq!(update(&stage, &json!({"id": unknown}), &json!({"name": "New"})).await, no_result());
    for rest in ["/x", "/x/versions", "/x/version/1", &format!("/{template}/version/x")] {
        let (status, body) = read(&stage, rest).await;
        let message = body["message"].as_str().unwrap_or_default();
        assert!(status == 404 && message.starts_with("The requested URL was not found"), "{rest}: {body}");
    }
}

#[tokio::test]
async fn a_change_makes_a_version_and_the_old_ones_stay_as_they_were() {
    let stage = Stage::new();
    let (ada, ben) = (person(&stage, "ada"), person(&stage, "ben"));
    let first = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let change = json!({"name": "Last reminder", "content": "Today", "created_by": ben.id, "zoo": 1});
    let second = updated(&stage, &first, &change).await;
    let expected = json!({
        "name": "Last reminder",
        "content": "Today",
        "version": 2,
        "created_by": ben.id,
        "updated_at": second["updated_at"],
    });
    assert!(second["updated_at"].is_string());
    assert_eq!(second, changed(first.clone(), &expected));
    let id = id_of(&first);
    let by = |template: &Value, name: &str, person: &Person| {
        let author = json!({"id": person.id, "name": name, "email_address": person.email_address});
        changed(template.clone(), &json!({ "created_by": author }))
    };
    let (first, second) = (by(&first, "ada", &ada), by(&second, "ben", &ben));
    assert_eq!(read(&stage, &format!("/{id}/version/1")).await, (200, json!({ "data": first })));
    assert_eq!(read(&stage, &format!("/{id}/versions")).await, (200, json!({"data": [second, first]})));
    // The public API tells addresses.
    let public = stage.get(&format!("/v2/template/{id}")).await.json();
    assert_eq!(public["created_by"], ben.email_address);
    let public = stage.get(&format!("/v2/template/{id}/version/1")).await.json();
    assert_eq!((&public["created_by"], &public["name"]), (&json!(ada.email_address), &json!("Reminder")));
}

#[tokio::test]
async fn what_no_person_made_is_by_the_platforms_user() {
    let stage = Stage::new();
    let platform = "6af522d0-2915-4e52-83a3-3690455a5fe6";
    let person = stage.internal_get(&format!("/user/{platform}")).await;
    assert_eq!(person.status, 200, "{person:?}");
    let person = person.json()["data"].clone();
    let author = json!({"id": platform, "name": person["name"], "email_address": person["email_address"]});
    let id = stage.sample.sms.id;
    assert_eq!(read(&stage, &format!("/{id}")).await.1["data"]["created_by"], platform);
    assert_eq!(read(&stage, &format!("/{id}/version/1")).await.1["data"]["created_by"], author);
    assert_eq!(read(&stage, &format!("/{id}/versions")).await.1["data"][0]["created_by"], author);
    let changed = updated(&stage, &json!({ "id": id }), &json!({"name": "New"})).await;
    assert_eq!(changed["created_by"], platform, "as the version before");
    let public = stage.get(&format!("/v2/template/{id}")).await.json();
    assert_eq!(public["created_by"], "rosa@example.gov.uk", "the operator's address stays");
}

#[tokio::test]
async fn a_front_end_that_says_null_of_each_text_makes_one() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let email = json!({"template_type": "email", "subject": "Hello"});
    let with = |template: &Value, link: Value| {
        let mut body = text(&stage, &ada, template);
        body["has_unsubscribe_link"] = link;
        body
    };
    for (template, link, has_link) in [
        (&json!({}), json!(null), false),
        (&json!({}), json!(false), false),
        (&email, json!(null), false),
        (&email, json!(true), true),
    ] {
        assert_eq!(
            created(&stage, &with(template, link)).await["has_unsubscribe_link"],
            has_link,
            "{template}"
        );
    }
    let refusal = |message: &str| refused(400, json!({ "has_unsubscribe_link": [message] }));
    let only_emails = refusal("Only email templates can have an unsubscribe link");
    for (link, expected) in [
        (json!(true), only_emails.clone()),
        (json!("true"), refusal("Not a valid boolean.")),
        (json!(1), refusal("Not a valid boolean.")),
        (json!([]), refusal("Not a valid boolean.")),
    ] {
        let answer = stage.internal_post(&path(&stage, ""), &with(&json!({}), link.clone())).await;
        assert_eq!(answer.parts(), expected, "{link}");
    }
    let two_faults = with(&json!({"name": null}), json!("x"));
    let answer = stage.internal_post(&path(&stage, ""), &two_faults).await;
    assert_eq!(answer.parts(), invalid(&["name is a required property"]), "the schema comes first");

    let (sms, mail) = (
        created(&stage, &with(&json!({}), json!(null))).await,
        created(&stage, &with(&email, json!(true))).await,
    );
    let change = |link: Value| json!({ "has_unsubscribe_link": link });
    for template in [&sms, &mail] {
        assert_eq!(update(&stage, template, &change(json!(null))).await, refusal("Field may not be null."));
        assert_eq!(update(&stage, template, &change(json!("x"))).await, refusal("Not a valid boolean."));
    }
    assert_eq!(update(&stage, &sms, &change(json!(true))).await, only_emails);
    assert_eq!(updated(&stage, &sms, &change(json!(false))).await, sms);
    assert_eq!(updated(&stage, &mail, &change(json!(false))).await["has_unsubscribe_link"], false);
}

#[tokio::test]
async fn no_version_when_nothing_relevant_changed() {
    let stage = Stage::new();
    let (ada, ben) = (person(&stage, "ada"), person(&stage, "ben"));
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let same = text(&stage, &ben, &json!({"archived": false, "subject": "Not of texts"}));
    assert_eq!(updated(&stage, &template, &same).await, template);
    assert_eq!(updated(&stage, &template, &json!({})).await, template);
}

#[tokio::test]
async fn a_version_is_by_whom_the_client_acts_for_unless_the_body_says_otherwise() {
    let stage = Stage::new();
    let (ada, ben) = (person(&stage, "ada"), person(&stage, "ben"));
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let path = path(&stage, &format!("/{}", id_of(&template)));
    let mut authors = Vec::new();
    // Recorded, not verified: whom nobody knows is passed over.
    for (user, by) in [(ben.id, json!(null)), (Uuid::new_v4(), json!(null)), (ben.id, json!(ada.id))] {
        let body = changed(json!({"name": format!("{}", authors.len())}), &json!({"created_by": by}));
        let user = user.to_string();
        let answer = stage.internal_as(Some(&user), hyper::Method::POST, &path, &body).await;
        authors.push(answer.json()["data"]["created_by"].clone());
    }
    assert_eq!(authors, [json!(ben.id), json!(ben.id), json!(ada.id)]);
}

#[tokio::test]
async fn two_updates_at_once_never_make_the_same_version() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let texts: BTreeSet<String> = (0..12).map(|n| format!("Text {n}")).collect();
    let changes: Vec<Value> = texts.iter().map(|text| json!({ "content": text })).collect();
    let answers = join_all(changes.iter().map(|change| update(&stage, &template, change))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let (_, versions) = read(&stage, &format!("/{}/versions", id_of(&template))).await;
    let versions = versions["data"].as_array().unwrap();
    let numbers: Vec<i64> = versions.iter().map(|version| version["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=13).rev().collect::<Vec<_>>());
    let contents = versions[..12].iter().map(|version| version["content"].as_str().unwrap().to_owned());
    assert_eq!(contents.collect::<BTreeSet<_>>(), texts);
}

#[tokio::test]
async fn an_archived_template_is_readable_but_not_listed_and_not_sent() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let archived = updated(&stage, &template, &json!({"archived": true, "created_by": ada.id})).await;
    assert_eq!(
        (&archived["archived"], &archived["version"], &archived["folder"]),
        (&json!(true), &json!(2), &json!(null))
    );
    let id = id_of(&template);
    assert_eq!(read(&stage, &format!("/{id}")).await, (200, json!({"data": archived})));
    assert_eq!(read(&stage, &format!("/{id}/version/1")).await.1["data"]["archived"], false);
    let (_, list) = read(&stage, "").await;
    assert!(list["data"].as_array().unwrap().iter().all(|listed| listed["id"] != template["id"]), "{list}");
    let answer = stage.send("sms", &stage.sms(&json!({"template_id": id}))).await;
    assert_eq!(answer.parts(), error(400, "BadRequestError", "Template has been deleted"));
    let back = updated(&stage, &template, &json!({"archived": false})).await;
    assert_eq!((&back["archived"], &back["version"]), (&json!(false), &json!(3)));
}

#[tokio::test]
async fn the_list_is_by_name_then_type() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    stage.sql("UPDATE templates SET hidden = true");
    let email = json!({"name": "B", "template_type": "email", "subject": "Hello"});
    let mut expected = Vec::new();
    for change in [email, json!({"name": "B"}), json!({"name": "A"})] {
        let template = created(&stage, &text(&stage, &ada, &change)).await;
        let (id, name, channel) = (&template["id"], &template["name"], &template["template_type"]);
        let listed = json!({"folder": null, "id": id, "is_precompiled_letter": false, "name": name, "template_type": channel});
        expected.insert(0, listed);
    }
    assert_eq!(read(&stage, "").await, (200, json!({ "data": expected })));
}

#[tokio::test]
async fn hidden_templates_are_not_shown() {
    let stage = Stage::new();
    stage.sql("UPDATE templates SET hidden = true");
    let id = stage.sample.sms.id;
    for rest in
        [format!("/{id}"), format!("/{id}/version/1"), format!("/{id}/versions"), format!("/{id}/preview")]
    {
        assert_eq!(read(&stage, &rest).await, no_result(), "{rest}");
    }
    assert_eq!(update(&stage, &json!({ "id": id }), &json!({"name": "New"})).await, no_result());
}

#[tokio::test]
async fn redact_without_user() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let expected = refused(400, json!({"created_by": ["Field is required"]}));
    assert_eq!(update(&stage, &template, &json!({"redact_personalisation": true})).await, expected);
    assert_eq!(read(&stage, &format!("/{}", id_of(&template))).await.1["data"], template);
}

#[tokio::test]
async fn redacting_is_one_way_and_makes_no_version() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    // Nothing else of the body is done.
    let redact = json!({"redact_personalisation": true, "created_by": ada.id, "name": "New"});
    for _ in 0..2 {
        assert_eq!(update(&stage, &template, &redact).await, (200, Value::Null));
    }
    let redacted = changed(template.clone(), &json!({"redact_personalisation": true}));
    assert_eq!(read(&stage, &format!("/{}", id_of(&template))).await.1["data"], redacted);
    let undo = json!({"redact_personalisation": false, "created_by": ada.id});
    assert_eq!(updated(&stage, &template, &undo).await, redacted);
    // Services go on seeing what they sent.
    let body = stage.sms(&json!({"template_id": id_of(&template)}));
    let sent = stage.send("sms", &body).await.json();
    let read = stage.get(&format!("/v2/notifications/{}", id_of(&sent))).await.json();
    assert_eq!(read["body"], "Dear Rosa, tomorrow");
}

#[tokio::test]
async fn reply_to_changes_nothing_else_and_is_what_messages_come_from() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let service = stage.service_id();
    let (sender, address) = (Uuid::new_v4(), Uuid::new_v4());
    stage.sql(&format!("INSERT INTO sms_senders (id, service_id, sender, is_default, created_at) VALUES ('{sender}', '{service}', 'PERMITS', false, now())"));
    stage.sql(&format!("INSERT INTO reply_to_addresses (id, service_id, address, is_default, created_at) VALUES ('{address}', '{service}', 'permits@example.com', false, now())"));
    let email = json!({"template_type": "email", "subject": "Hello"});
    for (channel, change, reply_to, text_of_it) in [
        (Channel::Sms, json!({}), sender, "PERMITS"),
        (Channel::Email, email, address, "permits@example.com"),
    ] {
        let template = created(&stage, &text(&stage, &ada, &change)).await;
        let now = updated(&stage, &template, &json!({"reply_to": reply_to, "name": "New"})).await;
        let expected = json!({"reply_to": reply_to, "reply_to_text": text_of_it});
        assert_eq!(now, changed(template.clone(), &expected), "no name, no version");
        let change = json!({"template_id": id_of(&template)});
        let body = match channel {
            Channel::Sms => stage.sms(&change),
            Channel::Email => stage.email(&change),
        };
        assert_eq!(stage.send(channel.as_str(), &body).await.status, 201);
        stage.sql(&format!(
            "DO $$ BEGIN ASSERT (SELECT sender = '{text_of_it}' FROM notifications WHERE channel = '{channel}'); END $$"
        ));
        let mut unset = updated(&stage, &template, &json!({"reply_to": null})).await;
        assert_eq!(unset["reply_to"].take(), Value::Null);
        assert_eq!(unset["reply_to_text"], template["reply_to_text"]);
    }
}

#[tokio::test]
async fn reply_to_that_is_not_the_services() {
    let stage = Stage::new();
    let (unknown, service) = (Uuid::new_v4(), stage.service_id());
    let sample = [(stage.sample.sms.id, "sms_sender_id"), (stage.sample.email.id, "email_reply_to_id")];
    for (template, field) in sample {
        let message = format!("{field} {unknown} does not exist in database for service id {service}");
        let answer = update(&stage, &json!({ "id": template }), &json!({ "reply_to": unknown })).await;
        assert_eq!(answer, refused(400, message));
    }
}

#[tokio::test]
async fn a_preview_has_its_values_filled_in() {
    let stage = Stage::new();
    let ada = person(&stage, "ada");
    let template = created(&stage, &text(&stage, &ada, &json!({}))).await;
    let (status, shown) =
        read(&stage, &format!("/{}/preview?NAME=Ada+L%C3%B6we&name=x&surplus=1", id_of(&template))).await;
    assert_eq!((status, &shown["content"]), (200, &json!("Dear x, tomorrow")), "the later spelling wins");
    let (_, shown) = read(&stage, &format!("/{}/preview?name=Ada+L%C3%B6we&name=x", id_of(&template))).await;
    assert_eq!(
        shown,
        changed(template, &json!({"content": "Dear Ada Löwe, tomorrow"})),
        "the first one counts"
    );
    let (_, email) = read(&stage, &format!("/{}/preview?name=Ada", stage.sample.email.id)).await;
    assert_eq!(email["subject"], "Permit for Ada");
    assert_eq!(email["content"], "# Hello Ada\n\nYour permit is ready.");
}

#[tokio::test]
async fn preview_lacks_a_value() {
    let stage = Stage::new();
    let expected = refused(400, json!({"template": ["Missing personalisation: name"]}));
    for query in ["", "?", "?nam=Ada", "?%FF"] {
        let rest = format!("/{}/preview{query}", stage.sample.email.id);
        assert_eq!(read(&stage, &rest).await, expected, "{query}");
    }
}

#[tokio::test]
async fn templates_of_another_service_are_none_of_ours() {
    let stage = Stage::new();
    let other = testkit::sample(&mut stage.connect(), now());
    assert_eq!(read(&stage, &format!("/{}", other.sms.id)).await, no_result());
    assert_eq!(update(&stage, &json!({"id": other.sms.id}), &json!({"name": "Ours"})).await, no_result());
}
