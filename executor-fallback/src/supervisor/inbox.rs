//! What comes from the host: the request with its descriptors, then orders.
//!
//! The request is read blocking, before anything runs; orders never block, and come over the socket or, from any other
//! process, through the record. A host that is gone, or talks nonsense, is not listened to any more, and the task goes on.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use executor_api::{Error, ErrorKind, Result};
use executor_fallback::wire::{self, Order, Request, VERSION};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::sys;

/// Reads the request and the three standard streams beside it.
pub(crate) fn request(control: &UnixStream) -> Result<(Request, [OwnedFd; 3])> {
    const WHAT: &str = "take the request of the plugin";
    let broken = |why: String| {
        let error = Error::new(ErrorKind::Internal, WHAT, why);
        error.with_fix("install the plugin and its supervisor from one version")
    };
    let (length, stdio) = beginning(control).map_err(|source| Error::from_io(WHAT, &source))?;
    let json = wire::body(length, &mut &*control).map_err(|source| Error::from_io(WHAT, &source))?;
    let request: Request = serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))?;
    if request.version != VERSION {
        return Err(broken(format!("the plugin has version {}, the supervisor {VERSION}", request.version)));
    }
    let stdio = stdio.try_into().map_err(|fds: Vec<OwnedFd>| broken(format!("{} streams instead of 3", fds.len())))?;
    Ok((request, stdio))
}

/// The first four bytes, and the descriptors that came with them.
fn beginning(control: &UnixStream) -> io::Result<([u8; 4], Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let mut rights = nix::cmsg_space!([RawFd; 3]);
    let mut part = [IoSliceMut::new(&mut length)];
    let message = loop {
        match recvmsg::<()>(control.as_raw_fd(), &mut part, Some(&mut rights), MsgFlags::MSG_WAITALL) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    let mut fds = Vec::new();
    for rights in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = rights {
            fds.extend(numbers.into_iter().map(sys::own));
        }
    }
    if message.bytes != 4 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for fd in &fds {
        // Here rather than by MSG_CMSG_CLOEXEC, which not every Unix has: nothing is forked in between.
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok((length, fds))
}

/// A way from outside to the task; closed for good when nothing more can come.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    open: bool,
    from: From,
}

/// Who writes into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The host that started the task, of the same version: nonsense from it is the end of it.
    Host,
    /// Anybody of this user, of any version: what is not known is passed over, and the door stays open for the next.
    Anybody,
}

impl Inbox {
    pub(crate) fn new(from: From) -> Self {
        Self { bytes: Vec::new(), open: true, from }
    }

    /// Whether anything may still come.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The orders that have come; `read` must not block.
    pub(crate) fn orders(&mut self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Vec<Order> {
        let mut more = [0; 64 * Order::LEN];
        while self.open {
            match read(&mut more) {
                Ok(0) => self.open = false,
                Ok(length) => self.bytes.extend_from_slice(&more[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.open = error.kind() == io::ErrorKind::Interrupted,
            }
        }
        let mut orders = Vec::new();
        while let Some((order, rest)) = self.bytes.split_first_chunk() {
            match Order::from_bytes(*order) {
                Some(order) => orders.push(order),
                None if self.from == From::Host => self.open = false,
                None => (),
            }
            self.bytes = rest.to_vec();
        }
        if self.from == From::Anybody {
            // Orders are written at once, so a part of one is none, and must not shift those that come.
            self.bytes.clear();
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn orders_come_whole_and_in_order_however_they_are_cut() {
        let (mut host, ours) = UnixStream::pair().expect("a socket pair");
        ours.set_nonblocking(true).expect("a flag");
        let mut inbox = Inbox::new(From::Host);
        let mut look = || inbox.orders(|room| (&ours).read(room));
        assert_eq!(look(), []);
        let stop = Order::Stop(std::time::Duration::from_secs(1));
        let bytes = [stop.to_bytes(), Order::Kill.to_bytes()].concat();
        host.write_all(&bytes[..4]).expect("room");
        assert_eq!(look(), []);
        host.write_all(&bytes[4..]).expect("room");
        drop(host);
        assert_eq!(look(), [stop, Order::Kill], "the last words of a host count");
        assert!(!inbox.is_open());
    }

    #[test]
    fn nonsense_from_anybody_does_not_close_the_door_for_the_next() {
        let (mut anybody, ours) = UnixStream::pair().expect("a socket pair");
        ours.set_nonblocking(true).expect("a flag");
        let mut inbox = Inbox::new(From::Anybody);
        for nonsense in [&[b'p'; Order::LEN][..], b"part"] {
            anybody.write_all(nonsense).expect("room");
            assert_eq!(inbox.orders(|room| (&ours).read(room)), []);
        }
        anybody.write_all(&Order::Kill.to_bytes()).expect("room");
        assert_eq!(inbox.orders(|room| (&ours).read(room)), [Order::Kill]);
        assert!(inbox.is_open());
    }

    #[test]
    fn a_host_that_talks_nonsense_is_not_listened_to() {
        let (mut host, ours) = UnixStream::pair().expect("a socket pair");
        ours.set_nonblocking(true).expect("a flag");
        host.write_all(&[0; Order::LEN]).expect("room");
        let mut inbox = Inbox::new(From::Host);
        assert_eq!(inbox.orders(|room| (&ours).read(room)), []);
        assert!(!inbox.is_open());
    }
}
