//! How the process is. No token is needed.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    error::PlainError,
    openapi::{self, example, refusal, request},
};

const UNKNOWN: &str = "unknown";

#[derive(Serialize, ToSchema)]
#[schema(as = Status, examples(example::status))]
struct Shown {
    #[schema(example = "ok")]
    status: &'static str,
    /// These, and the others, are absent when `simple` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    git_commit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    build_time: Option<&'static str>,
    /// The latest migration of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    db_version: Option<String>,
}

/// `?simple=1` does not ask the database.
#[utoipa::path(
    get, path = "/_status", tag = openapi::STATUS, operation_id = "status", security(()), params(request::Simple),
    summary = "Status", responses((status = 200, description = "It works.", body = Shown), refusal::Status),
)]
pub(crate) async fn status(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    if request.query_string().split('&').any(|pair| pair == "simple" || pair.starts_with("simple=")) {
        let simple = Shown { status: "ok", git_commit: None, build_time: None, db_version: None };
        return Ok(HttpResponse::Ok().json(simple));
    }
    let version = app.lookup.schema_version().await?;
    Ok(HttpResponse::Ok().json(Shown {
        status: "ok",
        git_commit: Some(option_env!("PILLARBOX_GIT_COMMIT").unwrap_or(UNKNOWN)),
        build_time: Some(option_env!("PILLARBOX_BUILD_TIME").unwrap_or(UNKNOWN)),
        db_version: Some(version.unwrap_or_else(|| UNKNOWN.to_owned())),
    }))
}

#[utoipa::path(
    post, path = "/_status", tag = openapi::STATUS, operation_id = "statusByPost", security(()), params(request::Simple),
    summary = "Status, by POST", responses((status = 200, description = "It works.", body = Shown), refusal::Status),
)]
pub(crate) async fn status_by_post(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    status(request, app).await
}

pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(service::health::alive())
}

pub(crate) async fn ready(app: Data<App>) -> HttpResponse {
    let report = app.readiness.report().await;
    let status = StatusCode::from_u16(report.status_code()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    HttpResponse::build(status).json(report.to_json())
}
