//! Groups that are found again, and removed, by whom they belong to.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use executor_api::{Error, ErrorKind, Feature};
use executor_linux::cgroup::{Controller, Failure, Groups};
use libtest_mimic::{Completion, Failed, Trial};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::{Child, HOLDS, Made, PATIENCE, host, name, resources, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_group_with_a_process_stays_and_its_process_is_named", &[Feature::Pids], process_is_named),
        trial("groups_are_found_again_by_their_paths_and_removed", &[Feature::Pids], found_again),
        trial("groups_below_a_tasks_own_are_removed_with_it", &[Feature::Pids], removed_with_it),
        trial("groups_that_are_not_ours_are_not_opened", &[Feature::Pids], not_ours),
        trial("dropping_groups_leaves_them_to_the_task", &[Feature::Pids], dropped),
        trial("figures_that_nobody_counts_are_absent", &[Feature::Pids], absent),
        trial("a_supervisor_that_has_only_the_files_reads_and_kills", &[Feature::Memory, Feature::Pids], by_files),
    ]
}

fn process_is_named() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    let mut child = Child::enter(&made, &["sleep"]);
    child.await_sign();
    let again = Groups::reopen(host(), &made.paths())?;
    let failure = again.remove(Duration::from_millis(20)).expect_err("a process is in it");
    assert!(matches!(failure, Failure::RemoveGroup(_)), "{failure}");
    let (error, pid) = (Error::from(failure), child.pid);
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.what().ends_with(&format!("; in it: {pid}")), "{error}");
    made.end();
    HOLDS
}

fn found_again() -> Result<Completion, Failed> {
    let groups = Groups::make(host(), &name(), &resources(r#"{"pids":5}"#), &[])?;
    let paths = groups.paths();
    drop(groups);
    let again = Made(Some(Groups::reopen(host(), &paths)?));
    assert_eq!(again.paths(), paths);
    assert_eq!(again.usage()?.pids, Some(0));
    again.end();
    let gone = Groups::reopen(host(), &paths)?;
    assert_eq!(gone.iter().count(), 0);
    gone.remove(PATIENCE)?;
    HOLDS
}

fn removed_with_it() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    for path in made.paths() {
        fs::create_dir_all(path.join("a/b"))?;
        fs::create_dir(path.join("c"))?;
    }
    made.end();
    HOLDS
}

fn not_ours() -> Result<Completion, Failed> {
    let own: Vec<PathBuf> = host().iter().filter_map(|hierarchy| hierarchy.own_dir()).collect();
    let elsewhere = ["/proc/executor-a", "/executor-a", "executor-a"].map(PathBuf::from);
    let mount = host().of(Controller::Pids).expect("it is supported").mount().to_owned();
    let climbing = [mount.join("executor-a/.."), mount.join("executor-a/../x"), mount.join("..").join("executor-a")];
    for path in own.into_iter().chain(elsewhere).chain(climbing) {
        let opened = Groups::reopen(host(), std::slice::from_ref(&path));
        assert!(opened.is_err(), "{} was opened", path.display());
    }
    // Whoever is in a group would kill itself.
    let made = Made::new(r#"{"pids":5}"#);
    let paths: Vec<String> = made.paths().iter().map(|path| path.to_str().expect("text").to_owned()).collect();
    let words: Vec<&str> = ["reopen"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let (text, status) = Child::enter(&made, &words).finish();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    assert_eq!(text, "", "these were opened");
    made.end();
    HOLDS
}

fn dropped() -> Result<Completion, Failed> {
    let groups = Groups::make(host(), &name(), &resources(r#"{"pids":5}"#), &[])?;
    let paths = groups.paths();
    drop(groups);
    assert!(!paths.is_empty() && paths.iter().all(|path| path.exists()));
    Made(Some(Groups::reopen(host(), &paths)?)).end();
    HOLDS
}

fn absent() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    let usage = made.usage()?;
    assert_eq!((usage.pids, made.of(Controller::Pids).is_some()), (Some(0), true));
    for (controller, figure) in
        [(Controller::Memory, usage.memory.is_some()), (Controller::Io, usage.io_read.is_some())]
    {
        assert_eq!(figure, made.of(controller).is_some(), "{controller:?}");
    }
    assert_eq!(made.oom_kills()?.is_some(), made.of(Controller::Memory).is_some());
    made.end();
    HOLDS
}

fn by_files() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"memory_bytes":67108864,"pids":5}"#);
    let mut child = Child::enter(&made, &["hold", "8388608"]);
    child.await_sign();
    let readings = made.readings()?;
    let usage = serde_json::to_value(made.usage()?)?;
    let names: Vec<&str> = readings.iter().map(|reading| reading.figure).collect();
    assert!(["memory_bytes", "pids", "oom_kills"].iter().all(|name| names.contains(name)), "{names:?}");
    for reading in readings {
        let name = reading.figure;
        let text = std::io::read_to_string(fs::File::from(reading.file.try_clone()?))?;
        let behind = |line: &str| match reading.key {
            "" => Some(line.to_owned()),
            key => line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned),
        };
        let number = text.lines().find_map(behind).expect(name).parse::<u64>()? / reading.divisor;
        // The kernel settles its counters now and then, and time goes on between the two.
        let (known, slack) = (usage[name].as_u64().expect(name), if name.ends_with("_bytes") { 1 << 20 } else { 100 });
        assert!(number.abs_diff(known) <= slack, "{name}: {number}, then {known}");
    }
    if let Some(file) = made.kill_file()? {
        fs::File::from(file).write_all(b"1")?;
        assert!(matches!(child.wait(), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    }
    made.end();
    HOLDS
}
