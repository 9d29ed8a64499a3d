//! The lanes: which kernel, which cgroups, whose suites. A lane is a row here and nothing else.

use std::fmt;

/// One boot: a kernel, how its cgroups are mounted, and who runs the suites.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    /// The suite of Debian's archive that has the kernel.
    pub(super) release: &'static str,
    pub(super) cgroups: Cgroups,
    pub(super) user: User,
    pub(super) standing: Standing,
    /// What the kernel has or lacks that makes it a lane.
    pub(super) why: &'static str,
}

/// What becomes of a lane whose packages cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It fails.
    Required,
    /// It is skipped, by name and with the reason.
    Optional,
}

/// How the guest's cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cgroups {
    /// All controllers in one tree.
    V2,
    /// A tree for each controller.
    V1,
    /// A tree for each controller, and one of v2 without any.
    Hybrid,
}

/// Who runs the suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Root,
    /// Somebody else, to whom a cgroup is delegated.
    Delegated,
}

impl User {
    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Delegated => 1000,
        }
    }
}

const NEW: &str = "trixie-backports";
const OWN: &str = "bookworm";
const OLD: &str = "bullseye";

/// Every lane, the required one first.
pub(crate) const LANES: [Lane; 6] = [
    Lane {
        name: "6.1",
        release: OWN,
        cgroups: Cgroups::V2,
        user: User::Root,
        standing: Standing::Required,
        why: "what a plugin must at least run on in full",
    },
    Lane {
        name: "5.10",
        release: OLD,
        cgroups: Cgroups::V2,
        user: User::Root,
        standing: Standing::Optional,
        why: "no cgroup.kill, no memory.peak, no Landlock",
    },
    Lane {
        name: "newest",
        release: NEW,
        cgroups: Cgroups::V2,
        user: User::Root,
        standing: Standing::Optional,
        why: "the newest that Debian has",
    },
    Lane {
        name: "v1",
        release: OWN,
        cgroups: Cgroups::V1,
        user: User::Root,
        standing: Standing::Optional,
        why: "a tree for each controller, no v2 at all",
    },
    Lane {
        name: "hybrid",
        release: OWN,
        cgroups: Cgroups::Hybrid,
        user: User::Root,
        standing: Standing::Optional,
        why: "controllers in v1, an empty v2 beside them",
    },
    Lane {
        name: "user",
        release: OWN,
        cgroups: Cgroups::V2,
        user: User::Delegated,
        standing: Standing::Optional,
        why: "an ordinary user with a delegated cgroup",
    },
];

/// The lane of this name.
pub(crate) fn named(name: &str) -> Result<Lane, String> {
    let names = || LANES.map(|lane| lane.name).join(", ");
    LANES.into_iter().find(|lane| lane.name == name).ok_or_else(|| format!("the lanes are {}", names()))
}

impl Lane {
    /// Its name, with how cgroups are mounted in it.
    pub(crate) fn title(&self) -> String {
        let cgroups = self.cgroups.to_string();
        if self.name == cgroups { cgroups } else { format!("{} {cgroups}", self.name) }
    }
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
        })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Delegated => "uid 1000",
        })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, release, cgroups, user, standing, why } = self;
        let standing = match standing {
            Standing::Required => "required",
            Standing::Optional => "optional",
        };
        write!(f, "{name:8} {standing}  kernel of {release}, cgroups {cgroups}, {user}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_lane_comes_first_and_is_pure_v2_as_root() {
        let required: Vec<_> = LANES.iter().filter(|lane| lane.standing == Standing::Required).collect();
        let [lane] = required[..] else { panic!("{required:?}") };
        assert_eq!(lane.name, LANES[0].name);
        assert_eq!((lane.name, lane.cgroups, lane.user), ("6.1", Cgroups::V2, User::Root));
    }

    #[test]
    fn a_lane_is_found_by_its_name_and_another_name_gets_all_of_them() {
        for lane in LANES {
            assert_eq!(named(lane.name).unwrap().to_string(), lane.to_string());
        }
        assert_eq!(named("6").expect_err("no lane"), "the lanes are 6.1, 5.10, newest, v1, hybrid, user");
    }

    #[test]
    fn no_two_lanes_are_the_same() {
        for (index, one) in LANES.iter().enumerate() {
            for other in &LANES[index + 1..] {
                assert_ne!(one.name, other.name);
                let what = |lane: &Lane| (lane.release, lane.cgroups, lane.user);
                assert_ne!(what(one), what(other), "{} and {}", one.name, other.name);
            }
        }
    }
}
