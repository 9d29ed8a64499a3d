//! How a loader is set up: where it looks, whom it asks, what it remembers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use executor_api::LogLevel;
use executor_api::abi::LogSink;
use executor_api::plugin::HostSettings;
use executor_api::record::StateDir;

use crate::allow::Allowed;
use crate::cache::Cache;
use crate::discover::Discovery;
use crate::error::{Error, Result};
use crate::loader::Loader;
use crate::search::default_dirs;
use crate::trust::open_trusted;

/// The program that asks plugins, beside them in their directory.
const PROBER: &str = "executor-probe";

/// Where answers of plugins are kept.
#[derive(Debug)]
enum Remember {
    WithTasks,
    In(PathBuf),
    Nothing,
}

/// How a [`Loader`] looks for plugins.
///
/// # Examples
///
/// ```no_run
/// use executor_loader::Loader;
///
/// let loader = Loader::builder()
///     .dir("/opt/isolation/lib/executor/1") // before the usual places
///     .lock_file("/etc/executor/plugins.sha256")
///     .log(|level, message| eprintln!("{level:?}: {message}"))
///     .build()?;
/// # Ok::<(), executor_loader::Error>(())
/// ```
pub struct LoaderBuilder {
    dirs: Vec<PathBuf>,
    only: bool,
    prober: Option<PathBuf>,
    cache: Remember,
    fresh: bool,
    lock: Option<PathBuf>,
    keys: Vec<PathBuf>,
    settings: HostSettings,
    sink: LogSink,
}

impl fmt::Debug for LoaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoaderBuilder").field("dirs", &self.dirs).field("only", &self.only).finish_non_exhaustive()
    }
}

impl Default for LoaderBuilder {
    fn default() -> Self {
        Self {
            dirs: Vec::new(),
            only: false,
            prober: None,
            cache: Remember::WithTasks,
            fresh: false,
            lock: None,
            keys: Vec::new(),
            settings: HostSettings::default(),
            sink: Arc::new(|_, _| ()),
        }
    }
}

impl LoaderBuilder {
    /// Looks in `dir` before the usual places, behind those given before.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dirs.push(dir.into());
        self
    }

    /// Looks in `dirs` and nowhere else.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn search_only(mut self, dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        self.dirs = dirs.into_iter().collect();
        self.only = true;
        self
    }

    /// Asks plugins with this program, instead of the first trusted `executor-probe` beside the plugins.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn prober(mut self, program: impl Into<PathBuf>) -> Self {
        self.prober = Some(program.into());
        self
    }

    /// Keeps answers of plugins in `dir`, instead of `cache` in the state directory.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Remember::In(dir.into());
        self
    }

    /// Asks every plugin anew, whatever was remembered, and remembers the answers.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Asks every plugin anew and remembers nothing.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn no_cache(mut self) -> Self {
        self.cache = Remember::Nothing;
        self
    }

    /// Takes only plugins whose digest is in `file`, in the format of sha256sum(1): `<hex>  libexecutor_linux.so`.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn lock_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.lock = Some(file.into());
        self
    }

    /// Takes only plugins that are signed with the minisign key in this file, or in another one given so: the signature
    /// of `libexecutor_linux.so` is `libexecutor_linux.so.minisig` beside it.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn public_key(mut self, file: impl Into<PathBuf>) -> Self {
        self.keys.push(file.into());
        self
    }

    /// Keeps records of tasks in `dir`, instead of `/run/executor` for root or `$XDG_RUNTIME_DIR/executor` for others. Its
    /// parent must exist; it must be this user's alone.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.state_dir = Some(dir.into());
        self
    }

    /// Hands every log line of a plugin to `sink`, from any thread; by default they are dropped.
    ///
    /// A sink that panics costs the line, not the host; [`Loader::sink_panic`] tells.
    ///
    /// Example: [`LoaderBuilder`].
    #[must_use]
    pub fn log(mut self, sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.sink = Arc::new(sink);
        self
    }

    /// Looks for plugins and asks each what it can do.
    ///
    /// Takes as long as the slowest plugin does to answer, at most about two seconds; next to nothing when the cache
    /// knows the answers.
    ///
    /// # Errors
    ///
    /// [`Error::Setup`] for a lock file or key that cannot be read or trusted, or a prober that was named and is not there. A
    /// plugin that cannot be used is no error but a line in [`Loader::report`].
    ///
    /// Example: [`LoaderBuilder`].
    pub fn build(mut self) -> Result<Loader> {
        // Said to each plugin, so that a plugin and its host never look for records in two places.
        self.settings.state_dir = self.settings.state_dir.or_else(|| StateDir::default_path().ok());
        let allowed = Allowed::read(self.lock, &self.keys).map_err(Error::Setup)?;
        let mut dirs = self.dirs;
        if !self.only {
            dirs.extend(default_dirs(std::env::current_exe().ok().as_deref()));
        }
        let named = self.prober.as_deref().map(open_trusted).transpose().map_err(Error::Setup)?;
        let prober = named.or_else(|| dirs.iter().find_map(|dir| open_trusted(&dir.join(PROBER)).ok()));
        let open = if self.fresh { Cache::empty } else { Cache::open };
        let cache = match self.cache {
            Remember::WithTasks => self.settings.state_dir.as_ref().map(|state| state.join("cache")),
            Remember::In(dir) => Some(dir),
            Remember::Nothing => None,
        };
        let cache = cache.and_then(|dir| open(dir, &self.settings));
        let discovery = Discovery { settings: &self.settings, allowed: &allowed, prober, cache };
        let candidates = discovery.look(&dirs);
        Ok(Loader::new_with(candidates, dirs, self.settings, self.sink, allowed))
    }
}
