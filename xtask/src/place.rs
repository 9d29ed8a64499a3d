//! Puts files where running programs may have mapped older ones.
//!
//! A file is written beside its place and renamed over it: writing into a mapped library would end every process that
//! uses it. Modes are set, not left to the umask: the loader refuses what others can write.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tempfile::NamedTempFile;

use crate::error::{Doing, Result};

const EXECUTABLE: u32 = 0o755;
const TEXT: u32 = 0o644;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Makes `dir` if need be, and takes away what lets others write into it. A sticky directory stays as it is.
pub(crate) fn directory(dir: &Path) -> Result {
    fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    let mode = fs::metadata(dir).doing(format!("look at {}", dir.display()))?.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS == 0 || mode & STICKY != 0 {
        return Ok(());
    }
    let mode = Permissions::from_mode(mode & !WRITABLE_BY_OTHERS);
    fs::set_permissions(dir, mode).doing(format!("chmod go-w {}", dir.display()))
}

/// Makes `dir` and what is missing above it, open for everybody to read; what is there already stays as it is.
pub(crate) fn missing_directories(dir: &Path) -> Result {
    let mut missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    while let Some(dir) = missing.pop() {
        fs::create_dir(dir).doing(format!("make {}", dir.display()))?;
        let mode = Permissions::from_mode(EXECUTABLE);
        fs::set_permissions(dir, mode).doing(format!("chmod 755 {}", dir.display()))?;
    }
    Ok(())
}

/// Copies `from` into `dir` under its own name, executable, by temporary file and rename, and answers with its place. A
/// file that is there already and the same stays as it is: what others remember of it stays true.
pub(crate) fn file(from: &Path, dir: &Path) -> Result<PathBuf> {
    let name = from.file_name().doing(format!("{} has no file name", from.display()))?;
    let to = dir.join(name);
    let content = fs::read(from).doing(format!("read {}", from.display()))?;
    replace(&content, dir, &to, EXECUTABLE).doing(format!("install {} as {}", from.display(), to.display()))?;
    Ok(to)
}

/// Writes `content` into `dir` as `name`, for everybody to read, in the manner of [`file()`], and answers with its place.
pub(crate) fn text(content: &[u8], dir: &Path, name: &str) -> Result<PathBuf> {
    let to = dir.join(name);
    replace(content, dir, &to, TEXT).doing(format!("install {}", to.display()))?;
    Ok(to)
}

fn replace(content: &[u8], dir: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let same_mode = fs::symlink_metadata(to).is_ok_and(|now| now.is_file() && now.mode() & 0o7777 == mode);
    if same_mode && fs::read(to)? == content {
        return Ok(());
    }
    let temporary = NamedTempFile::new_in(dir)?;
    fs::write(temporary.path(), content)?;
    fs::set_permissions(temporary.path(), Permissions::from_mode(mode))?;
    temporary.persist(to)?;
    Ok(())
}

/// The nearest directory at or above `path` that exists.
pub(crate) fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

/// A directory that others can change, and with it every plugin below: the loader refuses those.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exposed {
    dir: PathBuf,
    owner: Option<u32>,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, own) = (self.dir.display(), geteuid());
        match self.owner {
            Some(owner) => write!(f, "{dir} belongs to uid {owner}\n  fix: chown {own} '{dir}'"),
            None => write!(f, "{dir} can be written to by others\n  fix: chmod go-w '{dir}'"),
        }
    }
}

/// The first directory at or above `path`, as far as there is one, that others can change, by the loader's rules: it
/// belongs to neither root nor this user, or has write access for more than its owner and is not root's and sticky.
pub(crate) fn exposed(path: &Path) -> Option<Exposed> {
    let real = fs::canonicalize(nearest(path)).ok()?;
    real.ancestors().find_map(|dir| {
        let stat = fs::metadata(dir).ok()?;
        let foreign = stat.uid() != 0 && stat.uid() != geteuid().as_raw();
        let sticky = stat.mode() & STICKY != 0 && stat.uid() == 0;
        let open = stat.mode() & WRITABLE_BY_OTHERS != 0 && !sticky;
        (foreign || open).then(|| Exposed { dir: dir.to_path_buf(), owner: foreign.then_some(stat.uid()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_by_another_inode_and_never_written_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = [dir.path().join("built"), dir.path().join("installed")];
        fs::create_dir(&to).unwrap();
        fs::write(&from, "one").unwrap();
        file(&from, &to).unwrap();
        let installed = to.join("built");
        let first = fs::metadata(&installed).unwrap().ino();
        file(&from, &to).unwrap();
        assert_eq!(fs::metadata(&installed).unwrap().ino(), first, "the same content was installed again");

        let mapped = fs::File::open(&installed).unwrap();
        fs::write(&from, "two").unwrap();
        file(&from, &to).unwrap();
        assert_eq!(io::read_to_string(mapped).unwrap(), "one");
        assert_eq!(fs::read_to_string(&installed).unwrap(), "two");
        assert_eq!(mode(&installed), EXECUTABLE);
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_wrong_mode_is_mended_though_the_content_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        fs::create_dir(&to).unwrap();
        let from = dir.path().join("a");
        fs::write(&from, "a").unwrap();
        file(&from, &to).unwrap();
        fs::set_permissions(to.join("a"), Permissions::from_mode(0o777)).unwrap();
        file(&from, &to).unwrap();
        assert_eq!(mode(&to.join("a")), EXECUTABLE);
    }

    #[test]
    fn a_directory_is_closed_to_others_unless_it_is_sticky() {
        let root = tempfile::tempdir().unwrap();
        let [open, sticky] = [root.path().join("open"), root.path().join("sticky")];
        for (dir, before) in [(&open, 0o2777), (&sticky, 0o1777)] {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, Permissions::from_mode(before)).unwrap();
            directory(dir).unwrap();
        }
        assert_eq!((mode(&open), mode(&sticky)), (0o2755, 0o1777));
    }

    #[test]
    fn what_others_can_change_above_a_place_is_found_with_its_fix() {
        let root = tempfile::tempdir().unwrap();
        let open = fs::canonicalize(root.path()).unwrap().join("open");
        fs::create_dir(&open).unwrap();
        let before = exposed(&open);
        fs::set_permissions(&open, Permissions::from_mode(0o775)).unwrap();
        let found = exposed(&open.join("not/there/yet")).expect("its group can write to it");
        assert_eq!(found, Exposed { dir: open.clone(), owner: None });
        let said = found.to_string();
        assert!(said.contains(&format!("chmod go-w '{}'", open.display())), "{said}");
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(exposed(&open), before, "the same as before it was opened");
    }

    #[test]
    fn a_place_below_somebody_elses_directory_is_exposed() {
        let root = tempfile::tempdir().unwrap();
        if std::os::unix::fs::chown(root.path(), Some(12345), None).is_ok() {
            let found = exposed(&root.path().join("a")).expect("uid 12345 can write to it");
            assert!(found.to_string().contains("belongs to uid 12345\n  fix: chown 0 "), "{found}");
        } else {
            // Not root: the system's own directories are root's, and those are nobody's danger.
            assert_eq!(exposed(Path::new("/")), None);
        }
    }

    #[test]
    fn only_missing_directories_are_made_and_those_for_everybody() {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("there");
        fs::create_dir(&there).unwrap();
        fs::set_permissions(&there, Permissions::from_mode(0o711)).unwrap();
        missing_directories(&there.join("a/b")).unwrap();
        let modes = ["", "a", "a/b"].map(|dir| mode(&there.join(dir)));
        assert_eq!(modes, [0o711, EXECUTABLE, EXECUTABLE]);
        assert_eq!(nearest(&there.join("a/b/c/d")), there.join("a/b"));
    }
}
