//! Unsubscribing, as section 14 of the wire contract has it: what mails carry, and what comes of following it.

use api::Config;
use chrono::{TimeDelta, Utc};
use db::{notification::StoredNotification, template::Template};
use diesel::{QueryDsl, RunQueryDsl};
use domain::{
    id::{NotificationId, TemplateId},
    status::KeyType,
};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    delivering::{providers, simulator},
    http::Answer,
    stage::{Stage, id_of, now},
};

const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

fn unsubscribed() -> (u16, Value) {
    (200, json!({"result": "success", "message": "Unsubscribe successful"}))
}

fn refused(message: &str) -> (u16, Value) {
    (404, json!({"result": "error", "message": {"unsubscribe request": message}}))
}

fn invalid() -> (u16, Value) {
    refused("This is not a valid unsubscribe link.")
}

/// A mail that was accepted.
struct Mail {
    id: NotificationId,
    answer: Answer,
    stored: StoredNotification,
    page_url: Option<String>,
}

impl Mail {
    /// The path of the link for programs.
    fn path(&self) -> String {
        let url = self.stored.unsubscribe_url.as_deref().unwrap();
        url[url.find("/unsubscribe/").unwrap()..].to_owned()
    }

    fn token(&self) -> String {
        self.path().rsplit('/').next().unwrap().to_owned()
    }
}

fn stage(configure: impl FnOnce(&mut Config)) -> Stage {
    let stage = Stage::with(|_| {}, configure);
    let with_link = Template { has_unsubscribe_link: true, ..stage.sample.email.clone() };
    db::template::put(&mut stage.connect(), &with_link, "rosa@example.gov.uk", now()).unwrap();
    stage
}

async fn mail(stage: &Stage, change: &Value) -> Mail {
    use db::schema::notifications::dsl::*;
    let answer = stage.send("email", &stage.email(change)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut conn = stage.connect();
    let sent = id_of(&answer);
    let stored = db::notification::find(&mut conn, sent).unwrap().unwrap();
    let page_url = notifications.find(sent.0).select(unsubscribe_page_url).first(&mut conn).unwrap();
    Mail { id: sent, answer, stored, page_url }
}

async fn post(stage: &Stage, path: &str) -> Answer {
    stage.http().post(path, None, ONE_CLICK).await
}

/// As a browser does.
async fn browse(stage: &Stage, method: Method, path: &str) -> Answer {
    let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8".to_owned());
    stage.http().send(method, path, &[accept], "").await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn requests(stage: &Stage) -> i64 {
    use db::schema::unsubscribe_requests::dsl::*;
    unsubscribe_requests.count().get_result(&mut stage.connect()).unwrap()
}

#[tokio::test]
async fn a_template_with_a_link_gives_a_generated_api_url_and_the_post_does_not_echo_it() {
    let stage = stage(|_| {});
    let mail = mail(&stage, &json!({})).await;
    assert_eq!(mail.answer.json()["content"]["one_click_unsubscribe_url"], Value::Null);
    let start = format!("http://{}/unsubscribe/{}/", stage.http().address, mail.id);
    let url = mail.stored.unsubscribe_url.clone().unwrap();
    assert!(url.starts_with(&start), "{url}");
    assert!(!url.to_lowercase().contains("rosa"), "{url}");
    assert_eq!(mail.page_url.as_ref(), Some(&url));
    let shown = stage.get(&format!("/v2/notifications/{}", mail.id)).await.json();
    assert_eq!(shown["one_click_unsubscribe_url"], json!(url));
    assert_eq!(shown["body"], "# Hello Rosa\n\nYour permit is ready.", "the link is only in the mail");
}

#[tokio::test]
async fn the_callers_url_wins_in_the_headers_and_the_templates_own_link_stays_in_the_text() {
    let stage = stage(|_| {});
    let url = "https://permits.example/stop?who=1";
    let both = mail(&stage, &json!({"one_click_unsubscribe_url": url})).await;
    assert_eq!(both.answer.json()["content"]["one_click_unsubscribe_url"], url);
    assert_eq!(both.stored.unsubscribe_url.as_deref(), Some(url));
    assert!(both.page_url.unwrap().contains(&format!("/unsubscribe/{}/", both.id)));
    let without = Template { has_unsubscribe_link: false, ..stage.sample.email.clone() };
    let id = TemplateId::new(now());
    let without = Template { id, name: "Without".into(), ..without };
    db::template::put(&mut stage.connect(), &without, "rosa@example.gov.uk", now()).unwrap();
    let only = mail(&stage, &json!({"one_click_unsubscribe_url": url, "template_id": id})).await;
    assert_eq!((only.stored.unsubscribe_url.as_deref(), only.page_url), (Some(url), None));
    let neither = mail(&stage, &json!({"template_id": id})).await;
    assert_eq!((neither.stored.unsubscribe_url, neither.page_url), (None, None));
}

#[tokio::test]
async fn links_begin_with_the_public_url_and_those_for_people_with_their_own() {
    let stage = stage(|config| {
        config.api.public_url = "https://api.example/".into();
        config.api.unsubscribe_url = "https://www.example".into();
    });
    let mail = mail(&stage, &json!({})).await;
    let path = mail.path();
    assert_eq!(mail.stored.unsubscribe_url, Some(format!("https://api.example{path}")));
    assert_eq!(mail.page_url, Some(format!("https://www.example{path}")));
    assert_eq!(post(&stage, &path).await.parts(), unsubscribed());
}

#[tokio::test]
async fn the_mails_of_the_2016_api_have_the_link_too() {
    let stage = stage(|_| {});
    let body = json!({"to": "rosa@example.com", "template": stage.sample.email.id, "personalisation": {"name": "Rosa"}});
    let answer = stage
        .http()
        .post("/notifications/email", Some(&stage.token(KeyType::Normal)), body.to_string())
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id: NotificationId = answer.json()["data"]["notification"]["id"].as_str().unwrap().parse().unwrap();
    let stored = db::notification::find(&mut stage.connect(), id).unwrap().unwrap();
    assert!(stored.unsubscribe_url.unwrap().contains(&format!("/unsubscribe/{id}/")));
}

#[tokio::test]
async fn a_preview_is_the_body_without_the_link_as_nobody_is_to_get_it() {
    let stage = stage(|_| {});
    let path = format!("/v2/template/{}/preview", stage.sample.email.id);
    let body = json!({"personalisation": {"name": "Rosa"}}).to_string();
    let answer = stage.http().post(&path, Some(&stage.token(KeyType::Normal)), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let html = answer.json()["html"].as_str().unwrap().to_owned();
    assert!(html.contains("Hello Rosa") && !html.contains("nsubscribe"), "{html}");
}

#[tokio::test]
async fn unsubscribing_stores_notification_template_version_service_and_address() {
    use db::schema::unsubscribe_requests::dsl::*;
    let stage = stage(|_| {});
    let mail = mail(&stage, &json!({})).await;
    let answer = post(&stage, &mail.path()).await;
    assert_eq!(answer.parts(), unsubscribed());
    assert_eq!(text(&answer), r#"{"result":"success","message":"Unsubscribe successful"}"#);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    type Row =
        (uuid::Uuid, (uuid::Uuid, uuid::Uuid, i32, uuid::Uuid), Vec<u8>, Option<chrono::DateTime<Utc>>);
    let row: Row = unsubscribe_requests
        .select((id, (notification_id, template_id, template_version, service_id), address, processed_at))
        .first(&mut stage.connect())
        .unwrap();
    assert_eq!(row.1, (mail.id.0, stage.sample.email.id.0, 2, stage.service_id().0));
    assert_eq!(testkit::keyring().open(row.0, &row.2).unwrap(), b"Rosa@example.com");
    assert_eq!(row.3, None);
}

#[tokio::test]
async fn a_repeat_of_a_request_that_was_not_processed_yet_succeeds_and_stores_one() {
    let stage = stage(|_| {});
    let path = mail(&stage, &json!({})).await.path();
    let answers = futures_util::future::join_all((0..20).map(|_| post(&stage, &path))).await;
    for answer in answers {
        assert_eq!(answer.parts(), unsubscribed());
    }
    assert_eq!(requests(&stage), 1);
    stage.sql("UPDATE unsubscribe_requests SET processed_at = created_at");
    assert_eq!(post(&stage, &path).await.parts(), unsubscribed());
    assert_eq!(requests(&stage), 2);
}

#[tokio::test]
async fn any_body_and_any_token_of_a_service_are_fine() {
    let stage = stage(|_| {});
    let path = mail(&stage, &json!({})).await.path();
    let long = "x".repeat(1_000_000);
    for body in ["", "{", "null", "List-Unsubscribe=One-Click", "\u{0}", &long] {
        assert_eq!(stage.http().post(&path, None, body.to_owned()).await.parts(), unsubscribed());
    }
    assert_eq!(stage.http().post(&path, Some("nonsense"), "").await.parts(), unsubscribed());
    let shouted = path.replacen("/unsubscribe/", "", 1);
    let (id, token) = shouted.split_once('/').unwrap();
    let shouted = format!("/unsubscribe/{}/{token}", id.to_uppercase());
    assert_eq!(post(&stage, &shouted).await.parts(), unsubscribed());
}

#[tokio::test]
async fn a_bad_token_is_not_a_valid_unsubscribe_link() {
    let stage = stage(|_| {});
    let (one, other) = (mail(&stage, &json!({})).await, mail(&stage, &json!({})).await);
    let (id, token) = (one.id, one.token());
    let cut = &token[..token.len() - 1];
    let swapped = token.replacen(&token[..1], "_", 1);
    for bad in [
        "x",
        "%00",
        "%ff",
        "a b".replace(' ', "%20").as_str(),
        cut,
        &swapped,
        &other.token(),
        &"A".repeat(8000),
    ] {
        let answer = post(&stage, &format!("/unsubscribe/{id}/{bad}")).await;
        assert_eq!(answer.parts(), invalid(), "{bad}");
    }
    let unknown = NotificationId::new(now());
    assert_eq!(post(&stage, &format!("/unsubscribe/{unknown}/{token}")).await.parts(), invalid());
    assert_eq!(requests(&stage), 0);
}

/// The token of a mail that was sent `ago`.
fn aged(id: NotificationId, ago: TimeDelta) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let content = json!([(now() - ago).timestamp(), "rosa@example.com"]).to_string();
    BASE64_URL_SAFE_NO_PAD.encode(testkit::keyring().seal(id.0, content.as_bytes()))
}

#[tokio::test]
async fn an_expired_token_is_not_a_valid_unsubscribe_link() {
    let stage = stage(|_| {});
    let id = mail(&stage, &json!({})).await.id;
    let year = TimeDelta::days(365);
    let old = format!("/unsubscribe/{id}/{}", aged(id, year + TimeDelta::minutes(1)));
    assert_eq!(post(&stage, &old).await.parts(), invalid());
    assert_eq!(browse(&stage, Method::GET, &old).await.status, 404);
    assert_eq!(requests(&stage), 0);
    let young = format!("/unsubscribe/{id}/{}", aged(id, year - TimeDelta::minutes(1)));
    assert_eq!(post(&stage, &young).await.parts(), unsubscribed());
}

#[tokio::test]
async fn a_notification_that_is_gone_makes_the_link_invalid_or_expired() {
    let stage = stage(|_| {});
    let gone = NotificationId::new(now());
    let path = format!("/unsubscribe/{gone}/{}", aged(gone, TimeDelta::zero()));
    let expected = refused("This unsubscribe link is invalid or expired.");
    assert_eq!(post(&stage, &path).await.parts(), expected);
    for method in [Method::GET, Method::POST] {
        assert_eq!(browse(&stage, method, &path).await.status, 404);
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_an_unknown_url() {
    let stage = stage(|_| {});
    let token = mail(&stage, &json!({})).await.token();
    for path in
        [format!("/unsubscribe/x/{token}"), format!("/unsubscribe/{token}"), "/unsubscribe".to_owned()]
    {
        let answer = post(&stage, &path).await;
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 404 && message.starts_with("The requested URL was not found"), "{path}");
    }
}

/// Between two words of a text.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

#[tokio::test]
async fn the_mail_carries_links_that_work() {
    let simulator = simulator().await;
    let stage = stage(|config| {
        providers(config, &simulator);
        config.api.unsubscribe_url = "https://www.example".into();
    });
    for callers in [Value::Null, json!("https://permits.example/stop")] {
        let mail = mail(&stage, &json!({"one_click_unsubscribe_url": callers})).await;
        assert_eq!(stage.deliver(mail.id).await.status, 204);
        let [message] = &simulator.accepted(&format!("{}@notify.localhost", mail.id))[..] else {
            panic!("not one message")
        };
        assert_eq!(message.header("List-Unsubscribe-Post"), Some(ONE_CLICK));
        let header = message.header("List-Unsubscribe").unwrap();
        let header = header.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
        assert_eq!(header, callers.as_str().unwrap_or(mail.stored.unsubscribe_url.as_deref().unwrap()));
        let plain =
            between(message.text.as_deref().unwrap(), "Unsubscribe from these emails: ", "\n").trim_end();
        let html =
            message.html.as_deref().unwrap().split("Unsubscribe from these emails</a>").next().unwrap();
        assert_eq!(html.rsplit("href=\"").next().unwrap(), format!("{plain}\">"));
        let path = plain.strip_prefix("https://www.example").unwrap();
        assert_eq!(browse(&stage, Method::GET, path).await.status, 200);
        assert_eq!(post(&stage, path).await.parts(), unsubscribed());
        if callers.is_null() {
            let own = format!("http://{}", stage.http().address);
            assert_eq!(post(&stage, header.strip_prefix(&own).unwrap()).await.parts(), unsubscribed());
        }
    }
    assert_eq!(requests(&stage), 2, "one for each mail");
}

#[tokio::test]
async fn to_open_the_link_asks_and_changes_nothing() {
    let stage = Stage::with(|service| service.name = "<b>Parks & Co</b>".into(), |_| {});
    let with_link = Template { has_unsubscribe_link: true, ..stage.sample.email.clone() };
    db::template::put(&mut stage.connect(), &with_link, "rosa@example.gov.uk", now()).unwrap();
    let path = mail(&stage, &json!({})).await.path();
    for _ in 0..2 {
        let page = browse(&stage, Method::GET, &path).await;
        let html = text(&page);
        assert_eq!(
            (page.status, &page.headers["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(
            html.contains("Do you want to stop emails from &lt;b&gt;Parks &amp; Co&lt;/b&gt;?"),
            "{html}"
        );
        assert!(html.contains("<form method=\"post\"><button>Unsubscribe</button></form>"), "{html}");
        assert!(!html.contains("<script") && !html.to_lowercase().contains("rosa"), "{html}");
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(page.headers["cache-control"].to_str().unwrap().contains("no-store"));
    }
    let head = browse(&stage, Method::HEAD, &path).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(requests(&stage), 0);
}

#[tokio::test]
async fn the_pages_button_unsubscribes_and_tells_in_words() {
    let stage = stage(|_| {});
    let path = mail(&stage, &json!({})).await.path();
    for _ in 0..2 {
        let page = browse(&stage, Method::POST, &path).await;
        assert_eq!(page.status, 200);
        assert!(text(&page).contains("<h1>You have unsubscribed</h1>"), "{page:?}");
        assert_eq!(requests(&stage), 1);
    }
    for method in [Method::GET, Method::POST] {
        let page = browse(&stage, method, &format!("{path}x")).await;
        assert_eq!(
            (page.status, &page.headers["content-type"]),
            (404, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(text(&page).contains("This link does not work"), "{page:?}");
    }
}
