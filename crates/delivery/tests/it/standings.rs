//! The database says who takes part among the providers, and every process learns it without a message's asking.

use std::time::Duration;

use domain::{retry::SendFailure, status::ProviderId};
use provider::SmsProvider;
use testkit::TestDatabase;

use crate::{lease::delivery, world};

#[tokio::test]
async fn what_was_last_known_stands_until_the_database_says_otherwise() {
    let (_simulator, providers) = world(|_| ()).await;
    providers.stand(Vec::new());
    let database = TestDatabase::new();
    let delivery = delivery(&database, providers);
    let draw = || delivery.providers.choose_sms(false).map(SmsProvider::id);
    let none = Err(SendFailure::Misconfigured("No active sms providers".into()));
    assert_eq!(draw(), none);
    database.execute("UPDATE providers SET active = false WHERE identifier = 'mmg'");
    assert_eq!(draw(), none, "no query is on a message's way");
    delivery.read_standings().await;
    assert_eq!(draw(), Ok(ProviderId::Firetext));
    database.execute("UPDATE providers SET priority = 0 WHERE identifier = 'firetext'");
    database.execute("UPDATE providers SET active = true, priority = 1 WHERE identifier = 'mmg'");
    assert_eq!(draw(), Ok(ProviderId::Firetext));
    database.execute("ALTER TABLE providers RENAME TO elsewhere");
    let away = tokio::time::timeout(Duration::from_millis(500), delivery.read_standings()).await;
    assert!(away.is_err(), "it goes on trying");
    assert_eq!(draw(), Ok(ProviderId::Firetext));
    database.execute("ALTER TABLE elsewhere RENAME TO providers");
    delivery.read_standings().await;
    assert_eq!(draw(), Ok(ProviderId::Mmg));
}
