//! The one system call that these tests need and nix lacks.

#![expect(unsafe_code, reason = "a system call; the block says why it is sound")]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// Holds whoever opens or executes `file` from now on in the kernel, until `file` is closed or the system's patience is
/// over (`/proc/sys/fs/lease-break-time`, 45 s): a write lease, of whose breaking `owner` is told by `SIGIO`.
///
/// # Errors
///
/// `EAGAIN` where somebody else has the file open, `EINVAL` where the file system has no leases.
///
/// # References
///
/// - [fcntl(2), Leases](https://man7.org/linux/man-pages/man2/fcntl.2.html)
pub(crate) fn hold_up(file: &File, owner: Pid) -> nix::Result<()> {
    // SAFETY: fcntl(2) with this command takes a descriptor, borrowed for the call, and a number.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, owner.as_raw()) })?;
    // SAFETY: fcntl(2) with this command takes the same descriptor and a number, and keeps nothing of this process.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) }).map(drop)
}
