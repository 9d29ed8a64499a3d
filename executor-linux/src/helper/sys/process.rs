//! Processes, their signals, their ids and their limits.

use core::ffi::CStr;

use super::{Errno, Fd, Result, arch, call, number, plain};

pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGCONT: i32 = 18;
pub(crate) const CLONE_NEWNS: u64 = 0x2_0000;
pub(crate) const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, as of Linux 5.7.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which of the two goes on after a fork.
pub(crate) enum Forked {
    Parent,
    Child,
}

/// `clone3(flags)`: a copy of this process, in new namespaces, that tells of its end by SIGCHLD.
///
/// Errors: `EPERM` without `CAP_SYS_ADMIN`, `EAGAIN`, `ENOMEM`, `ENOSPC` at the limit of namespaces. See clone(2).
pub(crate) fn fork_into(flags: u64) -> Result<Forked> {
    let args = CloneArgs { flags, exit_signal: SIGCHLD as u64, ..CloneArgs::default() };
    // SAFETY: `args` is a `struct clone_args` of the size that is given; the child has a copy of all memory, the stack
    // included, so both sides return from here.
    let pid = unsafe { call(number::CLONE3, [&raw const args as usize, size_of::<CloneArgs>()]) }?;
    Ok(if pid == 0 { Forked::Child } else { Forked::Parent })
}

/// Room for the stack of a child that shares this process's memory.
#[repr(C, align(16))]
pub(crate) struct Stack(pub(crate) [u8; 16 << 10]);

/// `clone3(CLONE_VM | CLONE_VFORK)`: calls `child(what)` in a child that shares all memory, and waits until it has
/// executed a program or exited. The child is born into the group `birth_group`, if there is one.
///
/// Errors: as for [`fork_into`]; `EBUSY` or `EOPNOTSUPP` for a group that takes no process. See clone(2).
pub(crate) fn spawn(
    stack: &'static mut Stack,
    birth_group: Option<Fd>,
    child: extern "C" fn(usize) -> !,
    what: usize,
) -> Result<i32> {
    let flags = CLONE_VM | CLONE_VFORK | birth_group.map_or(0, |_| CLONE_INTO_CGROUP);
    let cgroup = birth_group.map_or(0, |group| group.raw() as u64);
    let (at, stack_size) = (stack.0.as_mut_ptr() as u64, stack.0.len() as u64);
    let exit_signal = SIGCHLD as u64;
    let args = CloneArgs { flags, exit_signal, stack: at, stack_size, cgroup, ..CloneArgs::default() };
    // SAFETY: `args` is a `struct clone_args` of the size that is given. Its stack is static memory that is borrowed by
    // nobody else, and ends at a multiple of 16, as its beginning and its size are; this process waits as long as the child
    // uses it. `child` does not return, by its type.
    let pid = unsafe { arch::clone3_onto(&raw const args as usize, size_of::<CloneArgs>(), child, what) };
    if pid < 0 { Err(Errno((-pid) as i32)) } else { Ok(pid as i32) }
}

/// `exit_group(code)`. See exit_group(2).
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // It does not come back.
        _ = plain(number::EXIT_GROUP, [code.cast_unsigned() as usize]);
    }
}

/// `execve(path, args, env)`; comes back only with an error.
///
/// # Safety
///
/// `args` and `env` are addresses of arrays of pointers to C strings, ended by null.
///
/// Errors: `ENOENT`, `ENOTDIR`, `EACCES`, `ENOEXEC`, `E2BIG`, `ENOMEM`. See execve(2).
pub(crate) unsafe fn execute(path: &CStr, args: usize, env: usize) -> Errno {
    // SAFETY: `path` is a C string; the caller vouches for the two arrays. The kernel copies all of it.
    match unsafe { call(number::EXECVE, [path.as_ptr() as usize, args, env]) } {
        Err(errno) => errno,
        Ok(_) => Errno::NOSYS,
    }
}

/// A child that has ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    pub(crate) status: i32,
}

/// `wait4(any, WNOHANG | __WALL)`: reaps a child that has ended; none while all of them live.
///
/// Errors: `ECHILD` without children. See wait4(2).
pub(crate) fn reap() -> Result<Option<Ended>> {
    const WNOHANG_WALL: usize = 0x4000_0001;
    let mut status = 0_i32;
    let any = (-1_isize).cast_unsigned();
    // SAFETY: `status` is a writable int that outlives the call; no usage is asked for.
    let pid = unsafe { call(number::WAIT4, [any, &raw mut status as usize, WNOHANG_WALL, 0]) }?;
    Ok((pid != 0).then_some(Ended { pid: pid as i32, status }))
}

/// `kill(pid, signal)`; a negative number is a process group. Never -1, which walks every process of the machine.
///
/// Errors: `ESRCH`, `EPERM`, `EINVAL`. See kill(2).
pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    plain(number::KILL, [(pid as isize).cast_unsigned(), signal.cast_unsigned() as usize]).map(drop)
}

/// `pidfd_open(this process)`.
///
/// Errors: `EMFILE`, `ENOSYS` before Linux 5.3. See pidfd_open(2).
pub(crate) fn own_pidfd() -> Result<Fd> {
    let own = plain(number::GETPID, [])?;
    plain(number::PIDFD_OPEN, [own, 0]).map(|fd| Fd(fd as i32))
}

/// `rt_sigaction(signal, SIG_DFL or SIG_IGN)`.
///
/// Errors: `EINVAL` for SIGKILL and SIGSTOP, which have their default anyway. See rt_sigaction(2).
pub(crate) fn set_signal(signal: i32, ignored: bool) -> Result<()> {
    // The handler, and zeroes for flags, restorer and mask: longer than the kernel's structure on any machine.
    let action = [u64::from(ignored), 0, 0, 0, 0, 0];
    let args = [signal.cast_unsigned() as usize, action.as_ptr() as usize, 0, 8];
    // SAFETY: `action` is longer than a `struct sigaction` of the kernel, outlives the call, and names no code of ours.
    unsafe { call(number::RT_SIGACTION, args) }.map(drop)
}

/// The bit of a signal in a set.
pub(crate) const fn signal_bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// `rt_sigprocmask(SIG_SETMASK, set)`. See rt_sigprocmask(2).
///
/// Errors: none that could come of these arguments.
pub(crate) fn set_signal_mask(set: u64) -> Result<()> {
    const SIG_SETMASK: usize = 2;
    // SAFETY: `set` is eight readable bytes that outlive the call.
    unsafe { call(number::RT_SIGPROCMASK, [SIG_SETMASK, &raw const set as usize, 0, 8]) }.map(drop)
}

/// `signalfd4(set, SFD_NONBLOCK | SFD_CLOEXEC)`: readable when one of these blocked signals has come.
///
/// Errors: `EMFILE`. See signalfd(2).
pub(crate) fn signal_bell(set: u64) -> Result<Fd> {
    const NEW: usize = usize::MAX;
    const NONBLOCK_CLOEXEC: usize = 0o2_004_000;
    // SAFETY: `set` is eight readable bytes that outlive the call.
    let fd = unsafe { call(number::SIGNALFD4, [NEW, &raw const set as usize, 8, NONBLOCK_CLOEXEC]) }?;
    Ok(Fd(fd as i32))
}

/// `setsid()`.
///
/// Errors: `EPERM` for a leader of a group. See setsid(2).
pub(crate) fn lead_session() -> Result<()> {
    plain(number::SETSID, []).map(drop)
}

/// `umask(mask)`; cannot fail. See umask(2).
pub(crate) fn set_umask(mask: u64) {
    _ = plain(number::UMASK, [mask as usize & 0o777]);
}

/// `setpriority(PRIO_PROCESS, this process, nice)`.
///
/// Errors: `EACCES` to rise without `CAP_SYS_NICE`. See setpriority(2).
pub(crate) fn set_nice(nice: i64) -> Result<()> {
    plain(number::SETPRIORITY, [0, 0, (nice as isize).cast_unsigned()]).map(drop)
}

/// `sched_setscheduler(this process, SCHED_OTHER, 0)`.
///
/// Errors: `EPERM` from `SCHED_IDLE` at a niceness that may not be had. See sched_setscheduler(2).
pub(crate) fn schedule_normally() -> Result<()> {
    let priority = 0_i32;
    // SAFETY: `priority` is a `struct sched_param` that outlives the call.
    unsafe { call(number::SCHED_SETSCHEDULER, [0, 0, &raw const priority as usize]) }.map(drop)
}

/// `personality(PER_LINUX)`: addresses are randomised, and nothing is emulated, after the next execve.
///
/// Errors: none that could come of these arguments. See personality(2).
pub(crate) fn be_plain_linux() -> Result<()> {
    plain(number::PERSONALITY, [0]).map(drop)
}

/// `prlimit64(this process, resource, limit)`, and reads back that it holds.
///
/// Errors: `EPERM` above the hard limit, `EINVAL`; `EIO` where the kernel keeps another value. See prlimit(2).
pub(crate) fn limit(resource: u64, limit: [u64; 2]) -> Result<()> {
    let mut found = [0_u64; 2];
    let (wanted, read) = (limit.as_ptr() as usize, found.as_mut_ptr() as usize);
    // SAFETY: `limit` is a `struct rlimit64` that outlives the call.
    unsafe { call(number::PRLIMIT64, [0, resource as usize, wanted, 0]) }?;
    // SAFETY: `found` is a writable `struct rlimit64` that outlives the call.
    unsafe { call(number::PRLIMIT64, [0, resource as usize, 0, read]) }?;
    if found == limit { Ok(()) } else { Err(Errno::IO) }
}

/// `getrusage(RUSAGE_CHILDREN)`: milliseconds in user mode and in the kernel, of the children that were reaped.
///
/// Errors: none that could come of these arguments. See getrusage(2).
pub(crate) fn used_ms() -> Result<[u64; 2]> {
    let mut usage = [0_u64; 18];
    // SAFETY: `usage` is as long as a `struct rusage`, 144 bytes, and outlives the call.
    unsafe { call(number::GETRUSAGE, [usize::MAX, usage.as_mut_ptr() as usize]) }?;
    let [seconds, micros, kernel_seconds, kernel_micros, ..] = usage;
    Ok([seconds * 1000 + micros / 1000, kernel_seconds * 1000 + kernel_micros / 1000])
}

/// The clocks that are used.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// `CLOCK_REALTIME`, since 1970.
    Wall = 0,
    /// `CLOCK_MONOTONIC`, which no one sets.
    Steady = 1,
}

/// `clock_gettime(clock)` in milliseconds; cannot fail. See clock_gettime(2).
pub(crate) fn now_ms(clock: Clock) -> u64 {
    let mut time = [0_u64; 2];
    // SAFETY: `time` is a writable `struct timespec` that outlives the call.
    _ = unsafe { call(number::CLOCK_GETTIME, [clock as usize, time.as_mut_ptr() as usize]) };
    time[0] * 1000 + time[1] / 1_000_000
}
