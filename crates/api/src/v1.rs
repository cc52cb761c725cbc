//! The public API of September 2016, for integrations that are older than `/v2`. What is stored is the same: either API
//! shows what the other one sent, in its own form.

mod form;
pub(crate) mod notifications;
pub(crate) mod query;
mod recipient;
pub(crate) mod send;
mod tags;

use serde::Serialize;
use utoipa::ToSchema;

/// What successful answers are wrapped in, but for the list.
#[derive(Serialize, ToSchema)]
struct Wrapped<T> {
    data: T,
}
