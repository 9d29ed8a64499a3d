//! `build`: cargo builds plugins and programs, then they are installed into `<target>/executor`.
//!
//! The layout is the installed one (`bin`, `lib/executor/1`), so the `executor` found there finds its plugins the way it
//! will on a user's machine; `install` puts the same files below another directory.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};

use crate::cargo::{Workspace, artefacts};
use crate::error::{Doing, Result};
use crate::flags::Profile;
use crate::place::{directory, exposed, file};

/// Packages whose library is a plugin.
pub(crate) const PLUGINS: [&str; 3] = ["executor-linux", "executor-freebsd", "executor-fallback"];
/// Programs that go to `bin`.
const PROGRAMS: [&str; 1] = ["executor"];
/// Programs that plugins start, or that a host asks plugins with: they lie beside the plugins.
const BESIDE_PLUGINS: [&str; 2] = ["executor-fallback-supervisor", "executor-probe"];

/// Whether cargo's progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Shown,
    Quiet,
}

/// The places of an installation below its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) bin: PathBuf,
    pub(crate) plugins: PathBuf,
}

impl Installed {
    /// Those below `prefix`.
    pub(crate) fn below(prefix: &Path) -> Self {
        Self { bin: prefix.join("bin"), plugins: prefix.join("lib/executor/1") }
    }

    /// The installed command.
    pub(crate) fn executor(&self) -> PathBuf {
        self.bin.join(format!("executor{EXE_SUFFIX}"))
    }
}

/// What cargo built: every file that belongs into an installation.
#[derive(Debug)]
pub(crate) struct Built {
    programs: Vec<PathBuf>,
    beside_plugins: Vec<PathBuf>,
}

impl Built {
    /// Those among `files`, which cargo names.
    fn among(files: &[PathBuf]) -> Result<Self> {
        let program = |name: &&str| made(files, &format!("{name}{EXE_SUFFIX}"));
        let plugins = PLUGINS.iter().map(|package| made(files, &library(package)));
        Ok(Self {
            programs: PROGRAMS.iter().map(program).collect::<Result<_>>()?,
            beside_plugins: BESIDE_PLUGINS.iter().map(program).chain(plugins).collect::<Result<_>>()?,
        })
    }

    /// Copies each file to its place; the directories are there. Answers with the places.
    pub(crate) fn put(&self, to: &Installed) -> Result<Vec<PathBuf>> {
        let programs = self.programs.iter().map(|program| file(program, &to.bin));
        programs.chain(self.beside_plugins.iter().map(|built| file(built, &to.plugins))).collect()
    }
}

pub(crate) fn verb(profile: Profile) -> Result {
    let installed = build(&Workspace::find()?, profile, Progress::Shown)?;
    println!("programs in {}, plugins in {}", installed.bin.display(), installed.plugins.display());
    Ok(())
}

/// Builds everything that is installed.
pub(crate) fn compile(workspace: &Workspace, profile: Profile, progress: Progress) -> Result<Built> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package=executor-loader"]);
    cargo.args(PLUGINS.map(|package| format!("--package={package}")));
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    if progress == Progress::Quiet {
        cargo.arg("--quiet");
    }
    Built::among(&artefacts(&mut cargo)?)
}

/// Builds everything and installs it into the target directory.
pub(crate) fn build(workspace: &Workspace, profile: Profile, progress: Progress) -> Result<Installed> {
    let built = compile(workspace, profile, progress)?;
    let prefix = workspace.prefix();
    let installed = Installed::below(&prefix);
    let [lib, executor] = ["lib", "lib/executor"].map(|dir| prefix.join(dir));
    for dir in [&workspace.target, &prefix, &installed.bin, &lib, &executor, &installed.plugins] {
        directory(dir)?;
    }
    built.put(&installed)?;
    if let Some(exposed) = exposed(&prefix) {
        eprintln!("xtask: plugins in {} will be refused: {exposed}", installed.plugins.display());
    }
    Ok(installed)
}

/// The file name of the library of `package`.
pub(crate) fn library(package: &str) -> String {
    format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"))
}

fn made(built: &[PathBuf], name: &str) -> Result<PathBuf> {
    let found = built.iter().find(|file| file.file_name().is_some_and(|file| file == name));
    found.cloned().doing(format!("cargo built no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artefact_is_found_by_its_whole_name() {
        let built = ["/t/libexecutor_linux.rlib", "/t/executor-probe", "/t/executor"].map(PathBuf::from);
        assert_eq!(made(&built, "executor").expect("it is there"), Path::new("/t/executor"));
        assert_eq!(made(&built, "probe").expect_err("it is not").to_string(), "cargo built no probe");
    }
}
