//! How the process is. No token is needed.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use serde_json::json;

use crate::{
    App,
    error::{PlainError, Problem},
};

const UNKNOWN: &str = "unknown";

/// `?simple=1` does not ask the database.
pub(crate) async fn status(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    if request.query_string().split('&').any(|pair| pair == "simple" || pair.starts_with("simple=")) {
        return Ok(HttpResponse::Ok().json(json!({ "status": "ok" })));
    }
    let version = app.db.run("migrations.version", |conn| Ok(db::migrations::version(conn)));
    let version = version.await?.map_err(|error| Problem::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().json(json!({
        "status": "ok",
        "git_commit": option_env!("PILLARBOX_GIT_COMMIT").unwrap_or(UNKNOWN),
        "build_time": option_env!("PILLARBOX_BUILD_TIME").unwrap_or(UNKNOWN),
        "db_version": version.as_deref().unwrap_or(UNKNOWN),
    })))
}

pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(service::health::alive())
}

pub(crate) async fn ready(app: Data<App>) -> HttpResponse {
    let report = app.readiness.report().await;
    let status = StatusCode::from_u16(report.status_code()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    HttpResponse::build(status).json(report.to_json())
}
