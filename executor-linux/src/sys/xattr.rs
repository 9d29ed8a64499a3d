//! Extended attributes of an open file.

#![expect(unsafe_code, reason = "a system call; the block says why it is sound")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// `fgetxattr(file, name, value)`: how many bytes of `value` were filled.
///
/// # Errors
///
/// `ENODATA` where the file has none of this name, and for `trusted.` names without `CAP_SYS_ADMIN`; `ERANGE` where
/// `value` is too small, `EOPNOTSUPP` where the file system has none, `EBADF` for a descriptor of `O_PATH`.
///
/// # References
///
/// - [fgetxattr(2)](https://man7.org/linux/man-pages/man2/fgetxattr.2.html)
pub(crate) fn fgetxattr(file: BorrowedFd<'_>, name: &CStr, value: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `name` ends with a zero and `value` is writable for its whole length; both are borrowed for the call, and
    // the kernel keeps neither.
    let filled = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    Ok(usize::try_from(Errno::result(filled)?).map_err(|_| Errno::EIO)?)
}
