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
