//! The process that started the task, for a task that must not outlive it.
//!
//! It is this process's parent, and a parent that dies is replaced by another: that is what tells. Not the socket, which a
//! living host may let go of and which a child that it forks keeps open; and not `PR_SET_PDEATHSIG`, which is about the
//! thread that forked. Where the system has a descriptor that wakes whoever waits for a process it is used for that alone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use executor_api::{Error, ErrorKind, Result};
use nix::unistd::{Pid, getppid};

use crate::linux;

/// How often to look where nothing wakes.
const LOOK: Duration = Duration::from_millis(100);

/// The host.
#[derive(Debug)]
pub(crate) struct Host {
    process: Pid,
    /// Readable when it has ended; none where the system has no such descriptor.
    end: Option<OwnedFd>,
}

impl Host {
    /// The host that has the number `process` and is this process's parent.
    pub(crate) fn parent(process: u32) -> Result<Self> {
        let gone = || {
            let why =
                format!("process {process} is not the parent of its supervisor: it is gone, or in another namespace");
            Error::new(ErrorKind::Busy, "let the task end with its host", why)
        };
        let process = i32::try_from(process).map(Pid::from_raw).map_err(|_| gone())?;
        let host = Self { process, end: linux::watch_process(process) };
        // Asked after the descriptor was opened: as long as the parent is the same its number was nobody else's.
        if host.is_gone() { Err(gone()) } else { Ok(host) }
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        getppid() != self.process
    }

    /// What wakes at its end.
    pub(crate) fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// When to look for it, where nothing wakes.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.end.is_none().then(|| Instant::now() + LOOK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_parent_is_the_host() {
        let parent = getppid().as_raw().unsigned_abs();
        let host = Host::parent(parent).expect("it is there");
        assert!(!host.is_gone());
        assert_eq!(host.end().is_none(), host.next_look().is_some(), "one of the two wakes");
        for other in [std::process::id(), u32::MAX] {
            assert_eq!(Host::parent(other).map(drop).map_err(|error| error.kind()), Err(ErrorKind::Busy));
        }
    }
}
