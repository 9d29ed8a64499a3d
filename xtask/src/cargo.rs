//! Calls to cargo: where the workspace and its target directory are, and what a build produced.
//!
//! Every call runs in the workspace's root. Paths of artefacts come from cargo's own messages, so `CARGO_TARGET_DIR`,
//! `CARGO_BUILD_TARGET` and a configuration file are all respected.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Doing, Error, Result};

/// This checkout.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).parent().doing("find the workspace above xtask")?.to_path_buf();
        let mut metadata = cargo_in(&root);
        metadata.args(["metadata", "--no-deps", "--format-version=1"]).stderr(Stdio::inherit());
        let output = metadata.output().doing("start cargo metadata")?;
        let answer: Value = serde_json::from_slice(&output.stdout).doing("read what cargo metadata says")?;
        let target = answer["target_directory"].as_str().doing("cargo metadata names no target directory")?;
        Ok(Self { root, target: target.into() })
    }

    /// A call to cargo in the root.
    pub(crate) fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }

    /// Where `build` installs: `bin` and `lib/executor/1` below it.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.target.join("executor")
    }
}

/// A call to cargo in `dir`, the same cargo that runs this program, without what it says of xtask's own package: a tool
/// such as cargo-machete takes that for its own.
pub(crate) fn cargo_in(dir: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_a_package = |name: &OsString| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for name in std::env::vars_os().map(|(name, _)| name).filter(of_a_package) {
        cargo.env_remove(name);
    }
    cargo.current_dir(dir);
    cargo
}

/// Runs `command` to its end; an exit other than 0 is an error named `what`.
pub(crate) fn run(command: &mut Command, what: &str) -> Result {
    let status = command.status().doing(format!("start {what}"))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("{what}: {status}"))) }
}

/// Runs `command`, a `cargo build`, and answers with the files it made or found fresh.
pub(crate) fn artefacts(command: &mut Command) -> Result<Vec<PathBuf>> {
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().doing("start cargo build")?;
    if !output.status.success() {
        return Err(Error::new(format!("cargo build: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().flat_map(files_of).collect())
}

/// The files that one of cargo's messages names, if it is about an artefact.
fn files_of(message: &str) -> Vec<PathBuf> {
    let message: Value = serde_json::from_str(message).unwrap_or_default();
    if message["reason"] != "compiler-artifact" {
        return Vec::new();
    }
    let files = message["filenames"].as_array().into_iter().flatten();
    files.filter_map(Value::as_str).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artefacts_have_files() {
        let artefact = r#"{"reason":"compiler-artifact","filenames":["/t/libexecutor_linux.so","/t/libx.rlib"]}"#;
        assert_eq!(files_of(artefact), [Path::new("/t/libexecutor_linux.so"), Path::new("/t/libx.rlib")]);
        assert!(files_of(r#"{"reason":"build-finished","success":true}"#).is_empty());
        assert!(files_of("not json").is_empty());
    }
}
