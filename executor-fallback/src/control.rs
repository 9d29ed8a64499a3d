//! The host's end of the socket to a supervisor: sends orders, and looks at the outcome without taking it.
//!
//! After the reply to the request nothing is ever read from it, only peeked at: the outcome stays for the next who asks,
//! and a duplicate of the descriptor polls readable for good. Those duplicates share its flags, so every call says for
//! itself whether it may block, and none raises `SIGPIPE` in the host.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use executor_api::{Cause, Ended, Outcome};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};

use crate::wire::{self, Order};

/// More than any outcome has: it holds two words and two times.
const OUTCOME_LEN: usize = 1024;

/// The socket to one supervisor.
#[derive(Debug)]
pub(crate) struct Control(UnixStream);

impl Control {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// The stream itself, for the reply to the request.
    pub(crate) fn stream(&self) -> &UnixStream {
        &self.0
    }

    /// Sends the request and, beside its first bytes, the three descriptors.
    pub(crate) fn request(&self, mut frame: &[u8], stdio: [RawFd; 3]) -> io::Result<()> {
        let rights = [ControlMessage::ScmRights(&stdio)];
        let mut beside: &[ControlMessage<'_>] = &rights;
        while !frame.is_empty() {
            let part = [io::IoSlice::new(frame)];
            match sendmsg::<()>(self.0.as_raw_fd(), &part, beside, no_signal(), None) {
                Ok(sent) => {
                    frame = frame.get(sent..).unwrap_or_default();
                    beside = &[];
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Sends `order`; false when nobody is there to take it.
    pub(crate) fn order(&self, order: Order) -> io::Result<bool> {
        loop {
            match send(self.0.as_raw_fd(), &order.to_bytes(), no_signal() | MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the outcome until `deadline`, for ever where there is none; `None` when it has not come by then.
    pub(crate) fn outcome(&self, deadline: Option<Instant>) -> io::Result<Option<Outcome>> {
        loop {
            if let Some(outcome) = self.peek()? {
                return Ok(Some(outcome));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left.map_or(PollTimeout::NONE, at_least)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn peek(&self) -> io::Result<Option<Outcome>> {
        let mut bytes = [0; OUTCOME_LEN];
        let length = loop {
            match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNRESET) => break 0,
                Err(errno) => return Err(errno.into()),
            }
        };
        // The supervisor sends the frame in one piece; end of file instead of it means that there is no supervisor.
        match wire::whole(&bytes[..length]) {
            Some(json) => Ok(Some(serde_json::from_slice(json)?)),
            None if length == 0 => Ok(Some(Outcome::new(Ended::Unknown, Cause::Lost))),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "the supervisor's outcome is cut short")),
        }
    }

    /// A descriptor of the caller's own that polls readable once the outcome, or end of file, is there.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

/// `MSG_NOSIGNAL`, which every Unix has and nix does not name on all of them.
fn no_signal() -> MsgFlags {
    MsgFlags::from_bits_retain(libc::MSG_NOSIGNAL)
}

/// The shortest timeout of poll(2) that does not end before `time` is over, or the longest there is.
pub(crate) fn at_least(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}
