//! Packages out of Debian's archive, without installing any: an apt of its own below the target directory.
//!
//! Each suite has its lists, its cache and its state in a directory there. The machine's configuration of apt is read,
//! for its proxies, and its hooks are left out; its sources, its state and its cache are neither used nor changed. apt
//! checks signatures and sums, also of a file that is there already. dpkg only unpacks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::sources::{Archive, configuration};
use crate::error::{Doing, Error, Result};

/// Lists that are older are fetched again.
const LISTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);
/// What is set after the machine's own configuration. `#clear` takes away its hooks: those are about its own state. The
/// user that apt downloads as may not reach the target directory, and the locks are for the machine's own state.
const SETTINGS: &str = r#"
#clear APT::Update;
#clear DPkg;
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Debug::NoLocking "true";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Etc::SourceList "/dev/null";
"#;

/// One suite of the archive.
#[derive(Debug)]
pub(super) struct Suite {
    dir: PathBuf,
    name: String,
}

/// What the lists say of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Names alone.
    pub(super) depends: Vec<String>,
}

impl Package {
    /// Name and version, fit for a file's name.
    pub(super) fn label(&self) -> String {
        format!("{}_{}", self.name, self.version.replace(':', "%3a"))
    }
}

impl Suite {
    /// The suite `name` of `archive`, with its lists in `dir`, fetched if there are none of today.
    pub(super) fn open(archive: &Archive, name: &str, dir: &Path) -> Result<Self> {
        let suite = Self { dir: dir.join(name), name: name.to_owned() };
        suite.configure(archive).doing(format!("set up apt for {name} in {}", suite.dir.display()))?;
        let updated = fs::metadata(suite.stamp()).and_then(|stamp| stamp.modified()).ok();
        if updated.is_some_and(|then| then.elapsed().is_ok_and(|age| age < LISTS_LAST)) {
            return Ok(suite);
        }
        match suite.update() {
            Err(error) if updated.is_some() => eprintln!("xtask: {error}; its older list is used"),
            other => other?,
        }
        Ok(suite)
    }

    fn configure(&self, archive: &Archive) -> std::io::Result<()> {
        let parts = self.dir.join("conf.d");
        if parts.exists() {
            fs::remove_dir_all(&parts)?;
        }
        for dir in ["conf.d", "sources.d", "debs", "state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.dir.join(dir))?;
        }
        // Links, so that a password in there is not copied.
        for (index, file) in configuration().iter().enumerate() {
            symlink(file, parts.join(format!("{index:03}.conf")))?;
        }
        let dir = self.dir.display();
        let places = format!(
            "Dir::Etc::SourceParts \"{dir}/sources.d\";\nDir::State \"{dir}/state\";\n\
             Dir::State::status \"{dir}/status\";\nDir::Cache \"{dir}/cache\";\n\
             Dir::Cache::archives \"archives/\";\n"
        );
        fs::write(parts.join("own.conf"), format!("{SETTINGS}{places}"))?;
        // Read first: it says where to read on.
        fs::write(
            self.dir.join("apt.conf"),
            format!("Dir::Etc::Main \"/dev/null\";\nDir::Etc::Parts \"{dir}/conf.d\";\n"),
        )?;
        fs::write(self.dir.join("status"), "")?;
        fs::write(self.dir.join("sources.d/vm.sources"), archive.stanza(&self.name))
    }

    /// Whether there are lists, and since when.
    fn stamp(&self) -> PathBuf {
        self.dir.join("updated")
    }

    fn update(&self) -> Result {
        self.apt("apt-get", &["-qq", "update"]).doing(format!("fetch the list of packages of {}", self.name))?;
        fs::write(self.stamp(), "").doing(format!("write {}", self.stamp().display()))
    }

    /// Does `act`, and once more with other lists if it does not work: the archive may have moved on.
    pub(super) fn try_twice<T>(&self, act: impl Fn(&Self) -> Result<T>) -> Result<T> {
        act(self).or_else(|first| match self.update() {
            Ok(()) => act(self),
            Err(_) => Err(first),
        })
    }

    /// What the lists say of `name`.
    pub(super) fn package(&self, name: &str) -> Result<Package> {
        let shown = self.apt("apt-cache", &["show", "--no-all-versions", name]);
        let shown = shown.doing(format!("find the package {name} in {}", self.name))?;
        package(&shown).doing(format!("{} has no package {name}", self.name))
    }

    /// Downloads `package`, unless it is there, and answers with its file.
    pub(super) fn download(&self, package: &Package) -> Result<PathBuf> {
        let what = format!("{}={}", package.name, package.version);
        let words = ["-qq", "download", &what];
        let act = format!("download {what} of {}", self.name);
        // The list may be older than the archive.
        self.apt("apt-get", &words)
            .or_else(|_| self.update().and_then(|()| self.apt("apt-get", &words)))
            .doing(&act)?;
        let begin = format!("{}_", package.label());
        let found = debs(&self.dir.join("debs"))?.into_iter().find(|file| file_name(file).starts_with(&begin));
        found.doing(format!("{act}: apt left no file {begin}*.deb"))
    }

    /// Downloads `package` with all that it depends on, down to the C library, and answers with the files.
    pub(super) fn download_all(&self, package: &Package) -> Result<Vec<PathBuf>> {
        let what = format!("{}={}", package.name, package.version);
        let act = format!("download {what} of {} with what it depends on", self.name);
        // A place of their own: what another version has left would be unpacked as well.
        let dir = self.dir.join("closures").join(package.label());
        fs::create_dir_all(dir.join("partial")).doing(format!("make {}", dir.display()))?;
        let place = format!("Dir::Cache::archives={}", dir.display());
        let words = ["-qq", "--yes", "--download-only", "-o", &place, "install", &what];
        self.apt("apt-get", &words).doing(act)?;
        debs(&dir)
    }

    /// Runs a program of apt's in this suite, and answers with what it prints.
    fn apt(&self, program: &str, words: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(words).env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C");
        // `apt-get download` puts its files where it is.
        command.env("DEBIAN_FRONTEND", "noninteractive").current_dir(self.dir.join("debs")).stdin(Stdio::null());
        let output = command.output().doing(format!("start {program}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::new(complaint(&String::from_utf8_lossy(&output.stderr), &output.status.to_string())))
    }
}

/// The packages in a directory.
fn debs(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).doing(format!("read {}", dir.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "deb")).collect())
}

/// What apt complains of: its errors, else its warnings, else how it ended.
fn complaint(stderr: &str, ended: &str) -> String {
    let told = |mark: &str| {
        let lines: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix(mark)).map(str::trim).collect();
        lines.join("; ")
    };
    [told("E:"), told("W:")].into_iter().find(|words| !words.is_empty()).unwrap_or_else(|| ended.to_owned())
}

/// The package in a stanza of apt's.
fn package(shown: &str) -> Option<Package> {
    let field = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let first = |alternatives: &str| alternatives.split_ascii_whitespace().next().map(str::to_owned);
    let depends = field("Depends").unwrap_or_default().split(',').filter_map(first).collect();
    Some(Package { name: field("Package")?.to_owned(), version: field("Version")?.to_owned(), depends })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Unpacks packages into `dir`, which gets its name at the end: if it is there, it is whole.
pub(super) fn unpack(debs: &[PathBuf], dir: &Path) -> Result {
    let above = dir.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(above).doing(format!("make {}", above.display()))?;
    let temporary = tempfile::tempdir_in(above).doing(format!("make a directory in {}", above.display()))?;
    for deb in debs {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").args([deb.as_path(), temporary.path()]).stdin(Stdio::null());
        crate::cargo::run(&mut dpkg, &format!("unpack {}", deb.display()))?;
    }
    fs::rename(temporary.keep(), dir).doing(format!("make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_from_what_apt_shows() {
        let shown = "Package: linux-image-cloud-amd64\nVersion: 6.1.1-1\nDepends: linux-image-6.1.0-1-cloud-amd64 (= 6.1.1-1), a | b\nDescription: x\n Depends: no\n";
        let package = package(shown).unwrap();
        assert_eq!(package.depends, ["linux-image-6.1.0-1-cloud-amd64", "a"]);
        assert_eq!(package.label(), "linux-image-cloud-amd64_6.1.1-1");
    }

    #[test]
    fn an_epoch_is_written_as_apt_writes_it() {
        let package = Package { name: "q".into(), version: "1:7.2".into(), depends: Vec::new() };
        assert_eq!(package.label(), "q_1%3a7.2");
    }

    #[test]
    fn the_reason_of_a_refusal_is_apts_own() {
        let stderr = "W: old\nE: Unable to locate package x\nE: No packages found\n";
        assert_eq!(complaint(stderr, "exit status: 100"), "Unable to locate package x; No packages found");
        assert_eq!(complaint("W: old\n", "exit status: 100"), "old");
        assert_eq!(complaint("", "exit status: 100"), "exit status: 100");
    }
}
