//! Builds the fixtures, once per run, and runs their hosts.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use libtest_mimic::Failed;
use serde_json::{Map, Value};

/// A version of executor-api: a host and a plugin were built with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Older,
    Current,
    Newer,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::Older, Self::Current, Self::Newer];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Older => "older",
            Self::Current => "current",
            Self::Newer => "newer",
        }
    }

    /// The plugin of this version, as `cargo build` leaves it in `target`.
    pub(crate) fn plugin(self, target: &Path) -> PathBuf {
        library(target, self.name())
    }
}

/// What a host says about one plugin.
pub(crate) type Report = Map<String, Value>;

pub(crate) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A directory beside this workspace's own build output.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp).join(name)
}

pub(crate) fn library(target: &Path, name: &str) -> PathBuf {
    target.join(format!("debug/libexecutor_{name}.so"))
}

/// The fixtures' build output; the first trial that asks builds, the others wait for it.
pub(crate) fn built() -> Result<&'static Path, Failed> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let target = scratch("fixtures");
        // Locked: a run of the tests changes nothing in the tree.
        let build = build(&mut cargo(), &source(), &target, &["--locked"]);
        build.map(|()| target).map_err(|error| format!("{error}\nsee tests/fixtures/README.md for its lock file"))
    });
    built.as_deref().map_err(Failed::from)
}

/// The cargo that runs this test.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds the workspace at `source` into `target`: offline if what it needs is there.
pub(crate) fn build(cargo: &mut Command, source: &Path, target: &Path, options: &[&str]) -> Result<(), String> {
    cargo.arg("build").arg("--target-dir").arg(target).args(options).current_dir(source);
    // What cargo sets for the program that it runs is not meant for the next cargo.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    // The variable is weaker than the option, and unlike it can be taken back for the second try.
    let offline = cargo.env("CARGO_NET_OFFLINE", "true").output();
    if offline.as_ref().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let online = cargo.env_remove("CARGO_NET_OFFLINE").output().map_err(|error| format!("run cargo: {error}"))?;
    match online.status.success() {
        true => Ok(()),
        false => Err(format!("build {}:\n{}", source.display(), String::from_utf8_lossy(&online.stderr))),
    }
}

/// Loads `plugins`, all of them into one process of the host of this version, and returns a report on each, in order.
pub(crate) fn run<P: AsRef<OsStr>>(host: Version, plugins: &[P]) -> Result<Vec<Report>, Failed> {
    let text = host_output(host, plugins)?;
    let reports: Result<Vec<Report>, _> = text.lines().map(serde_json::from_str).collect();
    let reports = reports.map_err(|error| format!("{error} in {text}"))?;
    match reports.len() == plugins.len() {
        true => Ok(reports),
        false => Err(format!("{} plugins, {} reports: {text}", plugins.len(), reports.len()).into()),
    }
}

/// The types that cross the border, as the host of this version has them.
pub(crate) fn layout(host: Version) -> Result<String, Failed> {
    host_output(host, &["--layout"])
}

fn host_output<A: AsRef<OsStr>>(host: Version, arguments: &[A]) -> Result<String, Failed> {
    let path = built()?.join(format!("debug/host-{}", host.name()));
    let output =
        Command::new(&path).args(arguments).output().map_err(|error| format!("{}: {error}", path.display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{host:?} host, {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Writes what differs only: a file that is left alone is not built again.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failed> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    Ok(fs::write(path, text)?)
}
