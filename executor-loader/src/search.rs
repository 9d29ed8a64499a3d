//! Which files could be plugins: reads directories, opens no file in them.
//!
//! Owns the order of directories and the rule for file names. A file with another name is not a candidate and is not
//! mentioned; the working directory is never searched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use executor_api::PluginName;

use crate::refusal::{Refusal, Stage};
use crate::trust;

/// The files taken from one directory; more than a few are a mistake, and each may cost a process.
const MOST_FILES: usize = 256;
/// The place of plugins below a library directory; the number is the major version of the interface.
const SUBDIRECTORY: &str = "executor/1";

/// A file with the name of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// From the file name; what the file says of itself is not known yet.
    pub(crate) name: PluginName,
}

/// The candidates in `dirs`: in the order of `dirs`, within a directory by name, and each directory once.
///
/// A directory that does not exist is skipped silently; one that cannot be read, or is not trusted, is a refusal.
pub(crate) fn search(dirs: &[PathBuf]) -> (Vec<Found>, Vec<(PathBuf, Refusal)>) {
    let (mut found, mut refused, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for dir in dirs {
        match trust::real_dir(dir) {
            Ok(None) => {}
            Ok(Some(real)) if seen.contains(&real) => {}
            Ok(Some(real)) => {
                seen.push(real);
                search_one(dir, &mut found, &mut refused);
            }
            Err(refusal) => refused.push((dir.clone(), refusal)),
        }
    }
    (found, refused)
}

fn search_one(dir: &Path, found: &mut Vec<Found>, refused: &mut Vec<(PathBuf, Refusal)>) {
    let entries = std::fs::read_dir(dir).and_then(|entries| {
        let named = |name: &OsString| plugin_name(name).is_some();
        entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .filter(|name| name.as_ref().map_or(true, named))
            .collect()
    });
    let mut names: Vec<OsString> = match entries {
        Ok(names) => names,
        Err(error) => {
            let why = format!("{} cannot be read: {error}", dir.display());
            return refused.push((dir.to_owned(), Refusal::new(Stage::Search, why)));
        }
    };
    names.sort_unstable();
    if names.len() > MOST_FILES {
        let (all, left) = (names.len(), names.len() - MOST_FILES);
        let dir_shown = dir.display();
        let why = format!(
            "{dir_shown} holds {all} files named like plugins: the first {MOST_FILES} were taken, {left} left out"
        );
        refused.push((
            dir.to_owned(),
            Refusal::new(Stage::Search, why).with_fix("keep plugins in a directory of their own"),
        ));
        names.truncate(MOST_FILES);
    }
    for name in names {
        let path = dir.join(&name);
        match PluginName::new(plugin_name(&name).unwrap_or_default()) {
            Ok(name) => found.push(Found { path, name }),
            Err(error) => {
                refused.push((path, Refusal::new(Stage::Search, error.to_string()).with_fix("rename the file")))
            }
        }
    }
}

/// The name in `libexecutor_<name>.so`, of `a-z 0-9 _`, at least one letter long.
fn plugin_name(file: &OsString) -> Option<&str> {
    let rest = file.to_str()?.strip_prefix("libexecutor_")?;
    let name = rest.strip_suffix(".so").or_else(|| rest.strip_suffix(".dylib"))?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!name.is_empty() && name.bytes().all(allowed)).then_some(name)
}

/// The directories that are searched when nobody names others, first to last; `exe` is the host's own program.
///
/// The environment counts only in a process that has no more rights than whoever started it. In
/// `EXECUTOR_PLUGIN_PATH`, entries that are empty or not absolute are left out: they would mean the working directory.
pub(crate) fn default_dirs(exe: Option<&Path>) -> Vec<PathBuf> {
    let trusted_environment = !has_more_rights_than_its_caller();
    let variable = |name: &str| std::env::var_os(name).filter(|value| trusted_environment && !value.is_empty());
    let is_root = nix::unistd::geteuid().is_root();
    dirs_of(variable("EXECUTOR_PLUGIN_PATH"), exe, variable("HOME").filter(|_| !is_root))
}

fn dirs_of(listed: Option<OsString>, exe: Option<&Path>, home: Option<OsString>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = listed.iter().flat_map(std::env::split_paths).collect();
    dirs.extend(exe.and_then(Path::parent).and_then(Path::parent).map(|prefix| prefix.join("lib").join(SUBDIRECTORY)));
    dirs.extend(home.map(|home| Path::new(&home).join(".local/lib").join(SUBDIRECTORY)));
    dirs.extend(system_dirs());
    dirs.retain(|dir| dir.is_absolute());
    dirs
}

fn system_dirs() -> Vec<PathBuf> {
    if cfg!(target_vendor = "apple") {
        return vec!["/opt/homebrew/lib/executor/1".into(), "/Library/Application Support/executor/1".into()];
    }
    let mut dirs = vec![Path::new("/usr/local/lib").join(SUBDIRECTORY)];
    if cfg!(target_os = "linux") {
        dirs.extend(triplet().map(|triplet| Path::new("/usr/lib").join(triplet).join(SUBDIRECTORY)));
        dirs.push(Path::new("/usr/lib").join(SUBDIRECTORY));
    }
    dirs
}

/// The name of this architecture in the library directories of Debian and its relatives.
fn triplet() -> Option<String> {
    let arch = match std::env::consts::ARCH {
        "x86" => "i386",
        "powerpc64" if cfg!(target_endian = "little") => "powerpc64le",
        arch @ ("x86_64" | "aarch64" | "arm" | "riscv64" | "s390x" | "loongarch64") => arch,
        _ => return None,
    };
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let float = if arch == "arm" { "eabihf" } else { "" };
    Some(format!("{arch}-linux-{libc}{float}"))
}

/// Whether this process was started set-uid, set-gid or, on Linux, with capabilities of its file.
fn has_more_rights_than_its_caller() -> bool {
    use nix::unistd::{getegid, geteuid, getgid, getuid};
    if getuid() != geteuid() || getgid() != getegid() {
        return true;
    }
    // The kernel's own word for it. A process that may not read its own file was started with more rights.
    match std::fs::read("/proc/self/auxv") {
        Ok(vector) => says_secure(&vector),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

/// Whether an auxiliary vector holds `AT_SECURE` with a value other than zero.
fn says_secure(vector: &[u8]) -> bool {
    const AT_SECURE: usize = 23;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, usize::from_ne_bytes);
    let mut entries = vector.chunks_exact(2 * WORD).map(|entry| (word(&entry[..WORD]), word(&entry[WORD..])));
    entries.any(|(kind, value)| kind == AT_SECURE && value != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::trust::tests::trusted_dir;

    fn names(found: &[Found]) -> Vec<&str> {
        found.iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn only_files_with_the_name_of_a_plugin_are_candidates() {
        let taken = ["libexecutor_linux.so", "libexecutor_a_1.dylib"];
        let passed_over = [
            "libexecutor_.so",
            "libexecutor_Linux.so",
            "libexecutor_linux.so.1",
            "libexecutor_linux.so~",
            "libexecutor_a-b.so",
            "executor_linux.so",
            "libexecutor_linux",
            "libexecutor_é.so",
        ];
        assert!(taken.iter().all(|name| plugin_name(&name.into()).is_some()));
        assert!(passed_over.iter().all(|name| plugin_name(&name.into()).is_none()));
    }

    #[test]
    fn order_is_that_of_the_directories_then_of_the_names() {
        let root = trusted_dir();
        let (first, second) = (root.path().join("z"), root.path().join("a"));
        for (dir, file) in [(&first, "b"), (&first, "a"), (&second, "a")] {
            std::fs::create_dir_all(dir).expect("a directory");
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("a mode");
            std::fs::write(dir.join(format!("libexecutor_{file}.so")), "").expect("a file");
        }
        std::os::unix::fs::symlink(&first, root.path().join("link")).expect("a link");
        let dirs = [first.clone(), root.path().join("absent"), root.path().join("link"), second, first];
        let (found, refused) = search(&dirs);
        assert_eq!(names(&found), ["a", "b", "a"]);
        assert_eq!(refused, []);
    }

    #[test]
    fn ten_thousand_files_are_one_refusal_and_no_delay() {
        let root = trusted_dir();
        for number in 0..10_000 {
            std::fs::File::create(root.path().join(format!("libexecutor_p{number:05}.so"))).expect("a file");
        }
        let start = std::time::Instant::now();
        let (found, refused) = search(&[root.path().to_owned()]);
        assert!(start.elapsed().as_secs() < 1, "{:?}", start.elapsed());
        assert_eq!((found.len(), found[255].name.as_str()), (256, "p00255"));
        assert_eq!(refused.len(), 1);
        assert!(refused[0].1.why.ends_with("the first 256 were taken, 9744 left out"), "{}", refused[0].1);
    }

    #[test]
    fn a_name_that_is_too_long_and_a_directory_that_is_none_are_told() {
        let root = trusted_dir();
        std::fs::write(root.path().join(format!("libexecutor_{}.so", "x".repeat(33))), "").expect("a file");
        let file = root.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let (found, refused) = search(&[root.path().to_owned(), file]);
        assert_eq!((found.len(), refused.len()), (0, 2));
        assert!(refused[0].1.to_string().starts_with("search: take"), "{}", refused[0].1);
        assert!(refused[1].1.why.ends_with("is a regular file, not a directory"), "{}", refused[1].1);
    }

    #[test]
    fn directories_that_depend_on_the_working_directory_are_left_out() {
        let dirs = dirs_of(Some("/a::b:../c:/d".into()), Some(Path::new("/x/bin/host")), Some("/home/me".into()));
        let expected = ["/a", "/d", "/x/lib/executor/1", "/home/me/.local/lib/executor/1"].map(PathBuf::from);
        assert_eq!(dirs[..4], expected);
        assert!(dirs.contains(&"/usr/local/lib/executor/1".into()) || cfg!(target_vendor = "apple"));
        assert!(dirs_of(None, Some(Path::new("host")), Some("".into())).iter().all(|dir| dir.is_absolute()));
    }

    #[test]
    fn the_kernels_word_on_rights_is_read() {
        let vector = |secure: usize| [6, 4096, 23, secure, 0, 0].map(usize::to_ne_bytes).concat();
        assert!(says_secure(&vector(1)));
        assert!(!says_secure(&vector(0)));
        assert!(!says_secure(b"short"));
    }
}
