//! What one measurement came to.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _, path::Path, time::Instant};

use serde::{Deserialize, Serialize};

use crate::{cpu::Sample, error::Error, stack::Stack};

/// What was measured, and with how much at a time. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// pgbench: one of our rows for each commit.
    Floor { clients: u32 },
    /// Through the API, with the worker stopped.
    Accept { connections: u32 },
    /// What waits, from the first claim to the last row that is written as sent.
    Delivery { latency_ms: u64 },
    /// From the first request to the last receipt applied.
    EndToEnd { connections: u32 },
}

/// A run. Rates are per second, times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    #[serde(flatten)]
    pub(crate) subject: Subject,
    pub(crate) round: u32,
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) p99_ms: Option<f64>,
    /// Processors in use on average, by process.
    pub(crate) cores: BTreeMap<String, f64>,
    /// What else is worth a look, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub(crate) also: BTreeMap<String, f64>,
}

impl Run {
    pub(crate) fn of(self, round: u32) -> Self {
        Self { round, ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.also.insert(name.into(), value);
        self
    }

    pub(crate) fn with_latencies(self, mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: usize| micros.get(micros.len().saturating_sub(1) * share / 100);
        let (p50_ms, p99_ms) = (at(50).map(milliseconds), at(99).map(milliseconds));
        Self { p50_ms, p99_ms, ..self }
    }

    /// Shows it, and appends it to the file of runs.
    pub(crate) fn keep(&self, into: Option<&Path>) -> Result<(), Error> {
        let line = serde_json::to_string(self).map_err(|error| Error::Wrong(error.to_string()))?;
        println!("{line}");
        let Some(path) = into else { return Ok(()) };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(Error::io("opening the file of runs"))?;
        writeln!(file, "{line}").map_err(Error::io("writing the file of runs"))
    }
}

fn milliseconds(micros: &u32) -> f64 {
    f64::from(*micros) / 1000.0
}

/// Runs while it is measured.
#[derive(Debug)]
pub(crate) struct StopWatch {
    started: Instant,
    before: Sample,
}

impl StopWatch {
    pub(crate) fn start(stack: &Stack) -> Result<Self, Error> {
        let before = Sample::take(&stack.state_dir)?;
        Ok(Self { started: Instant::now(), before })
    }

    pub(crate) fn stop(self, stack: &Stack, subject: Subject, count: u64) -> Result<Run, Error> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cores = Sample::take(&stack.state_dir)?.cores_since(&self.before, seconds);
        #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
        let rate = count as f64 / seconds;
        Ok(Run {
            subject,
            round: 0,
            count,
            seconds,
            rate,
            p50_ms: None,
            p99_ms: None,
            cores,
            also: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let run = Run {
            subject: Subject::Floor { clients: 1 },
            round: 1,
            count: 0,
            seconds: 1.0,
            rate: 0.0,
            p50_ms: None,
            p99_ms: None,
            cores: BTreeMap::new(),
            also: BTreeMap::new(),
        };
        let run = run.with_latencies((0..=100).rev().map(|n| n * 1000).collect());
        assert_eq!((run.p50_ms, run.p99_ms), (Some(50.0), Some(99.0)));
        let line = serde_json::to_string(&run).unwrap();
        assert!(line.starts_with(r#"{"what":"floor","clients":1,"#), "{line}");
        assert_eq!(serde_json::from_str::<Run>(&line).unwrap().subject, run.subject);
    }
}
