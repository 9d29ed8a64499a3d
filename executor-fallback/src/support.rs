//! What this plugin can enforce, feature by feature, and for the rest why not and what helps.
//!
//! The report is all that keeps a demand from being ignored: the glue refuses, by name, what is not stated hard here. So
//! hard is stated for what the code does on every path, and nothing else. Pure: the host is asked by the caller.

use executor_api::{Capabilities, Feature, Support};

/// Between plugins that do equally well for a task, any that isolates wins.
const SCORE: i32 = 10;

const OTHER_PLUGIN: &str = "use the plugin for this system, such as linux";
const NO_ISOLATION: &str = "this plugin isolates nothing: the task sees the host's own";
const OWN_USER: &str = "as long as the task, which runs as the host's own user, leaves its supervisor alone";
const NO_GROUP: &str = "the kernel counts it in a resource group, and this plugin makes none";

/// The report for a host that is or is not root, on Linux or on another Unix.
pub(crate) fn capabilities(root: bool, linux: bool) -> Capabilities {
    let mut capabilities = Capabilities::usable(SCORE);
    for feature in Feature::ALL {
        capabilities.set(*feature, support(*feature, root, linux));
    }
    capabilities
}

fn support(feature: Feature, root: bool, linux: bool) -> Support {
    enforced(feature, root, linux).unwrap_or_else(|| {
        let (why, fix) = lacking(feature, root);
        Support::none(why, fix)
    })
}

/// What is enforced, and by what.
fn enforced(feature: Feature, root: bool, linux: bool) -> Option<Support> {
    use Feature as F;
    Some(match feature {
        // Of the main process; what WholeTree says of the others holds here too.
        F::WallTime | F::Grace => resting(root).by("timer of the supervisor"),
        F::DieWithHost if linux => resting(root).by("pidfd_open(2), getppid(2)"),
        F::DieWithHost => resting(root).by("getppid(2)"),
        F::StopSignal | F::Signal => Support::hard().by("kill(2)"),
        F::WorkingDirectory => Support::hard().by("chdir(2)"),
        F::StdioFiles => Support::hard().by("open(2) by the host"),
        F::StdioPassed => Support::hard().by("SCM_RIGHTS"),
        F::ExitHandle => Support::hard().by("socket to the supervisor"),
        F::Reopen => Support::hard().by("record and flock(2)"),
        F::Rlimits => Support::hard().by("setrlimit(2)"),
        F::Nice => Support::hard().by("setpriority(2)"),
        F::Umask => Support::hard().by("umask(2)"),
        F::User if root => Support::hard().by("setuid(2) and setgroups(2)"),
        F::NoNewPrivileges if linux => Support::hard().by("prctl(PR_SET_NO_NEW_PRIVS)"),
        F::OomScoreAdj if linux => Support::hard().by("/proc/self/oom_score_adj"),
        // Hard all the same: the interface says that this is all a task directory is here.
        F::TaskDir => {
            let why = "by the working directory and the environment: it does not become the task's root";
            hard_though(why).by("chdir(2), environment")
        }
        // Never hard: hard would also take a task that asks to keep some.
        F::Capabilities if linux && root => {
            let why = "the task holds none and cannot be given any; the bounding and inheritable sets stay the host's";
            Support::soft(why).by("setuid(2)")
        }
        F::WholeTree if linux => {
            let why = "every descendant is found and killed, unless the supervisor itself is killed first";
            Support::soft(why).by("PR_SET_CHILD_SUBREAPER")
        }
        F::WholeTree => {
            let why = "processes are killed by group: one that makes a session of its own gets away";
            Support::soft(why).by("kill(2) of the group")
        }
        F::CpuTime => Support::soft("RLIMIT_CPU counts whole seconds, and each process by itself").by("RLIMIT_CPU"),
        _ => return None,
    })
}

/// Why a feature is not enforced, and what helps.
fn lacking(feature: Feature, root: bool) -> (&'static str, &'static str) {
    use Feature as F;
    match feature {
        F::User if !root => ("only root can change the user, and this host is not root", "run the host as root"),
        F::NoNewPrivileges => ("this system has no such switch that this plugin knows", OTHER_PLUGIN),
        F::Capabilities => ("only a change of user takes them away, and there is none", OTHER_PLUGIN),
        F::Memory => (
            "the kernel counts it in a resource group, and this plugin makes none; RLIMIT_AS counts per process",
            OTHER_PLUGIN,
        ),
        F::Pids => (
            "the kernel counts them in a resource group, and this plugin makes none; RLIMIT_NPROC counts per user",
            OTHER_PLUGIN,
        ),
        F::MemorySoft | F::Swap | F::CpuShares | F::CpuQuota | F::Cpuset | F::IoWeight | F::IoRate | F::Stats => {
            (NO_GROUP, OTHER_PLUGIN)
        }
        F::CgroupParent => ("this plugin makes no resource group for the task", OTHER_PLUGIN),
        F::Disk => ("the task writes to the host's own files", OTHER_PLUGIN),
        F::OomScoreAdj => ("this system has no such score that this plugin knows", ""),
        F::Update | F::Pause | F::Exec => ("this plugin does not do it", OTHER_PLUGIN),
        // The rest is isolation, and so is what later versions add until it is written here.
        _ => (NO_ISOLATION, OTHER_PLUGIN),
    }
}

/// What the supervisor does against the task. Hard all the same where the task is of its user: the promise of this plugin
/// is its supervisor's, and the report says what it rests on.
fn resting(root: bool) -> Support {
    if root { Support::hard() } else { hard_though(OWN_USER) }
}

fn hard_though(why: &str) -> Support {
    let mut support = Support::hard();
    support.why = why.to_owned();
    support
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use executor_api::units::Signal;
    use executor_api::{Demands, ErrorKind, Resources, TaskSpec, support::Level};

    use super::*;

    /// What is said of every feature, on every kind of host.
    fn each(check: impl Fn(&str, Support)) {
        for (root, linux) in [(true, true), (true, false), (false, true), (false, false)] {
            let capabilities = capabilities(root, linux);
            Feature::ALL.iter().for_each(|feature| check(feature.name(), capabilities.support(*feature)));
        }
    }

    #[test]
    fn whatever_is_not_enforced_says_why() {
        each(|name, support| assert!(support.level == Level::Hard || !support.why.is_empty(), "{name}"));
    }

    #[test]
    fn whatever_is_enforced_says_by_what_in_words_for_a_column() {
        each(|name, support| {
            assert_eq!(support.level == Level::None, support.by.is_empty(), "{name}");
            assert!(support.by.len() <= 28, "{name}: {}", support.by);
        });
    }

    #[test]
    fn a_task_can_ask_for_its_end_in_every_way_and_for_no_group() {
        let mut spec = TaskSpec::new("true");
        (spec.stop_signal, spec.grace, spec.die_with_host) = (Some(Signal::INT), Some(Duration::ZERO), true);
        let mut resources = Resources::default();
        resources.cgroup_parent = Some("/a".into());
        for (root, linux) in [(true, true), (false, false)] {
            let applied = capabilities(root, linux).admit(&spec.demands()).expect("all is hard");
            for name in ["stop_signal", "grace", "die_with_host"] {
                assert!(applied.enforced.iter().any(|enforced| enforced == name), "{name}");
            }
            let refusal = capabilities(root, linux).admit(&resources.demands()).expect_err("there is none");
            assert!(refusal.to_string().contains("cgroup_parent"), "{refusal}");
        }
    }

    #[test]
    fn a_plain_task_is_admitted_and_told_what_it_lacks() {
        for (root, linux) in [(true, true), (false, false)] {
            let applied = capabilities(root, linux).admit(&TaskSpec::new("true").demands()).expect("all is preferred");
            assert_eq!(applied.enforced.iter().any(|name| name == "user"), root);
            assert_eq!(applied.enforced.iter().any(|name| name == "no_new_privileges"), linux);
            let lacks = |name: &str| applied.not_enforced.iter().any(|lacking| lacking.feature == name);
            assert!(lacks("files") && lacks("processes") && lacks("syscalls"));
        }
    }

    #[test]
    fn per_process_limits_are_admitted_and_processor_time_is_a_wish() {
        let admit = |json| {
            let resources: Resources = serde_json::from_str(json).expect("well formed");
            capabilities(false, true).admit(&resources.demands())
        };
        assert!(admit(r#"{"rlimits":{"nofile":{"soft":64,"hard":64}}}"#).is_ok());
        let refusal = admit(r#"{"cpu_time_ms":1000}"#).expect_err("a task can have many processes");
        assert!(refusal.to_string().contains("cpu_time") && refusal.to_string().contains("each process"), "{refusal}");
        let wish = admit(r#"{"cpu_time_ms":1000,"enforcement":"best_effort"}"#).expect("it is tried");
        assert_eq!(wish.not_enforced[0].level, Level::Soft);
    }

    #[test]
    fn limits_without_a_resource_group_are_refused_by_name() {
        let resources: Resources = serde_json::from_str(r#"{"pids":8}"#).expect("well formed");
        let refusal = capabilities(true, true).admit(&resources.demands()).expect_err("nothing counts them");
        assert_eq!(refusal.kind(), ErrorKind::Unsupported);
        assert!(refusal.to_string().contains("pids") && refusal.to_string().contains("RLIMIT_NPROC"), "{refusal}");
        let mut kept = Demands::default();
        kept.require(Feature::Capabilities);
        assert!(capabilities(true, true).admit(&kept).is_err(), "a task cannot be given capabilities");
    }
}
