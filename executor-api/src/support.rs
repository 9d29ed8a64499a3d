//! What a plugin can enforce on this host, what a task demands, and what comes of the two.
//!
//! [`Feature`] is the common vocabulary. A plugin states a [`Support`] for each feature in its [`Capabilities`]; a task's
//! documents turn into [`Demands`]; [`Capabilities::admit`] holds one against the other. A required feature that is not
//! enforced hard is a refusal before anything runs; a preferred one ends up in [`Applied::not_enforced`], never only in
//! a log. A feature that a plugin does not mention is not supported.
//!
//! # Examples
//!
//! ```
//! use executor_api::{Capabilities, Demand, Demands, ErrorKind, Feature, Support};
//!
//! let mut capabilities = Capabilities::usable(10);
//! capabilities.set(Feature::WallTime, Support::hard());
//! capabilities.set(Feature::Network, Support::none("no network namespace without root", "run as root"));
//!
//! let mut demands = Demands::default();
//! demands.require(Feature::WallTime);
//! demands.prefer(Feature::Network);
//! let applied = capabilities.admit(&demands)?;
//! assert_eq!(applied.enforced, ["wall_time"]);
//! assert_eq!(applied.not_enforced[0].feature, "network");
//!
//! demands.require(Feature::Network);
//! let refusal = capabilities.admit(&demands).unwrap_err();
//! assert_eq!(refusal.kind(), ErrorKind::Unsupported);
//! assert_eq!(refusal.to_string(), "enforce network: no network namespace without root");
//! assert_eq!(Demand::Required.max(Demand::Preferred), Demand::Required);
//! # Ok::<(), executor_api::Error>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
pub use crate::feature::Feature;

/// How well a feature is enforced.
///
/// Example: [support](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "String")]
pub enum Level {
    /// Not at all; also what a newer plugin calls by a name that this version does not know.
    #[default]
    None,
    /// In the common case: a task that sets out to can get around it.
    Soft,
    /// Always: the task cannot get around it.
    Hard,
}

impl From<String> for Level {
    fn from(name: String) -> Self {
        match name.as_str() {
            "hard" => Self::Hard,
            "soft" => Self::Soft,
            _ => Self::None,
        }
    }
}

/// How well one feature is enforced on this host, and if not fully, why and how to mend that.
///
/// Example: [support](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Support {
    /// How well.
    pub level: Level,
    /// Why not better; for hard, what that rests on, mostly nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What an operator can do about it; empty where nothing helps.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// By what it is enforced, in the words of the system: `setrlimit(2)`, `memory.max`; empty where that says nothing more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl Support {
    /// Enforced, always.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn hard() -> Self {
        Self { level: Level::Hard, ..Self::default() }
    }

    /// Enforced against tasks that do not mean to get around it, and why no better.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn soft(why: impl Into<String>) -> Self {
        Self { level: Level::Soft, why: why.into(), ..Self::default() }
    }

    /// Not enforced: why, and the fix, which may be empty.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn none(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::None, why: why.into(), fix: fix.into(), ..Self::default() }
    }

    /// The same support, and by what it is given.
    ///
    /// # Examples
    ///
    /// ```
    /// use executor_api::Support;
    ///
    /// assert_eq!(Support::hard().by("setrlimit(2)").by, "setrlimit(2)");
    /// ```
    #[must_use]
    pub fn by(mut self, mechanism: impl Into<String>) -> Self {
        self.by = mechanism.into();
        self
    }
}

/// A plugin's report on this host: whether it works here at all, and what it enforces.
///
/// A reply: unknown features are kept, unknown keys ignored.
///
/// Example: [support](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether the plugin can run tasks here.
    pub usable: bool,
    /// Why not, where not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What an operator can do about that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// Decides between plugins that meet a task's demands equally well; the highest wins. The fallback says 10.
    pub score: i32,
    /// Support by feature name; what is not here is not supported.
    pub features: BTreeMap<String, Support>,
}

impl Capabilities {
    /// A plugin that works here, with no features yet.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn usable(score: i32) -> Self {
        Self { usable: true, score, ..Self::default() }
    }

    /// A plugin that cannot run tasks here: why, and the fix, which may be empty.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn unusable(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { usable: false, why: why.into(), fix: fix.into(), ..Self::default() }
    }

    /// States how well `feature` is enforced.
    ///
    /// Example: [support](self#examples).
    pub fn set(&mut self, feature: Feature, support: Support) {
        self.features.insert(feature.name().to_owned(), support);
    }

    /// How well `feature` is enforced; none where the plugin says nothing of it.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn support(&self, feature: Feature) -> Support {
        let stated = self.features.get(feature.name()).cloned();
        stated.unwrap_or_else(|| Support::none(NOT_OFFERED, ""))
    }

    /// Holds `demands` against this report: what will be enforced and what will not.
    ///
    /// # Errors
    ///
    /// `Unsupported` with the first required feature that is not enforced hard, and why; also where the plugin cannot
    /// be used on this host at all.
    ///
    /// Example: [support](self#examples).
    pub fn admit(&self, demands: &Demands) -> Result<Applied> {
        if !self.usable {
            return Err(refusal("run a task", &self.why, &self.fix));
        }
        let mut applied = Applied::default();
        for (feature, demand) in demands.iter() {
            // Borrowed: a task that gets all it asks for is admitted without a single allocation for a name.
            let stated = self.features.get(feature.name());
            let (level, why) =
                stated.map_or((Level::None, NOT_OFFERED), |support| (support.level, support.why.as_str()));
            let name = Cow::Borrowed(feature.name());
            match (level, demand) {
                (Level::Hard, _) => applied.enforced.push(name),
                (_, Demand::Required) => {
                    let fix = stated.map_or("", |support| support.fix.as_str());
                    return Err(refusal(&format!("enforce {name}"), why, fix));
                }
                (_, Demand::Preferred) => {
                    applied.not_enforced.push(NotEnforced { feature: name, level, why: why.to_owned() });
                }
            }
        }
        Ok(applied)
    }
}

/// Why a feature is not enforced that a plugin says nothing of.
const NOT_OFFERED: &str = "this plugin does not offer it";

fn refusal(what: &str, why: &str, fix: &str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, what, why);
    if fix.is_empty() { error } else { error.with_fix(fix) }
}

/// How strongly a feature is wanted.
///
/// Example: [support](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The task runs without it where it cannot be had, and the outcome says so.
    #[default]
    Preferred,
    /// The task does not run without it.
    Required,
}

/// What a task demands, feature by feature.
///
/// Example: [support](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands(BTreeMap<Feature, Demand>);

impl Demands {
    /// Demands `feature`, and refuses to run without.
    ///
    /// Example: [support](self#examples).
    pub fn require(&mut self, feature: Feature) {
        self.add(feature, Demand::Required);
    }

    /// Demands `feature` where it can be had.
    ///
    /// Example: [support](self#examples).
    pub fn prefer(&mut self, feature: Feature) {
        self.add(feature, Demand::Preferred);
    }

    /// Demands `feature` this strongly, or as strongly as it is already demanded.
    ///
    /// Example: [support](self#examples).
    pub fn add(&mut self, feature: Feature, demand: Demand) {
        let strongest = self.0.entry(feature).or_insert(demand);
        *strongest = demand.max(*strongest);
    }

    /// Adds all of `other`.
    ///
    /// Example: [support](self#examples).
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|(feature, demand)| self.add(feature, demand));
    }

    /// The same features, none of them required: what best effort means.
    ///
    /// Example: [support](self#examples).
    #[must_use]
    pub fn relaxed(&self) -> Self {
        Self(self.0.keys().map(|feature| (*feature, Demand::Preferred)).collect())
    }

    /// Every feature with its demand, in the order of [`Feature::ALL`].
    ///
    /// Example: [support](self#examples).
    pub fn iter(&self) -> impl Iterator<Item = (Feature, Demand)> + '_ {
        self.0.iter().map(|(feature, demand)| (*feature, *demand))
    }
}

/// What a task really got of what it demanded.
///
/// Example: [support](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Applied {
    /// Features enforced hard, by name.
    pub enforced: Vec<Cow<'static, str>>,
    /// Features that were wanted and are enforced softly or not at all.
    pub not_enforced: Vec<NotEnforced>,
}

impl Applied {
    /// Adds all of `other`.
    ///
    /// Example: [support](self#examples).
    pub fn extend(&mut self, other: Self) {
        self.enforced.extend(other.enforced);
        self.not_enforced.extend(other.not_enforced);
    }
}

/// One feature that a task wanted and did not get in full.
///
/// Example: [support](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NotEnforced {
    /// The feature's name.
    pub feature: Cow<'static, str>,
    /// What it is enforced to.
    pub level: Level,
    /// Why no better.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_does_not_meet_a_requirement() {
        let mut capabilities = Capabilities::usable(1);
        capabilities.set(Feature::Memory, Support::soft("per process only"));
        let mut demands = Demands::default();
        demands.require(Feature::Memory);
        assert_eq!(
            capabilities.admit(&demands).map_err(|error| error.to_string()),
            Err("enforce memory: per process only".into())
        );
        let applied = capabilities.admit(&demands.relaxed()).expect("best effort admits");
        assert_eq!((applied.enforced.len(), applied.not_enforced[0].level), (0, Level::Soft));
    }

    #[test]
    fn an_unusable_plugin_admits_nothing() {
        let refused = Capabilities::unusable("not on this system", "").admit(&Demands::default());
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    }

    #[test]
    fn a_stronger_demand_is_never_weakened() {
        let mut demands = Demands::default();
        demands.require(Feature::Pids);
        demands.prefer(Feature::Pids);
        assert_eq!(demands.iter().collect::<Vec<_>>(), [(Feature::Pids, Demand::Required)]);
    }

    #[test]
    fn replies_keep_what_they_do_not_know() {
        let json = r#"{"usable":true,"features":{"teleport":{"level":"hard"},"pids":{"level":"sometimes","new":1}},"more":[]}"#;
        let read: Capabilities = serde_json::from_str(json).expect("replies are tolerant");
        assert_eq!(read.features["teleport"].level, Level::Hard);
        assert_eq!(read.support(Feature::Pids).level, Level::None, "an unknown level promises nothing");
        assert_eq!(read.support(Feature::Memory).level, Level::None);
    }
}
