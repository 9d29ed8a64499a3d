//! The glue around a plugin, held against what the plugin is asked: what reaches an author and what does not.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abi_stable::std_types::RString;

use super::bridge;
use super::log::{HostCallbacks, HostLog, LogSink};
use super::object::{AbiPluginBox, AbiResult, AbiTask};
use super::types::AbiStdio;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::id::TaskId;
use crate::limits::Resources;
use crate::outcome::Outcome;
use crate::plugin::{Host, HostSettings, LogLevel, Plugin};
use crate::spec::{StdioFds, TaskSpec};
use crate::support::{Applied, Capabilities, Feature, Support};

/// Far longer than anything takes: a failure must not hang.
const LONG: Duration = Duration::from_secs(30);

/// Logs every act that reaches it; its settings are the capabilities that it states.
struct Talker(Arc<Host>);

impl Plugin for Talker {
    type Task = TalkingTask;

    fn init(host: Host) -> Result<Self> {
        Ok(Self(Arc::new(host)))
    }

    fn probe(&self) -> Result<Capabilities> {
        self.0.log(LogLevel::Info, "probe")?;
        serde_json::from_str(self.0.settings()).map_err(|error| Error::invalid("probe", error.to_string()))
    }

    fn create(&self, _: &TaskId) -> Result<TalkingTask> {
        Ok(TalkingTask(Arc::clone(&self.0)))
    }

    fn open(&self, _: &TaskId) -> Result<TalkingTask> {
        Ok(TalkingTask(Arc::clone(&self.0)))
    }
}

struct TalkingTask(Arc<Host>);

impl TalkingTask {
    fn say(&self, act: &str) -> Result<()> {
        self.0.log(LogLevel::Info, act)
    }
}

impl Executor for TalkingTask {
    fn limit(&self, _: &Resources) -> Result<()> {
        self.say("limit")
    }

    fn configure_task_dir(&self, _: &crate::TaskDir) -> Result<()> {
        self.say("configure_task_dir")
    }

    fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        self.say("start")
    }

    fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> {
        Ok(None)
    }

    fn shutdown(&self, _: Duration) -> Result<()> {
        self.say("shutdown")
    }

    fn force_stop(&self) -> Result<()> {
        self.say("force_stop")
    }

    fn update(&self, _: &Resources) -> Result<()> {
        self.say("update")
    }

    fn exec(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<Box<dyn Executor>> {
        self.say("exec")?;
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

/// What reached the plugin.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn sink(&self) -> LogSink {
        let heard = self.clone();
        Arc::new(move |_, line| heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned()))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn times(&self, act: &str) -> usize {
        self.lines().iter().filter(|line| *line == act).count()
    }
}

/// The plugin that states `features`, with its answer in the settings already where it was `probed`.
fn plugin(features: &[(Feature, Support)], probed: bool, sink: LogSink) -> AbiPluginBox {
    let mut capabilities = Capabilities::usable(1);
    features.iter().for_each(|(feature, support)| capabilities.set(*feature, support.clone()));
    let plugin = serde_json::to_string(&capabilities).expect("it serializes");
    let settings = HostSettings { probed: probed.then_some(capabilities), plugin, ..HostSettings::default() };
    let json = serde_json::to_string(&settings).expect("it serializes");
    let log = HostLog::new(HostCallbacks::new(sink).object());
    bridge::object::<Talker>(log, json.as_str().into()).expect("it is made")
}

fn task(plugin: &AbiPluginBox) -> AbiTask {
    plain(plugin.create("talker.one".into())).expect("it is made")
}

fn plain<T>(answer: AbiResult<T>) -> Result<T> {
    answer.into_result().map_err(Error::from)
}

fn kind<T>(answer: AbiResult<T>) -> Option<ErrorKind> {
    plain(answer).err().map(|error| error.kind())
}

fn start(task: &AbiTask) -> AbiResult<()> {
    task.start(r#"{"program":"x"}"#.into(), AbiStdio::from(StdioFds::default()))
}

/// A task that runs.
fn started(plugin: &AbiPluginBox) -> AbiTask {
    let task = task(plugin);
    plain(task.limit("{}".into())).expect("it limits nothing");
    plain(start(&task)).expect("it starts");
    task
}

/// The names of what a task got, and of what it did not.
fn applied(task: &AbiTask) -> [Vec<String>; 2] {
    let json: RString = plain(task.applied()).expect("it is known");
    let applied: Applied = serde_json::from_str(&json).expect("it is JSON");
    let lacking = applied.not_enforced.iter().map(|lacking| lacking.feature.to_string());
    [applied.enforced.iter().map(ToString::to_string).collect(), lacking.collect()]
}

#[test]
fn a_plugin_whose_answer_is_known_is_not_asked_again() {
    let heard = Heard::default();
    let known = plugin(&[(Feature::Pids, Support::hard())], true, heard.sink());
    let answer: RString = plain(known.probe()).expect("it is known");
    assert!(answer.contains("pids"), "{answer}");
    started(&known);
    plain(known.open("talker.one".into())).expect("it is opened");
    assert_eq!(heard.times("probe"), 0, "{:?}", heard.lines());
    let unknown = plugin(&[], false, heard.sink());
    plain(unknown.probe()).expect("it answers");
    started(&unknown);
    assert_eq!(heard.times("probe"), 1, "asked once");
}

#[test]
fn an_update_that_the_plugin_does_not_state_never_reaches_it() {
    let heard = Heard::default();
    let without = plugin(&[(Feature::Pids, Support::hard())], true, heard.sink());
    assert_eq!(kind(started(&without).update(r#"{"pids":8}"#.into())), Some(ErrorKind::Unsupported));
    let soft = plugin(&[(Feature::Update, Support::soft("a little"))], true, heard.sink());
    assert_eq!(kind(started(&soft).update("{}".into())), Some(ErrorKind::Unsupported));
    let other = plugin(&[(Feature::Update, Support::hard())], true, heard.sink());
    assert_eq!(kind(started(&other).update(r#"{"pids":8}"#.into())), Some(ErrorKind::Unsupported), "no such limit");
    assert_eq!(heard.times("update"), 0);
}

#[test]
fn an_update_changes_what_is_said_to_be_applied() {
    let heard = Heard::default();
    let stated = [(Feature::Update, Support::hard()), (Feature::Pids, Support::hard())];
    let task = started(&plugin(&stated, true, heard.sink()));
    assert!(!applied(&task)[0].contains(&"pids".to_owned()));
    let wish = r#"{"enforcement":"best_effort","pids":8,"memory_bytes":1048576}"#;
    plain(task.update(wish.into())).expect("it is taken");
    let [enforced, lacking] = applied(&task);
    assert!(enforced.contains(&"pids".to_owned()), "{enforced:?}");
    assert!(lacking.contains(&"memory".to_owned()), "{lacking:?}");
    assert_eq!(heard.times("update"), 1);
}

#[test]
fn a_command_in_a_task_is_held_against_the_capabilities_as_the_task_is() {
    let heard = Heard::default();
    let exec = |task: &AbiTask, spec: &str| task.exec(spec.into(), AbiStdio::from(StdioFds::default()));
    let without = started(&plugin(&[(Feature::Nice, Support::hard())], true, heard.sink()));
    assert_eq!(kind(exec(&without, r#"{"program":"x"}"#)), Some(ErrorKind::Unsupported));
    let stated = [(Feature::Exec, Support::hard()), (Feature::Nice, Support::hard())];
    let task = started(&plugin(&stated, true, heard.sink()));
    assert_eq!(kind(exec(&task, r#"{"program":"x","umask":63}"#)), Some(ErrorKind::Unsupported), "umask");
    assert_eq!(heard.times("exec"), 0);
    let inner = plain(exec(&task, r#"{"program":"x","nice":5}"#)).expect("it runs");
    assert!(applied(&inner)[0].contains(&"nice".to_owned()));
    assert!(!applied(&task)[0].contains(&"nice".to_owned()), "the outer one has what it had");
    assert_eq!(heard.times("exec"), 1);
}

/// Lets `prepare` begin, stops the task while the plugin is at `act`, and then lets `prepare` go on; its answer.
fn overtaken(act: &'static str, prepare: impl Fn(&AbiTask) -> AbiResult<()> + Sync, fresh: bool) -> Heard {
    let heard = Heard::default();
    let ((reach, reached), (go, gone)) = (channel(), channel());
    let (sink, gone) = (heard.sink(), Mutex::new(gone));
    let sink: LogSink = Arc::new(move |level, line| {
        sink(level, line);
        if line == act {
            reach.send(()).expect("the test waits");
            gone.lock().expect("no panic under it").recv_timeout(LONG).expect("it is let go");
        }
    });
    let task = task(&plugin(&[(Feature::TaskDir, Support::hard())], true, sink));
    if !fresh {
        plain(task.limit("{}".into())).expect("it limits nothing");
    }
    std::thread::scope(|scope| {
        let preparing = scope.spawn(|| prepare(&task));
        reached.recv_timeout(LONG).expect("the plugin is reached");
        plain(task.force_stop()).expect("it is always possible");
        go.send(()).expect("it waits");
        assert_eq!(kind(preparing.join().expect("no panic")), Some(ErrorKind::Busy), "a stop has overtaken it");
    });
    assert_eq!(kind(start(&task)), Some(ErrorKind::Busy), "what was stopped does not start");
    heard
}

#[test]
fn a_stop_while_the_limits_or_the_directory_are_being_set_is_not_undone() {
    let limits = overtaken("limit", |task| task.limit("{}".into()), true);
    let directory = overtaken("configure_task_dir", |task| task.configure_task_dir(r#"{"root":"/"}"#.into()), false);
    for heard in [limits, directory] {
        assert_eq!((heard.times("force_stop"), heard.times("start")), (1, 0), "{:?}", heard.lines());
    }
}
