//! One report: a plugin's `Capabilities` in JSON, and the situation that its file name tells.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::HOME;
use crate::error::{Doing, Error, Result};

/// How well a feature is enforced, in the words of `executor-api`; best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Hard,
    Soft,
    None,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::None => "–",
        })
    }
}

/// With whose rights a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Root,
    User,
}

/// Where a plugin was asked: `linux-root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    /// As `std::env::consts::OS` has it.
    pub(super) os: String,
    pub(super) who: Who,
}

impl Situation {
    pub(super) fn here(who: Who) -> Self {
        Self { os: std::env::consts::OS.to_owned(), who }
    }

    /// The path of the report of `plugin`.
    pub(super) fn path(&self, plugin: &str) -> String {
        format!("{HOME}{plugin}-{self}.json")
    }

    /// Whether the file at `path` is of this situation.
    pub(super) fn is_of(&self, path: &str) -> bool {
        path.ends_with(&format!("-{self}.json"))
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Root => "root",
            Who::User => "user",
        };
        write!(f, "{}-{who}", self.os)
    }
}

/// What a plugin says of itself in one situation.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) plugin: String,
    pub(super) situation: Situation,
    /// Why it runs no tasks, where it does not.
    pub(super) unusable: Option<String>,
    pub(super) levels: BTreeMap<String, Level>,
}

impl Report {
    pub(super) fn read(path: &str, text: &str) -> Result<Self> {
        let name = || format!("name {path} <plugin>-<os>-root.json or <plugin>-<os>-user.json");
        let mut parts = path.trim_start_matches(HOME).trim_end_matches(".json").rsplitn(3, '-');
        let who = match parts.next() {
            Some("root") => Who::Root,
            Some("user") => Who::User,
            _ => return Err(Error::new(name())),
        };
        let os = parts.next().doing(name())?.to_owned();
        let plugin = parts.next().doing(name())?.to_owned();
        let said: Value = serde_json::from_str(text).doing(format!("read {path}"))?;
        let features = said["features"].as_object().doing(format!("{path} has no features"))?;
        let usable = said["usable"].as_bool().doing(format!("{path} does not say whether the plugin is usable"))?;
        let levels = features.iter().map(|(name, support)| (name.clone(), level(&support["level"]))).collect();
        let unusable = (!usable).then(|| said["why"].as_str().unwrap_or_default().to_owned());
        Ok(Self { plugin, situation: Situation { os, who }, unusable, levels })
    }

    pub(super) fn level(&self, feature: &str) -> Level {
        self.levels.get(feature).copied().unwrap_or(Level::None)
    }
}

/// What is not known promises nothing.
fn level(said: &Value) -> Level {
    match said.as_str() {
        Some("hard") => Level::Hard,
        Some("soft") => Level::Soft,
        _ => Level::None,
    }
}
