//! The plugin's side of the border: what [`export_executor!`](crate::export_executor) puts around an author's types.
//!
//! It reads documents strictly, keeps the order of calls, holds every demand against the plugin's own capabilities, and
//! guards each entry. So an author cannot forget to refuse a limit, and a panic cannot reach the host.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RResult, RStr, RString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::{catch, guard};
use super::log::HostLog;
use super::object::{
    AbiExecutor, AbiExecutor_TO, AbiHostBox, AbiPlugin, AbiPlugin_TO, AbiPluginBox, AbiResult, AbiTask,
};
use super::types::{AbiError, AbiExit, AbiStats, AbiStdio, AbiWaitable};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::id::TaskId;
use crate::limits::Resources;
use crate::plugin::{Host, HostSettings, LogLevel, Plugin};
use crate::spec::{DEFAULT_PATH, Input, Output, StdioFds, TaskSpec};
use crate::support::{Applied, Capabilities, Feature};
use crate::task_dir::TaskDir;
use crate::units::Signal;

/// Reads a document that asks for something: every key must be known.
fn read<T: DeserializeOwned>(what: &str, json: RStr<'_>) -> Result<T> {
    serde_json::from_str(json.as_str()).map_err(|error| Error::invalid(format!("read the {what}"), error.to_string()))
}

fn write<T: Serialize>(value: &T) -> Result<RString> {
    let json = serde_json::to_string(value);
    json.map(RString::from).map_err(|error| Error::new(ErrorKind::Internal, "write a reply", error.to_string()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock has poisoned the object already; what the lock protects stays readable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set by the first panic in an object; from then on it answers only what must always work.
#[derive(Default)]
struct Poison(AtomicBool);

impl Poison {
    /// Runs `act` unless the object is poisoned, and poisons it if `act` panics.
    fn enter<T>(&self, entry: &str, act: impl FnOnce() -> Result<T>) -> AbiResult<T> {
        if self.0.load(Ordering::Acquire) {
            let why = "an earlier call on this object panicked; only force_stop, open and dropping it work now";
            return RResult::RErr(Error::new(ErrorKind::Panicked, entry, why).into());
        }
        self.enter_always(entry, act)
    }

    /// Runs `act` even if the object is poisoned.
    fn enter_always<T>(&self, entry: &str, act: impl FnOnce() -> Result<T>) -> AbiResult<T> {
        let result = catch(entry, act);
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Panicked) {
            self.0.store(true, Ordering::Release);
        }
        result.map_err(AbiError::from).into()
    }
}

/// A plugin behind the border.
struct Bridge<P: Plugin> {
    plugin: ManuallyDrop<P>,
    capabilities: OnceLock<Arc<Capabilities>>,
    log: HostLog,
    poison: Poison,
}

impl<P: Plugin> Bridge<P> {
    /// The plugin's report on this host, asked for once.
    fn capabilities(&self) -> Result<Arc<Capabilities>> {
        if let Some(known) = self.capabilities.get() {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(self.plugin.probe()?);
        Ok(Arc::clone(self.capabilities.get_or_init(|| found)))
    }

    fn task(&self, task: P::Task, capabilities: Arc<Capabilities>, phase: Phase) -> AbiTask {
        Slot::object(Box::new(task), capabilities, self.log.clone(), phase)
    }
}

impl<P: Plugin> AbiPlugin for Bridge<P> {
    fn probe(&self) -> AbiResult<RString> {
        self.poison.enter("probe", || write(&*self.capabilities()?))
    }

    fn create(&self, id: RStr<'_>) -> AbiResult<AbiTask> {
        self.poison.enter("create", || {
            let capabilities = self.capabilities()?;
            let task = self.plugin.create(&id.as_str().parse::<TaskId>()?)?;
            Ok(self.task(task, capabilities, Phase::Created))
        })
    }

    fn open(&self, id: RStr<'_>) -> AbiResult<AbiTask> {
        // Even after a panic elsewhere: a running task must stay within reach.
        self.poison.enter_always("open", || {
            let task = self.plugin.open(&id.as_str().parse::<TaskId>()?)?;
            let capabilities = self.capabilities.get().cloned().unwrap_or_default();
            Ok(self.task(task, capabilities, Phase::Opened))
        })
    }
}

impl<P: Plugin> Drop for Bridge<P> {
    fn drop(&mut self) {
        // SAFETY: this is the only place that drops the field, and `self` is not used afterwards.
        drop_guarded("drop the plugin", &self.log, || unsafe { ManuallyDrop::drop(&mut self.plugin) });
    }
}

/// Drops something of the author's; a panic in it ends up in the host's log, since a drop has no answer.
fn drop_guarded(entry: &str, log: &HostLog, drop: impl FnOnce()) {
    let dropped = catch(entry, || {
        drop();
        Ok(())
    });
    if let Err(error) = dropped {
        // The host lives, and nobody is left to tell if its log fails as well.
        drop_result(log.write(LogLevel::Error, &error.to_string()));
    }
}

fn drop_result<T>(_: Result<T>) {}

/// Where a task is on its way. `Failed` never comes back: a new task is made with `create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Created,
    Limited,
    Starting,
    Started,
    Opened,
    Failed,
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Self::Created => "its limits have not been set: call limit first, an empty document is enough",
            Self::Limited => "it has not been started",
            Self::Starting => "it is being started",
            Self::Started => "it has been started",
            Self::Opened => "it was started by another process",
            Self::Failed => "its start failed or it was stopped before; make another task",
        }
    }
}

/// What the glue remembers of a task.
struct Progress {
    phase: Phase,
    applied: Applied,
    command: Vec<OsString>,
}

/// A task behind the border.
struct Slot {
    task: ManuallyDrop<Box<dyn Executor>>,
    capabilities: Arc<Capabilities>,
    progress: Mutex<Progress>,
    log: HostLog,
    poison: Poison,
}

impl Slot {
    fn object(task: Box<dyn Executor>, capabilities: Arc<Capabilities>, log: HostLog, phase: Phase) -> AbiTask {
        let progress = Mutex::new(Progress { phase, applied: Applied::default(), command: Vec::new() });
        let slot = Self { task: ManuallyDrop::new(task), capabilities, progress, log, poison: Poison::default() };
        AbiExecutor_TO::from_value(slot, TD_Opaque)
    }

    /// Moves from one of the phases `from` to `to`; refuses elsewhere.
    fn advance(&self, act: &str, from: &[Phase], to: Phase) -> Result<()> {
        let mut progress = locked(&self.progress);
        if !from.contains(&progress.phase) {
            return Err(Error::new(ErrorKind::Busy, format!("{act} the task"), progress.phase.words()));
        }
        progress.phase = to;
        Ok(())
    }

    /// Refuses before the task was started.
    fn started(&self, act: &str) -> Result<()> {
        self.advance_if_running(act).map(drop)
    }

    fn advance_if_running(&self, act: &str) -> Result<Phase> {
        let phase = locked(&self.progress).phase;
        match phase {
            Phase::Started | Phase::Opened | Phase::Starting => Ok(phase),
            _ => Err(Error::new(ErrorKind::Busy, format!("{act} the task"), phase.words())),
        }
    }

    fn limit_checked(&self, json: RStr<'_>) -> Result<()> {
        let resources: Resources = read("resources", json)?;
        resources.validate()?;
        let applied = self.capabilities.admit(&resources.demands())?;
        self.advance("limit", &[Phase::Created], Phase::Failed)?;
        self.task.limit(&resources)?;
        let mut progress = locked(&self.progress);
        progress.applied = applied;
        progress.phase = Phase::Limited;
        Ok(())
    }

    fn start_checked(&self, json: RStr<'_>, stdio: &AbiStdio) -> Result<()> {
        let (spec, applied) = self.admit(json, &stdio.borrow())?;
        self.advance("start", &[Phase::Limited], Phase::Starting)?;
        let started = catch("start", || self.task.start(&spec, stdio.borrow()));
        let mut progress = locked(&self.progress);
        progress.phase = if started.is_ok() { Phase::Started } else { Phase::Failed };
        progress.applied.extend(applied);
        progress.command = spec.command_line();
        started
    }

    /// Reads a spec and holds it against the capabilities and the descriptors that came with it.
    fn admit(&self, json: RStr<'_>, fds: &StdioFds<'_>) -> Result<(TaskSpec, Applied)> {
        let mut spec: TaskSpec = read("task spec", json)?;
        spec.validate()?;
        let applied = self.capabilities.admit(&spec.demands())?;
        let streams = [
            ("stdin", spec.stdin == Input::Passed, fds.stdin.is_some()),
            ("stdout", spec.stdout == Output::Passed, fds.stdout.is_some()),
            ("stderr", spec.stderr == Output::Passed, fds.stderr.is_some()),
        ];
        if let Some((name, ..)) = streams.iter().find(|(_, said, passed)| said != passed) {
            return Err(Error::invalid(format!("pass {name}"), "the spec and the descriptors passed disagree on it"));
        }
        spec.env.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        Ok((spec, applied))
    }

    /// The author's answer, or `known` where the author has none and this process started the task.
    fn or_known<T>(&self, answer: Result<T>, known: impl FnOnce(&Progress) -> T) -> Result<T> {
        let progress = locked(&self.progress);
        match answer {
            Err(error) if error.kind() == ErrorKind::Unsupported && progress.phase == Phase::Started => {
                Ok(known(&progress))
            }
            answer => answer,
        }
    }
}

impl AbiExecutor for Slot {
    fn limit(&self, resources: RStr<'_>) -> AbiResult<()> {
        self.poison.enter("limit", || self.limit_checked(resources))
    }

    fn configure_task_dir(&self, dir: RStr<'_>) -> AbiResult<()> {
        self.poison.enter("configure_task_dir", || {
            let dir: TaskDir = read("task directory", dir)?;
            crate::isolation::absolute(&dir.root)?;
            let mut demands = crate::Demands::default();
            demands.require(Feature::TaskDir);
            self.capabilities.admit(&demands)?;
            // Through Limited again: a directory that was refused must not leave a task that starts without one.
            self.advance("configure the directory of", &[Phase::Limited], Phase::Failed)?;
            self.task.configure_task_dir(&dir)?;
            locked(&self.progress).phase = Phase::Limited;
            Ok(())
        })
    }

    fn start(&self, spec: RStr<'_>, stdio: AbiStdio) -> AbiResult<()> {
        self.poison.enter("start", || self.start_checked(spec, &stdio))
    }

    fn wait(&self, timeout_ms: i64) -> AbiResult<AbiExit> {
        self.poison.enter("wait", || {
            self.started("wait for")?;
            let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
            self.task.wait(timeout).map(AbiExit::from)
        })
    }

    fn exit_handle(&self) -> AbiResult<AbiWaitable> {
        self.poison.enter("exit_handle", || {
            self.started("wait for")?;
            self.task.exit_handle().map(AbiWaitable::of)
        })
    }

    fn shutdown(&self, grace_ms: u64) -> AbiResult<()> {
        self.poison.enter("shutdown", || {
            self.started("stop")?;
            self.task.shutdown(Duration::from_millis(grace_ms))
        })
    }

    fn force_stop(&self) -> AbiResult<()> {
        self.poison.enter_always("force_stop", || {
            let mut progress = locked(&self.progress);
            if matches!(progress.phase, Phase::Created | Phase::Limited) {
                progress.phase = Phase::Failed;
            }
            drop(progress);
            self.task.force_stop()
        })
    }

    fn command(&self) -> AbiResult<RString> {
        self.poison.enter("command", || {
            let words = self.or_known(self.task.command(), |progress| progress.command.clone())?;
            let (program, args) = words.split_first().ok_or_else(|| Error::unsupported("command"))?;
            let mut spec = TaskSpec::new(program);
            spec.args = args.to_vec();
            write(&spec)
        })
    }

    fn applied(&self) -> AbiResult<RString> {
        self.poison
            .enter("applied", || write(&self.or_known(self.task.applied(), |progress| progress.applied.clone())?))
    }

    fn stats(&self) -> AbiResult<AbiStats> {
        self.poison.enter("stats", || {
            self.started("measure")?;
            self.task.stats().map(AbiStats::from)
        })
    }

    fn signal(&self, signal: i32) -> AbiResult<()> {
        self.poison.enter("signal", || {
            self.started("signal")?;
            let signal = Signal::new(signal).map_err(|error| Error::invalid("signal the task", error.to_string()))?;
            self.task.signal(signal)
        })
    }

    fn update(&self, resources: RStr<'_>) -> AbiResult<()> {
        self.poison.enter("update", || {
            self.started("update")?;
            let resources: Resources = read("resources", resources)?;
            resources.validate()?;
            self.capabilities.admit(&resources.demands())?;
            self.task.update(&resources)
        })
    }

    fn pause(&self) -> AbiResult<()> {
        self.poison.enter("pause", || {
            self.started("pause")?;
            self.task.pause()
        })
    }

    fn resume(&self) -> AbiResult<()> {
        self.poison.enter("resume", || {
            self.started("resume")?;
            self.task.resume()
        })
    }

    fn exec(&self, spec: RStr<'_>, stdio: AbiStdio) -> AbiResult<AbiTask> {
        self.poison.enter("exec", || {
            self.started("exec in")?;
            let (spec, _) = self.admit(spec, &stdio.borrow())?;
            let inner = self.task.exec(&spec, stdio.borrow())?;
            Ok(Self::object(inner, Arc::clone(&self.capabilities), self.log.clone(), Phase::Opened))
        })
    }

    fn call(&self, operation: RStr<'_>, request: RStr<'_>) -> AbiResult<RString> {
        self.poison.enter("call", || self.task.call(operation.as_str(), request.as_str()).map(RString::from))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: this is the only place that drops the field, and `self` is not used afterwards.
        drop_guarded("drop the task", &self.log, || unsafe { ManuallyDrop::drop(&mut self.task) });
    }
}

/// The module's `init`: makes the plugin and sends this library's panics to the host's log.
pub fn init<P: Plugin>(host: AbiHostBox, settings: RStr<'_>) -> AbiResult<AbiPluginBox> {
    guard("init", || {
        let log = HostLog::new(host);
        forward_panics(log.clone());
        let settings: HostSettings = read("host settings", settings)?;
        let plugin = P::init(Host::new(settings, log.clone()))?;
        let bridge =
            Bridge { plugin: ManuallyDrop::new(plugin), capabilities: OnceLock::new(), log, poison: Poison::default() };
        Ok(AbiPlugin_TO::from_value(bridge, TD_Opaque))
    })
}

/// A cdylib has a panic hook of its own: without this one it would print to the host's standard error.
fn forward_panics(log: HostLog) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = super::guard::words(panic.payload());
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        drop_result(log.write(LogLevel::Error, &format!("panic at {place}: {message}")));
    }));
}
