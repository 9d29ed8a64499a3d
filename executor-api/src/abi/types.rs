//! The values that cross the border as they are. Frozen: a field more would make every existing plugin unloadable, so
//! each has reserved room or a word that says which fields hold something.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, SystemTime};

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RString};

use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Cause, Ended, Outcome};
use crate::spec::StdioFds;
use crate::units::{Bytes, Signal};
use crate::usage::Usage;

/// An [`Error`]. `details` is JSON for what later versions want to add; empty today.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct AbiError {
    kind: u32,
    errno: i32,
    what: RString,
    why: RString,
    fix: RString,
    details: RString,
}

/// The numbers of the kinds. Never change one; a number that is not here reads as `Internal`.
const KINDS: [(u32, ErrorKind); 10] = [
    (1, ErrorKind::InvalidSpec),
    (2, ErrorKind::Unsupported),
    (3, ErrorKind::Denied),
    (4, ErrorKind::NotFound),
    (5, ErrorKind::NotExecutable),
    (6, ErrorKind::Exists),
    (7, ErrorKind::Busy),
    (8, ErrorKind::Exhausted),
    (9, ErrorKind::Panicked),
    (10, ErrorKind::Internal),
];

impl From<Error> for AbiError {
    fn from(error: Error) -> Self {
        Self {
            kind: code_of(&KINDS, error.kind()),
            errno: error.errno().unwrap_or(0),
            what: error.what().into(),
            why: error.why().into(),
            fix: error.fix().unwrap_or_default().into(),
            details: RString::new(),
        }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        let kind = value_of(&KINDS, error.kind).unwrap_or(ErrorKind::Internal);
        let read = Self::new(kind, error.what, error.why).with_errno(error.errno);
        if error.fix.is_empty() { read } else { read.with_fix(error.fix) }
    }
}

impl AbiError {
    /// What a method answers that the plugin's version does not have.
    pub(super) fn unsupported<T>(operation: &str) -> RResult<T, Self> {
        RResult::RErr(Error::unsupported(operation).into())
    }
}

fn code_of<T: PartialEq>(table: &[(u32, T)], value: T) -> u32 {
    table.iter().find(|(_, known)| *known == value).map_or(0, |(code, _)| *code)
}

fn value_of<T: Copy>(table: &[(u32, T)], code: u32) -> Option<T> {
    table.iter().find(|(known, _)| *known == code).map(|(_, value)| *value)
}

/// An [`Outcome`], or the word that there is none yet.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, Default)]
pub struct AbiExit {
    flags: u64,
    ended: u32,
    value: i32,
    cause: u32,
    padding: u32,
    started_unix_ns: i64,
    finished_unix_ns: i64,
    reserved: [u64; 4],
}

impl AbiExit {
    const HAS_ENDED: u64 = 1;
    const CORE_DUMPED: u64 = 1 << 1;
    const STARTED_KNOWN: u64 = 1 << 2;
    const FINISHED_KNOWN: u64 = 1 << 3;
    const EXITED: u32 = 1;
    const SIGNALLED: u32 = 2;

    fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// The numbers of the causes. Never change one; a number that is not here reads as `Lost`.
const CAUSES: [(u32, Cause); 5] =
    [(1, Cause::Own), (2, Cause::Stopped), (3, Cause::TimedOut), (4, Cause::Oom), (5, Cause::Lost)];

impl From<Option<Outcome>> for AbiExit {
    fn from(outcome: Option<Outcome>) -> Self {
        let Some(outcome) = outcome else { return Self::default() };
        let (ended, value) = match outcome.ended {
            Ended::Exited(code) => (Self::EXITED, i32::from(code)),
            Ended::Signalled(signal) => (Self::SIGNALLED, signal.number()),
            Ended::Unknown => (0, 0),
        };
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        Self {
            flags: Self::HAS_ENDED
                | flag(outcome.core_dumped, Self::CORE_DUMPED)
                | flag(outcome.started.is_some(), Self::STARTED_KNOWN)
                | flag(outcome.finished.is_some(), Self::FINISHED_KNOWN),
            ended,
            value,
            cause: code_of(&CAUSES, outcome.cause),
            started_unix_ns: outcome.started.map_or(0, unix_ns),
            finished_unix_ns: outcome.finished.map_or(0, unix_ns),
            ..Self::default()
        }
    }
}

impl From<AbiExit> for Option<Outcome> {
    fn from(exit: AbiExit) -> Self {
        if !exit.has(AbiExit::HAS_ENDED) {
            return None;
        }
        let ended = match exit.ended {
            AbiExit::EXITED => u8::try_from(exit.value).map_or(Ended::Unknown, Ended::Exited),
            AbiExit::SIGNALLED => Signal::new(exit.value).map_or(Ended::Unknown, Ended::Signalled),
            _ => Ended::Unknown,
        };
        let mut outcome = Outcome::new(ended, value_of(&CAUSES, exit.cause).unwrap_or(Cause::Lost));
        outcome.core_dumped = exit.has(AbiExit::CORE_DUMPED);
        outcome.started = exit.has(AbiExit::STARTED_KNOWN).then(|| time_at(exit.started_unix_ns));
        outcome.finished = exit.has(AbiExit::FINISHED_KNOWN).then(|| time_at(exit.finished_unix_ns));
        Some(outcome)
    }
}

fn unix_ns(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn time_at(unix_ns: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(unix_ns).unwrap_or(0))
}

/// A [`Usage`]: figure `n` is in `values[n]` where bit `n` of `valid` is set. Bytes, nanoseconds or counts.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, Default)]
pub struct AbiStats {
    valid: u64,
    values: [u64; 32],
}

impl From<Usage> for AbiStats {
    fn from(usage: Usage) -> Self {
        let bytes = |size: Option<Bytes>| size.map(Bytes::get);
        let ns = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        // The place in this list is the figure's number: append only.
        let figures = [
            bytes(usage.memory),
            bytes(usage.memory_peak),
            ns(usage.cpu_user),
            ns(usage.cpu_system),
            ns(usage.cpu_throttled),
            usage.pids,
            usage.pids_peak,
            bytes(usage.io_read),
            bytes(usage.io_written),
            usage.oom_kills,
        ];
        let mut stats = Self::default();
        for (at, figure) in figures.into_iter().enumerate() {
            stats.valid |= u64::from(figure.is_some()) << at;
            stats.values[at] = figure.unwrap_or(0);
        }
        stats
    }
}

impl From<AbiStats> for Usage {
    fn from(stats: AbiStats) -> Self {
        let count = |at: usize| (stats.valid >> at & 1 == 1).then_some(stats.values[at]);
        let bytes = |at: usize| count(at).map(Bytes::new);
        let time = |at: usize| count(at).map(Duration::from_nanos);
        Self {
            memory: bytes(0),
            memory_peak: bytes(1),
            cpu_user: time(2),
            cpu_system: time(3),
            cpu_throttled: time(4),
            pids: count(5),
            pids_peak: count(6),
            io_read: bytes(7),
            io_written: bytes(8),
            oom_kills: count(9),
        }
    }
}

/// The [`StdioFds`] by number, -1 for none; borrowed for the call.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct AbiStdio {
    fds: [i32; 3],
    reserved: [i32; 5],
}

impl From<StdioFds<'_>> for AbiStdio {
    fn from(fds: StdioFds<'_>) -> Self {
        let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
        Self { fds: [number(fds.stdin), number(fds.stdout), number(fds.stderr)], reserved: [-1; 5] }
    }
}

impl AbiStdio {
    /// The descriptors again, for the length of the call that brought them.
    pub(super) fn borrow(&self) -> StdioFds<'_> {
        let fd = |at: usize| {
            // SAFETY: the host made this value from a `BorrowedFd` that lives for the whole call (see `From` above), and
            // `&self` does not outlive the call either, so the descriptor stays open as long as the result.
            (self.fds[at] >= 0).then(|| unsafe { BorrowedFd::borrow_raw(self.fds[at]) })
        };
        StdioFds { stdin: fd(0), stdout: fd(1), stderr: fd(2) }
    }
}

/// Something to wait on that the receiver owns: kind 1 is a file descriptor. No `Drop`: see [`AbiWaitable::into_fd`].
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct AbiWaitable {
    kind: u32,
    padding: u32,
    value: i64,
}

impl AbiWaitable {
    const FILE_DESCRIPTOR: u32 = 1;

    pub(super) fn of(fd: OwnedFd) -> Self {
        use std::os::fd::IntoRawFd;
        Self { kind: Self::FILE_DESCRIPTOR, padding: 0, value: i64::from(fd.into_raw_fd()) }
    }

    /// The descriptor, which the plugin gave away by answering with this.
    pub(super) fn into_fd(self) -> Result<OwnedFd> {
        match (self.kind, i32::try_from(self.value)) {
            (Self::FILE_DESCRIPTOR, Ok(number)) if number >= 0 => {
                // SAFETY: glue made this value from an `OwnedFd` and gave up ownership with `into_raw_fd`; `self` is
                // consumed, so nobody else owns the number.
                Ok(unsafe { OwnedFd::from_raw_fd(number) })
            }
            (kind, _) => Err(Error::new(
                ErrorKind::Unsupported,
                "take the exit handle",
                format!("its kind {kind} is unknown here"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_border() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        for ended in [Ended::Exited(0), Ended::Exited(255), Ended::Signalled(Signal::KILL), Ended::Unknown] {
            for (_, cause) in CAUSES {
                let mut outcome = Outcome::new(ended, cause);
                outcome.core_dumped = ended == Ended::Exited(0);
                outcome.started = Some(now);
                assert_eq!(Option::<Outcome>::from(AbiExit::from(Some(outcome))), Some(outcome));
            }
        }
        assert_eq!(Option::<Outcome>::from(AbiExit::from(None)), None);
        let strange = AbiExit { flags: AbiExit::HAS_ENDED, ended: 9, cause: 9, ..AbiExit::default() };
        assert_eq!(Option::<Outcome>::from(strange), Some(Outcome::new(Ended::Unknown, Cause::Lost)), "never guessed");
    }

    #[test]
    fn an_error_survives_the_border_and_unknown_kinds_are_internal() {
        for (_, kind) in KINDS {
            let error = Error::new(kind, "do", "no").with_fix("mend").with_errno(13);
            assert_eq!(Error::from(AbiError::from(error.clone())), error);
        }
        let later = AbiError { kind: 99, ..Error::unsupported("x").into() };
        assert_eq!(Error::from(later).kind(), ErrorKind::Internal);
    }

    #[test]
    fn usage_survives_the_border() {
        let usage = Usage {
            memory: Some(Bytes::new(1)),
            memory_peak: Some(Bytes::new(2)),
            cpu_user: Some(Duration::from_nanos(3)),
            cpu_system: Some(Duration::ZERO),
            cpu_throttled: None,
            pids: Some(6),
            pids_peak: Some(7),
            io_read: Some(Bytes::new(8)),
            io_written: Some(Bytes::new(9)),
            oom_kills: Some(0),
        };
        assert_eq!(Usage::from(AbiStats::from(usage)), usage);
        assert_eq!(Usage::from(AbiStats::from(Usage::default())), Usage::default());
    }
}
