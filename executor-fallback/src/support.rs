//! What this plugin can enforce, feature by feature, and for the rest why not and what helps.
//!
//! The report is all that keeps a demand from being ignored: the glue refuses, by name, what is not stated hard here. So
//! hard is stated for what the code does on every path, and nothing else. Pure: the host is asked by the caller.

use executor_api::{Capabilities, Feature, Support};

/// Between plugins that do equally well for a task, any that isolates wins.
const SCORE: i32 = 10;

const OTHER_PLUGIN: &str = "use the plugin for this system, such as linux";
const NO_ISOLATION: &str = "this plugin isolates nothing: the task sees the host's own";
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
    use Feature as F;
    match feature {
        // Of the main process; what WholeTree says of the others holds here too.
        F::WallTime if root => Support::hard(),
        // Hard all the same: the promise of this plugin is its supervisor's, and the report says what it rests on.
        F::WallTime => {
            let mut support = Support::hard();
            support.why = "as long as the task, which runs as the host's own user, leaves its supervisor alone".into();
            support
        }
        F::WorkingDirectory | F::StdioFiles | F::StdioPassed | F::ExitHandle | F::Signal | F::Reopen => Support::hard(),
        F::Rlimits | F::Nice | F::Umask => Support::hard(),
        F::User if root => Support::hard(),
        F::User => Support::none("only root can change the user, and this host is not root", "run the host as root"),
        F::NoNewPrivileges if linux => Support::hard(),
        F::NoNewPrivileges => Support::none("this system has no such switch that this plugin knows", OTHER_PLUGIN),
        // Never hard: hard would also take a task that asks to keep some.
        F::Capabilities if linux && root => Support::soft(
            "the task holds none and cannot be given any; the bounding and inheritable sets stay the host's",
        ),
        F::Capabilities => Support::none("only a change of user takes them away, and there is none", OTHER_PLUGIN),
        F::WholeTree if linux => {
            Support::soft("every descendant is found and killed, unless the supervisor itself is killed first")
        }
        F::WholeTree => Support::soft("processes are killed by group: one that makes a session of its own gets away"),
        F::Memory => Support::none(format!("{NO_GROUP}; RLIMIT_AS counts per process"), OTHER_PLUGIN),
        F::Pids => Support::none(format!("{NO_GROUP}; RLIMIT_NPROC counts per user"), OTHER_PLUGIN),
        F::MemorySoft | F::Swap | F::CpuShares | F::CpuQuota | F::Cpuset | F::IoWeight | F::IoRate | F::Stats => {
            Support::none(NO_GROUP, OTHER_PLUGIN)
        }
        F::Disk => Support::none("the task writes to the host's own files", OTHER_PLUGIN),
        F::CpuTime => Support::soft("RLIMIT_CPU counts whole seconds, and each process by itself"),
        F::OomScoreAdj if linux => Support::hard(),
        F::OomScoreAdj => Support::none("this system has no such score that this plugin knows", ""),
        // Hard all the same: the interface says that this is all a task directory is here.
        F::TaskDir => {
            let mut support = Support::hard();
            support.why = "by the working directory and the environment: it does not become the task's root".into();
            support
        }
        F::Update | F::Pause | F::Exec => Support::none("this plugin does not do it", OTHER_PLUGIN),
        // The rest is isolation, and so is what later versions add until it is written here.
        _ => Support::none(NO_ISOLATION, OTHER_PLUGIN),
    }
}

#[cfg(test)]
mod tests {
    use executor_api::{Demands, ErrorKind, Resources, TaskSpec, support::Level};

    use super::*;

    #[test]
    fn whatever_is_not_enforced_says_why() {
        for (root, linux) in [(true, true), (true, false), (false, true), (false, false)] {
            let capabilities = capabilities(root, linux);
            for feature in Feature::ALL {
                let support = capabilities.support(*feature);
                assert!(support.level == Level::Hard || !support.why.is_empty(), "{}", feature.name());
            }
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
