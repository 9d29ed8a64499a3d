//! Removes the records of tasks that have ended, and what was left behind by whoever made or removed one.
//!
//! A record is taken away from its id in one step, with its lock held, and then removed. What cannot be removed is told,
//! lies under a name that is no id, and is tried again by the next who collects everything. Nothing of a task that runs is
//! touched, and nothing that this crate has not made.

use std::fs::{self, DirEntry, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::End;
use super::dir::StateDir;
use super::file::{Dir, failed, read_end, sign};
use super::live::{MAKING, REMOVING, SUPERVISOR, remove, take_away};
use crate::error::{Error, ErrorKind, Result};
use crate::id::TaskId;

/// How long a lock may be held by somebody who collects, before its holder is named.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a leftover, and how long the making of records may keep leftovers from being looked for: no record is made
/// meanwhile.
const SHORT: Duration = Duration::from_secs(1);

/// What came of collecting everything.
///
/// # Examples
///
/// ```
/// use executor_api::record::StateDir;
///
/// let place = tempfile::tempdir()?;
/// let collected = StateDir::open(place.path().join("executor"))?.collect_all()?;
/// for id in &collected.removed {
///     println!("{id}");
/// }
/// for (what, error) in &collected.left {
///     eprintln!("{what}: {error} {}", error.fix().unwrap_or_default());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The tasks whose records are gone, sorted.
    pub removed: Vec<TaskId>,
    /// What could not be removed, though no task runs there, and why: the id of a task, or the path of what a start or a
    /// collecting left that came to nothing.
    pub left: Vec<(String, Error)>,
}

/// Why a record was not collected.
enum Obstacle {
    /// There is none, or another who collects was first.
    Missing,
    /// A supervisor watches its task, or makes it.
    Runs,
    Trouble(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Trouble(error)
    }
}

impl StateDir {
    /// Removes the record of a task that has ended, whatever state the record is in; the id is free again. Whoever waits
    /// for the task already is told its end all the same.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Busy` while the task runs, and when somebody else has held the lock for five seconds: the error names the process;
    /// `NotFound` when there is no such task. What cannot be removed is named by its path, with the reason: `Denied` or
    /// `Internal`. The id is free all the same if that path is not the task's own any more, and
    /// [`collect_all`](Self::collect_all) tries again.
    pub fn collect(&self, id: &TaskId) -> Result<()> {
        let act = format!("collect the task {id}");
        collect_dir(&self.dir(id), &act, PATIENCE).map_err(|obstacle| match obstacle {
            Obstacle::Missing => Error::new(ErrorKind::NotFound, act, "there is no such task"),
            Obstacle::Runs => Error::new(ErrorKind::Busy, act, "it runs"),
            Obstacle::Trouble(error) => error,
        })
    }

    /// Collects every task that does not run, and what a start or a collecting left that was killed or could not finish.
    ///
    /// Example: [`Collected`].
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list); what cannot be collected is part of the answer.
    pub fn collect_all(&self) -> Result<Collected> {
        let ids = self.list()?;
        // Before the tasks: what cannot be removed of those is told once, with the id.
        let mut collected = Collected { left: self.remove_leftovers(), ..Collected::default() };
        for id in ids {
            match collect_dir(&self.dir(&id), &format!("collect the task {id}"), PATIENCE) {
                Ok(()) => collected.removed.push(id),
                Err(Obstacle::Trouble(error)) => collected.left.push((id.to_string(), error)),
                Err(Obstacle::Missing | Obstacle::Runs) => (),
            }
        }
        Ok(collected)
    }

    /// Removes what a start or a collecting left; what could not be removed.
    fn remove_leftovers(&self) -> Vec<(String, Error)> {
        let here = |error| vec![(self.tasks.display().to_string(), error)];
        let _alone = match self.alone() {
            Ok(alone) => alone,
            Err(error) => return here(error),
        };
        let entries = match fs::read_dir(&self.tasks) {
            Ok(entries) => entries,
            Err(source) => return here(failed("read", &self.tasks)(source)),
        };
        let mut left = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if is_leftover(&entry) => left.extend(removed(&entry.path())),
                Ok(_) => (),
                Err(source) => left.extend(here(failed("read", &self.tasks)(source))),
            }
        }
        left
    }

    /// Keeps records from being made for as long as the answer lives: one that has no lock yet looks like a leftover.
    fn alone(&self) -> Result<Flock<File>> {
        let failed = |act| failed(act, &self.tasks);
        let until = Instant::now() + SHORT;
        let mut tasks = File::open(&self.tasks).map_err(failed("open"))?;
        loop {
            match Flock::lock(tasks, FlockArg::LockExclusiveNonblock) {
                Ok(alone) => return Ok(alone),
                Err((again, Errno::EWOULDBLOCK)) if Instant::now() < until => tasks = again,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let what = format!("look for leftovers in {}", self.tasks.display());
                    let error = Error::new(ErrorKind::Busy, what, "tasks are being started without a break");
                    return Err(error.with_fix("collect again later"));
                }
                Err((_, errno)) => return Err(failed("lock")(errno.into())),
            }
            sleep(Duration::from_millis(1));
        }
    }
}

fn is_leftover(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    [MAKING, REMOVING].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Removes the leftover at `path`; what kept it, if anything but somebody who is at it right now.
fn removed(path: &Path) -> Option<(String, Error)> {
    match collect_dir(path, &format!("remove the leftover {}", path.display()), SHORT) {
        Err(Obstacle::Trouble(error)) => Some((path.display().to_string(), error)),
        Ok(()) | Err(Obstacle::Missing | Obstacle::Runs) => None,
    }
}

fn collect_dir(path: &Path, act: &str, patience: Duration) -> std::result::Result<(), Obstacle> {
    let dir = Dir::open(path)?.ok_or(Obstacle::Missing)?;
    let begun = Instant::now();
    let mut lock = loop {
        match dir.lock(FlockArg::LockExclusiveNonblock) {
            Ok(Some(lock)) => break Some(lock),
            // A start that was killed before it made one, or a removal that could not finish: nobody else is here.
            Err(error) if error.kind() == ErrorKind::NotFound => break None,
            Err(error) => return Err(error.into()),
            Ok(None) if begun.elapsed() < patience => wait_for(&dir)?,
            Ok(None) => return Err(stuck(&dir, act, patience)?.into()),
        }
    };
    if !is_at(&dir, path)? {
        // Another who collects was first; what is at the path now is another task's.
        return Err(Obstacle::Missing);
    }
    lock.as_mut().map(|lock| sign(lock, &path.join("lock"), "collector")).transpose()?;
    let away = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(REMOVING.as_bytes()));
    Ok(if away { remove(path) } else { take_away(path) }?)
}

/// Waits a moment for the lock of `dir`, unless its supervisor watches a task that runs.
fn wait_for(dir: &Dir) -> std::result::Result<(), Obstacle> {
    // A supervisor that has written the end is about to let go.
    if dir.holder()?.is_some_and(|(role, _)| role == SUPERVISOR) && !has_ended(dir)? {
        return Err(Obstacle::Runs);
    }
    sleep(Duration::from_millis(1));
    Ok(())
}

fn stuck(dir: &Dir, act: &str, patience: Duration) -> Result<Error> {
    let held = format!("has held its lock for {} s", patience.as_secs());
    Ok(match dir.holder()? {
        Some((_, pid)) => {
            Error::new(ErrorKind::Busy, act, format!("process {pid} {held}")).with_fix(format!("look at process {pid}"))
        }
        None => Error::new(ErrorKind::Busy, act, format!("a process that has not said which {held}")),
    })
}

/// Whether the end of the task in `dir` was written; what is there and is none counts as one, since nobody will write it.
fn has_ended(dir: &Dir) -> Result<bool> {
    let room = dir.regular("outcome.json", OFlag::O_RDONLY)?;
    Ok(room.is_none_or(|room| !matches!(read_end::<End>(&room, &dir.path), Ok(None))))
}

/// Whether the directory at `path` is still the one that was opened. That it cannot be looked at says neither.
fn is_at(dir: &Dir, path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(stat) => Ok((stat.dev(), stat.ino()) == dir.identity()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests;
