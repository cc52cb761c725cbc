//! What the figures were measured on.

use std::{fs, thread};

use diesel::PgConnection;
use serde::Serialize;

use crate::{database, error::Error};

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_mb: u64,
    kernel: String,
    postgres: String,
    fsync: String,
    synchronous_commit: String,
    shared_buffers: String,
    max_wal_size: String,
    rabbitmq: Option<String>,
}

impl Machine {
    pub(crate) fn describe(conn: &mut PgConnection, rabbitmq: Option<String>) -> Result<Self, Error> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let field = |text: &str, name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':').map(str::trim));
            line.unwrap_or("unknown").to_owned()
        };
        let kilobytes = field(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0_u64);
        Ok(Self {
            processor: field(&processors, "model name"),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_mb: kilobytes / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgres: database::setting(conn, "server_version")?,
            fsync: database::setting(conn, "fsync")?,
            synchronous_commit: database::setting(conn, "synchronous_commit")?,
            shared_buffers: database::setting(conn, "shared_buffers")?,
            max_wal_size: database::setting(conn, "max_wal_size")?,
            rabbitmq,
        })
    }

    pub(crate) fn in_a_line(&self) -> String {
        let Self { processor, cores, memory_mb, postgres, fsync, synchronous_commit, rabbitmq, .. } = self;
        let rabbitmq = rabbitmq.as_deref().unwrap_or("?");
        format!(
            "{cores} × {processor}, {memory_mb} MB; PostgreSQL {postgres} (fsync {fsync}, synchronous_commit \
             {synchronous_commit}), RabbitMQ {rabbitmq}"
        )
    }
}
