//! The directory of all records: makes, finds and lists them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid, getgid, getuid};

use super::file::{Dir, check_owner, failed};
use super::live::Draft;
use super::watch::Watch;
use super::{Found, Record, State};
use crate::error::{Error, ErrorKind, Result};
use crate::id::TaskId;

/// The directory that holds the records of one user's tasks.
///
/// Example: [record](super#examples).
#[derive(Clone, Debug)]
pub struct StateDir {
    pub(super) tasks: PathBuf,
}

impl StateDir {
    /// Where records are kept unless a host chooses: `$EXECUTOR_STATE_DIR`, else `/run/executor` for root on Linux,
    /// `/var/run/executor` for root elsewhere, `$XDG_RUNTIME_DIR/executor` for others. A process with more rights than
    /// whoever started it does not look at its environment.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Unsupported` for a user without a session directory: a shared one such as `/tmp` is never used.
    pub fn default_path() -> Result<PathBuf> {
        let own = (getuid(), getgid()) == (geteuid(), getegid());
        let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir: &PathBuf| own && dir.is_absolute());
        if let Some(dir) = named("EXECUTOR_STATE_DIR") {
            return Ok(dir);
        }
        if geteuid().is_root() {
            return Ok(if cfg!(target_os = "linux") { "/run/executor" } else { "/var/run/executor" }.into());
        }
        named("XDG_RUNTIME_DIR").map(|dir| dir.join("executor")).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "find a place for records", "XDG_RUNTIME_DIR is not set")
                .with_fix("set it, or name a directory of your own in EXECUTOR_STATE_DIR")
        })
    }

    /// Opens the records in `path`, and makes the directory if its parent is there.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a relative path, or one whose parent is not there; `Denied` for a directory of another user, or one that others have rights on;
    /// what mkdir(2) says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        crate::isolation::absolute(&path)?;
        for dir in [&path, &path.join("tasks")] {
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Not found is what hosts are told of tasks and programs.
                    return Err(failed("make", dir)(error)
                        .with_kind(ErrorKind::InvalidSpec)
                        .with_fix("make its parent"));
                }
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", dir)(error)),
                _ => check_dir(dir)?,
            }
        }
        Ok(Self { tasks: path.join("tasks") })
    }

    /// The directory of the task `id`.
    pub(super) fn dir(&self, id: &TaskId) -> PathBuf {
        self.tasks.join(id.to_string())
    }

    /// Begins the record of a new task; its id is taken when the record is committed.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What mkdir(2) and mkfifo(3) say.
    pub fn create(&self, id: &TaskId) -> Result<Draft> {
        Draft::begin(self.dir(id), id)
    }

    /// Finds the task `id`.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none, or its record is only being made; `Internal` for a record that is damaged; `Denied`
    /// for one that others could have written.
    pub fn find(&self, id: &TaskId) -> Result<Found> {
        let missing = || Error::new(ErrorKind::NotFound, format!("find the task {id}"), "there is no such task");
        let dir = Dir::open(&self.dir(id))?.ok_or_else(missing)?;
        let record: Record = dir.read("record.json")?.ok_or_else(missing)?;
        if record.id != *id {
            let why = format!("it is the record of {}", record.id);
            return Err(Error::new(ErrorKind::Internal, format!("find the task {id}"), why));
        }
        let path = dir.path.clone();
        let gone = || match path.exists() {
            // It was collected between two looks.
            false => missing(),
            true => Error::new(ErrorKind::Internal, format!("find the task {id}"), "a file of its record is missing"),
        };
        let state = match Watch::begin(dir)?.ok_or_else(gone)? {
            Ok(watch) => State::Running(watch),
            Err(end) => State::Ended(end),
        };
        Ok(Found { record, state })
    }

    /// The ids of all tasks, sorted; also of those whose record is damaged.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What readdir(3) says.
    pub fn list(&self) -> Result<Vec<TaskId>> {
        let entries = fs::read_dir(&self.tasks).map_err(failed("read", &self.tasks))?;
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("read", &self.tasks))?.file_name();
            // What has no id for a name is not ours.
            ids.extend(name.to_str().and_then(|name| name.parse::<TaskId>().ok()));
        }
        ids.sort();
        Ok(ids)
    }
}

/// Refuses a directory that is a link, or that somebody else has rights on.
fn check_dir(dir: &Path) -> Result<()> {
    let stat = fs::symlink_metadata(dir).map_err(failed("look at", dir))?;
    if !stat.is_dir() {
        return Err(Error::new(ErrorKind::Denied, format!("use {}", dir.display()), "it is not a directory"));
    }
    check_owner(dir, &stat)
}
