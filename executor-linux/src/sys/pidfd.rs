//! A process held by a descriptor: it is that process or none, whoever has its number later.

#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// `pidfd_open(process, 0)`: a descriptor of the process that has this number now; it closes with execve.
///
/// # Errors
///
/// `ESRCH` where there is none, `EINVAL` for a number that is none, `ENOSYS` before Linux 5.3, `EMFILE`.
///
/// # References
///
/// - [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html)
pub(crate) fn pidfd_open(process: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two numbers and touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made `fd` for this process, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_send_signal(process, signal, NULL, 0)`: to that process and to nobody else.
///
/// # Errors
///
/// `ESRCH` once it has ended and was reaped, `EPERM` without the right, `ENOSYS` before Linux 5.1.
///
/// # References
///
/// - [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html)
pub(crate) fn pidfd_send_signal(process: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let no_siginfo = ptr::null::<libc::siginfo_t>();
    let (fd, signal) = (process.as_raw_fd(), signal as libc::c_int);
    // SAFETY: `process` is borrowed for the call, and without a siginfo the kernel reads no memory of ours.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_siginfo, 0) };
    Ok(Errno::result(sent).map(drop)?)
}
