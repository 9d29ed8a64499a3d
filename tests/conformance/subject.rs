//! One plugin under test, and what the cases ask of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use executor_api::{Capabilities, ErrorKind, Feature, Level, Outcome, PluginName, TaskSpec};
use executor_loader::executor_api;
use executor_loader::{Command, Error, Loader, Status, Task};
use executor_tests::{Need, prefix, say, trial};
use libtest_mimic::{Completion, Failed, Trial};

/// How long anything in a case may take: far more than it needs, so that a loaded machine is no failure.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// One behaviour, the capabilities that it takes, and the check.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Feature],
    pub(crate) check: fn(&Subject) -> Result<(), Failed>,
}

/// A plugin file, opened through the loader as a host opens it.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) loader: Arc<Loader>,
    pub(crate) name: PluginName,
    pub(crate) capabilities: Capabilities,
}

impl Subject {
    /// The plugins to test, and an ignored trial for each that cannot be used here; a failing one where there is none.
    pub(crate) fn all() -> Result<(Vec<Self>, Vec<Trial>), Trial> {
        let named = std::env::var_os("EXECUTOR_CONFORMANCE_PLUGIN").map(PathBuf::from);
        if !Need::Built.is_met() {
            return Err(trial("plugins_are_built", &[Need::Built], || Ok(())));
        }
        let installed = prefix().join("lib/executor/1");
        let dir = named.as_deref().map_or(Some(installed.as_path()), Path::parent).unwrap_or(Path::new("/"));
        let builder =
            Loader::builder().search_only([dir.to_owned()]).prober(installed.join("executor-probe")).no_cache();
        let builder = builder.state_dir(concat!(env!("CARGO_TARGET_TMPDIR"), "/conformance-state"));
        let loader = builder.build().map(Arc::new);
        let loader = loader.map_err(|error| failing("a_loader_can_be_set_up", error.to_string()))?;
        let (mut subjects, mut unusable) = (Vec::new(), Vec::new());
        for candidate in loader.report() {
            let asked = named.as_ref().is_none_or(|path| *path == candidate.path);
            match (&candidate.status, &candidate.name) {
                _ if !asked => (),
                (Status::Usable(capabilities), Some(name)) => subjects.push(Self {
                    loader: Arc::clone(&loader),
                    name: name.clone(),
                    capabilities: capabilities.clone(),
                }),
                _ if named.is_some() => return Err(failing("the_plugin_can_be_used", candidate.to_string())),
                (_, Some(name)) => unusable.push(ignored(name.as_str(), candidate.to_string())),
                (_, None) => return Err(failing("the_directory_can_be_read", candidate.to_string())),
            }
        }
        if subjects.is_empty() {
            let words = format!("no usable plugin in {}", dir.display());
            return Err(failing("there_is_a_plugin_to_test", words));
        }
        Ok((subjects, unusable))
    }

    /// The case as a trial against this plugin.
    pub(crate) fn trial(&self, case: &Case) -> Trial {
        let name = format!("{}::{}", self.name, case.name);
        let missing = case.needs.iter().find(|feature| !self.states(**feature)).copied();
        let (subject, check) = (self.clone(), case.check);
        Trial::ignorable_test(name.clone(), move || {
            let Some(feature) = missing else { return check(&subject).map(|()| Completion::Completed) };
            let reason = format!("the plugin does not state {} as enforced", feature.name());
            say(&format!("skipped: {name}: {reason}"));
            Ok(Completion::ignored_with(reason))
        })
    }

    /// Whether the plugin says that it enforces `feature`.
    pub(crate) fn states(&self, feature: Feature) -> bool {
        self.capabilities.support(feature).level == Level::Hard
    }

    /// A command for this plugin; nothing of the default isolation is a condition.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.plugin(self.name.clone());
        command
    }

    /// `sh -c script` for this plugin.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = self.command("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// Starts `command`.
    pub(crate) fn start(&self, mut command: Command) -> Result<Running, Failed> {
        let started = command.start(&self.loader).map_err(|error| words(&error))?;
        Ok(Running::of(started, self))
    }

    /// The error that starting `command` gives.
    pub(crate) fn refusal(&self, mut command: Command) -> Result<executor_api::Error, Failed> {
        match command.start(&self.loader) {
            Ok(task) => {
                drop(Running::of(task, self));
                Err("it started, though it must not".into())
            }
            Err(Error::Task(error)) => Ok(error),
            Err(error) => Err(words(&error).into()),
        }
    }

    /// A task of this plugin that was created and nothing else.
    pub(crate) fn created(&self) -> Result<Task, Failed> {
        let id = executor_api::TaskId::new(&self.name, &executor_api::TaskName::random());
        Ok(self.loader.create(&id)?)
    }
}

/// A trial for a plugin that is there and cannot be tested.
fn ignored(name: &str, reason: String) -> Trial {
    let own_name = name.to_owned();
    Trial::ignorable_test(name, move || {
        say(&format!("skipped: {own_name}: {reason}"));
        Ok(Completion::ignored_with(reason))
    })
}

fn failing(name: &str, words: String) -> Trial {
    Trial::test(name, move || Err(words.into()))
}

/// An error with its causes, for the report of a failure.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// A started task that does not outlive its case, and its record neither.
pub(crate) struct Running(pub(crate) Task, Subject, Leave);

/// What becomes of a task at the end of its case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Nothing,
    AsItIs,
}

impl Running {
    pub(crate) fn of(task: Task, subject: &Subject) -> Self {
        Self(task, subject.clone(), Leave::Nothing)
    }

    /// Lets go of the handle, and leaves the task as it is.
    pub(crate) fn let_go(mut self) {
        self.2 = Leave::AsItIs;
    }

    /// The outcome, within reason.
    pub(crate) fn end(&self) -> Result<Outcome, Failed> {
        self.0.wait_timeout(LONG)?.ok_or_else(|| "the task has not ended".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.2 == Leave::AsItIs {
            return;
        }
        // What is left of a failed case; a task that has ended is no error here.
        self.0.kill().expect("a task can always be killed");
        if self.1.states(Feature::Reopen) && self.0.wait_timeout(LONG).is_ok() {
            // Some cases have collected it, or have another handle of it.
            _ = self.1.loader.collect(self.0.id());
        }
    }
}

/// Fails with both values unless they are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}").into()),
    }
}

/// Fails unless `result` is an error of this kind, which it returns.
pub(crate) fn refused<T: std::fmt::Debug>(
    what: &str,
    result: Result<T, executor_api::Error>,
    kind: ErrorKind,
) -> Result<executor_api::Error, Failed> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        other => Err(format!("{what}: found {other:?}, expected an error of the kind {kind:?}").into()),
    }
}

/// The spec of `/bin/sh -c script` with streams that lead nowhere.
pub(crate) fn shell_spec(script: &str) -> TaskSpec {
    let mut spec = TaskSpec::new("/bin/sh");
    spec.args = vec!["-c".into(), script.into()];
    spec
}
