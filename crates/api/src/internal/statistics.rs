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
use utoipa::ToSchema;

use self::query::{Query, integer};
use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    openapi::{
        self,
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
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
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub(crate) struct Statistics {
    #[schema(schema_with = answer::counts)]
    sms: Counts,
    #[schema(schema_with = answer::counts)]
    email: Counts,
    #[schema(schema_with = answer::counts)]
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

#[utoipa::path(
    get, path = "/service/{service}/statistics", tag = tag::STATISTICS, operation_id = "getServiceStatistics",
    summary = "Figures of a service", params(ask::Service, ask::TodayOnly, ask::LimitDays),
    responses(
        (status = 200, description = "Without those of test keys.", body = inline(Wrapped<Statistics>)),
        refusal::ReadByDays,
    ),
)]
pub(crate) async fn of_service(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
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

#[utoipa::path(
    get, path = "/service/{service}/notifications/monthly", tag = tag::STATISTICS, operation_id = "getMonthlyStatistics",
    summary = "Figures by month", params(ask::Service, ask::Year),
    responses(
        (status = 200, description = "Twelve months from April on.", body = inline(Wrapped<answer::Monthly>)),
        refusal::ReadByYear,
    ),
)]
pub(crate) async fn monthly(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
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

#[utoipa::path(
    get, path = "/service/{service}/notifications/templates_usage/monthly", tag = tag::STATISTICS, operation_id = "getMonthlyTemplateUsage",
    summary = "Figures of templates by month", params(ask::Service, ask::Year),
    responses(
        (status = 200, description = "What was used.", body = inline(answer::TemplateUsage)),
        refusal::ReadByYear,
    ),
)]
pub(crate) async fn templates_monthly(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
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

#[utoipa::path(
    get, path = "/service/{service}/notifications/count", tag = tag::STATISTICS, operation_id = "countNotifications",
    summary = "How much was sent", params(ask::Service, ask::LimitDays, ask::TemplateType),
    responses(
        (status = 200, description = "Without what test keys sent.", body = inline(answer::Count)),
        refusal::ReadByDays,
    ),
)]
pub(crate) async fn count(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
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

#[derive(Serialize, ToSchema)]
#[schema(as = TemplateStatus)]
struct TemplateStatus {
    count: i64,
    #[schema(value_type = Uuid)]
    template_id: TemplateId,
    template_name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
    is_precompiled_letter: bool,
    #[schema(schema_with = openapi::status)]
    status: Status,
}

#[utoipa::path(
    get, path = "/service/{service}/template-statistics", tag = tag::STATISTICS, operation_id = "getTemplateStatistics",
    summary = "Figures of templates", params(ask::Service, ask::WholeDays),
    responses(
        (status = 200, description = "By template and status.", body = inline(Wrapped<Vec<TemplateStatus>>)),
        refusal::ReadByWholeDays,
    ),
)]
pub(crate) async fn by_template(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
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

#[utoipa::path(
    get, path = "/service/{service}/template-statistics/last-used/{template}", tag = tag::STATISTICS, operation_id = "getLastUse",
    summary = "When a template was used last", params(ask::Service, ask::Template),
    responses(
        (status = 200, description = "Null: not within a year.", body = inline(answer::LastUse)),
        refusal::Read,
    ),
)]
pub(crate) async fn last_use(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let template = TemplateId(internal::id(&request, "template")?);
    let since = london::midnight_days_ago(app.clock.now(), YEAR);
    let last =
        app.db.run("statistics.last_use", move |conn| statistics::last_use(conn, service, template, since));
    let last = last.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(json!({ "last_date_used": last.map(timestamp) })))
}

#[utoipa::path(
    get, path = "/service/{service}/template-statistics/most-recently-used", tag = tag::STATISTICS, operation_id = "getMostRecentlyUsedTemplate",
    summary = "The template that was used last", params(ask::Service),
    responses(
        (status = 200, description = "Null: none within a year.", body = inline(Wrapped<answer::UsedTemplate>)),
        refusal::Read,
    ),
)]
pub(crate) async fn most_recently_used(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
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

#[utoipa::path(
    get, path = "/service/{service}/provider-statistics", tag = tag::STATISTICS, operation_id = "getProviderStatisticsOfService",
    summary = "Figures of providers for a service", params(ask::Service, ask::LimitDays),
    responses(
        (status = 200, description = "Every provider, idle ones too.",
            body = inline(Wrapped<answer::OfProviders>)),
        refusal::ReadByDays,
    ),
)]
pub(crate) async fn by_provider_of_service(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, query) = (internal::service_id(&request)?, Query::of(&request));
    let since = days_ago(&app, query.integer("limit_days")?.unwrap_or(WEEK));
    let carried = app.db.run("statistics.by_provider_of_service", move |conn| {
        statistics::by_provider_of_service(conn, service, since)
    });
    Ok(HttpResponse::Ok().json(providers(&carried.await?.ok_or(Problem::NoResult)?)))
}

#[utoipa::path(
    get, path = "/provider-statistics", tag = tag::STATISTICS, operation_id = "getProviderStatistics",
    summary = "Figures of providers", params(ask::Dates),
    responses(
        (status = 200, description = "Every provider, idle ones too.",
            body = inline(Wrapped<answer::OfProviders>)),
        refusal::ReadByDates,
    ),
)]
pub(crate) async fn by_provider(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let days = Query::of(&request).days(&app)?;
    let carried = app.db.run("statistics.by_provider", move |conn| statistics::by_provider(conn, days));
    Ok(HttpResponse::Ok().json(providers(&carried.await?)))
}

#[utoipa::path(
    get, path = "/platform-stats", tag = tag::STATISTICS, operation_id = "getPlatformStatistics",
    summary = "Figures of the platform", params(ask::Dates),
    responses(
        (status = 200, description = "By type; test keys are told apart.", body = inline(answer::Platform)),
        refusal::ReadByDates,
    ),
)]
pub(crate) async fn of_platform(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
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
