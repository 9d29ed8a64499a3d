//! The system calls that nix lacks, or has in a form that cannot be used here: one function for each, no policy.
//!
//! nix's `wait` refuses a process that a real-time signal ended, its `kill` cannot send one, and its `execve` allocates.
//! It has neither `setgroups` nor `getgrouplist` on every Unix. This is the only file of the crate with `unsafe` in it.

#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, gid_t, pid_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::unistd::{ForkResult, Gid, Pid, fork};

use crate::linux;

/// The highest signal number of any Unix.
const LAST_SIGNAL: c_int = 127;

/// The most supplementary groups that a process can have on any Unix.
pub(crate) const MOST_GROUPS: usize = 65_536;

/// Takes over a descriptor that a system call has just made.
pub(crate) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made `fd` for this process in the call that the caller has just made, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives every signal its default disposition and unblocks all of them. Async-signal-safe.
pub(crate) fn reset_signals() {
    for number in 1..=LAST_SIGNAL {
        // SAFETY: SIG_DFL is a valid disposition and no code of ours; numbers that are no signal, or that the C library
        // keeps for itself, are refused by it.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    linux::reset_reserved_signals();
    // Cannot fail: the set and the way to use it are valid.
    _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// `rt_sigaction(number, default)`, past the C library, which refuses the signals that it keeps for itself.
///
/// # References
///
/// - [rt_sigaction(2)](https://man7.org/linux/man-pages/man2/rt_sigaction.2.html)
#[cfg(target_os = "linux")]
pub(crate) fn reset_reserved_signal(number: c_int) {
    // All zeroes, in the kernel's own layout, is SIG_DFL without flags and with an empty mask.
    let default = [0u64; 8];
    let (unwanted, set_len) = (ptr::null::<u64>(), size_of::<u64>());
    // SAFETY: `default` is longer than the kernel's structure on any architecture and outlives the call.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), unwanted, set_len) };
}

/// `pidfd_open(process, 0)`: a descriptor that is readable once the process has ended, and closes with execve.
///
/// # Errors
///
/// `ENOSYS` before Linux 5.3, and what a filter of system calls answers in its place; `ESRCH` where there is none.
///
/// # References
///
/// - [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html)
#[cfg(target_os = "linux")]
pub(crate) fn pidfd_open(process: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two numbers and touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) })?;
    Ok(own(RawFd::try_from(fd).map_err(|_| Errno::EBADF)?))
}

/// Lets writes to a closed socket fail instead of ending this process.
pub(crate) fn ignore_broken_pipes() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring runs no code, so nothing can interrupt other code unsafely.
    _ = unsafe { sigaction(Signal::SIGPIPE, &ignore) };
}

/// Forks; the child runs `child` and ends.
pub(crate) fn fork_into(child: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: this process has one thread, so the child inherits no lock that nobody can release.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            child();
            leave()
        }
    }
}

/// Ends the child at once: no destructors, no buffers of the parent's.
pub(crate) fn leave() -> ! {
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(127) }
}

/// Sends a signal by number, real-time ones too; zero only asks. A negative `pid` is a process group.
pub(crate) fn kill(pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: kill(2) takes two numbers and touches no memory.
    Ok(Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)?)
}

/// A child that has ended and is not reaped yet; stays so. With `of`, that child or none.
pub(crate) fn ended(of: Option<Pid>) -> io::Result<Option<Pid>> {
    let (kind, id) = match of {
        Some(pid) => (libc::P_PID, pid.as_raw().unsigned_abs() as libc::id_t),
        None => (libc::P_ALL, 0),
    };
    let mut found = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `found` is writable memory of the type that the kernel fills, and lives as long as the call.
    Errno::result(unsafe { libc::waitid(kind, id, found.as_mut_ptr(), options) })?;
    // SAFETY: all zeroes is a valid `siginfo_t`, and the kernel may have filled it since.
    let found = unsafe { found.assume_init() };
    // SAFETY: waitid fills the fields of SIGCHLD or none; untouched ones are zero.
    let pid = unsafe { found.si_pid() };
    Ok((pid != 0).then_some(Pid::from_raw(pid)))
}

/// Reaps the child `pid`; waits until it has ended.
pub(crate) fn reap(pid: Pid) -> io::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a writable int and lives as long as the call.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut status, 0) }) {
            Err(Errno::EINTR) => {}
            reaped => return Ok(reaped.map(|_| ExitStatus::from_raw(status))?),
        }
    }
}

/// `setpriority(PRIO_PROCESS, this process, nice)`. Async-signal-safe.
///
/// # Errors
///
/// `EACCES` when it would rise and has no right to.
pub(crate) fn set_nice(nice: c_int) -> nix::Result<()> {
    // SAFETY: setpriority(2) takes three numbers and touches no memory; 0 is this process.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
}

/// The groups that the host's database gives the user `name`, with `own` among them.
pub(crate) fn groups_of(name: &CStr, own: gid_t) -> io::Result<Vec<gid_t>> {
    let mut groups: Vec<gid_t> = vec![0; 64];
    while groups.len() <= MOST_GROUPS {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: `name` is a C string, `groups` has room for `count` ids, and both outlive the call. macOS declares ids
        // as int of the same size.
        let fits = unsafe { libc::getgrouplist(name.as_ptr(), own as _, groups.as_mut_ptr().cast(), &raw mut count) };
        let wanted = usize::try_from(count).unwrap_or(0);
        if fits >= 0 {
            groups.truncate(wanted);
            return Ok(groups);
        }
        // Not every Unix says how many there are.
        groups.resize(wanted.max(groups.len() * 2), 0);
    }
    Err(Errno::EINVAL.into())
}

/// Replaces the supplementary groups of this process. Async-signal-safe in a process with one thread.
pub(crate) fn set_groups(groups: &[gid_t]) -> nix::Result<()> {
    let count = u16::try_from(groups.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `groups` holds `count` ids and is borrowed for the call; the kernel copies them.
    Errno::result(unsafe { libc::setgroups(count.into(), groups.as_ptr()) }).map(drop)
}

/// The supplementary groups of this process, in `room`; `EINVAL` when it is too small. Async-signal-safe.
pub(crate) fn groups(room: &mut [gid_t]) -> nix::Result<&[gid_t]> {
    let count = c_int::try_from(room.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `room` has space for `count` ids and is borrowed for the call.
    let found = Errno::result(unsafe { libc::getgroups(count, room.as_mut_ptr()) })?;
    Ok(usize::try_from(found).ok().and_then(|found| room.get(..found)).unwrap_or_default())
}

/// Words for execve(2): C strings and the array of pointers to them, made ahead.
pub(crate) struct Words {
    pointers: Vec<*const c_char>,
    /// What the pointers point to; never changed.
    _words: Vec<CString>,
}

impl Words {
    pub(crate) fn new(words: Vec<CString>) -> Self {
        let pointers = words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _words: words }
    }
}

/// Executes `program`; returns only the reason why not. Async-signal-safe.
pub(crate) fn execute(program: &CStr, args: &Words, env: &Words) -> Errno {
    // SAFETY: `program` is a C string; both arrays end with a null pointer, and the strings that they point to are owned
    // beside them, whose heap memory does not move with the vector.
    unsafe { libc::execve(program.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    Errno::last()
}

/// The number of a group for the calls of this module.
pub(crate) fn number(gid: Gid) -> gid_t {
    gid.as_raw()
}
