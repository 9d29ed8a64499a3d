//! What tasks print, kept in files of the state directory for as long as their record is there.
//!
//! ```text
//! <state>/logs/<id>.<random>/    0700; locked while its task is being started
//!     stdout  stderr             0600, opened by the executor outside the task's reach
//! ```
//!
//! The random part keeps two starts that want one id out of each other's files; which directory a task has is told by its
//! record alone, in the streams of its spec. A directory that is not locked and that no record names belongs to a start
//! that failed or was killed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use executor_api::record::Record;
use executor_api::{Error, Output, TaskId, TaskName};
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::libc;

/// The files that a task's standard streams go to, where they go to files.
///
/// Example: [`Records::logs`](crate::Records::logs).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logs {
    /// Standard output.
    pub stdout: Option<PathBuf>,
    /// Standard error.
    pub stderr: Option<PathBuf>,
}

impl Logs {
    /// What the record says.
    pub(crate) fn of(record: &Record) -> Self {
        let file = |stream: &str| match serde_json::from_value(record.spec.get(stream)?.clone()) {
            Ok(Output::File { path, .. }) => Some(path),
            // Another version's words, or no file.
            _ => None,
        };
        Self { stdout: file("stdout"), stderr: file("stderr") }
    }

    /// The directory that was made for the output of the task `id` in `state`, if one was. No other place that a record
    /// names is ever removed.
    pub(crate) fn kept_in(&self, state: &Path, id: &TaskId) -> Option<PathBuf> {
        let logs = logs(state);
        let parents = [&self.stdout, &self.stderr].into_iter().flatten().filter_map(|file| file.parent());
        let names = parents.filter(|dir| dir.parent() == Some(&*logs)).filter_map(|dir| dir.file_name()?.to_str());
        let mut own = names.filter(|name| task_of(name).as_ref() == Some(id));
        own.next().map(|name| logs.join(name))
    }
}

/// The task that a directory with this name was made for.
pub(crate) fn task_of(name: &str) -> Option<TaskId> {
    let (id, random) = name.rsplit_once('.')?;
    TaskName::new(random).ok()?;
    id.parse().ok()
}

/// The directory of one task's output, from before its start.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    /// Keeps those away who remove what no record names.
    _starting: Flock<File>,
}

impl Place {
    /// Makes the directory for the task `id`. The state directory itself is made, and checked, by the caller.
    pub(crate) fn make(state: &Path, id: &TaskId) -> Result<Self, Error> {
        let logs = logs(state);
        match DirBuilder::new().mode(0o700).create(&logs) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", &logs, &error)),
            _ => (),
        }
        // No two tries meet one name but by the worst of luck; then the start is refused, and the next one goes well.
        let dir = logs.join(format!("{id}.{}", TaskName::random()));
        DirBuilder::new().mode(0o700).create(&dir).map_err(|error| failed("make", &dir, &error))?;
        let starting = File::open(&dir).map_err(|error| failed("open", &dir, &error))?;
        let starting = Flock::lock(starting, FlockArg::LockExclusiveNonblock);
        let _starting = starting.map_err(|(_, errno)| failed("lock", &dir, &errno.into()))?;
        Ok(Self { dir, _starting })
    }

    pub(crate) fn file(&self, stream: &str) -> PathBuf {
        self.dir.join(stream)
    }

    /// Removes it: nothing was started.
    pub(crate) fn discard(self) -> Result<(), Error> {
        remove(&self.dir)
    }
}

/// Removes a directory of logs; one that is gone is no error.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", dir, &error)),
        _ => Ok(()),
    }
}

/// Removes what belongs to no task, which `names` tells of a directory; what could not be removed, with the reason.
pub(crate) fn remove_strays(state: &Path, names: impl Fn(&Path) -> bool) -> Vec<Error> {
    let entries = match fs::read_dir(logs(state)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![failed("read", &logs(state), &error)],
    };
    let mut left = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => left.extend(remove_stray(&entry.path(), &names).err()),
            Err(error) => left.push(failed("read", &logs(state), &error)),
        }
    }
    left
}

fn remove_stray(dir: &Path, names: impl Fn(&Path) -> bool) -> Result<(), Error> {
    // What is no directory was not made here, and must not hold anybody up.
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = match File::options().read(true).custom_flags(flags.bits()).open(dir) {
        Err(error) if [Some(libc::ENOENT), Some(libc::ENOTDIR), Some(libc::ELOOP)].contains(&error.raw_os_error()) => {
            return Ok(());
        }
        opened => opened.map_err(|error| failed("open", dir, &error))?,
    };
    // Locked: its task is being started. The record is looked for under the lock, so that no start comes between.
    let Ok(_alone) = Flock::lock(opened, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    if names(dir) { Ok(()) } else { remove(dir) }
}

fn logs(state: &Path) -> PathBuf {
    state.join("logs")
}

fn failed(act: &str, path: &Path, error: &io::Error) -> Error {
    Error::from_io(format!("{act} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> TaskId {
        "fallback.one".parse().expect("an id")
    }

    #[test]
    fn a_place_is_left_alone_while_its_task_is_being_started() {
        let state = tempfile::tempdir().expect("a directory");
        let place = Place::make(state.path(), &id()).expect("a place");
        fs::write(place.file("stdout"), "x").expect("write");
        assert!(remove_strays(state.path(), |_| false).is_empty());
        assert!(place.file("stdout").exists(), "it was taken from a start");
        let file = place.file("stdout");
        drop(place);
        assert!(remove_strays(state.path(), |_| true).is_empty() && file.exists(), "a record names it");
        assert!(remove_strays(state.path(), |_| false).is_empty() && !file.exists(), "nobody names it");
    }

    #[test]
    fn two_starts_of_one_id_have_files_of_their_own() {
        let state = tempfile::tempdir().expect("a directory");
        let [one, other] = [(), ()].map(|()| Place::make(state.path(), &id()).expect("a place"));
        assert_ne!(one.file("stdout"), other.file("stdout"));
        one.discard().expect("it is removed");
        assert!(other.file("stdout").parent().is_some_and(Path::exists));
    }

    #[test]
    fn only_a_directory_that_was_made_for_logs_goes_with_the_record() {
        let state = Path::new("/run/executor");
        let logs = |path: &str| Logs { stdout: Some(path.into()), stderr: None };
        let own = "/run/executor/logs/fallback.one.tabc";
        assert_eq!(logs(&format!("{own}/stdout")).kept_in(state, &id()), Some(own.into()));
        for path in [
            "/srv/out",
            "/run/executor/logs/stdout",
            "/run/executor/logs/../out",
            "/run/executor/logs/mine/out",
            "/run/executor/logs/fallback.other.tabc/stdout",
            "/run/executor/logs/fallback.one.tabc/b/stdout",
        ] {
            assert_eq!(logs(path).kept_in(state, &id()), None, "{path}");
        }
    }
}
