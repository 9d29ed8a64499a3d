//! How tasks end: exact codes and signals, what is recorded, and what is left.

use std::io::Read;

use executor_api::units::Signal;
use executor_api::{Cause, Ended};
use executor_linux::launch::Order;
use libtest_mimic::Trial;

use super::rig::{KILLED, Rig, eventually, sh, with_word};
use super::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exit_codes_and_signals_are_exact", exit_codes_and_signals_are_exact),
        trial("the_end_is_in_the_record_as_it_was_told", the_end_is_in_the_record_as_it_was_told),
        trial("what_a_task_leaves_behind_ends_with_it", what_a_task_leaves_behind_ends_with_it),
        trial("any_number_may_ask_for_the_end", any_number_may_ask_for_the_end),
        trial("a_stream_that_the_task_closes_is_closed", a_stream_that_the_task_closes_is_closed),
    ]
}

fn exit_codes_and_signals_are_exact() {
    let rig = Rig::new();
    for code in [0, 1, 42, 126, 127, 128, 137, 255] {
        let (outcome, _) = rig.run(&sh(&format!("exit {code}")));
        assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(code), Cause::Own));
    }
    for signal in [1, 2, 3, 9, 11, 13, 15, 34, 64] {
        let (outcome, _) = rig.run(&sh(&format!("kill -{signal} $$")));
        let signal = Signal::new(signal).expect("a signal");
        assert_eq!((outcome.ended, outcome.cause), (Ended::Signalled(signal), Cause::Own));
        assert!(!outcome.core_dumped);
    }
}

fn the_end_is_in_the_record_as_it_was_told() {
    let rig = Rig::new();
    let task = rig.start(&sh("i=0; while test $i -lt 20000; do i=$((i+1)); done; exit 7")).expect("it starts");
    let told = task.wait();
    let end = rig.recorded(&task.id);
    assert_eq!((end.outcome, told.ended), (told, Ended::Exited(7)));
    assert!(told.started.is_some() && told.started <= told.finished, "{told:?}");
    assert!(end.usage.cpu_user.is_some_and(|time| !time.is_zero()), "{:?}", end.usage);
    assert_eq!(end.usage.memory_peak, None, "nobody measured it");
    rig.state().collect(&task.id).expect("its supervisor has let go of it");
}

fn what_a_task_leaves_behind_ends_with_it() {
    let rig = Rig::new();
    let word = format!("77{:07}", std::process::id());
    let deaf = "trap \"\" HUP TERM INT";
    let script = format!(
        "{deaf}; setsid sleep {word} & setsid sh -c '{deaf}; (sleep {word}) & (setsid sleep {word} &); sleep {word}' & \
         trap 'exit 3' USR1; echo on; while :; do sleep 0.01; done"
    );
    let mut task = rig.start(&sh(&script)).expect("it starts");
    assert_eq!(task.line(), "on");
    // The shells have the word in their command lines as well.
    eventually("all of them are there", || with_word(&word).len() >= 6);
    assert_eq!(task.running.order(Order::Signal(10)).ok(), Some(true));
    assert_eq!(task.wait().ended, Ended::Exited(3));
    assert_eq!(with_word(&word), [0; 0], "they were killed before the end was told");
    task.is_gone();
}

fn any_number_may_ask_for_the_end() {
    let rig = Rig::new();
    let task = rig.start(&sh("sleep 0.05; exit 9")).expect("it starts");
    let handle = task.running.handle().expect("a descriptor");
    std::thread::scope(|scope| {
        let ask = || assert_eq!(task.wait().ended, Ended::Exited(9));
        (0..4).for_each(|_| drop(scope.spawn(ask)));
    });
    assert_eq!(task.wait().ended, Ended::Exited(9));
    let mut fds = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&handle), nix::poll::PollFlags::POLLIN)];
    assert_eq!(nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO), Ok(1), "readable for good");
}

fn a_stream_that_the_task_closes_is_closed() {
    let rig = Rig::new();
    let mut task = rig.start(&sh("echo on; exec >&-; exec sleep 1000")).expect("it starts");
    let mut text = String::new();
    task.output.read_to_string(&mut text).expect("text");
    assert_eq!(text, "on\n", "neither its supervisor nor the spawner has the other end");
    assert_eq!(task.running.ending(Some(std::time::Instant::now())).expect("known"), None, "it runs");
    assert_eq!(task.running.order(Order::Kill).ok(), Some(true));
    assert_eq!(task.wait().ended, KILLED);
}
