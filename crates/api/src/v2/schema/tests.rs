//! A test for every row of the contract's tables.

use serde_json::json;

use super::*;

const ID: &str = "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11";

fn now() -> DateTime<Utc> {
    "2026-03-02T09:15:00Z".parse().unwrap()
}

fn sms(change: &Value) -> Vec<String> {
    match SmsRequest::read(changed(json!({"phone_number": "07700900123", "template_id": ID}), change), now())
    {
        Ok(_) => Vec::new(),
        Err(Problem::Validation(messages)) => messages,
        Err(other) => panic!("{other:?}"),
    }
}

fn email(change: &Value) -> Vec<String> {
    let body = json!({"email_address": "rosa@example.com", "template_id": ID});
    match EmailRequest::read(changed(body, change), now()) {
        Ok(_) => Vec::new(),
        Err(Problem::Validation(messages)) => messages,
        Err(other) => panic!("{other:?}"),
    }
}

/// `"remove me"` removes a field.
fn changed(mut body: Value, change: &Value) -> Value {
    let Value::Object(changes) = change else { return change.clone() };
    for (name, value) in changes {
        if value == "remove me" {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body
}

#[test]
fn missing() {
    assert_eq!(sms(&json!({"phone_number": "remove me"})), ["phone_number is a required property"]);
    assert_eq!(
        email(&json!({"email_address": "remove me", "template_id": "remove me"})),
        ["email_address is a required property", "template_id is a required property"]
    );
}

#[test]
fn wrong_type_in_any_field() {
    for (name, value, message) in [
        ("reference", json!(null), "reference None is not of type string"),
        ("reference", json!(["a", 1]), "reference [a, 1] is not of type string"),
        ("phone_number", json!(7700900123u64), "phone_number 7700900123 is not of type string"),
        ("phone_number", json!(null), "phone_number None is not of type string"),
        ("personalisation", json!(null), "personalisation None is not of type object"),
        ("personalisation", json!("x"), "personalisation x is not of type object"),
        ("personalisation", json!([true]), "personalisation [True] is not of type object"),
        ("scheduled_for", json!(5), "scheduled_for 5 is not of type string, null"),
    ] {
        assert_eq!(sms(&json!({ name: value })), [message]);
    }
    for (name, value, message) in [
        ("email_address", json!({"a": "b"}), "email_address {a: b} is not of type string"),
        ("sanitise_content_for", json!("name"), "sanitise_content_for name is not of type array, null"),
    ] {
        assert_eq!(email(&json!({ name: value })), [message]);
    }
}

#[test]
fn body_not_an_object() {
    assert_eq!(sms(&json!(["a", null])), ["[a, None] is not of type object"]);
    assert_eq!(sms(&json!("hello")), ["hello is not of type object"]);
    assert_eq!(sms(&json!(1.50)), ["1.5 is not of type object"]);
}

#[test]
fn uuid_field_wrong_in_any_way() {
    for bad in [json!("x"), json!(""), json!(5), json!(null), json!([ID])] {
        assert_eq!(sms(&json!({ "template_id": bad })), ["template_id is not a valid UUID"]);
        assert_eq!(sms(&json!({ "sms_sender_id": bad })), ["sms_sender_id is not a valid UUID"]);
        assert_eq!(email(&json!({ "email_reply_to_id": bad })), ["email_reply_to_id is not a valid UUID"]);
    }
}

#[test]
fn one_unknown_property() {
    assert_eq!(sms(&json!({"foo": 1})), ["Additional properties are not allowed (foo was unexpected)"]);
}

#[test]
fn several_unknown_properties_sorted() {
    assert_eq!(
        sms(&json!({"foo": 1, "bar": 2, "email_reply_to_id": ID})),
        ["Additional properties are not allowed (bar, email_reply_to_id, foo were unexpected)"]
    );
}

#[test]
fn too_long() {
    let longest = "é".repeat(1000);
    assert_eq!(sms(&json!({"reference": longest})), Vec::<String>::new());
    let longer = "é".repeat(1001);
    assert_eq!(sms(&json!({"reference": longer})), [format!("reference {longer} is too long")]);
}

#[test]
fn phone_texts() {
    for (number, text) in [
        ("", "Not enough digits"),
        ("07123", "Not enough digits"),
        ("0712345678910", "Too many digits"),
        ("07700 900 12x", "Must not contain letters or symbols"),
        ("07700/900123", "Must not contain letters or symbols"),
        ("+8501921234567", "Not a valid country prefix"),
        ("01999999999", "Number is not valid – double check the phone number you entered"),
    ] {
        assert_eq!(sms(&json!({"phone_number": number})), [format!("phone_number {text}")], "{number}");
    }
    for fine in ["07700 900123", "+44 (0)7700-900123", "020 7946 0991", "+33 6 12 34 56 78"] {
        assert_eq!(sms(&json!({"phone_number": fine})), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn email_text() {
    for bad in ["", "rosa", "rosa@", "rosa@example", "ro sa@example.com"] {
        assert_eq!(
            email(&json!({"email_address": bad})),
            ["email_address Not a valid email address"],
            "{bad}"
        );
    }
}

#[test]
fn https_urls() {
    for fine in ["https://example.com/u?id=1&x=%20#top", "https:x", "httpsx://a"] {
        assert_eq!(email(&json!({"one_click_unsubscribe_url": fine})), Vec::<String>::new(), "{fine}");
    }
    let long = |length: usize| format!("https://example.com/{}", "a".repeat(length - 20));
    assert_eq!(email(&json!({"one_click_unsubscribe_url": long(900)})), Vec::<String>::new());
    assert_eq!(
        email(&json!({"one_click_unsubscribe_url": long(901)})),
        ["one_click_unsubscribe_url is longer than 900 characters"]
    );
    let bad = [
        "http://example.com",
        "HTTPS://example.com",
        "https",
        "https://exa mple.com",
        "https://exämple.com",
        "https://[::1]/",
        "https://example.com/{id}",
        "https://example.com/%zz",
        "https://example.com/%2",
        "https://example.com/#a#b",
        " https://example.com",
        "",
    ];
    for bad in bad.into_iter().map(Value::from).chain([json!(null), json!(5)]) {
        assert_eq!(
            email(&json!({"one_click_unsubscribe_url": bad})),
            ["one_click_unsubscribe_url is not a valid https url"],
            "{bad}"
        );
    }
}

#[test]
fn scheduled_for_in_the_past() {
    for past in ["2026-03-02T09:14:59Z", "2026-03-02", "2026", "20260302T0914", "2026-03-02 10:14:59+01:00"] {
        assert_eq!(
            sms(&json!({"scheduled_for": past})),
            ["scheduled_for datetime can not be in the past"],
            "{past}"
        );
    }
}

#[test]
fn scheduled_for_more_than_24_hours_ahead() {
    for future in ["2026-03-03T09:15:01Z", "2027", "2026-03-03T08:15:01-01:00"] {
        assert_eq!(
            sms(&json!({"scheduled_for": future})),
            ["scheduled_for datetime can only be 24 hours in the future"],
            "{future}"
        );
    }
}

#[test]
fn scheduled_for_format() {
    let message = "scheduled_for datetime format is invalid. It must be a valid ISO8601 date time format, \
                   https://en.wikipedia.org/wiki/ISO_8601";
    for bad in
        ["", "soon", "2026-13-01", "2026-03-02T25:00", "02/03/2026", "2026-03-02T09:15+1", "2026-03-0é"]
    {
        assert_eq!(sms(&json!({"scheduled_for": bad})), [message], "{bad}");
    }
    for fine in [
        "2026-03-02T09:15:00Z",
        "2026-03-02T09:15:00.000001",
        "2026-03-02 10",
        "20260302T101500",
        "2026-03-02T10:15:00+0100",
        "2026-03-03T09:15:00Z",
    ] {
        assert_eq!(sms(&json!({"scheduled_for": fine})), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(sms(&json!({"scheduled_for": null})), Vec::<String>::new());
}

#[test]
fn all_violations_in_the_order_of_the_schema() {
    let body = json!({
        "zoo": 1, "sms_sender_id": 1, "scheduled_for": "x", "personalisation": 1,
        "phone_number": "1", "reference": 1, "template_id": "remove me"
    });
    let messages = sms(&body);
    let starts: Vec<&str> = messages.iter().map(|m| m.split(' ').next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "reference",
            "phone_number",
            "personalisation",
            "scheduled_for",
            "sms_sender_id",
            "template_id",
            "Additional"
        ]
    );
}

#[test]
fn single_quotes_are_removed_and_values_are_python() {
    assert_eq!(
        sms(&json!({"personalisation": [{"it's": "x"}, null, false]})),
        ["personalisation [{\"its\": x}, None, False] is not of type object"]
    );
}

proptest::proptest! {
    #[test]
    fn no_value_panics(text: String, date in "[0-9T:.,Z +-]{0,30}") {
        for value in [json!(text), json!(date), json!([text]), json!({text.clone(): date})] {
            for name in [
                "reference", "phone_number", "template_id", "personalisation", "scheduled_for", "sms_sender_id", "email_address",
                "one_click_unsubscribe_url", "sanitise_content_for", text.as_str(),
            ] {
                let _ = (sms(&json!({ name: value })), email(&json!({ name: value })));
            }
        }
    }
}
