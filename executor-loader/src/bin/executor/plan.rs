//! `--dry-run`: what would run, by which plugin and why, and by what each thing that was asked for is enforced.

use executor_loader::executor_api::{Capabilities, Demand, Feature, Level, Support};
use executor_loader::{Candidate, Choice, Command, Error, Loader};
use serde_json::{Value, json};

use super::print;

/// Prints the plan for `command`; an error where it could not run.
pub(crate) fn print(command: &Command, loader: &Loader, as_json: bool) -> Result<(), Error> {
    let choice = command.choose(loader)?;
    let steps = steps(command, loader, &choice);
    match as_json {
        true => print::json(&document(command, &choice, &steps)),
        false => print::text(&text(command, &choice, &steps)),
    }
}

/// One thing that the task demands.
struct Step {
    feature: Feature,
    demand: Demand,
    value: Option<String>,
    support: Support,
}

fn steps(command: &Command, loader: &Loader, choice: &Choice) -> Vec<Step> {
    let chosen = loader.report().iter().find(|candidate| candidate.name.as_ref() == Some(&choice.plugin));
    let capabilities = chosen.and_then(Candidate::capabilities).cloned().unwrap_or_else(Capabilities::default);
    let asked = asked(command);
    let step = |(feature, demand): (Feature, Demand)| Step {
        feature,
        demand,
        value: value(feature, &asked),
        support: capabilities.support(feature),
    };
    command.demands().iter().map(step).collect()
}

/// The documents that the plugin will get, but for the streams.
fn asked(command: &Command) -> Value {
    let document = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let (spec, resources) = (serde_json::to_value(command.spec()), serde_json::to_value(command.resources()));
    json!({ "spec": document(spec), "resources": document(resources) })
}

/// What was asked for, in the words of the document; nothing for what has no value.
fn value(feature: Feature, asked: &Value) -> Option<String> {
    let at = match feature {
        Feature::Memory => "/resources/memory_bytes",
        Feature::MemorySoft => "/resources/memory_soft_bytes",
        Feature::Swap => "/resources/swap_bytes",
        Feature::CpuShares => "/resources/cpu_mhz",
        Feature::CpuQuota => "/resources/cpus_milli",
        Feature::Cpuset => "/resources/cpuset",
        Feature::Pids => "/resources/pids",
        Feature::IoWeight => "/resources/io_weight",
        Feature::IoRate => "/resources/io",
        Feature::Disk => "/resources/disk_bytes",
        Feature::Rlimits => "/resources/rlimits",
        Feature::CpuTime => "/resources/cpu_time_ms",
        Feature::WallTime => "/resources/wall_time_ms",
        Feature::CgroupParent => "/resources/cgroup_parent",
        Feature::User => "/spec/identity",
        Feature::RootFilesystem => "/spec/isolation/root",
        Feature::Binds => "/spec/isolation/binds",
        Feature::Tmpfs => "/spec/isolation/tmpfs",
        Feature::Devices => "/spec/isolation/devices",
        Feature::Hostname => "/spec/isolation/hostname",
        Feature::Network => "/spec/isolation/network",
        Feature::Capabilities => "/spec/isolation/capabilities",
        Feature::Syscalls => "/spec/isolation/syscalls",
        Feature::UserNamespace => "/spec/isolation/users",
        Feature::WorkingDirectory => "/spec/cwd",
        Feature::Umask => "/spec/umask",
        Feature::Nice => "/spec/nice",
        Feature::OomScoreAdj => "/spec/oom_score_adj",
        Feature::StopSignal => "/spec/stop_signal",
        Feature::Grace => "/spec/grace_ms",
        _ => return None,
    };
    asked.pointer(at).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Hard => "hard",
        Level::Soft => "soft",
        Level::None => "none",
    }
}

/// Why this plugin: by the rules of `choose`.
fn why(choice: &Choice, steps: &[Step]) -> String {
    let required = steps.iter().filter(|step| step.demand == Demand::Required).count();
    let (wished, unmet) = (steps.len() - required, choice.not_enforced.len());
    format!("enforces all {required} that are required, and {} of {wished} that are preferred", wished - unmet)
}

fn text(command: &Command, choice: &Choice, steps: &[Step]) -> String {
    let words = print::words(&command.spec().command_line());
    let mut text = format!("command  {words}\nplugin   {}: {}\n", choice.plugin, why(choice, steps));
    for (name, stream) in ["stdin", "stdout", "stderr"].iter().zip(command.streams()) {
        text += &format!("{name:<8} {}\n", print::plain(&stream.to_string()));
    }
    for (plugin, shortfall) in &choice.unfit {
        text += &format!("not      {plugin}: {}\n", print::plain(&shortfall.why));
    }
    text.push('\n');
    let mut rows = vec![["FEATURE", "ASKED", "VALUE", "ENFORCED", "BY OR WHY NOT"].map(str::to_owned).to_vec()];
    rows.extend(steps.iter().map(|step| {
        let Step { feature, demand, value, support } = step;
        let asked = if *demand == Demand::Required { "required" } else { "preferred" };
        let by = if support.level == Level::Hard { &support.by } else { &support.why };
        let value = value.clone().unwrap_or_else(|| "-".into());
        [feature.name(), asked, &value, level(support.level), by].map(str::to_owned).to_vec()
    }));
    text + &print::table(&rows)
}

fn document(command: &Command, choice: &Choice, steps: &[Step]) -> Value {
    let step = |step: &Step| {
        json!({
            "feature": step.feature.name(),
            "demand": step.demand,
            "value": step.value,
            "level": step.support.level,
            "by": step.support.by,
            "why": step.support.why,
        })
    };
    let unfit = |(plugin, shortfall): &(_, executor_loader::choose::Shortfall)| json!({ "plugin": plugin, "why": shortfall.why, "fix": shortfall.fix });
    let [stdin, stdout, stderr] = command.streams().map(ToString::to_string);
    let asked = asked(command);
    json!({
        "schema": 1,
        "streams": { "stdin": stdin, "stdout": stdout, "stderr": stderr },
        "plugin": choice.plugin,
        "why": why(choice, steps),
        "unfit": choice.unfit.iter().map(unfit).collect::<Vec<_>>(),
        "features": steps.iter().map(step).collect::<Vec<_>>(),
        "spec": asked["spec"],
        "resources": asked["resources"],
    })
}
