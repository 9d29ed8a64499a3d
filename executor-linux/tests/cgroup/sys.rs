//! A child that enters its groups as a launcher's does: born in one, and by its own hand into the others.

#![expect(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::ffi::{CString, c_char};
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use executor_linux::cgroup::Entry;
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts this program with the words `inside` and `words`, in the groups of `entry`, its standard output on `output`.
///
/// # Errors
///
/// What clone3(2) says. A child that cannot enter ends with 126, one that cannot execute with 127.
///
/// # References
///
/// - [clone3(2)](https://man7.org/linux/man-pages/man2/clone3.2.html)
pub(crate) fn spawn(entry: &Entry<'_>, words: &[&str], output: &PipeWriter) -> io::Result<Pid> {
    let program = CString::new(std::env::current_exe()?.as_os_str().as_bytes())?;
    let mut args = vec![program.clone(), CString::new("inside")?];
    for word in words {
        args.push(CString::new(*word)?);
    }
    let mut argv: Vec<*const c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(ptr::null());
    let tasks: Vec<RawFd> = entry.tasks.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: all zeroes is a valid `clone_args`: no flags, no pointers.
    let mut clone: libc::clone_args = unsafe { std::mem::zeroed() };
    clone.exit_signal = libc::SIGCHLD as u64;
    if let Some(group) = &entry.unified {
        clone.flags = CLONE_INTO_CGROUP;
        clone.cgroup = u64::try_from(group.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    }
    // SAFETY: `clone` is valid for the call. Without CLONE_VM the child has a copy of this memory, and makes only system
    // calls on what was prepared above: it takes no lock, and allocates nothing.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size_of::<libc::clone_args>()) };
    if Errno::result(pid)? == 0 {
        become_inside(&program, &argv, &tasks, output.as_raw_fd());
    }
    Ok(Pid::from_raw(i32::try_from(pid).map_err(|_| Errno::EIO)?))
}

/// The child: enters, and executes.
fn become_inside(program: &CString, argv: &[*const c_char], tasks: &[RawFd], output: RawFd) -> ! {
    for file in tasks {
        // SAFETY: the byte is readable for the call.
        if unsafe { libc::write(*file, c"0".as_ptr().cast(), 1) } != 1 {
            // SAFETY: `_exit` may be called at any time.
            unsafe { libc::_exit(126) };
        }
    }
    // SAFETY: dup2(2) takes two numbers and touches no memory.
    unsafe { libc::dup2(output, 1) };
    let no_environment = [ptr::null::<c_char>()];
    // SAFETY: `program`, `argv` and the environment end with a zero, and live until the call replaces this process.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), no_environment.as_ptr()) };
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(127) }
}
