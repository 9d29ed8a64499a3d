//! What a task does with the groups that it is passed. Plain files and directories stand for them here, which tell what was
//! written and what was removed; real ones are the business of the groups' own tests.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use executor_api::{Cause, Ended, Resources, TaskSpec};
use executor_linux::launch::{Attempt, GroupDescriptors};
use executor_linux::plan::{Figure, Groups, Reading};
use libtest_mimic::Trial;
use tempfile::TempDir;

use super::rig::{KILLED, Rig, Task, eventually, sh};
use super::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_task_enters_its_groups_and_they_go_with_it", a_task_enters_its_groups_and_they_go_with_it),
        trial("a_kill_for_memory_is_told_from_any_other", a_kill_for_memory_is_told_from_any_other),
        trial("what_is_left_is_killed_by_the_group_and_one_by_one", what_is_left_is_killed),
        trial("the_groups_of_a_failed_start_are_removed", the_groups_of_a_failed_start_are_removed),
        trial("a_task_is_born_into_a_real_group_and_enters_one", a_task_is_born_into_a_real_group_and_enters_one),
        trial("a_birth_group_that_is_none_ends_the_start", a_birth_group_that_is_none_ends_the_start),
    ]
}

/// Two groups, one of which is entered by writing.
fn groups() -> Groups {
    let reading = |file, key: &str, divisor, figure| Reading { file, key: key.into(), divisor, figure };
    Groups {
        tasks: 1,
        birth: false,
        kill: true,
        readings: vec![
            reading(0, "oom_kill", 1, Figure::OomKills),
            reading(1, "", 1, Figure::MemoryPeak),
            reading(0, "user_usec", 1000, Figure::CpuUser),
        ],
        names: vec!["first".into(), "second".into()],
    }
}

/// Files and directories that stand for them, with this many kills for memory.
fn stand_ins(oom_kills: u32) -> (TempDir, GroupDescriptors) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: String| -> OwnedFd {
        fs::write(dir.path().join(name), text).expect("a file");
        File::options().read(true).write(true).open(dir.path().join(name)).expect("a file").into()
    };
    let parent = |name: &str| -> OwnedFd {
        fs::create_dir_all(dir.path().join(name)).expect("a group");
        File::open(dir.path().join(name).parent().expect("a parent")).expect("a parent").into()
    };
    let events = format!("oom 5\noom_kill {oom_kills}\nuser_usec 7000999\n");
    let fds = GroupDescriptors {
        tasks: vec![file("tasks", String::new())],
        birth: None,
        kill: Some(file("kill", String::new())),
        files: vec![file("events", events), file("peak", "4096\n".into())],
        parents: vec![parent("one/first"), parent("two/second")],
    };
    (dir, fds)
}

fn start(rig: &Rig, spec: &TaskSpec, fds: GroupDescriptors) -> executor_api::Result<Task> {
    rig.start_with(spec, &Resources::default(), &groups(), &Attempt::default(), move || Ok(fds))
}

fn is_removed(dir: &Path) -> bool {
    !dir.join("one/first").exists() && !dir.join("two/second").exists()
}

fn a_task_enters_its_groups_and_they_go_with_it() {
    let rig = Rig::new();
    let (dir, fds) = stand_ins(0);
    let task = start(&rig, &sh("exit 3"), fds).expect("it starts");
    assert_eq!(task.wait().ended, Ended::Exited(3));
    let end = rig.recorded(&task.id);
    assert_eq!(end.usage.memory_peak.map(executor_api::units::Bytes::get), Some(4096));
    assert_eq!(end.usage.cpu_user, Some(std::time::Duration::from_millis(7000)));
    assert_eq!((end.usage.oom_kills, end.outcome.cause), (Some(0), Cause::Own));
    task.is_gone();
    assert_eq!(fs::read_to_string(dir.path().join("tasks")).ok().as_deref(), Some("0"));
    assert_eq!(fs::read_to_string(dir.path().join("kill")).ok().as_deref(), Some(""), "nothing was left");
    assert!(is_removed(dir.path()) && dir.path().join("one").exists());
}

fn a_kill_for_memory_is_told_from_any_other() {
    let rig = Rig::new();
    for (oom_kills, script, ended, cause) in [
        (1, "kill -9 $$", KILLED, Cause::Oom),
        (0, "kill -9 $$", KILLED, Cause::Own),
        (1, "exit 137", Ended::Exited(137), Cause::Own),
    ] {
        let (_dir, fds) = stand_ins(oom_kills);
        let task = start(&rig, &sh(script), fds).expect("it starts");
        let outcome = task.wait();
        assert_eq!((outcome.ended, outcome.cause), (ended, cause));
        assert_eq!(rig.recorded(&task.id).usage.oom_kills, Some(oom_kills.into()), "whatever the main process did");
    }
}

fn what_is_left_is_killed() {
    let rig = Rig::new();
    let (dir, fds) = stand_ins(0);
    let task = start(&rig, &sh("(trap '' HUP; sleep 1000) & exit 0"), fds).expect("it starts");
    assert_eq!(task.wait().ended, Ended::Exited(0));
    task.is_gone();
    let written = fs::read_to_string(dir.path().join("kill")).expect("readable");
    assert!(written.starts_with('1'), "{written:?}");
    assert!(is_removed(dir.path()));
}

fn the_groups_of_a_failed_start_are_removed() {
    let rig = Rig::new();
    let (dir, fds) = stand_ins(0);
    assert!(start(&rig, &TaskSpec::new("/no/such"), fds).is_err());
    eventually("they are removed", || is_removed(dir.path()));
}

/// This process's own groups, as directories: of version 2, and of the memory controller of version 1. A task that enters
/// them stays where it is, so nothing of the machine changes.
fn own_groups() -> (Option<OwnedFd>, Vec<OwnedFd>) {
    let own = fs::read_to_string("/proc/self/cgroup").expect("text");
    let path = |controllers: &str| {
        own.lines()
            .find_map(|line| line.split_once(':')?.1.strip_prefix(controllers)?.strip_prefix(":/"))
            .map(str::to_owned)
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("text");
    let mount = |kind: &str, option: &str| {
        let found = mounts.lines().find(|line| line.contains(kind) && line.split(',').any(|word| word == option));
        found.and_then(|line| line.split(' ').nth(4)).map(str::to_owned)
    };
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let birth = unified.zip(path("")).and_then(|(mount, path)| File::open(Path::new(mount).join(path)).ok());
    let memory = mount(" - cgroup ", "memory").zip(path("memory"));
    let tasks = memory.map(|(mount, path)| Path::new(&mount).join(path).join("tasks"));
    let tasks = tasks.and_then(|tasks| File::options().write(true).open(tasks).ok());
    (birth.map(OwnedFd::from), tasks.into_iter().map(OwnedFd::from).collect())
}

fn a_task_is_born_into_a_real_group_and_enters_one() {
    let rig = Rig::new();
    let (birth, tasks) = own_groups();
    let groups = Groups { tasks: tasks.len(), birth: birth.is_some(), ..Groups::default() };
    let fds = GroupDescriptors { tasks, birth, ..GroupDescriptors::default() };
    let spec = sh("cat /proc/self/cgroup");
    let task = rig.start_with(&spec, &Resources::default(), &groups, &Attempt::default(), move || Ok(fds));
    let mut task = task.expect("it starts");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut task.output, &mut said).expect("text");
    assert_eq!(task.wait().ended, Ended::Exited(0));
    assert_eq!(said, fs::read_to_string("/proc/self/cgroup").expect("text"));
}

fn a_birth_group_that_is_none_ends_the_start() {
    let rig = Rig::new();
    let dir = File::open("/").expect("a directory").into();
    let fds = GroupDescriptors { birth: Some(dir), ..GroupDescriptors::default() };
    let groups = Groups { birth: true, ..Groups::default() };
    let start = rig.start_with(&sh("exit 0"), &Resources::default(), &groups, &Attempt::default(), move || Ok(fds));
    let error = start.err().expect("it is no group");
    assert_eq!(error.what(), "make the task's main process", "{error}");
}
