//! The supervisor's side of a record: makes it, keeps it, ends it.
//!
//! A record is made whole, with its lock held, under a name that is no id, and then renamed: an id is taken in one step,
//! and whoever finds a record finds all of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::file::{Dir, failed, reserve_end, sign, write_end};
use super::{End, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{TaskId, TaskName};
use crate::outcome::Outcome;
use crate::usage::Usage;

/// The role that a supervisor signs the lock with.
pub(super) const SUPERVISOR: &str = "supervisor";
/// What the names of records begin with that are being made, or being removed; no id begins so.
pub(super) const MAKING: &str = ".new-";
pub(super) const REMOVING: &str = ".gone-";

/// Every file that a record can have.
const FILES: [&str; 6] = ["record.json", "record.json.new", "outcome.json", "control", "alive", "lock"];

/// A record that has been begun: nothing can be found yet, and the id is free. Dropping it leaves nothing.
///
/// Example: [record](super#examples).
#[derive(Debug)]
pub struct Draft {
    parts: Option<Parts>,
    /// Where the record will be.
    place: PathBuf,
    id: TaskId,
}

/// What a supervisor holds of a record.
#[derive(Debug)]
struct Parts {
    dir: Dir,
    end: File,
    control: File,
    /// Open for as long as the task is watched.
    _alive: File,
    /// Held for as long as the task is watched; dropped last, so that whoever is woken finds the rest done.
    _lock: Flock<File>,
}

impl Draft {
    /// Begins the record of `id`, which will be `place`.
    pub(super) fn begin(place: PathBuf, id: &TaskId) -> Result<Self> {
        // Until the record has a lock of its own, this keeps those away who remove leftovers.
        let tasks = place.parent().unwrap_or(Path::new("/"));
        let entered = File::open(tasks).map_err(failed("open", tasks))?;
        let entered = Flock::lock(entered, FlockArg::LockShared);
        let _entered = entered.map_err(|(_, errno)| failed("lock", tasks)(errno.into()))?;
        let making = place.with_file_name(format!("{MAKING}{}", TaskName::random()));
        fs::DirBuilder::new().mode(0o700).create(&making).map_err(failed("make", &making))?;
        match Parts::make(&making) {
            Ok(parts) => Ok(Self { parts: Some(parts), place, id: id.clone() }),
            Err(error) => {
                // The next who collects tells what is left.
                drop(remove(&making));
                Err(error)
            }
        }
    }

    /// Writes the record and takes the id: from now on the task can be found.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Exists` (`EEXIST` or `ENOTEMPTY`) when a task has the id, running or not yet collected; what kept the record from
    /// being written.
    pub fn commit(mut self, record: &Record) -> Result<Live> {
        let broken = || Error::new(ErrorKind::Internal, "write the record", "it was written before");
        let parts = self.parts.as_mut().ok_or_else(broken)?;
        parts.dir.write("record.json", record)?;
        fs::rename(&parts.dir.path, &self.place).map_err(|source| {
            let what = format!("take the id {}", self.id);
            match source.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                    Error::new(ErrorKind::Exists, what, "a task has it")
                        .with_errno(source.raw_os_error().unwrap_or(0))
                        .with_fix("choose another name, or collect that task once it has ended")
                }
                // Not found is what hosts are told of programs.
                io::ErrorKind::NotFound => Error::from_io(what, &source).with_kind(ErrorKind::Busy),
                _ => Error::from_io(what, &source),
            }
        })?;
        parts.dir.path.clone_from(&self.place);
        self.parts.take().map(|parts| Live { parts }).ok_or_else(broken)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(parts) = &self.parts {
            // Nobody is left to tell; the next who collects finds it, and says so.
            drop(remove(&parts.dir.path));
        }
    }
}

impl Parts {
    fn make(path: &Path) -> Result<Self> {
        let gone = || Error::new(ErrorKind::Busy, format!("make {}", path.display()), "somebody has removed it");
        let dir = Dir::open(path)?.ok_or_else(gone)?;
        let file = |name: &str| {
            let made = dir.file(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL);
            made.map_err(failed("make", &path.join(name)))
        };
        drop(file("lock")?);
        let mut lock = dir.lock(FlockArg::LockExclusiveNonblock)?.ok_or_else(gone)?;
        sign(&mut lock, &path.join("lock"), SUPERVISOR)?;
        let end = file("outcome.json")?;
        reserve_end(&end).map_err(failed("write", &path.join("outcome.json")))?;
        // Open for both: a FIFO without a reader would refuse, and one whose writers come and go would end.
        let fifo = |name: &str| {
            let made = mkfifo(&path.join(name), Mode::S_IRUSR | Mode::S_IWUSR).map_err(io::Error::from);
            made.and_then(|()| dir.fifo(name, OFlag::O_RDWR)).map_err(failed("make", &path.join(name)))
        };
        let (control, alive) = (fifo("control")?, fifo("alive")?);
        Ok(Self { dir, end, control, _alive: alive, _lock: lock })
    }
}

/// Removes the directory of a record, everything that could be in it and nothing else; the first thing that cannot be
/// removed, after the rest was. It is left for the next who collects, under the name that it has.
pub(super) fn remove(dir: &Path) -> Result<()> {
    let mut stuck = None;
    let mut tried = |path: PathBuf, removed: io::Result<()>| match removed {
        // Somebody else who collects may be at it as well.
        Err(error) if error.kind() != io::ErrorKind::NotFound => drop(stuck.get_or_insert((path, error))),
        _ => (),
    };
    for file in FILES.map(|name| dir.join(name)) {
        let removed = fs::remove_file(&file);
        tried(file, removed);
    }
    tried(dir.to_owned(), fs::remove_dir(dir));
    let Some((path, source)) = stuck else { return Ok(()) };
    let error = Error::from_io(format!("remove {}", path.display()), &source);
    // Not found is what callers are told of tasks, and the request is right.
    let error = error.with_kind(match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    });
    Err(error.with_fix(format!("see what keeps {} and remove that, then collect again", dir.display())))
}

/// Takes a record away from its id in one step, and removes it. The caller has its lock.
pub(super) fn take_away(dir: &Path) -> Result<()> {
    let removing = dir.with_file_name(format!("{REMOVING}{}", TaskName::random()));
    fs::rename(dir, &removing).map_err(failed("remove", dir))?;
    remove(&removing)
}

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

    /// The next bytes of orders, as many as have come and fit into `room`; each order was written at once, and orders
    /// of one length come whole.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none, and what read(2) says.
    pub fn read_orders(&self, room: &mut [u8]) -> io::Result<usize> {
        (&self.parts.control).read(room)
    }

    /// Records the end, in room that was taken when the record was made. Whoever waits is woken when this value is
    /// dropped.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What kept it from being written: whoever asks is then told that the task is lost.
    pub fn end(&mut self, outcome: &Outcome, usage: &Usage) -> Result<()> {
        write_end(&self.parts.end, &self.parts.dir.path.join("outcome.json"), &End::new(outcome, usage))
    }

    /// Takes the record back: nothing of the task ran, and the id is free again.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// What could not be removed: the next who collects finds it.
    pub fn discard(self) -> Result<()> {
        let dir = &self.parts.dir.path;
        take_away(dir).or_else(|_| remove(dir))
    }
}
