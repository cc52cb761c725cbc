//! All runs of a bench: a table for people and `target/bench.json` for whoever compares.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use chrono::{DateTime, Utc};
use domain::clock::Clock;
use serde::Serialize;

use crate::{
    cpu, database,
    error::Error,
    machine::Machine,
    run::{Run, Subject},
};

/// Print the table of all runs, and write it and them as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file of runs
    #[arg(long)]
    from: PathBuf,
    #[arg(long)]
    json: PathBuf,
    #[arg(long)]
    commit: String,
    /// The version of the broker
    #[arg(long)]
    rabbitmq: Option<String>,
    /// Runs were shorter than those that figures are quoted from
    #[arg(long)]
    quick: bool,
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

/// What is compared with what, and how much of it we want to reach.
const AIMS: [(Subject, Subject, Option<f64>); 6] = [
    (Subject::Accept { connections: 1 }, Subject::Floor { clients: 1 }, None),
    (Subject::Accept { connections: 64 }, Subject::Floor { clients: 64 }, Some(0.8)),
    (Subject::Accept { connections: 256 }, Subject::Floor { clients: 64 }, None),
    (Subject::Delivery { latency_ms: 0 }, Subject::Floor { clients: 64 }, Some(0.7)),
    (Subject::Delivery { latency_ms: 50 }, Subject::Floor { clients: 64 }, None),
    (Subject::EndToEnd { connections: 64 }, Subject::Floor { clients: 64 }, None),
];
/// Of somebody else's processor time: with more, the rates say little by themselves. The ratios say more.
const NOISE: f64 = 0.2;

#[derive(Debug, Serialize)]
struct Report<'r> {
    finished_at: DateTime<Utc>,
    commit: &'r str,
    quick: bool,
    machine: Machine,
    medians: Vec<Median>,
    ratios: Vec<Ratio>,
    runs: &'r [Run],
}

/// The middle of all rounds.
#[derive(Debug, Serialize)]
struct Median {
    #[serde(flatten)]
    subject: Subject,
    rate: f64,
    rates: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
    cores: BTreeMap<String, f64>,
}

/// Of two rates of the same round, minutes apart at most; the middle of all rounds.
#[derive(Debug, Serialize)]
struct Ratio {
    of: Subject,
    to: Subject,
    ratio: f64,
    ratios: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { from, json, commit, rabbitmq, quick, database_url } = arguments;
    let runs = read(from)?;
    let report = Report {
        finished_at: Clock::System.now(),
        commit,
        quick: *quick,
        machine: Machine::describe(&mut database::connect(database_url)?, rabbitmq.clone())?,
        medians: medians(&runs),
        ratios: ratios(&runs),
        runs: &runs,
    };
    let text = serde_json::to_string_pretty(&report).map_err(|error| Error::Wrong(error.to_string()))?;
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder).map_err(Error::io("making the JSON's folder"))?;
    }
    fs::write(json, text + "\n").map_err(Error::io("writing the JSON"))?;
    print!("{}", table(&report));
    Ok(())
}

fn read(path: &PathBuf) -> Result<Vec<Run>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("reading the file of runs"))?;
    let runs: Result<Vec<Run>, _> = text.lines().map(serde_json::from_str).collect();
    runs.map_err(|error| Error::Wrong(format!("the file of runs: {error}")))
}

fn medians(runs: &[Run]) -> Vec<Median> {
    let mut by_subject: BTreeMap<Subject, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        by_subject.entry(run.subject).or_default().push(run);
    }
    by_subject.into_iter().map(|(subject, runs)| Median::of(subject, &runs)).collect()
}

impl Median {
    fn of(subject: Subject, runs: &[&Run]) -> Self {
        let all = |value: &dyn Fn(&Run) -> Option<f64>| -> Vec<f64> {
            runs.iter().filter_map(|run| value(run)).collect()
        };
        let names: std::collections::BTreeSet<_> = runs.iter().flat_map(|run| run.cores.keys()).collect();
        let cores =
            |name: &String| median(&all(&|run| Some(run.cores.get(name).copied().unwrap_or_default())));
        let rates = all(&|run| Some(run.rate));
        Self {
            subject,
            rate: median(&rates).unwrap_or_default(),
            p50_ms: median(&all(&|run| run.p50_ms)),
            p99_ms: median(&all(&|run| run.p99_ms)),
            cores: names.into_iter().filter_map(|name| Some((name.clone(), cores(name)?))).collect(),
            rates,
        }
    }
}

fn ratios(runs: &[Run]) -> Vec<Ratio> {
    let rate = |subject, round| {
        runs.iter().find(|run| run.subject == subject && run.round == round).map(|run| run.rate)
    };
    let rounds: std::collections::BTreeSet<_> = runs.iter().map(|run| run.round).collect();
    AIMS.into_iter()
        .filter_map(|(of, to, aim)| {
            let ratios: Vec<_> =
                rounds.iter().filter_map(|round| Some(rate(of, *round)? / rate(to, *round)?)).collect();
            let ratio = median(&ratios)?;
            Some(Ratio { of, to, ratio, ratios, aim, met: aim.map(|aim| ratio >= aim) })
        })
        .collect()
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(low.midpoint(*high))
}

fn name(subject: Subject) -> String {
    match subject {
        Subject::Floor { clients } => format!("floor, {}", counted(clients, "client")),
        Subject::Accept { connections } => format!("accept, {}", counted(connections, "connection")),
        Subject::Delivery { latency_ms } => format!("delivery, provider {latency_ms} ms"),
        Subject::EndToEnd { connections } => format!("end to end, {}", counted(connections, "connection")),
    }
}

fn counted(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn table(report: &Report<'_>) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{}", words.trim_end()).expect("a String takes everything");
    line(format!("commit {}{}", report.commit, if report.quick { ", quick" } else { "" }));
    line(report.machine.in_a_line());
    line(format!(
        "\n{:<28}{:>9}  {:<24}{:>8}{:>9}{:>9}  {:>6}  of which",
        "", "a second", "each round", "p50 ms", "p99 ms", "µs each", "others"
    ));
    for median in &report.medians {
        let rates: Vec<_> = median.rates.iter().map(|rate| format!("{rate:.0}")).collect();
        let time = |ms: Option<f64>| ms.map(|ms| format!("{ms:.2}")).unwrap_or_default();
        line(format!(
            "{:<28}{:>9.0}  {:<24}{:>8}{:>9}  {}",
            name(median.subject),
            median.rate,
            rates.join(" "),
            time(median.p50_ms),
            time(median.p99_ms),
            cost(median)
        ));
    }
    line(String::new());
    for ratio in &report.ratios {
        let rounds: Vec<_> = ratio.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let aim = match (ratio.aim, ratio.met) {
            (Some(aim), Some(true)) => format!("aim {aim}: reached"),
            (Some(aim), _) => format!("aim {aim}: NOT reached"),
            (None, _) => String::new(),
        };
        let what = format!("{} / {}", name(ratio.of), name(ratio.to));
        line(format!("{what:<48}{:>5.2}  {:<18}{aim}", ratio.ratio, rounds.join(" ")));
    }
    line(
        "\nµs each: processor time for one of them. others: processors that the rest of the machine had."
            .to_owned(),
    );
    if report.medians.iter().any(|median| median.cores.get(cpu::OTHERS).is_some_and(|cores| *cores > NOISE)) {
        line("They had more than a little: believe the ratios and the times, not the rates.".to_owned());
    }
    text
}

/// Microseconds of processor time for each, by process, the busiest first. Unlike the rate it hardly depends on what else runs on
/// the machine, which is shown as the processors that others had.
fn cost(median: &Median) -> String {
    let others = median.cores.get(cpu::OTHERS).copied().unwrap_or_default();
    let each = |cores: f64| cores * 1e6 / median.rate;
    let mut ours: Vec<_> = median
        .cores
        .iter()
        .filter(|(name, _)| *name != cpu::OTHERS)
        .map(|(name, cores)| (name, each(*cores)))
        .filter(|(_, micros)| *micros >= 0.5)
        .collect();
    ours.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = ours.iter().map(|(_, micros)| micros).sum();
    let parts: Vec<_> = ours.into_iter().map(|(name, micros)| format!("{name} {micros:.0}")).collect();
    format!("{all:>7.0}  {others:>6.2}  {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(subject: Subject, round: u32, rate: f64) -> Run {
        Run {
            subject,
            round,
            count: 1,
            seconds: 1.0,
            rate,
            p50_ms: None,
            p99_ms: None,
            cores: BTreeMap::from([("api".into(), rate / 1000.0)]),
            also: BTreeMap::new(),
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let (accept, floor) = (Subject::Accept { connections: 64 }, Subject::Floor { clients: 64 });
        let runs = [
            run(floor, 1, 100.0),
            run(accept, 1, 90.0),
            run(floor, 2, 10.0),
            run(accept, 2, 7.0),
            run(floor, 3, 1000.0),
            run(accept, 3, 200.0),
        ];
        let [ratio] = &ratios(&runs)[..] else { panic!("one pair was measured") };
        assert_eq!(ratio.ratios, [0.9, 0.7, 0.2]);
        assert_eq!((ratio.ratio, ratio.met), (0.7, Some(false)));
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[1.0, 4.0, 2.0, 3.0]), Some(2.5));
        let floor = Subject::Floor { clients: 1 };
        let medians = medians(&[run(floor, 1, 10.0), run(floor, 2, 30.0), run(floor, 3, 20.0)]);
        assert_eq!((medians.len(), medians[0].rate, medians[0].cores["api"]), (1, 20.0, 0.02));
    }
}
