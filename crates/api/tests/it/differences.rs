//! Where the public APIs answer otherwise than upstream, on purpose: `docs/DIFFERENCES.md`, in its order.

use chrono::{Duration, SecondsFormat};
use domain::status::KeyType;
use hyper::Method;
use serde_json::{Value, json};

use crate::stage::{Stage, bad_request, error, id_of, now, token};

fn not_json() -> (u16, Value) {
    bad_request("Invalid JSON supplied in POST data")
}

#[tokio::test]
async fn options_is_a_method_that_no_url_has() {
    let stage = Stage::new();
    for (path, right) in [
        ("/v2/notifications/sms", "POST"),
        ("/v2/notifications", "GET, HEAD"),
        ("/v2/templates", "GET, HEAD"),
        ("/notifications/sms", "POST"),
        ("/service", "GET, HEAD, POST"),
        ("/_status", "GET, HEAD, POST"),
    ] {
        let answer = stage.http().call(Method::OPTIONS, path, None, "").await;
        assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, right), "{path}");
    }
    assert_eq!(stage.http().call(Method::OPTIONS, "/nowhere", None, "").await.status, 404);
}

#[tokio::test]
async fn doubled_slashes_make_another_url_which_there_is_not() {
    let stage = Stage::new();
    let (key, admin) = (stage.token(KeyType::Normal), token("notify-admin", crate::stage::ADMIN_SECRET));
    for (method, path, token) in [
        (Method::GET, "//v2/notifications", &key),
        (Method::GET, "/v2//notifications", &key),
        (Method::GET, "/v2/notifications//", &key),
        (Method::POST, "/v2/notifications//sms", &key),
        (Method::GET, "//", &key),
        (Method::GET, "/service//", &admin),
        (Method::GET, "//service", &admin),
    ] {
        let answer = stage.http().call(method, path, Some(token), "").await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(
            answer.status == 404 && message.starts_with("The requested URL was not found"),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_number_in_json_is_no_json() {
    let stage = Stage::new();
    for word in ["NaN", "Infinity", "-Infinity"] {
        let body = stage.sms(&json!({"personalisation": {"name": "@"}})).to_string().replace("\"@\"", word);
        let answer =
            stage.http().post("/v2/notifications/sms", Some(&stage.token(KeyType::Normal)), body).await;
        assert_eq!(answer.parts(), not_json(), "{word}");
    }
}

#[tokio::test]
async fn values_are_nested_125_deep_at_most() {
    let stage = Stage::new();
    let send = async |depth: usize| {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let body = stage.sms(&json!({"personalisation": {"name": "@"}})).to_string().replace("\"@\"", &value);
        stage.http().post("/v2/notifications/sms", Some(&stage.token(KeyType::Normal)), body).await
    };
    let sent = send(125).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let shown = stage.get(&format!("/v2/notifications/{}", id_of(&sent))).await.json();
    assert_eq!(shown["body"], sent.json()["content"]["body"], "and can be read again");
    for depth in [126, 127, 128, 100_000] {
        assert_eq!(send(depth).await.parts(), not_json(), "{depth}");
    }
}

/// The same, its first decimal digit in another script.
fn in_another_script(id: &str) -> String {
    let digit = id.chars().find(char::is_ascii_digit).unwrap();
    let other = char::from_u32(0x660 + digit.to_digit(10).unwrap()).unwrap();
    id.replacen(digit, &other.to_string(), 1)
}

#[tokio::test]
async fn digits_of_other_scripts_make_no_id() {
    let stage = Stage::new();
    let invalid = |field: &str| error(400, "ValidationError", &format!("{field} is not a valid UUID"));
    let template = in_another_script(&stage.sample.sms.id.to_string());
    let answer = stage.send("sms", &stage.sms(&json!({ "template_id": template }))).await;
    assert_eq!(answer.parts(), invalid("template_id"));
    let sent = stage.accepted_sms().await.to_string();
    let encoded: String = in_another_script(&sent)
        .bytes()
        .map(|byte| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    assert_eq!(stage.get(&format!("/v2/notifications/{encoded}")).await.parts(), invalid("notification_id"));
    let older = stage.get(&format!("/v2/notifications?older_than={encoded}")).await;
    assert_eq!(older.parts(), invalid("older_than"));
    let issuer = in_another_script(&stage.service_id().to_string());
    let token = token(&issuer, &stage.secret(KeyType::Normal).to_string());
    let answer = stage.http().get("/v2/notifications", Some(&token)).await;
    let message = "Invalid token: service id is not the right data type";
    assert_eq!(answer.parts(), error(403, "AuthError", message));
}

#[tokio::test]
async fn one_blank_stands_before_the_token() {
    let stage = Stage::new();
    let token = stage.token(KeyType::Normal);
    let get = async |authorization: String| {
        let headers = [("authorization", authorization)];
        stage.http().send(Method::GET, "/v2/notifications", &headers, "").await.status
    };
    assert_eq!(get(format!("Bearer {token}")).await, 200);
    for blanks in ["  ", "   ", " \t"] {
        assert_eq!(get(format!("Bearer{blanks}{token}")).await, 403, "{blanks:?}");
    }
    for other in ["", "\t"] {
        assert_eq!(get(format!("Bearer{other}{token}")).await, 401, "{other:?}");
    }
}

#[tokio::test]
async fn scheduled_for_with_an_offset_is_an_instant() {
    let stage = Stage::new();
    let at = |minutes: i64, hours_east: i32| {
        let zone = chrono::FixedOffset::east_opt(hours_east * 3600).unwrap();
        let time = (now() + Duration::minutes(minutes)).with_timezone(&zone);
        json!({ "scheduled_for": time.to_rfc3339_opts(SecondsFormat::Secs, false) })
    };
    let past = error(400, "ValidationError", "scheduled_for datetime can not be in the past");
    let far = error(400, "ValidationError", "scheduled_for datetime can only be 24 hours in the future");
    for hours_east in [-11, -1, 0, 1, 14] {
        let send = async |minutes| stage.send("sms", &stage.sms(&at(minutes, hours_east))).await;
        assert_eq!(send(30).await.status, 201, "{hours_east}");
        assert_eq!(send(-30).await.parts(), past, "{hours_east}");
        assert_eq!(send(24 * 60 + 30).await.parts(), far, "{hours_east}");
    }
    let without = (domain::clock::Clock::System.now().naive_utc() + Duration::minutes(30))
        .format("%Y-%m-%dT%H:%M:%S")
        .to_string();
    assert_eq!(stage.send("sms", &stage.sms(&json!({ "scheduled_for": without }))).await.status, 201, "UTC");
}

#[tokio::test]
async fn a_token_to_unsubscribe_holds_for_its_notification() {
    let stage = Stage::new();
    stage.sql("UPDATE template_versions SET has_unsubscribe_link = true");
    let link = async || {
        let sent = stage.send("email", &stage.email(&json!({}))).await;
        let shown = stage.get(&format!("/v2/notifications/{}", id_of(&sent))).await.json();
        let url = shown["one_click_unsubscribe_url"].as_str().unwrap().to_owned();
        let (front, token) = url.rsplit_once('/').unwrap();
        (front.rsplit_once('/').unwrap().1.to_owned(), token.to_owned())
    };
    let ((one, token), (other, _)) = (link().await, link().await);
    let post = async |id: &str| stage.http().post(&format!("/unsubscribe/{id}/{token}"), None, "").await;
    let refused = json!({"result": "error", "message": {"unsubscribe request": "This is not a valid unsubscribe link."}});
    assert_eq!(post(&other).await.parts(), (404, refused), "to the same address");
    assert_eq!(post(&one).await.status, 200);
}
