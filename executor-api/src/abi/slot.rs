//! A task behind the border: strict documents, calls in order, demands held against the plugin's own capabilities, and
//! every entry guarded. So an author cannot forget to refuse a limit, and a panic cannot reach the host.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RStr, RString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::catch;
use super::log::HostLog;
use super::object::{AbiExecutor, AbiExecutor_TO, AbiResult, AbiTask};
use super::phase::{AtPhase, Phase};
use super::poison::{Poison, drop_guarded, drop_result};
use super::types::{AbiExit, AbiStats, AbiStdio, AbiWaitable};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::limits::Resources;
use crate::spec::CommandLine;
use crate::spec::{DEFAULT_PATH, Input, Output, StdioFds, TaskSpec};
use crate::support::{Applied, Capabilities, Demands, Feature};
use crate::task_dir::TaskDir;
use crate::units::Signal;

/// Reads a document that asks for something: every key must be known.
pub(super) fn read<T: DeserializeOwned>(what: &str, json: RStr<'_>) -> Result<T> {
    let invalid = |why: String| Error::invalid(format!("read the {what}"), why);
    // serde would take a list as well, its items for the fields in their order: an order that later versions may change.
    if !json.trim_start().starts_with('{') {
        return Err(invalid("it is not a JSON object".into()));
    }
    serde_json::from_str(json.as_str()).map_err(|error| invalid(error.to_string()))
}

/// Writes a reply.
pub(super) fn write<T: Serialize>(value: &T) -> Result<RString> {
    let json = serde_json::to_string(value);
    json.map(RString::from).map_err(|error| Error::new(ErrorKind::Internal, "write a reply", error.to_string()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock has poisoned the object already; what the lock protects stays readable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the glue remembers of a task that this process starts.
#[derive(Default)]
struct Known {
    applied: Applied,
    command: Vec<OsString>,
}

/// A task behind the border.
pub(super) struct Slot {
    task: ManuallyDrop<Box<dyn Executor>>,
    capabilities: Arc<Capabilities>,
    phase: AtPhase,
    known: Mutex<Known>,
    log: HostLog,
    poison: Poison,
}

impl Slot {
    /// The object for `task`, which is in `phase`.
    pub(super) fn object(
        task: Box<dyn Executor>,
        capabilities: Arc<Capabilities>,
        log: HostLog,
        phase: Phase,
    ) -> AbiTask {
        Self::knowing(task, capabilities, log, phase, Known::default())
    }

    fn knowing(
        task: Box<dyn Executor>,
        capabilities: Arc<Capabilities>,
        log: HostLog,
        phase: Phase,
        known: Known,
    ) -> AbiTask {
        let slot = Self {
            task: ManuallyDrop::new(task),
            capabilities,
            phase: AtPhase::new(phase),
            known: Mutex::new(known),
            log,
            poison: Poison::default(),
        };
        AbiExecutor_TO::from_value(slot, TD_Opaque)
    }

    fn limit_checked(&self, json: RStr<'_>) -> Result<()> {
        let resources: Resources = read("resources", json)?;
        resources.validate()?;
        let applied = self.capabilities.admit(&resources.demands())?;
        self.prepare("limit", Phase::Created, || self.task.limit(&resources))?;
        locked(&self.known).applied = applied;
        Ok(())
    }

    /// Refuses what the plugin does not state.
    fn require(&self, feature: Feature) -> Result<()> {
        let mut demands = Demands::default();
        demands.require(feature);
        self.capabilities.admit(&demands).map(drop)
    }

    /// Does `act` on the way from `from` to limited. One that is refused, or that a stop overtakes, ends the way: no task
    /// starts without what was asked for, and none that was stopped.
    fn prepare(&self, what: &str, from: Phase, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.phase.advance(what, from, Phase::Preparing)?;
        act().inspect_err(|_| self.phase.set(Phase::Failed))?;
        self.phase.advance(what, Phase::Preparing, Phase::Limited)
    }

    fn start_checked(&self, json: RStr<'_>, stdio: &AbiStdio) -> Result<()> {
        let (spec, applied) = self.admit(json, &stdio.borrow())?;
        self.phase.advance("start", Phase::Limited, Phase::Starting)?;
        let started = catch("start", || self.task.start(&spec, stdio.borrow()));
        let mut known = locked(&self.known);
        known.applied.extend(applied);
        known.command = spec.command_line();
        self.phase.set(if started.is_ok() { Phase::Started } else { Phase::Failed });
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
    fn or_known<T>(&self, answer: Result<T>, known: impl FnOnce(&Known) -> T) -> Result<T> {
        match answer {
            Err(error) if error.kind() == ErrorKind::Unsupported && self.phase.now() == Phase::Started => {
                Ok(known(&locked(&self.known)))
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
            self.require(Feature::TaskDir)?;
            self.prepare("configure the directory of", Phase::Limited, || self.task.configure_task_dir(&dir))
        })
    }

    fn start(&self, spec: RStr<'_>, stdio: AbiStdio) -> AbiResult<()> {
        self.poison.enter("start", || self.start_checked(spec, &stdio))
    }

    fn wait(&self, timeout_ms: i64) -> AbiResult<AbiExit> {
        self.poison.enter("wait", || {
            self.phase.started("wait for")?;
            let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
            self.task.wait(timeout).map(AbiExit::from)
        })
    }

    fn exit_handle(&self) -> AbiResult<AbiWaitable> {
        self.poison.enter("exit_handle", || {
            self.phase.started("wait for")?;
            self.task.exit_handle().map(AbiWaitable::of)
        })
    }

    fn shutdown(&self, grace_ms: u64) -> AbiResult<()> {
        self.poison.enter("shutdown", || {
            self.phase.started("stop")?;
            self.task.shutdown(Duration::from_millis(grace_ms))
        })
    }

    fn force_stop(&self) -> AbiResult<()> {
        self.poison.enter_always("force_stop", || {
            for unstarted in [Phase::Created, Phase::Preparing, Phase::Limited] {
                // Refused where the task is elsewhere: then there is nothing to keep from starting.
                drop_result(self.phase.advance("stop", unstarted, Phase::Failed));
            }
            self.task.force_stop()
        })
    }

    fn command(&self) -> AbiResult<RString> {
        self.poison.enter("command", || {
            let words = self.or_known(self.task.command(), |known| known.command.clone())?;
            write(&CommandLine { words })
        })
    }

    fn applied(&self) -> AbiResult<RString> {
        self.poison.enter("applied", || write(&self.or_known(self.task.applied(), |known| known.applied.clone())?))
    }

    fn stats(&self) -> AbiResult<AbiStats> {
        self.poison.enter("stats", || {
            self.phase.started("measure")?;
            self.task.stats().map(AbiStats::from)
        })
    }

    fn signal(&self, signal: i32) -> AbiResult<()> {
        self.poison.enter("signal", || {
            self.phase.started("signal")?;
            let signal = Signal::new(signal).map_err(|error| Error::invalid("signal the task", error.to_string()))?;
            self.task.signal(signal)
        })
    }

    fn update(&self, resources: RStr<'_>) -> AbiResult<()> {
        self.poison.enter("update", || {
            self.phase.started("update")?;
            let resources: Resources = read("resources", resources)?;
            resources.validate()?;
            self.require(Feature::Update)?;
            let applied = self.capabilities.admit(&resources.demands())?;
            self.task.update(&resources)?;
            locked(&self.known).applied.extend(applied);
            Ok(())
        })
    }

    fn pause(&self) -> AbiResult<()> {
        self.poison.enter("pause", || {
            self.phase.started("pause")?;
            self.task.pause()
        })
    }

    fn resume(&self) -> AbiResult<()> {
        self.poison.enter("resume", || {
            self.phase.started("resume")?;
            self.task.resume()
        })
    }

    fn exec(&self, spec: RStr<'_>, stdio: AbiStdio) -> AbiResult<AbiTask> {
        self.poison.enter("exec", || {
            self.phase.started("exec in")?;
            self.require(Feature::Exec)?;
            let (spec, applied) = self.admit(spec, &stdio.borrow())?;
            let inner = self.task.exec(&spec, stdio.borrow())?;
            let known = Known { applied, command: spec.command_line() };
            Ok(Self::knowing(inner, Arc::clone(&self.capabilities), self.log.clone(), Phase::Started, known))
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
