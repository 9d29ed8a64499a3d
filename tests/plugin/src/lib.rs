//! A plugin that misbehaves on request, for the suites: see `behaviour` for how it is asked.
//!
//! Asked for `good`, it runs tasks in memory: the program `exit` ends with the code in its first argument, the program
//! `hang` runs until it is stopped. It claims to enforce everything, and isolates nothing.

#[expect(unsafe_code, reason = "a static whose bytes differ from its source is read as the processor finds it")]
mod behaviour;
#[expect(unsafe_code, reason = "to end, fork or hang a process in the ways that a plugin must not is what it is for")]
mod misdeeds;
mod task;

use std::sync::Arc;
use std::thread;

use executor_api::{
    Capabilities, Error, ErrorKind, Feature, Host, LogLevel, Plugin, Result, Support, TaskId, export_executor,
};

use behaviour::{asked_for, enter};
use task::Task;

/// The plugin.
#[derive(Debug)]
struct Misbehave {
    host: Arc<Host>,
}

impl Plugin for Misbehave {
    type Task = Task;

    fn init(host: Host) -> Result<Self> {
        enter("init");
        if asked_for("init-error") {
            return Err(Error::new(ErrorKind::Denied, "make the plugin", "it was asked\nto refuse"));
        }
        Ok(Self { host: Arc::new(host) })
    }

    fn probe(&self) -> Result<Capabilities> {
        enter("probe");
        misdeeds::in_probe();
        if asked_for("probe-error") {
            return Err(Error::new(ErrorKind::Internal, "look at this host", "it was asked\nto fail").with_fix("a\nb"));
        }
        if asked_for("probe-unusable") {
            return Ok(Capabilities::unusable("it was asked\nto say\u{1b}[2J so", "none"));
        }
        let mut capabilities = Capabilities::usable(1);
        Feature::ALL.iter().for_each(|feature| capabilities.set(*feature, Support::hard()));
        Ok(capabilities)
    }

    fn create(&self, _: &TaskId) -> Result<Task> {
        enter("create");
        if asked_for("log") {
            let host = Arc::clone(&self.host);
            // The answer of a log that fails is the host's to see, not the task's.
            let logged = thread::spawn(move || log_at_every_level(&host)).join();
            return logged.map(|_| Task::new()).map_err(|_| Error::unsupported("log"));
        }
        Ok(Task::new())
    }

    fn open(&self, id: &TaskId) -> Result<Task> {
        enter("open");
        Err(Error::new(ErrorKind::NotFound, format!("open {id}"), "tasks in memory end with their process"))
    }
}

impl Drop for Misbehave {
    fn drop(&mut self) {
        enter("drop-plugin");
    }
}

fn log_at_every_level(host: &Host) -> Vec<Result<()>> {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];
    levels.iter().map(|level| host.log(*level, &format!("a line at {level:?}"))).collect()
}

export_executor! { name: "misbehave", plugin: Misbehave }
