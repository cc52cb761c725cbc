//! Writing down what came of the calls. Once a provider has said yes, the only thing between us and a second send is this
//! write. So it is tried until it succeeds, for as long as the process lives.

use std::{sync::Arc, time::Duration};

use backoff::{ExponentialBackoff, backoff::Backoff};
use db::delivery::Settlement;
use domain::{notification::Outcome, retry::SendFailure, status::ProviderId, wakeup::WakeUp};

use crate::Delivery;

impl Delivery {
    /// Writes down a handful, in one transaction, whenever the database is there again. Answers what is to be woken now.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Vec<WakeUp> {
        if settlements.is_empty() {
            return Vec::new();
        }
        report(&settlements);
        let settlements = Arc::new(settlements);
        let mut pauses = ExponentialBackoff {
            initial_interval: Duration::from_millis(50),
            max_interval: Duration::from_secs(2),
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        loop {
            let (settlements, policy) = (Arc::clone(&settlements), Arc::clone(&self.policy));
            let write = move |conn: &mut _| db::delivery::settle(conn, &settlements, &policy);
            match self.db.run("delivery.settle", write).await {
                Ok(wake_ups) => return wake_ups,
                Err(error) => {
                    tracing::error!(%error, "a settle failed and is tried again");
                    tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
                }
            }
        }
    }
}

/// Failures are logged here, where they are handled: each that is nobody's fault but ours or final, the others counted.
fn report(settlements: &[Settlement]) {
    let mut transient = 0;
    let mut example = None;
    for Settlement { lease, attempt, .. } in settlements {
        let (id, provider) = (lease.subject(), attempt.provider.map(ProviderId::as_str));
        match &attempt.outcome {
            Outcome::HandedOver { .. } => {}
            Outcome::Failed(failure @ SendFailure::Recipient { .. }) => {
                tracing::info!(%id, provider, %failure, "not delivered");
            }
            Outcome::NotBegun { after } => {
                tracing::debug!(%id, ?after, "no room, or no time: it comes again");
            }
            Outcome::Refused(reason) => tracing::warn!(%id, reason, "refused"),
            Outcome::Failed(failure @ (SendFailure::Rejected(_) | SendFailure::Misconfigured(_))) => {
                tracing::error!(%id, provider, %failure, "not sent");
            }
            Outcome::Failed(
                failure @ (SendFailure::Transient(_)
                | SendFailure::Unanswered(_)
                | SendFailure::Throttled { .. }),
            ) => {
                transient += 1;
                tracing::debug!(%id, provider, %failure, "not sent, will be tried again");
                example.get_or_insert((id, provider, failure));
            }
        }
    }
    if let Some((id, provider, failure)) = example {
        tracing::warn!(failed = transient, of = settlements.len(), %id, provider, %failure, "not sent, will be tried again");
    }
}
