//! Messages with descriptors beside them, and waiting for them.

use super::{Errno, Fd, Result, call, number};
use crate::wire::MOST_BESIDE;

const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
/// `MSG_TRUNC | MSG_CTRUNC`.
const CUT: i32 = 0x20 | 0x08;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

pub(crate) const POLLIN: i16 = 0x1;

/// `struct iovec`.
#[repr(C)]
struct Part {
    at: usize,
    length: usize,
}

/// `struct msghdr`.
#[repr(C)]
struct Message {
    name: usize,
    name_length: u32,
    parts: usize,
    part_count: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

/// `struct cmsghdr` and the descriptors behind it.
#[repr(C)]
struct Rights {
    length: usize,
    level: i32,
    kind: i32,
    fds: [Fd; MOST_BESIDE],
}

const RIGHTS_HEAD: usize = 16;

impl Rights {
    const fn none() -> Self {
        Self { length: 0, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [Fd(-1); MOST_BESIDE] }
    }
}

/// `sendmsg(socket, bytes, SCM_RIGHTS)`, without a signal where nobody listens.
///
/// Errors: `EPIPE` or `ECONNRESET` where nobody listens, `EAGAIN`. See sendmsg(2), unix(7).
pub(crate) fn send(socket: Fd, bytes: &[u8], beside: Option<Fd>) -> Result<()> {
    let part = Part { at: bytes.as_ptr() as usize, length: bytes.len() };
    let mut rights = Rights::none();
    (rights.length, rights.fds[0]) = (RIGHTS_HEAD + size_of::<Fd>(), beside.unwrap_or(Fd(-1)));
    // The kernel wants the room of the head and of eight bytes, for one descriptor.
    let (control, control_length) =
        if beside.is_some() { (&raw const rights as usize, RIGHTS_HEAD + 8) } else { (0, 0) };
    let parts = &raw const part as usize;
    let message = Message { name: 0, name_length: 0, parts, part_count: 1, control, control_length, flags: 0 };
    // SAFETY: `message` names `part`, which names `bytes`, and `rights` with room for what its length says; all of them
    // outlive the call, and the kernel only reads them.
    unsafe { call(number::SENDMSG, [socket.raw(), &raw const message as usize, MSG_NOSIGNAL | MSG_DONTWAIT]) }.map(drop)
}

/// What a message was: its bytes, and how many descriptors came beside it.
#[derive(Clone, Copy)]
pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) beside: usize,
}

/// `recvmsg(socket)`: one message, its bytes into `room` and its descriptors, which close with execve, into `fds`.
/// Nothing at the end of the socket.
///
/// Errors: `EAGAIN` where `waits` is not set and nothing has come; `EINVAL` for a message that is longer than the room,
/// or has other things beside it. See recvmsg(2).
pub(crate) fn receive(socket: Fd, room: &mut [u8], fds: &mut [Fd], waits: bool) -> Result<Received> {
    let part = Part { at: room.as_mut_ptr() as usize, length: room.len() };
    let mut rights = Rights::none();
    let most = fds.len().min(MOST_BESIDE);
    let (parts, control) = (&raw const part as usize, &raw mut rights as usize);
    let control_length = RIGHTS_HEAD + most * size_of::<Fd>();
    let mut message = Message { name: 0, name_length: 0, parts, part_count: 1, control, control_length, flags: 0 };
    let flags = MSG_CMSG_CLOEXEC | if waits { 0 } else { MSG_DONTWAIT };
    let length = loop {
        // SAFETY: `message` names `part`, which names `room`, and `rights` with room for `most` descriptors; all of them
        // are writable and outlive the call.
        match unsafe { call(number::RECVMSG, [socket.raw(), &raw mut message as usize, flags]) } {
            Err(Errno::INTR) => {}
            answer => break answer?,
        }
    };
    let held = if message.control_length < RIGHTS_HEAD { 0 } else { (rights.length - RIGHTS_HEAD) / size_of::<Fd>() };
    let beside = held.min(most);
    fds[..beside].copy_from_slice(&rights.fds[..beside]);
    if message.flags & CUT != 0 {
        return Err(Errno::INVAL);
    }
    Ok(Received { length, beside })
}

/// `struct pollfd`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Source {
    pub(crate) fd: Fd,
    pub(crate) wanted: i16,
    pub(crate) found: i16,
}

impl Source {
    /// Wakes when `fd` has something; a negative one never does.
    pub(crate) fn new(fd: Fd) -> Self {
        Self { fd, wanted: POLLIN, found: 0 }
    }

    /// Whether there is something to read, or nothing more to come.
    pub(crate) fn is_ready(&self) -> bool {
        self.found != 0
    }
}

/// `ppoll(sources, milliseconds)`: waits until one is ready; for ever where there is no time given. May wake early.
///
/// Errors: `EINTR`. See ppoll(2).
pub(crate) fn poll(sources: &mut [Source], milliseconds: Option<u64>) -> Result<()> {
    let time = milliseconds.map(|time| [time / 1000, time % 1000 * 1_000_000]);
    let time_at = time.as_ref().map_or(0, |time| time.as_ptr() as usize);
    let sources_at = sources.as_mut_ptr() as usize;
    // SAFETY: `sources` is an array of `struct pollfd` of the length that is given, `time` a `struct timespec` or null;
    // both are borrowed for the call.
    unsafe { call(number::PPOLL, [sources_at, sources.len(), time_at, 0, 8]) }.map(drop)
}
