//! The vocabulary of Pillarbox: ids, statuses, recipients, templates, text messages, the retry ladder, wake-ups.
//!
//! Pure on purpose: no IO, no async, no clock of its own. Every other crate may use this one; it uses none of ours.

pub mod clock;
pub mod country;
pub mod email;
pub mod email_address;
mod email_page;
pub mod filling;
pub mod gsm;
pub mod html;
pub mod id;
mod idna_2003;
pub mod london;
mod markdown;
pub mod notification;
pub mod personalisation;
pub mod phone;
pub mod provider;
pub mod python;
pub mod receipt;
pub mod received_text;
mod rendered_size;
pub mod retry;
pub mod sender_name;
pub mod sms;
pub mod status;
pub mod template;
pub mod this_machine;
mod typography;
pub mod wakeup;
pub mod whitespace;
