//! One task, as its host holds it: the way to its supervisor, and what is known of its end.
//!
//! There are no threads, no locks held while waiting and nothing to clean up: dropping the object closes the socket, and
//! the task lives on under its supervisor.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Error, ErrorKind, Executor, Outcome, Resources, Result, StdioFds, TaskId, TaskSpec};
use nix::errno::Errno;

use crate::control::Control;
use crate::launch::{Leaving, launch};
use crate::stdio::Stdio;
use crate::wire::{Order, Request, VERSION};

/// A task of the [`FallbackPlugin`](crate::FallbackPlugin): not yet started, running or ended.
#[derive(Debug)]
pub struct FallbackTask {
    id: TaskId,
    supervisor: PathBuf,
    leaving: Leaving,
    /// Held while a start is under way.
    fresh: Mutex<Fresh>,
    running: OnceLock<Running>,
}

/// A task that has not been started.
#[derive(Debug, Default)]
struct Fresh {
    resources: Resources,
    /// Whether it was started, in vain or not, or stopped before: it starts no more.
    spent: bool,
}

#[derive(Debug)]
struct Running {
    control: Control,
    /// None once the duty to reap it has gone to [`Leaving`].
    supervisor: Mutex<Option<Child>>,
    ended: OnceLock<Outcome>,
}

impl FallbackTask {
    pub(crate) fn new(id: TaskId, supervisor: PathBuf, leaving: Leaving) -> Self {
        Self { id, supervisor, leaving, fresh: Mutex::default(), running: OnceLock::new() }
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
        self.leaving.sweep();
        if let Some(outcome) = running.ended.get() {
            return Ok(Some(*outcome));
        }
        let seen = running.control.outcome(deadline).map_err(|source| self.failed("wait for", &source))?;
        let Some(outcome) = seen else { return Ok(None) };
        self.release(running);
        Ok(Some(*running.ended.get_or_init(|| outcome)))
    }

    fn release(&self, running: &Running) {
        let supervisor = running.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        supervisor.into_iter().for_each(|supervisor| self.leaving.add(supervisor));
    }

    fn order(&self, running: &Running, act: &str, order: Order) -> Result<bool> {
        running.control.order(order).map_err(|source| self.failed(act, &source))
    }

    fn failed(&self, act: &str, source: &io::Error) -> Error {
        Error::from_io(format!("{act} task {}", self.id), source)
    }
}

impl Executor for FallbackTask {
    fn limit(&self, resources: &Resources) -> Result<()> {
        self.fresh().resources = resources.clone();
        Ok(())
    }

    fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()> {
        let mut fresh = self.fresh();
        if std::mem::replace(&mut fresh.spent, true) {
            let why = "it was started or stopped before; make another task";
            return Err(Error::new(ErrorKind::Busy, format!("start task {}", self.id), why));
        }
        self.leaving.sweep();
        let stdio = Stdio::open(spec, fds)?;
        let request = Request { version: VERSION.to_owned(), spec: spec.clone(), resources: fresh.resources.clone() };
        let (control, supervisor) = launch(&self.supervisor, &self.id, &request, &stdio)?;
        let running = Running { control, supervisor: Mutex::new(Some(supervisor)), ended: OnceLock::new() };
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
        let mut fresh = self.fresh();
        // Looked up under the lock: a start that was under way is over, and has set it or has failed.
        match self.running.get() {
            Some(running) => {
                self.order(running, "kill", Order::Kill)?;
            }
            None => fresh.spent = true,
        }
        Ok(())
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

impl Drop for FallbackTask {
    fn drop(&mut self) {
        self.running.get().into_iter().for_each(|running| self.release(running));
    }
}
