//! The directory of all records: makes, finds, lists and collects them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::{getegid, geteuid, getgid, getuid};

use super::file::{Dir, check_owner, failed, read_end, sign};
use super::live::{Draft, MAKING, REMOVING, SUPERVISOR, take_away};
use super::watch::Watch;
use super::{End, Found, Record, State};
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

    /// Removes the record of a task that has ended, whatever state the record is in; the id is free again. Whoever waits
    /// for the task already is told its end all the same.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Busy` while the task runs, and when somebody else has held the lock for five seconds: the error names the process;
    /// `NotFound` when there is no such task.
    pub fn collect(&self, id: &TaskId) -> Result<()> {
        self.collect_dir(&self.dir(id), &format!("collect the task {id}"))
    }

    fn collect_dir(&self, path: &Path, act: &str) -> Result<()> {
        let missing = || Error::new(ErrorKind::NotFound, act, "there is no such task");
        let dir = Dir::open(path)?.ok_or_else(missing)?;
        let until = Instant::now() + PATIENCE;
        let lock = loop {
            match dir.lock(FlockArg::LockExclusiveNonblock) {
                Ok(Some(lock)) => break Some(lock),
                // A start that was killed before it made one: nobody else is here.
                Err(error) if error.kind() == ErrorKind::NotFound => break None,
                Err(error) => return Err(error),
                Ok(None) => self.wait_for(&dir, act, until)?,
            }
        };
        if !is_at(&dir, path) {
            // Another who collects was first; what is at the path now is another task's.
            return Err(missing());
        }
        let mut lock = lock;
        lock.as_mut().map(|lock| sign(lock, &path.join("lock"), "collector")).transpose()?;
        take_away(path).map_err(failed("remove", path))
    }

    /// Waits a moment for the lock of `dir`, or refuses: its supervisor watches a task that runs, or somebody is stuck.
    fn wait_for(&self, dir: &Dir, act: &str, until: Instant) -> Result<()> {
        let (role, pid) = dir.holder().unwrap_or_default();
        // A supervisor that has written the end is about to let go.
        if role == SUPERVISOR && !has_ended(dir) {
            return Err(Error::new(ErrorKind::Busy, act, "it runs"));
        }
        if Instant::now() >= until {
            let why = format!("process {pid} has held its lock for {} s", PATIENCE.as_secs());
            return Err(Error::new(ErrorKind::Busy, act, why).with_fix(format!("look at process {pid}")));
        }
        sleep(Duration::from_millis(1));
        Ok(())
    }

    /// Collects every task that does not run, and what a start or a collecting left that was killed; those that could
    /// not be collected, with the reason.
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
        self.remove_leftovers()?;
        Ok(left)
    }

    /// Removes what a start or a collecting left that was killed.
    fn remove_leftovers(&self) -> Result<()> {
        let failed = |act| failed(act, &self.tasks);
        let until = Instant::now() + Duration::from_secs(1);
        let mut tasks = File::open(&self.tasks).map_err(failed("open"))?;
        // Alone of all who make records: one that has no lock yet looks like a leftover.
        let _alone = loop {
            match Flock::lock(tasks, FlockArg::LockExclusiveNonblock) {
                Ok(alone) => break alone,
                Err((again, Errno::EWOULDBLOCK)) if Instant::now() < until => tasks = again,
                // Starts come without a break: another time.
                Err((_, Errno::EWOULDBLOCK)) => return Ok(()),
                Err((_, errno)) => return Err(failed("lock")(errno.into())),
            }
            sleep(Duration::from_millis(1));
        };
        let entries = fs::read_dir(&self.tasks).map_err(failed("read"))?;
        for entry in entries.filter_map(|entry| entry.ok()) {
            let name = entry.file_name();
            if [MAKING, REMOVING].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                // Busy: somebody is at it right now. It has no id that could be named.
                _ = self.collect_dir(&entry.path(), "remove a leftover");
            }
        }
        Ok(())
    }

    /// Whether a supervisor watches the task.
    fn runs(&self, id: &TaskId) -> bool {
        let dir = Dir::open(&self.dir(id)).ok().flatten();
        dir.is_some_and(|dir| dir.holder().is_some_and(|(role, _)| role == SUPERVISOR) && !has_ended(&dir))
    }
}

/// Whether the end of the task in `dir` was written.
fn has_ended(dir: &Dir) -> bool {
    let room = dir.regular("outcome.json", OFlag::O_RDONLY).ok().flatten();
    room.is_none_or(|room| !matches!(read_end::<End>(&room, &dir.path), Ok(None)))
}

/// Whether the directory at `path` is still the one that was opened.
fn is_at(dir: &Dir, path: &Path) -> bool {
    let now = fs::symlink_metadata(path).map(|stat| (stat.dev(), stat.ino())).ok();
    now.is_some() && now == dir.identity()
}

/// Refuses a directory that is a link, or that somebody else has rights on.
fn check_dir(dir: &Path) -> Result<()> {
    let stat = fs::symlink_metadata(dir).map_err(failed("look at", dir))?;
    if !stat.is_dir() {
        return Err(Error::new(ErrorKind::Denied, format!("use {}", dir.display()), "it is not a directory"));
    }
    check_owner(dir, &stat)
}
