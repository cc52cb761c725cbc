//! Texts that people send, from the form to the platform.

use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use simulator::{Options, Simulator};

use crate::{
    catcher::Catcher,
    client::{get, post, send},
    start, start_with,
};

async fn simulator(platform: &Catcher) -> Simulator {
    let url =
        |company: &str| Some(platform.url(&format!("/receive/{company}")).replace("//", "//user:pass@"));
    start_with(Options {
        mmg_inbound_url: url("mmg"),
        firetext_inbound_url: url("firetext"),
        inbound_number: Some("07700900861".into()),
        ..Options::default()
    })
    .await
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn mmg_posts_json_with_its_credentials() {
    let platform = Catcher::start().await;
    let simulator = simulator(&platform).await;
    let answer =
        post(&simulator, "/inbound", FORM, "from=447700900123&to=07700900861&message=Yes+please%21").await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"answered": 200, "body": "{\"result\":\"success\"}"}));
    let caught = &platform.caught()[0];
    assert_eq!((caught.path.as_str(), caught.content_type.as_str()), ("/receive/mmg", "application/json"));
    assert_eq!(caught.authorization.as_deref(), Some("Basic dXNlcjpwYXNz"));
    let body: Value = serde_json::from_str(&caught.body).unwrap();
    assert_eq!((&body["MSISDN"], &body["Message"]), (&json!("447700900123"), &json!("Yes+please%21")));
    post(&simulator, "/inbound", FORM, "from=447700900123&to=07700900861&message=Yes+please%21")
        .await
        .unwrap();
    let again: Value = serde_json::from_str(&platform.caught()[1].body).unwrap();
    assert_ne!(again["ID"], body["ID"], "another text, though the same words");
}

#[tokio::test]
async fn firetext_posts_a_form() {
    let platform = Catcher::start().await;
    let simulator = simulator(&platform).await;
    post(&simulator, "/inbound", FORM, "provider=firetext&from=1&to=2&message=a%0Ab").await.unwrap();
    let caught = &platform.caught()[0];
    assert_eq!((caught.path.as_str(), caught.content_type.as_str()), ("/receive/firetext", FORM));
    assert!(caught.body.starts_with("source=1&destination=2&message=a%0Ab&time="), "{}", caught.body);
}

#[tokio::test]
async fn the_page_has_a_form_that_works_without_scripts() {
    let platform = Catcher::start().await;
    let simulator = simulator(&platform).await;
    let page = get(&simulator, "/").await.body;
    assert!(page.contains("action=\"/inbound\"") && page.contains("value=\"07700900861\""), "{page}");
    platform.answer_next(&[403]);
    let request = Request::post(format!("http://{}/inbound", simulator.http_addr()))
        .header("content-type", FORM)
        .header("accept", "text/html,*/*")
        .body(Full::from("provider=mmg&from=1&to=2&message="))
        .unwrap();
    let answer = send(request).await.unwrap();
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/?answered=403".parse().unwrap())
    );
    assert!(get(&simulator, "/?answered=403").await.body.contains("answered 403"));
    let plain = start().await;
    assert!(!get(&plain, "/").await.body.contains("/inbound"), "nowhere to post to, no form");
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let platform = Catcher::start().await;
    let configured = simulator(&platform).await;
    for body in ["", "from=1", "from=1&to=2&provider=email", "from=1&to=2&text=x"] {
        assert_eq!(
            post(&configured, "/inbound", FORM, body).await.unwrap().status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    platform.answer_next(&[503]);
    let answer = post(&configured, "/inbound", FORM, "from=1&to=2").await.unwrap();
    assert_eq!((answer.status, &answer.json()["answered"]), (StatusCode::BAD_GATEWAY, &json!(503)));
    let plain = start().await;
    assert_eq!(post(&plain, "/inbound", FORM, "from=1&to=2").await.unwrap().status, StatusCode::CONFLICT);
    let away = Options { mmg_inbound_url: Some("http://127.0.0.1:1/".into()), ..Options::default() };
    let away = start_with(away).await;
    assert_eq!(post(&away, "/inbound", FORM, "from=1&to=2").await.unwrap().status, StatusCode::BAD_GATEWAY);
    assert_eq!(get(&away, "/inbound").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let nonsense = Options { mmg_inbound_url: Some("nonsense".into()), ..Options::default() };
    assert!(Simulator::start(nonsense).await.is_err());
}
