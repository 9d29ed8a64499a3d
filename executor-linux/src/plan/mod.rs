//! What is done for a task, as data: pure, without IO and without a clock, so the same input makes the same plan.
//!
//! `order` is the page that decides what comes after what; `limits` and `program` turn documents into the kernel's
//! numbers and words. The plan reads what the host can do from [`Support`] and never asks the host. What it cannot carry
//! out it refuses: nothing that a spec names is left out in silence.

mod limits;
mod order;
pub(crate) mod program;
mod step;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_api::isolation::{Network, Scope, Syscalls, Users};
use executor_api::units::Signal;
use executor_api::{Error, ErrorKind, Resources, Result, TaskSpec};

pub use step::{Figure, Limit, Namespace, Program, Rank, Reading, Step};

/// What the host can do, as far as the plan depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// Whether the kernel has IPC namespaces.
    pub ipc: bool,
    /// Whether the kernel has hostname namespaces.
    pub hostname: bool,
}

/// The user, group and groups that a task is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user; never 0.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// All that setgroups(2) is given.
    pub groups: Vec<u32>,
}

/// The groups of a task, by number; their descriptors come when they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// How many `tasks` files the child enters by.
    pub tasks: usize,
    /// Whether there is a cgroup2 directory that the child is born into.
    pub birth: bool,
    /// Whether there is a `cgroup.kill`.
    pub kill: bool,
    /// What is read at the end.
    pub readings: Vec<Reading>,
    /// The names of the groups, each in a parent of its own, in the order to remove them.
    pub names: Vec<OsString>,
}

impl Groups {
    /// How many files are read at the end.
    pub(crate) fn files(&self) -> usize {
        self.readings.iter().map(|reading| reading.file + 1).max().unwrap_or(0)
    }

    /// How many descriptors come late.
    pub(crate) fn descriptors(&self) -> usize {
        self.tasks + usize::from(self.birth) + usize::from(self.kill) + self.files() + self.names.len()
    }
}

/// What is asked for, and what was found out about it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The task.
    pub spec: &'a TaskSpec,
    /// Its limits.
    pub resources: &'a Resources,
    /// As whom it runs.
    pub owner: &'a Owner,
    /// Where the trees that are bound into its root appear.
    pub binds: &'a [PathBuf],
    /// Its working directory where the spec names none.
    pub directory: &'a Path,
    /// Its groups.
    pub groups: &'a Groups,
}

/// What is done for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The supervisor's acts, first to last, before there is a child.
    pub supervisor: Vec<Step>,
    /// The child's acts; the last executes the program.
    pub child: Vec<Step>,
    /// What is done when the main process has ended.
    pub end: Vec<Step>,
    /// What asks the task to end.
    pub stop_signal: Signal,
    /// How long it may run.
    pub wall_time: Option<Duration>,
    /// How long it has after that.
    pub grace: Option<Duration>,
    /// Whether it ends with its host.
    pub die_with_host: bool,
    /// How many trees are bound into its root.
    pub(crate) binds: usize,
    pub(crate) groups: Groups,
}

/// Plans a task.
///
/// # Errors
///
/// `InvalidSpec` for a program that is neither absolute nor a bare name; `Unsupported` for isolation that no step of this
/// version makes, and for rlimits that Linux does not have; `Denied` for the
/// host's root and for the user of supervisors.
pub fn plan(request: &Request<'_>, support: &Support) -> Result<Plan> {
    let spec = request.spec;
    refuse_what_has_no_step(spec, support)?;
    if let Some(bind) = spec.isolation.binds.iter().find(|bind| !request.binds.contains(&bind.target)) {
        let what = format!("bind {} at {}", bind.source.display(), bind.target.display());
        return Err(Error::new(ErrorKind::Internal, what, "no tree was prepared for it"));
    }
    refuse_user(request.owner.uid)?;
    Ok(Plan {
        supervisor: order::supervisor_steps(request, support),
        child: order::child_steps(request)?,
        end: order::end_steps(request.groups),
        stop_signal: spec.stop_signal.unwrap_or(Signal::TERM),
        wall_time: request.resources.wall_time,
        grace: spec.grace,
        die_with_host: spec.die_with_host,
        binds: request.binds.len(),
        groups: request.groups.clone(),
    })
}

/// The user that supervisors have as their real one: whoever has it can limit and signal them.
const SUPERVISOR: u32 = 65533;

fn refuse_user(uid: u32) -> Result<()> {
    let why = match uid {
        0 => "the host's root never becomes the task's",
        SUPERVISOR => "the supervisors of all tasks have it",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Denied, format!("run the task as user {uid}"), why).with_fix("name another user"))
}

/// Refuses what the spec names and no step makes: a task with less isolation than was asked for does not run.
fn refuse_what_has_no_step(spec: &TaskSpec, support: &Support) -> Result<()> {
    let asked = &spec.isolation;
    let refused = [
        ("show the host's processes to the task", asked.processes == Scope::Host),
        ("give the task a hostname", asked.hostname.is_some() && !support.hostname),
        ("give the task a network of its own", asked.network != Network::Host),
        ("let the task keep capabilities", !asked.capabilities.is_empty()),
        ("change the task's filter of system calls", asked.syscalls != Syscalls::Default),
        ("give the task user ids of its own", asked.users != Users::Host),
        ("mount temporary filesystems for the task", !asked.tmpfs.is_empty()),
        ("give the task devices", !asked.devices.is_empty()),
    ];
    match refused.into_iter().find(|(_, refused)| *refused) {
        Some((what, _)) => Err(Error::new(ErrorKind::Unsupported, what, "this version of the Linux plugin cannot")),
        None => Ok(()),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = 0;
        for (part, steps) in [("supervisor", &self.supervisor), ("child", &self.child), ("end", &self.end)] {
            writeln!(f, "{part}:")?;
            for step in steps {
                writeln!(f, "  {number:2} {step}")?;
                number += 1;
            }
        }
        Ok(())
    }
}
