//! Processes that die at the wrong moment: hosts, spawners, supervisors; and hosts that are not like this test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use executor_api::record::State;
use executor_api::{Cause, Ended, Resources, TaskId, TaskSpec};
use executor_linux::launch::{Attempt, GroupDescriptors, Order};
use executor_linux::plan::Groups;
use libtest_mimic::Trial;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::rig::{KILLED, Rig, eventually, sh, with_word};
use super::trial;

/// Set for a process that plays a host; the value is the directory of its rig, and behind a colon what it does.
pub(crate) const ROLE: &str = "EXECUTOR_LAUNCH_HOST";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_task_outlives_its_host_and_its_end_is_recorded", a_task_outlives_its_host),
        trial("a_task_that_is_to_ends_with_its_host", a_task_that_is_to_ends_with_its_host),
        trial("a_host_that_dies_in_a_start_has_no_task", a_host_that_dies_in_a_start_has_no_task),
        trial("all_of_a_task_ends_with_its_supervisor", all_of_a_task_ends_with_its_supervisor),
        trial("a_task_outlives_its_spawner_and_the_next_start_makes_another", a_task_outlives_its_spawner),
        trial("a_request_that_dies_with_its_spawner_is_made_again", a_request_that_dies_with_its_spawner_is_made_again),
        trial("nothing_of_the_host_reaches_the_task", nothing_of_the_host_reaches_the_task),
        trial("many_threads_start_tasks_at_once", many_threads_start_tasks_at_once),
    ]
}

/// Runs this program as a host of its own, after a shell has run `before`.
fn play_host(rig: &Rig, what: &str, before: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    let role = format!("{}:{what}", rig.place().display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{before}exec \"$0\"")]).arg(program).env(ROLE, role);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell")
}

/// A script that says that it runs and ends with 21 at USR2.
fn patient(word: &str) -> String {
    format!("trap 'exit 21' USR2; echo on; while :; do sleep 0.0{word}; done")
}

/// What a host that is played does.
pub(crate) fn play(role: &OsStr) -> ExitCode {
    let role = role.to_str().expect("text");
    let (place, what) = role.split_once(':').expect("a role");
    let rig = Rig::at(Path::new(place));
    let word = what.rsplit(' ').next().unwrap_or_default();
    let mut spec = sh(&patient(word));
    match what.split(' ').next() {
        Some("bonded") => spec.die_with_host = true,
        Some("dies") => {
            let mut groups = Groups::default();
            groups.names.push("never-there".into());
            let die = || -> executor_api::Result<GroupDescriptors> {
                eventually("the supervisor waits for its groups", || waits(&rig));
                std::process::abort()
            };
            drop(rig.start_with(&spec, &Resources::default(), &groups, &Attempt::default(), die));
            return ExitCode::FAILURE;
        }
        Some("odd") => return odd(&rig),
        _ => {}
    }
    let mut task = rig.start(&spec).expect("it starts");
    assert_eq!(task.line(), "on");
    write_line(&task.id.to_string());
    // Until it is killed, or whoever plays with it is gone.
    drop(std::io::stdin().read(&mut [0]));
    ExitCode::SUCCESS
}

/// Whether the spawner's one child waits in poll.
fn waits(rig: &Rig) -> bool {
    let spawner = rig.launcher.spawner().expect("a spawner");
    let child = std::fs::read_to_string(format!("/proc/{spawner}/task/{spawner}/children")).expect("a list");
    let call = std::fs::read_to_string(format!("/proc/{}/syscall", child.trim())).unwrap_or_default();
    call.starts_with(&format!("{} ", nix::libc::SYS_ppoll))
}

fn write_line(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads");
}

/// Starts a host with a task, kills it, and gives the task's id.
fn killed_host(rig: &Rig, what: &str) -> TaskId {
    let mut host = play_host(rig, what, "");
    let mut line = String::new();
    BufReader::new(host.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let id = line.trim().parse().expect("an id");
    host.kill().and_then(|()| host.wait()).expect("it was there");
    id
}

fn a_task_outlives_its_host() {
    let rig = Rig::new();
    let id = killed_host(&rig, "plain 1");
    let State::Running(watch) = rig.state().find(&id).expect("a record").state else { panic!("it runs") };
    assert!(watch.order(&Order::Signal(12).to_bytes()).expect("it is written"));
    let end = watch.wait(Some(super::rig::PATIENCE)).expect("readable").expect("it ends");
    assert_eq!((end.outcome.ended, end.outcome.cause), (Ended::Exited(21), Cause::Own));
}

fn a_task_that_is_to_ends_with_its_host() {
    let rig = Rig::new();
    let id = killed_host(&rig, "bonded 1");
    let outcome = rig.recorded(&id).outcome;
    assert_eq!((outcome.ended, outcome.cause), (KILLED, Cause::Stopped));
}

fn a_host_that_dies_in_a_start_has_no_task() {
    let rig = Rig::new();
    let word = format!("66{}", std::process::id());
    let mut host = play_host(&rig, &format!("dies {word}"), "ulimit -c 0; ");
    host.wait().expect("it ends");
    eventually("nothing runs", || with_word(&word).is_empty());
    let ids = rig.state().list().expect("records");
    assert_eq!(rig.recorded(&ids[0]).outcome.cause, Cause::Lost, "nobody was there to take it back");
}

fn all_of_a_task_ends_with_its_supervisor() {
    let rig = Rig::new();
    let word = format!("55{:07}", std::process::id());
    let attempt = Attempt::default();
    let spec = sh(&format!("setsid sh -c 'sleep {word}' & (setsid sleep {word} &) ; echo on; sleep {word}"));
    let none = || Ok(GroupDescriptors::default());
    let task = rig.start_with(&spec, &Resources::default(), &Groups::default(), &attempt, none);
    let mut task = task.expect("it starts");
    assert_eq!(task.line(), "on");
    eventually("all of them are there", || with_word(&word).len() >= 4);
    attempt.stop().expect("the supervisor is killed");
    let outcome = task.wait();
    assert_eq!((outcome.ended, outcome.cause), (Ended::Unknown, Cause::Lost));
    task.is_gone();
    assert_eq!(with_word(&word), [0; 0]);
    assert_eq!(rig.recorded(&task.id).outcome.cause, Cause::Lost);
}

fn a_task_outlives_its_spawner() {
    let rig = Rig::new();
    let mut task = rig.start(&sh(&patient("1"))).expect("it starts");
    assert_eq!(task.line(), "on");
    let first = rig.launcher.spawner().expect("a spawner");
    kill(Pid::from_raw(first.cast_signed()), Signal::SIGKILL).expect("it is our child, and not reaped");
    let (outcome, _) = rig.run(&sh("exit 4"));
    assert_eq!(outcome.ended, Ended::Exited(4), "the next start makes another");
    assert!(rig.launcher.spawner().is_some_and(|second| second != first));
    assert!(!Path::new(&format!("/proc/{first}")).exists(), "the first is reaped");
    assert_eq!(task.running.order(Order::Signal(12)).ok(), Some(true));
    assert_eq!(task.wait().ended, Ended::Exited(21));
    assert_eq!(rig.recorded(&task.id).outcome.ended, Ended::Exited(21));
}

fn a_request_that_dies_with_its_spawner_is_made_again() {
    let rig = Rig::new();
    rig.launcher.warm_up().expect("a spawner");
    let spawner = Pid::from_raw(rig.launcher.spawner().expect("a spawner").cast_signed());
    // It gets the request and never reads it.
    kill(spawner, Signal::SIGSTOP).expect("it is our child");
    let place = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(place.path().join("group")).expect("a group");
    let mut groups = Groups::default();
    groups.names.push("group".into());
    let make = || {
        kill(spawner, Signal::SIGKILL).expect("it is our child, and not reaped");
        let parent = std::fs::File::open(place.path()).expect("a directory").into();
        Ok(GroupDescriptors { parents: vec![parent], ..GroupDescriptors::default() })
    };
    let task = rig.start_with(&sh("exit 12"), &Resources::default(), &groups, &Attempt::default(), make);
    assert_eq!(task.expect("another takes it").wait().ended, Ended::Exited(12));
    eventually("the groups were passed again", || !place.path().join("group").exists());
}

fn nothing_of_the_host_reaches_the_task() {
    let rig = Rig::new();
    let before = "trap '' HUP INT QUIT USR1 PIPE CHLD; umask 077; cd /usr; exec 7</dev/null 9</etc/passwd; \
                  renice -n 5 $$ >/dev/null; echo 300 > /proc/self/oom_score_adj; ulimit -Sc unlimited; export LEAK=1; ";
    let mut host = play_host(&rig, "odd", before);
    let mut said = String::new();
    host.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    host.wait().expect("it ends");
    let facts: Vec<_> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let zero = "0000000000000000";
    let expected = [
        &*format!("SigPnd: {zero}"),
        &format!("SigBlk: {zero}"),
        &format!("SigIgn: {zero}"),
        "0",
        "1",
        "2",
        "/",
        "0022",
        "0",
        "0",
        "0",
    ];
    assert_eq!(facts, expected);
}

/// A host that has much to leak.
fn odd(rig: &Rig) -> ExitCode {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGUSR2]).thread_block().expect("a mask");
    // ls has its listing open as 3.
    let script = "grep -E 'SigPnd|SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd | grep -v '^3$'; pwd; umask; nice; \
                  cat /proc/self/oom_score_adj; ulimit -c; env | grep LEAK";
    write_line(rig.run(&sh(script)).1.trim_end());
    ExitCode::SUCCESS
}

fn many_threads_start_tasks_at_once() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let rig = &rig;
            scope.spawn(move || {
                for round in 0..10 {
                    let (outcome, said) = rig.run(&sh(&format!("echo {thread} {round}; exit {thread}")));
                    assert_eq!((outcome.ended, &*said), (Ended::Exited(thread), &*format!("{thread} {round}\n")));
                }
            });
        }
    });
    assert!(rig.start(&TaskSpec::new("/no/such")).is_err());
}
