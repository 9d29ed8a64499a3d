//! Somebody who is not root and has an installation to call: what root has installed may lie where nobody else can go.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use executor_tests::prefix;
use libtest_mimic::Failed;

use crate::place::Place;

/// A user that no system has an account of.
pub(crate) struct Stranger<'a> {
    place: &'a Place,
}

impl<'a> Stranger<'a> {
    pub(crate) const UID: u32 = 4242;
    pub(crate) const GID: u32 = 4343;

    /// Copies the command, and what it runs tasks by, to where everybody can reach it.
    pub(crate) fn new(place: &'a Place) -> Result<Self, Failed> {
        install(place, &["libexecutor_fallback.so", "executor-fallback-supervisor", "executor-probe"])?;
        fs::set_permissions(place.path("settings.toml"), fs::Permissions::from_mode(0o644))?;
        Ok(Self { place })
    }

    /// The command with these words, as this user.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = self.place.surround(Command::new(self.place.path("all/bin/executor")), words);
        command.uid(Self::UID).gid(Self::GID);
        command
    }
}

/// An installation of its own in `all`, with these of the files beside the plugins.
pub(crate) fn install(place: &Place, files: &[&str]) -> Result<(), Failed> {
    let plugins = "lib/executor/1";
    let all = place.path("all");
    fs::create_dir_all(all.join("bin"))?;
    fs::create_dir_all(all.join(plugins))?;
    fs::copy(prefix().join("bin/executor"), all.join("bin/executor"))?;
    for file in files {
        fs::copy(prefix().join(plugins).join(file), all.join(plugins).join(file))?;
    }
    Ok(())
}
