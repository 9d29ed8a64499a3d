//! The end of a tree that does all it can to get away, by each of the three ways.

use std::fs;
use std::time::Instant;

use executor_api::Feature;
use executor_linux::cgroup::{Controller, Groups, Version};
use libtest_mimic::{Completion, Failed, Trial};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::{Child, HOLDS, Made, PATIENCE, eventually, file_of, host, skip, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_tree_that_forks_is_killed_by_the_kernel_at_once", &[Feature::Pids, Feature::WholeTree], by_kernel),
        trial("a_tree_that_forks_is_killed_while_it_is_stopped", &[Feature::Pids], by_freezer),
        trial("a_tree_that_forks_is_killed_one_by_one", &[Feature::Pids], one_by_one),
        trial("a_tree_that_was_stopped_before_is_killed_all_the_same", &[Feature::Pids], stopped_before),
        trial("nobody_is_killed_in_groups_without_processes", &[Feature::Pids], nobody),
        trial("the_kill_ends_those_of_the_groups_and_nobody_else", &[Feature::Pids], nobody_else),
    ]
}

/// A tree in full growth, as many as it may be.
fn bomb(json: &str, also: &[Controller]) -> (Made, Child) {
    let made = Made::try_new(json, also).expect("they are made");
    let mut child = Child::enter(&made, &["bomb"]);
    child.await_sign();
    eventually("the tree has grown", || made.usage().expect("it is counted").pids >= Some(30));
    (made, child)
}

/// Kills by `ways`, which are some of the tree's groups, and sees that nobody is left in any.
fn is_killed(made: Made, mut child: Child, ways: &Groups) {
    let began = Instant::now();
    ways.kill(PATIENCE).expect("it is killed");
    assert!(began.elapsed() < PATIENCE / 4, "it took {:?}", began.elapsed());
    for group in made.iter() {
        let left = fs::read_to_string(group.dir().path().join("cgroup.procs")).expect("a list");
        assert_eq!(left, "", "in {}", group.dir().path().display());
    }
    assert!(matches!(child.wait(), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    made.end();
}

fn by_kernel() -> Result<Completion, Failed> {
    let name = "a_tree_that_forks_is_killed_by_the_kernel_at_once";
    let (made, child) = bomb(r#"{"pids":40}"#, &[]);
    let Some(unified) = made.unified().filter(|group| group.dir().path().join("cgroup.kill").exists()) else {
        return skip(name, "needs cgroup.kill, Linux 5.14 with version 2 mounted");
    };
    let ways = Groups::reopen(host(), &[unified.dir().path().to_owned()])?;
    is_killed(made, child, &ways);
    HOLDS
}

fn by_freezer() -> Result<Completion, Failed> {
    if host().of(Controller::Freezer).is_none() {
        let name = "a_tree_that_forks_is_killed_while_it_is_stopped";
        return skip(name, "needs a freezer: no mounted hierarchy has the controller");
    }
    let (made, child) = bomb(r#"{"pids":40}"#, &[Controller::Freezer]);
    let freezer = made.of(Controller::Freezer).expect("it is there").dir().path().to_owned();
    let ways = Groups::reopen(host(), &[freezer])?;
    assert!(ways.unified().is_none());
    let began = Instant::now();
    ways.kill(PATIENCE)?;
    assert!(began.elapsed() < PATIENCE / 4, "it took {:?}", began.elapsed());
    // Stopped processes die only when they go on.
    assert_eq!(file_of(&made, Controller::Freezer, "freezer.state"), "THAWED");
    is_killed(made, child, &ways);
    HOLDS
}

fn stopped_before() -> Result<Completion, Failed> {
    if host().of(Controller::Freezer).is_none() {
        let name = "a_tree_that_was_stopped_before_is_killed_all_the_same";
        return skip(name, "needs a freezer: no mounted hierarchy has the controller");
    }
    let made = Made::try_new(r#"{"pids":5}"#, &[Controller::Freezer])?;
    let mut child = Child::enter(&made, &["sleep"]);
    child.await_sign();
    let freezer = made.of(Controller::Freezer).expect("it is there").dir().path().join("freezer.state");
    fs::write(&freezer, "FROZEN")?;
    eventually("it has stopped", || file_of(&made, Controller::Freezer, "freezer.state") == "FROZEN");
    made.kill(PATIENCE / 4)?;
    assert!(matches!(child.wait(), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    made.end();
    HOLDS
}

fn one_by_one() -> Result<Completion, Failed> {
    if host().of(Controller::Pids).is_none_or(|pids| pids.version() == Version::V2) {
        let name = "a_tree_that_forks_is_killed_one_by_one";
        return skip(name, "needs pids on version 1: a group of version 2 is killed by the kernel");
    }
    let (made, child) = bomb(r#"{"pids":40}"#, &[]);
    let pids = made.of(Controller::Pids).expect("it is counted").dir().path().to_owned();
    let ways = Groups::reopen(host(), &[pids])?;
    is_killed(made, child, &ways);
    HOLDS
}

fn nobody() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    made.kill(PATIENCE)?;
    let again = Groups::reopen(host(), &made.paths())?;
    made.end();
    // Removed meanwhile: there is nobody either.
    again.kill(PATIENCE)?;
    again.remove(PATIENCE)?;
    HOLDS
}

fn nobody_else() -> Result<Completion, Failed> {
    let [one, other] = [Made::new(r#"{"pids":5}"#), Made::new(r#"{"pids":5}"#)];
    let [mut killed, mut spared] = [&one, &other].map(|groups| Child::enter(groups, &["sleep"]));
    killed.await_sign();
    spared.await_sign();
    one.kill(PATIENCE)?;
    assert!(matches!(killed.wait(), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    assert_eq!(other.usage()?.pids, Some(1));
    one.end();
    drop(spared);
    other.end();
    HOLDS
}
