//! Per-process limits: what the kernel calls each.
//!
//! What is not asked for stays as the host has it, with one exception: a task leaves no core dumps unless it asks to. The
//! numbers are those of prlimit(2).

use executor_api::limits::Rlimit;
use executor_api::{Error, ErrorKind, Resources, Result};

use super::step::Limit;

/// The limits of the interface, with their numbers in every Linux that this plugin is built for.
const NUMBERS: [(&str, u32); 16] = [
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

const NO_CORE: Rlimit = Rlimit { soft: Some(0), hard: Some(0) };

/// The limits of a task with these resources.
pub(super) fn rlimits(resources: &Resources) -> Result<Vec<Limit>> {
    let mut asked = resources.rlimits.clone();
    asked.entry("core".into()).or_insert(NO_CORE);
    if let Some(time) = resources.cpu_time {
        // SIGXCPU says what happened; a process that catches it is killed a second later. The lower limit counts.
        let seconds = u64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
        let cpu = asked.entry("cpu".into()).or_default();
        cpu.soft = Some(cpu.soft.map_or(seconds, |soft| soft.min(seconds)));
        let hard = seconds.saturating_add(1);
        cpu.hard = Some(cpu.hard.map_or(hard, |given| given.min(hard)));
    }
    asked.iter().map(|(name, limit)| numbered(name, *limit)).collect()
}

fn numbered(name: &str, asked: Rlimit) -> Result<Limit> {
    let number = NUMBERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let unknown = || Error::new(ErrorKind::Unsupported, format!("limit rlimit {name}"), "Linux has no such limit");
    let resource = number.ok_or_else(unknown)?;
    let bound = |bound: Option<u64>| bound.unwrap_or(u64::MAX);
    Ok(Limit { name: name.to_owned(), resource, soft: bound(asked.soft), hard: bound(asked.hard) })
}
