//! The companies that carry messages, as those who run the platform see them.

use crate::status::ProviderId;

/// How a provider stands at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub provider: ProviderId,
    /// Takes part.
    pub active: bool,
    /// 0 to 100: its share among the active ones of its channel.
    pub weight: u8,
    /// Carries texts to other countries.
    pub international: bool,
}
