//! Who takes part among the providers, and with what weight: the database's word, read every few seconds by each process, so
//! that no message's way has a query for it. While the database is away, what was last known stands.

use std::{convert::Infallible, time::Duration};

use db::{DbError, provider_details};
use tokio::time::sleep;

use crate::Delivery;

/// How often it is read. The wire contract gives a change ten seconds to take effect everywhere.
pub const STANDINGS_EVERY: Duration = Duration::from_secs(5);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Delivery {
    /// Reads how the providers stand, now, or as soon as the database can be asked. Nothing may be sent before it was.
    pub async fn read_standings(&self) {
        while let Err(error) = self.try_to_read().await {
            tracing::warn!(%error, "how the providers stand cannot be read: what was last known stands");
            sleep(PAUSE).await;
        }
    }

    /// Keeps them current, for as long as it is polled.
    ///
    /// # Errors
    /// Never.
    pub async fn follow_standings(self) -> Result<(), Infallible> {
        loop {
            sleep(self.standings_every).await;
            self.read_standings().await;
        }
    }

    async fn try_to_read(&self) -> Result<(), DbError> {
        let standings = self.db.run("provider_details.standings", provider_details::standings).await?;
        self.providers.stand(standings);
        Ok(())
    }
}
