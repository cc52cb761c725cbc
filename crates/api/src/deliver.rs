//! Delivery by request: a lambda, cron or an operator adds throughput at peak. The claim makes it safe beside the workers.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use domain::id::NotificationId;
use tokio::sync::oneshot;

use crate::{
    App, auth,
    error::{PlainError, Problem},
    openapi::{internal::tag, refusal::internal as refusal, request::internal as ask},
};

/// 204 when it was delivered, put back, or somebody else is at it; 404 when there is no such notification.
#[utoipa::path(
    post, path = "/deliver/notification/{id}", tag = tag::DELIVERY, operation_id = "deliverNotification",
    summary = "Deliver a notification now", params(ask::Notification),
    responses(
        (status = 204, description = "It was delivered, or put back to be tried again, or somebody else is at it."),
        refusal::Read,
    ),
)]
pub(crate) async fn notification(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    auth::internal(&app, &request)?;
    let id: NotificationId =
        request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or(Problem::UnknownUrl)?;
    let (answer, answered) = oneshot::channel();
    let app = app.into_inner();
    // What is claimed must be settled, whether or not the caller waits for it, and whether or not the thread that serves
    // the caller lives that long: on the main runtime, and waited for at the end of the process.
    let _main_runtime = app.main_runtime.enter();
    app.tasks.errand({
        let app = app.clone();
        async move {
            // A caller that went away is no reason to stop.
            let _ = answer.send(deliver(&app, id).await);
        }
    });
    drop(_main_runtime);
    answered.await.map_err(|_| Problem::Internal("a delivery ended without an answer".into()))??;
    Ok(HttpResponse::NoContent().finish())
}

async fn deliver(app: &App, id: NotificationId) -> Result<(), Problem> {
    let _permit = app.deliveries.acquire().await.map_err(|_| Problem::TookTooLong)?;
    let claims = app.delivery.claim(vec![id.0]).await?;
    if !claims.not_found.is_empty() {
        return Err(Problem::NoResult);
    }
    let mut settlements = claims.ended;
    for claimed in claims.claimed {
        settlements.push(app.delivery.attempt(claimed).await);
    }
    app.announcer.announce(app.delivery.settle(settlements).await.into_iter());
    Ok(())
}
