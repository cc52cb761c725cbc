//! `seed`: a demo service with everything that the official clients' own tests ask for. Fixed ids, so that seeding again
//! finds what is there; secrets of keys are made the first time and shown again ever after.

use std::time::Duration;

use clap::Args;
use db::{
    Db,
    api_key::{KeyRow, NewKey},
    sealing::Keyring,
    service::{Limits, Permission, ReplyTo, Service, SmsSender},
    template::Template,
    user::User,
};
use domain::{
    clock::Clock,
    email_address::EmailAddress,
    id::{ApiKeyId, InboundNumberId, ReplyToId, ServiceId, SmsSenderId, TemplateId},
    phone::PhoneNumber,
    sender_name::email_local_part,
    status::{Channel, KeyType, ProviderId},
};
use uuid::{Uuid, uuid};

use crate::{database, error::Error, key_text, output::say};

const SERVICE: ServiceId = ServiceId(uuid!("3ee52a8c-284e-47cb-b404-45fd74a9ea9e"));
const SMS_TEMPLATE: TemplateId = TemplateId(uuid!("b2a578f1-2b95-40b9-bc32-50d94122818a"));
const EMAIL_TEMPLATE: TemplateId = TemplateId(uuid!("32e7d18e-92bd-4e5e-bac3-3e399b14b0f7"));
const NEWS_TEMPLATE: TemplateId = TemplateId(uuid!("5c1f6a0e-8d5e-4a3c-9b0a-4f1d2c7e9a61"));
const SMS_SENDER: SmsSenderId = SmsSenderId(uuid!("eaa58151-fd17-4ab6-b73b-046b6e4fb639"));
const MEMBER: Uuid = uuid!("6ce466d0-fd6a-11e5-82f5-e0accb9d11a6");
const INBOUND_NUMBER: InboundNumberId = InboundNumberId(uuid!("0b7c39d5-9f0e-4a55-8f64-3d0b7f6f2c18"));
const REPLY_TO: ReplyToId = ReplyToId(uuid!("20b6e3de-fa15-46f6-8c19-bca48fa5741d"));

const SERVICE_NAME: &str = "Pillarbox demo";
/// One of Ofcom's numbers for fiction. Neither one that the public API only simulates, nor a magic one of the simulator.
const NUMBER: &str = "07700900855";
/// People can text the service at it.
const ITS_NUMBER: &str = "07700900861";
const EMAIL: &str = "rosa.marsh@example.com";
/// The member of the team who made the templates.
const CREATED_BY: &str = "demo@example.com";
const MEMBER_NUMBER: &str = "07700900856";

/// Another seed, or a migration, takes seconds.
const WAIT_FOR_LOCK: Duration = Duration::from_secs(30);

/// Create the demo service with templates and a key of each type, or show what is there
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print KEY=value lines, as the official clients' tests name them
    #[arg(long)]
    env: bool,
    /// As good as no limits on the service, for measurements; without it, those of any live service
    #[arg(long)]
    without_limits: bool,
}

/// The text of the demo key of each type.
struct Keys {
    normal: String,
    team: String,
    test: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let settings = database::settings()?;
    let keyring = settings.sealing.keyring()?;
    let _lock = database::lock(&settings.database, WAIT_FOR_LOCK).await?;
    let db = database::open(&settings.database).await?;
    let limits = if arguments.without_limits { Limits::NONE } else { Limits::LIVE };
    store_service(&db, limits).await?;
    let keys = create_keys(&db, keyring).await?;
    say(&if arguments.env { variables(&keys) } else { summary(&keys) })
}

async fn store_service(db: &Db, limits: Limits) -> Result<(), Error> {
    let now = Clock::System.now();
    db.run("seed.service", move |conn| {
        db::service::put(conn, &Service { limits, ..service() }, now)?;
        db::user::put(conn, &member(), now)?;
        db::user::join(conn, MEMBER, SERVICE)?;
        for template in [sms_template(), email_template(), news_template()] {
            db::template::put(conn, &template, CREATED_BY, now)?;
        }
        // Unless an operator has given the number to another service since, or the service another number.
        db::inbound_number::add(conn, INBOUND_NUMBER, ITS_NUMBER, ProviderId::Mmg, now)?;
        db::inbound_number::assign(conn, ITS_NUMBER, SERVICE, now)?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn service() -> Service {
    let number = PhoneNumber::parse(NUMBER).expect("a number for fiction is a UK mobile number");
    let email = EmailAddress::parse(EMAIL).expect("letters, a dot and example.com are an address");
    Service {
        id: SERVICE,
        name: SERVICE_NAME.into(),
        active: true,
        restricted: false,
        prefix_sms: true,
        email_local_part: email_local_part(SERVICE_NAME),
        permissions: vec![Permission::Sms, Permission::Email, Permission::InboundSms],
        sms_senders: vec![SmsSender { id: SMS_SENDER, sender: "PILLARBOX".into(), is_default: true }],
        reply_to_addresses: vec![ReplyTo {
            id: REPLY_TO,
            address: "reply@example.com".into(),
            is_default: true,
        }],
        guest_list: vec![
            (Channel::Sms, number.normalised().into()),
            (Channel::Email, email.normalised().into()),
        ],
        team: Vec::new(),
        limits: Limits::LIVE,
        contact_link: Some("https://permits.example/contact".into()),
    }
}

/// Whom keys of the team, and every key in trial mode, may reach besides the guest list.
fn member() -> User {
    User {
        id: MEMBER,
        name: "Ada Okafor".into(),
        email_address: CREATED_BY.into(),
        mobile_number: Some(MEMBER_NUMBER.into()),
    }
}

fn sms_template() -> Template {
    Template {
        id: SMS_TEMPLATE,
        service_id: SERVICE,
        channel: Channel::Sms,
        name: "Permit ready (text)".into(),
        version: 1,
        subject: None,
        content: "Hello ((name)), your permit is ready to collect.".into(),
        has_unsubscribe_link: false,
        archived: false,
    }
}

fn email_template() -> Template {
    Template {
        id: EMAIL_TEMPLATE,
        channel: Channel::Email,
        name: "Permit ready (e-mail)".into(),
        subject: Some("Your permit is ready, ((name))".into()),
        content: "# Hello ((name))\n\nYour permit is ready to collect. Please bring:\n\n\
                  * this e-mail\n* proof of your address\n\nThe permit office"
            .into(),
        ..sms_template()
    }
}

/// With a link to unsubscribe.
fn news_template() -> Template {
    Template {
        id: NEWS_TEMPLATE,
        name: "Parking news (e-mail)".into(),
        subject: Some("Parking news".into()),
        content: "# Parking news\n\nDear ((name)),\n\nThe car park at the station opens again on Monday."
            .into(),
        has_unsubscribe_link: true,
        ..email_template()
    }
}

async fn create_keys(db: &Db, keyring: Keyring) -> Result<Keys, Error> {
    let now = Clock::System.now();
    let texts = db
        .run("seed.keys", move |conn| {
            let rows = db::api_key::list(conn, SERVICE)?;
            for key_type in KeyType::ALL.iter().copied().filter(|key_type| live(&rows, *key_type).is_none()) {
                let new = NewKey {
                    id: ApiKeyId::new(now),
                    service_id: SERVICE,
                    key_type,
                    name: &key_name(key_type),
                    secret: Uuid::new_v4(),
                    created_by: None,
                };
                db::api_key::create(conn, &keyring, &new, now)?;
            }
            let rows = db::api_key::list(conn, SERVICE)?;
            let secrets = db::api_key::visible(conn, &keyring, SERVICE, now)?;
            let text = |key_type| {
                let row = live(&rows, key_type)?;
                let secret = secrets.iter().find(|key| key.id == row.id)?.secret.clone()?;
                Some(key_text::whole(&row.name, SERVICE, &String::from_utf8(secret).ok()?))
            };
            Ok([KeyType::Normal, KeyType::Team, KeyType::Test].map(text))
        })
        .await?;
    match texts {
        [Some(normal), Some(team), Some(test)] => Ok(Keys { normal, team, test }),
        _ => Err(Error::No(
            "the demo keys were sealed with a key that is not in `sealing.keys`: put it back there, or revoke them \
             (`pillarboxctl key list`, `key revoke`) and seed again"
                .into(),
        )),
    }
}

fn key_name(key_type: KeyType) -> String {
    format!("Demo {key_type}")
}

/// Found by its name, which no other live key of the service has: one that was revoked gets a successor.
fn live(rows: &[KeyRow], key_type: KeyType) -> Option<&KeyRow> {
    let name = key_name(key_type);
    rows.iter().find(|row| row.revoked_at.is_none() && row.name == name)
}

fn variables(keys: &Keys) -> String {
    [
        ("API_KEY", keys.normal.clone()),
        ("API_SENDING_KEY", keys.team.clone()),
        ("API_TEST_KEY", keys.test.clone()),
        ("SERVICE_ID", SERVICE.to_string()),
        ("SMS_TEMPLATE_ID", SMS_TEMPLATE.to_string()),
        ("EMAIL_TEMPLATE_ID", EMAIL_TEMPLATE.to_string()),
        ("NEWS_TEMPLATE_ID", NEWS_TEMPLATE.to_string()),
        ("SMS_SENDER_ID", SMS_SENDER.to_string()),
        ("EMAIL_REPLY_TO_ID", REPLY_TO.to_string()),
        ("INBOUND_NUMBER", ITS_NUMBER.into()),
        ("INBOUND_SMS_QUERY_KEY", keys.normal.clone()),
        ("FUNCTIONAL_TEST_NUMBER", NUMBER.into()),
        ("FUNCTIONAL_TEST_EMAIL", EMAIL.into()),
    ]
    .map(|(name, value)| format!("{name}={value}"))
    .join("\n")
}

fn summary(Keys { normal, team, test }: &Keys) -> String {
    format!(
        "service          {SERVICE}  {SERVICE_NAME}
  SMS template   {SMS_TEMPLATE}  placeholder ((name))
  mail template  {EMAIL_TEMPLATE}  placeholder ((name))
  news template  {NEWS_TEMPLATE}  placeholder ((name)), link to unsubscribe
  SMS sender     {SMS_SENDER}  PILLARBOX
  reply-to       {REPLY_TO}
  receives at    {ITS_NUMBER}
  guest list     {NUMBER}, {EMAIL}
  team           {MEMBER_NUMBER}, {CREATED_BY}
keys
  normal         {normal}
  team           {team}
  test           {test}"
    )
}
