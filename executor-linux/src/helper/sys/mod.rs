//! The helper's system calls, without a C library: one function for each, no policy. The only place of the helper that
//! names the kernel's numbers.
//!
//! A descriptor is a plain number here: nothing is closed by going out of scope, since whoever has one is a process that
//! executes or exits. Errors are the kernel's own numbers.

mod arch;
mod files;
mod messages;
mod mounts;
mod process;
mod rights;

pub(crate) use files::*;
pub(crate) use messages::*;
pub(crate) use mounts::*;
pub(crate) use process::*;
pub(crate) use rights::*;

use arch::number;

/// What the kernel says is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const PERM: Self = Self(1);
    pub(crate) const NOENT: Self = Self(2);
    pub(crate) const INTR: Self = Self(4);
    pub(crate) const IO: Self = Self(5);
    pub(crate) const BADF: Self = Self(9);
    pub(crate) const CHILD: Self = Self(10);
    pub(crate) const AGAIN: Self = Self(11);
    pub(crate) const ACCES: Self = Self(13);
    pub(crate) const BUSY: Self = Self(16);
    pub(crate) const NODEV: Self = Self(19);
    pub(crate) const NOTDIR: Self = Self(20);
    pub(crate) const INVAL: Self = Self(22);
    pub(crate) const ROFS: Self = Self(30);
    pub(crate) const NOSYS: Self = Self(38);
    pub(crate) const TIMEDOUT: Self = Self(110);
    pub(crate) const STALE: Self = Self(116);
    pub(crate) const CANCELED: Self = Self(125);
}

/// What a system call answers.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// The number of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Fd(pub(crate) i32);

impl Fd {
    /// The working directory, where a call takes a directory.
    pub(crate) const HERE: Self = Self(-100);

    fn raw(self) -> usize {
        self.0.cast_unsigned() as usize
    }
}

/// Makes a system call whose answer is a number or an errno.
///
/// # Safety
///
/// As for [`arch::syscall`].
unsafe fn call<const N: usize>(number: usize, given: [usize; N]) -> Result<usize> {
    let mut args = [0; 6];
    args[..N].copy_from_slice(&given);
    // SAFETY: the caller vouches for the arguments; the ones that it does not give are zero and not looked at.
    let result = unsafe { arch::syscall(number, args) };
    match result {
        -4095..=-1 => Err(Errno((-result) as i32)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// Makes a system call that takes numbers alone.
fn plain<const N: usize>(number: usize, given: [usize; N]) -> Result<usize> {
    // SAFETY: the calls that go through here take no pointer: each of their arguments is a number or a descriptor, which
    // the kernel checks by itself.
    unsafe { call(number, given) }
}
