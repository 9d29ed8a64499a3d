//! The directory of all records: makes, finds, lists and collects them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;
use nix::unistd::geteuid;

use super::file::{check_owner, failed, holder, lock, read, sign};
use super::live::{Draft, remove};
use super::watch::{Watch, watched};
use super::{Found, Record, State};
use crate::error::{Error, ErrorKind, Result};
use crate::id::TaskId;

/// How long a lock may be held by somebody who collects, before its holder is named.
const PATIENCE: Duration = Duration::from_secs(5);

/// The directory that holds the records of one user's tasks.
///
/// Example: [record](super#examples).
#[derive(Clone, Debug)]
pub struct StateDir {
    tasks: PathBuf,
}

impl StateDir {
    /// Where records are kept unless a host chooses: `/run/executor` for root on Linux, `/var/run/executor` for root
    /// elsewhere, `$XDG_RUNTIME_DIR/executor` for others.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Unsupported` for a user without a session directory: a shared one such as `/tmp` is never used.
    pub fn default_path() -> Result<PathBuf> {
        if geteuid().is_root() {
            return Ok(if cfg!(target_os = "linux") { "/run/executor" } else { "/var/run/executor" }.into());
        }
        let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
        session.map(|dir| dir.join("executor")).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "find a place for records", "XDG_RUNTIME_DIR is not set")
                .with_fix("set it, or name a state directory of your own")
        })
    }

    /// Opens the records in `path`, and makes the directory if its parent is there.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a relative path; `Denied` for a directory of another user, or one that others have rights on;
    /// what mkdir(2) says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        crate::isolation::absolute(&path)?;
        for dir in [&path, &path.join("tasks")] {
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", dir)(error)),
                _ => check_dir(dir)?,
            }
        }
        Ok(Self { tasks: path.join("tasks") })
    }

    /// The directory of the task `id`.
    fn dir(&self, id: &TaskId) -> PathBuf {
        self.tasks.join(id.to_string())
    }

    /// Takes `id` for a new task.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Exists` (`EEXIST`) when a task has it, running or not yet collected; what mkdir(2) and mkfifo(3) say.
    pub fn create(&self, id: &TaskId) -> Result<Draft> {
        let mut last = Draft::begin(self.dir(id), id);
        for _ in 0..3 {
            // Who collects everything may find the directory before its lock is taken, and takes it for a leftover.
            match &last {
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound) => {
                    last = Draft::begin(self.dir(id), id);
                }
                _ => break,
            }
        }
        last
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
        let dir = self.dir(id);
        let missing = || Error::new(ErrorKind::NotFound, format!("find the task {id}"), "there is no such task");
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            found => found.map_err(failed("look at", &dir)).map(drop)?,
        }
        check_dir(&dir)?;
        let record: Record = read(&dir.join("record.json"))?.ok_or_else(missing)?;
        if record.id != *id {
            let why = format!("it is the record of {}", record.id);
            return Err(Error::new(ErrorKind::Internal, format!("find the task {id}"), why));
        }
        let state = match Watch::begin(&dir)? {
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

    /// Removes the record of a task that has ended, whatever state the record is in; the id is free again.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Busy` while the task runs, and when somebody else has held the lock for five seconds: the error names the process;
    /// `NotFound` when there is no such task.
    pub fn collect(&self, id: &TaskId) -> Result<()> {
        let dir = self.dir(id);
        let act = || format!("collect the task {id}");
        if matches!(fs::symlink_metadata(&dir), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Err(Error::new(ErrorKind::NotFound, act(), "there is no such task"));
        }
        check_dir(&dir)?;
        let path = dir.join("lock");
        let until = Instant::now() + PATIENCE;
        let mut lock = loop {
            match lock(&path, FlockArg::LockExclusiveNonblock)? {
                Some(lock) => break lock,
                // A supervisor that has written the end is about to let go.
                None if watched(&dir)? && !dir.join("outcome.json").exists() => {
                    return Err(Error::new(ErrorKind::Busy, act(), "it runs"));
                }
                None if Instant::now() >= until => {
                    let (_, pid) = holder(&path).unwrap_or_default();
                    let why = format!("process {pid} has held its lock for {} s", PATIENCE.as_secs());
                    return Err(Error::new(ErrorKind::Busy, act(), why).with_fix(format!("look at process {pid}")));
                }
                None => sleep(Duration::from_millis(1)),
            }
        };
        sign(&mut lock, &path, "collector")?;
        remove(&dir);
        match fs::symlink_metadata(&dir) {
            Err(_) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Busy, act(), "something in its directory is not of the record")
                .with_fix(format!("look into {}", dir.display()))),
        }
    }

    /// Collects every task that does not run; those that could not be collected, with the reason.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub fn collect_all(&self) -> Result<Vec<(TaskId, Error)>> {
        let mut left = Vec::new();
        for id in self.list()? {
            match self.collect(&id) {
                Err(error) if error.kind() != ErrorKind::NotFound && !self.runs(&id) => left.push((id, error)),
                _ => (),
            }
        }
        Ok(left)
    }

    /// Whether a supervisor has the lock of the task.
    fn runs(&self, id: &TaskId) -> bool {
        watched(&self.dir(id)).unwrap_or(false)
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
