//! The child between fork and execve, first act to last.
//!
//! Everything it needs was allocated before the fork ([`Plan`]): here are only async-signal-safe calls. Each act is
//! checked, and the first that is refused ends the child: there is no task with half of its protection.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc::gid_t;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Pid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getegid, geteuid, getgid, getuid, seteuid, setgid,
    setsid, setuid,
};

use crate::failure::{At, Failure, Step};
use crate::rlimit::Limit;
use crate::sys::{self, Words};
use crate::{identity::Owner, linux, priority::Priority, rlimit};

/// Permission bits that new files of a task do not get, as the contract has it for a task that does not say.
const UMASK: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

/// All that the child needs, as the kernel takes it.
pub(crate) struct Plan {
    pub(crate) stdio: [OwnedFd; 3],
    /// None where the task keeps the host's user.
    pub(crate) owner: Option<Owner>,
    pub(crate) directory: CString,
    /// Where the program may be, in the order to try.
    pub(crate) candidates: Vec<CString>,
    pub(crate) args: Words,
    pub(crate) env: Words,
    pub(crate) supervisor: Pid,
    pub(crate) umask: Mode,
    pub(crate) priority: Priority,
    pub(crate) limits: Vec<Limit>,
    /// Room for the check of the groups.
    room: Vec<gid_t>,
}

impl Plan {
    pub(crate) fn new(stdio: [OwnedFd; 3], owner: Option<Owner>, supervisor: Pid) -> Self {
        let room = vec![0; sys::MOST_GROUPS];
        let (args, env) = (Words::new(Vec::new()), Words::new(Vec::new()));
        let (directory, candidates) = (CString::default(), Vec::new());
        let (umask, priority, limits) = (UMASK, Priority::default(), Vec::new());
        Self { stdio, owner, directory, candidates, args, env, supervisor, umask, priority, limits, room }
    }
}

/// What the child reports when nothing but execve is left to do.
pub(crate) const READY: u8 = b'x';

/// Becomes the task, or reports the step that was refused and ends.
pub(crate) fn run(mut plan: Plan, mut report: PipeWriter) -> ! {
    let Err(failure) = become_task(&mut plan, &mut report);
    // Without a report the supervisor sees an end of file where it expects that all is ready, or a task that has exited
    // with 127.
    _ = report.write_all(&failure.to_bytes());
    sys::leave()
}

fn become_task(plan: &mut Plan, report: &mut PipeWriter) -> Result<Infallible, Failure> {
    // The supervisor's own handler and the ignored SIGPIPE would survive, the latter even execve.
    sys::reset_signals();
    setsid().at(Step::Session)?;
    // Every other descriptor of the supervisor closes with execve.
    let [stdin, stdout, stderr] = &plan.stdio;
    dup2_stdin(stdin).at(Step::Streams)?;
    dup2_stdout(stdout).at(Step::Streams)?;
    dup2_stderr(stderr).at(Step::Streams)?;
    // Here a root host still has its rights, and the streams need no more descriptors, which a limit could refuse.
    plan.priority.impose()?;
    rlimit::impose(&plan.limits)?;
    if let Some(owner) = &plan.owner {
        // Each gives up the right to the one before.
        sys::set_groups(&owner.groups).at(Step::Groups)?;
        setgid(Gid::from_raw(owner.gid)).at(Step::Group)?;
        setuid(Uid::from_raw(owner.uid)).at(Step::User)?;
        prove_owner(owner, &mut plan.room).at(Step::Proof)?;
    }
    prove_no_way_back().at(Step::Proof)?;
    umask(plan.umask);
    // As the task's user: a directory that it may not enter is not entered for it.
    chdir(plan.directory.as_c_str()).at(Step::Directory)?;
    linux::restrict(plan.supervisor)?;
    report
        .write_all(&[READY])
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
        .at(Step::Execute)?;
    Err(execute(plan)).at(Step::Execute)
}

/// Checks that the ids are the owner's, all of them.
fn prove_owner(owner: &Owner, room: &mut [gid_t]) -> nix::Result<()> {
    let uid = [getuid(), geteuid()] == [Uid::from_raw(owner.uid); 2];
    let gid = [getgid(), getegid()] == [Gid::from_raw(owner.gid); 2];
    let groups = sys::groups(room)?.iter().all(|group| owner.groups.contains(group));
    if uid && gid && groups { Ok(()) } else { Err(Errno::EPERM) }
}

/// Checks that root is out of reach: by the saved id, or by a capability that the change of user left.
fn prove_no_way_back() -> nix::Result<()> {
    let root = Uid::from_raw(0);
    let back = setuid(root).is_ok() || seteuid(root).is_ok() || getuid().is_root() || geteuid().is_root();
    if back { Err(Errno::EPERM) } else { Ok(()) }
}

/// Executes the first candidate that can be, as execvp(3) does: a directory of PATH where the program is missing or may
/// not be executed does not end the search. Unlike there, a file of unknown format is not handed to a shell.
fn execute(plan: &Plan) -> Errno {
    let mut reason = Errno::ENOENT;
    for candidate in &plan.candidates {
        match sys::execute(candidate, &plan.args, &plan.env) {
            errno if plan.candidates.len() == 1 => return errno,
            Errno::EACCES => reason = Errno::EACCES,
            Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ESTALE | Errno::ETIMEDOUT => {}
            errno => return errno,
        }
    }
    reason
}
