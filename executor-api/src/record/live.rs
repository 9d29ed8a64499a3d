//! The supervisor's side of a record: makes it, keeps it, ends it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::file::{failed, lock, open_fifo, sign, write};
use super::{End, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::id::TaskId;
use crate::outcome::Outcome;
use crate::usage::Usage;

/// The role that a supervisor signs the lock with.
pub(super) const SUPERVISOR: &str = "supervisor";

/// A record that has been begun: the id is taken, and nothing can be found yet. Dropping it gives the id back.
///
/// Example: [record](super#examples).
#[derive(Debug)]
pub struct Draft {
    parts: Option<Parts>,
}

/// What a supervisor holds of a record.
#[derive(Debug)]
struct Parts {
    dir: PathBuf,
    /// Held for as long as the task is watched.
    _lock: Flock<File>,
    /// Open for as long as the task is watched.
    _alive: File,
    control: File,
}

impl Draft {
    /// Takes the id, by making the directory `dir`.
    pub(super) fn begin(dir: PathBuf, id: &TaskId) -> Result<Self> {
        let what = || format!("take the id {id}");
        fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::new(ErrorKind::Exists, what(), "a task has it")
                .with_errno(source.raw_os_error().unwrap_or(0))
                .with_fix("choose another name, or collect that task once it has ended"),
            _ => Error::from_io(what(), &source),
        })?;
        match Parts::make(&dir) {
            Ok(parts) => Ok(Self { parts: Some(parts) }),
            Err(error) => {
                remove(&dir);
                Err(error)
            }
        }
    }

    /// Writes the record: from now on the task can be found.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What kept it from being written; the id is free again then.
    pub fn commit(mut self, record: &Record) -> Result<Live> {
        if let Some(parts) = &self.parts {
            write(&parts.dir.join("record.json"), record)?;
        }
        let broken = || Error::new(ErrorKind::Internal, "write the record", "it was written before");
        self.parts.take().map(|parts| Live { parts }).ok_or_else(broken)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(parts) = &self.parts {
            remove(&parts.dir);
        }
    }
}

impl Parts {
    fn make(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let taken = lock(&path, FlockArg::LockExclusiveNonblock)?;
        let stolen = || Error::new(ErrorKind::Busy, format!("lock {}", path.display()), "another process was first");
        let mut taken = taken.ok_or_else(stolen)?;
        sign(&mut taken, &path, SUPERVISOR)?;
        // Open for both: a FIFO without a reader would refuse, and one whose writers come and go would end.
        let fifo = |name: &str| {
            let path = dir.join(name);
            let made = mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(io::Error::from);
            made.and_then(|()| open_fifo(&path, File::options().read(true).write(true))).map_err(failed("make", &path))
        };
        Ok(Self { dir: dir.to_owned(), _lock: taken, _alive: fifo("alive")?, control: fifo("control")? })
    }
}

/// Removes the directory of a record, everything that could be in it and nothing else. What cannot be removed is left
/// for the next who collects.
pub(super) fn remove(dir: &Path) {
    for name in FILES {
        _ = fs::remove_file(dir.join(name));
    }
    _ = fs::remove_dir(dir);
}

/// Every file that a record can have; the lock last, since its being there keeps others out.
const FILES: [&str; 7] = ["record.json", "record.new", "outcome.json", "outcome.new", "control", "alive", "lock"];

/// The record of a task that is watched by this process. Dropping it without an end leaves a task that is lost.
///
/// Example: [record](super#examples).
#[derive(Debug)]
pub struct Live {
    parts: Parts,
}

impl Live {
    /// Readable when an order has come.
    ///
    /// Example: [record](super#examples).
    #[must_use]
    pub fn orders(&self) -> BorrowedFd<'_> {
        self.parts.control.as_fd()
    }

    /// The next bytes of orders, as many as have come and fit into `room`; each order was written at once, and orders of
    /// one length come whole.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none, and what read(2) says.
    pub fn read_orders(&self, room: &mut [u8]) -> io::Result<usize> {
        (&self.parts.control).read(room)
    }

    /// Records the end. Whoever waits is woken when this value is dropped.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What kept it from being written: whoever asks is then told that the task is lost.
    pub fn end(&mut self, outcome: &Outcome, usage: &Usage) -> Result<()> {
        write(&self.parts.dir.join("outcome.json"), &End::new(outcome, usage))
    }

    /// Takes the record back: nothing of the task ran, and the id is free again.
    ///
    /// Example: [record](super#examples).
    pub fn discard(self) {
        remove(&self.parts.dir);
    }
}
