//! What became of each file that could have been a plugin: one line for each, whatever it is.

use std::fmt;
use std::path::PathBuf;

use executor_api::abi::PluginMetadata;
use executor_api::{Capabilities, PluginName};

use crate::choose::{Offer, Shortfall};
use crate::refusal::Refusal;
use crate::trust::FileIdentity;

/// A file, or a directory, that was looked at for plugins.
///
/// `Display` is one line: the path, the status, and why.
///
/// Example: [`Loader::report`](crate::Loader::report).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// Where it is: the path that was found, before links were resolved.
    pub path: PathBuf,
    /// The plugin's name by its file name; none for a directory.
    pub name: Option<PluginName>,
    /// What the file says of itself, if that could be read.
    pub metadata: Option<PluginMetadata>,
    /// What became of it.
    pub status: Status,
    pub(crate) identity: Option<FileIdentity>,
}

/// What became of a candidate.
///
/// Example: [`Loader::report`](crate::Loader::report).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Status {
    /// It can run tasks on this host, and says what it can enforce.
    Usable(Capabilities),
    /// It works and says that it cannot run tasks on this host, and why.
    Unusable(Capabilities),
    /// Another file of the same name comes first.
    Shadowed {
        /// The file that comes first.
        by: PathBuf,
    },
    /// It is not a plugin that this host can use.
    Refused(Refusal),
}

impl Candidate {
    pub(crate) fn refused(path: PathBuf, name: Option<PluginName>, refusal: Refusal) -> Self {
        Self { path, name, metadata: None, status: Status::Refused(refusal), identity: None }
    }

    /// What the plugin can enforce here, if it can be used.
    ///
    /// Example: [`Loader::report`](crate::Loader::report).
    #[must_use]
    pub fn capabilities(&self) -> Option<&Capabilities> {
        if let Status::Usable(capabilities) | Status::Unusable(capabilities) = &self.status {
            return Some(capabilities);
        }
        None
    }

    /// How it stands in the choice of a plugin; a shadowed file and a directory do not.
    pub(crate) fn offer(&self) -> Option<Offer<'_>> {
        let plugin = self.name.as_ref()?;
        let report = match &self.status {
            Status::Usable(report) | Status::Unusable(report) => Ok(report),
            Status::Shadowed { .. } => return None,
            Status::Refused(refusal) => Err(Shortfall { why: format!("refused: {refusal}"), fix: refusal.fix.clone() }),
        };
        Some(Offer { plugin, report })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file name may hold anything, a line break too.
        write!(f, "{}: ", crate::refusal::one_line(&self.path.to_string_lossy()))?;
        match &self.status {
            Status::Usable(capabilities) => write!(f, "usable, score {}", capabilities.score),
            Status::Unusable(capabilities) => {
                write!(f, "not usable here: {}", crate::refusal::one_line(&capabilities.why))
            }
            Status::Shadowed { by } => write!(f, "shadowed by {}", crate::refusal::one_line(&by.to_string_lossy())),
            Status::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}
