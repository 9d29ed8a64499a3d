//! Settings from files: `/etc/executor/config.toml`, then the user's own on top of it, or the one that is named.
//!
//! A setting counts where neither an option nor its variable is given. A file that somebody else could have written, or
//! put there, is refused, and so is a key that is not known.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_loader::Error;
use executor_loader::executor_api::{Error as TaskError, ErrorKind, PluginName};
use nix::fcntl::OFlag;
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
    stop_grace: Option<String>,
    pub(crate) cgroup_parent: Option<PathBuf>,
    pub(crate) require_isolation: Option<bool>,
}

impl Config {
    /// Reads the settings that `global` names, or those of the system and the user.
    pub(crate) fn read(global: &Global) -> Result<Self, Error> {
        if let Some(named) = global.config.clone().or_else(|| variable("EXECUTOR_CONFIG").map(PathBuf::from)) {
            return Self::from_file(&named);
        }
        let mut config = Self::from_file_if_there(Path::new(SYSTEM))?;
        if let Some(file) = user_file() {
            config = Self::from_file_if_there(&file)?.over(config);
        }
        Ok(config)
    }

    fn from_file_if_there(path: &Path) -> Result<Self, Error> {
        match fs::symlink_metadata(path) {
            Ok(_) => Self::from_file(path),
            // Not there, or in a directory that this user may not enter: then it is none of this user's.
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
                    Ok(Self::default())
                }
                _ => Self::from_file(path),
            },
        }
    }

    fn from_file(path: &Path) -> Result<Self, Error> {
        let act = "read the settings in";
        let what = || format!("{act} {}", path.display());
        let failed = |error: io::Error| TaskError::from_io(what(), &error).with_kind(ErrorKind::InvalidSpec);
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).map_err(failed)?;
        let real = path.canonicalize().map_err(failed)?;
        let above = real.ancestors().skip(1).map(|dir| Ok((dir, dir.metadata()?)));
        let above = above.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let itself = (&*real, file.metadata().map_err(failed)?);
        if let Some((place, _)) = above.into_iter().chain([itself]).find(|(_, stat)| !is_safe(stat)) {
            let why = format!("others can write to {}, or it belongs to another user", place.display());
            let fix = format!("chown {0} to yourself or to root, and chmod go-w {0}", place.display());
            return Err(TaskError::new(ErrorKind::Denied, what(), why).with_fix(fix).into());
        }
        let config: Self = document::parse(path, act, &document::content(file, path, act)?)?;
        config.check().map_err(|why| TaskError::invalid(what(), why))?;
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
            stop_grace: self.stop_grace.or(below.stop_grace),
            cgroup_parent: self.cgroup_parent.or(below.cgroup_parent),
            require_isolation: self.require_isolation.or(below.require_isolation),
        }
    }

    fn check(&self) -> Result<(), String> {
        self.stop_grace.as_deref().map(values::duration).transpose()?;
        let lists = [&self.plugin_path, &self.public_key].into_iter().flatten().flatten();
        match lists.chain(&self.lock_file).chain(&self.state_dir).find(|path| !path.is_absolute()) {
            Some(path) => Err(format!("the path {path:?} is not absolute: it would depend on where executor is run")),
            None => Ok(()),
        }
    }

    /// How long a stop waits where nothing else says it.
    pub(crate) fn stop_grace(&self) -> Option<Duration> {
        self.stop_grace.as_deref().and_then(|text| values::duration(text).ok())
    }

    /// Fills in what the options do not say: from variables first, then from these settings.
    pub(crate) fn fill(&mut self, global: &mut Global) -> Result<(), Error> {
        if global.plugin_path.is_empty() && variable("EXECUTOR_PLUGIN_PATH").is_none() {
            global.plugin_path = self.plugin_path.clone().unwrap_or_default();
        }
        if global.public_key.is_empty() {
            let named = variable("EXECUTOR_PUBLIC_KEY").map(|path| vec![path.into()]);
            global.public_key = named.or_else(|| self.public_key.clone()).unwrap_or_default();
        }
        let path = |name| variable(name).map(PathBuf::from);
        let lock = global.lock_file.take().or_else(|| path("EXECUTOR_LOCK_FILE"));
        global.lock_file = lock.or_else(|| self.lock_file.clone());
        let state = global.state_dir.take().or_else(|| path("EXECUTOR_STATE_DIR"));
        global.state_dir = state.or_else(|| self.state_dir.clone());
        self.cgroup_parent = path("EXECUTOR_CGROUP_PARENT").or(self.cgroup_parent.take());
        if let Some(name) = variable("EXECUTOR_PLUGIN") {
            self.plugin = Some(PluginName::new(name.to_string_lossy())?);
        }
        Ok(())
    }
}

/// A variable of this process's environment; an empty one is none.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether nobody else could have written what `stat` is of. A sticky directory may be above a file.
fn is_safe(stat: &fs::Metadata) -> bool {
    let closed = stat.mode() & 0o022 == 0 || (stat.is_dir() && stat.mode() & 0o1000 != 0);
    closed && [0, geteuid().as_raw()].contains(&stat.uid())
}

/// Root has the system's file alone: its environment may be another user's.
fn user_file() -> Option<PathBuf> {
    if geteuid().is_root() {
        return None;
    }
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
        let file = written("state-dir = '/a'\nlock-file = '/b'\nstop-grace = '2s'\n", 0o600);
        let mut config = Config::from_file(file.path()).expect("settings");
        let mut global = Global { state_dir: Some("/option".into()), ..Global::default() };
        config.fill(&mut global).expect("no variable is wrong");
        assert_eq!((global.state_dir, global.lock_file), (Some("/option".into()), Some("/b".into())));
        assert_eq!(config.stop_grace(), Some(Duration::from_secs(2)));
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
        assert!(refused("stop-grace = 'soon'\n", 0o600).contains("1m30s"));
        assert!(refused("plugin-path = ['plugins']\n", 0o600).contains("not absolute"));
        assert!(Config::from_file_if_there(Path::new("/surely/not/there.toml")).is_ok());
        assert!(Config::from_file(Path::new("/surely/not/there.toml")).is_err());
        let open = tempfile::tempdir().expect("a directory");
        fs::write(open.path().join("c.toml"), "").expect("write");
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        assert!(Config::from_file(&open.path().join("c.toml")).is_err(), "it could have been put there by anybody");
    }
}
