//! The name of a task, and its id: the name behind the plugin's.
//!
//! An id is one path component and holds no data: the record on disk holds that. It is valid in every process of this
//! host, and unique until the task is collected.
//!
//! # Examples
//!
//! ```
//! use executor_api::id::{PluginName, TaskId, TaskName};
//!
//! let id = TaskId::new(&PluginName::new("linux")?, &TaskName::new("build-7")?);
//! assert_eq!(id.to_string(), "linux.build-7");
//! assert_eq!("linux.build-7".parse::<TaskId>()?, id);
//! assert!(TaskName::new("../etc").is_err());
//! assert_ne!(TaskName::random(), TaskName::random());
//! # Ok::<(), executor_api::Error>(())
//! ```

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The name of one task: 1 to 64 of `a-z 0-9 . _ -`, not starting with a dot or a dash.
///
/// Example: [id](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(String);

impl TaskName {
    /// Checks `name`.
    ///
    /// Example: [id](self#examples).
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a name that is empty, longer than 64, starts with a dot or a dash, or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['.', '-']) {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(40).collect();
        Err(Error::invalid(format!("take {shown:?} as the name of a task"), "a name is 1 to 64 of a-z 0-9 . _ -")
            .with_fix("start it with a letter or a digit"))
    }

    /// A name that no task has, as far as 64 random bits can promise.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn random() -> Self {
        // std draws the hasher's keys from the system's random source, once per thread, and counts them up; the
        // process and the time keep a forked copy of this thread apart.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hasher.write_u128(since_epoch.as_nanos());
        Self(format!("t{:016x}", hasher.finish()))
    }

    /// The name.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a plugin: 1 to 32 of `a-z 0-9 _`, as in its file name `libexecutor_<name>.so`.
///
/// Example: [id](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

impl PluginName {
    /// Checks `name`.
    ///
    /// Example: [id](self#examples).
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a name that is empty, longer than 32 or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(40).collect();
        Err(Error::invalid(format!("take {shown:?} as the name of a plugin"), "a name is 1 to 32 of a-z 0-9 _"))
    }

    /// The name.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which task, of which plugin: `<plugin>.<name>`.
///
/// Example: [id](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    plugin: PluginName,
    name: TaskName,
}

impl TaskId {
    /// The id of the task `name` of `plugin`.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn new(plugin: &PluginName, name: &TaskName) -> Self {
        Self { plugin: plugin.clone(), name: name.clone() }
    }

    /// The plugin that runs the task.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// The task's own name.
    ///
    /// Example: [id](self#examples).
    #[must_use]
    pub fn name(&self) -> &TaskName {
        &self.name
    }
}

impl FromStr for TaskId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((plugin, name)) = text.split_once('.') else {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::invalid(format!("take {shown:?} as an id"), "an id is <plugin>.<name>"));
        };
        Ok(Self { plugin: PluginName::new(plugin)?, name: TaskName::new(name)? })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plugin, self.name)
    }
}

/// Printing, reading from JSON and parsing of a checked string.
macro_rules! checked_string {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}
checked_string!(TaskName);
checked_string!(PluginName);

impl TryFrom<String> for TaskId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_harmless_path_component() {
        let long = "x".repeat(65);
        let bad =
            ["", ".", "..", "../..", "a/b", ".hidden", "-h;id", "*", "a b", "a\n", "A", "é", "a\0", long.as_str()];
        for name in bad {
            assert!(TaskName::new(name).is_err(), "{name:?} was taken");
            assert!(format!("linux.{name}").parse::<TaskId>().is_err(), "linux.{name:?} was taken");
            assert!(serde_json::from_value::<TaskName>(name.into()).is_err(), "{name:?} was read");
        }
        for name in ["a", "7", "build-42", "a.b_c-d", &"x".repeat(64)] {
            assert!(TaskName::new(name).is_ok(), "{name:?} was refused");
        }
        assert!("no-dot".parse::<TaskId>().is_err());
    }

    #[test]
    fn random_names_are_names_and_differ() {
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| TaskName::random()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| TaskName::new(name.as_str()).is_ok()));
    }
}
