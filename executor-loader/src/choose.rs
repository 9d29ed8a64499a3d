//! Which plugin runs a task: demands against what each plugin can enforce on this host.
//!
//! Pure: no IO, no clock; the same input gives the same choice. A plugin that lacks something required is out, whatever
//! its score. Among those left the fewest unmet wishes win, then the score, then the name, so that the choice is stable.

use std::cmp::Reverse;
use std::fmt;

use executor_api::{Capabilities, Demand, Demands, Level, NotEnforced, PluginName};

/// One plugin that was found: what it can enforce here, or why it cannot be used.
///
/// Example: [`choose`].
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The plugin.
    pub plugin: &'a PluginName,
    /// Its report on this host, or the reason and the fix why there is none.
    pub report: std::result::Result<&'a Capabilities, Shortfall>,
}

/// Why a plugin was not chosen.
///
/// Example: [`choose`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// The reason, on one line.
    pub why: String,
    /// How an operator can mend it; may be empty.
    pub fix: String,
}

/// The plugin for a task, and why not the others.
///
/// Example: [`choose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The plugin.
    pub plugin: PluginName,
    /// What the task wished for and will not get in full.
    pub not_enforced: Vec<NotEnforced>,
    /// The plugins that cannot run this task, and why; not those that could and came second.
    pub unfit: Vec<(PluginName, Shortfall)>,
}

/// No plugin can run a task: the reason for each.
///
/// Example: [`choose`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoPlugin {
    /// Every plugin that was considered, and what it lacks.
    pub reasons: Vec<(PluginName, Shortfall)>,
    /// Places that could not be looked at, and why: what is installed there is not known.
    pub unread: Vec<String>,
    /// How to mend it, where one fix stands out.
    pub fix: String,
}

impl fmt::Display for NoPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            let unread = self.unread.join("; ");
            return f.write_str(if unread.is_empty() { "none is installed" } else { &unread });
        }
        let reasons = self.reasons.iter().map(|(plugin, shortfall)| format!("{plugin}: {}", shortfall.why));
        f.write_str(&reasons.collect::<Vec<_>>().join("; "))
    }
}

/// Chooses the plugin for a task that makes `demands`, only `asked` where one is named.
///
/// # Errors
///
/// [`NoPlugin`] with a reason for each plugin that was considered.
///
/// # Examples
///
/// ```
/// use executor_api::{Capabilities, Demands, Feature, PluginName, Support};
/// use executor_loader::choose::{Offer, choose};
///
/// let (linux, fallback) = (PluginName::new("linux")?, PluginName::new("fallback")?);
/// let (mut strong, weak) = (Capabilities::usable(100), Capabilities::usable(10));
/// strong.set(Feature::Memory, Support::hard());
/// let offers = [Offer { plugin: &linux, report: Ok(&strong) }, Offer { plugin: &fallback, report: Ok(&weak) }];
/// let mut demands = Demands::default();
/// demands.require(Feature::Memory);
///
/// let choice = choose(&demands, None, &offers).unwrap();
/// assert_eq!(choice.plugin, linux);
/// let refusal = choose(&demands, Some(&fallback), &offers).unwrap_err();
/// assert_eq!(refusal.to_string(), "fallback: cannot enforce memory (this plugin does not offer it)");
/// # Ok::<(), executor_api::Error>(())
/// ```
pub fn choose(demands: &Demands, asked: Option<&PluginName>, offers: &[Offer<'_>]) -> Result<Choice, NoPlugin> {
    let considered = offers.iter().filter(|offer| asked.is_none_or(|asked| asked == offer.plugin));
    let mut fit = Vec::new();
    let mut unfit = Vec::new();
    for offer in considered {
        match offer.report.clone().and_then(|report| weigh(demands, report).map(|wishes| (report, wishes))) {
            Ok((report, unmet)) => fit.push((offer.plugin, report.score, unmet)),
            Err(shortfall) => unfit.push((offer.plugin.clone(), shortfall)),
        }
    }
    fit.sort_by_key(|(plugin, score, unmet)| (unmet.len(), Reverse(*score), (*plugin).clone()));
    match fit.into_iter().next() {
        Some((plugin, _, not_enforced)) => Ok(Choice { plugin: plugin.clone(), not_enforced, unfit }),
        None => Err(nothing_fits(asked, offers, unfit)),
    }
}

/// What a plugin leaves unmet of the wishes, or what it lacks of the conditions.
fn weigh(demands: &Demands, report: &Capabilities) -> Result<Vec<NotEnforced>, Shortfall> {
    if !report.usable {
        let why = format!("cannot be used on this host ({})", report.why);
        return Err(Shortfall { why, fix: report.fix.clone() });
    }
    let mut unmet = Vec::new();
    let mut lacking = Vec::new();
    let mut fixes = Vec::new();
    for (feature, demand) in demands.iter() {
        let support = report.support(feature);
        match (support.level, demand) {
            (Level::Hard, _) => (),
            (level, Demand::Preferred) => {
                let mut entry = NotEnforced::default();
                (entry.feature, entry.level, entry.why) = (feature.name().into(), level, support.why);
                unmet.push(entry);
            }
            (_, Demand::Required) => {
                lacking.push(format!("{} ({})", feature.name(), support.why));
                fixes.extend((!support.fix.is_empty() && !fixes.contains(&support.fix)).then_some(support.fix));
            }
        }
    }
    if lacking.is_empty() {
        return Ok(unmet);
    }
    Err(Shortfall { why: format!("cannot enforce {}", lacking.join(", ")), fix: fixes.join("; ") })
}

fn nothing_fits(asked: Option<&PluginName>, offers: &[Offer<'_>], unfit: Vec<(PluginName, Shortfall)>) -> NoPlugin {
    let mut reasons = unfit;
    let known: Vec<&str> = offers.iter().map(|offer| offer.plugin.as_str()).collect();
    if let (Some(asked), true) = (asked, reasons.is_empty()) {
        let why = format!("not installed; found: {}", if known.is_empty() { "none".into() } else { known.join(", ") });
        reasons.push((asked.clone(), Shortfall { why, fix: String::new() }));
    }
    // With several plugins in question each fix is one's own: they can contradict each other.
    let fix = match reasons.as_slice() {
        [(_, only)] => only.fix.clone(),
        [] => "install plugins into a directory that `executor plugins` lists, or give --plugin-path".into(),
        several => {
            let fixes = several.iter().filter(|(_, shortfall)| !shortfall.fix.is_empty());
            fixes.map(|(plugin, shortfall)| format!("{plugin}: {}", shortfall.fix)).collect::<Vec<_>>().join("; ")
        }
    };
    NoPlugin { reasons, unread: Vec::new(), fix }
}

#[cfg(test)]
mod tests {
    use executor_api::{Feature, Support};

    use super::*;

    fn report(score: i32, hard: &[Feature]) -> Capabilities {
        let mut report = Capabilities::usable(score);
        hard.iter().for_each(|feature| report.set(*feature, Support::hard()));
        report
    }

    fn name(text: &str) -> PluginName {
        PluginName::new(text).expect("a name")
    }

    /// What is chosen of `linux`, `fallback` and `nice`, or the refusal's words.
    fn chosen(required: &[Feature], preferred: &[Feature], asked: Option<&str>) -> Result<String, String> {
        use Feature::{Memory, Network, WallTime};
        let (linux, fallback, nice, old) = (name("linux"), name("fallback"), name("nice"), name("old"));
        let reports = [report(100, &[Memory, Network]), report(10, &[WallTime, Network]), report(10, &[WallTime])];
        let refused = Shortfall { why: "built for another api".into(), fix: String::new() };
        let mut offers: Vec<Offer<'_>> = [&nice, &linux, &fallback]
            .iter()
            .zip([2, 0, 1])
            .map(|(plugin, at)| Offer { plugin, report: Ok(&reports[at]) })
            .collect();
        offers.push(Offer { plugin: &old, report: Err(refused) });
        let mut demands = Demands::default();
        required.iter().for_each(|feature| demands.require(*feature));
        preferred.iter().for_each(|feature| demands.prefer(*feature));
        let asked = asked.map(name);
        let choice = choose(&demands, asked.as_ref(), &offers).map_err(|none| none.to_string())?;
        Ok(format!("{} without {}", choice.plugin, choice.not_enforced.len()))
    }

    #[test]
    fn the_table_of_choices() {
        use Feature::{Memory, Network, Pids, WallTime};
        type Case = (&'static [Feature], &'static [Feature], Option<&'static str>, Result<&'static str, &'static str>);
        let cases: [Case; 9] = [
            (&[], &[], None, Ok("linux without 0")),
            (&[Memory], &[], None, Ok("linux without 0")),
            // A condition beats any score.
            (&[WallTime], &[], None, Ok("fallback without 0")),
            // A met wish beats the score, and a tie in score falls to the name.
            (&[], &[WallTime], None, Ok("fallback without 0")),
            (&[WallTime], &[Memory], None, Ok("fallback without 1")),
            (&[WallTime], &[Network], Some("nice"), Ok("nice without 1")),
            (&[Memory], &[], Some("nice"), Err("nice: cannot enforce memory (this plugin does not offer it)")),
            (&[], &[], Some("jail"), Err("jail: not installed; found: nice, linux, fallback, old")),
            (&[Pids], &[], Some("old"), Err("old: built for another api")),
        ];
        for (required, preferred, asked, expected) in cases {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(chosen(required, preferred, asked), expected, "{required:?} {preferred:?} {asked:?}");
        }
    }

    #[test]
    fn a_refusal_lists_every_plugin_with_everything_it_lacks() {
        let words = chosen(&[Feature::Memory, Feature::Pids], &[], None).expect_err("nobody counts processes");
        assert!(words.contains("linux: cannot enforce pids"), "{words}");
        assert!(words.contains("fallback: cannot enforce memory (this plugin does not offer it), pids"), "{words}");
        assert!(words.contains("old: built for another api"), "{words}");
    }

    #[test]
    fn soft_support_meets_a_wish_no_better_than_none_and_a_condition_never() {
        let plugin = name("soft");
        let mut soft = Capabilities::usable(1);
        soft.set(Feature::Memory, Support::soft("per process"));
        let mut demands = Demands::default();
        demands.prefer(Feature::Memory);
        let offers = [Offer { plugin: &plugin, report: Ok(&soft) }];
        let choice = choose(&demands, None, &offers).expect("a wish");
        assert_eq!(choice.not_enforced[0].level, Level::Soft);
        demands.require(Feature::Memory);
        choose(&demands, None, &offers).expect_err("a condition");
    }

    #[test]
    fn an_unusable_plugin_and_an_empty_machine_say_so() {
        let plugin = name("freebsd");
        let report = Capabilities::unusable("jails exist on FreeBSD only", "");
        let none = choose(&Demands::default(), None, &[Offer { plugin: &plugin, report: Ok(&report) }]);
        assert_eq!(
            none.map_err(|none| none.to_string()),
            Err("freebsd: cannot be used on this host (jails exist on FreeBSD only)".into())
        );
        let none = choose(&Demands::default(), None, &[]).expect_err("nothing there");
        assert!(none.to_string() == "none is installed" && none.fix.contains("--plugin-path"));
    }
}
