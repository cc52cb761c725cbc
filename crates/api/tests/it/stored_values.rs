//! What of a request is stored: what its template uses, and no more than can be sent.

use domain::{
    id::NotificationId,
    status::{Channel, KeyType},
};
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    http::Answer,
    sending::put_template,
    stage::{ADMIN_SECRET, Stage, bad_request, error, id_of, token},
};

const MEGABYTE: usize = 1_000_000;
const TOO_LARGE: &str = "The data value transmitted exceeds the capacity limit.";
const TOO_LARGE_RENDERED: &str = "The message is longer than 10000000 bytes when rendered";

fn stored(stage: &Stage, id: NotificationId) -> Value {
    let stored = db::notification::find(&mut stage.connect(), id).unwrap().unwrap();
    let sealed = stored.personalisation;
    let opened = sealed.map(|sealed| testkit::keyring().open(id.0, &sealed).unwrap());
    opened.map_or(Value::Null, |json| serde_json::from_slice(&json).unwrap())
}

/// The same request through each of the doors: the current API, that of 2016, and the front end's.
async fn send_through_all(stage: &Stage, channel: Channel, template: Uuid, values: &Value) -> [Answer; 3] {
    let (field, to) = match channel {
        Channel::Sms => ("phone_number", "07700900855"),
        Channel::Email => ("email_address", "rosa@example.com"),
    };
    let v2 = json!({field: to, "template_id": template, "personalisation": values});
    let v1 = json!({"to": to, "template": template, "personalisation": values});
    let user = db::user::User {
        id: Uuid::new_v4(),
        name: "Ada".into(),
        email_address: format!("{}@example.com", Uuid::new_v4()),
        mobile_number: None,
    };
    db::user::put(&mut stage.connect(), &user, crate::stage::now()).unwrap();
    db::user::join(&mut stage.connect(), user.id, stage.service_id()).unwrap();
    let one_off =
        json!({"to": to, "template_id": template, "personalisation": values, "created_by": user.id});
    let key = stage.token(KeyType::Normal);
    let post = async |path: String, token: &str, body: Value| {
        stage.http().call(Method::POST, &path, Some(token), body.to_string()).await
    };
    [
        post(format!("/v2/notifications/{channel}"), &key, v2).await,
        post(format!("/notifications/{channel}"), &key, v1).await,
        post(
            format!("/service/{}/send-notification", stage.service_id()),
            &token("notify-admin", ADMIN_SECRET),
            one_off,
        )
        .await,
    ]
}

#[tokio::test]
async fn only_values_that_the_template_uses_are_stored_by_whatever_name() {
    let stage = Stage::new();
    let subject = Some("((Case No??x))");
    let template =
        put_template(&stage, Channel::Email, subject, "((first_name)) &#40;&#40;only html&#41;&#41;");
    let values = json!({
        "First Name": "Rosa", "case-no": "yes", "only html": "kept", "unused": "x".repeat(7 * MEGABYTE), "first": 1
    });
    let body = stage.email(&json!({"template_id": template, "personalisation": values}));
    let answer = stage.send("email", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["content"]["body"], "Rosa &#40;&#40;only html&#41;&#41;");
    let kept = json!({"First Name": "Rosa", "case-no": "yes", "only html": "kept"});
    assert_eq!(stored(&stage, id_of(&answer)), kept);

    let text = stage.sms(&json!({"personalisation": {"name": "Rosa", "unused": "x".repeat(7 * MEGABYTE)}}));
    let id = id_of(&stage.send("sms", &text).await);
    assert_eq!(stored(&stage, id), json!({"name": "Rosa"}));
    let log = format!("/service/{}/notifications/{id}", stage.service_id());
    let shown = stage.http().get(&log, Some(&token("notify-admin", ADMIN_SECRET))).await;
    assert_eq!(shown.json()["personalisation"], json!({"name": "Rosa"}));
    assert_eq!(
        stage.get(&format!("/v2/notifications/{id}")).await.json()["body"],
        "Hello Rosa, your permit is ready"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_stored_through_any_door() {
    let stage = Stage::new();
    let text = put_template(&stage, Channel::Sms, None, "Hello((a??x))");
    let mail = put_template(&stage, Channel::Email, Some("s"), "Hello((a??x))");
    for (channel, template, limit) in
        [(Channel::Sms, text, 64 * 1024), (Channel::Email, mail, 2_000_000 + 64 * 1024)]
    {
        let just_within = json!({"a": "x".repeat(limit - 300)});
        for answer in send_through_all(&stage, channel, template.0, &just_within).await {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let beyond = json!({"a": "x".repeat(limit)});
        let [v2, v1, one_off] = send_through_all(&stage, channel, template.0, &beyond).await;
        assert_eq!(v2.parts(), error(413, "RequestEntityTooLarge", TOO_LARGE));
        let plain = (413, json!({"result": "error", "message": TOO_LARGE}));
        assert_eq!((v1.parts(), one_off.parts()), (plain.clone(), plain));
    }
}

#[tokio::test]
async fn a_number_with_a_megabyte_around_it_is_not_stored_either() {
    let stage = Stage::new();
    let number = format!("{}7700900855", "0".repeat(MEGABYTE));
    let answer = stage.send("sms", &stage.sms(&json!({"phone_number": number}))).await;
    assert_eq!(answer.parts(), error(413, "RequestEntityTooLarge", TOO_LARGE));
}

#[tokio::test]
async fn the_contracts_own_words_about_length_come_first() {
    let stage = Stage::new();
    let long = json!({"personalisation": {"name": "x".repeat(100_000)}});
    let answer = stage.send("sms", &stage.sms(&long)).await;
    let message = "Your message is too long. Text messages cannot be longer than 918 characters. Your message is 100028 \
                   characters long.";
    assert_eq!(answer.parts(), bad_request(message));
    let long = json!({"personalisation": {"name": "x".repeat(2_100_000)}});
    let answer = stage.send("email", &stage.email(&long)).await;
    let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(answer.status == 400 && message.starts_with("Your message is too long. Emails"), "{message}");
}

#[tokio::test]
async fn a_mail_too_large_to_be_sent_is_refused_at_once_through_every_door_as_by_its_preview() {
    let stage = Stage::new();
    let template = put_template(&stage, Channel::Email, Some("s"), "((a))");
    // Each line becomes two lists.
    let values = json!({"a": "* * \n".repeat(30_000)});
    let [v2, v1, one_off] = send_through_all(&stage, Channel::Email, template.0, &values).await;
    assert_eq!(v2.parts(), bad_request(TOO_LARGE_RENDERED));
    let of_field = json!({"result": "error", "message": {"content": [TOO_LARGE_RENDERED]}});
    assert_eq!(v1.parts(), (400, of_field));
    assert_eq!(one_off.parts(), (400, json!({"result": "error", "message": TOO_LARGE_RENDERED})));
    let path = format!("/v2/template/{template}/preview");
    let body = json!({"personalisation": values}).to_string();
    let preview = stage.http().post(&path, Some(&stage.token(KeyType::Normal)), body).await;
    assert_eq!(preview.parts(), bad_request(TOO_LARGE_RENDERED));
}
