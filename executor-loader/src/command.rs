//! A command to run as a task, in the manner of `std::process::Command`.

use std::ffi::{OsStr, OsString};
use std::mem;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use executor_api::abi::PluginHandle;
use executor_api::limits::Rlimit;
use executor_api::units::{Bytes, Cpus, Pids};
use executor_api::{
    Account, Demand, Demands, Enforcement, Feature, PluginName, Resources, StdioFds, TaskDir, TaskId, TaskName,
    TaskSpec,
};

use crate::choose::Choice;
use crate::error::{Error, Result};
use crate::loader::Loader;
use crate::logs::Place;
use crate::stdio::Stdio;
use crate::task::Task;

/// A command, its surroundings and its limits; [`start`](Self::start) makes a [`Task`] of it.
///
/// The task starts from a clean slate: an empty environment but for `PATH`, `/` as its directory, streams that lead
/// nowhere. Whatever is named here is required: a limit that no plugin can enforce on this host is an error before
/// anything runs.
///
/// # Examples
///
/// ```no_run
/// use executor_loader::{Command, Error, Loader, Stdio};
/// use std::time::Duration;
///
/// let loader = Loader::new()?;
/// let task = Command::new("gzip").args(["-k", "/srv/data/in"]).timeout(Duration::from_secs(60)).start(&loader);
/// match task {
///     Ok(task) => println!("{} {}", task.id(), task.wait()?),
///     Err(error) => {
///         let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
///         eprintln!("{error} {reason} {}", error.fix().unwrap_or_default());
///     }
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Command {
    spec: TaskSpec,
    resources: Resources,
    task_dir: Option<TaskDir>,
    name: Option<TaskName>,
    plugin: Option<PluginName>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    demands: Demands,
}

impl Command {
    /// Runs `program`: an absolute path, or a bare name that is looked up in the task's own `PATH`.
    ///
    /// Example: [`Command`].
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            spec: TaskSpec::new(program),
            resources: Resources::default(),
            task_dir: None,
            name: None,
            plugin: None,
            stdin: Stdio::null(),
            stdout: Stdio::null(),
            stderr: Stdio::null(),
            demands: Demands::default(),
        }
    }

    /// Adds an argument.
    ///
    /// Example: [`Command`].
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.spec.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    ///
    /// Example: [`Command`].
    pub fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.spec.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the task's environment, which is empty but for `PATH` otherwise.
    ///
    /// Example: [`Command`].
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.spec.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets the working directory, as the task sees it; absolute.
    ///
    /// Example: [`Command`].
    pub fn current_dir(&mut self, dir: impl Into<PathBuf>) -> &mut Self {
        self.spec.cwd = Some(dir.into());
        self
    }

    /// Connects standard input; by default there is nothing to read.
    ///
    /// Example: [`Stdio`].
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.stdin = stdin.into();
        self
    }

    /// Connects standard output; by default it leads nowhere.
    ///
    /// Example: [`Stdio`].
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.stdout = stdout.into();
        self
    }

    /// Connects standard error; by default it leads nowhere.
    ///
    /// Example: [`Stdio`].
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.stderr = stderr.into();
        self
    }

    /// Runs as this user and the user's own groups; by default `nobody` where the host is root.
    ///
    /// Example: [`Command`].
    pub fn user(&mut self, user: Account) -> &mut Self {
        self.spec.identity.user = Some(user);
        self
    }

    /// Caps the memory of the whole task, and its swap to none.
    ///
    /// Example: [`Command`].
    pub fn memory(&mut self, cap: Bytes) -> &mut Self {
        self.resources.memory = Some(cap);
        self
    }

    /// Caps the processor time of the whole task, in processors.
    ///
    /// Example: [`Command`].
    pub fn cpus(&mut self, cap: Cpus) -> &mut Self {
        self.resources.cpus = Some(cap);
        self
    }

    /// Caps the number of processes and threads of the whole task.
    ///
    /// Example: [`Command`].
    pub fn pids(&mut self, cap: Pids) -> &mut Self {
        self.resources.pids = Some(cap);
        self
    }

    /// Sets a per-process limit, by its name in setrlimit(2) in lower case without `RLIMIT_`.
    ///
    /// Example: [`Command`].
    pub fn rlimit(&mut self, name: impl Into<String>, limit: Rlimit) -> &mut Self {
        self.resources.rlimits.insert(name.into(), limit);
        self
    }

    /// Kills the whole task after this much time by the wall clock.
    ///
    /// Example: [`Command`].
    pub fn timeout(&mut self, after: Duration) -> &mut Self {
        self.resources.wall_time = Some(after);
        self
    }

    /// Gives the task a directory of its own, as in the seed.
    ///
    /// Example: [`executor_api::task_dir`].
    pub fn task_dir(&mut self, dir: TaskDir) -> &mut Self {
        self.task_dir = Some(dir);
        self
    }

    /// Names the task; by default it gets a random name.
    ///
    /// Example: [`Loader::open`].
    pub fn name(&mut self, name: TaskName) -> &mut Self {
        self.name = Some(name);
        self
    }

    /// The name that it was given.
    ///
    /// Example: [`Loader::open`].
    #[must_use]
    pub fn task_name(&self) -> Option<&TaskName> {
        self.name.as_ref()
    }

    /// Runs it with this plugin or not at all.
    ///
    /// Example: [`Command`].
    pub fn plugin(&mut self, plugin: PluginName) -> &mut Self {
        self.plugin = Some(plugin);
        self
    }

    /// Runs it with less than was asked for where that cannot be had; [`Task::applied`] tells with what.
    ///
    /// Example: [`Command`].
    pub fn best_effort(&mut self) -> &mut Self {
        self.spec.enforcement = Enforcement::BestEffort;
        self.resources.enforcement = Enforcement::BestEffort;
        self
    }

    /// Makes the whole default isolation a condition, not a wish, and with it all else that is asked for.
    ///
    /// Example: [`Command`].
    pub fn require_isolation(&mut self) -> &mut Self {
        self.spec.enforcement = Enforcement::Strict;
        self.resources.enforcement = Enforcement::Strict;
        self.spec.isolation.profile = Demand::Required;
        self
    }

    /// Everything that the task is told beside its limits, to set what has no method here.
    ///
    /// Its streams are set by [`stdin`](Self::stdin) and its like alone.
    ///
    /// Example: [`Command::resources_mut`].
    pub fn spec_mut(&mut self) -> &mut TaskSpec {
        &mut self.spec
    }

    /// What its streams are connected to: standard input, output and error.
    ///
    /// Example: [`Stdio`].
    #[must_use]
    pub fn streams(&self) -> [&Stdio; 3] {
        [&self.stdin, &self.stdout, &self.stderr]
    }

    /// What the task is told beside its limits, as it was set.
    ///
    /// Example: [`Command::resources_mut`].
    #[must_use]
    pub fn spec(&self) -> &TaskSpec {
        &self.spec
    }

    /// All of the task's limits, as they were set.
    ///
    /// Example: [`Command::resources_mut`].
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// All of the task's limits, to set what has no method here.
    ///
    /// # Examples
    ///
    /// ```
    /// # use executor_loader::Command;
    /// let mut command = Command::new("make");
    /// command.resources_mut().cpuset = vec![0, 1];
    /// command.spec_mut().isolation.network = executor_api::isolation::Network::Loopback;
    /// ```
    pub fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// Demands a feature that no setting stands for, such as [`Feature::Reopen`], which a task needs that is to outlive
    /// its host.
    ///
    /// Example: [`Command::demands`].
    pub fn require(&mut self, feature: Feature) -> &mut Self {
        self.demands.require(feature);
        self
    }

    /// What the task demands of a plugin.
    ///
    /// # Examples
    ///
    /// ```
    /// use executor_api::{Demand, Feature};
    ///
    /// let mut command = executor_loader::Command::new("make");
    /// let demands = command.require(Feature::Reopen).demands();
    /// assert!(demands.iter().any(|(feature, demand)| (feature, demand) == (Feature::Reopen, Demand::Required)));
    /// ```
    #[must_use]
    pub fn demands(&self) -> Demands {
        let mut demands = self.spec.demands();
        demands.extend(&self.resources.demands());
        demands.extend(&self.demands);
        if self.task_dir.is_some() {
            demands.require(Feature::TaskDir);
        }
        let streams = [&self.stdin, &self.stdout, &self.stderr].into_iter().filter_map(Stdio::demand);
        match self.spec.enforcement {
            Enforcement::Strict => streams.for_each(|feature| demands.require(feature)),
            Enforcement::BestEffort => streams.for_each(|feature| demands.prefer(feature)),
        }
        demands
    }

    /// Starts the command as a task of the best plugin for it.
    ///
    /// Pipes asked for are made anew; a stream that was given a descriptor has it for this start only and leads nowhere
    /// in the next.
    ///
    /// # Errors
    ///
    /// [`Error::NoPlugin`](crate::Error::NoPlugin) when none can do what is demanded, [`Error::Load`](crate::Error::Load)
    /// when the chosen one cannot be loaded, and [`Error::Task`](crate::Error::Task) with what the plugin says: nothing
    /// runs then.
    ///
    /// Example: [`Command`].
    pub fn start(&mut self, loader: &Loader) -> Result<Task> {
        self.spec.validate()?;
        self.resources.validate()?;
        let Choice { plugin, .. } = loader.choose(&self.demands(), self.plugin.as_ref())?;
        let id = TaskId::new(&plugin, &self.name.clone().unwrap_or_else(TaskName::random));
        let plugin = loader.plugin(&plugin)?;
        let kept = self.stdout.is_kept() || self.stderr.is_kept();
        let place = kept.then(|| Place::make(loader.records()?.state_dir(), &id).map_err(Error::from)).transpose()?;
        match self.start_as(&id, &plugin, place.as_ref()) {
            Err(error) => {
                // The reason for the failed start counts for more; a place that stays is a stray for `collect_ended`.
                _ = place.map(Place::discard);
                Err(error)
            }
            started => started,
        }
    }

    fn start_as(&mut self, id: &TaskId, plugin: &PluginHandle, place: Option<&Place>) -> Result<Task> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let stdin = self.stdin.for_start().input(stdin.as_fd())?;
        let stdout = self.stdout.for_start().output("stdout", stdout.as_fd(), place)?;
        let stderr = self.stderr.for_start().output("stderr", stderr.as_fd(), place)?;
        let mut spec = self.spec.clone();
        (spec.stdin, spec.stdout, spec.stderr) = (stdin.said, stdout.said, stderr.said);
        spec.validate()?;
        let handle = plugin.create(id)?;
        handle.limit(&self.resources)?;
        self.task_dir.as_ref().map(|dir| handle.configure_task_dir(dir)).transpose()?;
        let fds = StdioFds {
            stdin: stdin.theirs.as_ref().map(AsFd::as_fd),
            stdout: stdout.theirs.as_ref().map(AsFd::as_fd),
            stderr: stderr.theirs.as_ref().map(AsFd::as_fd),
        };
        handle.start(&spec, fds)?;
        let mut task = Task::new(id.clone(), handle);
        (task.stdin, task.stdout, task.stderr) = (stdin.ours, stdout.ours, stderr.ours);
        Ok(task)
    }

    /// The plugin that would run it, and what the task would not get in full; starts nothing.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), up to the choice of the plugin.
    ///
    /// Example: [`Command`].
    pub fn choose(&self, loader: &Loader) -> Result<Choice> {
        self.spec.validate()?;
        self.resources.validate()?;
        loader.choose(&self.demands(), self.plugin.as_ref())
    }
}

impl Stdio {
    /// The stream for one start: a descriptor is given away with it.
    fn for_start(&mut self) -> Self {
        let again = self.again();
        mem::replace(self, again)
    }
}
