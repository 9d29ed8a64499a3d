//! The plugins of a host: reported, chosen from, and opened as they are needed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use executor_api::abi::{LogSink, PluginHandle};
use executor_api::plugin::HostSettings;
use executor_api::{Demands, PluginName, TaskId};

use crate::allow::Allowed;
use crate::builder::LoaderBuilder;
use crate::candidate::Candidate;
use crate::choose::{Choice, choose};
use crate::discover::settings_for;
use crate::elf;
use crate::error::{Error, Result};
use crate::open::{By, open};
use crate::records::Records;
use crate::refusal::{Refusal, Stage};
use crate::task::Task;
use crate::trust::open_trusted;

/// The plugins of this host, looked at and asked, and opened as they are needed.
///
/// # Examples
///
/// ```no_run
/// use executor_loader::{Command, Loader};
///
/// let loader = Loader::new()?;
/// let task = Command::new("make").arg("-j4").start(&loader)?;
/// println!("{}: {}", task.id(), task.wait()?);
/// # Ok::<(), executor_loader::Error>(())
/// ```
pub struct Loader {
    candidates: Vec<Candidate>,
    dirs: Vec<PathBuf>,
    settings: HostSettings,
    sink: LogSink,
    allowed: Allowed,
    opened: Mutex<BTreeMap<PluginName, Arc<PluginHandle>>>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}

impl Loader {
    /// Looks in the usual places, with the usual settings.
    ///
    /// # Errors
    ///
    /// As [`LoaderBuilder::build`]; with the usual settings there is nothing to go wrong.
    ///
    /// Example: [`Loader`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    pub(crate) fn new_with(
        candidates: Vec<Candidate>,
        dirs: Vec<PathBuf>,
        settings: HostSettings,
        sink: LogSink,
        allowed: Allowed,
    ) -> Self {
        Self { candidates, dirs, settings, sink, allowed, opened: Mutex::default() }
    }

    /// Looks elsewhere, or otherwise.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn builder() -> LoaderBuilder {
        LoaderBuilder::default()
    }

    /// Every file that could have been a plugin, in the order of the search, with what became of it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let loader = executor_loader::Loader::new()?;
    /// for candidate in loader.report() {
    ///     println!("{candidate}"); // one line, whatever the file is
    /// }
    /// # Ok::<(), executor_loader::Error>(())
    /// ```
    #[must_use]
    pub fn report(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The directories that were looked in, first to last.
    ///
    /// Example: [`Loader::report`].
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// The plugin for a task that makes `demands`, only `asked` where one is named; nothing is opened.
    ///
    /// # Errors
    ///
    /// [`Error::NoPlugin`] with the reason for each plugin.
    ///
    /// Example: [`choose`].
    pub fn choose(&self, demands: &Demands, asked: Option<&PluginName>) -> Result<Choice> {
        let offers: Vec<_> = self.candidates.iter().filter_map(Candidate::offer).collect();
        choose(demands, asked, &offers).map_err(|mut none| {
            let unread = self.candidates.iter().filter(|candidate| candidate.name.is_none());
            none.unread = unread.map(ToString::to_string).collect();
            if offers.is_empty() && !none.unread.is_empty() {
                none.fix = String::new();
            }
            Error::NoPlugin(none)
        })
    }

    /// Finds a task again by its id: started by this process or another one, running or ended.
    ///
    /// # Errors
    ///
    /// [`Error::NoPlugin`] when the plugin in the id is not installed, else what the plugin says: `NotFound` when it
    /// has no such task, `Unsupported` when it keeps no record of tasks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let loader = executor_loader::Loader::new()?;
    /// let task = loader.open(&"linux.build-7".parse()?)?;
    /// println!("{}", task.wait()?);
    /// # Ok::<(), executor_loader::Error>(())
    /// ```
    pub fn open(&self, id: &TaskId) -> Result<Task> {
        let handle = self.plugin(id.plugin())?.open(id)?;
        Ok(Task::new(id.clone(), handle))
    }

    /// The ids of all tasks that are recorded, running or ended, whichever plugin runs them; sorted.
    ///
    /// # Errors
    ///
    /// What keeps the state directory from being used.
    ///
    /// Example: [`Loader::collect`].
    pub fn tasks(&self) -> Result<Vec<TaskId>> {
        self.records()?.list()
    }

    /// Removes the record of a task that has ended, and what it printed where that was kept; its id is free again.
    ///
    /// # Errors
    ///
    /// `Busy` while the task runs, `NotFound` when there is no record of it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let loader = executor_loader::Loader::new()?;
    /// for id in loader.tasks()? {
    ///     if let Err(error) = loader.collect(&id) {
    ///         eprintln!("{error}"); // it runs
    ///     }
    /// }
    /// # Ok::<(), executor_loader::Error>(())
    /// ```
    pub fn collect(&self, id: &TaskId) -> Result<()> {
        self.records()?.collect(id)
    }

    /// The records of the tasks, whichever plugin runs them.
    ///
    /// # Errors
    ///
    /// What keeps the state directory from being used.
    ///
    /// Example: [`Records`].
    pub fn records(&self) -> Result<Records> {
        Records::open(self.settings.state_dir.clone())
    }

    /// An empty task with this id, for a host that makes the calls of [`Executor`](executor_api::Executor) one by one.
    #[doc(hidden)]
    pub fn create(&self, id: &TaskId) -> Result<Task> {
        Ok(Task::new(id.clone(), self.plugin(id.plugin())?.create(id)?))
    }

    /// What a sink given to [`LoaderBuilder::log`] last panicked with, called by the plugin `name`.
    ///
    /// Example: [`LoaderBuilder::log`].
    #[must_use]
    pub fn sink_panic(&self, name: &PluginName) -> Option<executor_api::Error> {
        self.locked().get(name).and_then(|plugin| plugin.callback_panic())
    }

    /// The plugin `name`, mapped into this process at the first call.
    pub(crate) fn plugin(&self, name: &PluginName) -> Result<Arc<PluginHandle>> {
        let mut opened = self.locked();
        if let Some(plugin) = opened.get(name) {
            return Ok(Arc::clone(plugin));
        }
        // Refused and unusable ones are told by `choose`, in the words of the report.
        self.choose(&Demands::default(), Some(name))?;
        let candidate = self.candidates.iter().find(|candidate| candidate.name.as_ref() == Some(name));
        let loaded =
            candidate.map_or_else(|| Err(Refusal::new(Stage::Search, "it is gone")), |candidate| self.load(candidate));
        let plugin = loaded.map(Arc::new).map_err(|source| Error::Load { plugin: name.clone(), source })?;
        opened.insert(name.clone(), Arc::clone(&plugin));
        Ok(plugin)
    }

    fn load(&self, candidate: &Candidate) -> Result<PluginHandle, Refusal> {
        let file = open_trusted(&candidate.path)?;
        if Some(&file.identity) != candidate.identity.as_ref() {
            return Err(Refusal::new(Stage::Load, "the file is not the one that was looked at before")
                .with_fix("look for plugins again (a new Loader)"));
        }
        self.allowed.check(&file)?;
        let metadata = elf::metadata(&file)?;
        let by = if self.allowed.by_content() && cfg!(target_os = "linux") { By::Descriptor } else { By::Path };
        let mut settings = settings_for(&self.settings, &candidate.path);
        // What it was chosen by; asking again here would have no deadline.
        settings.probed = candidate.capabilities().cloned();
        open(file, &metadata, by, &settings, Arc::clone(&self.sink))
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<PluginName, Arc<PluginHandle>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
