//! A task in memory: no process, an end that is known.

use std::ffi::{OsStr, OsString};
use std::io::{PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{
    Applied, Cause, Ended, Error, ErrorKind, Executor, Outcome, Resources, Result, StdioFds, TaskDir, TaskSpec, Usage,
};

use crate::behaviour::enter;

/// A task.
#[derive(Debug, Default)]
pub(crate) struct Task {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    command: Vec<OsString>,
    outcome: Option<Outcome>,
    /// The ends of pipes whose other ends are exit handles.
    handles: Vec<PipeWriter>,
}

impl Task {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ended: Ended, cause: Cause) {
        let mut state = self.state();
        if state.outcome.is_none() {
            state.outcome = Some(Outcome::new(ended, cause));
            state.handles.drain(..).for_each(make_readable);
        }
        self.changed.notify_all();
    }

    fn run(&self, spec: &TaskSpec) -> Result<()> {
        self.state().command = spec.command_line();
        if spec.program == OsStr::new("hang") {
            return Ok(());
        }
        let code = spec.args.first().and_then(|code| code.to_str()).and_then(|code| code.parse().ok());
        match code.filter(|_| spec.program == OsStr::new("exit")) {
            Some(code) => self.end(Ended::Exited(code), Cause::Own),
            None => return Err(Error::new(ErrorKind::NotFound, "start the task", "it runs `exit CODE` and `hang`")),
        }
        Ok(())
    }
}

/// Makes the other end of a pipe readable for good: whoever reads from it gets the byte, then the end of the file.
fn make_readable(mut pipe: PipeWriter) {
    // Nobody waits at the other end if this fails.
    _ = pipe.write(&[1]);
}

impl Executor for Task {
    fn limit(&self, _: &Resources) -> Result<()> {
        enter("limit");
        Ok(())
    }

    fn configure_task_dir(&self, _: &TaskDir) -> Result<()> {
        enter("configure_task_dir");
        Ok(())
    }

    fn start(&self, spec: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        enter("start");
        self.run(spec)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        enter("wait");
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.state();
        while state.outcome.is_none() {
            let left = until.map_or(Duration::from_secs(1), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(state.outcome)
    }

    fn exit_handle(&self) -> Result<OwnedFd> {
        enter("exit_handle");
        let (ours, theirs) = pipe().map_err(|error| Error::from_io("make a pipe", &error))?;
        let mut state = self.state();
        match state.outcome {
            Some(_) => make_readable(theirs),
            None => state.handles.push(theirs),
        }
        Ok(ours.into())
    }

    fn shutdown(&self, _: Duration) -> Result<()> {
        enter("shutdown");
        self.end(Ended::Signalled(Signal::TERM), Cause::Stopped);
        Ok(())
    }

    fn force_stop(&self) -> Result<()> {
        enter("force_stop");
        self.end(Ended::Signalled(Signal::KILL), Cause::Stopped);
        Ok(())
    }

    fn command(&self) -> Result<Vec<OsString>> {
        enter("command");
        Ok(self.state().command.clone())
    }

    fn applied(&self) -> Result<Applied> {
        enter("applied");
        Err(Error::unsupported("applied"))
    }

    fn stats(&self) -> Result<Usage> {
        enter("stats");
        Ok(Usage::default())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        enter("signal");
        self.end(Ended::Signalled(signal), Cause::Own);
        Ok(())
    }

    fn update(&self, _: &Resources) -> Result<()> {
        enter("update");
        Ok(())
    }

    fn pause(&self) -> Result<()> {
        enter("pause");
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        enter("resume");
        Ok(())
    }

    fn exec(&self, spec: &TaskSpec, _: StdioFds<'_>) -> Result<Box<dyn Executor>> {
        enter("exec");
        let inner = Self::new();
        inner.run(spec)?;
        Ok(Box::new(inner))
    }

    fn call(&self, _: &str, request: &str) -> Result<String> {
        enter("call");
        Ok(request.to_owned())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        enter("drop-task");
    }
}
