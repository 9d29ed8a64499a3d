//! As whom a task runs.
//!
//! The default is the user `nobody` with nobody's own group where the host is root, and the host's own user elsewhere.
//! A task never gets user 0 of the host: root inside needs a user namespace with a range of its own.
//!
//! # Examples
//!
//! ```
//! use executor_api::identity::{Account, Identity};
//!
//! let identity = Identity { user: Some("www-data".parse()?), ..Identity::default() };
//! assert_eq!(identity.user, Some(Account::Name("www-data".into())));
//! assert_eq!("1000".parse::<Account>()?, Account::Id(1000));
//! assert!("www data".parse::<Account>().is_err());
//! # Ok::<(), executor_api::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::text::is_default;

/// A user or a group, by name or by number.
///
/// Example: [identity](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Account {
    /// By number. The number need not have a name.
    Id(u32),
    /// By name, looked up in the host's database; an unknown one is an error that names it.
    Name(String),
}

impl FromStr for Account {
    type Err = Error;

    /// Digits are a number, anything else a name. A number above 2^32 - 2 is refused: the last one means "unchanged".
    fn from_str(text: &str) -> Result<Self> {
        let what = || format!("take {text:?} as a user or group");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = text.parse().ok().filter(|id| *id != u32::MAX);
            return id.map(Self::Id).ok_or_else(|| Error::invalid(what(), "the highest id is 4294967294"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
        if text.is_empty() || text.len() > 256 || text.starts_with('-') || !text.bytes().all(allowed) {
            return Err(Error::invalid(what(), "a name has letters, digits, and . _ - $"));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AccountVisitor)
    }
}

struct AccountVisitor;

impl Visitor<'_> for AccountVisitor {
    type Value = Account;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the number of a user or group")
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<Account, E> {
        let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        id.map(Account::Id).ok_or_else(|| E::custom("the highest id is 4294967294"))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Account, E> {
        // A name of digits stays a name: the sender knew which of the two it meant.
        if name.is_empty() || name.contains('\0') {
            return Err(E::custom("a user or group has a name"));
        }
        Ok(Account::Name(name.to_owned()))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The user, group and supplementary groups of a task.
///
/// Example: [identity](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The user; absent for the default described above.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<Account>,
    /// The group; absent for the user's own.
    #[serde(skip_serializing_if = "is_default")]
    pub group: Option<Account>,
    /// Supplementary groups; absent for those that the host's database gives the user, empty for none.
    #[serde(skip_serializing_if = "is_default")]
    pub supplementary: Option<Vec<Account>>,
}
