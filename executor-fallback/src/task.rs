//! One task, as its host holds it: the way to its supervisor, and what is known of its end.
//!
//! There are no threads, no locks held while waiting and nothing to clean up: dropping the object closes the socket, and
//! the task lives on under its supervisor. A stop finds the way to the supervisor while a start still waits for its answer.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{
    Applied, Error, ErrorKind, Executor, Host, LogLevel, Outcome, Resources, Result, StdioFds, TaskDir, TaskId,
    TaskSpec, Usage,
};
use nix::errno::Errno;
use nix::unistd::Uid;

use crate::control::Control;
use crate::found::FoundTask;
use crate::launch::{Attempt, Leaving, launch};
use crate::stdio::Stdio;
use crate::support;
use crate::task_dir;
use crate::wire::{Ending, Order, Request, VERSION};

/// A task of the [`FallbackPlugin`](crate::FallbackPlugin).
#[derive(Debug)]
#[expect(private_interfaces, reason = "how a task is held is nobody's business but this crate's")]
pub enum FallbackTask {
    /// Made by this process: not yet started, running or ended.
    Started(StartedTask),
    /// Found by its record.
    Found(FoundTask),
}

impl FallbackTask {
    fn task(&self) -> &dyn Executor {
        match self {
            Self::Started(task) => task,
            Self::Found(task) => task,
        }
    }
}

impl Executor for FallbackTask {
    fn limit(&self, resources: &Resources) -> Result<()> {
        self.task().limit(resources)
    }

    fn configure_task_dir(&self, dir: &TaskDir) -> Result<()> {
        self.task().configure_task_dir(dir)
    }

    fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()> {
        self.task().start(spec, fds)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        self.task().wait(timeout)
    }

    fn exit_handle(&self) -> Result<OwnedFd> {
        self.task().exit_handle()
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        self.task().shutdown(grace)
    }

    fn force_stop(&self) -> Result<()> {
        self.task().force_stop()
    }

    fn command(&self) -> Result<Vec<OsString>> {
        self.task().command()
    }

    fn applied(&self) -> Result<Applied> {
        self.task().applied()
    }

    fn stats(&self) -> Result<Usage> {
        self.task().stats()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.task().signal(signal)
    }
}

/// What the tasks of a plugin have in common.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) supervisor: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) leaving: Leaving,
    /// None in a program that links the plugin.
    pub(crate) host: Option<Arc<Host>>,
}

/// A task made by this process.
#[derive(Debug)]
pub(crate) struct StartedTask {
    id: TaskId,
    ground: Ground,
    fresh: Mutex<Fresh>,
    attempt: Attempt,
    running: OnceLock<Running>,
}

/// A task that has not been started.
#[derive(Debug, Default)]
struct Fresh {
    resources: Resources,
    directory: Option<TaskDir>,
    /// Whether it was started, in vain or not, or stopped before: it starts no more.
    spent: bool,
}

#[derive(Debug)]
struct Running {
    command: Vec<OsString>,
    control: Arc<Control>,
    /// None once the duty to reap it has gone to [`Leaving`].
    supervisor: Mutex<Option<Child>>,
    ended: OnceLock<Outcome>,
}

impl StartedTask {
    pub(crate) fn new(id: TaskId, ground: Ground) -> Self {
        Self { id, ground, fresh: Mutex::default(), attempt: Attempt::default(), running: OnceLock::new() }
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self, act: &str) -> Result<&Running> {
        let refusal = || Error::new(ErrorKind::Busy, format!("{act} task {}", self.id), "it has not been started");
        self.running.get().ok_or_else(refusal)
    }

    /// The outcome, if it comes before `deadline`. The first who sees it passes the supervisor on.
    fn outcome(&self, running: &Running, deadline: Option<Instant>) -> Result<Option<Outcome>> {
        self.ground.leaving.sweep();
        if let Some(outcome) = running.ended.get() {
            return Ok(Some(*outcome));
        }
        let seen = running.control.ending(deadline).map_err(|source| self.failed("wait for", &source))?;
        let Some(ending) = seen else { return Ok(None) };
        self.release(running);
        if running.ended.set(ending.outcome).is_ok() {
            self.log(&ending);
        }
        Ok(Some(ending.outcome))
    }

    /// Tells the host's log, once, what no outcome says.
    fn log(&self, ending: &Ending) {
        if let (Some(errno), Some(host)) = (ending.unrecorded, &self.ground.host) {
            let (id, outcome, reason) = (&self.id, ending.outcome, Errno::from_raw(errno).desc());
            let end = format!("record the end of task {id}, which {outcome}: {reason}");
            // An error is a panic of the host's own log, which the glue remembers for the host.
            _ = host.log(LogLevel::Warn, &format!("{end}; whoever has only the record is told that it is lost"));
        }
    }

    fn release(&self, running: &Running) {
        let supervisor = running.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        supervisor.into_iter().for_each(|supervisor| self.ground.leaving.add(supervisor));
    }

    fn order(&self, running: &Running, act: &str, order: Order) -> Result<bool> {
        running.control.order(order, Duration::ZERO).map_err(|source| self.failed(act, &source))
    }

    fn request(&self, spec: TaskSpec, resources: Resources) -> Result<Request> {
        let capabilities = support::capabilities(Uid::effective().is_root(), cfg!(target_os = "linux"));
        let mut applied = capabilities.admit(&resources.demands())?;
        applied.extend(capabilities.admit(&spec.demands())?);
        let (id, state, host) = (self.id.clone(), self.ground.state.clone(), std::process::id());
        Ok(Request { version: VERSION.to_owned(), spec, resources, applied, id, state, host })
    }

    fn failed(&self, act: &str, source: &io::Error) -> Error {
        Error::from_io(format!("{act} task {}", self.id), source)
    }
}

impl Executor for StartedTask {
    fn limit(&self, resources: &Resources) -> Result<()> {
        self.fresh().resources = resources.clone();
        Ok(())
    }

    fn configure_task_dir(&self, dir: &TaskDir) -> Result<()> {
        task_dir::check(dir)?;
        self.fresh().directory = Some(dir.clone());
        Ok(())
    }

    fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()> {
        let (resources, directory) = {
            let mut fresh = self.fresh();
            if std::mem::replace(&mut fresh.spent, true) {
                let why = "it was started or stopped before; make another task";
                return Err(Error::new(ErrorKind::Busy, format!("start task {}", self.id), why));
            }
            (fresh.resources.clone(), fresh.directory.clone())
        };
        self.ground.leaving.sweep();
        let stdio = Stdio::open(spec, fds)?;
        let spec = match &directory {
            Some(dir) => task_dir::inside(spec.clone(), dir),
            None => spec.clone(),
        };
        let command = spec.command_line();
        let request = self.request(spec, resources)?;
        let (control, supervisor) = launch(&self.ground, &self.id, &request, &stdio, &self.attempt)?;
        let running = Running { command, control, supervisor: Mutex::new(Some(supervisor)), ended: OnceLock::new() };
        self.running.set(running).map_err(|_| {
            Error::new(ErrorKind::Internal, format!("start task {}", self.id), "it runs already, though it was fresh")
        })
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        // A deadline that the clock cannot express never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.outcome(self.running("wait for")?, deadline)
    }

    fn exit_handle(&self) -> Result<OwnedFd> {
        let running = self.running("watch")?;
        running.control.handle().map_err(|source| self.failed("watch", &source))
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        let running = self.running("stop")?;
        self.order(running, "stop", Order::Stop(grace))?;
        self.outcome(running, None).map(drop)
    }

    fn force_stop(&self) -> Result<()> {
        self.fresh().spent = true;
        self.attempt.stop().map_err(|source| self.failed("kill", &source))
    }

    fn command(&self) -> Result<Vec<OsString>> {
        Ok(self.running("ask for the command of")?.command.clone())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let act = format!("send {signal} to");
        let running = self.running(&act)?;
        let ended = self.outcome(running, Some(Instant::now()))?.is_some();
        if ended || !self.order(running, &act, Order::Signal(signal))? {
            let error = Error::new(ErrorKind::NotFound, format!("{act} task {}", self.id), "it has ended");
            return Err(error.with_errno(Errno::ESRCH as i32));
        }
        Ok(())
    }
}

impl Drop for StartedTask {
    fn drop(&mut self) {
        self.running.get().into_iter().for_each(|running| self.release(running));
    }
}
