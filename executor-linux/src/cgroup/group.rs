//! The groups of one task: made with every limit that was asked for, or not at all.
//!
//! One group in each hierarchy that counts something for the task, and one in that of version 2 wherever it is mounted,
//! since it kills and takes children at birth. Each is an open directory: what happens to its path later changes nothing.
//! A task enters by itself; no process is moved here. Dropping the value leaves the groups where they are.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use executor_api::{Enforcement, Feature, Resources};
use nix::fcntl::OFlag;

use super::controller::{Controller, Version, names};
use super::device::devices;
use super::dir::Dir;
use super::error::{Failure, Lacking, OpenGroup, SUBTREE};
use super::hierarchy::{Hierarchies, Hierarchy};
use super::limits::{Ask, asked, settings};
use super::name::GroupName;
use super::place::{Place, place};
use super::settle::settle;

/// One group of a task.
#[derive(Debug)]
pub struct Group {
    dir: Dir,
    parent: Dir,
    name: GroupName,
    version: Version,
    controllers: Vec<Controller>,
}

/// All groups of a task.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Group>,
    lacking: Vec<Lacking>,
}

/// What a child needs to put itself into its groups, one thread before it starts any other.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The file `tasks` of each group of version 1: the child writes `0` to each. Another file, or another process that
    /// writes, would make the kernel wait for 8 to 15 ms.
    pub tasks: Vec<OwnedFd>,
    /// The group of version 2, for `CLONE_INTO_CGROUP`.
    pub unified: Option<BorrowedFd<'a>>,
}

impl Group {
    /// The open directory.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The group that it was made in, from which it is removed by [`name`](Self::name).
    #[must_use]
    pub fn parent(&self) -> &Dir {
        &self.parent
    }

    /// Its name in its parent.
    #[must_use]
    pub fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// Of which kind it is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// What is counted in it.
    #[must_use]
    pub fn controllers(&self) -> &[Controller] {
        &self.controllers
    }
}

/// What is counted in the group at `dir`.
fn counted(dir: &Dir, hierarchy: &Hierarchy) -> Result<Vec<Controller>, Failure> {
    Ok(match hierarchy.version() {
        Version::V1 => hierarchy.controllers().to_vec(),
        version @ Version::V2 => Controller::named(dir.read("cgroup.controllers")?.split_whitespace(), version),
    })
}

impl Groups {
    /// Makes the groups that `resources` need and sets every limit, each read back; and the groups of `also`, where such
    /// a controller has a hierarchy, for what is only to be counted or shown.
    ///
    /// With [`Enforcement::BestEffort`], what cannot be set is left out and listed in [`lacking`](Self::lacking). A group
    /// of version 2 that is not needed for a limit and cannot be made is listed there too: as the whole tree, which then
    /// cannot be killed through it.
    ///
    /// # Errors
    ///
    /// `NoPlace`, `Lacking`: this host cannot set a limit. `SetLimit`, `LimitDiffers`: the kernel refuses a value, or
    /// keeps another. `MakeGroup`, `OpenGroup`: no rights, no room, no such parent. `BadDevice`. Nothing is left then.
    pub fn make(
        hierarchies: &Hierarchies,
        name: &GroupName,
        resources: &Resources,
        also: &[Controller],
    ) -> Result<Self, Failure> {
        let devices = devices(&resources.io)?;
        let ask = Ask { resources, devices: &devices };
        let mut draft = Draft::new(name, &ask);
        let needed = draft.needed(hierarchies, also)?;
        if let Some(unified) = hierarchies.unified() {
            draft.add(unified, &needed)?;
        }
        let others = hierarchies.iter().filter(|hierarchy| hierarchy.version() == Version::V1);
        for hierarchy in others.filter(|hierarchy| needed.iter().any(|need| hierarchy.controllers().contains(need))) {
            draft.add(hierarchy, &needed)?;
        }
        draft.add_freezer(hierarchies)?;
        draft.limit()?;
        Ok(draft.finish())
    }

    /// Opens groups again by the [`paths`](Self::paths) that another process kept; those that are gone are left out.
    ///
    /// # Errors
    ///
    /// `BadName` for a path that no task was given, `OpenGroup` for one that is in no hierarchy, holds this process, or
    /// cannot be opened.
    pub fn reopen(hierarchies: &Hierarchies, paths: &[PathBuf]) -> Result<Self, Failure> {
        let opened = paths.iter().map(|path| reopen(hierarchies, path));
        let groups = opened.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Self { groups, lacking: Vec::new() })
    }

    /// Where the groups are, for the record of the task.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.groups.iter().map(|group| group.dir.path().to_owned()).collect()
    }

    /// What a child needs to enter. A fresh one for each child: it must not be kept longer than that.
    ///
    /// # Errors
    ///
    /// `OpenGroup` with the errno of open(2).
    pub fn entry(&self) -> Result<Entry<'_>, Failure> {
        let first = self.groups.iter().filter(|group| group.version == Version::V1);
        let tasks = first.map(|group| group.dir.open_file("tasks", OFlag::O_WRONLY)).collect::<Result<_, _>>()?;
        Ok(Entry { tasks, unified: self.unified().map(|group| group.dir.as_fd()) })
    }

    /// The file that kills the group of version 2 and all below it when `1` is written to it; none where the kernel has
    /// no such file. For a supervisor that does not see the groups' paths.
    ///
    /// # Errors
    ///
    /// `OpenGroup` with the errno of open(2).
    pub fn kill_file(&self) -> Result<Option<OwnedFd>, Failure> {
        const FILE: &str = "cgroup.kill";
        let group = self.unified().filter(|group| group.dir.has(FILE));
        Ok(group.map(|group| group.dir.open_file(FILE, OFlag::O_WRONLY)).transpose()?)
    }

    /// What was asked for as a wish and could not be had.
    #[must_use]
    pub fn lacking(&self) -> &[Lacking] {
        &self.lacking
    }

    /// The group that counts `controller`.
    #[must_use]
    pub fn of(&self, controller: Controller) -> Option<&Group> {
        self.groups.iter().find(|group| group.controllers.contains(&controller))
    }

    /// The group of version 2.
    #[must_use]
    pub fn unified(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.version == Version::V2)
    }

    /// All of them, that of version 2 first.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }
}

fn reopen(hierarchies: &Hierarchies, path: &Path) -> Result<Option<Group>, Failure> {
    let refuse = || OpenGroup { path: path.to_owned(), source: std::io::ErrorKind::InvalidInput.into() };
    let name = GroupName::new(path.file_name().and_then(|name| name.to_str()).unwrap_or_default())?;
    let mounted = hierarchies.iter().filter(|hierarchy| path.starts_with(hierarchy.mount()));
    let hierarchy = mounted.max_by_key(|hierarchy| hierarchy.mount().as_os_str().len()).ok_or_else(refuse)?;
    if hierarchy.own_dir().is_some_and(|own| own.starts_with(path)) {
        return Err(refuse().into());
    }
    let parent = match Dir::open(path.parent().ok_or_else(refuse)?) {
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match parent.child(name.as_c_str()) {
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        Err(errno) => Err(OpenGroup { path: path.to_owned(), source: errno.into() }.into()),
        Ok(dir) => {
            let (version, controllers) = (hierarchy.version(), counted(&dir, hierarchy)?);
            Ok(Some(Group { dir, parent, name, version, controllers }))
        }
    }
}

/// Groups that are being made: dropped, they are removed again.
struct Draft<'a> {
    name: &'a GroupName,
    ask: &'a Ask<'a>,
    groups: Groups,
}

impl<'a> Draft<'a> {
    fn new(name: &'a GroupName, ask: &'a Ask<'a>) -> Self {
        Self { name, ask, groups: Groups::default() }
    }

    fn is_wish(&self) -> bool {
        self.ask.resources.enforcement == Enforcement::BestEffort
    }

    /// The controllers that are needed, each of which has a home.
    fn needed(&mut self, hierarchies: &Hierarchies, also: &[Controller]) -> Result<Vec<Controller>, Failure> {
        let mut needed: Vec<_> = also.iter().copied().filter(|also| hierarchies.of(*also).is_some()).collect();
        for row in asked(self.ask) {
            if hierarchies.of(row.controller).is_some() {
                needed.push(row.controller);
                continue;
            }
            let lacking = homeless(row.feature, row.controller, hierarchies);
            if !self.is_wish() {
                return Err(lacking.into());
            }
            self.groups.lacking.push(lacking);
        }
        needed.sort_unstable();
        needed.dedup();
        Ok(needed)
    }

    /// Makes the group of `hierarchy`, for those of `needed` that live there.
    fn add(&mut self, hierarchy: &Hierarchy, needed: &[Controller]) -> Result<(), Failure> {
        let here: Vec<_> = needed.iter().copied().filter(|need| hierarchy.controllers().contains(need)).collect();
        let named = self.ask.resources.cgroup_parent.as_deref();
        let Err(failure) = self.try_add(hierarchy, named, &here) else { return Ok(()) };
        let is_required = !here.is_empty() || named.is_some();
        if is_required && !self.is_wish() {
            return Err(failure);
        }
        // As little as possible is given up: first the place, then what is counted, one by one.
        if named.is_some() && self.try_add(hierarchy, None, &here).is_ok() {
            self.give_up([Feature::CgroupParent], failure);
            return Ok(());
        }
        let kept: Vec<_> =
            here.iter().copied().filter(|need| Self::prepared(hierarchy, None, &[*need]).is_ok()).collect();
        let is_worth_it = !kept.is_empty() || hierarchy.version() == Version::V2;
        let kept = (is_worth_it && self.try_add(hierarchy, None, &kept).is_ok()).then_some(kept);
        let is_lost = |need: &Controller| here.contains(need) && kept.as_ref().is_none_or(|kept| !kept.contains(need));
        let lost: Vec<_> = asked(self.ask).filter(|row| is_lost(&row.controller)).map(|row| row.feature).collect();
        let tree = (hierarchy.version() == Version::V2 && kept.is_none()).then_some(Feature::WholeTree);
        let place = named.map(|_| Feature::CgroupParent);
        self.give_up(lost.into_iter().chain(tree).chain(place), failure);
        Ok(())
    }

    /// The parent, which gives the group what is needed.
    fn prepared(hierarchy: &Hierarchy, named: Option<&Path>, needed: &[Controller]) -> Result<Dir, Failure> {
        let Place { parent, enable } = place(hierarchy, named, needed)?;
        if !enable.is_empty() {
            parent.write(SUBTREE, &names(&enable, "+"))?;
        }
        Ok(parent)
    }

    fn try_add(&mut self, hierarchy: &Hierarchy, named: Option<&Path>, needed: &[Controller]) -> Result<(), Failure> {
        let parent = Self::prepared(hierarchy, named, needed)?;
        let (dir, name, version) = (parent.make(self.name.as_c_str())?, self.name.clone(), hierarchy.version());
        // In the list before anything else can fail, so that it is removed again.
        self.groups.groups.push(Group { dir, parent, name, version, controllers: Vec::new() });
        if let Some(group) = self.groups.groups.last_mut() {
            group.controllers = counted(&group.dir, hierarchy)?;
        }
        Ok(())
    }

    /// Where nothing else kills a tree at once, it has to be stopped first.
    fn add_freezer(&mut self, hierarchies: &Hierarchies) -> Result<(), Failure> {
        let kills = self.groups.unified().is_some_and(|group| group.dir.has("cgroup.kill"));
        let freezer =
            hierarchies.of(Controller::Freezer).filter(|_| !kills && self.groups.of(Controller::Freezer).is_none());
        let Some(freezer) = freezer else { return Ok(()) };
        self.add(freezer, &[])
    }

    fn limit(&mut self) -> Result<(), Failure> {
        let homes: Vec<_> = Controller::ALL
            .into_iter()
            .filter_map(|controller| Some((controller, self.groups.of(controller)?.version)))
            .collect();
        for setting in settings(self.ask, &homes) {
            let Some(group) = self.groups.of(setting.row.controller) else { continue };
            match settle(group, &setting) {
                Err(failure) if self.is_wish() => self.give_up([setting.row.feature], failure),
                settled => settled?,
            }
        }
        Ok(())
    }

    /// Lists `features` as lost because of `failure`, each once.
    fn give_up(&mut self, features: impl IntoIterator<Item = Feature>, failure: Failure) {
        let error = executor_api::Error::from(failure);
        let lacking = &mut self.groups.lacking;
        for feature in features {
            if !lacking.iter().any(|known| known.feature == feature) {
                let fix = error.fix().unwrap_or_default().to_owned();
                lacking.push(Lacking { feature, why: error.to_string(), fix });
            }
        }
    }

    fn finish(mut self) -> Groups {
        std::mem::take(&mut self.groups)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        for group in self.groups.groups.iter().rev() {
            // Nobody was ever in it, so nothing holds it; the error that is on its way says what went wrong.
            _ = group.parent.remove(group.name());
        }
    }
}

/// What is lost where no hierarchy has `controller`.
pub(super) fn homeless(feature: Feature, controller: Controller, hierarchies: &Hierarchies) -> Lacking {
    let [v1, v2] = [Version::V1, Version::V2].map(|version| controller.name(version).unwrap_or_default());
    let why = format!("no mounted hierarchy of groups has the controller {v2}");
    let fix = match hierarchies.unified() {
        Some(_) => format!(
            "mount it if the kernel has it: mount -t cgroup -o {v1} none DIRECTORY; or boot with cgroup_enable={v1}"
        ),
        None => "mount -t cgroup2 none /sys/fs/cgroup".to_owned(),
    };
    Lacking { feature, why, fix }
}
