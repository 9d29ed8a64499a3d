//! One open group: its files by name, the groups below it, and who is in it.
//!
//! Everything goes by the directory's descriptor, so a path that changes meanwhile changes nothing. What is opened by
//! path is checked to be on a file system of groups; links are followed nowhere.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, Pid, UnlinkatFlags, faccessat, unlinkat, write};

use super::error::{MakeGroup, OpenGroup, ReadGroup, SetLimit};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The directory of a group, open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens the group at `path`.
    ///
    /// # Errors
    ///
    /// [`OpenGroup`] with the errno of open(2); with `ENOTDIR` for a directory that is no group.
    pub(super) fn open(path: &Path) -> Result<Self, OpenGroup> {
        let opened = open(path, DIRECTORY, Mode::empty()).and_then(|fd| match fstatfs(&fd)?.filesystem_type() {
            CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => Ok(fd),
            _ => Err(Errno::ENOTDIR),
        });
        let path = path.to_owned();
        match opened {
            Ok(fd) => Ok(Self { fd, path }),
            Err(errno) => Err(OpenGroup { path, source: errno.into() }),
        }
    }

    /// Makes the group `name` below this one, and opens it.
    ///
    /// # Errors
    ///
    /// [`MakeGroup`] with the errno of mkdir(2): `EEXIST`, `EACCES`, `EROFS`; `EAGAIN` for more groups than a group
    /// above allows, `ENOSPC` for more than the kernel can count, `EOPNOTSUPP` below a threaded group.
    ///
    /// # References
    ///
    /// - [mkdirat(2)](https://man7.org/linux/man-pages/man2/mkdir.2.html)
    pub(super) fn make(&self, name: &CStr) -> Result<Self, MakeGroup> {
        let made = mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755));
        let opened = made.and_then(|()| {
            let opened = openat(&self.fd, name, DIRECTORY, Mode::empty());
            // Nobody would know of it.
            opened.or_else(|errno| self.remove(name).and(Err(errno)))
        });
        let path = self.below(name);
        match opened {
            Ok(fd) => Ok(Self { fd, path }),
            Err(errno) => Err(MakeGroup { path, source: errno.into() }),
        }
    }

    /// Removes the group `name` below this one.
    ///
    /// # Errors
    ///
    /// `EBUSY` while a process or another group is in it, `ENOENT`, `EACCES`.
    ///
    /// # References
    ///
    /// - [unlinkat(2)](https://man7.org/linux/man-pages/man2/unlink.2.html)
    pub(super) fn remove(&self, name: &CStr) -> nix::Result<()> {
        unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is there, and this process may do `access` to it; a dot is the group itself.
    pub(super) fn may(&self, file: &str, access: AccessFlags) -> nix::Result<()> {
        faccessat(&self.fd, file, access, AtFlags::AT_EACCESS)
    }

    /// Whether the group has this file.
    pub(super) fn has(&self, file: &str) -> bool {
        self.may(file, AccessFlags::F_OK).is_ok()
    }

    /// The text of a file, without the newline at its end.
    ///
    /// # Errors
    ///
    /// [`ReadGroup`] with `ENOENT` where the group has no such file, `ENODEV` once the group was removed.
    pub(super) fn read(&self, file: &'static str) -> Result<String, ReadGroup> {
        let mut text = String::new();
        let read = self
            .file(file, OFlag::O_RDONLY)
            .map_err(io::Error::from)
            .and_then(|fd| File::from(fd).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(text.trim_end().to_owned()),
            Err(source) => Err(ReadGroup { file, group: self.path.clone(), source }),
        }
    }

    /// The same; none where the group has no such file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but for `ENOENT`.
    pub(super) fn read_if_there(&self, file: &'static str) -> Result<Option<String>, ReadGroup> {
        match self.read(file) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Opens a file for somebody else, to read or to write.
    ///
    /// # Errors
    ///
    /// [`OpenGroup`] with `ENOENT`, `EACCES`.
    pub(super) fn open_file(&self, file: &str, access: OFlag) -> Result<OwnedFd, OpenGroup> {
        self.file(file, access).map_err(|errno| OpenGroup { path: self.path.join(file), source: errno.into() })
    }

    /// Writes `value` to a file, in one call as the kernel wants it.
    ///
    /// # Errors
    ///
    /// [`SetLimit`] with `ENOENT` where the group has no such file, and what the kernel has against the value.
    pub(super) fn write(&self, file: &'static str, value: &str) -> Result<(), SetLimit> {
        let written = self.file(file, OFlag::O_WRONLY).and_then(|fd| write(&fd, value.as_bytes()));
        let errno = match written {
            Ok(len) if len == value.len() => return Ok(()),
            Ok(_) => Errno::EIO,
            Err(errno) => errno,
        };
        Err(SetLimit { file, group: self.path.clone(), value: value.to_owned(), source: errno.into() })
    }

    /// The names of the groups below this one.
    ///
    /// # Errors
    ///
    /// What opendir(3) and readdir(3) say: `ENOENT` once the group was removed.
    pub(super) fn children(&self) -> nix::Result<Vec<CString>> {
        let mut listing = nix::dir::Dir::openat(&self.fd, c".", DIRECTORY, Mode::empty())?;
        let mut found = Vec::new();
        for entry in listing.iter() {
            let entry = entry?;
            let is_self = [c".", c".."].contains(&entry.file_name());
            if entry.file_type() == Some(Type::Directory) && !is_self {
                found.push(entry.file_name().to_owned());
            }
        }
        Ok(found)
    }

    /// Opens the group `name` below this one.
    ///
    /// # Errors
    ///
    /// `ENOENT` where there is none.
    pub(super) fn child(&self, name: &CStr) -> nix::Result<Self> {
        Ok(Self { fd: openat(&self.fd, name, DIRECTORY, Mode::empty())?, path: self.below(name) })
    }

    /// The processes in this group and in those below it; none once it was removed. Zero is one that this process
    /// cannot name, since it is outside of its pid namespace.
    ///
    /// # Errors
    ///
    /// [`ReadGroup`] where they cannot be listed.
    pub(super) fn members(&self) -> Result<Vec<Pid>, ReadGroup> {
        const FILE: &str = "cgroup.procs";
        let failed = |source| ReadGroup { file: FILE, group: self.path.clone(), source };
        let text = match self.read(FILE) {
            // Its processes are listed in the group above it.
            Err(error) if error.source.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => String::new(),
            Err(error) if is_gone(&error.source) => return Ok(Vec::new()),
            read => read?,
        };
        let numbers = text.lines().map(|line| line.parse().map(Pid::from_raw));
        let mut found =
            numbers.collect::<Result<Vec<_>, _>>().map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
        for name in self.children().or_else(none_if_gone).map_err(|errno| failed(errno.into()))? {
            match self.child(&name) {
                Ok(child) => found.extend(child.members()?),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        Ok(found)
    }

    fn file(&self, name: &str, access: OFlag) -> nix::Result<OwnedFd> {
        // Without O_CREAT: asked to create, the kernel answers EACCES for a missing file; ENOENT tells what is wrong.
        openat(&self.fd, name, access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
    }

    fn below(&self, name: &CStr) -> PathBuf {
        self.path.join(name.to_string_lossy().as_ref())
    }
}

fn none_if_gone(errno: Errno) -> nix::Result<Vec<CString>> {
    if is_gone(&errno.into()) { Ok(Vec::new()) } else { Err(errno) }
}

/// Whether an error says that the group was removed.
pub(super) fn is_gone(error: &io::Error) -> bool {
    [Errno::ENOENT, Errno::ENODEV].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_no_group_is_not_opened() {
        let error = Dir::open(Path::new("/proc")).expect_err("it is no group");
        assert_eq!(error.source.raw_os_error(), Some(Errno::ENOTDIR as i32));
    }
}
