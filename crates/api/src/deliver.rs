//! Delivery by request: a lambda, cron or an operator adds throughput at peak. The claim makes it safe beside the workers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use db::delivery::{Claimed, Claims, Settlement};
use domain::{
    id::NotificationId,
    notification::{Attempt, Notification, Outcome},
    retry::{RetryPolicy, SendFailure},
};
use tokio::sync::oneshot;

use crate::{
    App, auth,
    error::{PlainError, Problem},
};

/// Between two tries to write down what came of a delivery.
const SETTLE_PAUSE: Duration = Duration::from_millis(250);

/// 204 when it was delivered, put back, or somebody else is at it; 404 when there is no such notification.
pub(crate) async fn notification(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    auth::internal(&app, &request)?;
    let id: NotificationId =
        request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or(Problem::NoResult)?;
    let (answer, answered) = oneshot::channel();
    let app = app.into_inner();
    // What is claimed must be settled, whether or not the caller waits for it, and whether or not the thread that serves
    // the caller lives that long: on the main runtime, and waited for at the end of the process.
    let _main_runtime = app.main_runtime.enter();
    app.tasks.spawn("delivery", {
        let app = app.clone();
        async move {
            // A caller that went away is no reason to stop.
            let _ = answer.send(deliver(&app, id).await);
            Ok::<_, Infallible>(())
        }
    });
    drop(_main_runtime);
    answered.await.map_err(|_| Problem::Internal("a delivery ended without an answer".into()))??;
    Ok(HttpResponse::NoContent().finish())
}

async fn deliver(app: &Arc<App>, id: NotificationId) -> Result<(), Problem> {
    let _permit = app.deliveries.acquire().await.map_err(|_| Problem::TookTooLong)?;
    let (keyring, now, lease) = (app.keyring.clone(), app.clock.now(), app.config.delivery_lease);
    let claims =
        app.db.run("delivery.claim", move |conn| db::delivery::claim(conn, &keyring, &[id.0], now, lease));
    let Claims { claimed, not_found, unreadable } = claims.await?;
    if !not_found.is_empty() {
        return Err(Problem::NoResult);
    }
    let mut settlements = Vec::new();
    for Claimed { lease, notification } in claimed {
        let attempt = attempt(app, &notification).await;
        settlements.push(Settlement { lease, attempt, at: app.clock.now() });
    }
    for lease in unreadable {
        let reason = SendFailure::Misconfigured(
            "the personalisation, the template or the service cannot be read".into(),
        );
        settlements.push(Settlement { lease, attempt: failed(Duration::ZERO, reason), at: now });
    }
    if settlements.is_empty() {
        return Ok(());
    }
    settle(app, settlements, now).await
}

/// Ends in time for its settle to come within the lease, so that nobody else sends it meanwhile.
async fn attempt(app: &App, notification: &Notification) -> Attempt {
    let limit = app.config.delivery_lease * 3 / 4;
    let sending = tokio::time::timeout(limit, delivery::send(&app.providers, notification));
    sending.await.unwrap_or_else(|_| failed(limit, SendFailure::Transient("took too long".into())))
}

fn failed(took: Duration, reason: SendFailure) -> Attempt {
    Attempt { provider: None, took, billable_units: 0, outcome: Outcome::Failed(reason) }
}

/// Tried for as long as the database is away: once a provider has said yes, only this write prevents a second send.
async fn settle(app: &App, settlements: Vec<Settlement>, claimed_at: DateTime<Utc>) -> Result<(), Problem> {
    let settlements = Arc::new(settlements);
    loop {
        let to_write = settlements.clone();
        let written = app.db.run("delivery.settle", move |conn| {
            db::delivery::settle(conn, &to_write, &RetryPolicy::default())
        });
        match written.await {
            Ok(wake_ups) => {
                app.announcer.announce(wake_ups.into_iter());
                return Ok(());
            }
            Err(error) => {
                let held_for = (app.clock.now() - claimed_at).to_std().unwrap_or_default();
                if !error.is_unavailable() && held_for >= app.config.delivery_lease {
                    return Err(error.into());
                }
                tracing::error!(%error, "a settle failed and is tried again");
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        }
    }
}
