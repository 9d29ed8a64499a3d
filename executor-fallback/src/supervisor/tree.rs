//! The processes of a task, and how they are ended.
//!
//! They are the main process's group and, on Linux, every descendant that was orphaned and so came to this process. A
//! child that is not reaped keeps its number, and so does a group whose leader is not reaped: no signal of this module
//! can hit a stranger. What cannot die is given up after a while, so the supervisor never hangs.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::{linux, sys};

/// How long one round waits for the killed: they tell of their end, but their orphans come to this process unannounced.
const ROUND_MS: u8 = 5;

/// Whether the main process has ended; it stays as it is.
pub(crate) fn has_ended(main: Pid) -> bool {
    // An error is ECHILD, and then there is nothing left to wait for.
    sys::ended(Some(main)).map_or(true, |ended| ended.is_some())
}

/// Whether the main process ends within `time`; it stays as it is.
pub(crate) fn has_ended_within(main: Pid, children: &UnixStream, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while !has_ended(main) {
        if Instant::now() >= deadline {
            return false;
        }
        rest(children);
    }
    true
}

/// Reaps the orphans that have ended, and tells whether the main process has, which stays as it is.
pub(crate) fn reap_orphans(main: Pid) -> bool {
    loop {
        match sys::ended(None) {
            Ok(Some(pid)) if pid == main => return true,
            Ok(Some(orphan)) if sys::reap(orphan).is_ok() => {}
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return has_ended(main),
        }
    }
}

/// Sends `signal` to the main process's group; `main` is not reaped yet.
pub(crate) fn signal_group(main: Pid, signal: i32) {
    // ESRCH and EPERM: nobody is left in it, or nobody who may be signalled by this user, which nothing can change.
    _ = sys::kill(-main.as_raw(), signal);
}

/// Kills every process that is found; `main` is not reaped yet.
pub(crate) fn kill(main: Pid) {
    signal_group(main, libc::SIGKILL);
    kill_children();
}

/// Kills and reaps the children that are left, and theirs as they come, for at most `time`; tells whether all are gone.
/// The main process is reaped already.
pub(crate) fn clear(children: &UnixStream, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if reap_all() {
            return true;
        }
        kill_children();
        if reap_all() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        rest(children);
    }
}

/// Waits until a child has ended, for one round at most.
fn rest(children: &UnixStream) {
    // However this ends, the next round looks for itself.
    _ = poll(&mut [PollFd::new(children.as_fd(), PollFlags::POLLIN)], PollTimeout::from(ROUND_MS));
    drain(children);
}

/// Forgets that children have ended: before they are looked for, or one that ends in between would be missed.
pub(crate) fn drain(mut children: &UnixStream) {
    let mut bytes = [0; 64];
    while children.read(&mut bytes).is_ok_and(|length| length > 0) {}
}

fn kill_children() {
    // Without /proc they cannot be found: WholeTree is no hard promise.
    linux::children().unwrap_or_default().into_iter().for_each(kill_own);
}

/// Kills a process that /proc says is a child of this one. Where /proc belongs to another pid namespace its numbers are
/// strangers': the kernel knows which are our own.
fn kill_own(child: Pid) {
    if sys::ended(Some(child)).is_ok() {
        // ESRCH and EPERM: as for the group.
        _ = sys::kill(child.as_raw(), libc::SIGKILL);
    }
}

/// Reaps every child that has ended; true when none is left.
fn reap_all() -> bool {
    loop {
        match sys::ended(None) {
            Ok(Some(child)) => _ = sys::reap(child),
            Ok(None) => return false,
            Err(error) => return error.raw_os_error() == Some(Errno::ECHILD as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// A number that a foreign /proc gives may be anybody's: here it is that of a process of this user which is no child of
    /// this one.
    #[test]
    fn a_stranger_with_the_number_of_a_child_is_not_killed() {
        let script = "sleep 1000 >/dev/null & echo $!; read go; kill -TERM $!; wait $!; echo $?";
        let mut parent = Command::new("/bin/sh");
        parent.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut parent = parent.spawn().expect("a shell");
        let mut said = BufReader::new(parent.stdout.take().expect("a pipe")).lines();
        let mut line = || said.next().expect("a line").expect("text");
        let stranger = Pid::from_raw(line().parse().expect("a number"));
        kill_own(stranger);
        drop(parent.stdin.take());
        assert_eq!(line(), format!("{}", 128 + libc::SIGTERM), "its parent ended it, and nobody before");
        parent.wait().expect("it is ours");
        let mut child = Command::new("sleep").arg("1000").spawn().expect("a child");
        kill_own(Pid::from_raw(child.id().cast_signed()));
        assert_eq!(child.wait().expect("it is ours").signal(), Some(libc::SIGKILL));
    }
}
