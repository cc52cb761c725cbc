//! Every query, as plain functions on a connection, behind one door ([`Db::run`]).
//!
//! # The data in one page
//!
//! - **`services`** send. They have **`service_permissions`**, **`api_keys`** (secret sealed), **`sms_senders`**,
//!   **`reply_to_addresses`**, and **`templates`**, whose **`template_versions`** never change.
//! - **`users`** are people; as **`service_users`** they may be reached in trial mode, and so may the **`guest_list`**.
//! - **`service_details`** are facts of a service that no message depends on.
//! - **`history`** is who changed services, keys and providers, and what they were from then on.
//! - **`service_usage`** is what a service has used of its limits, **`idempotency`** which requests it made before.
//! - **`notifications`** are messages to one person each: what was asked, and where it stands. Partitioned by day. The
//!   personalisation is sealed; the content is rendered from the template version when it is needed, and stored nowhere.
//! - **`due`** says what is to be done, by when, and who is at it ([`due`] is the heart of the house).
//! - **`statistics`** and **`statistics_deltas`** are the figures, kept by triggers (`figures` adds both); **`uncommon_statuses`**
//!   lists the notifications whose status few have.
//! - **`attempts`** say what each call of a provider came to, **`receipts`** what providers said afterwards.
//! - **`unsubscribe_requests`** are what recipients asked of a service with the link of an e-mail; the address is sealed.
//! - **`documents`** are files sent by e-mail, each sealed with a key that is only in its link.
//! - **`inbound_numbers`** are what people can text services at, **`received_texts`** what they wrote: once each, the content
//!   sealed, forgotten after a week, or when the service's **`data_retention`** says.
//! - **`callbacks`** say where a service wants to be told of what happens; the token is sealed.
//! - **`sms_rates`** say what a text costs.
//! - **`providers`** are the companies that carry messages: who takes part at present, and with what weight.
//! - **`expanding_migrations`** are those that leave programs at work which do not know them ([`migrations`]).
//!
//! A `created` notification has a row in `due`, committed with it; whatever ends the one ends the other in one transaction.
//! [`audit`] counts that this is so.
//!
//! This crate never calls a provider, never publishes, and never reads a clock: times are arguments.

pub mod advisory_lock;
pub mod api_key;
pub mod audit;
pub mod callback;
pub mod cancel;
mod database_tls;
pub mod delivery;
pub mod document;
pub mod due;
mod error;
mod evidence;
mod fair_queue;
mod group_writer;
pub mod guest_list;
mod handful;
pub mod history;
pub mod idempotency;
pub mod inbound_number;
pub mod intake;
pub mod limit;
pub mod log;
pub mod migrations;
pub mod notification;
pub mod partition;
mod pg_enum;
pub mod platform;
mod pool;
pub mod provider_details;
pub mod receipt;
pub mod received_text;
pub mod retention;
pub mod schema;
pub mod sealing;
pub mod sender;
pub mod service;
pub mod service_details;
mod session;
mod statement;
pub mod statistics;
pub mod story;
pub mod template;
pub mod unsubscribe;
pub mod user;

pub use diesel::{PgConnection, QueryResult};
pub use error::DbError;
pub use group_writer::{GroupWriter, Turn};
pub use pool::{Config, Db, connect};
