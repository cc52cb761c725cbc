//! What people meet who follow a link to a file: pages, the question for their address, and the file.

use chrono::TimeDelta;
use domain::clock::Clock;
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    files::{PDF, documents, email, file, link, stage},
    http::{Answer, Http},
    stage::{Api, Stage, config, now},
};

const RIGHT: &str = "email_address=rosa%40example.com";
const WRONG: &str = "email_address=carol%40example.com";

/// Sends Rosa this file, and answers the path of its link.
async fn sent(stage: &Stage, change: &Value) -> String {
    path(&link(&stage.send("email", &email(stage, &file(change))).await))
}

fn path(url: &str) -> String {
    url[url.find("/d/").unwrap()..].to_owned()
}

async fn get(http: &Http, path: &str) -> Answer {
    http.get(path, None).await
}

async fn confirm(http: &Http, path: &str, form: &str) -> Answer {
    let form_type = ("content-type", "application/x-www-form-urlencoded".to_owned());
    http.send(Method::POST, path, &[form_type], form.to_owned()).await
}

fn text(page: &Answer) -> String {
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{page:?}");
    String::from_utf8(page.body.to_vec()).unwrap()
}

/// Where the button on a page leads to.
fn button(page: &Answer, path: &str) -> String {
    let page = text(page);
    let href = page.split_once("class=\"button\" href=\"").unwrap().1.split_once('"').unwrap().0;
    let folder = path.split_once('?').unwrap().0.rsplit_once('/').unwrap().0;
    format!("{folder}/{}", href.replace("&amp;", "&"))
}

fn assert_gone(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(text(answer).contains("This file is no longer available"));
    assert!(!text(answer).contains("Parking"), "nobody learns whose it was");
}

fn assert_keeps_the_secret(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}");
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}");
    }
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn a_file_goes_the_whole_way_from_the_request_to_its_reader() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({"filename": "Rosas Parkschein für Köln.pdf"})).await;

    let landing = get(stage.http(), &path).await;
    assert_eq!(landing.status, 200);
    assert_keeps_the_secret(&landing);
    let page = text(&landing);
    for part in
        ["You have a file to download", "Parking permits", "https://permits.example/contact", "PDF", "1KB"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let until = (now() + TimeDelta::weeks(26)).format("%-d %B %Y").to_string();
    assert!(page.contains(&until), "{until}: {page}");
    assert!(!page.contains("Parkschein") && !page.contains("rosa"), "not before the address is confirmed");

    let ready = confirm(stage.http(), &path, RIGHT).await;
    assert_eq!(ready.status, 200);
    assert_keeps_the_secret(&ready);
    assert!(!text(&ready).contains("rosa@"));

    let file = get(stage.http(), &button(&ready, &path)).await;
    assert_eq!((file.status, &file.body[..]), (200, PDF));
    assert_keeps_the_secret(&file);
    assert_eq!(file.headers["content-type"], "application/pdf");
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"Rosas Parkschein f_r K_ln.pdf\"; \
         filename*=UTF-8''Rosas%20Parkschein%20f%C3%BCr%20K%C3%B6ln.pdf"
    );
}

#[tokio::test]
async fn a_file_that_needs_no_confirmation_is_one_click_away() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({"confirm_email_before_download": false})).await;
    let landing = get(stage.http(), &path).await;
    assert!(!text(&landing).contains("<form"));
    let file = get(stage.http(), &button(&landing, &path)).await;
    assert_eq!((file.status, &file.body[..]), (200, PDF));
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"document.pdf\"");
}

#[tokio::test]
async fn an_address_is_right_in_any_spelling_of_its_letters() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    for form in ["email_address=ROSA%40Example.COM", "x=1&email_address=+rosa%40example.com+"] {
        assert_eq!(confirm(stage.http(), &path, form).await.status, 200, "{form}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_told_and_opens_nothing() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    for (form, message) in [
        (WRONG, "This is not the email address the file was sent to"),
        ("email_address=rosa", "Enter an email address in the correct format, like name@example.com"),
        ("email_address=", "Enter an email address in the correct format, like name@example.com"),
        ("", "Enter an email address in the correct format, like name@example.com"),
    ] {
        let answer = confirm(stage.http(), &path, form).await;
        assert_eq!(answer.status, 400, "{form}");
        let page = text(&answer);
        assert!(page.contains(message) && page.contains("<title>Error: "), "{page}");
        assert!(!page.contains("class=\"button\""));
        assert!(!page.contains("carol"), "what was typed does not come back");
    }
}

#[tokio::test]
async fn the_bytes_are_only_for_whoever_has_a_ticket() {
    let stage = stage(|_| {});
    let (path, other) = (sent(&stage, &json!({})).await, sent(&stage, &json!({})).await);
    let with_ticket = button(&confirm(stage.http(), &path, RIGHT).await, &path);
    let ticket = with_ticket.split_once("&ticket=").unwrap().1;
    let without = with_ticket.split_once("&ticket=").unwrap().0;
    let other_with = format!("{}&ticket={ticket}", other.replacen('?', "/file?", 1));
    for path in [without, &format!("{without}&ticket="), &format!("{without}&ticket=AAAA"), &other_with] {
        let answer = get(stage.http(), path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.body.is_empty());
        assert!(answer.headers["location"].to_str().unwrap().starts_with("../"));
    }
    // Sealed with the house's key: having the link is not enough to make one.
    let moved = get(stage.http(), without).await.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(moved.strip_prefix(".."), path.strip_prefix(&path[..path.rfind('/').unwrap()]));
}

#[tokio::test]
async fn ten_wrong_addresses_an_hour_at_all_replicas_together() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    let clock = Clock::manual(now());
    let replicas = [(), ()].map(|()| Api::start_at(config(&stage.database), clock.clone()));
    let guesses = join_all((0..30).map(|n| confirm(&replicas[n % 2].http, &path, WRONG))).await;
    let count = |status| guesses.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(400), count(429)), (10, 20));
    assert!(guesses.iter().any(|answer| answer.status == 429 && text(answer).contains("Try again later")));

    let [one, two] = &replicas;
    assert_eq!(confirm(&two.http, &path, RIGHT).await.status, 429, "else guessing would go on");
    assert_eq!(get(&one.http, &path).await.status, 200, "the question itself may be seen");
    clock.advance(TimeDelta::minutes(61));
    assert_eq!(confirm(&one.http, &path, RIGHT).await.status, 200);
    assert_eq!(confirm(&two.http, &path, WRONG).await.status, 400);
}

#[tokio::test]
async fn right_addresses_and_misspelt_ones_do_not_count() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    for _ in 0..12 {
        assert_eq!(confirm(stage.http(), &path, RIGHT).await.status, 200);
        assert_eq!(confirm(stage.http(), &path, "email_address=rosa").await.status, 400);
    }
    assert_eq!(confirm(stage.http(), &path, RIGHT).await.status, 200);
}

#[tokio::test]
async fn a_file_is_gone_when_its_time_is_over_and_so_is_its_ticket() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({"retention_period": "1 week"})).await;
    let clock = Clock::manual(now());
    let later = Api::start_at(config(&stage.database), clock.clone());
    let file = button(&confirm(&later.http, &path, RIGHT).await, &path);
    assert_eq!(get(&later.http, &file).await.status, 200);
    clock.advance(TimeDelta::hours(1));
    assert_eq!(get(&later.http, &file).await.status, 303, "the ticket is too old: asked again");
    clock.advance(TimeDelta::days(7) - TimeDelta::hours(2));
    assert_eq!(get(&later.http, &path).await.status, 200);
    clock.advance(TimeDelta::hours(1));
    for gone in [get(&later.http, &path), get(&later.http, &file)] {
        assert_gone(&gone.await);
    }
    assert_gone(&confirm(&later.http, &path, RIGHT).await);
    assert_eq!(documents(&stage), 1, "the scheduler deletes it");
}

#[tokio::test]
async fn what_is_not_there_looks_like_what_does_not_open() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    let (ids, key) = path.split_once("?key=").unwrap();
    let (service, document) = ids.strip_prefix("/d/").unwrap().split_once('/').unwrap();
    let mut other_key = key.to_owned();
    other_key.replace_range(..1, if key.starts_with('A') { "B" } else { "A" });
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let other = BASE64_URL_SAFE_NO_PAD.encode(Uuid::new_v4());
    for path in [
        format!("/d/{service}/{document}?key={other_key}"),
        format!("/d/{service}/{document}?key={}", &key[..42]),
        format!("/d/{service}/{document}"),
        format!("/d/{other}/{document}?key={key}"),
        format!("/d/{service}/{other}?key={key}"),
        format!("/d/{service}?key={key}"),
        format!("/d/{service}/{document}/file/more?key={key}"),
        "/d/".to_owned(),
        "/d/%2e%2e/%ff?key=%00".to_owned(),
    ] {
        assert_gone(&get(stage.http(), &path).await);
        assert_gone(&confirm(stage.http(), &path, RIGHT).await);
    }
    assert_gone(&stage.http().call(Method::DELETE, &path, None, "").await);
    assert_keeps_the_secret(&get(stage.http(), "/d/x/y").await);
}

#[tokio::test]
async fn the_head_of_a_page_may_be_asked_for() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    let head = stage.http().call(Method::HEAD, &path, None, "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_keeps_the_secret(&head);
}

#[tokio::test]
async fn names_are_escaped_and_links_are_what_they_seem() {
    let stage = stage(|_| {});
    let change = json!({"confirm_email_before_download": false, "filename": "<b>&\".pdf"});
    let path = sent(&stage, &change).await;
    for (contact, shown) in [
        ("javascript:alert(1)", "<strong>javascript:alert(1)</strong>"),
        ("desk@example.com", "<a href=\"mailto:desk@example.com\">desk@example.com</a>"),
        ("020 7946 0000", "<strong>020 7946 0000</strong>"),
        ("https://x.example/\"><script>", "<a href=\"https://x.example/&quot;&gt;&lt;script&gt;\">"),
    ] {
        let api = Api::start_at(config(&stage.database), Clock::System);
        stage.sql(&format!("UPDATE services SET contact_link = '{contact}', name = '<i>Permits</i>'"));
        let page = text(&get(&api.http, &path).await);
        assert!(page.contains(shown), "{shown}: {page}");
        assert!(
            page.contains("&lt;i&gt;Permits&lt;/i&gt;") && page.contains("&lt;b&gt;&amp;&quot;.pdf"),
            "{page}"
        );
        assert!(!page.contains("<script") && !page.contains("<i>") && !page.contains("<b>"));
    }
}

#[tokio::test]
async fn a_form_that_is_far_too_long_is_refused_with_a_page() {
    let stage = stage(|_| {});
    let path = sent(&stage, &json!({})).await;
    let answer = confirm(stage.http(), &path, &format!("email_address={}", "x".repeat(10_000))).await;
    assert_eq!(answer.status, 413);
    assert!(text(&answer).contains("Sorry, there is a problem"));
}
