//! How tasks end, and who hears of it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Cause, Ended, ErrorKind, Executor, Resources, StdioFds};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{KILLED, eventually, is_there, line, process, run, sh, start, task, wait};

#[test]
fn exit_codes_are_exact() {
    for code in [0, 7, 255] {
        let (outcome, _) = run(sh(&format!("exit {code}")));
        assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(code), Cause::Own));
        assert!(outcome.started.is_some() && outcome.started <= outcome.finished);
    }
}

#[test]
fn a_signal_that_ends_the_task_is_told() {
    let (outcome, _) = run(sh("kill -KILL $$"));
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Own));
    let (task, mut output) = start(sh("echo ready; exec sleep 1000")).expect("it starts");
    line(&mut output);
    let real_time = Signal::new(40).expect("a signal");
    task.signal(real_time).expect("it runs");
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (Ended::Signalled(real_time), Cause::Own));
}

#[test]
fn a_timeout_kills_the_whole_tree() {
    let script = "sh -c 'echo $$; exec sleep 1000' & setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000";
    let task = task();
    let resources: Resources = serde_json::from_str(r#"{"wall_time_ms":400}"#).expect("well formed");
    task.limit(&resources).expect("a limit");
    let (mut output, pen) = std::io::pipe().expect("a pipe");
    let mut spec = sh(script);
    spec.stdout = executor_api::Output::Passed;
    let begin = Instant::now();
    task.start(&spec, StdioFds { stdout: Some(pen.as_fd()), ..StdioFds::default() }).expect("it starts");
    let tree = [process(&mut output), process(&mut output)];
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::TimedOut));
    assert!(begin.elapsed() >= Duration::from_millis(400), "not before its time");
    for pid in tree {
        if cfg!(target_os = "linux") || pid == tree[0] {
            eventually("every process is gone", || !is_there(pid));
        }
    }
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_delay_the_end() {
    let begin = Instant::now();
    let (task, mut output) = start(sh("sleep 1000 & echo $!; exit 3")).expect("it starts");
    let child = process(&mut output);
    assert_eq!(wait(&task).ended, Ended::Exited(3));
    assert!(begin.elapsed() < Duration::from_secs(900));
    eventually("the child ends with the task", || !is_there(child));
}

#[test]
fn orphans_are_reaped_while_the_task_runs() {
    let (task, mut output) = start(sh("(sleep 0 & echo $!); exec sleep 1000")).expect("it starts");
    let orphan = process(&mut output);
    eventually("the orphan is reaped", || !is_there(orphan));
    assert_eq!(task.wait(Some(Duration::ZERO)), Ok(None));
    task.force_stop().expect("it runs");
    assert_eq!(wait(&task).ended, KILLED);
}

#[test]
fn everyone_who_waits_gets_the_same_outcome_any_number_of_times() {
    let (task, mut output) = start(sh("echo ready; read line; exit 5")).expect("it starts");
    line(&mut output);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..10).map(|_| scope.spawn(|| wait(&task))).collect();
        waiting.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0] && outcome.ended == Ended::Exited(5)));
    assert_eq!(wait(&task), outcomes[0]);
}

#[test]
fn waiting_ends_with_its_timeout_and_not_before() {
    let (task, _output) = start(sh("exec sleep 1000")).expect("it starts");
    for timeout in [0, 1, 50].map(Duration::from_millis) {
        let begin = Instant::now();
        assert_eq!(task.wait(Some(timeout)), Ok(None));
        assert!(begin.elapsed() >= timeout);
    }
    task.force_stop().expect("it runs");
    assert_eq!(task.wait(Some(Duration::MAX)).expect("known").map(|outcome| outcome.cause), Some(Cause::Stopped));
}

#[test]
fn the_exit_handle_polls_readable_from_the_end_on() {
    let (task, _output) = start(sh("exec sleep 1000")).expect("it starts");
    let handle = task.exit_handle().expect("a descriptor");
    let readable = |timeout: PollTimeout| {
        let mut fds = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).expect("a poll");
        fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
    };
    assert!(!readable(PollTimeout::from(20u8)), "it still runs");
    task.force_stop().expect("it runs");
    assert!(readable(PollTimeout::from(30_000u16)));
    let outcome = wait(&task);
    drop(task);
    assert!(readable(PollTimeout::ZERO), "for good, whatever others do");
    assert_eq!(outcome.ended, KILLED);
}

#[test]
fn a_task_that_has_ended_takes_no_signal_and_every_stop() {
    let (task, _output) = start(sh("exit 0")).expect("it starts");
    wait(&task);
    let error = task.signal(Signal::TERM).expect_err("it has ended");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::NotFound, Some(3)));
    task.shutdown(Duration::from_secs(1)).expect("nothing to stop");
    task.force_stop().expect("nothing to stop");
    assert!(wait(&task).success(), "a late stop changes nothing");
}

#[test]
fn a_killed_supervisor_is_told_as_lost_and_takes_the_task_with_it() {
    let (task, mut output) = start(sh("echo $PPID; echo $$; exec sleep 1000")).expect("it starts");
    let (supervisor, main) = (process(&mut output), process(&mut output));
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).expect("it is ours");
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (Ended::Unknown, Cause::Lost));
    assert_eq!(wait(&task), outcome);
    if cfg!(target_os = "linux") {
        eventually("the main process ends with its supervisor", || !is_there(main));
    }
}
