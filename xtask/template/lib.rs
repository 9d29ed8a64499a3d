//! Executor plugin `{{name}}`: runs a command as a plain child. It isolates nothing and limits nothing, and says so.
//!
//! Put your way of isolating into `start`, then state in `probe` what it enforces, and nothing that it does not: what a
//! task demands beyond that is refused by the glue around this code before `start` is called.

use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

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
        capabilities.set(Feature::WorkingDirectory, Support::hard());
        capabilities.set(Feature::WholeTree, Support::none("only the main process is killed", ""));
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

    fn poll(&self) -> Result<Option<Outcome>> {
        let mut state = self.state();
        if state.outcome.is_none() {
            let ended = state.child.as_mut().map(Child::try_wait).transpose();
            let status = ended.map_err(|error| Error::from_io("wait for the task", &error))?.flatten();
            let cause = if state.stopped { Cause::Stopped } else { Cause::Own };
            state.outcome = status.map(|status| Outcome::from_status(status, cause));
        }
        Ok(state.outcome)
    }
}

impl Executor for Task {
    fn limit(&self, _: &Resources) -> Result<()> {
        Ok(()) // none is promised in `probe`, so none gets here
    }

    fn start(&self, spec: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        let words = spec.command_line();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&spec.env).current_dir(spec.cwd.as_deref().unwrap_or("/".as_ref()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !spec.cwd.as_ref().is_none_or(|dir| dir.is_dir()) {
            return Err(Error::invalid(format!("start in {:?}", spec.cwd), "there is no such directory"));
        }
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
        if self.wait(Some(grace))?.is_none() {
            self.force_stop()?;
            self.wait(None)?;
        }
        Ok(())
    }

    fn force_stop(&self) -> Result<()> {
        if self.poll()?.is_some() {
            return Ok(());
        }
        let mut state = self.state();
        state.stopped = state.child.is_some();
        state.child.as_mut().map_or(Ok(()), Child::kill).map_err(|error| Error::from_io("kill the task", &error))
    }
}

export_executor! { name: "{{name}}", plugin: PlainChild }
