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
mod smtp_answers;
mod smtp_connection;
mod tls;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use domain::{
    id::NotificationId,
    provider::Standing,
    retry::SendFailure,
    status::{Channel, ProviderId},
};

pub use crate::{
    config::{Config, ConfigError, HttpConfig, Secret, SmsConfig},
    mail::Mail,
    receipt::{BadReceipt, Meaning, Simulated, meaning, simulate},
};
use crate::{firetext::Firetext, http::HttpClient, mmg::Mmg, smtp::Smtp};

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

/// Every provider that is configured, with its connections, and how it stands. One per process, shared.
#[derive(Debug)]
pub struct Providers {
    sms: Vec<SmsProvider>,
    email: Vec<EmailProvider>,
    /// As last told; before that, nobody takes part.
    standings: RwLock<Vec<Standing>>,
    sms_sender: String,
    accept_unsigned_receipts: bool,
}

impl Providers {
    /// Opens no connection yet, and nobody takes part before [`Self::stand`].
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let Config { mmg, firetext, smtp, .. } = config;
        let tls = tls::client();
        let http = Arc::new(HttpClient::new(&config.http, tls.clone()));
        let mmg = Mmg::new(mmg, &http)?.map(SmsProvider::Mmg);
        let firetext = Firetext::new(firetext, &http)?.map(SmsProvider::Firetext);
        Ok(Self {
            sms: mmg.into_iter().chain(firetext).collect(),
            email: Smtp::new(smtp, &Arc::new(tls))?.map(EmailProvider::Smtp).into_iter().collect(),
            standings: RwLock::default(),
            sms_sender: config.sms_sender.clone(),
            accept_unsigned_receipts: smtp.accept_unsigned_receipts,
        })
    }

    /// Says how the providers stand from now on. One that is active but not configured here is no candidate; each change is
    /// logged once.
    pub fn stand(&self, standings: Vec<Standing>) {
        let mut known = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        for standing in standings.iter().filter(|standing| !known.contains(standing)) {
            let Standing { provider, active, weight, international } = *standing;
            if active && !self.is_configured(provider) {
                tracing::warn!(%provider, "active, but not configured here: this process sends nothing by it");
            } else {
                tracing::info!(%provider, active, weight, international, "how a provider stands from now on");
            }
        }
        *known = standings;
    }

    fn is_configured(&self, provider: ProviderId) -> bool {
        self.sms
            .iter()
            .map(SmsProvider::id)
            .chain(self.email.iter().map(EmailProvider::id))
            .any(|id| id == provider)
    }

    /// Draws who carries a text. A retry draws again.
    ///
    /// # Errors
    /// When no provider is active that could carry it, or all of several weigh nothing.
    pub fn choose_sms(&self, international: bool) -> Result<&SmsProvider, SendFailure> {
        let may_carry = |standing: &Standing| standing.international || !international;
        self.draw(Channel::Sms, &self.sms, may_carry, SmsProvider::id)
    }

    /// Draws who carries an e-mail. A retry draws again.
    ///
    /// # Errors
    /// When no provider is active, or all of several weigh nothing.
    pub fn choose_email(&self) -> Result<&EmailProvider, SendFailure> {
        self.draw(Channel::Email, &self.email, |_| true, EmailProvider::id)
    }

    fn draw<'a, P>(
        &self,
        channel: Channel,
        configured: &'a [P],
        may_carry: impl Fn(&Standing) -> bool,
        id: impl Fn(&P) -> ProviderId,
    ) -> Result<&'a P, SendFailure> {
        let find = |wanted| configured.iter().find(|provider| id(provider) == wanted);
        let standings = self.standings.read().unwrap_or_else(PoisonError::into_inner);
        let candidates: Vec<Standing> = standings
            .iter()
            .filter(|standing| standing.active && may_carry(standing) && find(standing.provider).is_some())
            .copied()
            .collect();
        drop(standings);
        let chosen = choose::choose(channel, &candidates, &mut rand::rng())?;
        Ok(find(chosen).expect("the chosen one is one of the configured"))
    }

    /// What a provider's receipts refer to, when that is not our own id.
    #[must_use]
    pub fn reference(&self, by: ProviderId, id: NotificationId) -> Option<String> {
        Some(self.email.iter().find(|provider| provider.id() == by)?.reference(id))
    }

    /// The sender of texts whose service has none.
    #[must_use]
    pub fn default_sms_sender(&self) -> &str {
        &self.sms_sender
    }

    /// Reads what SNS posts about e-mails, if the configuration lets us believe it.
    ///
    /// # Errors
    /// As [`ses_receipt::read`].
    pub fn read_sns(&self, body: &[u8]) -> Result<ses_receipt::Posted, BadReceipt> {
        ses_receipt::read(body, self.accept_unsigned_receipts)
    }
}
