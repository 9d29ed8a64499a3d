//! The trees that become a task's root: the task's directory, and what of the host is bound into it.
//!
//! They are copied in the host's own mount namespace, attached nowhere, and go to the supervisor as descriptors; nothing
//! of them is left when those are closed. Places for what is mounted are made in the task's directory, one component at a
//! time and through no link: a task may have written there before.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use executor_api::isolation::{Access, Bind};
use executor_api::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;

use super::sys::{self, Writes};

/// Where the supervisor mounts what is of this machine.
const MOUNT_POINTS: [&str; 2] = ["/dev", "/proc"];

/// A part of the host that is bound into a root.
#[derive(Debug)]
pub struct Tree {
    /// The copied mounts, attached nowhere.
    pub(super) fd: OwnedFd,
    /// Where they appear inside.
    pub target: PathBuf,
}

/// A root that is ready to be moved into a task's namespace.
#[derive(Debug)]
pub struct Root {
    pub(super) top: OwnedFd,
    pub(super) trees: Vec<Tree>,
}

impl Root {
    /// A root of the directory `dir`, which the task may write to as its owner and mode allow, with `binds` in it.
    ///
    /// A bind whose source is a link becomes the same link where its target is free: `/bin` is one on most machines.
    /// A source that is missing is refused; see [`Root::programs`] for the host's usual directories.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a source that is missing; `Denied` without `CAP_SYS_ADMIN`; what stands in the way of a target;
    /// `Unsupported` (`ENOSYS`) before Linux 5.12.
    pub fn new(dir: &Path, binds: &[Bind]) -> Result<Self> {
        let failed = |source: io::Error| act(format!("make {} the root of the task", dir.display()), &source);
        // With what the operator has mounted below it, a filesystem for secrets above all.
        let top = copy(dir, Writes::Allowed).map_err(failed)?;
        for place in MOUNT_POINTS {
            make_directory(&top, Path::new(place)).map_err(failed)?;
        }
        let mut trees = Vec::new();
        for bind in binds {
            let what = || format!("bind {} at {}", bind.source.display(), bind.target.display());
            trees.extend(tree(&top, bind).map_err(|source| act(what(), &source))?);
        }
        Ok(Self { top, trees })
    }

    /// The directories of the host that programs come from, as far as it has them: the seed's map.
    #[must_use]
    pub fn programs() -> Vec<Bind> {
        let usual = ["/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/run/resolvconf", "/sbin", "/usr"];
        usual
            .into_iter()
            .filter(|dir| Path::new(dir).symlink_metadata().is_ok())
            .map(|dir| Bind::new(dir, dir))
            .collect()
    }

    /// Where the trees appear inside, as a plan takes them.
    #[must_use]
    pub fn targets(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.target.clone()).collect()
    }
}

/// The error of an act; what is missing here is no missing program.
fn act(what: String, source: &io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::invalid(what, source.to_string()).with_errno(source.raw_os_error().unwrap_or(0))
        }
        _ => Error::from_io(what, source),
    }
}

/// The tree of a bind; none where a link in the root stands for it.
fn tree(top: &OwnedFd, bind: &Bind) -> io::Result<Option<Tree>> {
    let found = bind.source.symlink_metadata()?;
    if found.is_symlink() && bind.access == Access::ReadOnly {
        let to = bind.source.read_link()?;
        let (directory, name) = place(top, &bind.target)?;
        return match symlinkat(to.as_path(), directory.as_fd(), name) {
            // From an earlier task of this directory, or the operator's own.
            Ok(()) | Err(Errno::EEXIST) => Ok(None),
            Err(errno) => Err(errno.into()),
        };
    }
    match bind.source.metadata()?.is_dir() {
        true => drop(make_directory(top, &bind.target)?),
        false => make_file(top, &bind.target)?,
    }
    let writes = if bind.access == Access::ReadWrite { Writes::Allowed } else { Writes::Refused };
    let fd = copy(&bind.source, writes)?;
    Ok(Some(Tree { fd, target: bind.target.clone() }))
}

fn copy(path: &Path, writes: Writes) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let tree = sys::copy_tree(&path)?;
    sys::restrict(&tree, writes)?;
    Ok(tree)
}

/// The plain components of a path inside.
fn components(path: &Path) -> Vec<&OsStr> {
    let plain = |component| if let Component::Normal(name) = component { Some(name) } else { None };
    path.components().filter_map(plain).collect()
}

/// Opens a directory below `top`, and makes what is missing of it.
fn make_directory(top: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mut directory = top.try_clone()?;
    for name in components(path) {
        let mode = Mode::S_IRWXU | Mode::S_IRGRP | Mode::S_IXGRP | Mode::S_IROTH | Mode::S_IXOTH;
        match mkdirat(directory.as_fd(), name, mode) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        directory = openat(directory.as_fd(), name, flags, Mode::empty())?;
    }
    Ok(directory)
}

/// The directory that a path below `top` is in, made if it is missing, and the name there.
fn place<'a>(top: &OwnedFd, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
    let directory = make_directory(top, path.parent().unwrap_or(Path::new("/")))?;
    Ok((directory, path.file_name().ok_or(Errno::EINVAL)?))
}

/// Makes a file below `top` to bind another one over.
fn make_file(top: &OwnedFd, path: &Path) -> io::Result<()> {
    let (directory, name) = place(top, path)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(directory.as_fd(), name, flags, Mode::S_IRUSR | Mode::S_IRGRP | Mode::S_IROTH) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
