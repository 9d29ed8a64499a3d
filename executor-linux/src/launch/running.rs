//! The way to the supervisor of one task: sends orders, and looks at the end without taking it.
//!
//! After the answer to the start nothing is ever read from the socket, only peeked at: the end stays for the next who
//! asks, and a duplicate of the descriptor polls readable for good. Those duplicates share its flags, so every call says
//! for itself whether it may block, and none raises `SIGPIPE` in the host.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use executor_api::{Cause, Ended, Outcome};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use super::reply::{Done, Reply, Why};
use super::wire::Order;

/// The supervisor's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How the task ended; lost where its supervisor was killed.
    pub outcome: Outcome,
    /// The errno that kept the end from being recorded: whoever finds the task by its record is told that it is lost.
    pub unrecorded: Option<i32>,
}

/// A task that runs, or has ended; dropping it leaves the task to its supervisor.
#[derive(Debug)]
pub struct Running {
    socket: OwnedFd,
    supervisor: OwnedFd,
}

impl Running {
    pub(super) fn new(socket: OwnedFd, supervisor: OwnedFd) -> Self {
        Self { socket, supervisor }
    }

    /// The supervisor's process: readable when nothing of the task is left.
    #[must_use]
    pub fn supervisor(&self) -> BorrowedFd<'_> {
        self.supervisor.as_fd()
    }

    /// Sends `order`; false when nobody is there to take it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` (`EAGAIN`) when the supervisor has not read hundreds of orders before.
    pub fn order(&self, order: Order) -> io::Result<bool> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        loop {
            match send(self.socket.as_raw_fd(), &order.to_bytes(), flags) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the end until `deadline`, for ever where there is none; `None` when it has not come by then. Any number
    /// of callers, any number of times.
    ///
    /// # Errors
    ///
    /// What poll(2) and recv(2) say; `InvalidData` where the last word is none.
    pub fn ending(&self, deadline: Option<Instant>) -> io::Result<Option<Ending>> {
        loop {
            if let Some(ending) = self.peek()? {
                return Ok(Some(ending));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left.map_or(PollTimeout::NONE, at_least)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn peek(&self) -> io::Result<Option<Ending>> {
        let mut bytes = [0; Reply::LEN];
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNRESET) => break 0,
                Err(errno) => return Err(errno.into()),
            }
        };
        match Reply::from_bytes(&bytes[..length]) {
            Some(Reply::Done(done)) => Ok(Some(ending(done))),
            // The end of the socket instead means that there is no supervisor.
            _ if length == 0 => {
                Ok(Some(Ending { outcome: Outcome::new(Ended::Unknown, Cause::Lost), unrecorded: None }))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the supervisor's last word is none")),
        }
    }

    /// A descriptor of the caller's own that polls readable, for good, once the end is known.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

fn ending(done: Done) -> Ending {
    let cause = match done.why {
        Why::Own => Cause::Own,
        Why::Stopped => Cause::Stopped,
        Why::TimedOut => Cause::TimedOut,
        Why::Oom => Cause::Oom,
    };
    let mut outcome = Outcome::from_status(ExitStatus::from_raw(done.status), cause);
    let time = |ms: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    (outcome.started, outcome.finished) = (time(done.started_ms), time(done.finished_ms));
    Ending { outcome, unrecorded: (done.unrecorded != 0).then_some(done.unrecorded) }
}

/// The shortest timeout of poll(2) that does not end before `time` is over, or the longest there is.
pub(super) fn at_least(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}
