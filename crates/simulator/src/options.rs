//! How a simulator is set up: the same for the command line and for a test that starts one in-process.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use crate::control::Behaviour;

/// The defaults suit a test: free ports on 127.0.0.1, no keys, receipts after 100 ms.
#[derive(Clone, PartialEq, clap::Args)]
pub struct Options {
    /// Where the SMS providers and the inbox page listen; port 0 means any free one
    #[arg(long, default_value_t = Options::default().http)]
    pub http: SocketAddr,
    /// Where mail is taken; port 0 means any free one
    #[arg(long, default_value_t = Options::default().smtp)]
    pub smtp: SocketAddr,
    /// Key that MMG insists on; without it any caller is welcome
    #[arg(long, env = "SIMULATOR_MMG_KEY", hide_env_values = true)]
    pub mmg_key: Option<String>,
    /// Key that Firetext insists on; without it any caller is welcome
    #[arg(long, env = "SIMULATOR_FIRETEXT_KEY", hide_env_values = true)]
    pub firetext_key: Option<String>,
    /// Where MMG's receipts go when the request names no URL; http only, credentials may be in it
    #[arg(long, hide_env_values = true)]
    pub mmg_receipt_url: Option<String>,
    /// Where Firetext's receipts go when the request names no URL
    #[arg(long)]
    pub firetext_receipt_url: Option<String>,
    /// Where receipts of mail go, in Amazon's envelope; without it there are none. Credentials may be in it
    #[arg(long, env = "SIMULATOR_MAIL_RECEIPT_URL", hide_env_values = true)]
    pub mail_receipt_url: Option<String>,
    /// Where the platform takes texts that people send over MMG; without it there are none. Credentials may be in it
    #[arg(long, env = "SIMULATOR_MMG_INBOUND_URL", hide_env_values = true)]
    pub mmg_inbound_url: Option<String>,
    /// Where the platform takes texts that people send over Firetext
    #[arg(long, env = "SIMULATOR_FIRETEXT_INBOUND_URL", hide_env_values = true)]
    pub firetext_inbound_url: Option<String>,
    /// The number that the inbox page suggests to send a text to
    #[arg(long, env = "INBOUND_NUMBER")]
    pub inbound_number: Option<String>,
    /// How many messages the inbox keeps, the newest ones
    #[arg(long, default_value_t = Options::default().keep)]
    pub keep: usize,
    /// Remember every reference for ever, so that duplicates are found; costs about 100 bytes for each
    #[arg(long)]
    pub record_all: bool,
    /// How many calls are refused for the recipients that are refused at first
    #[arg(long, default_value_t = Options::default().refusals)]
    pub refusals: u32,
    /// Milliseconds until the answer to the recipients that are answered too late
    #[arg(long, default_value_t = Options::default().too_late_ms)]
    pub too_late_ms: u64,
    /// How many receipts are being posted at a time
    #[arg(long, default_value_t = Options::default().receipts_at_once)]
    pub receipts_at_once: usize,
    /// How many receipts may wait; more are lost, and counted
    #[arg(long, default_value_t = Options::default().receipt_backlog)]
    pub receipt_backlog: usize,
    /// How often a receipt is posted again when its endpoint is down
    #[arg(long, default_value_t = Options::default().receipt_retries)]
    pub receipt_retries: u32,
    /// Milliseconds before a receipt is posted again; doubles each time, up to 30 seconds
    #[arg(long, default_value_t = Options::default().receipt_retry_delay_ms)]
    pub receipt_retry_delay_ms: u64,
    /// Bytes that one mail may have
    #[arg(long, default_value_t = Options::default().mail_limit)]
    pub mail_limit: usize,
    /// How all three providers behave at the start
    #[command(flatten)]
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            http: any_port,
            smtp: any_port,
            mmg_key: None,
            firetext_key: None,
            mmg_receipt_url: None,
            firetext_receipt_url: None,
            mail_receipt_url: None,
            mmg_inbound_url: None,
            firetext_inbound_url: None,
            inbound_number: None,
            keep: 1_000,
            record_all: false,
            refusals: 2,
            // The platform hangs up on a provider after 10 seconds.
            too_late_ms: 15_000,
            receipts_at_once: 32,
            receipt_backlog: 1_000_000,
            receipt_retries: 8,
            receipt_retry_delay_ms: 1_000,
            // More than any mail of the platform has, and what SES allows by default is ten times that.
            mail_limit: 4 * 1024 * 1024,
            behaviour: Behaviour::default(),
        }
    }
}

/// Without keys and URLs: both hold credentials.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("http", &self.http)
            .field("smtp", &self.smtp)
            .field("keep", &self.keep)
            .field("record_all", &self.record_all)
            .field("behaviour", &self.behaviour)
            .finish_non_exhaustive()
    }
}
