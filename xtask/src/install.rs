//! Puts files where running programs may have mapped older ones.
//!
//! A file is written beside its place and renamed over it: writing into a mapped library would end every process that
//! uses it. Modes are set, not left to the umask: the loader refuses what others can write.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Doing, Result};

const MODE: u32 = 0o755;
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

/// Copies `from` into `dir` under its own name, executable, by temporary file and rename. A file that is there already
/// and the same stays as it is: what others remember of it stays true.
pub(crate) fn file(from: &Path, dir: &Path) -> Result {
    let name = from.file_name().doing(format!("{} has no file name", from.display()))?;
    let to = dir.join(name);
    replace(from, dir, &to).doing(format!("install {} as {}", from.display(), to.display()))
}

fn replace(from: &Path, dir: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    let same_mode = fs::symlink_metadata(to).is_ok_and(|now| now.is_file() && now.mode() & 0o7777 == MODE);
    if same_mode && fs::read(to)? == content {
        return Ok(());
    }
    let temporary = NamedTempFile::new_in(dir)?;
    fs::write(temporary.path(), content)?;
    fs::set_permissions(temporary.path(), Permissions::from_mode(MODE))?;
    temporary.persist(to)?;
    Ok(())
}

/// The first directory at or above `dir` that others can write to, sticky ones excepted.
pub(crate) fn exposed(dir: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(dir).ok()?;
    let open = |dir: &&Path| {
        fs::metadata(dir).is_ok_and(|dir| dir.mode() & WRITABLE_BY_OTHERS != 0 && dir.mode() & STICKY == 0)
    };
    real.ancestors().find(open).map(Path::to_path_buf)
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
        assert_eq!(mode(&installed), MODE);
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
        assert_eq!(mode(&to.join("a")), MODE);
    }

    #[test]
    fn a_directory_is_closed_to_others_unless_it_is_sticky() {
        let root = tempfile::tempdir().unwrap();
        let [open, sticky] = [root.path().join("open"), root.path().join("sticky")];
        for (dir, before) in [(&open, 0o2777), (&sticky, 0o1777)] {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, Permissions::from_mode(before)).unwrap();
        }
        let inner = open.join("inner");
        fs::create_dir(&inner).unwrap();
        assert_eq!(exposed(&inner), fs::canonicalize(&open).ok());
        for dir in [&open, &sticky] {
            directory(dir).unwrap();
        }
        assert_eq!((mode(&open), mode(&sticky)), (0o2755, 0o1777));
        assert_ne!(exposed(&inner), fs::canonicalize(&open).ok());
    }
}
