//! The record of each task on disk, the same for every plugin: what lets another process find a task and its end.
//!
//! ```text
//! <state>/                 0700, this user's
//! <state>/tasks/<id>/      0700, put in place whole before the program is executed: the id is taken as long as it is there
//!     lock                 held by the supervisor as long as it watches the task; says by whom
//!     alive                a FIFO that the supervisor keeps open: its closing wakes whoever waits
//!     control              a FIFO that takes orders
//!     record.json          what the task is and who watches it
//!     outcome.json         how it ended, written into room that was taken before; blank until then
//! ```
//!
//! A task whose lock is free and that has no outcome is **lost**: its supervisor was killed, or the machine restarted.
//! That is never guessed from a process id: the kernel frees the lock with its holder, whatever became of the number.
//! Nobody signals a process that a record names; orders go through the FIFO to the supervisor, which knows its children.
//!
//! A record is made beside its place and renamed, and so is it removed: two who collect, or one who collects and one who
//! takes the id anew, never touch each other's. Whoever waits has all files open and is told the end even if the record is
//! collected meanwhile. Nothing is synced: after a restart of the machine every task is lost anyway. What is read is checked: no link is followed, the file belongs to this user and nobody else can write to it,
//! its size is bounded, its sum is right, its version is known; keys that are not known are ignored.
//!
//! # Examples
//!
//! ```
//! use executor_api::record::{Record, State, StateDir};
//! use executor_api::{Cause, Ended, Outcome, Usage};
//!
//! let place = tempfile::tempdir()?;
//! let state = StateDir::open(place.path().join("executor"))?;
//! let id = "fallback.build-7".parse()?;
//! // The supervisor's side:
//! let mut live = state.create(&id)?.commit(&Record::new(&id))?;
//! // Another process:
//! let found = state.find(&id)?;
//! assert!(matches!(found.state, State::Running(_)));
//! // The task ends:
//! live.end(&Outcome::new(Ended::Exited(0), Cause::Own), &Usage::default())?;
//! drop(live);
//! let State::Running(watch) = found.state else { unreachable!() };
//! assert!(watch.wait(None)?.is_some_and(|end| end.outcome.success()));
//! assert_eq!(state.collect(&id)?, ());
//! assert!(state.find(&id).is_err(), "the id is free again");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod collect;
mod dir;
mod file;
mod live;
#[cfg(test)]
mod tests;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::outcome::{Cause, Ended, Outcome};
use crate::support::Applied;
use crate::text::{unix_millis, words};
use crate::usage::Usage;

pub use collect::Collected;
pub use dir::StateDir;
pub use live::{Draft, Live};
pub use watch::Watch;

/// The version of the layout that this crate reads and writes.
///
/// Example: [record](self#examples).
pub const VERSION: u32 = 1;

/// What a task is, and who watches it.
///
/// Example: [record](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The version of the layout.
    pub version: u32,
    /// The task.
    pub id: TaskId,
    /// When the record was made.
    #[serde(default, rename = "created_unix_ms", with = "unix_millis")]
    pub created: Option<SystemTime>,
    /// The command as it was executed, program first.
    #[serde(default, with = "words")]
    pub command: Vec<OsString>,
    /// The task spec, as the plugin's version wrote it.
    #[serde(default)]
    pub spec: serde_json::Value,
    /// The limits, as the plugin's version wrote them.
    #[serde(default)]
    pub resources: serde_json::Value,
    /// What the task got of what it demanded.
    #[serde(default)]
    pub applied: Applied,
    /// The process that watches the task; for people, and never signalled by number.
    #[serde(default)]
    pub supervisor: Process,
    /// Resource groups that were made for the task, to be removed when it is collected.
    #[serde(default, with = "words")]
    pub groups: Vec<PathBuf>,
}

impl Record {
    /// The record of the task `id`, watched by this process, with nothing else in it yet.
    ///
    /// Example: [record](self#examples).
    #[must_use]
    pub fn new(id: &TaskId) -> Self {
        Self {
            version: VERSION,
            id: id.clone(),
            created: Some(SystemTime::now()),
            command: Vec::new(),
            spec: serde_json::Value::Null,
            resources: serde_json::Value::Null,
            applied: Applied::default(),
            supervisor: Process::current(),
            groups: Vec::new(),
        }
    }
}

/// A process that is meant, and not whoever has its number later.
///
/// Example: [record](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the machine was; absent where the system does not tell.
    pub start_time: Option<u64>,
    /// Which run of the machine it belongs to; absent where the system does not tell.
    pub boot_id: Option<String>,
}

impl Process {
    /// This process.
    ///
    /// Example: [record](self#examples).
    #[must_use]
    pub fn current() -> Self {
        Self { pid: std::process::id(), start_time: start_time("self"), boot_id: boot_id() }
    }

    /// Whether the process is still there, as far as the system tells.
    ///
    /// Example: [record](self#examples).
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.start_time.is_some() && self.boot_id == boot_id() && start_time(&self.pid.to_string()) == self.start_time
    }
}

/// Field 22 of `/proc/<pid>/stat`, behind the name, which stands in brackets and may hold anything.
fn start_time(pid: &str) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(after + 1..)?).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// How a task ended, as it was recorded.
///
/// Example: [record](self#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct End {
    /// The version of the layout.
    pub version: u32,
    /// How and why it ended.
    pub outcome: Outcome,
    /// What it used in all.
    #[serde(default)]
    pub usage: Usage,
}

impl End {
    fn new(outcome: &Outcome, usage: &Usage) -> Self {
        Self { version: VERSION, outcome: *outcome, usage: *usage }
    }

    /// The end of a task whose supervisor is gone: nobody saw it.
    fn lost() -> Self {
        Self::new(&Outcome::new(Ended::Unknown, Cause::Lost), &Usage::default())
    }
}

/// A task that was found.
///
/// Example: [record](self#examples).
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// What it is.
    pub record: Record,
    /// Whether it runs.
    pub state: State,
}

/// Whether a task runs.
///
/// Example: [record](self#examples).
#[derive(Debug)]
#[non_exhaustive]
pub enum State {
    /// Its supervisor watches it.
    Running(Watch),
    /// It has ended, seen or unseen.
    Ended(End),
}
