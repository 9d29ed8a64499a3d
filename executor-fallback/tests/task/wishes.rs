//! What a spec says of the task's end: the signal that asks, the grace at the time limit, the end with the host.
//!
//! Hosts that die are this program again, as in `host`.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Cause, Ended, Executor, Outcome, Output, Plugin, Resources, StdioFds, TaskId, TaskName, TaskSpec};
use executor_fallback::FallbackTask;
use nix::unistd::Pid;

use crate::host::{play_in, role};
use crate::wait;
use crate::{KILLED, directory, eventually, is_there, line, plugin, process, sh, start, start_limited};

/// More than a task takes to answer, and less than a test waits: one that is not asked is killed, and that is seen.
const LONG: Duration = Duration::from_secs(20);

fn asked_by(signal: Signal, script: &str) -> TaskSpec {
    let mut spec = sh(script);
    spec.stop_signal = Some(signal);
    spec
}

fn limit(time: Duration) -> Resources {
    let mut resources = Resources::default();
    resources.wall_time = Some(time);
    resources
}

fn end(outcome: Outcome) -> (Ended, Cause) {
    (outcome.ended, outcome.cause)
}

/// Hears `INT` and neither `TERM` nor anything else.
const HEARS_INT: &str = "trap 'exit 8' INT; trap '' TERM; echo ready; while :; do sleep 0.02; done";

#[test]
fn a_stop_sends_the_signal_that_the_task_chose() {
    let (task, mut output) = start(asked_by(Signal::INT, HEARS_INT)).expect("it starts");
    line(&mut output);
    task.shutdown(LONG).expect("it ends");
    assert_eq!(end(wait(&task)), (Ended::Exited(8), Cause::Stopped));
    let deaf = "trap '' INT; echo ready; while :; do sleep 0.02; done";
    let (task, mut output) = start(asked_by(Signal::INT, deaf)).expect("it starts");
    line(&mut output);
    task.shutdown(Duration::from_millis(100)).expect("it ends");
    assert_eq!(end(wait(&task)), (KILLED, Cause::Stopped), "SIGTERM, which would end it, is not sent");
}

#[test]
fn a_real_time_signal_can_ask() {
    let signal = Signal::new(40).expect("a signal");
    let (task, mut output) = start(asked_by(signal, "echo ready; exec sleep 1000")).expect("it starts");
    line(&mut output);
    task.shutdown(LONG).expect("it ends");
    assert_eq!(end(wait(&task)), (Ended::Signalled(signal), Cause::Stopped));
}

#[test]
fn whoever_has_found_a_task_stops_it_by_its_signal() {
    let (id, task) = named();
    let (mut output, pen) = std::io::pipe().expect("a pipe");
    let mut spec = asked_by(Signal::INT, HEARS_INT);
    spec.stdout = Output::Passed;
    task.start(&spec, StdioFds { stdout: Some(pen.as_fd()), ..StdioFds::default() }).expect("it starts");
    line(&mut output);
    let found = plugin().open(&id).expect("it is recorded");
    found.shutdown(LONG).expect("it ends");
    assert_eq!(end(wait(&found)), (Ended::Exited(8), Cause::Stopped));
}

fn named() -> (TaskId, FallbackTask) {
    let id: TaskId = format!("fallback.{}", TaskName::random()).parse().expect("an id");
    let task = plugin().create(&id).expect("a task");
    (id, task)
}

#[test]
fn at_its_limit_a_task_with_a_grace_is_asked_and_whatever_it_answers_it_has_timed_out() {
    for (signal, code) in [(None, 0), (Some(Signal::INT), 8)] {
        let mut spec = sh("trap 'exit 0' TERM; trap 'exit 8' INT; while :; do sleep 0.02; done");
        (spec.stop_signal, spec.grace) = (signal, Some(LONG));
        let (task, _output) = start_limited(spec, &limit(Duration::from_secs(1))).expect("it starts");
        assert_eq!(end(wait(&task)), (Ended::Exited(code), Cause::TimedOut));
    }
}

#[test]
fn a_task_that_ignores_the_question_at_its_limit_is_killed_when_its_grace_is_over() {
    let mut spec = sh("trap '' TERM; while :; do sleep 0.02; done");
    spec.grace = Some(Duration::from_millis(300));
    let begun = Instant::now();
    let (task, _output) = start_limited(spec, &limit(Duration::from_secs(1))).expect("it starts");
    assert_eq!(end(wait(&task)), (KILLED, Cause::TimedOut));
    assert!(begun.elapsed() >= Duration::from_millis(1300), "it had its grace: {:?}", begun.elapsed());
}

#[test]
fn without_a_grace_a_task_is_killed_at_its_limit_unasked() {
    for grace in [None, Some(Duration::ZERO)] {
        let mut spec = sh("trap 'exit 0' TERM; while :; do sleep 0.02; done");
        spec.grace = grace;
        let (task, _output) = start_limited(spec, &limit(Duration::from_millis(500))).expect("it starts");
        assert_eq!(end(wait(&task)), (KILLED, Cause::TimedOut), "{grace:?}");
    }
}

#[test]
fn a_stop_cuts_the_grace_of_the_limit_short_and_the_limit_that_of_a_stop() {
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done";
    let mut spec = sh(script);
    spec.grace = Some(LONG);
    let (task, mut output) = start_limited(spec, &limit(Duration::from_secs(1))).expect("it starts");
    assert_eq!([line(&mut output), line(&mut output)], ["ready", "asked"]);
    task.shutdown(Duration::from_millis(50)).expect("it ends");
    assert_eq!(end(wait(&task)), (KILLED, Cause::TimedOut), "the limit was first");
    let mut spec = sh(script);
    spec.grace = Some(Duration::from_millis(50));
    let (task, mut output) = start_limited(spec, &limit(Duration::from_secs(1))).expect("it starts");
    line(&mut output);
    task.shutdown(LONG).expect("it ends");
    assert_eq!(end(wait(&task)), (KILLED, Cause::Stopped), "the stop was first");
}

/// A host that is to be killed, the two processes of its task, and the task itself. It is found while it runs: another host
/// of these tests may collect the record of one that has ended.
fn host(role: &str) -> (std::process::Child, [Pid; 2], FallbackTask) {
    let directory = directory();
    let out = directory.path().join("out");
    let child = play_in("wishes", role, out.to_str().expect("text"));
    let written = || std::fs::read_to_string(&out).unwrap_or_default();
    eventually("the task has written its numbers", || written().lines().count() == 2 && written().ends_with('\n'));
    eventually("the host has written the task's name", || id_beside(&out).is_some());
    let text = written();
    let numbers: Vec<_> = text.lines().map(|line| Pid::from_raw(line.trim().parse().expect("a number"))).collect();
    let found = plugin().open(&id_beside(&out).expect("written")).expect("it is recorded");
    (child, [numbers[0], numbers[1]], found)
}

fn id_beside(out: &Path) -> Option<TaskId> {
    std::fs::read_to_string(out.with_extension("id")).ok()?.strip_suffix('\n')?.parse().ok()
}

/// In a host: starts a task of two processes, one in a session of its own, and tells who they are.
fn two_processes(out: &str, die_with_host: bool) -> FallbackTask {
    let (id, task) = named();
    let mut spec = sh("echo $$; setsid sh -c 'echo $$; exec sleep 1000' & wait");
    spec.die_with_host = die_with_host;
    spec.stdout = Output::File { path: out.into(), append: false };
    task.start(&spec, StdioFds::default()).expect("it starts");
    std::fs::write(Path::new(out).with_extension("id"), format!("{id}\n")).expect("a file");
    task
}

#[test]
fn a_task_that_asks_to_is_killed_whole_with_its_host() {
    for role in ["a_host_that_waits", "a_host_that_has_let_go"] {
        let (mut host, tree, found) = host(role);
        tree.into_iter().for_each(|pid| assert!(is_there(pid), "{role}: it lives with its host"));
        host.kill().and_then(|()| host.wait()).expect("it was there");
        for pid in tree {
            eventually("every process is gone", || !cfg!(target_os = "linux") && pid == tree[1] || !is_there(pid));
        }
        assert_eq!(end(wait(&found)), (KILLED, Cause::Stopped), "{role}");
    }
}

#[test]
fn a_task_that_does_not_ask_to_lives_on_without_its_host() {
    let (mut host, [main, _], found) = host("a_host_with_a_task_that_lives_on");
    host.kill().and_then(|()| host.wait()).expect("it was there");
    assert_eq!(found.wait(Some(Duration::from_millis(300))), Ok(None));
    assert!(is_there(main));
    found.force_stop().expect("it runs");
    assert_eq!(end(wait(&found)), (KILLED, Cause::Stopped));
}

#[test]
fn a_host_that_waits() {
    let Some(out) = role() else { return };
    wait(&two_processes(&out, true));
}

#[test]
fn a_host_that_has_let_go() {
    let Some(out) = role() else { return };
    drop(two_processes(&out, true));
    loop {
        std::thread::park();
    }
}

#[test]
fn a_host_with_a_task_that_lives_on() {
    let Some(out) = role() else { return };
    wait(&two_processes(&out, false));
}

/// Neither the object nor the thread is the host.
#[test]
fn a_task_outlives_the_handle_and_the_thread_that_started_it_in_a_living_host() {
    let (mut echo, pen) = std::io::pipe().expect("a pipe");
    let (stdin, mut words) = std::io::pipe().expect("a pipe");
    let id = std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let (id, task) = named();
            let mut spec = sh("echo $$; while read word; do echo $word; done");
            spec.die_with_host = true;
            (spec.stdin, spec.stdout) = (executor_api::Input::Passed, Output::Passed);
            let fds = StdioFds { stdin: Some(stdin.as_fd()), stdout: Some(pen.as_fd()), ..StdioFds::default() };
            task.start(&spec, fds).expect("it starts");
            id
        });
        starting.join().expect("no panic")
    });
    drop((stdin, pen));
    let found = plugin().open(&id).expect("it is recorded");
    let main = process(&mut echo);
    for word in ["one", "two"] {
        std::io::Write::write_all(&mut words, format!("{word}\n").as_bytes()).expect("it reads");
        assert_eq!(line(&mut echo), word);
        // More than one look of a supervisor that has nothing but looks.
        assert_eq!(found.wait(Some(Duration::from_millis(150))), Ok(None));
    }
    assert!(is_there(main));
    drop(words);
    assert_eq!(end(wait(&found)), (Ended::Exited(0), Cause::Own));
}
