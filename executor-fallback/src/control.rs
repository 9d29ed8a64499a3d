//! The host's end of the socket to a supervisor: sends orders, and looks at the ending without taking it.
//!
//! After the reply to the request nothing is ever read from it, only peeked at: the ending stays for the next who asks,
//! and a duplicate of the descriptor polls readable for good. Those duplicates share its flags, so every call says for
//! itself whether it may block, and none raises `SIGPIPE` in the host.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use executor_api::{Cause, Ended, Outcome};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};

use crate::wire::{self, Ending, Order};

/// More than any ending has: it holds two words, two times and a number.
const ENDING_LEN: usize = 1024;

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

    /// Sends the request and, beside its first bytes, the three descriptors. While nobody reads it asks `given_up`, at
    /// least once in each `look`.
    ///
    /// # Errors
    ///
    /// `TimedOut` once that says so, and what sendmsg(2) says.
    pub(crate) fn request(
        &self,
        mut frame: &[u8],
        stdio: [RawFd; 3],
        look: Duration,
        given_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        let rights = [ControlMessage::ScmRights(&stdio)];
        let mut beside: &[ControlMessage<'_>] = &rights;
        while !frame.is_empty() {
            let part = [io::IoSlice::new(frame)];
            match sendmsg::<()>(self.0.as_raw_fd(), &part, beside, no_signal() | MsgFlags::MSG_DONTWAIT, None) {
                Ok(sent) => {
                    frame = frame.get(sent..).unwrap_or_default();
                    beside = &[];
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if given_up() => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::EAGAIN) => self.await_room(look),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Waits until more can be sent, `time` at most.
    fn await_room(&self, time: Duration) {
        // However this ends, whoever sends sees for itself.
        _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], at_least(time));
    }

    /// Sends `order`; false when nobody is there to take it. Waits no longer than `patience` where earlier words to the
    /// supervisor have not been read yet.
    pub(crate) fn order(&self, order: Order, patience: Duration) -> io::Result<bool> {
        let until = Instant::now() + patience;
        loop {
            match send(self.0.as_raw_fd(), &order.to_bytes(), no_signal() | MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if Instant::now() < until => {
                    self.await_room(until.saturating_duration_since(Instant::now()));
                }
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether there is something to read, or an end of file, within `time`.
    pub(crate) fn is_readable(&self, time: Duration) -> io::Result<bool> {
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], at_least(time)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Nothing more is said in either direction, whoever else has the socket: what was sent can still be read, and then
    /// the supervisor sees the end of it.
    pub(crate) fn hang_up(&self) {
        // ENOTCONN: the other end has hung up already.
        _ = self.0.shutdown(Shutdown::Both);
    }

    /// Waits for the ending until `deadline`, for ever where there is none; `None` when it has not come by then.
    pub(crate) fn ending(&self, deadline: Option<Instant>) -> io::Result<Option<Ending>> {
        loop {
            if let Some(ending) = self.peek()? {
                return Ok(Some(ending));
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

    fn peek(&self) -> io::Result<Option<Ending>> {
        let mut bytes = [0; ENDING_LEN];
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
            None if length == 0 => {
                Ok(Some(Ending { outcome: Outcome::new(Ended::Unknown, Cause::Lost), unrecorded: None }))
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "the supervisor's last word is cut short")),
        }
    }

    /// A descriptor of the caller's own that polls readable once the ending, or end of file, is there.
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
