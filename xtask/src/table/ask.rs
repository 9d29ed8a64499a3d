//! Asks the plugins of an installation what they can enforce, as root and as somebody who is not.
//!
//! A copy in a directory of its own is asked: the target directory may be one that only its owner can enter.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use serde_json::Value;

use super::Texts;
use super::report::{Situation, Who};
use crate::build::{Built, Installed};
use crate::error::{Doing, Error, Result};
use crate::place::missing_directories;

/// Whoever is not root: a user without a name and without groups will do.
const SOMEBODY: u32 = 65534;

/// What came of asking in one situation.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) situation: Situation,
    pub(super) answer: Answer,
}

/// What the plugins said.
#[derive(Debug)]
pub(super) enum Answer {
    /// Their reports, by path.
    Reports(Texts),
    /// Nothing: the question cannot be put here, and why.
    NotHere(String),
}

/// Asks in every situation of this system.
pub(super) fn ask(built: &Built) -> Result<Vec<Asked>> {
    let temporary = tempfile::tempdir().doing("make a directory for a copy")?;
    let root = fs::canonicalize(temporary.path()).doing(format!("find {}", temporary.path().display()))?;
    fs::set_permissions(&root, Permissions::from_mode(0o755)).doing(format!("chmod 755 {}", root.display()))?;
    let copy = Installed::below(&root.join("copy"));
    for dir in [&copy.bin, &copy.plugins] {
        missing_directories(dir)?;
    }
    built.put(&copy)?;
    let asked = [Who::Root, Who::User].map(|who| {
        let situation = Situation::here(who);
        let answer = match who {
            Who::Root if !geteuid().is_root() => Answer::NotHere("only root can ask as root".to_owned()),
            _ => Answer::Reports(reports(&listing(&copy, &root, who)?, &copy.plugins, &situation)?),
        };
        Ok(Asked { situation, answer })
    });
    asked.into_iter().collect()
}

/// What `executor plugins --json` says.
fn listing(copy: &Installed, root: &Path, who: Who) -> Result<Value> {
    let program = copy.executor();
    let what = format!("{} plugins", program.display());
    let mut command = Command::new(&program);
    command.args(["plugins", "--json"]).env_clear().env("EXECUTOR_STATE_DIR", root.join("state"));
    if who == Who::User && geteuid().is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    let output = command.current_dir("/").stdin(Stdio::null()).output().doing(format!("start {what}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{what}: {}: {}", output.status, said.trim_end())));
    }
    serde_json::from_slice(&output.stdout).doing(format!("read what {what} says"))
}

/// The reports of the plugins in `plugins`; a machine may have others elsewhere.
fn reports(listing: &Value, plugins: &Path, situation: &Situation) -> Result<Texts> {
    let listed = listing["plugins"].as_array().doing("executor plugins lists no plugins")?;
    let path = |plugin: &Value| plugin["path"].as_str().map(OsStr::new).map(Path::new).map(Path::to_path_buf);
    let ours = listed.iter().filter(|plugin| path(plugin).is_some_and(|path| path.starts_with(plugins)));
    ours.map(|plugin| {
        let name = plugin["name"].as_str().doing("executor plugins gives a plugin no name")?;
        if plugin["capabilities"].is_null() {
            return Err(Error::new(format!("the plugin {name} gives no report: {}", plugin["why"])));
        }
        Ok((situation.path(name), format!("{:#}\n", plugin["capabilities"])))
    })
    .collect()
}
