//! `conformance PATH`: the suite that every plugin must pass, against one plugin file, ours or a third party's.

use std::fs;
use std::path::Path;

use crate::build::{Progress, build};
use crate::cargo::Workspace;
use crate::error::{Doing, Result};
use crate::flags::Profile;
use crate::tally::Tally;
use crate::test::suite;

/// Names the one plugin file that the suite is to run against.
const PLUGIN: &str = "EXECUTOR_CONFORMANCE_PLUGIN";

pub(crate) fn verb(plugin: &Path) -> Result {
    let workspace = Workspace::find()?;
    let plugin = fs::canonicalize(plugin).doing(format!("find {}", plugin.display()))?;
    build(&workspace, Profile::Dev, Progress::Quiet)?;
    let mut tally = Tally::default();
    check(&workspace, &plugin, &mut tally)?;
    tally.close()
}

/// Runs the suite against `plugin`, an absolute path, with what `build` installed.
pub(crate) fn check(workspace: &Workspace, plugin: &Path, tally: &mut Tally) -> Result {
    let name = format!("conformance of {}", plugin.display());
    tally.tests(&name, suite(workspace, "conformance").env(PLUGIN, plugin))
}
