//! `test`: unit tests without rights, then the suites of executor-tests against what `build` installed.
//!
//! The suites run one by one: each is a program that starts and kills processes, and two at once would measure each
//! other. `EXECUTOR_TEST_PREFIX` tells them where the installed files are.

use std::env;
use std::process::Command;

use crate::build::{Progress, build};
use crate::cargo::Workspace;
use crate::error::Result;
use crate::flags::Profile;
use crate::install;
use crate::table;
use crate::tally::{Stage, Tally};

/// Where the suites find `bin` and `lib/executor/1`.
pub(crate) const PREFIX: &str = "EXECUTOR_TEST_PREFIX";
/// What must not be missing: a test that needs it then fails instead of being skipped. A list with commas.
const REQUIRE: &str = "EXECUTOR_TEST_REQUIRE";
const SUITES: [&str; 5] = ["bad_files", "compat", "conformance", "command", "recovery"];

pub(crate) fn verb(root: bool) -> Result {
    let workspace = Workspace::find()?;
    let mut tally = Tally::default();
    let promised = env::var(REQUIRE).unwrap_or_default();
    test(&workspace, &mut tally, &if root { with_root(&promised) } else { promised })?;
    tally.close()
}

/// Runs every test and counts it; the promises are those of the caller's environment.
pub(crate) fn all(workspace: &Workspace, tally: &mut Tally) -> Result {
    test(workspace, tally, &env::var(REQUIRE).unwrap_or_default())
}

fn test(workspace: &Workspace, tally: &mut Tally, promised: &str) -> Result {
    let mut unit = workspace.cargo();
    unit.args(["test", "--workspace", "--exclude=executor-tests", "--no-fail-fast"]).env(REQUIRE, promised);
    tally.tests("unit tests", &mut unit)?;
    if let Err(error) = build(workspace, Profile::Dev, Progress::Shown) {
        tally.stage("build", Stage::Failed(error.to_string()));
        return Ok(());
    }
    for name in SUITES {
        tally.tests(&format!("suite {name}"), suite(workspace, name).env(REQUIRE, promised))?;
    }
    tally.stage("install", install::trial(workspace).unwrap_or_else(|error| Stage::Failed(error.to_string())));
    if let Err(error) = table::check(workspace, tally, has_root(promised)) {
        tally.stage("what plugins enforce", Stage::Failed(error.to_string()));
    }
    Ok(())
}

/// A call to one suite of executor-tests, which finds the installed files by its environment.
pub(crate) fn suite(workspace: &Workspace, name: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--package=executor-tests", "--test", name]).env(PREFIX, workspace.prefix());
    cargo
}

fn has_root(promised: &str) -> bool {
    promised.split(',').any(|need| need.trim() == "root")
}

fn with_root(promised: &str) -> String {
    let needs = promised.split(',').filter(|need| !need.is_empty() && *need != "root");
    needs.chain(["root"]).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_promised_beside_what_was_promised() {
        assert_eq!(with_root(""), "root");
        assert_eq!(with_root("root,cc"), "cc,root");
        assert!(has_root("cc, root") && !has_root("") && !has_root("cc"));
    }
}
