//! `build`: cargo builds plugins and programs, then they are installed into `<target>/executor`.
//!
//! The layout is the installed one (`bin`, `lib/executor/1`), so the `executor` found there finds its plugins the way it
//! will on a user's machine.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};

use crate::cargo::{Workspace, artefacts};
use crate::error::{Doing, Result};
use crate::flags::Profile;
use crate::install::{directory, exposed, file};

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

/// Where things were installed.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) bin: PathBuf,
    pub(crate) plugins: PathBuf,
}

pub(crate) fn verb(profile: Profile) -> Result {
    let installed = build(&Workspace::find()?, profile, Progress::Shown)?;
    println!("programs in {}, plugins in {}", installed.bin.display(), installed.plugins.display());
    Ok(())
}

/// Builds and installs everything.
pub(crate) fn build(workspace: &Workspace, profile: Profile, progress: Progress) -> Result<Installed> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package=executor-loader"]);
    cargo.args(PLUGINS.map(|package| format!("--package={package}")));
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    if progress == Progress::Quiet {
        cargo.arg("--quiet");
    }
    let built = artefacts(&mut cargo)?;

    let prefix = workspace.prefix();
    let [bin, lib] = [prefix.join("bin"), prefix.join("lib")];
    let plugins = lib.join("executor").join("1");
    let above = plugins.parent().doing("find the directory above the plugins")?;
    for dir in [&workspace.target, &prefix, &bin, &lib, above, &plugins] {
        directory(dir)?;
    }
    for program in PROGRAMS {
        file(made(&built, &format!("{program}{EXE_SUFFIX}"))?, &bin)?;
    }
    for program in BESIDE_PLUGINS {
        file(made(&built, &format!("{program}{EXE_SUFFIX}"))?, &plugins)?;
    }
    for package in PLUGINS {
        file(made(&built, &library(package))?, &plugins)?;
    }
    if let Some(dir) = exposed(&prefix) {
        eprintln!("xtask: {} can be written to by others, so plugins below it will be refused", dir.display());
        eprintln!("  fix: chmod go-w {}", dir.display());
    }
    Ok(Installed { bin, plugins })
}

/// The file name of the library of `package`.
pub(crate) fn library(package: &str) -> String {
    format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"))
}

fn made<'a>(built: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    let found = built.iter().find(|file| file.file_name().is_some_and(|file| file == name));
    found.map(PathBuf::as_path).doing(format!("cargo built no {name}"))
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
