//! Where each controller lives, and which group of it is ours: one value, found once.
//!
//! Every kind of host is the same value: one hierarchy with all controllers, many with one each, or both beside each
//! other. Which version a controller is spoken to in follows from where it lives and is asked nowhere else. Parsing is
//! pure. Nothing is made, mounted or moved here. Follows cgroups(7) and cgroup_namespaces(7).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::controller::{Controller, Version};
use super::error::ReadHierarchies;
use super::mount::{Mount, group_path, mounts};

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// One hierarchy of groups, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    version: Version,
    mount: PathBuf,
    root: PathBuf,
    own: Option<PathBuf>,
    controllers: Vec<Controller>,
}

/// Every hierarchy that this process can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchy {
    /// Of which kind it is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The controllers that live here.
    #[must_use]
    pub fn controllers(&self) -> &[Controller] {
        &self.controllers
    }

    /// The group of this process, by its path below the hierarchy's root; none where it was removed.
    #[must_use]
    pub fn own(&self) -> Option<&Path> {
        self.own.as_deref()
    }

    /// The directory of the group with this path below the hierarchy's root; none where no mount shows that part.
    #[must_use]
    pub fn dir_of(&self, group: &Path) -> Option<PathBuf> {
        // Joining an empty path would add a slash at the end.
        let below = group.strip_prefix(&self.root).ok()?;
        Some(if below.as_os_str().is_empty() { self.mount.clone() } else { self.mount.join(below) })
    }

    /// The directory of this process's own group; none where no mount shows it.
    #[must_use]
    pub fn own_dir(&self) -> Option<PathBuf> {
        self.dir_of(self.own()?)
    }
}

impl Hierarchies {
    /// Reads what is mounted, and where this process is.
    ///
    /// # Errors
    ///
    /// [`ReadHierarchies`] where /proc is not mounted or cannot be read.
    pub fn find() -> Result<Self, ReadHierarchies> {
        let read = |path: &Path| fs::read(path).map_err(|source| ReadHierarchies { file: path.to_owned(), source });
        let [mountinfo, own] = [MOUNTINFO, "/proc/self/cgroup"].map(|path| read(Path::new(path)));
        Self::parse(&mountinfo?, &own?, |mount| {
            let file = mount.join("cgroup.controllers");
            match fs::read_to_string(&file) {
                // A host may hide it, to say that there are none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
                read => read.map_err(|source| ReadHierarchies { file, source }),
            }
        })
    }

    /// The same, from the texts; `offered` gives the controllers of the version 2 hierarchy mounted at a path.
    ///
    /// # Errors
    ///
    /// What `offered` says; [`ReadHierarchies`] for a line that is no mount.
    pub fn parse(
        mountinfo: &[u8],
        own: &[u8],
        offered: impl Fn(&Path) -> Result<String, ReadHierarchies>,
    ) -> Result<Self, ReadHierarchies> {
        let mut found: Vec<(Mount, Hierarchy)> = Vec::new();
        let mounts = mounts(mountinfo).map_err(|source| ReadHierarchies { file: MOUNTINFO.into(), source })?;
        for mount in mounts {
            let Some(hierarchy) = hierarchy(&mount, own, &offered)? else { continue };
            let (version, controllers) = (hierarchy.version, &hierarchy.controllers);
            // There is one of version 2, whatever its mounts offer.
            let same = |known: &(Mount, Hierarchy)| {
                known.1.version == version && (version == Version::V2 || known.1.controllers == *controllers)
            };
            // The same hierarchy can be mounted in several places: the best is where our own group can be written.
            let worth = |mount: &Mount, hierarchy: &Hierarchy| (hierarchy.own_dir().is_some(), mount.writable);
            match found.iter_mut().find(|known| same(known)) {
                Some(known) if worth(&known.0, &known.1) < worth(&mount, &hierarchy) => *known = (mount, hierarchy),
                Some(_) => {}
                None => found.push((mount, hierarchy)),
            }
        }
        Ok(Self(found.into_iter().map(|(_, hierarchy)| hierarchy).collect()))
    }

    /// Where `controller` lives; none where no reachable hierarchy has it.
    #[must_use]
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.controllers.contains(&controller))
    }

    /// The hierarchy of version 2, which kills and takes children at birth even where it has no controllers.
    #[must_use]
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.version == Version::V2)
    }

    /// All of them, in the order of their mounts.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }
}

/// The hierarchy behind `mount`; none for one without controllers that is not the one of version 2.
fn hierarchy(
    mount: &Mount,
    own: &[u8],
    offered: impl Fn(&Path) -> Result<String, ReadHierarchies>,
) -> Result<Option<Hierarchy>, ReadHierarchies> {
    let (controllers, line) = match mount.version {
        Version::V1 => {
            let controllers = Controller::named(mount.options.iter().map(String::as_str), Version::V1);
            let Some(first) = controllers.first().and_then(|controller| controller.name(Version::V1)) else {
                return Ok(None);
            };
            (controllers, first)
        }
        Version::V2 => (Controller::named(offered(&mount.point)?.split_whitespace(), Version::V2), ""),
    };
    let own = own_group(own, line);
    Ok(Some(Hierarchy {
        version: mount.version,
        mount: mount.point.clone(),
        root: mount.root.clone(),
        own,
        controllers,
    }))
}

/// The path in the line `id:list:path` whose list has `controller`, or is empty where that is empty.
fn own_group(text: &[u8], controller: &str) -> Option<PathBuf> {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.splitn(3, |byte| *byte == b':').skip(1));
    lines.find_map(|mut fields| {
        let listed = fields.next()?.split(|byte| *byte == b',').any(|name| name == controller.as_bytes());
        let path = fields.next()?;
        listed.then(|| group_path(path))?
    })
}

#[cfg(test)]
mod tests;
