//! delivery-worker
