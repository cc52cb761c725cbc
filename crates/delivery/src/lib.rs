//! From a claimed notification to what came of one attempt to send it. Called by the delivery worker and by the delivery
//! endpoint alike; it knows nothing of the database, the broker or the lease, all of which are its callers' matter.

mod send;
mod simulation;

pub use crate::send::send;
