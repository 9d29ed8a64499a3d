//! A way of isolating, as an author sees it: made once for each host, asked what it can do here, then for tasks.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::abi::HostLog;
use crate::error::Result;
use crate::executor::Executor;
use crate::id::TaskId;
use crate::support::Capabilities;
use crate::text::{is_default, optional};

/// A way of isolating tasks.
///
/// # Examples
///
/// ```
/// use executor_api::{Capabilities, Error, Executor, Host, Plugin, Result, TaskId};
/// # use executor_api::{Outcome, Resources, StdioFds, TaskSpec};
/// # use std::time::Duration;
/// # struct Nothing;
/// # impl Executor for Nothing {
/// #     fn limit(&self, _: &Resources) -> Result<()> { Ok(()) }
/// #     fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> { Ok(()) }
/// #     fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> { Ok(None) }
/// #     fn shutdown(&self, _: Duration) -> Result<()> { Ok(()) }
/// #     fn force_stop(&self) -> Result<()> { Ok(()) }
/// # }
/// struct Nowhere;
///
/// impl Plugin for Nowhere {
///     type Task = Nothing;
///     fn init(_: Host) -> Result<Self> { Ok(Self) }
///     fn probe(&self) -> Result<Capabilities> { Ok(Capabilities::unusable("it is an example", "")) }
///     fn create(&self, _: &TaskId) -> Result<Nothing> { Ok(Nothing) }
///     fn open(&self, id: &TaskId) -> Result<Nothing> { Err(Error::unsupported(&format!("open {id}"))) }
/// }
/// ```
pub trait Plugin: Send + Sync + Sized + 'static {
    /// The tasks of this plugin.
    type Task: Executor;

    /// Makes the plugin, once for each host that loads it. Touches nothing on the machine.
    ///
    /// # Errors
    ///
    /// What makes the plugin useless to this host; the loader reports it and goes on.
    fn init(host: Host) -> Result<Self>;

    /// Finds out what this host can enforce, changing nothing on it; within two seconds, or the loader refuses the
    /// plugin. Runs in a process of its own; in the host only where nobody has asked before.
    ///
    /// # Errors
    ///
    /// What kept it from finding out. A host that it cannot work on is no error but
    /// [`Capabilities::unusable`].
    fn probe(&self) -> Result<Capabilities>;

    /// An empty task that will have this id.
    ///
    /// # Errors
    ///
    /// `Exists` when the id is taken, where the plugin can know so early.
    fn create(&self, id: &TaskId) -> Result<Self::Task>;

    /// The task with this id, which some process on this host started: running, ended, or ended unseen.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none, `Unsupported` when this plugin keeps no record of its tasks.
    fn open(&self, id: &TaskId) -> Result<Self::Task>;
}

/// What the host tells a plugin about itself, and the way back to it.
///
/// Example: [`Plugin`].
#[derive(Debug)]
pub struct Host {
    settings: HostSettings,
    log: HostLog,
}

impl Host {
    pub(crate) fn new(settings: HostSettings, log: HostLog) -> Self {
        Self { settings, log }
    }

    /// Hands one line to the host's log. From any thread; never between fork and exec.
    ///
    /// Example: `host.log(Level::Warn, "cgroup2 has no controllers here")`, see [`Plugin`].
    ///
    /// # Errors
    ///
    /// `Panicked` when the host's sink did; the line is lost, the host lives.
    pub fn log(&self, level: LogLevel, message: &str) -> Result<()> {
        self.log.write(level, message)
    }

    /// Where records of tasks are kept, if the host chose a place.
    ///
    /// Example: [`Plugin`].
    #[must_use]
    pub fn state_dir(&self) -> Option<&Path> {
        self.settings.state_dir.as_deref()
    }

    /// The directory that the plugin was loaded from: programs that it ships lie beside it.
    ///
    /// Example: [`Plugin`].
    #[must_use]
    pub fn plugin_dir(&self) -> Option<&Path> {
        self.settings.plugin_dir.as_deref()
    }

    /// Settings of this plugin's own: JSON, as the host's operator wrote it; empty when there are none.
    ///
    /// Example: [`Plugin`].
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.settings.plugin
    }
}

/// How much a log line matters.
///
/// Example: [`Host::log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LogLevel {
    /// Something broke.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something worth knowing happened.
    Info,
    /// For whoever looks for a fault.
    Debug,
}

/// The document that `init` takes: a request, so unknown keys are refused.
///
/// Example: [`Plugin`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HostSettings {
    /// Where records of tasks are kept; absent for the plugin's default.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    pub state_dir: Option<std::path::PathBuf>,
    /// The directory that the plugin was loaded from.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    pub plugin_dir: Option<std::path::PathBuf>,
    /// What the plugin answered to [`Plugin::probe`] in a process of its own; absent there. It is not asked again then.
    #[serde(skip_serializing_if = "is_default")]
    pub probed: Option<Capabilities>,
    /// Settings of the plugin's own, as the text of a JSON document; empty for none.
    #[serde(skip_serializing_if = "is_default")]
    pub plugin: String,
}
