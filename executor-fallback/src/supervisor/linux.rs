//! What only Linux has: orphans that come to the supervisor, no new privileges, a task that dies with its supervisor,
//! signals that the C library hides, a score for when memory runs out, a descriptor for another process's end.
//!
//! Other systems get the twin below, which does as much of it as POSIX can. `support.rs` states the difference.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{
    adopt_orphans, children, inherited, reset_reserved_signals, restrict, set_oom_score_adj, watch_process,
};
#[cfg(target_os = "linux")]
pub(crate) use here::{
    adopt_orphans, children, inherited, reset_reserved_signals, restrict, set_oom_score_adj, watch_process,
};

#[cfg(target_os = "linux")]
mod here {
    use std::fs;
    use std::io;
    use std::os::fd::{OwnedFd, RawFd};

    use nix::errno::Errno;
    use nix::fcntl::{OFlag, open};
    use nix::sys::prctl::{set_child_subreaper, set_no_new_privs, set_pdeathsig};
    use nix::sys::signal::Signal;
    use nix::sys::stat::Mode;
    use nix::unistd::{Pid, getpid, getppid, write};

    use crate::failure::{At, Failure, Step};
    use crate::sys;

    /// Makes this process the parent of every descendant whose own parent dies.
    pub(crate) fn adopt_orphans() -> io::Result<()> {
        Ok(set_child_subreaper(true)?)
    }

    /// The children of this process: the main process and the adopted ones, as long as /proc can be read.
    ///
    /// By parent and not from `/proc/self/task/*/children`, which kernels without `CONFIG_PROC_CHILDREN` lack.
    pub(crate) fn children() -> io::Result<Vec<Pid>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // A process that ends while it is looked at is none.
            let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
            if parent(&stat) == Some(getpid()) {
                children.push(Pid::from_raw(pid));
            }
        }
        Ok(children)
    }

    /// The parent in `/proc/PID/stat`: the second word after the name, which stands in brackets and may hold anything.
    pub(super) fn parent(stat: &[u8]) -> Option<Pid> {
        let after = stat.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(stat.get(after + 1..)?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
    }

    /// The descriptors above standard error that this process was started with.
    pub(crate) fn inherited() -> io::Result<Vec<RawFd>> {
        let names =
            fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        let numbers = names.iter().filter_map(|name| name.to_str()?.parse().ok());
        Ok(numbers.filter(|number| *number > 2).collect())
    }

    /// Gives the two signals that the C library keeps for itself their default dispositions: the posix_spawn of glibc
    /// ignores them for what it starts.
    pub(crate) fn reset_reserved_signals() {
        [32, 33].into_iter().for_each(sys::reset_reserved_signal);
    }

    /// Sets what is added to the badness of this process when memory runs out, to `score` in decimal.
    /// Async-signal-safe.
    ///
    /// # Errors
    ///
    /// `EACCES` below what this process was given by somebody with `CAP_SYS_RESOURCE`.
    pub(crate) fn set_oom_score_adj(score: &[u8]) -> nix::Result<()> {
        let file = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let written = write(&file, score)?;
        if written == score.len() { Ok(()) } else { Err(Errno::EIO) }
    }

    /// A descriptor that is readable once `process` has ended; none on a kernel that has none to give.
    pub(crate) fn watch_process(process: Pid) -> Option<OwnedFd> {
        sys::pidfd_open(process).ok()
    }

    /// In the child, after the change of user, which would undo the second: no new privileges, and no life after
    /// `supervisor`, without which nobody would end it.
    pub(crate) fn restrict(supervisor: Pid) -> Result<(), Failure> {
        set_no_new_privs().at(Step::Privileges)?;
        set_pdeathsig(Signal::SIGKILL).at(Step::Bond)?;
        if getppid() == supervisor { Ok(()) } else { Err(Errno::ESRCH).at(Step::Bond) }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::os::fd::{OwnedFd, RawFd};

    use nix::unistd::{Pid, SysconfVar, sysconf};

    use crate::failure::Failure;

    /// Orphans go to init.
    pub(crate) fn adopt_orphans() -> io::Result<()> {
        Ok(())
    }

    /// None but the main process, which its caller knows.
    pub(crate) fn children() -> io::Result<Vec<Pid>> {
        Ok(Vec::new())
    }

    /// Every number that a descriptor above standard error can have, open or not.
    pub(crate) fn inherited() -> io::Result<Vec<RawFd>> {
        let most = sysconf(SysconfVar::OPEN_MAX)?.and_then(|most| RawFd::try_from(most).ok());
        Ok((3..most.unwrap_or(65_536)).collect())
    }

    /// None is kept from signal(3).
    pub(crate) fn reset_reserved_signals() {}

    /// There is no score.
    pub(crate) fn set_oom_score_adj(_score: &[u8]) -> nix::Result<()> {
        Ok(())
    }

    /// Nothing wakes.
    pub(crate) fn watch_process(_process: Pid) -> Option<OwnedFd> {
        None
    }

    /// There is nothing to forbid.
    pub(crate) fn restrict(_supervisor: Pid) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::unistd::Pid;

    use super::here::parent;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent(b"17 (sh) S 4 17 17 0"), Some(Pid::from_raw(4)));
        assert_eq!(parent(b"17 (a) S 9 (b\xff) R 4 17"), Some(Pid::from_raw(4)));
        assert_eq!(parent(b""), None);
        assert_eq!(parent(b"17 (sh) S"), None);
    }
}
