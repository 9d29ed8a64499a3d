//! Stopping: the question, the grace, the kill.

use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Cause, Ended, ErrorKind, Executor, StdioFds};

use crate::{KILLED, eventually, line, process, sh, start, task, wait};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_task_that_handles_the_question_ends_as_it_likes() {
    let (task, mut output) =
        start(sh("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")).expect("it starts");
    line(&mut output);
    task.shutdown(LONG).expect("it ends");
    let outcome = task.wait(Some(Duration::ZERO)).expect("known").expect("shutdown returns at the end");
    assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(7), Cause::Stopped));
}

#[test]
fn a_task_that_ignores_the_question_is_killed_after_the_grace() {
    let (task, mut output) = start(sh("trap '' TERM; echo ready; while :; do sleep 1000; done")).expect("it starts");
    line(&mut output);
    let begin = Instant::now();
    task.shutdown(Duration::from_millis(200)).expect("it ends");
    assert!(begin.elapsed() >= Duration::from_millis(200));
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
}

#[test]
fn without_grace_it_is_killed_at_once() {
    let (task, mut output) =
        start(sh("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")).expect("it starts");
    line(&mut output);
    task.shutdown(Duration::ZERO).expect("it ends");
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
}

#[test]
fn a_kill_cuts_a_long_grace_short() {
    let (task, mut output) = start(sh("trap '' TERM; echo ready; while :; do sleep 1000; done")).expect("it starts");
    line(&mut output);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| task.shutdown(LONG));
        eventually("the kill is taken", || task.force_stop().is_ok());
        stopping.join().expect("no panic").expect("it ends");
    });
    assert_eq!(wait(&task).ended, KILLED);
}

#[test]
fn a_suspended_task_hears_the_question_and_can_be_killed() {
    let script = "trap 'exit 7' TERM; echo $$; kill -STOP $$; while :; do sleep 0.05; done";
    for (grace, ended) in [(LONG, Ended::Exited(7)), (Duration::ZERO, KILLED)] {
        let (task, mut output) = start(sh(script)).expect("it starts");
        let main = process(&mut output);
        if cfg!(target_os = "linux") {
            let stat = format!("/proc/{main}/stat");
            eventually("it is suspended", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        }
        task.shutdown(grace).expect("it ends");
        assert_eq!(wait(&task).ended, ended);
    }
}

#[test]
fn a_signal_reaches_the_main_process() {
    let (task, mut output) =
        start(sh("trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done")).expect("it starts");
    line(&mut output);
    task.signal(Signal::HUP).expect("it runs");
    let outcome = wait(&task);
    assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(9), Cause::Own));
}

#[test]
fn a_task_that_was_stopped_before_its_start_does_not_start() {
    let stopped = task();
    stopped.force_stop().expect("nothing runs");
    let refused = stopped.start(&sh("exit 0"), StdioFds::default()).expect_err("it was stopped");
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert_eq!(stopped.wait(None).map_err(|error| error.kind()), Err(ErrorKind::Busy));
    assert_eq!(task().signal(Signal::TERM).map_err(|error| error.kind()), Err(ErrorKind::Busy));
}
