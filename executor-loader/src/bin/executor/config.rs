//! Settings from files: `/etc/executor/config.toml`, then the user's own on top of it, or the one that is named.
//!
//! A setting counts where neither an option nor its variable is given. A file that somebody else could have written is
//! refused, and so is a key that is not known.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_loader::Error;
use executor_loader::executor_api::{Error as TaskError, ErrorKind, PluginName};
use nix::unistd::geteuid;
use serde::Deserialize;

use super::args::Global;
use super::{document, values};

const SYSTEM: &str = "/etc/executor/config.toml";

/// What a file can set; the names are those of the options.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    plugin_path: Option<Vec<PathBuf>>,
    lock_file: Option<PathBuf>,
    public_key: Option<Vec<PathBuf>>,
    state_dir: Option<PathBuf>,
    pub(crate) plugin: Option<PluginName>,
    grace: Option<String>,
    pub(crate) cgroup_parent: Option<PathBuf>,
    pub(crate) require_isolation: Option<bool>,
}

impl Config {
    /// Reads the settings that `global` names, or those of the system and the user.
    pub(crate) fn read(global: &Global) -> Result<Self, Error> {
        if let Some(named) = &global.config {
            return Self::from_file(named);
        }
        let mut config = Self::from_file_if_there(Path::new(SYSTEM))?;
        if let Some(file) = user_file() {
            config = Self::from_file_if_there(&file)?.over(config);
        }
        Ok(config)
    }

    fn from_file_if_there(path: &Path) -> Result<Self, Error> {
        match fs::symlink_metadata(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            _ => Self::from_file(path),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Error> {
        let act = "read the settings in";
        let what = || format!("{act} {}", path.display());
        let failed = |error: io::Error| TaskError::from_io(what(), &error).with_kind(ErrorKind::InvalidSpec);
        let stat = fs::metadata(path).map_err(failed)?;
        let own = [0, geteuid().as_raw()].contains(&stat.uid());
        if !own || stat.mode() & 0o022 != 0 {
            let why = "it belongs to another user, or others can write to it";
            let fix = format!("chown it to yourself or to root, and chmod go-w {}", path.display());
            return Err(TaskError::new(ErrorKind::Denied, what(), why).with_fix(fix).into());
        }
        let config: Self = document::read(path, act)?;
        config.grace().map_err(|why| TaskError::invalid(what(), why))?;
        Ok(config)
    }

    /// These settings, and `below` where they say nothing.
    fn over(self, below: Self) -> Self {
        Self {
            plugin_path: self.plugin_path.or(below.plugin_path),
            lock_file: self.lock_file.or(below.lock_file),
            public_key: self.public_key.or(below.public_key),
            state_dir: self.state_dir.or(below.state_dir),
            plugin: self.plugin.or(below.plugin),
            grace: self.grace.or(below.grace),
            cgroup_parent: self.cgroup_parent.or(below.cgroup_parent),
            require_isolation: self.require_isolation.or(below.require_isolation),
        }
    }

    /// How long a stop waits.
    pub(crate) fn grace(&self) -> Result<Option<Duration>, String> {
        self.grace.as_deref().map(values::duration).transpose()
    }

    /// Fills in what neither options nor variables say.
    pub(crate) fn fill(&self, global: &mut Global) {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if global.plugin_path.is_empty() && !set("EXECUTOR_PLUGIN_PATH") {
            global.plugin_path = self.plugin_path.clone().unwrap_or_default();
        }
        if global.public_key.is_empty() {
            global.public_key = self.public_key.clone().unwrap_or_default();
        }
        global.lock_file = global.lock_file.take().or_else(|| self.lock_file.clone());
        global.state_dir = global.state_dir.take().or_else(|| self.state_dir.clone());
    }
}

fn user_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir: &PathBuf| dir.is_absolute());
    let dir = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(dir.join("executor/config.toml"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("write");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("chmod");
        file
    }

    #[test]
    fn an_option_comes_before_a_setting() {
        let file = written("state-dir = '/a'\nlock-file = '/b'\ngrace = '2s'\n", 0o600);
        let config = Config::from_file(file.path()).expect("settings");
        let mut global = Global { state_dir: Some("/option".into()), ..Global::default() };
        config.fill(&mut global);
        assert_eq!((global.state_dir, global.lock_file), (Some("/option".into()), Some("/b".into())));
        assert_eq!(config.grace(), Ok(Some(Duration::from_secs(2))));
    }

    #[test]
    fn the_users_settings_come_before_the_systems() {
        let config = |text| Config::from_file(written(text, 0o600).path()).expect("settings");
        let both = config("plugin = 'linux'\n").over(config("plugin = 'fallback'\nstate-dir = '/s'\n"));
        assert_eq!(both.plugin.map(|plugin| plugin.to_string()).as_deref(), Some("linux"));
        assert_eq!(both.state_dir, Some("/s".into()));
    }

    #[test]
    fn settings_that_others_can_write_and_unknown_keys_are_refused() {
        let refused = |text, mode| Config::from_file(written(text, mode).path()).expect_err(text).to_string();
        assert!(refused("", 0o666).contains("others can write"));
        assert!(refused("state_dir = '/a'\n", 0o600).contains("unknown field `state_dir`"));
        assert!(refused("grace = 'soon'\n", 0o600).contains("1m30s"));
        assert!(Config::from_file_if_there(Path::new("/surely/not/there.toml")).is_ok());
        assert!(Config::from_file(Path::new("/surely/not/there.toml")).is_err());
    }
}
