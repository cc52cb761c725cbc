//! What showing a stored notification takes, whichever API shows it.

use db::notification::StoredNotification;
use domain::{id::TemplateId, template::Personalisation};

use crate::App;

/// The template versions that these were made from.
pub(crate) fn versions(found: &[StoredNotification]) -> Vec<(TemplateId, i32)> {
    let mut versions: Vec<_> = found.iter().map(|n| (n.template_id, n.template_version)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What does not open is shown as if nothing had been given: one bad row must not hide the rest of a page.
pub(crate) fn personalisation(app: &App, stored: &StoredNotification) -> Personalisation {
    let Some(sealed) = &stored.personalisation else { return Personalisation::default() };
    let opened = app.keyring.open(stored.id.0, sealed).ok();
    let values = opened.and_then(|json| serde_json::from_slice(&json).ok());
    if values.is_none() {
        tracing::error!(notification = %stored.id, "the personalisation does not open with our sealing keys");
    }
    values.map(Personalisation::new).unwrap_or_default()
}
