//! Executor plugin `{{name}}`: runs a command as a plain child. It isolates nothing and limits nothing, and says so.
//!
//! Put your way of isolating into `start`, then state in `probe` what it enforces, and nothing that it does not: what a
//! task demands beyond that is refused by the glue around this code before `start` is called.

use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{
    Capabilities, Cause, Error, ErrorKind, Executor, Feature, Host, Outcome, Plugin, Resources, Result, StdioFds,
    Support, TaskId, TaskSpec, export_executor,
};

struct PlainChild;

impl Plugin for PlainChild {
    type Task = Task;

    fn init(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn probe(&self) -> Result<Capabilities> {
        let mut capabilities = Capabilities::usable(1); // the lowest score: chosen when nothing else will do
        for feature in [Feature::StdioPassed, Feature::WorkingDirectory] {
            capabilities.set(feature, Support::hard());
        }
        capabilities.set(Feature::WholeTree, Support::soft("a process that leaves the task's process group gets away"));
        Ok(capabilities)
    }

    fn create(&self, _: &TaskId) -> Result<Task> {
        Ok(Task::default())
    }

    fn open(&self, _: &TaskId) -> Result<Task> {
        Err(Error::unsupported("open")) // no record is kept: a task is known to the process that started it
    }
}

/// One task: the child, and how it ended once that is known.
#[derive(Default)]
struct Task(Mutex<State>);

#[derive(Default)]
struct State {
    child: Option<Child>,
    stopped: bool,
    outcome: Option<Outcome>,
}

impl Task {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome, once the main process has ended; what is left of its group ends with it.
    fn poll(&self) -> Result<Option<Outcome>> {
        let mut state = self.state();
        let cause = if state.stopped { Cause::Stopped } else { Cause::Own };
        if let (None, Some(child)) = (state.outcome, &mut state.child) {
            let status = child.try_wait().map_err(|error| Error::from_io("wait for the task", &error))?;
            if status.is_some() {
                _ = Signal::KILL.send_to_group(child.id()); // nobody left is the common case, and no error
            }
            state.outcome = status.map(|status| Outcome::from_status(status, cause));
        }
        Ok(state.outcome)
    }

    /// Sends `signal` to the whole group because somebody stops the task; nothing to do where it has ended.
    fn stop(&self, signal: Signal) -> Result<()> {
        if self.poll()?.is_some() {
            return Ok(());
        }
        let mut state = self.state();
        state.stopped = true;
        let sent = state.child.as_ref().map_or(Ok(()), |child| signal.send_to_group(child.id()));
        sent.map_err(|error| Error::from_io("stop the task", &error))
    }
}

impl Executor for Task {
    fn limit(&self, _: &Resources) -> Result<()> {
        Ok(()) // none is promised in `probe`, so none gets here
    }

    fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()> {
        let words = spec.command_line();
        let dir = spec.cwd.as_deref().unwrap_or(Path::new("/"));
        if !dir.is_dir() {
            return Err(Error::invalid(format!("start in {}", dir.display()), "there is no such directory"));
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&spec.env).current_dir(dir).process_group(0);
        command.stdin(stream(fds.stdin)?).stdout(stream(fds.stdout)?).stderr(stream(fds.stderr)?);
        let child = command.spawn().map_err(|error| {
            let error = Error::from_io(format!("execute {}", words[0].display()), &error);
            if error.kind() == ErrorKind::Denied { error.with_kind(ErrorKind::NotExecutable) } else { error }
        })?;
        self.state().child = Some(child);
        Ok(())
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let outcome = self.poll()?;
            if outcome.is_some() || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(outcome);
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        if !grace.is_zero() {
            self.stop(Signal::TERM)?;
            self.wait(Some(grace))?;
        }
        self.stop(Signal::KILL)?;
        self.wait(None).map(drop)
    }

    fn force_stop(&self) -> Result<()> {
        self.stop(Signal::KILL)
    }
}

/// The host's descriptor, duplicated, or nothing to read and nowhere to write.
fn stream(fd: Option<BorrowedFd<'_>>) -> Result<Stdio> {
    let stdio = fd.map_or(Ok(Stdio::null()), |fd| fd.try_clone_to_owned().map(Stdio::from));
    stdio.map_err(|error| Error::from_io("duplicate a standard stream", &error))
}

export_executor! { name: "{{name}}", plugin: PlainChild }
