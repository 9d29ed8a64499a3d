//! Orders, by the socket and by the record's FIFO, and the limit of time.

use std::time::{Duration, Instant};

use executor_api::record::State;
use executor_api::units::Signal as ApiSignal;
use executor_api::{Cause, Ended, Resources};
use executor_linux::launch::Order;
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::rig::{KILLED, Rig, Task, eventually, sh};
use super::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_stop_by_either_way_asks_and_then_kills", a_stop_by_either_way_asks_and_then_kills),
        trial("a_kill_by_either_way_is_a_stop", a_kill_by_either_way_is_a_stop),
        trial("a_signal_by_either_way_reaches_the_main_process", a_signal_by_either_way_reaches_the_main_process),
        trial("nonsense_in_the_fifo_changes_nothing", nonsense_in_the_fifo_changes_nothing),
        trial("a_task_is_killed_at_its_time_limit", a_task_is_killed_at_its_time_limit),
        trial("at_its_limit_a_task_has_its_grace", at_its_limit_a_task_has_its_grace),
        trial("an_order_that_finds_the_task_ended_changes_nothing", an_order_that_finds_the_task_ended_changes_nothing),
        trial("a_stopped_process_hears_that_it_is_to_end", a_stopped_process_hears_that_it_is_to_end),
    ]
}

/// Gives an order by the socket, or by the record as any process may.
fn order(rig: &Rig, task: &Task, by_record: bool, order: Order) {
    let sent = match by_record {
        false => task.running.order(order).expect("it is sent"),
        true => match rig.state().find(&task.id).expect("a record").state {
            State::Running(watch) => watch.order(&order.to_bytes()).expect("it is sent"),
            state => panic!("{state:?}"),
        },
    };
    assert!(sent, "somebody takes it");
}

/// A task that has said that it runs.
fn running(rig: &Rig, script: &str) -> Task {
    let mut task = rig.start(&sh(script)).expect("it starts");
    assert_eq!(task.line(), "on");
    task
}

fn a_stop_by_either_way_asks_and_then_kills() {
    let rig = Rig::new();
    for by_record in [false, true] {
        let obedient = running(&rig, "trap 'exit 7' TERM; echo on; while :; do sleep 0.01; done");
        order(&rig, &obedient, by_record, Order::Stop(20_000));
        let outcome = obedient.wait();
        assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(7), Cause::Stopped));
        let deaf = running(&rig, "trap '' TERM; echo on; while :; do sleep 0.01; done");
        let begin = Instant::now();
        order(&rig, &deaf, by_record, Order::Stop(150));
        let outcome = deaf.wait();
        assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
        assert!(begin.elapsed() >= Duration::from_millis(150), "it had its grace: {:?}", begin.elapsed());
    }
}

fn a_kill_by_either_way_is_a_stop() {
    let rig = Rig::new();
    for by_record in [false, true] {
        let task = running(&rig, "trap '' TERM; echo on; exec sleep 1000");
        order(&rig, &task, by_record, Order::Kill);
        let outcome = task.wait();
        assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
        assert_eq!(rig.recorded(&task.id).outcome, outcome);
    }
}

fn a_signal_by_either_way_reaches_the_main_process() {
    let rig = Rig::new();
    for by_record in [false, true] {
        let task = running(&rig, "trap 'exit 21' USR2; echo on; while :; do sleep 0.01; done");
        order(&rig, &task, by_record, Order::Signal(12));
        let outcome = task.wait();
        assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(21), Cause::Own));
    }
    let ended = rig.start(&sh("exit 0")).expect("it starts");
    ended.is_gone();
    assert_eq!(ended.running.order(Order::Kill).ok(), Some(false), "nobody takes it");
    assert_eq!(ended.wait().ended, Ended::Exited(0));
}

fn nonsense_in_the_fifo_changes_nothing() {
    let rig = Rig::new();
    let task = running(&rig, "trap 'exit 22' USR2; echo on; while :; do sleep 0.01; done");
    let State::Running(watch) = rig.state().find(&task.id).expect("a record").state else { panic!("it runs") };
    assert!(watch.order(&[0xff; 18]).expect("it is written"));
    assert!(watch.order(&Order::Signal(12).to_bytes()).expect("it is written"));
    assert_eq!(task.wait().ended, Ended::Exited(22));
}

fn limited(json: &str) -> Resources {
    serde_json::from_str(json).expect("well formed")
}

fn a_task_is_killed_at_its_time_limit() {
    let rig = Rig::new();
    let begin = Instant::now();
    let spec = sh("trap 'exit 1' TERM; while :; do sleep 0.01; done");
    let task = rig.start_limited(&spec, &limited(r#"{"wall_time_ms":200}"#)).expect("it starts");
    let outcome = task.wait();
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::TimedOut));
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
}

fn at_its_limit_a_task_has_its_grace() {
    let rig = Rig::new();
    let mut spec = sh("trap 'exit 8' INT; while :; do sleep 0.01; done");
    spec.grace = Some(Duration::from_secs(20));
    spec.stop_signal = Some(ApiSignal::INT);
    let task = rig.start_limited(&spec, &limited(r#"{"wall_time_ms":100}"#)).expect("it starts");
    let outcome = task.wait();
    assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(8), Cause::TimedOut));
}

fn a_stopped_process_hears_that_it_is_to_end() {
    let rig = Rig::new();
    let task = running(&rig, "trap 'exit 9' TERM; echo on; kill -STOP $$; while :; do sleep 0.01; done");
    order(&rig, &task, false, Order::Stop(20_000));
    assert_eq!(task.wait().ended, Ended::Exited(9));
}

fn an_order_that_finds_the_task_ended_changes_nothing() {
    let rig = Rig::new();
    for by_record in [false, true] {
        let task = running(&rig, "trap 'exit 3' USR1; echo on; while :; do sleep 0.01; done");
        let supervisor = task.supervisor();
        let signal = |pid: u32, signal| kill(Pid::from_raw(pid.cast_signed()), signal).expect("it is there");
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        let main: u32 = children.expect("a list").trim().parse().expect("one number");
        // It cannot go away: its supervisor does not reap it.
        signal(supervisor, Signal::SIGSTOP);
        signal(main, Signal::SIGUSR1);
        let has_ended =
            || std::fs::read_to_string(format!("/proc/{main}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        eventually("it has ended", has_ended);
        order(&rig, &task, by_record, Order::Kill);
        signal(supervisor, Signal::SIGCONT);
        let outcome = task.wait();
        assert_eq!((outcome.ended, outcome.cause), (Ended::Exited(3), Cause::Own));
    }
}
