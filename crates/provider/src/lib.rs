//! The companies that carry messages: one file per vendor, and the choice among them.
//!
//! A vendor's file says how to send, how to read its receipts, and what both come to in our own words. It catches
//! nothing: whatever goes wrong leaves as a [`SendFailure`], which says what is to be done next, and the retry policy
//! does it. Nothing in here knows of databases or queues, and no failure's text holds personal data.

mod choose;
mod config;
pub mod firetext;
mod http;
pub mod inbound;
mod mail;
pub mod mmg;
mod quick_retry;
pub mod receipt;
pub mod ses_receipt;
pub mod smtp;
mod smtp_connection;

use std::{fmt, sync::Arc};

use domain::{
    id::NotificationId,
    receipt::ReceiptWords,
    retry::SendFailure,
    status::{Channel, ProviderId},
};

use crate::{
    choose::Candidate, config::Company, firetext::Firetext, http::HttpClient, mmg::Mmg, smtp::Smtp,
};
pub use crate::{
    config::{Config, ConfigError, HttpConfig, Secret, SmsConfig},
    mail::Mail,
    receipt::{BadReceipt, Meaning, Simulated, meaning, simulate},
};

/// A rendered text.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    pub id: NotificationId,
    /// Digits with the country code, without `+`.
    pub to: &'a str,
    pub from: &'a str,
    pub body: &'a str,
    pub international: bool,
}

/// Personal data: only the id shows.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The provider took the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What the provider's receipts will refer to, when that is not our own id.
    pub reference: Option<String>,
}

/// The companies that carry texts.
#[derive(Debug)]
pub enum SmsProvider {
    Mmg(Mmg),
    Firetext(Firetext),
}

impl SmsProvider {
    #[must_use]
    pub fn id(&self) -> ProviderId {
        match self {
            Self::Mmg(_) => ProviderId::Mmg,
            Self::Firetext(_) => ProviderId::Firetext,
        }
    }

    /// Hands a text over.
    ///
    /// # Errors
    /// Says what is to be done next; it is not known that the provider did not get the text.
    pub async fn send(&self, text: &Text<'_>) -> Result<Accepted, SendFailure> {
        match self {
            Self::Mmg(mmg) => mmg.send(text).await,
            Self::Firetext(firetext) => firetext.send(text).await,
        }
    }
}

/// The ways that e-mails go.
#[derive(Debug)]
pub enum EmailProvider {
    Smtp(Smtp),
}

impl EmailProvider {
    #[must_use]
    pub fn id(&self) -> ProviderId {
        match self {
            Self::Smtp(_) => ProviderId::Smtp,
        }
    }

    /// What receipts for this notification's e-mail will refer to: the same on every attempt.
    #[must_use]
    pub fn reference(&self, id: NotificationId) -> String {
        match self {
            Self::Smtp(smtp) => smtp.reference(id),
        }
    }

    /// Hands an e-mail over.
    ///
    /// # Errors
    /// Says what is to be done next; it is not known that the provider did not get the e-mail.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<Accepted, SendFailure> {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
        }
    }
}

#[derive(Debug)]
struct Entry<P> {
    provider: P,
    weight: u8,
    international: bool,
}

/// Every provider that takes part, with its connections. One per process, shared.
#[derive(Debug)]
pub struct Providers {
    sms: Vec<Entry<SmsProvider>>,
    email: Vec<Entry<EmailProvider>>,
    sms_sender: String,
    accept_unsigned_receipts: bool,
}

impl Providers {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let Config { mmg, firetext, smtp, .. } = config;
        let http = Arc::new(HttpClient::new(&config.http));
        let mut sms = Vec::new();
        if let Some(mmg) = Mmg::new(mmg, &http)? {
            let Company { weight, international, .. } = mmg.company;
            sms.push(Entry { provider: SmsProvider::Mmg(mmg), weight, international });
        }
        if let Some(firetext) = Firetext::new(firetext, &http)? {
            let Company { weight, international, .. } = firetext.company;
            sms.push(Entry { provider: SmsProvider::Firetext(firetext), weight, international });
        }
        let mut email = Vec::new();
        if let Some(provider) = Smtp::new(smtp)? {
            let provider = EmailProvider::Smtp(provider);
            email.push(Entry { provider, weight: smtp.weight, international: true });
        }
        Ok(Self {
            sms,
            email,
            sms_sender: config.sms_sender.clone(),
            accept_unsigned_receipts: smtp.accept_unsigned_receipts,
        })
    }

    /// Draws who carries a text. A retry draws again.
    ///
    /// # Errors
    /// When no provider is active that could carry it.
    pub fn choose_sms(&self, international: bool) -> Result<&SmsProvider, SendFailure> {
        draw(Channel::Sms, &self.sms, |entry| entry.international || !international, SmsProvider::id)
    }

    /// Draws who carries an e-mail. A retry draws again.
    ///
    /// # Errors
    /// When no provider is active.
    pub fn choose_email(&self) -> Result<&EmailProvider, SendFailure> {
        draw(Channel::Email, &self.email, |_| true, EmailProvider::id)
    }

    /// The sender of texts whose service has none.
    #[must_use]
    pub fn default_sms_sender(&self) -> &str {
        &self.sms_sender
    }

    /// Reads a receipt for an e-mail, if the configuration lets us believe it.
    ///
    /// # Errors
    /// As [`ses_receipt::read_receipt`].
    pub fn read_email_receipt(&self, body: &[u8]) -> Result<ReceiptWords, BadReceipt> {
        ses_receipt::read_receipt(body, self.accept_unsigned_receipts)
    }
}

fn draw<P>(
    channel: Channel,
    entries: &[Entry<P>],
    may_carry: impl Fn(&Entry<P>) -> bool,
    id: impl Fn(&P) -> ProviderId,
) -> Result<&P, SendFailure> {
    let candidates: Vec<_> = entries
        .iter()
        .filter(|entry| may_carry(entry))
        .map(|entry| Candidate { provider: id(&entry.provider), weight: entry.weight })
        .collect();
    let chosen = choose::choose(channel, &candidates, &mut rand::rng())?;
    let entry = entries.iter().find(|entry| id(&entry.provider) == chosen);
    Ok(&entry.expect("the chosen one is one of the entries").provider)
}
