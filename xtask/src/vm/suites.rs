//! The suites that a lane runs, and the files of this machine that they take along.
//!
//! A suite is built here and runs there: with it go its libraries, the installation that it tests, and the programs
//! that it calls. They are this machine's, so that between the host's run and the guest's only the kernel differs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::build::{Installed, Progress, compile};
use crate::cargo::{Workspace, artefacts};
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;
use crate::place::missing_directories;

/// A suite, and how many seconds the guest gives it; emulated, it is three to eight times slower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    /// Its own name, and its test's in the package.
    pub(super) name: &'static str,
    /// The directory of its package: cargo starts it there.
    pub(super) package: &'static str,
    pub(super) seconds: u32,
}

const TESTS: &str = "tests";
const LINUX: &str = "executor-linux";

/// Every suite that runs in a guest: those that need a compiler or cargo are the host's.
pub(super) const SUITES: [Suite; 5] = [
    Suite { name: "conformance", package: TESTS, seconds: 300 },
    Suite { name: "cgroup", package: LINUX, seconds: 600 },
    Suite { name: "launch", package: LINUX, seconds: 600 },
    Suite { name: "recovery", package: TESTS, seconds: 1800 },
    Suite { name: "command", package: TESTS, seconds: 900 },
];

/// Suites that are left out of a short run: they take minutes, and what they try hardly depends on the kernel.
const LONG_SUITES: [&str; 1] = ["command"];

/// Trials of the other suites of which each takes a minute or more in an emulator.
const LONG: [(&str, &str); 3] = [
    ("recovery", "a_start_that_is_killed_at_any_call_leaves_a_task_or_nothing"),
    ("recovery", "a_thousand_starts_and_kills_leave_nothing_and_do_not_slow_down"),
    ("recovery", "five_hundred_tasks_at_once_are_found_and_stopped"),
];

/// How much of the suites is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// Without the suites and trials that take minutes.
    Short,
}

impl Extent {
    /// The suites that are run.
    pub(super) fn suites(self) -> impl Iterator<Item = Suite> {
        SUITES.into_iter().filter(move |suite| self == Self::Whole || !LONG_SUITES.contains(&suite.name))
    }

    /// The trials that are left out of those: suite and name.
    pub(super) fn left_out(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Whole => &[],
            Self::Short => &LONG,
        }
    }
}

/// What a guest promises, so that a trial that needs it fails where it is missing.
pub(super) const PROMISED: [&str; 3] = ["root", "built", "strace"];

/// Programs that the suites and their tasks call. What else there is in a guest is busybox's.
const PROGRAMS: &str = "\
    awk basename bash cat chmod chown cmp cp cut date dd dirname echo env expr false find grep head id kill ln \
    ls mkdir mkfifo mktemp mount mv nice nohup nproc nsenter od pgrep printenv printf ps pwd readlink rm rmdir \
    sed seq setpriv setsid sh sha256sum sleep sort stat strace sync tac tail tee test timeout touch tr true \
    truncate umount uname unshare wc xargs";

/// What suites read of the workspace: pages whose command lines they execute, and what those print.
const PAGES: [&str; 3] = ["README.md", "docs", "tests/command/cases"];

/// What was built for the guest.
#[derive(Debug)]
pub(super) struct Load {
    /// Each suite's program.
    pub(super) suites: Vec<(&'static str, PathBuf)>,
    /// `bin` and `lib/executor/1` are in it.
    pub(super) prefix: PathBuf,
    /// The workspace: the suites' packages are in it.
    pub(super) root: PathBuf,
    /// Where the suites write: cargo has told them when it built them.
    pub(super) scratch: PathBuf,
    /// What they read, where it is.
    pub(super) pages: Vec<PathBuf>,
}

/// Builds the suites, and installs what they test into `prefix`.
pub(super) fn built(workspace: &Workspace, prefix: &Path) -> Result<Load> {
    let installed = Installed::below(prefix);
    for dir in [&installed.bin, &installed.plugins] {
        missing_directories(dir)?;
    }
    // Optimized: a plugin is asked within two seconds what it can, and ten megabytes of a file take an emulator longer.
    compile(workspace, Profile::Release, Progress::Shown)?.put(&installed)?;
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-run", "--package=executor-tests", "--package=executor-linux"]);
    cargo.args(SUITES.map(|suite| format!("--test={}", suite.name)));
    let files = artefacts(&mut cargo)?;
    let suites = SUITES.map(|suite| program(&files, suite.name).map(|file| (suite.name, file)));
    let suites = suites.into_iter().collect::<Result<_>>()?;
    let pages = PAGES.iter().map(|page| files_in(&workspace.root.join(page))).collect::<Result<Vec<_>>>()?.concat();
    let (root, scratch) = (workspace.root.clone(), workspace.target.join("tmp"));
    Ok(Load { suites, prefix: prefix.to_owned(), root, scratch, pages })
}

/// `path`, or the files in it if it is a directory; none where there is neither.
fn files_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(path.is_file().then(|| path.to_owned()).into_iter().collect());
    }
    let entries = std::fs::read_dir(path).doing(format!("read {}", path.display()))?;
    let files = entries.map(|entry| files_in(&entry.doing(format!("read {}", path.display()))?.path()));
    Ok(files.collect::<Result<Vec<_>>>()?.concat())
}

/// The test program of the suite `name`: cargo puts a hash behind the name.
fn program(files: &[PathBuf], name: &str) -> Result<PathBuf> {
    let is_it = |file: &&PathBuf| {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        let hash = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    files.iter().find(is_it).cloned().doing(format!("cargo built no suite {name}"))
}

/// The programs that are to be called `sh`, `cat` and so on, as this machine has them. One that it lacks is left out:
/// busybox may have it, and a suite that needs it says so.
pub(super) fn programs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    PROGRAMS
        .split_ascii_whitespace()
        .filter_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file()))
        .collect()
}

/// The libraries that `programs` are linked with, and what loads them; a static program has none.
pub(super) fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for program in programs {
        let mut ldd = Command::new("ldd");
        let output = ldd.arg(program).env("LC_ALL", "C").stdin(Stdio::null()).output().doing("start ldd")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if let Some(line) = said.lines().find(|line| line.contains("not found")) {
            return Err(Error::new(format!("{}: {}", program.display(), line.trim())));
        }
        libraries.extend(said.lines().filter_map(library));
    }
    libraries.sort_unstable();
    libraries.dedup();
    Ok(libraries)
}

/// The file in a line of ldd's: `libc.so.6 => /lib/libc.so.6 (0x…)`, or the loader's `/lib64/ld-linux.so.2 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let file = line.split_once(" => ").map_or(line, |(_, file)| file);
    let file = file.split_once(" (").map_or(file, |(file, _)| file);
    file.starts_with('/').then(|| Path::new(file).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_the_file_with_its_name_and_a_hash() {
        let files = ["/t/deps/librecovery-0123456789abcdef.rlib", "/t/recovery-0123456789abcdef"].map(PathBuf::from);
        assert_eq!(program(&files, "recovery").unwrap(), Path::new("/t/recovery-0123456789abcdef"));
        assert!(program(&files, "command").is_err());
        assert!(program(&["/t/recovery-x".into()], "recovery").is_err());
    }

    #[test]
    fn every_library_has_a_file() {
        assert_eq!(library("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)"), Some("/lib/libc.so.6".into()));
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"), Some("/lib64/ld-linux-x86-64.so.2".into()));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        assert_eq!(library("\tnot a dynamic executable"), None);
    }

    #[test]
    fn the_suites_are_tests_of_their_packages() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for suite in SUITES {
            let manifest = std::fs::read_to_string(root.join(suite.package).join("Cargo.toml")).unwrap();
            assert!(manifest.contains(&format!("[[test]]\nname = \"{}\"\n", suite.name)), "{}", suite.name);
        }
    }

    #[test]
    fn pages_are_found_however_deep_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("a/b/page.md");
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, "").unwrap();
        assert_eq!(files_in(dir.path()).unwrap(), std::slice::from_ref(&page));
        assert_eq!(files_in(&page).unwrap(), [page]);
        assert!(files_in(&dir.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn a_short_run_leaves_out_whole_suites_as_well() {
        assert!(Extent::Whole.suites().map(|suite| suite.name).eq(SUITES.iter().map(|suite| suite.name)));
        assert!(Extent::Short.suites().map(|suite| suite.name).eq(["conformance", "cgroup", "launch", "recovery"]));
    }

    #[test]
    fn what_is_left_out_is_there() {
        assert!(LONG_SUITES.iter().all(|long| SUITES.iter().any(|suite| suite.name == *long)));
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        for (suite, trial) in LONG {
            let files = std::fs::read_dir(tests.join(suite)).unwrap().map(|file| file.unwrap().path());
            let named = format!("\"{trial}\"");
            let mut texts = files.map(|file| std::fs::read_to_string(file).unwrap());
            assert!(texts.any(|text| text.contains(&named)), "{suite}: {trial}");
        }
    }

    #[test]
    fn a_programs_own_libraries_are_found() {
        let own = libraries(&[env::current_exe().unwrap()]).unwrap();
        assert!(own.iter().any(|file| file.to_string_lossy().contains("libc.so")), "{own:?}");
    }
}
