//! What the kernel counts in groups, and by which name in which version of them.

/// One controller of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Processor time: shares and quota.
    Cpu,
    /// Processor time used; its own controller on version 1 only.
    Cpuacct,
    /// Which processors and memory nodes.
    Cpuset,
    /// Stopping a whole group; a controller on version 1 only.
    Freezer,
    /// Block devices.
    Io,
    /// Memory and swap.
    Memory,
    /// Numbers of processes and threads.
    Pids,
}

/// Of which kind a hierarchy of groups is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One of several, with some controllers.
    V1,
    /// The one with all the others, or with none.
    V2,
}

impl Controller {
    /// Every controller that this crate knows.
    pub const ALL: [Self; 7] =
        [Self::Cpu, Self::Cpuacct, Self::Cpuset, Self::Freezer, Self::Io, Self::Memory, Self::Pids];

    /// The kernel's name for it; none where that version has no such controller.
    #[must_use]
    pub const fn name(self, version: Version) -> Option<&'static str> {
        match (self, version) {
            (Self::Cpu, _) => Some("cpu"),
            (Self::Cpuset, _) => Some("cpuset"),
            (Self::Memory, _) => Some("memory"),
            (Self::Pids, _) => Some("pids"),
            (Self::Io, Version::V1) => Some("blkio"),
            (Self::Io, Version::V2) => Some("io"),
            (Self::Cpuacct, Version::V1) => Some("cpuacct"),
            (Self::Freezer, Version::V1) => Some("freezer"),
            (Self::Cpuacct | Self::Freezer, Version::V2) => None,
        }
    }

    /// Those that are named in `words`.
    pub(crate) fn named<'a>(words: impl Iterator<Item = &'a str> + Clone, version: Version) -> Vec<Self> {
        let is_named =
            |controller: &Self| controller.name(version).is_some_and(|name| words.clone().any(|word| word == name));
        Self::ALL.into_iter().filter(is_named).collect()
    }
}

/// The kernel's names of `controllers`, each with `mark` in front: for people, and for `cgroup.subtree_control`.
pub(crate) fn names(controllers: &[Controller], mark: &str) -> String {
    let named = controllers.iter().filter_map(|controller| controller.name(Version::V2));
    named.map(|name| format!("{mark}{name}")).collect::<Vec<_>>().join(" ")
}
