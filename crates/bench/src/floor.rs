//! The floor: what this Postgres does with one of our rows for each commit, and nothing else. pgbench inserts into the real
//! table (same columns, checks, indexes, partitions) of a database of its own.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    database,
    error::Error,
    run::{Run, StopWatch, Subject},
    stack::Stack,
    text,
};

/// Threads of pgbench, as the machine has cores.
const THREADS: u32 = 2;

/// Insert one notification for each commit with pgbench
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    clients: u32,
    #[arg(long)]
    seconds: u64,
    /// pgbench, when it is not on the PATH
    #[arg(long, default_value = "pgbench")]
    pgbench: String,
}

/// A UUIDv7 of this millisecond, for less than 2 µs: the time over the first six bytes of a v4, and the version.
const ID: &str = "encode(set_byte(overlay(uuid_send(gen_random_uuid()) placing \
     substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), \
     6, 112 + (random() * 15)::int), 'hex')::uuid";

fn script() -> String {
    let sealed = format!("'\\x{}'", "5a".repeat(2 + 12 + text::PERSONALISATION.len() + 16));
    format!(
        "INSERT INTO notifications (id, service_id, channel, key_type, api_key_id, template_id, template_version, recipient, \
         normalised_recipient, personalisation, sender, international, phone_prefix, rate_multiplier, created_at) \
         VALUES ({ID}, '3ee52a8c-284e-47cb-b404-45fd74a9ea9e', 'sms', 'normal', '019aa000-0000-7000-8000-000000000000', \
         'b2a578f1-2b95-40b9-bc32-50d94122818a', 1, '{}', '{}', {sealed}, '{}', false, '44', 1, clock_timestamp());\n",
        text::number(0),
        text::number(0).replacen('0', "44", 1),
        text::SENDER,
    )
}

pub(crate) fn run(arguments: &Arguments, stack: &Stack) -> Result<Run, Error> {
    let Arguments { clients, seconds, pgbench } = arguments;
    let url = database::floor_url(stack.database_url())?;
    let mut conn = database::connect(&url)?;
    database::empty(&mut conn)?;
    let file = stack.state_dir.join("floor.sql");
    fs::write(&file, script()).map_err(Error::io("writing the script of the floor"))?;
    let watch = StopWatch::start(stack)?;
    let output = Command::new(pgbench)
        .args(["--no-vacuum", "--protocol=prepared", &format!("--client={clients}")])
        .args([format!("--jobs={}", THREADS.min(*clients)), format!("--time={seconds}")])
        .arg(format!("--file={}", file.display()))
        .arg(&url)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("running pgbench"))?;
    let count = database::count(&mut conn, "SELECT count(*) FROM notifications")?;
    let run = watch.stop(stack, Subject::Floor { clients: *clients }, count)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Wrong(format!("pgbench failed: {why}")));
    }
    // Its own figures: ours hold the start of the process and of its connections, too.
    let rate = figure(&said, "tps = ")?;
    let mean = figure(&said, "latency average = ")?;
    if figure(&said, "number of transactions actually processed: ")? as u64 != count {
        return Err(Error::Wrong(format!(
            "pgbench speaks of other than the {count} rows that there are: {said}"
        )));
    }
    Ok(Run { rate, ..run }.with("mean_ms", mean))
}

/// The number after these words.
fn figure(said: &str, words: &str) -> Result<f64, Error> {
    let number = said.lines().find_map(|line| line.strip_prefix(words)?.split(' ').next()?.parse().ok());
    number.ok_or_else(|| Error::Wrong(format!("pgbench does not say `{words}`: {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_pgbench_says() {
        let said = "number of transactions actually processed: 81\nlatency average = 3.312 ms\n\
                    tps = 19603.204 (without initial connection time)\n";
        assert_eq!(figure(said, "tps = ").unwrap(), 19603.204);
        assert_eq!(figure(said, "number of transactions actually processed: ").unwrap(), 81.0);
        assert!(figure("tps = many", "tps = ").is_err());
    }
}
