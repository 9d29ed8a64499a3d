//! What is done for a task, one value for each act. A step prints as the line that `executor plan` shows.
//!
//! A step names descriptors by what they are for, never by number: what has which number is the script's business.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// One act of the supervisor, of the child, or at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Leave namespaces of the host.
    Unshare(Vec<Namespace>),
    /// Take a hostname.
    Hostname(String),
    /// Put the prepared tree over the root.
    Root,
    /// Put the prepared tree with this number at its place inside.
    Bind {
        /// Which of the trees.
        tree: usize,
        /// Where it appears.
        target: PathBuf,
    },
    /// Mount a procfs of the task's own processes.
    Proc,
    /// Mount the harmless devices.
    Devices,
    /// Wait for the descriptors of the groups, which the host makes meanwhile.
    AwaitGroups(usize),
    /// Enter the group with this number, by its `tasks`.
    JoinGroup(usize),
    /// Lead a session.
    Session,
    /// Make the prepared tree the root.
    EnterRoot,
    /// Connect this standard stream.
    Stream(u8),
    /// Take a niceness.
    Nice(Rank),
    /// Take a score for when memory runs out.
    OomScore(Rank),
    /// Limit each process.
    Rlimit(Limit),
    /// Join a keyring of its own.
    Keyring,
    /// Have exactly these supplementary groups.
    Groups(Vec<u32>),
    /// Have this group.
    Group(u32),
    /// Have this user.
    User(u32),
    /// Prove that root is out of reach.
    NoWayBack,
    /// Set the permission bits that new files do not get.
    Umask(u16),
    /// Gain no privileges by executing.
    NoNewPrivileges,
    /// Give up every capability.
    NoCapabilities,
    /// Enter the working directory.
    Directory(PathBuf),
    /// Execute the program.
    Execute(Program),
    /// Read a figure of a group into the usage.
    Reading(Reading),
    /// Kill by the group what is left.
    KillGroup,
    /// Remove the group with this name in the parent with this number.
    RemoveGroup {
        /// Which of the parents.
        parent: usize,
        /// Its name there.
        name: OsString,
    },
}

/// A namespace that a task can have for its own; processes are always its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Mounts.
    Mounts,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Hostname.
    Hostname,
}

impl Namespace {
    fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mount",
            Self::Ipc => "ipc",
            Self::Hostname => "uts",
        }
    }
}

/// A rank, and whether somebody asked for it: a default that this host cannot set is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The value.
    pub value: i16,
    /// Whether it was asked for.
    pub asked: bool,
}

/// A limit of each process, as prlimit(2) takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name in the interface.
    pub name: String,
    /// The kernel's number of it.
    pub resource: u32,
    /// What is in force.
    pub soft: u64,
    /// The ceiling.
    pub hard: u64,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it may be inside, in the order to try.
    pub candidates: Vec<OsString>,
    /// Its words, the first of which it is called by.
    pub args: Vec<OsString>,
    /// Its environment, `NAME=value`.
    pub env: Vec<OsString>,
}

/// A figure of the usage, by its place in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the usage")]
pub enum Figure {
    Memory,
    MemoryPeak,
    CpuUser,
    CpuSystem,
    CpuThrottled,
    Pids,
    PidsPeak,
    IoRead,
    IoWritten,
    OomKills,
}

/// A number that the files of a group hold at the end of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which of the files that are passed.
    pub file: usize,
    /// What the line begins with; empty where the file is one number.
    pub key: String,
    /// What the number is divided by, to have the unit of the usage.
    pub divisor: u64,
    /// What it says.
    pub figure: Figure,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unshare(spaces) => {
                f.write_str("unshare")?;
                spaces.iter().try_for_each(|space| write!(f, " {}", space.name()))
            }
            Self::Hostname(name) => write!(f, "hostname {name}"),
            Self::Root => f.write_str("put the tree over /"),
            Self::Bind { tree, target } => write!(f, "put tree {tree} at {}", target.display()),
            Self::Proc => f.write_str("mount proc at /proc"),
            Self::Devices => f.write_str("mount devices at /dev"),
            Self::AwaitGroups(count) => write!(f, "await {count} descriptors of groups"),
            Self::JoinGroup(group) => write!(f, "enter group {group}"),
            Self::Session => f.write_str("lead a session"),
            Self::EnterRoot => f.write_str("enter the root"),
            Self::Stream(stream) => write!(f, "connect stream {stream}"),
            Self::Nice(nice) => write!(f, "niceness {}", nice.value),
            Self::OomScore(score) => write!(f, "oom_score_adj {}", score.value),
            Self::Rlimit(limit) => write!(f, "rlimit {limit}"),
            Self::Keyring => f.write_str("join an own keyring"),
            Self::Groups(groups) => write!(f, "supplementary groups {groups:?}"),
            Self::Group(gid) => write!(f, "group {gid}"),
            Self::User(uid) => write!(f, "user {uid}"),
            Self::NoWayBack => f.write_str("prove that root is out of reach"),
            Self::Umask(umask) => write!(f, "umask {umask:03o}"),
            Self::NoNewPrivileges => f.write_str("no new privileges"),
            Self::NoCapabilities => f.write_str("no capabilities"),
            Self::Directory(path) => write!(f, "enter {}", path.display()),
            Self::Execute(program) => write!(f, "execute {:?} {:?}", program.candidates, program.args),
            Self::Reading(reading) => write!(f, "read {:?} from file {} {}", reading.figure, reading.file, reading.key),
            Self::KillGroup => f.write_str("kill what is left by its group"),
            Self::RemoveGroup { parent, name } => write!(f, "remove group {} of parent {parent}", name.display()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |bound: u64| if bound == u64::MAX { "unlimited".into() } else { bound.to_string() };
        write!(f, "{} to {} (soft) and {} (hard)", self.name, words(self.soft), words(self.hard))
    }
}
