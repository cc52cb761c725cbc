//! Accepting: many connections that send one request after the other through the public API.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::wakeup::Kind;
use tokio::task::JoinSet;

use crate::{
    database,
    error::Error,
    http::{Connection, refusal, request},
    run::{Run, StopWatch, Subject},
    stack::{Behaviour, Stack},
    text,
    token::ApiKey,
};

const PATH: &str = "/v2/notifications/sms";
/// A token is good for 30 seconds.
const SIGN_AGAIN: Duration = Duration::from_secs(20);
/// What requests may take beyond the length of a run. One that takes longer is a failure.
const GRACE: Duration = Duration::from_secs(30);

/// Send texts through the API for a while and count what is answered
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u64,
}

pub(crate) async fn run(arguments: &Arguments, stack: &Stack) -> Result<Run, Error> {
    let Arguments { connections, seconds } = *arguments;
    let mut conn = stack.database()?;
    stack.reset(&mut conn, Behaviour { latency_ms: 0, receipts: false }).await?;
    let load = Load::open(stack, connections).await?;
    let watch = StopWatch::start(stack)?;
    let latencies = load.send(Until::after(Duration::from_secs(seconds))).await?;
    let count = latencies.len() as u64;
    let run = watch.stop(stack, Subject::Accept { connections }, count)?;
    check(&mut conn, count)?;
    Ok(run.with_latencies(latencies).with("published", published(stack, count).await?))
}

/// As many rows as answers, and each due.
fn check(conn: &mut diesel::PgConnection, answered: u64) -> Result<(), Error> {
    database::audit(conn, answered)?;
    let due = database::count(conn, "SELECT count(*) FROM due")?;
    if due == answered {
        Ok(())
    } else {
        Err(Error::Wrong(format!("{answered} requests were answered with 201, but {due} are due")))
    }
}

/// The share whose wake-up had reached the queue by the end of the run. The sweep finds the others.
async fn published(stack: &Stack, count: u64) -> Result<f64, Error> {
    let broker = stack.broker().await?;
    let depth = broker.depth(Kind::DeliverSms).await?;
    broker.close().await;
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let share = f64::from(depth) / count.max(1) as f64;
    Ok(share)
}

/// When to stop.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    Time(Instant),
    /// This many are still to be sent.
    Sent(Arc<AtomicU64>),
}

impl Until {
    pub(crate) fn after(time: Duration) -> Self {
        Self::Time(Instant::now() + time)
    }

    pub(crate) fn sent(count: u64) -> Self {
        Self::Sent(Arc::new(AtomicU64::new(count)))
    }

    /// Takes one.
    fn goes_on(&self) -> bool {
        match self {
            Self::Time(end) => Instant::now() < *end,
            Self::Sent(left) => {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            }
        }
    }

    fn limit(&self) -> Duration {
        match self {
            Self::Time(end) => end.saturating_duration_since(Instant::now()) + GRACE,
            Self::Sent(_) => GRACE * 2,
        }
    }
}

/// Connections that are open and wait for the start.
#[derive(Debug)]
pub(crate) struct Load {
    lanes: Vec<Lane>,
}

impl Load {
    pub(crate) async fn open(stack: &Stack, connections: u32) -> Result<Self, Error> {
        let (host, key) = (stack.api()?, stack.api_key()?);
        let mut lanes = Vec::new();
        for n in 0..connections {
            let connection = Connection::open(host).await?;
            let (key, host) = (key.clone(), host.to_owned());
            let template = stack.sms_template.to_string();
            lanes.push(Lane { connection, key, host, template, next: u64::from(n) });
        }
        Ok(Self { lanes })
    }

    /// The time of each request in microseconds; all were answered with 201.
    pub(crate) async fn send(self, until: Until) -> Result<Vec<u32>, Error> {
        let limit = until.limit();
        let mut sending = JoinSet::new();
        for lane in self.lanes {
            sending.spawn(lane.send(until.clone()));
        }
        let all = async {
            let mut latencies = Vec::new();
            while let Some(lane) = sending.join_next().await {
                latencies.extend(lane.map_err(|error| Error::Wrong(error.to_string()))??);
            }
            Ok(latencies)
        };
        tokio::time::timeout(limit, all)
            .await
            .map_err(|_| Error::TooLong { what: "sending requests", limit })?
    }
}

#[derive(Debug)]
struct Lane {
    connection: Connection,
    key: ApiKey,
    host: String,
    template: String,
    /// Number of the next text.
    next: u64,
}

impl Lane {
    async fn send(mut self, until: Until) -> Result<Vec<u32>, Error> {
        let mut latencies = Vec::new();
        let mut request = self.request()?;
        let mut signed = Instant::now();
        while until.goes_on() {
            let started = Instant::now();
            if started - signed > SIGN_AGAIN {
                (request, signed) = (self.request()?, started);
            }
            self.number(&mut request);
            match self.connection.exchange(&request).await? {
                (201, _) => latencies.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX)),
                (status, body) => return Err(refusal(status, 201, body)),
            }
        }
        Ok(latencies)
    }

    /// The whole request; the number stands at its very end, where it can be exchanged cheaply.
    fn request(&self) -> Result<Vec<u8>, Error> {
        let body = format!(
            r#"{{"template_id":"{}","personalisation":{},"phone_number":"{}"}}"#,
            self.template,
            text::PERSONALISATION,
            text::number(0)
        );
        Ok(request("POST", PATH, &self.host, &self.key.authorization()?, &body))
    }

    fn number(&mut self, request: &mut [u8]) {
        let number = text::number(self.next);
        self.next += 1;
        let end = request.len() - r#""}"#.len();
        request[end - number.len()..end].copy_from_slice(number.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_shared_by_all_lanes() {
        let until = Until::sent(2);
        let other = until.clone();
        assert!(until.goes_on() && other.goes_on());
        assert!(!until.goes_on() && !other.goes_on());
    }
}
