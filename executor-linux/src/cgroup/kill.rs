//! The end of everything in a task's groups: by the kernel at once where it can, else one by one until none is left.
//!
//! `cgroup.kill` leaves no gap for a child that is being forked. Where the kernel has none, the group is stopped first
//! where there is a freezer, and signalled process by process; each is held by a descriptor and looked for in the group
//! again before the signal, so that no process is hit that has only its number. Follows the kernel's cgroup-v2 and
//! freezer-subsystem documents.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::controller::Controller;
use super::dir::is_gone;
use super::error::{Failure, KillGroup, SetLimit};
use super::group::{Group, Groups};
use crate::sys::pidfd::{pidfd_open, pidfd_send_signal};

const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// A group that forks all the time can stay half stopped for ever, seen on Linux 6.18: it is signalled as it is then, and
/// again as long as somebody is left.
const LONGEST_FREEZE: Duration = Duration::from_millis(200);
const STATE: &str = "freezer.state";
/// So many processes are held at once, whatever number of descriptors the host may have.
const HELD_AT_ONCE: usize = 64;

impl Groups {
    /// Kills every process in the groups and in those below them, and returns once none is left, at most after
    /// `patience`. Groups without processes are no error, nor are those that were removed meanwhile.
    ///
    /// The group of version 2 takes no child at birth any more after this: the kernel kills it. Make new ones.
    ///
    /// # Errors
    ///
    /// `KillGroup` with the processes that remain, or with `EPERM`; `SetLimit`, `ReadGroup`.
    pub fn kill(&self, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let by_kernel = self.kill_by_kernel()?;
        match self.of(Controller::Freezer) {
            // It may have been stopped before, and what is stopped cannot die.
            Some(freezer) if by_kernel => unless_gone(freezer.dir().write(STATE, "THAWED"))?,
            Some(freezer) => self.kill_stopped(freezer, deadline.min(Instant::now() + LONGEST_FREEZE))?,
            None => {}
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.members()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.refuse("processes are still there", left, None));
            }
            // Whom the kernel kills needs some time and no second signal; one that is in no group of version 2 does.
            let is_patient = by_kernel && pause < LONGEST_PAUSE;
            if !is_patient {
                self.signal(&left)?;
            }
            sleep(pause);
            // Without a kill at once, whoever forks must not get ahead.
            pause = if by_kernel { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        }
    }

    /// Whether the kernel could be told to kill the whole group.
    fn kill_by_kernel(&self) -> Result<bool, Failure> {
        let Some(unified) = self.unified().filter(|group| group.dir().has("cgroup.kill")) else { return Ok(false) };
        unless_gone(unified.dir().write("cgroup.kill", "1"))?;
        Ok(true)
    }

    /// Signals everybody while nobody can fork. The signals take effect when the group goes on, at `latest` or before.
    fn kill_stopped(&self, freezer: &Group, latest: Instant) -> Result<(), Failure> {
        unless_gone(freezer.dir().write(STATE, "FROZEN"))?;
        let signalled = self.await_frozen(freezer, latest).and_then(|()| self.signal(&self.members()?));
        // Whatever went wrong.
        let thawed = unless_gone(freezer.dir().write(STATE, "THAWED"));
        signalled?;
        thawed
    }

    /// Waits until the whole group has stopped; one that cannot be stopped in time is signalled as it is.
    fn await_frozen(&self, freezer: &Group, latest: Instant) -> Result<(), Failure> {
        loop {
            let frozen = match freezer.dir().read(STATE) {
                Err(error) if is_gone(&error.source) => true,
                read => read? == "FROZEN",
            };
            if frozen || Instant::now() >= latest {
                return Ok(());
            }
            sleep(FIRST_PAUSE);
        }
    }

    /// Who is in any of the groups, each once.
    fn members(&self) -> Result<Vec<Pid>, Failure> {
        let mut found = Vec::new();
        for group in self.iter() {
            found.extend(group.dir().members()?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Sends `SIGKILL` to those of `processes` that are in the groups.
    fn signal(&self, processes: &[Pid]) -> Result<(), Failure> {
        for some in processes.chunks(HELD_AT_ONCE) {
            let mut held: Vec<(Pid, OwnedFd)> = Vec::new();
            // Zero stands for one that this process cannot name.
            for process in some.iter().filter(|process| process.as_raw() > 0) {
                match pidfd_open(*process) {
                    Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                    opened => held.push((*process, opened.map_err(|error| self.refused(*process, &error))?)),
                }
            }
            // Whoever has the number of a member now, and is held, is that member.
            let members = self.members()?;
            for (process, fd) in held.iter().filter(|(process, _)| members.contains(process)) {
                match pidfd_send_signal(fd.as_fd(), Signal::SIGKILL) {
                    Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                    sent => sent.map_err(|error| self.refused(*process, &error))?,
                }
            }
        }
        Ok(())
    }

    fn refused(&self, process: Pid, error: &std::io::Error) -> Failure {
        let errno = error.raw_os_error().map(Errno::from_raw);
        self.refuse("a process cannot be signalled", vec![process], errno)
    }

    fn refuse(&self, why: &str, pids: Vec<Pid>, errno: Option<Errno>) -> Failure {
        let group = self.iter().next().map(|group| group.dir().path().to_owned()).unwrap_or_default();
        KillGroup { group, why: why.to_owned(), pids, errno }.into()
    }
}

/// A group that was removed has nobody in it.
fn unless_gone(written: Result<(), SetLimit>) -> Result<(), Failure> {
    match written {
        Err(error) if is_gone(&error.source) => Ok(()),
        written => Ok(written?),
    }
}
