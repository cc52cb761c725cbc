//! The companies that carry messages: one file per vendor, and the choice among them.
//!
//! A vendor's file says how to send, how to read its receipts, and what both come to in our own words. It catches
//! nothing: whatever goes wrong leaves as a [`SendFailure`], which says what is to be done next, and the retry policy
//! does it. Nothing in here knows of databases or queues, and no failure's text holds personal data.

mod choose;
mod config;
pub mod firetext;
mod gate;
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
    time::Duration,
};

use domain::{
    id::NotificationId,
    provider::Standing,
    retry::SendFailure,
    status::{Channel, ProviderId},
};
use tokio::{sync::Notify, time::timeout};

use crate::{choose::Candidate, firetext::Firetext, gate::Gated, http::HttpClient, mmg::Mmg, smtp::Smtp};
pub use crate::{
    config::{Config, ConfigError, HttpConfig, Secret, SmsConfig},
    gate::Place,
    mail::{Composed, Mail},
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

    /// Puts an e-mail together as it will go over the wire. A matter of some bytes, or of some megabytes: the caller's, who
    /// knows where there is time for it.
    ///
    /// # Errors
    /// When it cannot be, and so never can.
    pub fn compose(&self, mail: &Mail<'_>) -> Result<Composed, SendFailure> {
        match self {
            Self::Smtp(smtp) => smtp.compose(mail),
        }
    }

    /// Hands an e-mail over.
    ///
    /// # Errors
    /// Says what is to be done next; it is not known that the provider did not get the e-mail.
    pub async fn send(&self, mail: &Composed) -> Result<Accepted, SendFailure> {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
        }
    }
}

impl Place<SmsProvider> {
    /// As [`SmsProvider::send`], and the gate hears of it.
    ///
    /// # Errors
    /// As [`SmsProvider::send`].
    pub async fn send(&self, text: &Text<'_>) -> Result<Accepted, SendFailure> {
        self.call(SmsProvider::send(self, text)).await
    }
}

impl Place<EmailProvider> {
    /// As [`EmailProvider::send`], and the gate hears of it.
    ///
    /// # Errors
    /// As [`EmailProvider::send`].
    pub async fn send(&self, mail: &Composed) -> Result<Accepted, SendFailure> {
        self.call(EmailProvider::send(self, mail)).await
    }
}

/// Why a message has no place at any provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// All who could carry it have as many calls as they get, or asked for patience: there may be room after this time.
    Wait(Duration),
    /// Nobody takes part who could carry it.
    Nobody(SendFailure),
}

impl From<SendFailure> for NoPlace {
    fn from(failure: SendFailure) -> Self {
        Self::Nobody(failure)
    }
}

/// A gate opens at the end of a pause without anybody saying so.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The most calls at once that each provider gets from this process.
#[derive(Clone, Copy, Debug)]
pub struct AtOnce {
    pub sms: usize,
    pub email: usize,
}

/// Every provider that is configured, with its connections, and how it stands. One per process, shared.
#[derive(Debug)]
pub struct Providers {
    sms: Vec<Arc<Gated<SmsProvider>>>,
    email: Vec<Arc<Gated<EmailProvider>>>,
    /// Told when a place is given back, of a text or of an e-mail.
    left: [Arc<Notify>; 2],
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
    pub fn new(config: &Config, at_once: AtOnce) -> Result<Self, ConfigError> {
        let Config { mmg, firetext, smtp, .. } = config;
        let tls = tls::client();
        let http = Arc::new(HttpClient::new(&config.http, tls.clone()));
        let mmg = Mmg::new(mmg, &http)?.map(SmsProvider::Mmg);
        let firetext = Firetext::new(firetext, &http)?.map(SmsProvider::Firetext);
        let left = <[Arc<Notify>; 2]>::default();
        let sms = mmg.into_iter().chain(firetext).map(|sms| Gated::new(sms, at_once.sms, &left[0]));
        let relay = Smtp::new(smtp, &Arc::new(tls))?.map(EmailProvider::Smtp);
        // More than the relay gets connections would only wait for one.
        let mails = at_once.email.min(usize::try_from(smtp.pool_size).unwrap_or(usize::MAX));
        Ok(Self {
            sms: sms.collect(),
            email: relay.into_iter().map(|email| Gated::new(email, mails, &left[1])).collect(),
            left,
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
        let sms = self.sms.iter().map(|sms| sms.provider().id());
        sms.chain(self.email.iter().map(|email| email.provider().id())).any(|id| id == provider)
    }

    /// How many are configured.
    #[must_use]
    pub fn count(&self, channel: Channel) -> usize {
        match channel {
            Channel::Sms => self.sms.len(),
            Channel::Email => self.email.len(),
        }
    }

    /// Draws who would carry a text, whether or not there is room for one.
    ///
    /// # Errors
    /// When no provider is active that could carry it, or all of several weigh nothing.
    pub fn choose_sms(&self, international: bool) -> Result<&SmsProvider, SendFailure> {
        self.choose(Channel::Sms, &self.sms, international, SmsProvider::id)
    }

    /// Draws who would carry an e-mail, whether or not there is room for one.
    ///
    /// # Errors
    /// When no provider is active, or all of several weigh nothing.
    pub fn choose_email(&self) -> Result<&EmailProvider, SendFailure> {
        self.choose(Channel::Email, &self.email, false, EmailProvider::id)
    }

    fn choose<'a, P>(
        &self,
        channel: Channel,
        configured: &'a [Arc<Gated<P>>],
        international: bool,
        id: impl Fn(&P) -> ProviderId,
    ) -> Result<&'a P, SendFailure> {
        let mut carriers = self.carriers(channel, configured, international, id)?;
        let drawn = choose::draw(&mut carriers, &mut rand::rng()).expect("of nobody there are no carriers");
        Ok(drawn.provider())
    }

    /// Draws who carries a text among those that have room for one, and takes the place. A retry draws again.
    ///
    /// # Errors
    /// As [`Self::choose_sms`], and when none has room.
    pub fn enter_sms(&self, international: bool) -> Result<Place<SmsProvider>, NoPlace> {
        enter(self.carriers(Channel::Sms, &self.sms, international, SmsProvider::id)?)
    }

    /// Draws who carries an e-mail among those that have room for one, and takes the place. A retry draws again.
    ///
    /// # Errors
    /// As [`Self::choose_email`], and when none has room.
    pub fn enter_email(&self) -> Result<Place<EmailProvider>, NoPlace> {
        enter(self.carriers(Channel::Email, &self.email, false, EmailProvider::id)?)
    }

    /// Waits until somebody has room, and answers for how many. Where nobody takes part there is room for any number: they
    /// are to be told so.
    pub async fn room(&self, channel: Channel) -> usize {
        loop {
            let left = self.left[usize::from(channel == Channel::Email)].notified();
            match self.room_now(channel) {
                0 => drop(timeout(LOOK_AGAIN, left).await),
                room => return room,
            }
        }
    }

    fn room_now(&self, channel: Channel) -> usize {
        let room = match channel {
            Channel::Sms => self.carriers(channel, &self.sms, false, SmsProvider::id).map(|all| room(&all)),
            Channel::Email => {
                self.carriers(channel, &self.email, false, EmailProvider::id).map(|all| room(&all))
            }
        };
        room.unwrap_or(usize::MAX)
    }

    /// Those who take part and could carry it.
    fn carriers<'a, P>(
        &self,
        channel: Channel,
        configured: &'a [Arc<Gated<P>>],
        international: bool,
        id: impl Fn(&P) -> ProviderId,
    ) -> Result<Vec<Carrier<'a, P>>, SendFailure> {
        let find = |wanted| configured.iter().find(|gated| id(gated.provider()) == wanted);
        let standings = self.standings.read().unwrap_or_else(PoisonError::into_inner);
        let able = |standing: &&Standing| standing.active && (standing.international || !international);
        let candidates = standings.iter().filter(able);
        let candidates = candidates.filter_map(|standing| Some((standing.weight, find(standing.provider)?)));
        choose::carriers(channel, candidates.collect())
    }

    /// What a provider's receipts refer to, when that is not our own id.
    #[must_use]
    pub fn reference(&self, by: ProviderId, id: NotificationId) -> Option<String> {
        Some(self.email.iter().map(|gated| gated.provider()).find(|email| email.id() == by)?.reference(id))
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

type Carrier<'a, P> = Candidate<&'a Arc<Gated<P>>>;

fn enter<P>(mut carriers: Vec<Carrier<'_, P>>) -> Result<Place<P>, NoPlace> {
    let wait = carriers.iter().map(|(_, gated)| gated.wait()).min().unwrap_or_default();
    while let Some(drawn) = choose::draw(&mut carriers, &mut rand::rng()) {
        if let Some(place) = drawn.enter() {
            return Ok(place);
        }
    }
    Err(NoPlace::Wait(wait))
}

fn room<P>(carriers: &[Carrier<'_, P>]) -> usize {
    carriers.iter().map(|(_, gated)| gated.room()).sum()
}
