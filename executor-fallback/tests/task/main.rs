//! Real tasks under the real supervisor, through the plain traits: what a host sees, without the stable interface.
//!
//! As root the tasks run as `nobody`, else as whoever runs the tests; what needs root says that it was skipped. Nothing
//! sleeps to be right: what takes time is polled for, up to a deadline.

mod end;
mod host;
mod identity;
mod limits;
mod slow;
mod start;
mod stdio;
mod stop;
#[cfg(target_os = "linux")]
mod sys;
mod task_dir;
mod wishes;

use std::ffi::OsString;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use executor_api::record::StateDir;
use executor_api::units::Signal;
use executor_api::{Ended, Executor, Outcome, Output, Plugin, Resources, Result, StdioFds, TaskId, TaskName, TaskSpec};
use executor_fallback::{FallbackPlugin, FallbackTask};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Below the target directory, for all tests; the records of earlier runs are removed first.
fn state() -> &'static Path {
    static STATE: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fallback-state");
        StateDir::open(&path).and_then(|state| state.collect_all()).expect("a state directory");
        path
    });
    &STATE
}

fn plugin() -> FallbackPlugin {
    FallbackPlugin::with_supervisor(env!("CARGO_BIN_EXE_executor-fallback-supervisor"), state())
}

fn task() -> FallbackTask {
    let id = format!("fallback.{}", TaskName::random());
    plugin().create(&id.parse::<TaskId>().expect("an id")).expect("a task")
}

/// A shell script as a task, with the usual `PATH`.
fn sh(script: &str) -> TaskSpec {
    let mut spec = TaskSpec::new("/bin/sh");
    spec.args = vec!["-c".into(), script.into()];
    spec.env.insert("PATH".into(), executor_api::spec::DEFAULT_PATH.into());
    spec
}

/// Starts `spec` with its standard output on a pipe.
fn start(spec: TaskSpec) -> Result<(FallbackTask, PipeReader)> {
    start_limited(spec, &Resources::default())
}

fn start_limited(mut spec: TaskSpec, resources: &Resources) -> Result<(FallbackTask, PipeReader)> {
    let task = task();
    task.limit(resources)?;
    let (output, pen) = std::io::pipe().expect("a pipe");
    spec.stdout = Output::Passed;
    task.start(&spec, StdioFds { stdout: Some(pen.as_fd()), ..StdioFds::default() })?;
    Ok((task, output))
}

/// Runs `spec` to its end: the outcome, and all that it wrote to its standard output.
fn run(spec: TaskSpec) -> (Outcome, String) {
    run_limited(spec, &Resources::default())
}

fn run_limited(spec: TaskSpec, resources: &Resources) -> (Outcome, String) {
    let (task, mut output) = start_limited(spec, resources).expect("it starts");
    let mut text = String::new();
    output.read_to_string(&mut text).expect("text");
    (wait(&task), text)
}

fn wait(task: &FallbackTask) -> Outcome {
    task.wait(Some(PATIENCE)).expect("the outcome is known").expect("it ends in time")
}

/// One line of what a running task writes.
fn line(output: &mut PipeReader) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte).expect("readable") == 1 && byte != *b"\n" {
        line.extend_from_slice(&byte);
    }
    String::from_utf8(line).expect("text")
}

/// The process whose number is the next line.
fn process(output: &mut PipeReader) -> Pid {
    Pid::from_raw(line(output).trim().parse().expect("a number"))
}

fn is_there(pid: Pid) -> bool {
    nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A directory that a task may write to, whoever it is.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("its mode");
    directory
}

/// Writes an executable, or a file that should be one, and gives its path.
fn file(directory: &TempDir, name: &str, text: &str, mode: u32) -> OsString {
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    path.into()
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

const KILLED: Ended = Ended::Signalled(Signal::KILL);
