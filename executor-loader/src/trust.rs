//! Whether a file can be trusted: nobody but root and this process's own user can change it, or swap it for another.
//!
//! A path is walked from the root, link by link, and each directory and link on the way is checked. Nothing here
//! blocks: what a file is gets known before it is opened. POSIX access control lists are covered: a mask that lets
//! somebody write shows in the group's bits of the mode. Follows the rules of `StrictModes` in sshd, with sticky
//! directories added.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, Stage, shell};

/// Links that one path may lead over.
const MOST_LINKS: usize = 8;
/// Write access for the group and for others.
const WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;
const SET_ID: u32 = 0o6000;

/// Which file, and in which state: any write, rename or change of mode makes another identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileIdentity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) mtime_ns: i64,
    pub(crate) ctime_ns: i64,
}

impl FileIdentity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// An open file that only root and this process's own user can change.
#[derive(Debug)]
pub(crate) struct TrustedFile {
    pub(crate) file: File,
    /// The real path: no component of it is a link.
    pub(crate) path: PathBuf,
    /// The path that was asked for, which may be a link.
    pub(crate) asked: PathBuf,
    pub(crate) identity: FileIdentity,
}

impl TrustedFile {
    /// Checks that the path still leads to the same file in the same state.
    ///
    /// # Errors
    ///
    /// A refusal when the file was replaced, removed or written to since it was opened.
    pub(crate) fn is_unchanged(&self) -> Result<(), Refusal> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) if FileIdentity::of(&metadata) == self.identity => Ok(()),
            _ => {
                Err(refusal(format!("{} changed while it was being checked", self.path.display()))
                    .with_fix("try again"))
            }
        }
    }
}

/// Opens the file that `path` leads to, if it can be trusted.
///
/// # Errors
///
/// A refusal that names the file, link or directory that is at fault, and the command that mends it.
pub(crate) fn open_trusted(path: &Path) -> Result<TrustedFile, Refusal> {
    let walk = walk(path)?;
    let shown = walk.shown(path);
    check_file(&walk.real, &shown, &walk.metadata)?;
    // Only now: to open a device may act on it. The flags are for whatever took its place in between.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&walk.real);
    let file = file.map_err(|error| refusal(format!("{shown} cannot be opened: {error}")))?;
    let metadata = file.metadata().map_err(|error| refusal(format!("{shown} cannot be examined: {error}")))?;
    check_file(&walk.real, &shown, &metadata)?;
    let file = TrustedFile { file, path: walk.real, asked: path.to_owned(), identity: FileIdentity::of(&metadata) };
    if (metadata.dev(), metadata.ino()) != (walk.metadata.dev(), walk.metadata.ino()) {
        return Err(refusal(format!("{shown} was replaced while it was being opened")).with_fix("try again"));
    }
    Ok(file)
}

/// The real path of a directory that can be trusted, as can every directory above it; none when nothing is there.
///
/// # Errors
///
/// As [`open_trusted`].
pub(crate) fn real_dir(path: &Path) -> Result<Option<PathBuf>, Refusal> {
    let walk = match walk_or_error(path)? {
        Ok(walk) => walk,
        Err(absent) if absent.link.is_none() => return Ok(None),
        Err(absent) => return Err(absent.refusal(path)),
    };
    let shown = walk.shown(path);
    check_directory(&walk.real, &shown, &walk.metadata)?;
    Ok(Some(walk.real))
}

/// Where a path leads.
struct Walk {
    /// Free of links.
    real: PathBuf,
    metadata: Metadata,
    /// The last link on the way.
    link: Option<PathBuf>,
}

impl Walk {
    /// What a message says for the thing that `path` leads to.
    fn shown(&self, path: &Path) -> String {
        match &self.link {
            Some(_) if self.real != path => format!("{}, where {} leads,", self.real.display(), path.display()),
            _ => self.real.display().to_string(),
        }
    }
}

/// Nothing is where a path leads.
struct Absent {
    at: PathBuf,
    link: Option<PathBuf>,
}

impl Absent {
    fn refusal(&self, path: &Path) -> Refusal {
        match &self.link {
            None => refusal(format!("{} does not exist", path.display())),
            Some(link) => {
                refusal(format!("{} is a link to {}, which does not exist", link.display(), self.at.display()))
                    .with_fix(format!("rm {}", shell(link)))
            }
        }
    }
}

fn walk(path: &Path) -> Result<Walk, Refusal> {
    walk_or_error(path)?.map_err(|absent| absent.refusal(path))
}

/// Follows `path` from the root; every directory that is passed through, and the owner of every link, is checked.
fn walk_or_error(path: &Path) -> Result<Result<Walk, Absent>, Refusal> {
    let start = std::path::absolute(path).map_err(|error| refusal(format!("{}: {error}", path.display())))?;
    let mut ahead: VecDeque<OsString> = VecDeque::new();
    push_front(&mut ahead, &start);
    let (mut real, mut link, mut links) = (PathBuf::from("/"), None, 0);
    let mut metadata = examine(&real)?.ok_or_else(|| refusal("/ does not exist"))?;
    while let Some(part) = ahead.pop_front() {
        // Through `real` to whatever lies below it or above it.
        check_directory(&real, &real.display().to_string(), &metadata)?;
        let next = if part == ".." { real.parent().unwrap_or(&real).to_owned() } else { real.join(&part) };
        let Some(found) = examine(&next)? else { return Ok(Err(Absent { at: next, link })) };
        if !found.file_type().is_symlink() {
            (real, metadata) = (next, found);
            continue;
        }
        check_owner(&next, &format!("the link {}", next.display()), &found)?;
        links += 1;
        if links > MOST_LINKS {
            return Err(refusal(format!("{} leads over more than {MOST_LINKS} links", path.display())));
        }
        let target = std::fs::read_link(&next).map_err(|error| refusal(format!("{}: {error}", next.display())))?;
        if target.is_absolute() {
            real = PathBuf::from("/");
            metadata = examine(&real)?.ok_or_else(|| refusal("/ does not exist"))?;
        }
        push_front(&mut ahead, &target);
        link = Some(next);
    }
    Ok(Ok(Walk { real, metadata, link }))
}

/// Puts the components of `path` before those that are ahead.
fn push_front(ahead: &mut VecDeque<OsString>, path: &Path) {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    for part in parts.rev() {
        ahead.push_front(part.as_os_str().to_owned());
    }
}

/// The file at `path` itself, not where it leads; none when nothing is there.
fn examine(path: &Path) -> Result<Option<Metadata>, Refusal> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refusal(format!("{} cannot be examined: {error}", path.display()))),
    }
}

fn check_file(path: &Path, shown: &str, metadata: &Metadata) -> Result<(), Refusal> {
    if !metadata.is_file() {
        let why = format!("{shown} is {}, not a regular file", kind(metadata.file_type()));
        return Err(refusal(why).with_fix("put the plugin's file there, or remove it"));
    }
    check_owner(path, shown, metadata)?;
    if metadata.mode() & WRITABLE != 0 {
        return Err(writable(path, shown, metadata));
    }
    if metadata.mode() & SET_ID != 0 {
        let why = format!("{shown} is set-uid or set-gid (mode {:04o})", metadata.mode() & 0o7777);
        return Err(refusal(why).with_fix(format!("chmod ug-s {}", shell(path))));
    }
    Ok(())
}

fn check_directory(path: &Path, shown: &str, metadata: &Metadata) -> Result<(), Refusal> {
    if !metadata.is_dir() {
        return Err(refusal(format!("{shown} is {}, not a directory", kind(metadata.file_type()))));
    }
    check_owner(path, &format!("the directory {shown}"), metadata)?;
    // In a sticky directory nobody removes or renames what belongs to others, and what is in it is checked by itself.
    let sticky = metadata.mode() & STICKY != 0 && metadata.uid() == 0;
    if metadata.mode() & WRITABLE != 0 && !sticky {
        return Err(writable(path, &format!("the directory {shown}"), metadata));
    }
    Ok(())
}

fn check_owner(path: &Path, shown: &str, metadata: &Metadata) -> Result<(), Refusal> {
    let own = nix::unistd::geteuid().as_raw();
    if metadata.uid() == 0 || metadata.uid() == own {
        return Ok(());
    }
    let allowed = if own == 0 { "root".to_owned() } else { format!("root or uid {own}") };
    let why = format!("{shown} belongs to uid {}, not to {allowed}", metadata.uid());
    Err(refusal(why).with_fix(format!("chown -h {own} {}", shell(path))))
}

fn writable(path: &Path, shown: &str, metadata: &Metadata) -> Refusal {
    let who = if metadata.mode() & 0o002 != 0 { "everybody" } else { "its group" };
    let why = format!("{shown} is writable by {who} (mode {:04o})", metadata.mode() & 0o7777);
    refusal(why).with_fix(format!("chmod go-w {}", shell(path)))
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a link",
        _ => "a regular file",
    }
}

fn refusal(why: impl AsRef<str>) -> Refusal {
    Refusal::new(Stage::Trust, why)
}

#[cfg(test)]
pub(crate) mod tests;
