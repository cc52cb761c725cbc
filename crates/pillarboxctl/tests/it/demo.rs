//! `demo`.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use uuid::Uuid;

use crate::{ctl::Ctl, played_api::PlayedApi};

struct Demo {
    ctl: Ctl,
    secret: String,
    template: String,
}

fn demo(url: &str) -> Demo {
    let (service, secret, template) =
        (Uuid::new_v4(), Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let ctl = Ctl::new(&[
        ("NOTIFY_API_URL", url),
        ("API_KEY", &format!("demo-{service}-{secret}")),
        ("SMS_TEMPLATE_ID", &template),
        ("EMAIL_TEMPLATE_ID", &template),
        ("FUNCTIONAL_TEST_NUMBER", "07700900855"),
        ("FUNCTIONAL_TEST_EMAIL", "rosa.marsh@example.com"),
    ]);
    Demo { ctl, secret, template }
}

#[test]
fn both_are_followed_to_delivered() {
    let way = ["created", "sending", "sending", "delivered"];
    let api = PlayedApi::start(&[("sms", &way), ("email", &way)]);
    let Demo { ctl, secret, template } = demo(&api.url);
    let out = ctl.ok(&["demo"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    for line in lines {
        let stations: Vec<_> = line.split(" → ").map(|station| station.trim_end_matches(" ms")).collect();
        assert_eq!(stations.len(), 3, "{line}");
        assert!(stations[1].starts_with("sending ") && stations[2].starts_with("delivered "), "{line}");
    }

    let requests = api.requests();
    let key = DecodingKey::from_secret(secret.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims::<&str>(&[]);
    for request in &requests {
        let token = request.authorization.strip_prefix("Bearer ").unwrap();
        jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    }
    let sent = |path: &str| requests.iter().find(|r| r.line.starts_with(&format!("POST {path} "))).unwrap();
    let (text, mail) = (sent("/v2/notifications/sms"), sent("/v2/notifications/email"));
    assert_eq!(text.body["phone_number"], "07700900855");
    assert_eq!(mail.body["email_address"], "rosa.marsh@example.com");
    for body in [&text.body, &mail.body] {
        assert_eq!(body["template_id"], template);
        assert!(body["personalisation"]["name"].is_string());
    }
}

#[test]
fn another_end_fails_at_once() {
    let api =
        PlayedApi::start(&[("sms", &["sending", "delivered"]), ("email", &["sending", "permanent-failure"])]);
    let said = demo(&api.url).ctl.run(&["demo"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("delivered") && said.out.contains("→ permanent-failure"), "{}", said.out);
    assert!(said.err.contains("e-mail") && said.err.contains("is permanent-failure"), "{}", said.err);
}

#[test]
fn one_that_does_not_arrive_is_not_waited_for_for_ever() {
    let api = PlayedApi::start(&[("sms", &["sending"]), ("email", &["created"])]);
    let said = demo(&api.url).ctl.run(&["demo", "--limit", "100ms"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("is sending after") && said.err.contains("is created after"), "{}", said.err);
}

#[test]
fn a_refusal_is_told_in_the_apis_words() {
    let api = PlayedApi::start(&[("email", &["delivered"])]);
    let complaint = demo(&api.url).ctl.fails(1, &["demo"]);
    assert_eq!(complaint, "text: the API said 400: Template not found");
}

#[test]
fn an_api_that_is_away() {
    let complaint = demo("http://127.0.0.1:1").ctl.fails(69, &["demo", "--limit", "10ms"]);
    assert!(complaint.starts_with("the API cannot be reached: "), "{complaint}");
    for wrong in ["", "127.0.0.1", "ftp://x"] {
        assert!(demo(wrong).ctl.fails(1, &["demo"]).contains("URL"), "{wrong}");
    }
}
