//! What many starts leave in the host and in its spawner: nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use executor_api::{Ended, TaskSpec};
use executor_linux::launch::Order;
use libtest_mimic::Trial;

use super::rig::{KILLED, Rig, eventually, sh};
use super::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_hundred_starts_leave_nothing", a_hundred_starts_leave_nothing),
        trial("a_supervisor_holds_its_record_and_the_way_to_its_host", a_supervisor_holds_its_record),
        trial("a_direct_start_leaves_no_spawner", a_direct_start_leaves_no_spawner),
        trial("the_environment_stays_with_the_task_alone", the_environment_stays_with_the_task_alone),
    ]
}

/// Descriptors and mounts of this process and of the spawner, and the spawner's children.
fn holdings(rig: &Rig) -> [usize; 5] {
    let spawner = rig.launcher.spawner().expect("a spawner");
    let entries = |path: String| fs::read_dir(path).expect("a list").count();
    let lines = |path: String| fs::read_to_string(path).expect("text").lines().count();
    let children = || fs::read_to_string(format!("/proc/{spawner}/task/{spawner}/children")).unwrap_or_default();
    eventually("the supervisors are gone", || children().trim().is_empty());
    [
        entries("/proc/self/fd".into()),
        lines("/proc/self/mountinfo".into()),
        entries(format!("/proc/{spawner}/fd")),
        lines(format!("/proc/{spawner}/mountinfo")),
        own_children(),
    ]
}

/// The children of this process.
fn own_children() -> usize {
    let own = std::process::id().to_string();
    let stats = fs::read_dir("/proc").expect("a list").flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(&*own)).count()
}

fn a_hundred_starts_leave_nothing() {
    let rig = Rig::new();
    let missing = TaskSpec::new("/no/such");
    assert_eq!(rig.run(&sh("exit 0")).0.ended, Ended::Exited(0));
    assert!(rig.start(&missing).is_err());
    let before = holdings(&rig);
    for round in 0..100_u8 {
        assert_eq!(rig.run(&sh(&format!("sleep 100 & exit {round}"))).0.ended, Ended::Exited(round));
        assert!(rig.start(&missing).is_err());
    }
    assert_eq!(holdings(&rig), before, "descriptors, mounts, of this process and of the spawner; children");
    assert_eq!(before[2..4], [4, 1], "the spawner has three null devices, its socket, and one mount");
    assert_eq!(before[4], 1, "the spawner is the only child");
}

fn a_supervisor_holds_its_record() {
    let rig = Rig::new();
    let mut task = rig.start(&sh("echo on; exec sleep 1000")).expect("it starts");
    assert_eq!(task.line(), "on");
    let held = || {
        let fds = fs::read_dir(format!("/proc/{}/fd", task.supervisor())).expect("a list").flatten();
        let links = fds.map(|fd| fs::read_link(fd.path()).unwrap_or_default().display().to_string());
        let kind = |link: String| match link.rsplit('/').next() {
            Some(name) if link.starts_with('/') => name.to_owned(),
            _ => link.split(':').next().unwrap_or_default().to_owned(),
        };
        let mut kinds: Vec<_> = links.map(kind).collect();
        kinds.sort();
        kinds
    };
    let expected = ["alive", "anon_inode", "control", "lock", "null", "null", "null", "outcome.json", "socket"];
    eventually("what the start needed is closed", || held().len() <= expected.len());
    assert_eq!(held(), expected);
}

fn a_direct_start_leaves_no_spawner() {
    let rig = Rig::direct();
    let mut task = rig.start(&sh("echo on; exec sleep 1000")).expect("a start");
    assert_eq!(task.line(), "on");
    assert_eq!((rig.launcher.spawner(), own_children()), (None, 0), "the supervisor is nobody's child of this process");
    assert_eq!(task.running.order(Order::Kill).ok(), Some(true));
    assert_eq!(task.wait().ended, KILLED);
    assert_eq!(rig.run(&sh("exit 5")).0.ended, Ended::Exited(5));
    assert!(rig.start(&TaskSpec::new("/no/such")).is_err());
    assert_eq!(own_children(), 0);
}

/// Whether a process has `word` in memory that it can write to.
fn holds(pid: u32, word: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("text");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("root may");
    let number = |digits: &str| u64::from_str_radix(digits, 16).expect("a number");
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (begin, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let mut bytes = vec![0; usize::try_from(number(end) - number(begin)).expect("it fits")];
        memory.read_exact_at(&mut bytes, number(begin)).expect("it is mapped");
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    })
}

fn the_environment_stays_with_the_task_alone() {
    let rig = Rig::new();
    // One that goes with the request, and one that is too long for it.
    for length in [100, 100_000] {
        let word = format!("secret-{}-{length}", std::process::id());
        let mut spec = sh("echo on; exec sleep 1000");
        spec.env.insert("PASSWORD".into(), format!("{word}{}", "x".repeat(length)).into());
        let mut task = rig.start(&spec).expect("it starts");
        assert_eq!(task.line(), "on");
        let spawner = rig.launcher.spawner().expect("a spawner");
        assert!(!holds(spawner, &word) && !holds(task.supervisor(), &word), "{length}");
        assert!(holds(std::process::id(), &word), "it would be found");
        assert_eq!(task.running.order(Order::Kill).ok(), Some(true));
        task.is_gone();
    }
}
