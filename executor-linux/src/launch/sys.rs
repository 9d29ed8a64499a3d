//! The system calls that nix lacks: one function for each, no policy.

#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// Takes over a descriptor that a system call has just made.
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made `fd` for this process in the call that the caller has just made, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn made(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    Ok(own(RawFd::try_from(fd).map_err(|_| Errno::EBADF)?))
}

/// `pidfd_open(this process, 0)`.
///
/// # Errors
///
/// `EMFILE`; `ENOSYS` before Linux 5.3.
///
/// # References
///
/// - [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html)
pub(super) fn own_pidfd() -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two numbers and touches no memory.
    made(unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) })
}

/// `pidfd_send_signal(process, SIGKILL)`.
///
/// # Errors
///
/// `ESRCH` when it has ended.
///
/// # References
///
/// - [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html)
pub(super) fn kill(process: BorrowedFd<'_>) -> io::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the call takes numbers and a null pointer, for which the kernel makes up what it needs.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, nothing, 0) };
    Ok(Errno::result(result).map(drop)?)
}

/// `open_tree(path, OPEN_TREE_CLONE | AT_RECURSIVE)`: a copy of the mounts at a path and below it, attached nowhere.
///
/// # Errors
///
/// `ENOENT`; `EPERM` without `CAP_SYS_ADMIN`; `ENOSYS` before Linux 5.2.
///
/// # References
///
/// - [open_tree(2)](https://man7.org/linux/man-pages/man2/open_tree.2.html)
pub(super) fn copy_tree(path: &CStr) -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    const AT_RECURSIVE: libc::c_uint = 0x8000;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | AT_RECURSIVE;
    // SAFETY: `path` is a C string that is borrowed for the call, and the kernel copies it.
    made(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// What a mount lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// Whatever the filesystem lets through.
    Allowed,
    /// Nothing is written.
    Refused,
}

/// `mount_setattr(tree, AT_RECURSIVE)`: no set-uid programs, no devices, nothing passed on to or from other mounts, and
/// perhaps no writing, in the whole of a tree.
///
/// # Errors
///
/// `EINVAL` for what is no mount; `ENOSYS` before Linux 5.12.
///
/// # References
///
/// - [mount_setattr(2)](https://man7.org/linux/man-pages/man2/mount_setattr.2.html)
pub(super) fn restrict(tree: &impl AsFd, writes: Writes) -> io::Result<()> {
    const READ_ONLY: u64 = 1;
    const NO_SUID_NO_DEVICES: u64 = 2 | 4;
    let set = NO_SUID_NO_DEVICES | if writes == Writes::Refused { READ_ONLY } else { 0 };
    // `struct mount_attr`: set, clear, propagation, user namespace.
    let attributes = [set, 0, libc::MS_PRIVATE, 0];
    let flags = libc::AT_EMPTY_PATH | 0x8000;
    let (at, size) = (attributes.as_ptr(), size_of_val(&attributes));
    let tree = tree.as_fd().as_raw_fd();
    // SAFETY: the path is a constant; `attributes` is a `struct mount_attr` of the size that is given, and the kernel
    // copies it.
    let result = unsafe { libc::syscall(libc::SYS_mount_setattr, tree, c"".as_ptr(), flags, at, size) };
    Ok(Errno::result(result).map(drop)?)
}
