//! A message in the hands of this process.

use std::sync::Arc;

use domain::notification::Notification;

use crate::large::Held;

/// A notification that was loaded, and what it holds of the memory.
#[derive(Debug)]
pub struct Message {
    pub notification: Arc<Notification>,
    /// Of its template and personalisation, in bytes.
    pub(crate) size: usize,
    /// When it is large.
    pub(crate) held: Option<Held>,
}

impl Message {
    #[must_use]
    pub fn new(notification: Notification, size: usize) -> Self {
        Self { notification: Arc::new(notification), size, held: None }
    }
}
