//! The plugin: where its supervisor lies, whether that can be used, and empty tasks.
//!
//! Nothing here touches the machine but the question whether the supervisor can be executed. Tasks that were started
//! by another process are found by their record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use executor_api::record::StateDir;
use executor_api::{Capabilities, Error, ErrorKind, Host, Plugin, Result, TaskId};
use nix::unistd::{AccessFlags, Uid, access};

use crate::found::FoundTask;
use crate::launch::{Leaving, check_trust};
use crate::support;
use crate::task::{FallbackTask, Ground, StartedTask};
use crate::wire::SUPERVISOR;

const NO_PLUGIN_DIR: &str = "the host does not say where the plugin lies: its supervisor is looked for there";
const GIVE_PLUGIN_DIR: &str = "let the host give plugin_dir";

/// The executor for any Unix; isolates nothing.
///
/// A host gets it from the loader. Linked into a program it is made with [`with_supervisor`](Self::with_supervisor).
///
/// # Examples
///
/// ```no_run
/// use executor_api::{Executor, Plugin, StdioFds, TaskSpec};
/// use executor_fallback::FallbackPlugin;
///
/// let plugin = FallbackPlugin::with_supervisor("/usr/lib/executor/1/executor-fallback-supervisor", "/run/executor");
/// let task = plugin.create(&"fallback.hello".parse()?)?;
/// task.start(&TaskSpec::new("/bin/true"), StdioFds::default())?;
/// assert!(task.wait(None)?.is_some_and(|outcome| outcome.success()));
/// # Ok::<(), executor_api::Error>(())
/// ```
#[derive(Debug)]
pub struct FallbackPlugin {
    /// None where the host did not say where the plugin lies.
    supervisor: Option<PathBuf>,
    /// Where records go; none for the default.
    state: Option<PathBuf>,
    leaving: Leaving,
    /// None in a program that links the plugin.
    host: Option<Arc<Host>>,
}

impl FallbackPlugin {
    /// The plugin with its supervisor at `path` and records in `state`, for programs that link it.
    #[must_use]
    pub fn with_supervisor(path: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { supervisor: Some(path.into()), state: Some(state.into()), leaving: Leaving::default(), host: None }
    }

    /// Where records go.
    fn state(&self) -> Result<PathBuf> {
        self.state.clone().map_or_else(StateDir::default_path, Ok)
    }
}

impl Plugin for FallbackPlugin {
    type Task = FallbackTask;

    fn init(host: Host) -> Result<Self> {
        let supervisor = host.plugin_dir().map(|dir| dir.join(SUPERVISOR));
        let state = host.state_dir().map(Path::to_owned);
        Ok(Self { supervisor, state, leaving: Leaving::default(), host: Some(Arc::new(host)) })
    }

    fn probe(&self) -> Result<Capabilities> {
        let Some(path) = &self.supervisor else {
            return Ok(Capabilities::unusable(NO_PLUGIN_DIR, GIVE_PLUGIN_DIR));
        };
        if let Err(errno) = access(path, AccessFlags::X_OK) {
            let why = format!("its supervisor cannot be executed: {}: {}", path.display(), errno.desc());
            let fix = format!("install {SUPERVISOR}, which belongs to the plugin, as {}", path.display());
            return Ok(Capabilities::unusable(why, fix));
        }
        if let Err(error) = check_trust(path).and_then(|()| self.state()) {
            return Ok(Capabilities::unusable(error.to_string(), error.fix().unwrap_or_default()));
        }
        Ok(support::capabilities(Uid::effective().is_root(), cfg!(target_os = "linux")))
    }

    fn create(&self, id: &TaskId) -> Result<FallbackTask> {
        self.leaving.sweep();
        let supervisor = self.supervisor.clone().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("create task {id}"), NO_PLUGIN_DIR).with_fix(GIVE_PLUGIN_DIR)
        })?;
        let (state, leaving, host) = (self.state()?, self.leaving.clone(), self.host.clone());
        Ok(FallbackTask::Started(StartedTask::new(id.clone(), Ground { supervisor, state, leaving, host })))
    }

    fn open(&self, id: &TaskId) -> Result<FallbackTask> {
        self.leaving.sweep();
        FoundTask::new(StateDir::open(self.state()?)?.find(id)?).map(FallbackTask::Found)
    }
}
