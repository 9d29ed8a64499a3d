//! What the groups of this host can enforce, limit by limit, without making one.
//!
//! Looks at rights and at files, and changes nothing. The root of a hierarchy lacks the files of limits, since it has
//! none: below it they are taken to be there, and where they are not, making the groups says so.

use std::fs;
use std::path::Path;

use executor_api::{ErrorKind, Feature, Level, Support};
use nix::unistd::AccessFlags;

use super::controller::{Controller, Version};
use super::dir::Dir;
use super::error::{Failure, MakeGroup, SUBTREE};
use super::group::homeless;
use super::hierarchy::{Hierarchies, Hierarchy};
use super::limits::{Act, ROWS, Row, Setting};
use super::place::place;
use super::settle::lacking;

/// What can be enforced with groups here, each feature once.
#[must_use]
pub fn support(hierarchies: &Hierarchies) -> Vec<(Feature, Support)> {
    let mut found: Vec<_> = ROWS.iter().map(|row| (row.feature, of_row(hierarchies, row))).collect();
    let first = hierarchies.unified().or_else(|| hierarchies.iter().next());
    let any = match first.map(|hierarchy| usable(hierarchy, &[])) {
        Some(Ok(_)) => Ok(()),
        Some(Err(failure)) => Err(refused(failure)),
        None => Err(refused(homeless(Feature::WholeTree, Controller::Memory, hierarchies).into())),
    };
    let with = |mechanism: &str| any.clone().map_or_else(|none| none, |()| Support::hard().by(mechanism));
    found.push((Feature::CgroupParent, with("mkdirat(2)")));
    found.push((Feature::Stats, with("cpu.stat")));
    found.push((Feature::Update, with("write(2)")));
    found.push((Feature::WholeTree, any.clone().map_or_else(|none| none, |()| whole_tree(hierarchies))));
    found
}

fn of_row(hierarchies: &Hierarchies, row: &'static Row) -> Support {
    let Some(hierarchy) = hierarchies.of(row.controller) else {
        return refused(homeless(row.feature, row.controller, hierarchies).into());
    };
    let parent = match usable(hierarchy, &[row.controller]) {
        Ok(parent) => parent,
        Err(failure) => return refused(failure),
    };
    let files = row.files(hierarchy.version());
    let is_there = |name: &str| parent.has(name) || is_root(&parent, hierarchy.version());
    let absent = files.iter().filter(|file| !is_there(file.name));
    let mut lacking = absent.filter_map(|file| lacking(&Setting { row, file, value: None }));
    if let Some(lacking) = lacking.next() {
        return refused(lacking.into());
    }
    let written = files.iter().find(|file| file.act == Act::Write).or(files.last());
    let by = written.map_or("", |file| if is_there(file.name) { file.name } else { "no swap on this host" });
    let hard = Support::hard().by(by);
    match row.feature {
        Feature::IoWeight => weighed(&disks(), hard),
        // Swap is not in the figure that is capped; only the next row takes it away.
        Feature::Memory => swap_with_memory(hierarchies, hard),
        _ => hard,
    }
}

/// The group that a task's own would be made in, if this process may.
fn usable(hierarchy: &Hierarchy, needed: &[Controller]) -> Result<Dir, Failure> {
    let place = place(hierarchy, None, needed)?;
    let may = place.parent.may(".", AccessFlags::W_OK | AccessFlags::X_OK);
    let may = may.and_then(|()| match place.enable.is_empty() {
        true => Ok(()),
        false => place.parent.may(SUBTREE, AccessFlags::W_OK),
    });
    match may {
        Ok(()) => Ok(place.parent),
        Err(errno) => {
            let path = place.parent.path().join("executor-TASK");
            Err(MakeGroup { path, source: errno.into() }.into())
        }
    }
}

fn refused(failure: Failure) -> Support {
    let error = executor_api::Error::from(failure);
    // What cannot be had has its reason; what was refused is told with the act.
    let why = if error.kind() == ErrorKind::Unsupported { error.why().to_owned() } else { error.to_string() };
    Support::none(why, error.fix().unwrap_or_default())
}

/// Whether the group is the root of its hierarchy, which has no limits.
fn is_root(dir: &Dir, version: Version) -> bool {
    match version {
        Version::V1 => dir.has("cgroup.sane_behavior"),
        Version::V2 => !dir.has("cgroup.type"),
    }
}

fn swap_with_memory(hierarchies: &Hierarchies, hard: Support) -> Support {
    let row = ROWS.iter().find(|row| row.feature == Feature::Swap);
    let swap = row.map(|row| of_row(hierarchies, row)).unwrap_or_default();
    if swap.level == Level::Hard {
        return hard;
    }
    let mut soft = Support::soft(format!("the task can have more in swap: {}", swap.why)).by(hard.by);
    soft.fix = swap.fix;
    soft
}

fn whole_tree(hierarchies: &Hierarchies) -> Support {
    // Every kernel since 5.14 has it; the root alone does not show it.
    let kills = hierarchies.unified().and_then(|unified| usable(unified, &[]).ok());
    let kills = kills.is_some_and(|parent| parent.has("cgroup.kill") || is_root(&parent, Version::V2));
    let freezes = hierarchies.of(Controller::Freezer).is_some_and(|freezer| usable(freezer, &[]).is_ok());
    match (kills, freezes) {
        (true, _) => Support::hard().by("cgroup.kill"),
        (false, true) => Support::hard().by("freezer.state"),
        (false, false) => {
            let why = "processes are killed one by one: a tree can fork faster than that";
            Support::soft(why).by("SIGKILL until empty")
        }
    }
}

/// Whether weights count on `disks`, each with the line that names its io scheduler.
fn weighed(disks: &[(String, String)], hard: Support) -> Support {
    let others: Vec<&str> =
        disks.iter().filter(|(_, scheduler)| !scheduler.contains("[bfq]")).map(|(disk, _)| disk.as_str()).collect();
    if others.is_empty() && !disks.is_empty() {
        return hard;
    }
    let why = format!("weights count only where the io scheduler is bfq, which it is not on {}", others.join(" "));
    let fixes: Vec<String> =
        others.iter().map(|disk| format!("echo bfq > /sys/block/{disk}/queue/scheduler")).collect();
    let fix = fixes.join("; ");
    if disks.is_empty() {
        return Support::none("weights count only where a disk has the io scheduler bfq, and no disk is seen", "");
    }
    if others.len() == disks.len() {
        return Support::none(why, fix);
    }
    let mut soft = Support::soft(why).by(hard.by);
    soft.fix = fix;
    soft
}

/// The disks of this host that are devices of their own, with their io schedulers.
fn disks() -> Vec<(String, String)> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
    let disk = |path: &Path| {
        // A loop, a mapping, memory: what is written there goes through a disk that is in the list, or through none.
        path.join("device").exists().then_some(())?;
        let scheduler = fs::read_to_string(path.join("queue/scheduler")).ok()?;
        Some((path.file_name()?.to_string_lossy().into_owned(), scheduler))
    };
    let mut found: Vec<_> = entries.filter_map(|entry| disk(&entry.path())).collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_hard_only_where_every_disk_knows_it() {
        let disk = |name: &str, scheduler: &str| (name.to_owned(), scheduler.to_owned());
        let (plain, fair) = (disk("vda", "[none] mq-deadline bfq"), disk("vdb", "none [bfq]"));
        let level = |disks: &[(String, String)]| weighed(disks, Support::hard()).level;
        assert_eq!(level(std::slice::from_ref(&fair)), Level::Hard);
        assert_eq!(level(&[plain.clone(), fair]), Level::Soft);
        let none = weighed(&[plain], Support::hard());
        assert_eq!((none.level, none.fix.as_str()), (Level::None, "echo bfq > /sys/block/vda/queue/scheduler"));
        assert_eq!(level(&[]), Level::None);
    }

    #[test]
    fn without_a_hierarchy_every_limit_says_why_not_and_what_helps() {
        let found = support(&Hierarchies::default());
        assert_eq!(found.len(), ROWS.len() + 4);
        for (feature, support) in found {
            assert_eq!(support.level, Level::None, "{feature:?}");
            assert!(!support.why.is_empty() && support.fix.contains("mount"), "{feature:?}: {support:?}");
        }
    }
}
