//! A service's settings: retention, guest list, senders, inbound numbers, callbacks.
