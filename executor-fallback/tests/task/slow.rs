//! Starts that hang: in the kernel, as on a file server that does not answer, and at a supervisor that does not.
//!
//! The program is held up by a lease on its file: execve(2) waits in the kernel until that is broken. Linux only.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use executor_api::record::StateDir;
use executor_api::{
    Cause, Ended, Error, ErrorKind, Executor, Plugin, Resources, Result, StdioFds, TaskId, TaskName, TaskSpec,
};
use executor_fallback::{FallbackPlugin, FallbackTask};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{KILLED, PATIENCE, directory, eventually, file, is_there, plugin, sh, state, sys};

/// Far less than a lease holds a start up, and far more than a stop takes.
const PROMPT: Duration = Duration::from_secs(10);

/// A program whose start hangs.
struct Slow {
    directory: TempDir,
    /// Closing it lets the program go.
    lease: Option<File>,
    /// Says when somebody runs into the lease.
    told: Child,
    id: TaskId,
    task: Arc<FallbackTask>,
}

impl Slow {
    fn new(resources: &Resources) -> Self {
        let directory = directory();
        std::fs::copy("/bin/sleep", directory.path().join("program")).expect("a program");
        let script = "trap 'echo broken; exit' IO; echo ready; while :; do sleep 0.02; done";
        let told = Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn();
        let told = told.expect("a shell");
        assert_eq!(said(&told), "ready");
        let lease = File::open(directory.path().join("program")).expect("it is there");
        sys::hold_up(&lease, Pid::from_raw(told.id().cast_signed())).expect("a lease");
        let id: TaskId = format!("fallback.{}", TaskName::random()).parse().expect("an id");
        let task = plugin().create(&id).expect("a task");
        task.limit(resources).expect("it is taken");
        Self { directory, lease: Some(lease), told, id, task: Arc::new(task) }
    }

    fn spec(&self) -> TaskSpec {
        let mut spec = TaskSpec::new(self.directory.path().join("program"));
        spec.args.push("1000".into());
        spec
    }

    /// Starts it in another thread, waits until that hangs, and then does `meanwhile`; the answer to the start.
    fn start(&self, meanwhile: impl FnOnce(&Self)) -> Result<()> {
        let starting = starting(&self.task, self.spec());
        assert_eq!(said(&self.told), "broken");
        assert!(starting.try_recv().is_err(), "it hangs");
        meanwhile(self);
        starting.recv_timeout(PROMPT).expect("the start returns soon")
    }
}

/// Starts `task` in a thread of its own, which a failure does not wait for; the answer.
fn starting(task: &Arc<FallbackTask>, spec: TaskSpec) -> Receiver<Result<()>> {
    apart(task, move |task| task.start(&spec, StdioFds::default()))
}

/// Stops `task`; fails unless that returns soon.
fn stop(task: &Arc<FallbackTask>) {
    apart(task, |task| task.force_stop())
        .recv_timeout(PROMPT)
        .expect("it does not wait")
        .expect("it is always possible");
}

fn apart(
    task: &Arc<FallbackTask>,
    act: impl FnOnce(&FallbackTask) -> Result<()> + Send + 'static,
) -> Receiver<Result<()>> {
    let (task, (tell, told)) = (Arc::clone(task), channel());
    // Nobody is left to hear where the test has failed.
    std::thread::spawn(move || drop(tell.send(act(&task))));
    told
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.lease = None;
        self.told.kill().and_then(|()| self.told.wait()).expect("it was there");
    }
}

/// The next line of `child`.
fn said(child: &Child) -> String {
    let mut line = String::new();
    let output = child.stdout.as_ref().expect("a pipe").as_fd().try_clone_to_owned().expect("a descriptor");
    BufReader::with_capacity(1, File::from(output)).read_line(&mut line).expect("text");
    line.trim_end().to_owned()
}

#[track_caller]
fn refused(answer: Result<()>, words: &str) -> Error {
    let error = answer.expect_err("it does not run");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    error
}

fn nothing_is_left(id: &TaskId) {
    assert_eq!(plugin().open(id).map(drop).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    let words = |entry: std::io::Result<std::fs::DirEntry>| {
        match std::fs::read(entry.expect("/proc").path().join("cmdline")) {
            Ok(words) => Some(String::from_utf8_lossy(&words).into_owned()),
            // No process, or one that has ended meanwhile. Whatever cannot be read for another reason could be it.
            Err(error)
                if [Some(libc::ENOENT), Some(libc::ENOTDIR), Some(libc::ESRCH)].contains(&error.raw_os_error()) =>
            {
                None
            }
            Err(error) => panic!("{error}"),
        }
    };
    let all = || std::fs::read_dir("/proc").expect("/proc").filter_map(words);
    eventually("its supervisor is gone", || !all().any(|line| line.contains(&id.to_string())));
}

#[test]
fn a_start_that_hangs_in_the_kernel_does_not_hold_up_a_stop() {
    let slow = Slow::new(&Resources::default());
    let answer = slow.start(|slow| stop(&slow.task));
    refused(answer, "stopped before the program was executed");
    nothing_is_left(&slow.id);
    assert_eq!(slow.task.wait(None).map_err(|error| error.kind()), Err(ErrorKind::Busy), "it has never run");
    slow.task.force_stop().expect("nothing to stop");
}

#[test]
fn whoever_has_found_a_task_that_is_being_started_can_stop_it_and_is_told() {
    for grace in [Duration::ZERO, Duration::from_millis(50)] {
        let slow = Slow::new(&Resources::default());
        let found = std::cell::OnceCell::new();
        let answer = slow.start(|slow| {
            let other = found.get_or_init(|| plugin().open(&slow.id).expect("it is recorded"));
            assert_eq!(other.wait(Some(Duration::ZERO)), Ok(None));
            other.shutdown(grace).expect("it ends");
        });
        refused(answer, "stopped before the program was executed");
        let outcome = found.get().expect("found").wait(Some(PATIENCE)).expect("no error").expect("an end");
        assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
        nothing_is_left(&slow.id);
    }
}

#[test]
fn a_start_that_hangs_ends_at_the_time_limit() {
    let resources: Resources = serde_json::from_str(r#"{"wall_time_ms":300}"#).expect("well formed");
    let slow = Slow::new(&resources);
    refused(slow.start(|_| ()), "time limit");
    nothing_is_left(&slow.id);
}

#[test]
fn a_limit_that_is_shorter_than_a_start_takes_is_a_limit_and_no_refusal() {
    let resources: Resources = serde_json::from_str(r#"{"wall_time_ms":1}"#).expect("well formed");
    for _ in 0..10 {
        let task = plugin().create(&format!("fallback.{}", TaskName::random()).parse().expect("an id"));
        let task = task.expect("a task");
        task.limit(&resources).expect("it is taken");
        task.start(&sh("exec sleep 1000"), StdioFds::default()).expect("it starts");
        let outcome = task.wait(Some(PATIENCE)).expect("known").expect("an end");
        assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::TimedOut));
    }
}

#[test]
fn a_start_that_hung_goes_on_when_it_can() {
    let mut slow = Slow::new(&Resources::default());
    let lease = slow.lease.take();
    slow.start(|_| drop(lease)).expect("it starts");
    let found = plugin().open(&slow.id).expect("it is recorded");
    assert_eq!(found.wait(Some(Duration::ZERO)), Ok(None));
    slow.task.force_stop().expect("it runs");
    assert_eq!(slow.task.wait(Some(PATIENCE)).expect("known").map(|outcome| outcome.ended), Some(KILLED));
}

#[test]
fn a_signal_that_comes_before_the_program_is_not_lost() {
    let mut slow = Slow::new(&Resources::default());
    let lease = slow.lease.take();
    let hangup = executor_api::units::Signal::HUP;
    let answer = slow.start(|slow| {
        plugin().open(&slow.id).expect("it is recorded").signal(hangup).expect("it is taken");
        let path = state().join("tasks").join(slow.id.to_string()).join("control");
        let control = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).expect("it is there");
        let waits = || poll(&mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO);
        eventually("the supervisor has taken it", || waits() == Ok(0));
        drop(lease);
    });
    answer.expect("it starts");
    let outcome = slow.task.wait(Some(PATIENCE)).expect("known").expect("an end");
    assert_eq!((outcome.ended, outcome.cause), (Ended::Signalled(hangup), Cause::Own));
}

fn number(path: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(path).ok()?;
    text.strip_suffix('\n')?.parse().ok().map(Pid::from_raw)
}

/// Starts a task of `spec` under a script that is no supervisor, writes who it is and then does `act`; stops the start. The
/// script's process, and whoever has to reap it; the task is kept, and with it its end of the socket.
fn stopped_under(act: &str, spec: TaskSpec) -> (Pid, FallbackPlugin, Arc<FallbackTask>) {
    let directory = directory();
    let pid = directory.path().join("pid");
    let script = format!("#!/bin/sh\necho $$ >{}; {act}\n", pid.display());
    let plugin = FallbackPlugin::with_supervisor(file(&directory, "supervisor", &script, 0o755), state());
    let id: TaskId = format!("fallback.{}", TaskName::random()).parse().expect("an id");
    let task = Arc::new(plugin.create(&id).expect("a task"));
    let answer = starting(&task, spec);
    eventually("it has been started", || number(&pid).is_some());
    stop(&task);
    let answer = answer.recv_timeout(PROMPT).expect("the start returns soon");
    refused(answer, "stopped while it was being started");
    (number(&pid).expect("it was started"), plugin, task)
}

fn reaped(supervisor: Pid, plugin: &FallbackPlugin) {
    let nobody: TaskId = "fallback.nobody".parse().expect("an id");
    eventually("it is reaped with the next act", || plugin.open(&nobody).is_err() && !is_there(supervisor));
}

#[test]
fn a_supervisor_that_does_not_answer_holds_up_neither_a_stop_nor_the_start_that_was_stopped() {
    // It ends with the end of its input: with every descriptor of the socket, whoever has one.
    let (supervisor, plugin, _task) = stopped_under("exec cat >/dev/null", sh("exit 0"));
    reaped(supervisor, &plugin);
}

#[test]
fn a_supervisor_that_does_not_read_holds_up_neither_a_stop_nor_the_start_that_was_stopped() {
    let mut spec = sh("exit 0");
    // More than a socket takes while nobody reads.
    spec.args.push("x".repeat(4 << 20).into());
    let (supervisor, plugin, _task) = stopped_under("exec sleep 1000", spec);
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).expect("it is ours, and not reaped");
    reaped(supervisor, &plugin);
}

#[test]
fn a_task_that_was_stopped_before_its_supervisor_is_there_never_runs() {
    let state = StateDir::open(state()).expect("a state directory");
    let slow = Slow::new(&Resources::default());
    slow.task.force_stop().expect("nothing runs");
    let error = slow.task.start(&slow.spec(), StdioFds::default()).expect_err("it was stopped");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(!state.list().expect("a list").contains(&slow.id));
}
