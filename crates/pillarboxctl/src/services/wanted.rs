//! What can be said of a service on the command line, whether it is new or not.

use chrono::{DateTime, Utc};
use clap::{Args, value_parser};
use db::{
    service::{Limits, Permission},
    service_details::Details,
};

/// The ids of [`Wanted`]'s arguments, as clap names them.
pub(super) const NAMES: [&str; 8] = [
    "live",
    "trial",
    "rate_limit",
    "sms_message_limit",
    "email_message_limit",
    "international_sms_message_limit",
    "contact_link",
    "permissions",
];

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Reaches anyone, with a live service's limits where none is named
    #[arg(long, conflicts_with = "trial")]
    live: bool,
    /// Reaches its members and its guest list only, with a trial's limits where none is named
    #[arg(long)]
    trial: bool,
    /// Requests a minute, for each type of key
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(i32).range(0..))]
    rate_limit: Option<i32>,
    /// Texts a day
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(i32).range(0..))]
    sms_message_limit: Option<i32>,
    /// E-mails a day
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(i32).range(0..))]
    email_message_limit: Option<i32>,
    /// Texts a day to numbers abroad
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(i32).range(0..))]
    international_sms_message_limit: Option<i32>,
    /// Where people who got a file can ask about it; "" removes it
    #[arg(long, value_name = "URL")]
    contact_link: Option<String>,
    /// All that it may do from now on, such as sms,email
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    permissions: Option<Vec<Permission>>,
}

impl Wanted {
    pub(super) fn apply(self, details: &mut Details, now: DateTime<Utc>) {
        let settings = &mut details.settings;
        if self.live && settings.restricted {
            settings.restricted = false;
            details.facts.go_live_at = Some(now);
            (settings.sms_message_limit, settings.email_message_limit) =
                (Limits::LIVE.sms, Limits::LIVE.email);
        }
        if self.trial && !settings.restricted {
            settings.restricted = true;
            (settings.sms_message_limit, settings.email_message_limit) =
                (Limits::TRIAL.sms, Limits::TRIAL.email);
        }
        for (named, limit) in [
            (self.rate_limit, &mut settings.rate_limit),
            (self.sms_message_limit, &mut settings.sms_message_limit),
            (self.email_message_limit, &mut settings.email_message_limit),
            (self.international_sms_message_limit, &mut settings.international_sms_message_limit),
        ] {
            *limit = named.unwrap_or(*limit);
        }
        if let Some(link) = self.contact_link {
            settings.contact_link = Some(link).filter(|link| !link.trim().is_empty());
        }
        if let Some(wanted) = self.permissions {
            // In the order in which they are read again.
            details.permissions =
                Permission::ALL.iter().copied().filter(|known| wanted.contains(known)).collect();
        }
    }
}
