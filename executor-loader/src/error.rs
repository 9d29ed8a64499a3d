//! What can go wrong between a host and a running task.

use executor_api::PluginName;

use crate::choose::NoPlugin;
use crate::refusal::Refusal;

/// The result of every fallible act of this crate.
///
/// Example: [`Command`](crate::Command).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the next step in its kind.
///
/// `Display` prints the act; the reason is the [`source`](std::error::Error::source), and [`fix`](Error::fix) says how to
/// mend it where that is known.
///
/// Example: [`Command`](crate::Command).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No plugin can do what the task demands, or the one that was asked for cannot.
    #[error("find a plugin for the task")]
    NoPlugin(#[source] NoPlugin),
    /// The plugin was found and cannot be loaded.
    #[error("load the plugin {plugin}")]
    Load {
        /// The plugin.
        plugin: PluginName,
        /// Why it cannot be loaded.
        source: Refusal,
    },
    /// A setting of the loader is wrong.
    #[error("set up the loader")]
    Setup(#[source] Refusal),
    /// The plugin, or the task itself, refused.
    #[error(transparent)]
    Task(#[from] executor_api::Error),
}

impl Error {
    /// How to mend it, where that is known.
    ///
    /// Example: [`Command`](crate::Command).
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        let fix = match self {
            Self::NoPlugin(none) => none.fix.as_str(),
            Self::Load { source, .. } | Self::Setup(source) => source.fix.as_str(),
            Self::Task(error) => error.fix().unwrap_or_default(),
        };
        (!fix.is_empty()).then_some(fix)
    }

    /// The plugin's own error, where it was one.
    ///
    /// Example: [`Command`](crate::Command).
    #[must_use]
    pub fn task(&self) -> Option<&executor_api::Error> {
        if let Self::Task(error) = self { Some(error) } else { None }
    }
}
