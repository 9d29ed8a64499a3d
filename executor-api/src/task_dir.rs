//! The seed's directories: one allocation shared by its tasks, one directory for each task in it.
//!
//! ```text
//! <alloc>/                       0700, or 0710 with nobody's group where root builds it
//! <alloc>/alloc/{data,logs,tmp}  0777  shared by the tasks of the allocation
//! <alloc>/<task>/{local,secrets,tmp}   0777, secrets 0700
//! ```
//!
//! What tasks write to belongs to `nobody` where root builds it, as the default user is; the allocation itself stays
//! root's, and lets `nobody` through: a task that has no root of its own reaches its directory by its path.
//! [`AllocDir::build`] may run any number of times; it follows no symbolic link and changes nothing that it did not make.
//! [`TaskDir`] is the document that `configure_task_dir` takes; the names of the environment variables in it are data, so
//! a host can use its own.
//!
//! # Examples
//!
//! ```
//! use executor_api::task_dir::{AllocDir, DirEnv};
//!
//! let parent = tempfile::tempdir()?;
//! let alloc = AllocDir::new(parent.path().join("a1"));
//! let dir = alloc.build("web")?;
//! assert!(dir.root.join("local").is_dir() && parent.path().join("a1/alloc/logs").is_dir());
//! assert_eq!(dir.env, DirEnv::default());
//! assert_eq!(dir.env.task, "NOMAD_TASK_DIR");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, User, fchown, geteuid};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::isolation::absolute;
use crate::text::{is_default, optional, word};

/// The directories shared by the tasks of one allocation.
///
/// Example: [task_dir](self#examples).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocDir(PathBuf);

impl AllocDir {
    /// The allocation at `path`, which need not exist yet; its parent must.
    ///
    /// Example: [task_dir](self#examples).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes what is missing of the layout, for `task`.
    ///
    /// Example: [task_dir](self#examples).
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a relative path, or a task name that is not one path component or is `alloc`; `Exists` (errno
    /// `ENOTDIR` or `ELOOP`) where something that is no directory stands in the way; `Denied` where another user owns
    /// it; what mkdir(2) and chown(2) say.
    pub fn build(&self, task: &str) -> Result<TaskDir> {
        absolute(&self.0)?;
        if task.is_empty() || task == "alloc" || task.starts_with('.') || task.contains(['/', '\0']) {
            return Err(Error::invalid(format!("make a directory for the task {task:?}"), "it must be one plain name"));
        }
        let nobody = task_owner()?;
        let alloc = directory(None, &self.0, Passage(nobody))?;
        let shared_path = self.0.join("alloc");
        let shared = directory(Some(&alloc), &shared_path, Writable(nobody))?;
        for name in ["data", "logs", "tmp"] {
            directory(Some(&shared), &shared_path.join(name), Writable(nobody))?;
        }
        let root = self.0.join(task);
        let own = directory(Some(&alloc), &root, Writable(nobody))?;
        for name in ["local", "tmp"] {
            directory(Some(&own), &root.join(name), Writable(nobody))?;
        }
        directory(Some(&own), &root.join("secrets"), Secret(nobody))?;
        Ok(TaskDir { root, alloc: Some(shared_path), env: DirEnv::default() })
    }
}

/// A user and a group, or none where this process may not give files away.
type Owner = Option<(Uid, Gid)>;

/// Whom the writable directories are given to: `nobody` with nobody's own group, by root; nobody else can.
fn task_owner() -> Result<Owner> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let what = "look up the user nobody";
    let user = User::from_name("nobody").map_err(|errno| Error::from_io(what, &errno.into()))?;
    let user = user.ok_or_else(|| Error::invalid(what, "this host has no such user"))?;
    Ok(Some((user.uid, user.gid)))
}

/// What a directory of the layout is for.
#[derive(Clone, Copy)]
enum Use {
    Passage(Owner),
    Writable(Owner),
    Secret(Owner),
}
use Use::{Passage, Secret, Writable};

/// Opens the directory `path`, the last component of it in `parent`, and makes it if it is missing.
fn directory(parent: Option<&OwnedFd>, path: &Path, purpose: Use) -> Result<OwnedFd> {
    let act = |errno: Errno| {
        let error = Error::from_io(format!("make the directory {}", path.display()), &errno.into());
        match errno {
            Errno::ENOTDIR | Errno::ELOOP => error.with_kind(crate::ErrorKind::Exists),
            // Not found is what hosts are told of programs.
            Errno::ENOENT => error.with_kind(crate::ErrorKind::InvalidSpec).with_fix("make its parent"),
            _ => error,
        }
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let opened_parent;
    let parent = match parent {
        Some(parent) => parent,
        None => {
            // The way to the allocation is the operator's: links in it are meant.
            let above = path.parent().unwrap_or(Path::new("/"));
            opened_parent = open(above, flags.difference(OFlag::O_NOFOLLOW), Mode::empty()).map_err(act)?;
            &opened_parent
        }
    };
    let name = path.file_name().ok_or_else(|| act(Errno::EINVAL))?;
    let made = match mkdirat(parent.as_fd(), name, Mode::S_IRWXU) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(act(errno)),
    };
    let dir = openat(parent.as_fd(), name, flags, Mode::empty()).map_err(|errno| {
        // The kernel answers ENOTDIR for a link as well; the message should name what stands there.
        let found =
            fstatat(parent.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| stat.st_mode & SFlag::S_IFMT.bits());
        act(if found == Ok(SFlag::S_IFLNK.bits()) { Errno::ELOOP } else { errno })
    })?;
    let (owner, group, mode) = match purpose {
        Passage(None) => (None, None, 0o700),
        Passage(Some((_, gid))) => (None, Some(gid), 0o710),
        Writable(owner) => (owner, None, 0o777),
        Secret(owner) => (owner, None, 0o700),
    };
    if made {
        let (uid, gid) = owner.unzip();
        let gid = gid.or(group);
        fchmod(&dir, Mode::from_bits_truncate(mode)).and_then(|()| fchown(&dir, uid, gid)).map_err(act)?;
        return Ok(dir);
    }
    let stat = fstat(&dir).map_err(act)?;
    let expected = owner.map_or(geteuid(), |(uid, _)| uid);
    if ![expected, geteuid()].contains(&Uid::from_raw(stat.st_uid)) {
        return Err(
            act(Errno::EPERM).with_fix(format!("it belongs to user {}; remove it or choose another", stat.st_uid))
        );
    }
    Ok(dir)
}

/// One task's own directory, and the shared one of its allocation: what `configure_task_dir` takes.
///
/// Linux and FreeBSD make `root` the task's root; the fallback sets the working directory and the environment only.
///
/// Example: [task_dir](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskDir {
    /// The task's own directory on the host, absolute; it must exist.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub root: PathBuf,
    /// The directory shared by the allocation, on the host; appears as `alloc` in the task's root.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Word>"))]
    pub alloc: Option<PathBuf>,
    /// How the task is told where these are.
    #[serde(skip_serializing_if = "is_default")]
    pub env: DirEnv,
}

impl TaskDir {
    /// A task directory on its own, without an allocation.
    ///
    /// Example: [task_dir](self#examples).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..Self::default() }
    }
}

/// The names of the environment variables that hold the paths as the task sees them; an empty name sets none.
///
/// Example: [task_dir](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DirEnv {
    /// Holds the path of the shared directory; `NOMAD_ALLOC_DIR` by default, as in the seed.
    pub alloc: String,
    /// Holds the path of the task's `local`; `NOMAD_TASK_DIR` by default, as in the seed.
    pub task: String,
    /// Holds the path of the task's `secrets`; `NOMAD_SECRETS_DIR` by default.
    pub secrets: String,
}

impl Default for DirEnv {
    fn default() -> Self {
        let [alloc, task, secrets] = ["NOMAD_ALLOC_DIR", "NOMAD_TASK_DIR", "NOMAD_SECRETS_DIR"].map(str::to_owned);
        Self { alloc, task, secrets }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_layout_is_the_seeds_and_building_twice_changes_nothing() {
        let parent = tempfile::tempdir().expect("a directory");
        let alloc = AllocDir::new(parent.path().join("a"));
        let dir = alloc.build("web").expect("first");
        std::fs::write(dir.root.join("local/kept"), "x").expect("a file");
        assert_eq!(alloc.build("web").expect("second"), dir);
        alloc.build("db").expect("another task");
        let mode =
            |path: &str| parent.path().join("a").join(path).metadata().expect(path).permissions().mode() & 0o7777;
        let root = geteuid().is_root();
        assert_eq!(mode(""), if root { 0o710 } else { 0o700 });
        let group = parent.path().join("a").metadata().expect("the allocation").gid();
        let nobodys = task_owner().expect("nobody").map(|(_, gid)| gid.as_raw());
        assert!(nobodys.is_none_or(|nobodys| group == nobodys), "nobody gets through");
        for path in ["alloc", "alloc/data", "alloc/logs", "alloc/tmp", "web", "web/local", "web/tmp", "db/local"] {
            assert_eq!(mode(path), 0o777, "{path}");
        }
        assert_eq!(mode("web/secrets"), 0o700);
        assert!(dir.root.join("local/kept").exists());
        let owner = dir.root.join("local").metadata().expect("local").uid();
        let expected = task_owner().expect("nobody").map_or(geteuid(), |(uid, _)| uid);
        assert_eq!(owner, expected.as_raw());
    }

    #[test]
    fn links_and_files_in_the_way_are_refused_and_not_followed() {
        let parent = tempfile::tempdir().expect("a directory");
        let bait = parent.path().join("bait");
        std::fs::create_dir(&bait).expect("bait");
        let alloc = AllocDir::new(parent.path().join("a"));
        alloc.build("web").expect("the layout");
        symlink(&bait, parent.path().join("a/evil")).expect("a link");
        let error = alloc.build("evil").expect_err("a link");
        assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
        assert_eq!(std::fs::read_dir(&bait).expect("bait").count(), 0, "the link was followed");
        std::fs::write(parent.path().join("a/file"), "").expect("a file");
        assert_eq!(alloc.build("file").expect_err("a file").kind(), ErrorKind::Exists);
        for name in ["", ".", "..", "a/b", "alloc", "x\0"] {
            assert_eq!(alloc.build(name).expect_err(name).kind(), ErrorKind::InvalidSpec, "{name:?}");
        }
    }
}
