//! The names of groups: one harmless path component that says whose it is.

use std::ffi::{CStr, CString};

use executor_api::TaskName;

use super::error::BadName;

/// What every group of this plugin begins with: nothing else is ever opened again, killed or removed.
const PREFIX: &str = "executor-";
const MOST_BYTES: usize = 127;

/// The name of a task's groups, the same in every hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName(CString);

impl GroupName {
    /// Checks `name`.
    ///
    /// # Errors
    ///
    /// [`BadName`] for one that does not begin with `executor-`, is longer than 127 bytes, or has other characters than
    /// `a-z 0-9 . _ -`.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let good = name.starts_with(PREFIX) && name.len() <= MOST_BYTES && name.bytes().all(allowed);
        let refuse = || BadName { name: name.chars().take(40).collect() };
        CString::new(name).ok().filter(|_| good).map(Self).ok_or_else(refuse)
    }

    /// A name for the groups of one run of `task`: no other run has it, so that its path alone says which is meant.
    ///
    /// # Errors
    ///
    /// None: the name of a task is that of a group.
    pub fn of(task: &TaskName) -> Result<Self, BadName> {
        let random = TaskName::random();
        // Behind the letter: as many as tell two runs of one task apart.
        let run: String = random.as_str().chars().skip(1).take(8).collect();
        Self::new(&format!("{PREFIX}{task}-{run}"))
    }

    /// The name.
    #[must_use]
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_of_our_own() {
        let long = format!("executor-{}", "x".repeat(119));
        let bad = ["", "a", "executor", "executor-/", "executor-..\0", "executor-A", "x/executor-a", &long];
        for name in bad {
            assert!(GroupName::new(name).is_err(), "{name:?} was taken");
        }
        assert!(GroupName::new(&long[1..]).is_err() && GroupName::new(&long[..127]).is_ok());
    }

    #[test]
    fn every_run_of_a_task_has_names_of_its_own() {
        let task = TaskName::new("x".repeat(64)).expect("a name");
        let [one, other] = [GroupName::of(&task), GroupName::of(&task)].map(|name| name.expect("a name"));
        assert_ne!(one, other);
        assert!(one.as_c_str().to_str().expect("text").starts_with("executor-xxx"));
    }
}
