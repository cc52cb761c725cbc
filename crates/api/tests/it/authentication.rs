//! Every refusal of the contract's tables, end to end, each under its letter. How one key judges a token is tested beside
//! the code.

use db::api_key::NewKey;
use domain::{id::ApiKeyId, status::KeyType};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{ADMIN_SECRET, LIMIT, Stage, error, now, signed, token};

fn auth_error(status: u16, message: &str) -> (u16, Value) {
    error(status, "AuthError", message)
}

const TEXT_C: &str = "Invalid token: make sure your API token matches the example at \
                      https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header";

async fn with_header(stage: &Stage, authorization: Option<&str>) -> (u16, Value) {
    let headers: Vec<_> =
        authorization.map(|value| ("authorization", value.to_owned())).into_iter().collect();
    stage.http().send(hyper::Method::GET, "/v2/notifications", &headers, "").await.parts()
}

async fn with_token(stage: &Stage, token: &str) -> (u16, Value) {
    stage.http().get("/v2/notifications", Some(token)).await.parts()
}

async fn with_claims(stage: &Stage, claims: Value) -> (u16, Value) {
    with_token(stage, &signed(&claims, &stage.secret(KeyType::Normal).to_string())).await
}

#[tokio::test]
async fn a_no_header_or_an_empty_one() {
    let stage = Stage::new();
    let expected = auth_error(401, "Unauthorized: authentication token must be provided");
    assert_eq!(with_header(&stage, None).await, expected);
    assert_eq!(with_header(&stage, Some("")).await, expected);
    let answer = stage.http().get("/v2/notifications", None).await;
    assert!(!answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn c_two_headers_of_which_neither_counts() {
    let stage = Stage::new();
    let (good, bad) = (stage.token(KeyType::Normal), token(&stage.service_id().to_string(), "wrong"));
    for pair in [[&good, &good], [&good, &bad], [&bad, &good]] {
        let headers = pair.map(|token| ("authorization", format!("Bearer {token}")));
        let answer = stage.http().send(hyper::Method::GET, "/v2/notifications", &headers, "").await;
        assert_eq!(answer.parts(), auth_error(403, TEXT_C));
    }
    let admin = token("notify-admin", ADMIN_SECRET);
    let headers = [("authorization", format!("Bearer {admin}")), ("authorization", format!("Bearer {good}"))];
    let answer = stage.http().send(hyper::Method::GET, "/service", &headers, "").await;
    assert_eq!(answer.parts(), (403, json!({"result": "error", "message": {"token": [TEXT_C]}})));
}

#[tokio::test]
async fn b_not_a_bearer_scheme() {
    let stage = Stage::new();
    let expected = auth_error(401, "Unauthorized: authentication bearer scheme must be used");
    assert_eq!(with_header(&stage, Some("Basic eDp5")).await, expected);
    let token = stage.token(KeyType::Normal);
    assert_eq!(with_header(&stage, Some(&format!("bEaReR {token}"))).await.0, 200);
}

#[tokio::test]
async fn c_not_decodable() {
    let stage = Stage::new();
    assert_eq!(with_token(&stage, "a.b.c").await, auth_error(403, TEXT_C));
}

#[tokio::test]
async fn d_iss_not_provided() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: iss field not provided");
    assert_eq!(with_claims(&stage, json!({"iat": 1})).await, expected);
}

#[tokio::test]
async fn e_iss_not_a_uuid() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: service id is not the right data type");
    assert_eq!(with_claims(&stage, json!({"iss": "me", "iat": 1})).await, expected);
}

#[tokio::test]
async fn f_unknown_service() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: service not found");
    let stranger = Uuid::new_v4().to_string();
    assert_eq!(with_claims(&stage, json!({"iss": stranger, "iat": now().timestamp()})).await, expected);
}

#[tokio::test]
async fn g_service_without_keys() {
    let stage = Stage::new();
    stage.sql("DELETE FROM api_keys");
    let expected = auth_error(403, "Invalid token: service has no API keys");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await, expected);
}

#[tokio::test]
async fn h_archived_service() {
    let stage = Stage::with(|service| service.active = false, |_| {});
    let expected = auth_error(403, "Invalid token: service is archived");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await, expected);
    let wrong = token(&stage.service_id().to_string(), "wrong");
    assert_eq!(with_token(&stage, &wrong).await, expected);
}

#[tokio::test]
async fn h_archived_service_whose_keys_were_revoked_with_it() {
    let stage = Stage::with(|service| service.active = false, |_| {});
    stage.sql("UPDATE api_keys SET revoked_at = now()");
    let expected = auth_error(403, "Invalid token: service is archived");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await, expected);
}

#[tokio::test]
async fn i_stale_token() {
    let stage = Stage::new();
    let expected = auth_error(403, "Error: Your system clock must be accurate to within 30 seconds");
    for iat in [now().timestamp() - 120, now().timestamp() + 120] {
        let claims = json!({"iss": stage.service_id(), "iat": iat});
        assert_eq!(with_claims(&stage, claims).await, expected);
    }
}

#[tokio::test]
async fn j_wrong_algorithm() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: algorithm used is not HS256");
    let claims = json!({"iss": stage.service_id(), "iat": now().timestamp()});
    let secret = stage.secret(KeyType::Normal).to_string();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
    assert_eq!(with_token(&stage, &token).await, expected);
}

#[tokio::test]
async fn k_any_other_verification_error() {
    let stage = Stage::new();
    let claims = json!({"iss": stage.service_id(), "iat": now().timestamp(), "aud": "x"});
    assert_eq!(with_claims(&stage, claims).await, auth_error(403, TEXT_C));
}

#[tokio::test]
async fn l_revoked_key() {
    let stage = Stage::new();
    db::api_key::revoke(&mut stage.connect(), stage.sample.keys[0].0, None, now()).unwrap();
    let expected = auth_error(403, "Invalid token: API key revoked");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await, expected);
    assert_eq!(with_token(&stage, &stage.token(KeyType::Team)).await.0, 200, "the others go on");
}

#[tokio::test]
async fn l_a_revocation_bites_within_seconds() {
    let stage = Stage::new();
    let token = stage.token(KeyType::Normal);
    assert_eq!(with_token(&stage, &token).await.0, 200);
    db::api_key::revoke(&mut stage.connect(), stage.sample.keys[0].0, None, now()).unwrap();
    let revoked = auth_error(403, "Invalid token: API key revoked");
    testkit::eventually(LIMIT, "the key is refused", async || {
        (with_token(&stage, &token).await == revoked).then_some(())
    })
    .await;
}

#[tokio::test]
async fn m_wrong_signature() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: API key not found");
    let wrong = token(&stage.service_id().to_string(), &Uuid::new_v4().to_string());
    assert_eq!(with_token(&stage, &wrong).await, expected);
}

#[tokio::test]
async fn m_exp_or_nbf_that_is_no_number() {
    let stage = Stage::new();
    let expected = auth_error(403, "Invalid token: API key not found");
    for name in ["exp", "nbf"] {
        let claims = json!({"iss": stage.service_id(), "iat": now().timestamp(), name: "soon"});
        assert_eq!(with_claims(&stage, claims).await, expected, "{name}");
    }
}

#[tokio::test]
async fn m_a_key_revoked_long_ago_is_as_if_it_had_never_been() {
    let stage = Stage::new();
    stage.sql(
        "UPDATE api_keys SET created_at = now() - interval '10 days', revoked_at = now() - interval '9 days' \
         WHERE key_type = 'normal'",
    );
    let expected = auth_error(403, "Invalid token: API key not found");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await, expected);
}

#[tokio::test]
async fn m_stale_and_wrong_is_wrong() {
    let stage = Stage::new();
    let claims = json!({"iss": stage.service_id(), "iat": 1});
    let expected = auth_error(403, "Invalid token: API key not found");
    assert_eq!(with_token(&stage, &signed(&claims, "wrong")).await, expected);
}

#[tokio::test]
async fn n_internal_endpoints_have_clients_of_their_own() {
    let stage = Stage::new();
    let path = format!("/deliver/notification/{}", Uuid::new_v4());
    let internal =
        |status: u16, message: &str| (status, json!({"result": "error", "message": {"token": [message]}}));
    let not_allowed = internal(401, "Unauthorized: not allowed to perform this action");
    for token in [stage.token(KeyType::Normal), token("notify-nobody", "wrong")] {
        assert_eq!(stage.http().post(&path, Some(&token), "").await.parts(), not_allowed);
    }
    let mine = |claims: Value, secret: &str| Some(signed(&claims, secret));
    for (token, expected) in [
        (None, internal(401, "Unauthorized: authentication token must be provided")),
        (Some("x".to_owned()), internal(403, TEXT_C)),
        (mine(json!({"iat": 1}), ADMIN_SECRET), internal(403, "Invalid token: iss field not provided")),
        (
            mine(json!({"iss": "notify-admin", "iat": now().timestamp()}), "wrong"),
            internal(403, "Invalid token: API key not found"),
        ),
        (
            mine(json!({"iss": "notify-admin", "iat": 1}), ADMIN_SECRET),
            internal(403, "Error: Your system clock must be accurate to within 30 seconds"),
        ),
    ] {
        assert_eq!(stage.http().post(&path, token.as_deref(), "").await.parts(), expected);
    }
}

#[tokio::test]
async fn a_key_whose_secret_cannot_be_opened_stops_nobody() {
    let stage = Stage::new();
    stage.sql("UPDATE api_keys SET secret = '\\x00' WHERE key_type = 'team'");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Normal)).await.0, 200);
    let expected = auth_error(403, "Invalid token: API key not found");
    assert_eq!(with_token(&stage, &stage.token(KeyType::Team)).await, expected);
}

#[tokio::test]
async fn any_spelling_of_the_service_id_will_do() {
    let stage = Stage::new();
    let spelled = stage.service_id().0.simple().to_string().to_uppercase();
    let token = token(&spelled, &stage.secret(KeyType::Normal).to_string());
    assert_eq!(with_token(&stage, &token).await.0, 200);
}

#[tokio::test]
async fn a_service_may_have_many_keys_and_each_opens() {
    let stage = Stage::new();
    let (secret, keyring) = (Uuid::new_v4(), testkit::keyring());
    let new = NewKey {
        id: ApiKeyId::new(now()),
        service_id: stage.service_id(),
        key_type: KeyType::Normal,
        name: "second",
        secret,
        created_by: None,
    };
    assert!(db::api_key::create(&mut stage.connect(), &keyring, &new, now()).unwrap());
    for secret in [secret, stage.secret(KeyType::Normal), stage.secret(KeyType::Test)] {
        let token = token(&stage.service_id().to_string(), &secret.to_string());
        assert_eq!(with_token(&stage, &token).await.0, 200);
    }
}
