//! Providers: weights, activation, history.
