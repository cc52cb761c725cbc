//! Files in requests, as section 7 of the wire contract has them.

use api::Config;
use base64::{Engine, prelude::BASE64_STANDARD};
use db::{service::Limits, template::Template};
use diesel::{QueryDsl, RunQueryDsl, dsl::count_star};
use domain::status::KeyType;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    http::Answer,
    stage::{Stage, bad_request, error, id_of, now},
};

pub(crate) const PDF: &[u8] = b"%PDF-1.4 Rosa's permit";

/// A service that may send files, and a template with one in it.
pub(crate) fn stage(configure: impl FnOnce(&mut Config)) -> Stage {
    let contact = |service: &mut db::service::Service| {
        service.contact_link = Some("https://permits.example/contact".into());
    };
    let stage = Stage::with(contact, configure);
    let template = Template {
        content: "Download it: ((file))".into(),
        subject: Some("Your permit".into()),
        ..stage.sample.email.clone()
    };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
    stage
}

pub(crate) fn file(change: &Value) -> Value {
    let mut file = json!({"file": BASE64_STANDARD.encode(PDF)});
    file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    file
}

/// To Rosa, with this file.
pub(crate) fn email(stage: &Stage, file: &Value) -> Value {
    stage.email(&json!({"personalisation": {"file": file}}))
}

/// The link in an answer.
pub(crate) fn link(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    let json = answer.json();
    json["content"]["body"].as_str().unwrap().strip_prefix("Download it: ").unwrap().to_owned()
}

pub(crate) fn documents(stage: &Stage) -> i64 {
    db::schema::documents::table.select(count_star()).first(&mut stage.connect()).unwrap()
}

async fn answered(stage: &Stage, file: Value) -> (u16, Value) {
    let before = documents(stage);
    let answer = stage.send("email", &email(stage, &file)).await;
    assert_eq!(documents(stage) - before, i64::from(answer.status == 201));
    answer.parts()
}

fn invalid(message: &str) -> (u16, Value) {
    error(400, "ValidationError", message)
}

const TYPES: &str = "Supported types are: '.csv', '.doc', '.docx', '.jpeg', '.jpg', '.json', '.odt', '.pdf', '.png', '.rtf', \
                     '.txt', '.xlsx'";

#[tokio::test]
async fn a_file_becomes_a_link_in_the_answer_and_in_what_is_stored() {
    let stage = stage(|config| config.api.documents_url = "https://files.example/".into());
    let answer = stage.send("email", &email(&stage, &file(&json!({"filename": "permit.pdf"})))).await;
    let url = link(&answer);
    assert!(url.starts_with("https://files.example/d/"), "{url}");
    assert_eq!(url.len(), "https://files.example/d/".len() + 22 + 1 + 22 + "?key=".len() + 43);
    let shown = stage.get(&format!("/v2/notifications/{}", id_of(&answer))).await.json();
    assert_eq!(shown["body"], format!("Download it: {url}"));
}

#[tokio::test]
async fn links_begin_with_what_the_caller_called_when_nothing_else_is_configured() {
    let stage = stage(|_| {});
    let url = link(&stage.send("email", &email(&stage, &file(&json!({})))).await);
    assert!(url.starts_with(&format!("http://{}/d/", stage.http().address)), "{url}");
    let stage = self::stage(|config| config.api.public_url = "https://api.example".into());
    let url = link(&stage.send("email", &email(&stage, &file(&json!({})))).await);
    assert!(url.starts_with("https://api.example/d/"), "{url}");
}

#[tokio::test]
async fn a_file_that_is_not_a_string() {
    let stage = stage(|_| {});
    assert_eq!(answered(&stage, json!({"file": 1})).await, invalid("file 1 is not of type string"));
    assert_eq!(answered(&stage, json!({"file": null})).await, invalid("file None is not of type string"));
}

#[tokio::test]
async fn a_filename_without_an_extension() {
    let stage = stage(|_| {});
    let refused = invalid("filename `filename` must end with a file extension. For example, filename.csv");
    for filename in [json!("permit"), json!(""), json!(7), json!(["a.pdf"])] {
        assert_eq!(answered(&stage, file(&json!({"filename": filename}))).await, refused);
    }
}

#[tokio::test]
async fn a_confirmation_that_is_not_a_boolean() {
    let stage = stage(|_| {});
    for (value, shown) in [(json!("potato"), "potato"), (json!(1), "1"), (json!({"a": "b"}), "{a: b}")] {
        assert_eq!(
            answered(&stage, file(&json!({"confirm_email_before_download": value}))).await,
            invalid(&format!(
                "confirm_email_before_download Unsupported value for confirm_email_before_download: {shown}. Use a boolean \
                 true or false value."
            ))
        );
    }
}

#[tokio::test]
async fn a_retention_period_out_of_range() {
    let stage = stage(|_| {});
    for (value, shown) in [
        (json!("79 weeks"), "79 weeks"),
        (json!("1 month"), "1 month"),
        (json!(false), "False"),
        (json!(4), "4"),
    ] {
        assert_eq!(
            answered(&stage, file(&json!({"retention_period": value}))).await,
            invalid(&format!(
                "retention_period Unsupported value for retention_period: {shown}. Supported periods are from 1 to 78 weeks."
            ))
        );
    }
}

#[tokio::test]
async fn is_csv_that_is_not_a_boolean() {
    let stage = stage(|_| {});
    assert_eq!(
        answered(&stage, file(&json!({"is_csv": "yes"}))).await,
        invalid("is_csv Unsupported value for is_csv: yes. Use a boolean true or false value.")
    );
}

#[tokio::test]
async fn is_csv_beside_a_filename_even_if_null() {
    let stage = stage(|_| {});
    let refused = invalid("Do not set a value for `is_csv` if `filename` is set.");
    for both in [json!({"is_csv": true, "filename": "a.csv"}), json!({"is_csv": null, "filename": null})] {
        assert_eq!(answered(&stage, file(&both)).await, refused);
    }
}

#[tokio::test]
async fn other_keys() {
    let stage = stage(|_| {});
    assert_eq!(
        answered(&stage, file(&json!({"foo": 1}))).await,
        invalid("Additional properties are not allowed (foo was unexpected)")
    );
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_first_wrong_file_is_told_in_order() {
    let wrong = json!({"file": 1, "is_csv": 2, "filename": "x", "retention_period": "x", "b": 1, "a": 1,
                       "confirm_email_before_download": 3});
    let stage = stage(|_| {});
    let body = stage
        .email(&json!({"personalisation": {"ok": file(&json!({})), "file": wrong, "more": {"file": 2}}}));
    let answer = stage.send("email", &body).await.json();
    let messages: Vec<&str> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        [
            "Additional properties are not allowed (a, b were unexpected)",
            "file 1 is not of type string",
            "is_csv Unsupported value for is_csv: 2. Use a boolean true or false value.",
            "confirm_email_before_download Unsupported value for confirm_email_before_download: 3. Use a boolean true or \
             false value.",
            "retention_period Unsupported value for retention_period: x. Supported periods are from 1 to 78 weeks.",
            "filename `filename` must end with a file extension. For example, filename.csv",
            "Do not set a value for `is_csv` if `filename` is set.",
        ]
    );
    assert_eq!(documents(&stage), 0);
}

#[tokio::test]
async fn nulls_are_as_good_as_nothing() {
    let stage = stage(|_| {});
    let nulls = json!({"filename": null, "confirm_email_before_download": null, "retention_period": null});
    assert_eq!(answered(&stage, file(&nulls)).await.0, 201);
    assert_eq!(answered(&stage, file(&json!({"is_csv": null}))).await.0, 201);
}

#[tokio::test]
async fn an_object_without_a_file_is_an_ordinary_value() {
    let stage = stage(|_| {});
    let answer = stage.send("email", &email(&stage, &json!({"filename": 7}))).await;
    assert_eq!(link(&answer), "{'filename': 7}");
    assert_eq!(documents(&stage), 0);
}

#[tokio::test]
async fn the_schema_comes_before_the_contact_link_and_that_before_the_content() {
    let stage = Stage::new();
    let of = |file: Value| stage.email(&json!({"personalisation": {"name": file}}));
    let wrong = stage.send("email", &of(json!({"file": 1}))).await;
    assert_eq!(wrong.parts(), invalid("file 1 is not of type string"));
    let not_base64 = stage.send("email", &of(json!({"file": "?"}))).await.json();
    let message = not_base64["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Send files by email has not been set up - add contact details"),
        "{message}"
    );
}

#[tokio::test]
async fn a_type_is_known_whatever_the_case_of_its_name() {
    let stage = stage(|_| {});
    for name in ["permit.PDF", ".PDF", "Report.CSV", "a.exe.Docx", "photo.JpEg"] {
        let answer = stage.send("email", &email(&stage, &file(&json!({"filename": name})))).await;
        let url = link(&answer);
        let page = url.split_once("/d/").map(|(_, rest)| format!("/d/{rest}")).unwrap();
        let page = stage.http().get(&page, None).await;
        assert_eq!(page.status, 200, "{name}: {page:?}");
    }
}

#[tokio::test]
async fn a_file_in_a_subject_is_refused() {
    let stage = stage(|_| {});
    for subject in ["Your permit ((file))", "((FI_LE??Here it is))"] {
        let template =
            Template { subject: Some(subject.into()), content: "Hello".into(), ..stage.sample.email.clone() };
        let id = domain::id::TemplateId::new(now());
        db::template::put(&mut stage.connect(), &Template { id, ..template }, "rosa@example.gov.uk", now())
            .unwrap();
        let body =
            |value: Value| stage.email(&json!({"template_id": id, "personalisation": {"file": value}}));
        let answer = stage.send("email", &body(file(&json!({})))).await;
        assert_eq!(answer.parts(), bad_request("Cannot send a file in the subject of an email"), "{subject}");
        let answer = stage.send("email", &body(json!({"file": 1}))).await;
        assert_eq!(answer.parts(), invalid("file 1 is not of type string"), "the schema comes first");
        let mut simulated = body(file(&json!({})));
        simulated["email_address"] = json!("simulate-delivered@notifications.service.gov.uk");
        assert_eq!(stage.send("email", &simulated).await.status, 400, "{subject}");
        assert_eq!(stage.send("email", &body(json!("words"))).await.status, 201, "{subject}");
    }
    assert_eq!(documents(&stage), 0);
}

#[tokio::test]
async fn a_type_that_is_not_supported_by_its_name() {
    let stage = stage(|_| {});
    for (name, shown) in [("virus.exe", ".exe"), ("VIRUS.EXE", ".EXE"), ("a.b.tar", ".tar"), ("a.", ".")] {
        assert_eq!(
            answered(&stage, file(&json!({"filename": name}))).await,
            bad_request(&format!("Unsupported file type '{shown}'. {TYPES}"))
        );
    }
}

#[tokio::test]
async fn a_type_that_is_not_supported_by_its_content() {
    let stage = stage(|_| {});
    for (content, shown) in [
        (&b"\0\x01\x02"[..], "application/octet-stream"),
        (b"PK\x03\x04\0\0", "application/zip"),
        (b"", "application/x-empty"),
    ] {
        assert_eq!(
            answered(&stage, json!({"file": BASE64_STANDARD.encode(content)})).await,
            bad_request(&format!("Unsupported file type '{shown}'. {TYPES}"))
        );
    }
}

#[tokio::test]
async fn a_filename_of_more_than_100_characters() {
    let stage = stage(|_| {});
    let name = |characters: usize| format!("{}.pdf", "é".repeat(characters - 4));
    assert_eq!(
        answered(&stage, file(&json!({"filename": name(101)}))).await,
        bad_request("`filename` cannot be longer than 100 characters")
    );
    assert_eq!(answered(&stage, file(&json!({"filename": name(100)}))).await.0, 201);
}

#[tokio::test]
async fn a_document_that_is_not_base64() {
    let stage = stage(|_| {});
    for text in ["foo", "*", "aGk=aGk=", "é"] {
        assert_eq!(
            answered(&stage, json!({"file": text})).await,
            bad_request("Document is not base64 encoded"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_too_large() {
    let stage = stage(|_| {});
    let of = |size: usize| {
        let content = [PDF, &vec![b' '; size - PDF.len()]].concat();
        email(&stage, &json!({"file": BASE64_STANDARD.encode(content)}))
    };
    let limit = 2 * 1024 * 1024;
    let refused = stage.send("email", &of(limit + 1)).await;
    assert_eq!(refused.parts(), bad_request("File is larger than 2MB"));
    assert_eq!(stage.send("email", &of(limit)).await.status, 201);
    assert_eq!(documents(&stage), 1);
}

#[tokio::test]
async fn for_simulated_recipients_nothing_is_kept() {
    let stage = stage(|config| config.api.documents_url = "https://files.example".into());
    let mut body = email(&stage, &file(&json!({})));
    body["email_address"] = json!("simulate-delivered@notifications.service.gov.uk");
    let url = link(&stage.send("email", &body).await);
    assert_eq!(url, format!("https://files.example/services/{}/documents/test-document", stage.service_id()));
    assert_eq!(documents(&stage), 0);
    body["personalisation"]["file"] = json!({"file": 1});
    assert_eq!(stage.send("email", &body).await.parts(), invalid("file 1 is not of type string"));
}

#[tokio::test]
async fn test_keys_store_files_like_others() {
    let stage = stage(|_| {});
    let answer = stage.send_as(KeyType::Test, "email", &email(&stage, &file(&json!({})))).await;
    assert!(link(&answer).contains("/d/"));
    assert_eq!(documents(&stage), 1);
}

#[tokio::test]
async fn several_files_have_several_links() {
    let stage = stage(|_| {});
    let one = file(&json!({}));
    let body = stage.email(&json!({"personalisation": {"file": one, "other": one}}));
    assert_eq!(stage.send("email", &body).await.status, 201);
    assert_eq!(documents(&stage), 2);
}

#[tokio::test]
async fn no_file_of_a_refused_request_stays() {
    let stage = stage(|_| {});
    stage.sql("UPDATE template_versions SET content = repeat('x', 2000000) || ' ((file))'");
    let too_long = stage.send("email", &email(&stage, &file(&json!({})))).await;
    assert_eq!(too_long.status, 400, "{too_long:?}");
    assert_eq!(documents(&stage), 0);

    let limited = Stage::with(
        |service| {
            service.contact_link = Some("desk@example.com".into());
            service.limits = Limits { email: 1, ..Limits::LIVE };
        },
        |_| {},
    );
    limited.sql("UPDATE template_versions SET subject = 'Permit'");
    let body = limited.email(&json!({"personalisation": {"name": file(&json!({}))}}));
    assert_eq!(limited.send("email", &body).await.status, 201);
    assert_eq!(limited.send("email", &body).await.status, 429);
    assert_eq!(documents(&limited), 1);
}

#[tokio::test]
async fn a_repeated_request_has_the_link_of_the_first_and_no_second_file() {
    let stage = stage(|_| {});
    let token = format!("Bearer {}", stage.token(KeyType::Normal));
    let headers = [("authorization", token), ("idempotency-key", "permit-17".to_owned())];
    let body = email(&stage, &file(&json!({}))).to_string();
    let send = || stage.http().send(Method::POST, "/v2/notifications/email", &headers, body.clone());
    assert_eq!(link(&send().await), link(&send().await));
    assert_eq!(documents(&stage), 1);
}

#[tokio::test]
async fn nothing_personal_is_in_the_row_in_clear() {
    let stage = stage(|_| {});
    let given = file(&json!({"filename": "rosa-permit.pdf"}));
    let url = link(&stage.send("email", &email(&stage, &given)).await);
    let (details, content): (Vec<u8>, Vec<u8>) = db::schema::documents::table
        .select((db::schema::documents::details, db::schema::documents::content))
        .first(&mut stage.connect())
        .unwrap();
    for secret in [PDF, b"%PDF", b"rosa", b"example.com", b"pdf"] {
        for sealed in [&details, &content] {
            assert!(!sealed.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret)));
        }
    }
    // The key itself is in no column of any table but inside what is sealed.
    let key = url.split_once("key=").unwrap().1;
    #[derive(diesel::QueryableByName)]
    struct Dump {
        #[diesel(sql_type = diesel::sql_types::Text)]
        text: String,
    }
    let dumps: Vec<Dump> = diesel::sql_query(
        "SELECT n::text AS text FROM notifications n UNION ALL SELECT d::text FROM documents d \
         UNION ALL SELECT i::text FROM idempotency i",
    )
    .load(&mut stage.connect())
    .unwrap();
    assert!(dumps.len() >= 2);
    assert!(dumps.iter().all(|dump| !dump.text.contains(key)));
}
