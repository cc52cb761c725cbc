//! Where the processor's time goes, from `/proc`: without it a rate on a shared machine says little.

use std::{collections::BTreeMap, fs, path::Path, process};

use crate::error::Error;

/// What the kernel counts in, whatever its own clock: `USER_HZ` is 100 on every architecture that Rust's Linux targets
/// of the first tier run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// The bench itself, and what it started and has waited for.
pub(crate) const BENCH: &str = "bench";
/// Everybody else on the machine.
pub(crate) const OTHERS: &str = "others";

/// Seconds of processor time until now, by process of the stack.
#[derive(Debug)]
pub(crate) struct Sample {
    by_name: BTreeMap<String, f64>,
    machine: f64,
}

struct Process {
    parent: u32,
    /// Its own.
    ticks: u64,
    /// Of children that ended and were waited for.
    of_children: u64,
}

impl Sample {
    /// Now. The processes are those with a file in `pids/`.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, Error> {
        let processes = processes()?;
        let mut by_name = BTreeMap::new();
        for entry in fs::read_dir(state_dir.join("pids")).map_err(Error::io("reading pids"))?.flatten() {
            let pid = fs::read_to_string(entry.path()).ok().and_then(|pid| pid.trim().parse().ok());
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(pid) = pid
                && processes.contains_key(&pid)
            {
                by_name.insert(name, seconds(tree(&processes, pid)));
            }
        }
        let own = processes.get(&process::id()).map_or(0, |own| own.ticks + own.of_children);
        by_name.insert(BENCH.into(), seconds(own));
        Ok(Self { by_name, machine: machine()? })
    }

    /// Processors in use on average since `earlier`, by name. What began in between counts from its beginning.
    pub(crate) fn cores_since(&self, earlier: &Self, elapsed: f64) -> BTreeMap<String, f64> {
        let mut cores: BTreeMap<_, _> = self
            .by_name
            .iter()
            .map(|(name, now)| {
                let before = earlier.by_name.get(name).copied().unwrap_or_default();
                (name.clone(), (now - before).max(0.0) / elapsed)
            })
            .collect();
        let ours: f64 = cores.values().sum();
        let all = (self.machine - earlier.machine) / elapsed;
        cores.insert(OTHERS.into(), (all - ours).max(0.0));
        cores
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// The ticks of a process and all below it. (Postgres has a process for each connection.)
fn tree(processes: &BTreeMap<u32, Process>, pid: u32) -> u64 {
    let own = processes.get(&pid).map_or(0, |process| process.ticks + process.of_children);
    let children = processes.iter().filter(|(_, process)| process.parent == pid);
    own + children.map(|(child, _)| tree(processes, *child)).sum::<u64>()
}

fn processes() -> Result<BTreeMap<u32, Process>, Error> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").map_err(Error::io("reading /proc"))?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(process) = parsed(&stat) {
            processes.insert(pid, process);
        }
    }
    Ok(processes)
}

/// A line of `/proc/PID/stat`: the name in the middle may hold anything, so what follows is counted from its end.
fn parsed(stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let mut ticks = fields.skip(9).map(|field| field.parse::<u64>());
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    let of_children = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Process { parent, ticks: user + system, of_children })
}

/// Seconds that any processor was busy since the machine started.
fn machine() -> Result<f64, Error> {
    let stat = fs::read_to_string("/proc/stat").map_err(Error::io("reading /proc/stat"))?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        first.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    // user nice system (idle iowait) irq softirq steal; guests are in user already.
    Ok(seconds(
        ticks.iter().enumerate().filter(|(n, _)| matches!(n, 0..=2 | 5..=7)).map(|(_, ticks)| ticks).sum(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 5 6 20 0 1 0 9 0 0";
        let process = parsed(line).unwrap();
        assert_eq!((process.parent, process.ticks, process.of_children), (7, 120, 11));
    }

    #[test]
    fn children_count_for_their_parents() {
        let process = |parent, ticks, of_children| Process { parent, ticks, of_children };
        let processes = BTreeMap::from([
            (2, process(1, 10, 1)),
            (3, process(2, 100, 0)),
            (4, process(3, 1000, 5)),
            (5, process(1, 7, 7)),
        ]);
        assert_eq!(tree(&processes, 2), 1116);
    }

    #[test]
    fn this_process_is_seen() {
        assert!(processes().unwrap().contains_key(&process::id()));
        assert!(machine().unwrap() > 0.0);
    }
}
