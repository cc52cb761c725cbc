//! `stats`: how much was sent, and whether the figures are true. Days are London's; what test keys sent is not in it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use db::{
    Db,
    statistics::{self, Counts, Days, Named, Repaired, Sum, month},
};
use domain::{
    clock::Clock,
    id::{ServiceId, TemplateId},
    london,
    status::{Channel, KeyType, Status},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    database,
    error::Error,
    output::{say, say_json},
    services,
};

/// Today, and so many days before.
const WEEK: u32 = 7;

/// Show how much was sent: today, in seven days and today, and this month
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One service, with its templates of the seven days; without it, the platform
    #[arg(long, value_name = "ID")]
    service: Option<ServiceId>,
    /// Recount all rows instead (slow), and fail when a figure differs; it also does when old rows were dropped
    #[arg(long, conflicts_with = "service")]
    check: bool,
    /// Make those true that differ, while messages go on; figures of days whose rows were dropped are left alone
    #[arg(long, requires = "check")]
    repair: bool,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(Arguments { service, check, repair, json }: Arguments) -> Result<(), Error> {
    let mut config = database::settings()?.database;
    if check {
        // It takes as long as it takes.
        config.statement_timeout = Duration::ZERO;
    }
    let db = database::open(&config).await?;
    if repair {
        let _lock = database::lock(&config, Duration::ZERO).await?;
        return repaired(&db, json).await;
    }
    let now = Clock::System.now();
    match service {
        _ if check => recount(&db, json).await,
        Some(id) => of_service(&db, id, now, json).await,
        None => of_platform(&db, now, json).await,
    }
}

async fn recount(db: &Db, json: bool) -> Result<(), Error> {
    let differences = db.run("statistics.differences", statistics::differences).await?;
    if json {
        say_json(&json!({ "differences": differences }))?;
    }
    match differences {
        0 if json => Ok(()),
        0 => say("every figure is as the rows have it"),
        some => Err(Error::No(format!("{some} figures differ from the rows"))),
    }
}

async fn repaired(db: &Db, json: bool) -> Result<(), Error> {
    let Repaired { figures, statuses, left_alone } = db.run("statistics.repair", statistics::repair).await?;
    if json {
        return say_json(&json!({ "figures": figures, "statuses": statuses, "left_alone": left_alone }));
    }
    say(&format!("repaired: {figures} figures, and {statuses} notifications in the list of rare statuses"))?;
    match left_alone {
        0 => Ok(()),
        some => {
            say(&format!("left alone: {some} figures of days without a partition, of which rows are missing"))
        }
    }
}

/// Figures by channel.
#[derive(Clone, Copy, Default, Serialize)]
struct Channels {
    sms: Counts,
    email: Counts,
}

impl Channels {
    fn new(sums: impl IntoIterator<Item = Sum>) -> Self {
        let mut channels = Self::default();
        for Sum { channel, status, count } in sums {
            match channel {
                Channel::Sms => channels.sms.add(status, count),
                Channel::Email => channels.email.add(status, count),
            }
        }
        channels
    }
}

/// The first day of each.
fn since(now: DateTime<Utc>) -> [NaiveDate; 3] {
    [london::day(now), london::day(london::midnight_days_ago(now, WEEK)), month(now)]
}

/// What was sent since the days of [`since`].
#[derive(Serialize)]
struct Figures {
    today: Channels,
    seven_days: Channels,
    month: Channels,
}

impl Figures {
    fn new([today, seven_days, month]: [Channels; 3]) -> Self {
        Self { today, seven_days, month }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<12}{:<6}{HEAD}", "", "")];
        let rows = [("today", self.today), ("seven days", self.seven_days), ("month", self.month)];
        for (when, Channels { sms, email }) in rows {
            lines.push(format!("{when:<12}{:<6}{}", "sms", columns(&sms)));
            lines.push(format!("{:<12}{:<6}{}", "", "email", columns(&email)));
        }
        lines
    }
}

const HEAD: &str = " requested   delivered      failed";

fn columns(counts: &Counts) -> String {
    format!("{:>10}{:>12}{:>12}", counts.requested, counts.delivered, counts.failed)
}

async fn of_platform(db: &Db, now: DateTime<Utc>, json: bool) -> Result<(), Error> {
    let last = london::day(now);
    let found = db.run("statistics.of_platform", move |conn| {
        let mut found = [Channels::default(); 3];
        for (channels, first) in found.iter_mut().zip(since(now)) {
            let sums = statistics::of_platform(conn, Days { first, last })?;
            let real = sums.into_iter().filter(|(key_type, _)| *key_type != KeyType::Test);
            *channels = Channels::new(real.map(|(_, sum)| sum));
        }
        Ok(found)
    });
    let figures = Figures::new(found.await?);
    if json { say_json(&figures) } else { say(&figures.lines().join("\n")) }
}

/// A service in JSON.
#[derive(Serialize)]
struct OfService {
    #[serde(flatten)]
    figures: Figures,
    /// Of the seven days, as the internal API tells them.
    templates: Vec<OfTemplate>,
}

#[derive(Serialize)]
struct OfTemplate {
    template_id: TemplateId,
    template_name: String,
    template_type: Channel,
    status: Status,
    count: i64,
}

async fn of_service(db: &Db, id: ServiceId, now: DateTime<Utc>, json: bool) -> Result<(), Error> {
    let found = db.run("statistics.of_service", move |conn| {
        let mut found = [Channels::default(); 3];
        for (channels, first) in found.iter_mut().zip(since(now)) {
            let Some(sums) = statistics::of_service(conn, id, first)? else { return Ok(None) };
            *channels = Channels::new(sums);
        }
        let [_, week, _] = since(now);
        Ok(statistics::by_template(conn, id, week)?.map(|templates| (Figures::new(found), templates)))
    });
    let (figures, templates) = found.await?.ok_or_else(|| Error::No(services::unknown(id)))?;
    if json {
        let row = |(template, status, count): (Named, Status, i64)| OfTemplate {
            template_id: template.id,
            template_name: template.name,
            template_type: template.channel,
            status,
            count,
        };
        return say_json(&OfService { figures, templates: templates.into_iter().map(row).collect() });
    }
    let mut lines = figures.lines();
    lines.extend(by_template(templates));
    say(&lines.join("\n"))
}

/// They come by name.
fn by_template(rows: Vec<(Named, Status, i64)>) -> Vec<String> {
    let mut templates: Vec<(Named, Counts)> = Vec::new();
    for (template, status, count) in rows {
        if templates.last().is_none_or(|(last, _)| *last != template) {
            templates.push((template, Counts::default()));
        }
        if let Some((_, counts)) = templates.last_mut() {
            counts.add(status, count);
        }
    }
    let line = |(template, counts): &(Named, Counts)| {
        format!("{:<12}{:<6}{}  {}", "", template.channel.as_str(), columns(counts), template.name)
    };
    templates.iter().map(line).collect()
}
