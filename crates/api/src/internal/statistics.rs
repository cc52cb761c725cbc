//! Figures: of a service, of its templates, of providers, of the platform. None is counted from notifications; what test keys
//! sent is told only where it says so. Days are London's.

mod query;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, ServiceConfig},
};
use chrono::{Datelike, NaiveDate};
use db::statistics::{self, Carried, Counts, Listed, Named, Sum};
use domain::{
    id::{ServiceId, TemplateId},
    london,
    status::{Channel, KeyType, ProviderId, Status},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::query::{Query, integer};
use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    routes::{READ, at, get},
    v2::timestamp,
};

#[rustfmt::skip]
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/service/{service}/statistics", READ).route(get().to(of_service)))
        .service(at("/service/{service}/notifications/monthly", READ).route(get().to(monthly)))
        .service(at("/service/{service}/notifications/templates_usage/monthly", READ).route(get().to(templates_monthly)))
        .service(at("/service/{service}/notifications/count", READ).route(get().to(count)))
        .service(at("/service/{service}/template-statistics", READ).route(get().to(by_template)))
        .service(at("/service/{service}/template-statistics/most-recently-used", READ).route(get().to(most_recently_used)))
        .service(at("/service/{service}/template-statistics/last-used/{template}", READ).route(get().to(last_use)))
        .service(at("/service/{service}/provider-statistics", READ).route(get().to(by_provider_of_service)))
        .service(at("/provider-statistics", READ).route(get().to(by_provider)))
        .service(at("/platform-stats", READ).route(get().to(of_platform)));
}

/// A week and a day: today, and the seven days before.
const WEEK: i64 = 7;
/// Nobody asks for more, and Postgres knows no days before its first.
const MOST_DAYS: i64 = 36_500;
/// How far back it is told when a template was used.
const YEAR: u32 = 365;

/// Figures by channel. There are no letters.
#[derive(Default, Serialize)]
pub(crate) struct Statistics {
    sms: Counts,
    email: Counts,
    letter: Counts,
}

impl Statistics {
    fn new(sums: &[Sum]) -> Self {
        let mut statistics = Self::default();
        for sum in sums {
            let counts = match sum.channel {
                Channel::Sms => &mut statistics.sms,
                Channel::Email => &mut statistics.email,
            };
            counts.add(sum.status, sum.count);
        }
        statistics
    }
}

/// Of one service: today's, or also those of the days before.
pub(crate) async fn detailed(app: &App, service: ServiceId, today_only: bool) -> Result<Statistics, Problem> {
    since(app, service, if today_only { 0 } else { WEEK }).await
}

async fn since(app: &App, service: ServiceId, days: i64) -> Result<Statistics, Problem> {
    let since = days_ago(app, days);
    let sums = app.db.run("statistics.of_service", move |conn| statistics::of_service(conn, service, since));
    Ok(Statistics::new(&sums.await?.ok_or(Problem::NoResult)?))
}

async fn of_service(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, query) = (internal::service_id(&request)?, Query::of(&request));
    let days = query.integer("limit_days")?.unwrap_or(WEEK);
    let data = since(&app, service, if query.is_true("today_only") { 0 } else { days }).await?;
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// A service in the list of all with their figures.
#[derive(Serialize)]
struct DetailedService {
    id: ServiceId,
    name: String,
    /// Of the first figure, as upstream has it: mostly null.
    notification_type: Option<Channel>,
    restricted: bool,
    active: bool,
    created_at: String,
    statistics: Statistics,
}

impl From<Listed> for DetailedService {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.id,
            name: listed.name,
            notification_type: listed.sums.first().map(|sum| sum.channel),
            restricted: listed.restricted,
            active: listed.active,
            // Upstream forgot to spell this one as it does all others.
            created_at: listed.created_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            statistics: Statistics::new(&listed.sums),
        }
    }
}

/// `GET /service?detailed=True`: with test keys unless it says otherwise.
pub(crate) async fn detailed_list(app: &App, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let query = Query::of(request);
    let days = query.days(app)?;
    let with_test_keys = query.first("include_from_test_key").is_none_or(|value| value == "True");
    let with_inactive = !query.is_true("only_active");
    let listed = app.db.run("statistics.of_all_services", move |conn| {
        statistics::of_all_services(conn, days, with_test_keys, with_inactive)
    });
    let data: Vec<DetailedService> = listed.await?.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

async fn monthly(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, months) = (internal::service_id(&request)?, Query::of(&request).financial_year()?);
    let sums = app.db.run("statistics.by_month", move |conn| statistics::by_month(conn, service, months));
    let sums = sums.await?.ok_or(Problem::NoResult)?;
    let mut data: Map<String, Value> = (0..12)
        .filter_map(|month| months.first.checked_add_months(chrono::Months::new(month)))
        .map(|month| (key(month), json!({ "sms": {}, "email": {}, "letter": {} })))
        .collect();
    for (month, sum) in sums {
        data[&key(month)][sum.channel.as_str()][sum.status.as_str()] = sum.count.into();
    }
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

fn key(month: NaiveDate) -> String {
    month.format("%Y-%m").to_string()
}

#[derive(Serialize)]
struct TemplateOfMonth {
    template_id: TemplateId,
    name: String,
    r#type: Channel,
    month: u32,
    year: i32,
    count: i64,
    is_precompiled_letter: bool,
}

async fn templates_monthly(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, months) = (internal::service_id(&request)?, Query::of(&request).financial_year()?);
    let used = app.db.run("statistics.templates_by_month", move |conn| {
        statistics::templates_by_month(conn, service, months)
    });
    let row = |(month, template, count): (NaiveDate, Named, i64)| TemplateOfMonth {
        template_id: template.id,
        name: template.name,
        r#type: template.channel,
        month: month.month(),
        year: month.year(),
        count,
        is_precompiled_letter: false,
    };
    let stats: Vec<_> = used.await?.ok_or(Problem::NoResult)?.into_iter().map(row).collect();
    Ok(HttpResponse::Ok().json(json!({ "stats": stats })))
}

async fn count(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, query) = (internal::service_id(&request)?, Query::of(&request));
    let since = query.integer("limit_days")?.map(|days| days_ago(&app, days));
    let channels = match query.first("template_type") {
        None => Channel::ALL.to_vec(),
        Some("letter") => Vec::new(),
        Some(word) => vec![word.parse().map_err(|_| Problem::NoResult)?],
    };
    let count =
        app.db.run("statistics.count", move |conn| statistics::count(conn, service, &channels, since));
    let count = count.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(json!({ "notifications_sent_count": count })))
}

#[derive(Serialize)]
struct TemplateStatus {
    count: i64,
    template_id: TemplateId,
    template_name: String,
    template_type: Channel,
    is_precompiled_letter: bool,
    status: Status,
}

async fn by_template(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, query) = (internal::service_id(&request)?, Query::of(&request));
    let days = query.first("whole_days").or_else(|| query.first("limit_days")).unwrap_or_default();
    let days = integer(days).map_err(|message| Problem::field("whole_days", message))?;
    if !(0..=WEEK).contains(&days) {
        return Err(Problem::field("whole_days", "whole_days must be between 0 and 7").into());
    }
    let since = days_ago(&app, days);
    let used =
        app.db.run("statistics.by_template", move |conn| statistics::by_template(conn, service, since));
    let row = |(template, status, count): (Named, Status, i64)| TemplateStatus {
        count,
        template_id: template.id,
        template_name: template.name,
        template_type: template.channel,
        is_precompiled_letter: false,
        status,
    };
    let data: Vec<_> = used.await?.ok_or(Problem::NoResult)?.into_iter().map(row).collect();
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

async fn last_use(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let template = TemplateId(internal::id(&request, "template")?);
    let since = london::midnight_days_ago(app.clock.now(), YEAR);
    let last =
        app.db.run("statistics.last_use", move |conn| statistics::last_use(conn, service, template, since));
    let last = last.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(json!({ "last_date_used": last.map(timestamp) })))
}

async fn most_recently_used(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let since = london::midnight_days_ago(app.clock.now(), YEAR);
    let last = app.db.run("statistics.most_recently_used", move |conn| {
        statistics::most_recently_used(conn, service, since)
    });
    let data = last.await?.ok_or(Problem::NoResult)?.map(|used| {
        json!({
            "template_id": used.template.id,
            "template_name": used.template.name,
            "template_type": used.template.channel,
            "last_date_used": timestamp(used.at),
        })
    });
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

#[derive(Serialize)]
struct OfProvider {
    provider: ProviderId,
    notification_type: Channel,
    #[serde(flatten)]
    counts: Counts,
    billable_units: i64,
}

/// All of them, idle ones too.
fn providers(carried: &[Carried]) -> Wrapped<Vec<OfProvider>> {
    let figures = |provider: &ProviderId| {
        let mut counts = Counts::default();
        let mut billable_units = 0;
        for carried in carried.iter().filter(|carried| carried.provider == *provider) {
            counts.add(carried.status, carried.count);
            billable_units += carried.billable_units;
        }
        OfProvider { provider: *provider, notification_type: provider.channel(), counts, billable_units }
    };
    Wrapped { data: ProviderId::ALL.iter().map(figures).collect() }
}

async fn by_provider_of_service(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, query) = (internal::service_id(&request)?, Query::of(&request));
    let since = days_ago(&app, query.integer("limit_days")?.unwrap_or(WEEK));
    let carried = app.db.run("statistics.by_provider_of_service", move |conn| {
        statistics::by_provider_of_service(conn, service, since)
    });
    Ok(HttpResponse::Ok().json(providers(&carried.await?.ok_or(Problem::NoResult)?)))
}

async fn by_provider(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let days = Query::of(&request).days(&app)?;
    let carried = app.db.run("statistics.by_provider", move |conn| statistics::by_provider(conn, days));
    Ok(HttpResponse::Ok().json(providers(&carried.await?)))
}

async fn of_platform(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let days = Query::of(&request).days(&app)?;
    let sums = app.db.run("statistics.of_platform", move |conn| statistics::of_platform(conn, days)).await?;
    let of = |channel: Option<Channel>| {
        let mut told = json!({ "total": 0, "test-key": 0, "failures": {
            "virus-scan-failed": 0, "technical-failure": 0, "temporary-failure": 0, "permanent-failure": 0 } });
        let (mut total, mut test) = (0, 0);
        for (key_type, sum) in sums.iter().filter(|(_, sum)| Some(sum.channel) == channel) {
            match key_type {
                KeyType::Test => test += sum.count,
                KeyType::Normal | KeyType::Team => {
                    total += sum.count;
                    if let Some(failed) = told["failures"].get_mut(sum.status.as_str()) {
                        *failed = (failed.as_i64().unwrap_or(0) + sum.count).into();
                    }
                }
            }
        }
        told["total"] = total.into();
        told["test-key"] = test.into();
        told
    };
    let (email, sms) = (of(Some(Channel::Email)), of(Some(Channel::Sms)));
    Ok(HttpResponse::Ok().json(json!({ "email": email, "sms": sms, "letter": of(None) })))
}

/// The day in London that was so many days before today; of a negative number of them, today.
fn days_ago(app: &App, days: i64) -> NaiveDate {
    let days = u32::try_from(days.clamp(0, MOST_DAYS)).unwrap_or(0);
    london::day(london::midnight_days_ago(app.clock.now(), days))
}
