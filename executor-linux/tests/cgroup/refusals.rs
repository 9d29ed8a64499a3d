//! What cannot be had is an error that names it, and leaves nothing; what is only wished for is listed.

use executor_api::{Error, ErrorKind, Feature, Level};
use executor_linux::cgroup::{Controller, Failure, Groups, Version, support};
use libtest_mimic::{Completion, Failed, Trial};

use crate::{Child, HOLDS, Made, disk, file_of, groups_named, host, name, resources, skip, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_value_that_the_kernel_changes_is_an_error_and_not_a_limit", &[Feature::IoRate], changed_is_an_error),
        trial("a_processor_that_is_not_there_is_refused_by_name", &[Feature::Cpuset], no_such_processor),
        trial("more_than_the_group_above_has_is_refused", &[Feature::CpuQuota], more_than_above),
        trial("a_named_parent_is_the_parent", &[Feature::Pids], named_parent),
        trial("a_parent_that_is_not_there_is_refused_with_the_line_to_write", &[Feature::Pids], no_such_parent),
        trial(
            "a_wish_that_cannot_be_had_is_listed_and_the_rest_holds",
            &[Feature::Pids, Feature::Cpuset],
            wish_is_listed,
        ),
        trial("a_name_that_is_taken_is_refused_and_its_owner_keeps_its_groups", &[Feature::Pids], name_is_taken),
        trial("what_is_said_to_be_supported_can_be_made_and_the_rest_is_refused", &[], support_is_true),
    ]
}

fn refused(json: &str) -> Error {
    let name = name();
    let failure = Groups::make(host(), &name, &resources(json), &[]).expect_err(json);
    let left = groups_named(name.as_c_str().to_str().expect("text"));
    assert!(left.is_empty(), "{left:?}");
    failure.into()
}

fn changed_is_an_error() -> Result<Completion, Failed> {
    let name = "a_value_that_the_kernel_changes_is_an_error_and_not_a_limit";
    let (Some(disk), Some(io)) = (disk(), host().of(Controller::Io)) else {
        return skip(name, "needs a disk, and a hierarchy with the controller io");
    };
    // The kernel keeps 32 bits of it, or all that it can count.
    let rate = u64::from(u32::MAX) + 6;
    let error = refused(&format!(r#"{{"io":[{{"device":"{}","reads_per_second":{rate}}}]}}"#, disk.display()));
    let (file, found) = match io.version() {
        Version::V1 => ("blkio.throttle.read_iops_device", " 5"),
        Version::V2 => ("io.max", ""),
    };
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.what().starts_with(&format!("set {file} of ")), "{error}");
    assert!(error.what().contains(&format!("{rate}: it reads back as ")) && error.what().ends_with(found), "{error}");
    HOLDS
}

fn no_such_processor() -> Result<Completion, Failed> {
    let error = refused(r#"{"cpuset":[60000]}"#);
    assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error}");
    assert!(error.what().starts_with("set cpuset.cpus of ") && error.what().ends_with(" to 60000"), "{error}");
    HOLDS
}

fn more_than_above() -> Result<Completion, Failed> {
    let cpu = host().of(Controller::Cpu).expect("it is supported");
    if cpu.version() == Version::V2 {
        let name = "more_than_the_group_above_has_is_refused";
        return skip(name, "needs cpu on version 1: on version 2 a group may have more, and the least of all holds");
    }
    let parent = Made::new(r#"{"cpus_milli":500}"#);
    let error = refused(&format!(r#"{{"cpus_milli":600,"cgroup_parent":"{}"}}"#, group_path(&parent, Controller::Cpu)));
    assert_eq!((error.kind(), error.errno()), (ErrorKind::InvalidSpec, Some(22)), "{error}");
    assert!(error.fix().is_some_and(|fix| fix.contains("groups above")), "{:?}", error.fix());
    parent.end();
    HOLDS
}

/// The group that counts `controller`, by its path below the hierarchy's root.
fn group_path(groups: &Groups, controller: Controller) -> String {
    let hierarchy = host().of(controller).expect("it is supported");
    let dir = groups.of(controller).expect("it is counted").dir().path();
    let (own, own_dir) = (hierarchy.own().expect("a group"), hierarchy.own_dir().expect("a group"));
    let path = match dir.strip_prefix(&own_dir) {
        Ok(below) => own.join(below),
        Err(_) => own.with_file_name(dir.file_name().expect("a name")),
    };
    path.to_str().expect("text").to_owned()
}

fn named_parent() -> Result<Completion, Failed> {
    let parent = Made::new(r#"{"pids":50}"#);
    let path = group_path(&parent, Controller::Pids);
    let made = Made::new(&format!(r#"{{"pids":5,"cgroup_parent":"{path}"}}"#));
    let [above, below] =
        [&parent, &made].map(|groups| groups.of(Controller::Pids).expect("it is counted").dir().path());
    assert_eq!(below.parent(), Some(above));
    let (text, _) = Child::enter(&made, &["spawn", "50"]).finish();
    assert!(text.ends_with(" 11"), "{text}");
    made.end();
    parent.end();
    HOLDS
}

fn no_such_parent() -> Result<Completion, Failed> {
    let error = refused(r#"{"pids":5,"cgroup_parent":"/executor-test-no-such-group"}"#);
    assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error}");
    assert!(error.what().starts_with("open the group /"), "{error}");
    let fix = error.fix().expect("there is one");
    assert!(fix.starts_with("make it: mkdir /") && fix.ends_with("/executor-test-no-such-group"), "{fix}");
    HOLDS
}

fn wish_is_listed() -> Result<Completion, Failed> {
    let json =
        r#"{"enforcement":"best_effort","pids":7,"cpuset":[60000],"cgroup_parent":"/executor-test-no-such-group"}"#;
    let made = Made::new(json);
    let lacking: Vec<Feature> = made.lacking().iter().map(|lacking| lacking.feature).collect();
    assert_eq!(lacking, [Feature::CgroupParent, Feature::Cpuset]);
    assert!(made.lacking().iter().all(|lacking| !lacking.why.is_empty() && !lacking.fix.is_empty()));
    assert_eq!(file_of(&made, Controller::Pids, "pids.max"), "7");
    made.end();
    HOLDS
}

fn name_is_taken() -> Result<Completion, Failed> {
    let name = name();
    let limits = resources(r#"{"pids":7}"#);
    let owner = Made(Some(Groups::make(host(), &name, &limits, &[])?));
    let failure = Groups::make(host(), &name, &limits, &[]).expect_err("it is taken");
    assert!(matches!(failure, Failure::MakeGroup(_)), "{failure}");
    assert_eq!(Error::from(failure).kind(), ErrorKind::Exists);
    assert!(owner.paths().iter().all(|path| path.exists()));
    owner.end();
    HOLDS
}

fn support_is_true() -> Result<Completion, Failed> {
    let limits = [
        (Feature::Memory, r#"{"memory_bytes":67108864}"#),
        (Feature::Swap, r#"{"memory_bytes":67108864,"swap_bytes":1048576}"#),
        (Feature::MemorySoft, r#"{"memory_soft_bytes":67108864}"#),
        (Feature::CpuShares, r#"{"cpu_mhz":500}"#),
        (Feature::CpuQuota, r#"{"cpus_milli":500}"#),
        (Feature::Cpuset, r#"{"cpuset":[0]}"#),
        (Feature::Pids, r#"{"pids":8}"#),
    ];
    let stated = support(host());
    for (feature, json) in limits {
        let (_, support) = stated.iter().find(|(known, _)| *known == feature).expect("every limit is stated");
        match support.level {
            Level::Hard => {
                assert!(!support.by.is_empty() && support.by.len() <= 28, "{support:?}");
                Made::new(json).end();
            }
            _ => {
                assert!(!support.why.is_empty(), "{feature:?}");
                let error = refused(json);
                assert!([ErrorKind::Unsupported, ErrorKind::Denied].contains(&error.kind()), "{feature:?}: {error}");
            }
        }
    }
    HOLDS
}
