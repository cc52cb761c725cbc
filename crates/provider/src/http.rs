//! The one HTTP client: connection options, time-outs, bounded answers, and what an HTTP status says about a send.

use std::{error::Error, io, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{clock::Clock, retry::SendFailure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use crate::{
    config::HttpConfig,
    quick_retry::{Tried, once_more},
};

/// More than any provider's answer; what is longer is not read.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Keep-alive probes of the wire contract: after 4 s of silence, every 2 s, dead after 8.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(4), Duration::from_secs(2), 8);
/// Shorter than the idle time-outs of common servers (5 s and more): a POST that meets a closing connection has an
/// unknown fate, and costs a step of the ladder.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(crate) struct HttpClient {
    client: Client<TimeoutConnector<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    timeout: Duration,
    clock: Clock,
}

/// A POST to a provider.
#[derive(Clone)]
pub(crate) struct Post<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) content_type: &'static str,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) body: Bytes,
}

/// What came back. A body that is too long, or breaks off, leaves the status readable.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, String>,
    retry_after: Option<Duration>,
}

impl HttpClient {
    pub(crate) fn new(config: &HttpConfig, tls: ClientConfig) -> Self {
        let (idle, interval, probes) = KEEP_ALIVE;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // A request is one small write; Nagle would hold its tail back until the last answer is acknowledged.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(idle));
        tcp.set_keepalive_interval(Some(interval));
        tcp.set_keepalive_retries(Some(probes));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut connector = TimeoutConnector::new(connector);
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_read_timeout(Some(config.timeout));
        connector.set_write_timeout(Some(config.timeout));
        // A connection that rests is read from, too: what it waited then is not the provider's.
        connector.set_reset_reader_on_write(true);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(config.max_idle_connections)
            // Only requests that no connection has begun to write: a kept one was closed before.
            .retry_canceled_requests(true)
            .build(connector);
        Self { client, timeout: config.timeout, clock: Clock::System }
    }

    /// One call, for as long as something happens: how long that may be altogether is its caller's to say. A second try is
    /// made only when a connection was refused, so that nothing is ever sent twice.
    pub(crate) async fn post(&self, post: &Post<'_>) -> Result<Answer, SendFailure> {
        let response = once_more(|| async {
            let refused = |e: &hyper_util::client::legacy::Error| e.is_connect() && !timed_out(e);
            let tried = |e| if refused(&e) { Tried::NotReached(e) } else { Tried::MaybeReached(e) };
            self.client.request(post.request()).await.map_err(tried)
        });
        match response.await {
            Ok(response) => Ok(self.read(response).await),
            Err(e) if e.is_connect() => Err(SendFailure::Transient(chain(&e))),
            Err(e) => Err(SendFailure::Unanswered(self.without_answer(&e))),
        }
    }

    fn without_answer(&self, error: &(dyn Error + 'static)) -> String {
        if timed_out(error) { format!("no answer within {:?}", self.timeout) } else { chain(error) }
    }

    async fn read(&self, response: hyper::Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        Answer {
            status: head.status,
            body: body.map(http_body_util::Collected::to_bytes).map_err(|e| self.without_answer(e.as_ref())),
            retry_after: retry_after(&head.headers, self.clock.now()),
        }
    }
}

impl Post<'_> {
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(value) = self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        request
    }
}

impl Answer {
    /// What an answer that is no success means. `detail` is the provider's own error number, if it gave one; its words
    /// are left out, since they may repeat the recipient.
    pub(crate) fn failure(&self, detail: Option<&str>) -> SendFailure {
        let mut reason = format!("HTTP {}", self.status.as_u16());
        if let Some(detail) = detail {
            reason = format!("{reason}, error {detail}");
        }
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SendFailure::Misconfigured(reason),
            StatusCode::TOO_MANY_REQUESTS => SendFailure::Throttled { reason, after: self.retry_after },
            StatusCode::SERVICE_UNAVAILABLE if self.retry_after.is_some() => {
                SendFailure::Throttled { reason, after: self.retry_after }
            }
            // A gateway's word: what stands behind it was asked, and may have taken it.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => SendFailure::Unanswered(reason),
            _ => SendFailure::Transient(reason),
        }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, SendFailure> {
        let body = self.body.as_ref().map_err(|e| SendFailure::Unanswered(format!("broken answer: {e}")))?;
        serde_json::from_slice(body).map_err(|_| SendFailure::Unanswered("Invalid response JSON".into()))
    }
}

/// `Retry-After`, in seconds or as a date. A date is taken relative to the answer's own `Date`, so that a provider's
/// wrong clock does no harm. At least 1 s: a throttled send burns no step, and must not turn into a tight loop.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = DateTime::parse_from_rfc2822(text).ok()?;
            let now = date(headers, &DATE).unwrap_or(now);
            (then.to_utc() - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.max(Duration::from_secs(1)))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(headers.get(name)?.to_str().ok()?).ok().map(|date| date.to_utc())
}

/// Whether it was silence.
fn timed_out(error: &(dyn Error + 'static)) -> bool {
    let is_silence = |e: &(dyn Error + 'static)| {
        e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
    };
    is_silence(error) || error.source().is_some_and(timed_out)
}

/// An error with its causes. Of our own libraries and the operating system only, so without personal data.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let now = "2026-03-02T10:00:00Z".parse().unwrap();
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let date = "Mon, 02 Mar 2026 10:02:00 GMT";
        assert_eq!(patience(&[]), None);
        assert_eq!(patience(&[("retry-after", "120")]), Some(120));
        assert_eq!(patience(&[("retry-after", "0")]), Some(1));
        assert_eq!(patience(&[("retry-after", date)]), Some(120));
        assert_eq!(patience(&[("retry-after", date), ("date", "Mon, 02 Mar 2026 10:01:30 GMT")]), Some(30));
        assert_eq!(patience(&[("retry-after", "Mon, 02 Mar 2020 10:02:00 GMT")]), Some(1));
        assert_eq!(patience(&[("retry-after", "soon")]), None);
        assert_eq!(patience(&[("retry-after", "-5")]), None);
    }

    #[test]
    fn a_status_says_what_is_to_be_done() {
        let failure = |status, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            Answer { status: StatusCode::from_u16(status).unwrap(), body: Ok(Bytes::new()), retry_after }
                .failure(Some("206"))
        };
        let reason = |status: u16| format!("HTTP {status}, error 206");
        for status in [301, 400, 404, 500, 503] {
            assert_eq!(failure(status, None), SendFailure::Transient(reason(status)));
        }
        for status in [502, 504] {
            assert_eq!(failure(status, Some(9)), SendFailure::Unanswered(reason(status)));
        }
        for status in [401, 403] {
            assert_eq!(failure(status, Some(9)), SendFailure::Misconfigured(reason(status)));
        }
        for status in [429, 503] {
            let after = Some(Duration::from_secs(9));
            assert_eq!(failure(status, Some(9)), SendFailure::Throttled { reason: reason(status), after });
        }
        assert_eq!(failure(429, None), SendFailure::Throttled { reason: reason(429), after: None });
        assert_eq!(failure(500, Some(9)), SendFailure::Transient(reason(500)));
    }
}
