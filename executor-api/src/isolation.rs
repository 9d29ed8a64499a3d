//! What a task may see and touch of the host.
//!
//! A task that asks for nothing gets the default profile: files, processes, ipc, hostname, groups and keyring of its
//! own, no capabilities, no new privileges, filtered system calls. Each part of it is preferred: where a platform lacks
//! it the task runs and the outcome lists it. [`Isolation::profile`] makes all of it required. What a field below names
//! is required by itself. The network is the host's unless asked otherwise, as in the seed.
//!
//! # Examples
//!
//! ```
//! use executor_api::isolation::{Access, Bind, Isolation, Network};
//! use executor_api::{Demand, Feature};
//!
//! let mut isolation = Isolation::default();
//! isolation.network = Network::Loopback;
//! isolation.binds.push(Bind { access: Access::ReadWrite, ..Bind::new("/srv/data", "/data") });
//! isolation.validate()?;
//! let demands: Vec<_> = isolation.demands().iter().collect();
//! assert!(demands.contains(&(Feature::Network, Demand::Required)), "asked for");
//! assert!(demands.contains(&(Feature::Processes, Demand::Preferred)), "part of the default profile");
//! # Ok::<(), executor_api::Error>(())
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::support::{Demand, Demands, Feature};
use crate::text::{is_default, optional, word, words};
use crate::units::Bytes;

/// Which network a task has.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// Its own, with nothing but a loopback interface that is up.
    Loopback,
    /// The one that this file stands for, such as `/run/netns/blue`.
    Namespace(
        #[serde(with = "word")]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
        PathBuf,
    ),
}

/// Whose processes, or whose IPC objects, a task sees.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Its own only, where the platform can; see [`Isolation::profile`].
    #[default]
    Private,
    /// The host's too.
    Host,
}

/// Whose user ids a task has.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Users {
    /// The host's.
    #[default]
    Host,
    /// Those of its own user namespace, root among them, mapped to a range that is nobody's outside.
    SubRange,
}

/// Whether a task may write.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It may read.
    #[default]
    ReadOnly,
    /// It may read and write.
    ReadWrite,
}

/// Which system calls a task may make.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Syscalls {
    /// Those of the default filter, where the platform has one.
    #[default]
    Default,
    /// All of them.
    Unconfined,
    /// Those of the profile in this file.
    Profile(
        #[serde(with = "word")]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
        PathBuf,
    ),
}

/// A path of the host made visible inside.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Bind {
    /// The host's path, absolute.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub source: PathBuf,
    /// Where it appears inside, absolute.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub target: PathBuf,
    /// Whether the task may write there.
    #[serde(skip_serializing_if = "is_default")]
    pub access: Access,
}

impl Bind {
    /// `source` of the host, readable at `target` inside.
    ///
    /// Example: [isolation](self#examples).
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), access: Access::ReadOnly }
    }
}

/// A temporary filesystem inside.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Tmpfs {
    /// Where it appears inside, absolute.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub target: PathBuf,
    /// The most that it holds; absent for the executor's default, never unlimited.
    #[serde(rename = "size_bytes", skip_serializing_if = "is_default")]
    pub size: Option<Bytes>,
}

/// What a task may see and touch.
///
/// A request: unknown keys are refused, defaults are not written.
///
/// Example: [isolation](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Isolation {
    /// How strongly the default profile is wanted.
    #[serde(skip_serializing_if = "is_default")]
    pub profile: Demand,
    /// The network.
    #[serde(skip_serializing_if = "is_default")]
    pub network: Network,
    /// Whose processes are seen.
    #[serde(skip_serializing_if = "is_default")]
    pub processes: Scope,
    /// Whose IPC objects are seen.
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: Scope,
    /// The hostname inside; absent for the executor's choice. 1 to 64 of letters, digits, `.` and `-`.
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: Option<String>,
    /// The capabilities that the task keeps, by name without `CAP_`, upper case; empty for none.
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: BTreeSet<String>,
    /// The system calls.
    #[serde(skip_serializing_if = "is_default")]
    pub syscalls: Syscalls,
    /// Whose user ids the task has.
    #[serde(skip_serializing_if = "is_default")]
    pub users: Users,
    /// A directory that becomes the root, instead of the task directory with the host's programs bound into it.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Word>"))]
    pub root: Option<PathBuf>,
    /// Paths of the host made visible.
    #[serde(skip_serializing_if = "is_default")]
    pub binds: Vec<Bind>,
    /// Temporary filesystems.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Vec<Tmpfs>,
    /// Devices beyond the default few, by their absolute path on the host.
    #[serde(with = "words", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::Word>"))]
    pub devices: Vec<PathBuf>,
}

impl Isolation {
    /// Checks paths and names.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a path that is relative or climbs (`..`), or a hostname that is none.
    ///
    /// Example: [isolation](self#examples).
    pub fn validate(&self) -> Result<()> {
        let network = if let Network::Namespace(path) = &self.network { Some(path) } else { None };
        let profile = if let Syscalls::Profile(path) = &self.syscalls { Some(path) } else { None };
        let bound = self.binds.iter().flat_map(|bind| [&bind.source, &bind.target]);
        let mounted = self.tmpfs.iter().map(|tmpfs| &tmpfs.target);
        let given = network.into_iter().chain(profile).chain(&self.root).chain(&self.devices);
        given.chain(bound).chain(mounted).try_for_each(|path| absolute(path))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        match &self.hostname {
            Some(name) if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) => {
                Err(Error::invalid("set the hostname", "a hostname is 1 to 64 of letters, digits, . and -"))
            }
            _ => Ok(()),
        }
    }

    /// The features that must hold for this isolation.
    ///
    /// Example: [isolation](self#examples).
    #[must_use]
    pub fn demands(&self) -> Demands {
        let mut demands = Demands::default();
        let profile = [
            (Feature::Files, true),
            (Feature::Processes, self.processes == Scope::Private),
            (Feature::Ipc, self.ipc == Scope::Private),
            (Feature::Hostname, true),
            (Feature::GroupsView, true),
            (Feature::NoNewPrivileges, true),
            (Feature::Capabilities, true),
            (Feature::Syscalls, self.syscalls != Syscalls::Unconfined),
            (Feature::Landlock, true),
            (Feature::Keyring, true),
        ];
        profile.iter().filter(|(_, wanted)| *wanted).for_each(|(feature, _)| demands.add(*feature, self.profile));
        let asked = [
            (Feature::Network, self.network != Network::Host),
            (Feature::Hostname, self.hostname.is_some()),
            (Feature::Capabilities, !self.capabilities.is_empty()),
            (Feature::Syscalls, matches!(self.syscalls, Syscalls::Profile(_))),
            (Feature::UserNamespace, self.users == Users::SubRange),
            (Feature::RootFilesystem, self.root.is_some()),
            (Feature::Binds, !self.binds.is_empty()),
            (Feature::Tmpfs, !self.tmpfs.is_empty()),
            (Feature::Devices, !self.devices.is_empty()),
        ];
        asked.iter().filter(|(_, asked)| *asked).for_each(|(feature, _)| demands.require(*feature));
        demands
    }
}

/// Refuses a path that depends on a directory or climbs out of one.
pub(crate) fn absolute(path: &Path) -> Result<()> {
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    match path.is_absolute() && !climbs {
        true => Ok(()),
        false => Err(Error::invalid(format!("use the path {path:?}"), "it must be absolute, without ..")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_can_be_made_a_condition() {
        let strict = Isolation { profile: Demand::Required, ..Isolation::default() };
        assert!(strict.demands().iter().all(|(_, demand)| demand == Demand::Required));
        assert_eq!(strict.demands().iter().count(), 10);
        assert!(Isolation::default().demands().iter().all(|(_, demand)| demand == Demand::Preferred));
    }

    #[test]
    fn paths_are_absolute_and_do_not_climb() {
        for path in ["", "etc", "./x", "/a/../etc"] {
            let isolation = Isolation { binds: vec![Bind::new("/srv", path)], ..Isolation::default() };
            assert!(isolation.validate().is_err(), "{path:?} was taken");
        }
        let named = |name: &str| Isolation { hostname: Some(name.into()), ..Isolation::default() };
        assert!(named("box-1").validate().is_ok());
        assert!(named("box\n").validate().is_err() && named("").validate().is_err());
    }
}
