//! Where a trial runs: its state directory, its loader, its word, and the proof that nothing of it is left.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_api::record::{Record, StateDir};
use executor_api::{PluginName, TaskId, TaskName};
use executor_loader::executor_api;
use executor_loader::{Command, Loader, Task};
use executor_tests::prefix;
use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::expect::{until, within};
use crate::processes;

/// The variable that carries a trial's word.
pub(crate) const TRIAL: &str = "EXECUTOR_TRIAL";
/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// What a trial and its hosts share.
pub(crate) struct Place {
    /// None in a host, which does not own it.
    dir: Option<TempDir>,
    pub(crate) base: PathBuf,
    /// The directory with the plugins.
    pub(crate) plugins: PathBuf,
    pub(crate) word: String,
    pub(crate) loader: Loader,
    pub(crate) state: StateDir,
}

impl Place {
    /// A new one.
    pub(crate) fn new() -> Result<Self, Failed> {
        Self::with_plugins(&prefix().join("lib/executor/1"))
    }

    /// A new one that uses the plugins in `plugins`.
    pub(crate) fn with_plugins(plugins: &Path) -> Result<Self, Failed> {
        // Tasks of a root host run as somebody else, and reach their working directory through this one.
        let open = Permissions::from_mode(0o711);
        let dir = tempfile::Builder::new().prefix("executor-test-").permissions(open).tempdir()?;
        fs::create_dir(dir.path().join("work"))?;
        fs::set_permissions(dir.path().join("work"), Permissions::from_mode(0o777))?;
        let word = TaskName::random().to_string();
        let mut place = Self::at(dir.path(), plugins, word)?;
        place.dir = Some(dir);
        Ok(place)
    }

    /// One that another process has made.
    pub(crate) fn at(base: &Path, plugins: &Path, word: String) -> Result<Self, Failed> {
        let prober = plugins.join("executor-probe");
        let builder = Loader::builder().search_only([plugins.to_owned()]).prober(prober);
        // Answers are kept for the hosts of this trial: asking takes longer than what is tried here.
        let loader = builder.cache_dir(base.join("cache")).state_dir(base.join("state")).build()?;
        let state = StateDir::open(base.join("state"))?;
        Ok(Self { dir: None, base: base.to_owned(), plugins: plugins.to_owned(), word, loader, state })
    }

    /// The name of this trial's task `which`.
    pub(crate) fn name(&self, which: &str) -> TaskName {
        TaskName::new(format!("{}-{which}", self.word)).expect("a name")
    }

    /// The id of this trial's task `which`.
    pub(crate) fn id(&self, which: &str) -> TaskId {
        TaskId::new(&PluginName::new("fallback").expect("a name"), &self.name(which))
    }

    /// `sh -c script` as the task `which`; `WORK` in it is the directory [`work`](Self::work).
    pub(crate) fn shell(&self, which: &str, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script.replace("WORK", &self.work("").to_string_lossy())]);
        command.plugin(PluginName::new("fallback").expect("a name")).name(self.name(which));
        // The id holds the word.
        command.env(TRIAL, self.id(which).to_string());
        command
    }

    /// Starts `script` as the task `which`.
    pub(crate) fn start(&self, which: &str, script: &str) -> Result<Task, Failed> {
        Ok(self.shell(which, script).start(&self.loader)?)
    }

    /// Finds the task `which` again.
    pub(crate) fn open(&self, which: &str) -> executor_loader::Result<Task> {
        self.loader.open(&self.id(which))
    }

    /// A file that tasks can make and see.
    pub(crate) fn work(&self, file: &str) -> PathBuf {
        self.base.join("work").join(file)
    }

    /// Waits until a task has made `file`, and has written a line into it, which is returned.
    pub(crate) fn written(&self, file: &str) -> Result<String, Failed> {
        let line = || fs::read_to_string(self.work(file)).ok().filter(|text| text.ends_with('\n'));
        Ok(until(file, line)?.trim().to_owned())
    }

    /// The directory of the record of the task `which`.
    pub(crate) fn record_dir(&self, which: &str) -> PathBuf {
        self.base.join("state/tasks").join(self.id(which).to_string())
    }

    /// The supervisor of the task `which`, as its record names it.
    pub(crate) fn supervisor(&self, which: &str) -> Result<i32, Failed> {
        let text = fs::read_to_string(self.record_dir(which).join("record.json"))?;
        let record: Record = serde_json::from_str(text.lines().next().unwrap_or_default())?;
        Ok(i32::try_from(record.supervisor.pid)?)
    }

    /// The processes of the task `which` and its supervisor, also one in the making.
    pub(crate) fn processes(&self, which: &str) -> Vec<i32> {
        processes::carrying(&self.id(which).to_string())
    }

    /// Collects everything, then fails unless nothing of the trial is left: process, record or zombie.
    pub(crate) fn clean(&self) -> Result<(), Failed> {
        self.collect()?;
        self.gone(&self.word)?;
        // The plugin reaps with its next act.
        let reaped = || self.open("nobody").is_err() && processes::zombies().is_empty();
        within(GONE, "no zombie is left", || reaped().then_some(()))
    }

    /// Collects everything, and fails unless no record is left.
    pub(crate) fn collect(&self) -> Result<(), Failed> {
        let mut refusals = String::new();
        // A supervisor that has told the end keeps its record for a moment.
        let collected = within(GONE, "every record is collected", || {
            refusals = format!("{:?}", self.state.collect_all());
            self.no_record().then_some(())
        });
        collected.map_err(|_| format!("records are left: {refusals}, listed {:?}", self.state.list()).into())
    }

    /// Whether there is no record, nor a part of one.
    pub(crate) fn no_record(&self) -> bool {
        fs::read_dir(self.base.join("state/tasks")).is_ok_and(|mut left| left.next().is_none())
    }

    /// Fails unless every process that carries `word` is gone, soon.
    pub(crate) fn gone(&self, word: &str) -> Result<(), Failed> {
        let gone = within(GONE, "gone", || processes::carrying(word).is_empty().then_some(()));
        gone.map_err(|_| {
            let left = processes::carrying(word);
            let line = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let lines: Vec<String> =
                left.iter().map(|pid| format!("{pid}: {}", line(pid).replace('\0', " "))).collect();
            format!("processes are left: {lines:?}").into()
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of a failed trial; its word is nobody else's.
        if self.dir.is_some() {
            processes::carrying(&self.word).into_iter().for_each(processes::end);
        }
    }
}
