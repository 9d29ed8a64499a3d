//! All that reaches a task from outside, from the moment it is recorded: orders from its host and from anybody else, and
//! the end of a host that it must not outlive.
//!
//! It reads and says what to do; it touches no process. Whatever comes before the program runs is not lost: the same value
//! serves the start and the watch.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use executor_api::record::Live;
use executor_fallback::wire::Order;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use crate::host::Host;
use crate::inbox::{From, Inbox};

/// The world outside of one task.
pub(crate) struct Outside<'a> {
    pub(crate) control: &'a UnixStream,
    pub(crate) live: Live,
    /// None where the task may outlive it, or once it is gone.
    host: Option<Host>,
    from_host: Inbox,
    from_anybody: Inbox,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(control: &'a UnixStream, live: Live, host: Option<Host>) -> Self {
        Self { control, live, host, from_host: Inbox::new(From::Host), from_anybody: Inbox::new(From::Anybody) }
    }

    /// Waits until something comes, until `inside` is readable, or until `until`.
    pub(crate) fn doze(&self, inside: BorrowedFd<'_>, until: Option<Instant>) {
        let sources = [
            Some(inside),
            self.from_host.is_open().then(|| self.control.as_fd()),
            self.from_anybody.is_open().then(|| self.live.orders()),
            self.host.as_ref().and_then(Host::end),
        ];
        let mut fds: Vec<_> = sources.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let until = [until, self.host.as_ref().and_then(Host::next_look)].into_iter().flatten().min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let millis = left.map(|left| left.as_nanos().div_ceil(1_000_000));
        let timeout = millis.map_or(PollTimeout::NONE, |ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
        // However this ends, the caller looks for itself.
        _ = poll(&mut fds, timeout);
    }

    /// Whether the host still has its end of the socket; told as of the last look for orders.
    pub(crate) fn host_holds_on(&self) -> bool {
        self.from_host.is_open()
    }

    /// The orders that have come; a host that is gone counts as one.
    pub(crate) fn orders(&mut self) -> Vec<Order> {
        // For each call: the socket's own flag would hold for the replies as well.
        let receive =
            |room: &mut [u8]| Ok::<_, io::Error>(recv(self.control.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT)?);
        let mut orders = self.from_host.orders(receive);
        orders.extend(self.from_anybody.orders(|room| self.live.read_orders(room)));
        orders.extend(self.host.take_if(|host| host.is_gone()).map(|_| Order::Kill));
        orders
    }
}
