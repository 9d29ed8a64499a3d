//! Below which group of a hierarchy a task's own group is made.
//!
//! A group that was named wins; then, on version 2, the group above ours, where it was given to us; then our own. Version
//! 2 gives controllers only to groups below one without processes, and our own has at least us. Controllers are switched
//! on only in groups that are ours; where that is somebody else's to do, the refusal says the line to write. Choosing is
//! pure. Follows cgroups(7), "no internal processes", and systemd's CGROUP_DELEGATION.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, geteuid};

use super::controller::{Controller, Version, names};
use super::dir::Dir;
use super::error::{Failure, NoPlace};
use super::hierarchy::Hierarchy;
use crate::sys::xattr::fgetxattr;

/// Where to make a group, and what to switch on there first.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parent: Dir,
    pub(super) enable: Vec<Controller>,
}

/// A group of version 2 that could be the parent.
#[derive(Clone, Debug)]
struct Site {
    path: PathBuf,
    role: Role,
    /// Whether controllers may be switched on in it by us.
    ours: bool,
    /// What it has, and what groups below it get.
    available: Vec<Controller>,
    enabled: Vec<Controller>,
}

/// What a group is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Named,
    AboveOurs,
    OurOwn,
}

/// Finds the parent for a group that counts `needed`; `named` is a group by its path below the hierarchy's root.
///
/// # Errors
///
/// `NoPlace` where no group can be the parent, with what an operator can do; `OpenGroup` where a named one is not there.
pub(super) fn place(hierarchy: &Hierarchy, named: Option<&Path>, needed: &[Controller]) -> Result<Place, Failure> {
    let dir = match named {
        Some(group) => hierarchy.dir_of(group),
        None => hierarchy.own_dir(),
    };
    let dir = dir.ok_or_else(|| not_shown(hierarchy, named))?;
    if hierarchy.version() == Version::V1 {
        return Ok(Place { parent: Dir::open(&dir)?, enable: Vec::new() });
    }
    let mut groups = Vec::new();
    let above = above_ours(hierarchy)?;
    match named {
        Some(_) => {
            let parent = Dir::open(&dir)?;
            let ours = is_below_ours(hierarchy, above.as_ref(), &dir) || is_marked(&parent) || is_owned(&parent);
            groups.push((site(&parent, Role::Named, ours)?, parent));
        }
        None => {
            if let Some((above, ours)) = above {
                groups.push((site(&above, Role::AboveOurs, ours)?, above));
            }
            let own = Dir::open(&dir)?;
            groups.push((site(&own, Role::OurOwn, false)?, own));
        }
    }
    let sites: Vec<&Site> = groups.iter().map(|(site, _)| site).collect();
    let (at, enable) = choose(&sites, needed)?;
    Ok(Place { parent: groups.swap_remove(at).1, enable })
}

/// The group above ours, and whether it was given to us; none for a root.
fn above_ours(hierarchy: &Hierarchy) -> Result<Option<(Dir, bool)>, Failure> {
    let above = hierarchy.own().and_then(Path::parent).and_then(|above| hierarchy.dir_of(above));
    let Some(above) = above.map(|above| Dir::open(&above)).transpose()? else { return Ok(None) };
    let is_units = hierarchy.own().is_some_and(is_within_unit);
    let ours = is_units || is_own_namespace() || is_marked(&above) || is_owned(&above);
    Ok(Some((above, ours)))
}

/// Whether the group at `dir` lies where groups are ours: below our own, or in the one above that was given to us.
fn is_below_ours(hierarchy: &Hierarchy, above: Option<&(Dir, bool)>, dir: &Path) -> bool {
    let own = hierarchy.own_dir();
    let is_own = own.as_deref() == Some(dir);
    let is_within = above.is_some_and(|(above, ours)| *ours && dir.starts_with(above.path()));
    !is_own && (is_within || own.is_some_and(|own| dir.starts_with(own)))
}

/// The first site that can be the parent, and what is to be switched on there.
fn choose(sites: &[&Site], needed: &[Controller]) -> Result<(usize, Vec<Controller>), NoPlace> {
    for (at, site) in sites.iter().enumerate() {
        let lacking: Vec<_> = needed.iter().copied().filter(|need| !site.enabled.contains(need)).collect();
        let can_enable = site.ours && lacking.iter().all(|need| site.available.contains(need));
        let may_use = site.role != Role::AboveOurs || site.ours;
        if may_use && (lacking.is_empty() || can_enable) {
            return Ok((at, lacking));
        }
    }
    // What is said is about the site that was nearest to being one.
    let nearest = sites.iter().find(|site| site.ours || site.role != Role::AboveOurs);
    Err(nearest.map_or_else(|| refuse(needed, "there is no group", String::new()), |site| explain(site, needed)))
}

/// Why `site` cannot be the parent of a group that counts `needed`.
fn explain(site: &Site, needed: &[Controller]) -> NoPlace {
    let dir = site.path.display();
    let lacking: Vec<_> = needed.iter().copied().filter(|need| !site.enabled.contains(need)).collect();
    let absent: Vec<_> = lacking.iter().copied().filter(|need| !site.available.contains(need)).collect();
    let (what, above) = (names(&absent, "+"), site.path.parent().unwrap_or(&site.path).display());
    match site.role {
        Role::OurOwn => {
            let why =
                format!("{dir} has processes, this one too, so the kernel gives no controller to groups below it");
            let fix = "start the host in a group of its own below one that is delegated to it (systemd: Delegate=yes and \
                       DelegateSubgroup=host), or name such a group as cgroup_parent";
            refuse(needed, why, fix.into())
        }
        Role::Named | Role::AboveOurs if !absent.is_empty() => {
            let fix = format!(
                "systemd: Delegate={} in its unit; else echo \"{what}\" > {above}/cgroup.subtree_control",
                names(&absent, "")
            );
            refuse(needed, format!("{dir} was not given {}", names(&absent, "")), fix)
        }
        Role::Named | Role::AboveOurs => {
            let fix = format!("echo \"{}\" > {dir}/cgroup.subtree_control", names(&lacking, "+"));
            refuse(needed, format!("{dir} gives groups below it no {}", names(&lacking, "")), fix)
        }
    }
}

fn refuse(needed: &[Controller], why: impl Into<String>, fix: String) -> NoPlace {
    NoPlace { controllers: names(needed, ""), why: why.into(), fix }
}

fn not_shown(hierarchy: &Hierarchy, named: Option<&Path>) -> NoPlace {
    let group = named.map_or("the group of this process".into(), |group| group.display().to_string());
    let mount = hierarchy.mount().display();
    let kind = if hierarchy.version() == Version::V1 { "cgroup" } else { "cgroup2" };
    let controllers = hierarchy.controllers().iter().filter_map(|controller| controller.name(hierarchy.version()));
    NoPlace {
        controllers: controllers.collect::<Vec<_>>().join(" "),
        why: format!("{group} is not below what is mounted at {mount}"),
        fix: format!("mount the file system {kind} within the namespace of this process"),
    }
}

fn site(dir: &Dir, role: Role, ours: bool) -> Result<Site, Failure> {
    let listed = |text: String| Controller::named(text.split_whitespace(), Version::V2);
    let available = listed(dir.read("cgroup.controllers")?);
    let enabled = listed(dir.read("cgroup.subtree_control")?);
    Ok(Site { path: dir.path().to_owned(), role, ours, available, enabled })
}

/// Whether the group with this path lies below a unit of systemd's, which then is the unit's own business.
fn is_within_unit(own: &Path) -> bool {
    let is_unit = |name: &str| [".service", ".scope", ".slice"].iter().any(|kind| name.ends_with(kind));
    let mut above = own.ancestors().filter_map(|group| group.file_name()?.to_str());
    let ours = above.next().unwrap_or_default();
    // Below a slice itself groups are systemd's.
    !is_unit(ours) && above.find(|name| is_unit(name)).is_some_and(|unit| !unit.ends_with(".slice"))
}

/// Whether this process is in a namespace of groups, whose root was given to whoever is in it.
fn is_own_namespace() -> bool {
    /// The inode of the first one, fixed in the kernel: `PROC_CGROUP_INIT_INO`.
    const FIRST: u64 = 0xEFFF_FFFB;
    fs::metadata("/proc/self/ns/cgroup").is_ok_and(|namespace| namespace.ino() != FIRST)
}

/// Whether systemd says that the group was delegated.
fn is_marked(dir: &Dir) -> bool {
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0];
        fgetxattr(dir.as_fd(), name, &mut value).is_ok_and(|len| value[..len] == *b"1")
    })
}

/// Whether the group was given to a user who is not root, and that is us.
fn is_owned(dir: &Dir) -> bool {
    let user = geteuid();
    let owner = nix::sys::stat::fstat(dir.as_fd()).map(|status| status.st_uid);
    !user.is_root() && owner == Ok(user.as_raw()) && dir.may("cgroup.subtree_control", AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests;
