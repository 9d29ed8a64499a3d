//! Per-process limits: what the system calls each, and setting them so that they are in force.
//!
//! What is not asked for stays as the host has it, with one exception: a task leaves no core dumps unless it asks to.
//! The limits are those of setrlimit(2): each process of the task has its own, and a child inherits them.

use std::fmt;

use executor_api::limits::Rlimit;
use executor_api::{Error, ErrorKind, Resources, Result};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use crate::failure::{At, Failure, Step};

/// The limits of the interface that this system has.
const RESOURCES: &[(&str, Resource)] = &[
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    ("as", Resource::RLIMIT_AS),
    #[cfg(target_os = "freebsd")]
    ("as", Resource::RLIMIT_VMEM),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("stack", Resource::RLIMIT_STACK),
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    ("memlock", Resource::RLIMIT_MEMLOCK),
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    ("nproc", Resource::RLIMIT_NPROC),
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    ("rss", Resource::RLIMIT_RSS),
    #[cfg(target_os = "linux")]
    ("locks", Resource::RLIMIT_LOCKS),
    #[cfg(target_os = "linux")]
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    #[cfg(target_os = "linux")]
    ("nice", Resource::RLIMIT_NICE),
    #[cfg(target_os = "linux")]
    ("rtprio", Resource::RLIMIT_RTPRIO),
    #[cfg(target_os = "linux")]
    ("rttime", Resource::RLIMIT_RTTIME),
    #[cfg(target_os = "linux")]
    ("sigpending", Resource::RLIMIT_SIGPENDING),
];

const NO_CORE: Rlimit = Rlimit { soft: Some(0), hard: Some(0) };

/// One limit, as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    name: &'static str,
    resource: Resource,
    soft: rlim_t,
    hard: rlim_t,
}

/// The limits of a task with these resources.
pub(crate) fn limits(resources: &Resources) -> Result<Vec<Limit>> {
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
    asked.iter().map(|(name, limit)| Limit::new(name, *limit)).collect()
}

impl Limit {
    fn new(name: &str, asked: Rlimit) -> Result<Self> {
        let what = || format!("limit rlimit {name}");
        let Some((name, resource)) = RESOURCES.iter().find(|(known, _)| *known == name) else {
            return Err(Error::new(ErrorKind::Unsupported, what(), "this system has no such limit"));
        };
        let number = |bound: Option<u64>| match bound {
            None => Ok(RLIM_INFINITY),
            Some(number) => fitting(number)
                .ok_or_else(|| Error::invalid(what(), format!("{number} is more than this system can express"))),
        };
        Ok(Self { name, resource: *resource, soft: number(asked.soft)?, hard: number(asked.hard)? })
    }

    /// Limits this process, and checks that it is. Async-signal-safe.
    fn impose(self) -> Result<(), Failure> {
        setrlimit(self.resource, self.soft, self.hard).at(Step::Limit)?;
        let found = getrlimit(self.resource).at(Step::LimitProof)?;
        // No call was refused, so there is no errno.
        if found == (self.soft, self.hard) { Ok(()) } else { Err(Errno::UnknownErrno).at(Step::LimitProof) }
    }

    /// Why this limit could not be set.
    pub(crate) fn refusal(self, errno: Errno) -> Error {
        let error = Error::from_io(format!("limit rlimit {self}"), &errno.into());
        match getrlimit(self.resource) {
            // The supervisor's own limits are the host's.
            Ok((_, hard)) if errno == Errno::EPERM => error.with_fix(format!(
                "ask for no more than the hard limit of the host, {}, or raise that (CAP_SYS_RESOURCE)",
                words(hard)
            )),
            _ => error,
        }
    }

    /// What to say where the kernel took this limit and keeps another.
    pub(crate) fn difference(self, errno: Errno) -> Error {
        let why = "the system took it and keeps another value";
        Error::new(ErrorKind::Unsupported, format!("limit rlimit {self}"), why).with_errno(errno as i32)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} (soft) and {} (hard)", self.name, words(self.soft), words(self.hard))
    }
}

/// Imposes all of `limits` on this process, or says which one was refused. Async-signal-safe.
pub(crate) fn impose(limits: &[Limit]) -> Result<(), Failure> {
    for (number, limit) in (0..).zip(limits) {
        limit.impose().map_err(|failure| failure.with_number(number))?;
    }
    Ok(())
}

/// `number` in the kernel's own type, which is signed or half as wide on some systems.
fn fitting<T: TryFrom<u64>>(number: u64) -> Option<T> {
    T::try_from(number).ok()
}

fn words(bound: rlim_t) -> String {
    if bound == RLIM_INFINITY { "unlimited".to_owned() } else { bound.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> Result<Vec<String>> {
        let resources: Resources = serde_json::from_str(json).expect("well formed");
        limits(&resources).map(|limits| limits.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_task_leaves_no_core_dumps_unless_it_asks_to() {
        assert_eq!(shown("{}"), Ok(vec!["core to 0 (soft) and 0 (hard)".into()]));
        let asked = shown(r#"{"rlimits":{"core":{"soft":512}}}"#);
        assert_eq!(asked, Ok(vec!["core to 512 (soft) and unlimited (hard)".into()]));
    }

    #[test]
    fn processor_time_is_a_limit_in_whole_seconds_and_the_lower_one_counts() {
        let cpu = |json| shown(json).map(|all| all[1].clone());
        assert_eq!(cpu(r#"{"cpu_time_ms":1}"#), Ok("cpu to 1 (soft) and 2 (hard)".into()));
        assert_eq!(cpu(r#"{"cpu_time_ms":2001}"#), Ok("cpu to 3 (soft) and 4 (hard)".into()));
        let both = r#"{"cpu_time_ms":9000,"rlimits":{"cpu":{"soft":2,"hard":30}}}"#;
        assert_eq!(cpu(both), Ok("cpu to 2 (soft) and 10 (hard)".into()));
    }

    #[test]
    fn every_name_of_the_interface_is_known_or_refused_by_name() {
        let names =
            "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack";
        for name in names.split(' ') {
            match Limit::new(name, Rlimit::default()) {
                Ok(limit) => assert_eq!(limit.to_string(), format!("{name} to unlimited (soft) and unlimited (hard)")),
                Err(error) => {
                    assert_ne!(std::env::consts::OS, "linux", "{error}");
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                    assert!(error.to_string().contains(name), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_refusal_names_the_limit_and_the_value_and_a_way_out() {
        let limit = Limit::new("nofile", Rlimit { soft: Some(7), hard: None }).expect("every system has it");
        let error = limit.refusal(Errno::EPERM);
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Denied, Some(1)));
        assert_eq!(error.what(), "limit rlimit nofile to 7 (soft) and unlimited (hard)");
        assert!(error.fix().is_some_and(|fix| fix.contains("CAP_SYS_RESOURCE")));
        assert_eq!(limit.difference(Errno::UnknownErrno).errno(), None);
    }
}
