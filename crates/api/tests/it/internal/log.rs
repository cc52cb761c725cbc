//! The notification log, and a service's received texts.
