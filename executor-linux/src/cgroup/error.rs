//! What can go wrong with groups: one small error for each act, and what each is to a host.
//!
//! Every error names the file or the directory, and the value where one was written. What an operator can do about it
//! is told by [`executor_api::Error::fix`], with the real path.

use std::io;
use std::path::{Path, PathBuf};

use executor_api::{Error, ErrorKind, Feature};
use nix::errno::Errno;
use nix::unistd::Pid;

/// A file that says what groups there are cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {}", file.display())]
pub struct ReadHierarchies {
    pub(super) file: PathBuf,
    pub(super) source: io::Error,
}

/// A name that no group is given.
#[derive(Debug, thiserror::Error)]
#[error("name a group {name:?}: a name is executor- and up to 118 of a-z 0-9 . _ -")]
pub struct BadName {
    pub(super) name: String,
}

/// A directory that is no group, or cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the group {}", path.display())]
pub struct OpenGroup {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// A group that the kernel did not make.
#[derive(Debug, thiserror::Error)]
#[error("make the group {}", path.display())]
pub struct MakeGroup {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// There is nowhere that a group with these controllers can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("find a place for a group{}: {why}", counting(controllers))]
pub struct NoPlace {
    pub(super) controllers: String,
    pub(super) why: String,
    pub(super) fix: String,
}

/// A limit that this host cannot set at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("enforce {}: {why}", feature.name())]
pub struct Lacking {
    /// What was asked for.
    pub feature: Feature,
    /// Why it cannot be had.
    pub why: String,
    /// What an operator can do about it; may be empty.
    pub fix: String,
}

/// A write to a control file that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("set {file} of {} to {value}", group.display())]
pub struct SetLimit {
    pub(super) file: &'static str,
    pub(super) group: PathBuf,
    pub(super) value: String,
    pub(super) source: io::Error,
}

/// A limit that reads back as something else than what was written.
#[derive(Debug, thiserror::Error)]
#[error("set {file} of {} to {written}: it reads back as {found}", group.display())]
pub struct LimitDiffers {
    pub(super) file: &'static str,
    pub(super) group: PathBuf,
    pub(super) written: String,
    pub(super) found: String,
}

/// A file of a group that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {file} of {}", group.display())]
pub struct ReadGroup {
    pub(super) file: &'static str,
    pub(super) group: PathBuf,
    pub(super) source: io::Error,
}

/// A device whose rates cannot be capped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cap the rates of {}: {why}", path.display())]
pub struct BadDevice {
    pub(super) path: PathBuf,
    pub(super) why: String,
    pub(super) fix: String,
}

/// Processes that could not be killed, or that are still there.
#[derive(Debug, thiserror::Error)]
#[error("kill what is in {}: {why}{}", group.display(), listed(pids))]
pub struct KillGroup {
    pub(super) group: PathBuf,
    pub(super) why: String,
    pub(super) pids: Vec<Pid>,
    pub(super) errno: Option<Errno>,
}

/// A group that could not be removed, the first of them; what could be removed is gone.
#[derive(Debug, thiserror::Error)]
#[error("remove the group {}{}", path.display(), listed(pids))]
pub struct RemoveGroup {
    pub(super) path: PathBuf,
    pub(super) pids: Vec<Pid>,
    pub(super) source: io::Error,
}

/// A change of limits that failed halfway, and could not be taken back.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; take back what was changed before: {undo}")]
pub struct Halfway {
    pub(super) cause: Box<Failure>,
    pub(super) undo: Box<Failure>,
}

/// Whatever went wrong.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[expect(missing_docs, reason = "each is what it holds")]
pub enum Failure {
    ReadHierarchies(#[from] ReadHierarchies),
    BadName(#[from] BadName),
    OpenGroup(#[from] OpenGroup),
    MakeGroup(#[from] MakeGroup),
    NoPlace(#[from] NoPlace),
    Lacking(#[from] Lacking),
    SetLimit(#[from] SetLimit),
    LimitDiffers(#[from] LimitDiffers),
    ReadGroup(#[from] ReadGroup),
    BadDevice(#[from] BadDevice),
    KillGroup(#[from] KillGroup),
    RemoveGroup(#[from] RemoveGroup),
    Halfway(#[from] Halfway),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let what = failure.to_string();
        match failure {
            Failure::ReadHierarchies(ReadHierarchies { source, .. }) | Failure::ReadGroup(ReadGroup { source, .. }) => {
                Self::from_io(what, &source)
            }
            Failure::OpenGroup(OpenGroup { path, source }) => opened(Self::from_io(what, &source), &path),
            Failure::MakeGroup(MakeGroup { path, source }) => made(Self::from_io(what, &source), &path),
            Failure::SetLimit(SetLimit { file: SUBTREE, group, value, source }) => {
                enabled(Self::from_io(what, &source), &group, &value)
            }
            Failure::SetLimit(SetLimit { file, source, .. }) => set(Self::from_io(what, &source), file),
            Failure::RemoveGroup(RemoveGroup { source, .. }) => {
                Self::from_io(what, &source).with_fix("end the processes in it; it can be removed later")
            }
            Failure::BadName(_) => Self::invalid(what, ""),
            Failure::BadDevice(BadDevice { path, why, fix }) => {
                fixed(Self::invalid(format!("cap the rates of {}", path.display()), why), fix)
            }
            Failure::NoPlace(NoPlace { controllers, why, fix }) => {
                let what = format!("find a place for a group{}", counting(&controllers));
                fixed(Self::new(ErrorKind::Unsupported, what, why), fix)
            }
            Failure::Lacking(Lacking { feature, why, fix }) => {
                fixed(Self::new(ErrorKind::Unsupported, format!("enforce {}", feature.name()), why), fix)
            }
            Failure::KillGroup(KillGroup { errno: Some(errno), .. }) => Self::from_io(what, &errno.into()),
            Failure::KillGroup(_) => Self::new(ErrorKind::Busy, what, ""),
            Failure::LimitDiffers(_) | Failure::Halfway(_) => Self::new(ErrorKind::Internal, what, ""),
        }
    }
}

fn fixed(error: Error, fix: String) -> Error {
    if fix.is_empty() { error } else { error.with_fix(fix) }
}

/// A group that was named in a request and is not there is a fault of the request.
fn opened(error: Error, path: &Path) -> Error {
    match error.kind() {
        ErrorKind::NotFound => {
            error.with_kind(ErrorKind::InvalidSpec).with_fix(format!("make it: mkdir {}", path.display()))
        }
        _ => error,
    }
}

fn made(error: Error, path: &Path) -> Error {
    let parent = path.parent().unwrap_or(path).display();
    match error.errno().map(Errno::from_raw) {
        Some(Errno::EROFS) => {
            error.with_kind(ErrorKind::Denied).with_fix(format!("mount it writable: mount -o remount,rw,bind {parent}"))
        }
        Some(Errno::EACCES | Errno::EPERM) => {
            error.with_fix(format!("name a group that this user may write to as cgroup_parent, or chown {parent}"))
        }
        Some(Errno::EAGAIN | Errno::ENOSPC) => {
            error.with_fix(format!("remove groups that nobody needs, or raise cgroup.max.descendants above {parent}"))
        }
        Some(Errno::EOPNOTSUPP) => error.with_fix(format!("{parent} is threaded: name another group as cgroup_parent")),
        _ => error,
    }
}

/// The file that gives controllers to the groups below.
pub(super) const SUBTREE: &str = "cgroup.subtree_control";

fn enabled(error: Error, group: &Path, value: &str) -> Error {
    let group = group.display();
    match error.errno().map(Errno::from_raw) {
        // Of the group itself, or of processes in groups below it, which cpuset takes along.
        Some(Errno::EPERM | Errno::EACCES) => error.with_fix(format!("as root: echo \"{value}\" > {group}/{SUBTREE}")),
        Some(Errno::EBUSY) => error.with_fix(format!("move the processes of {group} to a group below it")),
        _ => error,
    }
}

/// A value that the kernel refuses is a fault of the request, whatever it calls that.
fn set(error: Error, file: &str) -> Error {
    match error.errno().map(Errno::from_raw) {
        // A processor that the group above does not have, and a number that no machine has.
        Some(Errno::EACCES | Errno::ERANGE) if file.starts_with("cpuset.") => {
            error.with_kind(ErrorKind::InvalidSpec).with_fix("name processors that this host has, and may use")
        }
        Some(Errno::EINVAL) if file.starts_with("cpu.") => {
            error.with_fix("ask for no more than the groups above are given")
        }
        Some(Errno::EBUSY) if file.starts_with("memory.") => {
            error.with_fix("more is in use than that, and cannot be taken back: ask for more")
        }
        Some(Errno::ERANGE | Errno::ENODEV) => error.with_kind(ErrorKind::InvalidSpec),
        _ => error,
    }
}

fn counting(controllers: &str) -> String {
    if controllers.is_empty() { String::new() } else { format!(" that counts {controllers}") }
}

/// The processes, at most ten of them by number.
fn listed(pids: &[Pid]) -> String {
    let shown: Vec<String> = pids.iter().take(10).map(Pid::to_string).collect();
    match pids.len() {
        0 => String::new(),
        len if len > shown.len() => format!("; in it: {} and {} more", shown.join(", "), len - shown.len()),
        _ => format!("; in it: {}", shown.join(", ")),
    }
}
