//! The tasks of this user, as their records tell: found, listed and collected without loading any plugin.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use executor_api::record::{Found, Record, State, StateDir};
use executor_api::{Error as TaskError, ErrorKind, TaskId};

use crate::error::Result;
use crate::logs::{self, Logs};

/// The records of this user's tasks in one state directory.
///
/// # Examples
///
/// ```
/// use executor_loader::Records;
///
/// let place = tempfile::tempdir()?;
/// let records = Records::open(Some(place.path().join("executor")))?;
/// assert!(records.list()?.is_empty());
/// assert!(records.collect_ended()?.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Records {
    state: PathBuf,
    dir: StateDir,
}

/// What came of collecting every task that has ended.
///
/// Example: [`Records`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Collected {
    /// The tasks whose record is gone.
    pub ids: Vec<TaskId>,
    /// The tasks that run.
    pub running: Vec<TaskId>,
    /// What could not be removed, and why.
    pub left: Vec<TaskError>,
}

impl Collected {
    /// Whether nothing was left that should have gone.
    ///
    /// Example: [`Records`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left.is_empty()
    }
}

impl Records {
    /// Opens the records in `state`, by default where [`StateDir::default_path`] says.
    ///
    /// # Errors
    ///
    /// As [`StateDir::open`].
    ///
    /// Example: [`Records`].
    pub fn open(state: Option<PathBuf>) -> Result<Self> {
        let state = state.map_or_else(StateDir::default_path, Ok)?;
        let dir = StateDir::open(&state)?;
        // One spelling, whatever links lead there: what records name is compared with it.
        let real = state.canonicalize();
        let state = real.map_err(|error| TaskError::from_io(format!("find {}", state.display()), &error))?;
        Ok(Self { dir, state })
    }

    /// The directory that they are in.
    ///
    /// Example: [`Records`].
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The ids of all tasks, running or ended, sorted; also of those whose record is damaged.
    ///
    /// # Errors
    ///
    /// What readdir(3) says.
    ///
    /// Example: [`Records`].
    pub fn list(&self) -> Result<Vec<TaskId>> {
        Ok(self.dir.list()?)
    }

    /// What is known of a task, and whether it runs.
    ///
    /// # Errors
    ///
    /// As [`StateDir::find`].
    ///
    /// Example: [`Records::logs`].
    pub fn find(&self, id: &TaskId) -> Result<Found> {
        Ok(self.dir.find(id)?)
    }

    /// The id that a person means by `word`: a whole id, or a task's name without the plugin.
    ///
    /// # Errors
    ///
    /// `NotFound` when no task is meant, `InvalidSpec` when several plugins have one: the error names them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let place = tempfile::tempdir()?;
    /// # let records = executor_loader::Records::open(Some(place.path().join("executor")))?;
    /// assert!(records.resolve("build").is_err_and(|error| error.to_string().contains("build")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(&self, word: impl AsRef<OsStr>) -> Result<TaskId> {
        let word = word.as_ref();
        let what = || format!("find the task {word:?}");
        let missing = || {
            TaskError::new(ErrorKind::NotFound, what(), "there is no such task")
                .with_fix("`executor ps` lists those that there are")
        };
        let text = word.to_str().filter(|text| !text.is_empty()).ok_or_else(missing)?;
        let ids = self.list()?;
        let whole = |id: &&TaskId| id.to_string() == text;
        let name = |id: &&TaskId| id.name().as_str() == text;
        // Nothing less than the whole of either: `build-7` must not mean `build-70` once the former is gone.
        let by: [&dyn Fn(&&TaskId) -> bool; 2] = [&whole, &name];
        for means in by {
            match ids.iter().filter(means).collect::<Vec<_>>().as_slice() {
                [] => (),
                [only] => return Ok((*only).clone()),
                several => {
                    let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                    let why = format!("it can mean {}", several.join(", "));
                    return Err(TaskError::invalid(what(), why).with_fix("write the whole id").into());
                }
            }
        }
        Err(missing().into())
    }

    /// The files that a task's output goes to.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let records = executor_loader::Records::open(None)?;
    /// let found = records.find(&"fallback.build-7".parse()?)?;
    /// if let Some(file) = records.logs(&found.record).stdout {
    ///     print!("{}", std::fs::read_to_string(file).expect("a log"));
    /// }
    /// # Ok::<(), executor_loader::Error>(())
    /// ```
    #[must_use]
    pub fn logs(&self, record: &Record) -> Logs {
        Logs::of(record)
    }

    /// Removes the record of a task that has ended, and what it printed where that was kept; its id is free again.
    ///
    /// # Errors
    ///
    /// `Busy` while the task runs, `NotFound` when there is no record of it; what kept its files from being removed.
    ///
    /// Example: [`Loader::collect`](crate::Loader::collect).
    pub fn collect(&self, id: &TaskId) -> Result<()> {
        // A record that cannot be read names no files; those become strays, and go with the next `collect_ended`.
        let kept = self.dir.find(id).ok().and_then(|found| Logs::of(&found.record).kept_in(&self.state, id));
        self.dir.collect(id)?;
        Ok(kept.map_or(Ok(()), |dir| logs::remove(&dir))?)
    }

    /// Collects every task that has ended, and what starts and collectors left that were killed.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list); what keeps a single task from being collected is in the answer.
    ///
    /// Example: [`Records`].
    pub fn collect_ended(&self) -> Result<Collected> {
        let done = self.dir.collect_all()?;
        let mut collected = Collected { ids: done.removed, ..Collected::default() };
        collected.left.extend(done.left.into_iter().map(|(_, error)| error));
        // What the collected ones printed is named by no record now.
        collected.left.extend(logs::remove_strays(&self.state, |dir| self.names(dir)));
        let runs = |id: &TaskId| self.dir.find(id).is_ok_and(|found| matches!(found.state, State::Running(_)));
        collected.running = self.list()?.into_iter().filter(runs).collect();
        Ok(collected)
    }

    /// Whether the task that `dir` was made for is recorded and may have its logs there.
    fn names(&self, dir: &Path) -> bool {
        let Some(id) = dir.file_name().and_then(OsStr::to_str).and_then(logs::task_of) else { return true };
        match self.dir.find(&id) {
            // A record that names none may be of a version that says it otherwise.
            Ok(found) => Logs::of(&found.record).kept_in(&self.state, &id).is_none_or(|kept| kept == dir),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(ids: &[&str]) -> (tempfile::TempDir, Records) {
        let place = tempfile::tempdir().expect("a directory");
        let records = Records::open(Some(place.path().join("executor"))).expect("records");
        for id in ids {
            let id: TaskId = id.parse().expect("an id");
            drop(records.dir.create(&id).expect("a draft").commit(&Record::new(&id)).expect("a record"));
        }
        (place, records)
    }

    #[test]
    fn a_word_means_a_task_by_its_whole_id_or_name() {
        let (_place, records) = records(&["fallback.build-70", "linux.web", "fallback.both", "linux.both"]);
        let meant = |word: &str| records.resolve(word).map(|id| id.to_string()).map_err(|error| error.to_string());
        for (word, id) in [("linux.web", "linux.web"), ("web", "linux.web"), ("linux.both", "linux.both")] {
            assert_eq!(meant(word), Ok(id.to_owned()), "{word}");
        }
        assert!(meant("both").is_err_and(|error| error.contains("it can mean fallback.both, linux.both")));
        for word in [
            "build-7",
            "fallback.build-7",
            "linux",
            "",
            "..",
            "../..",
            "uild-7",
            "*",
            "-h;id",
            "a\nb",
            &"a".repeat(5000),
        ] {
            assert!(meant(word).is_err_and(|error| error.contains("there is no such task")), "{word}");
        }
    }

    #[test]
    fn strays_go_and_logs_of_recorded_tasks_stay() {
        let (_place, records) = records(&[]);
        let id: TaskId = "fallback.one".parse().expect("an id");
        let place = logs::Place::make(records.state_dir(), &id).expect("a place");
        let mut record = Record::new(&id);
        record.spec = serde_json::json!({ "stdout": { "file": { "path": place.file("stdout") } } });
        let live = records.dir.create(&id).expect("a draft").commit(&record).expect("a record");
        let file = place.file("stdout");
        std::fs::write(&file, "printed").expect("write");
        drop(place);
        let stray = logs::Place::make(records.state_dir(), &id).expect("a place").file("");
        assert_eq!(records.logs(&records.find(&id).expect("there").record).stdout.as_ref(), Some(&file));

        let collected = records.collect_ended().expect("collected");
        assert_eq!((&*collected.running, &*collected.ids, collected.is_complete()), (&[id.clone()][..], &[][..], true));
        assert!(file.exists() && !stray.exists());
        drop(live);
        assert_eq!(records.collect_ended().expect("collected").ids, [id]);
        assert!(!file.exists(), "it goes with its record");
    }
}
