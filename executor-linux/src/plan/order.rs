//! The order of all acts for a task: the one page that decides it. A reason stands beside each line that would break in
//! another place.

use executor_api::isolation::Scope;
use executor_api::units::{Nice, OomScoreAdj, Umask};
use executor_api::{Result, TaskSpec};

use super::step::{Namespace, Rank, Step};
use super::{Groups, Request, Support, limits, program};

/// Permission bits that new files of a task do not get, as the contract has it for a task that does not say.
const UMASK: u16 = 0o022;

/// The supervisor's acts, first to last. Its pid namespace is its own from birth.
pub(super) fn supervisor_steps(request: &Request<'_>, support: &Support) -> Vec<Step> {
    let isolation = &request.spec.isolation;
    let mut spaces = vec![Namespace::Mounts];
    spaces.extend((support.ipc && isolation.ipc == Scope::Private).then_some(Namespace::Ipc));
    spaces.extend(support.hostname.then_some(Namespace::Hostname));
    let mut steps = vec![Step::Unshare(spaces)]; // what is mounted before is mounted for the spawner, and every later task
    steps.extend(isolation.hostname.clone().map(Step::Hostname)); // in its own namespace, or the host is renamed
    steps.push(Step::Root); // what follows is put below it
    let binds = request.binds.iter().enumerate();
    steps.extend(binds.map(|(tree, target)| Step::Bind { tree, target: target.clone() }));
    steps.push(Step::Devices);
    steps.push(Step::Proc); // behind the binds, which could hide it; the child's score is set through it
    let late = request.groups.descriptors();
    steps.extend((late > 0).then_some(Step::AwaitGroups(late))); // last: the host makes them while all this is done
    steps
}

/// The child's acts, first to last. Those that need rights come before the rights are given up.
pub(super) fn child_steps(request: &Request<'_>) -> Result<Vec<Step>> {
    let (spec, owner) = (request.spec, request.owner);
    // First: what is done from here on is charged to the task, and groups of the host cannot be seen from the root.
    let mut steps: Vec<Step> = (0..request.groups.tasks).map(Step::JoinGroup).collect();
    steps.push(Step::Session);
    steps.push(Step::EnterRoot); // needs CAP_SYS_CHROOT: before the user; the paths of all later steps are inside
    steps.extend((0..3).map(Step::Stream)); // before the limits, which could refuse a descriptor
    steps.extend(rank(spec)); // to rise needs rights: before the user
    steps.extend(limits::rlimits(request.resources)?.into_iter().map(Step::Rlimit)); // above the hard limit as well
    steps.push(Step::Keyring); // before the user, who may have 200 of them
    steps.push(Step::Groups(owner.groups.clone())); // the user takes the right to this
    steps.push(Step::Group(owner.gid)); // and to this
    steps.push(Step::User(owner.uid)); // takes the capabilities that are in force
    steps.push(Step::NoCapabilities); // what a change of user leaves
    steps.push(Step::NoNewPrivileges); // programs with more rights give none; filters will demand it
    steps.push(Step::NoWayBack); // behind all that should have made it so
    steps.push(Step::Umask(spec.umask.map_or(UMASK, Umask::bits)));
    // As the task's user: a directory that it may not enter is not entered for it.
    steps.push(Step::Directory(spec.cwd.clone().unwrap_or_else(|| request.directory.to_owned())));
    steps.push(Step::Execute(program::program(spec)?)); // with this the descriptors close and the mask is cleared
    Ok(steps)
}

/// Always set, to 0 where the spec does not say, so that the host's own do not reach the task.
fn rank(spec: &TaskSpec) -> [Step; 2] {
    let nice = spec.nice.map_or(0, Nice::get);
    let score = spec.oom_score_adj.map_or(0, OomScoreAdj::get);
    [
        Step::Nice(Rank { value: nice.into(), asked: spec.nice.is_some() }),
        Step::OomScore(Rank { value: score, asked: spec.oom_score_adj.is_some() }),
    ]
}

/// What is done when the main process has ended.
pub(super) fn end_steps(groups: &Groups) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(groups.kill.then_some(Step::KillGroup)); // what is left still counts
    steps.extend(groups.readings.iter().cloned().map(Step::Reading)); // the files go with the group
    let names = groups.names.iter().cloned().enumerate();
    steps.extend(names.map(|(parent, name)| Step::RemoveGroup { parent, name })); // a group with processes stays
    steps
}
