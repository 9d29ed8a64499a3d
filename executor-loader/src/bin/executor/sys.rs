//! The calls of this command that no library offers: descriptors by number, and the rights that it was started with.
#![expect(unsafe_code, reason = "a descriptor that the caller names is a number until it is taken")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// `fcntl(F_SETFD, FD_CLOEXEC)`, then the descriptor `fd` is this process's own: it was passed by whoever started it.
///
/// To be called before this process opens anything itself: what is open by that number then is meant.
///
/// # Errors
///
/// `EBADF` when nothing is open by that number.
pub(crate) fn take(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD reads and writes the flags of a descriptor in the kernel; it takes a number and touches no memory.
    let set = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if set == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was open a moment ago and came with execve: nothing in this process holds it as its own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether `sigaction(2)` has `signal` ignored in this process, as nohup(1) and a shell's background leave it.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the call only writes the present one to `now`, which is large enough and lives on.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid value of the struct, so it is initialised whether the call wrote to it or not.
    let now = unsafe { now.assume_init() };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}

/// Whether this process has rights that whoever started it has not: then its environment is not to be believed.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn has_more_rights() -> bool {
    // SAFETY: getauxval(3) reads the vector that the kernel gave this process; an unknown key is answered with 0.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this process has rights that whoever started it has not: then its environment is not to be believed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn has_more_rights() -> bool {
    // SAFETY: issetugid(2) takes nothing, cannot fail and answers from the kernel's flag of this process.
    unsafe { libc::issetugid() != 0 }
}
