//! The plugin as hosts see it: on Linux it cannot run tasks yet, elsewhere it never will.

use std::time::Duration;

use executor_api::{
    Capabilities, Error, ErrorKind, Executor, Host, Outcome, Plugin, Resources, Result, StdioFds, TaskId, TaskSpec,
    export_executor,
};

/// The Linux executor.
#[derive(Debug)]
pub struct LinuxPlugin;

/// A task of this plugin: there are none.
#[derive(Debug)]
pub enum NoTask {}

fn why() -> &'static str {
    if cfg!(target_os = "linux") {
        "this version cannot launch tasks yet"
    } else {
        "namespaces and cgroups exist on Linux only"
    }
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, what, why()).with_fix("use the fallback plugin")
}

impl Plugin for LinuxPlugin {
    type Task = NoTask;

    fn init(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn probe(&self) -> Result<Capabilities> {
        Ok(Capabilities::unusable(why(), "use the fallback plugin"))
    }

    fn create(&self, id: &TaskId) -> Result<NoTask> {
        Err(refuse(format!("create the task {id}")))
    }

    fn open(&self, id: &TaskId) -> Result<NoTask> {
        Err(refuse(format!("open the task {id}")))
    }
}

impl Executor for NoTask {
    fn limit(&self, _: &Resources) -> Result<()> {
        match *self {}
    }

    fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        match *self {}
    }

    fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> {
        match *self {}
    }

    fn shutdown(&self, _: Duration) -> Result<()> {
        match *self {}
    }

    fn force_stop(&self) -> Result<()> {
        match *self {}
    }
}

export_executor! { name: "linux", plugin: LinuxPlugin }
