//! Limits of a task that runs: changed all together, or not at all.

use executor_api::{Error, ErrorKind, Feature};
use executor_linux::cgroup::{Controller, Groups, Version};
use libtest_mimic::{Completion, Failed, Trial};

use crate::{Child, HOLDS, Made, disk, file_of, resources, skip, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("memory_grows_and_shrinks_and_swap_stays_as_it_was", &[Feature::Memory, Feature::Swap], memory_changes),
        trial("memory_below_what_is_in_use_is_refused_and_nothing_changes", &[Feature::Memory], below_use),
        trial(
            "a_change_that_fails_halfway_is_taken_back",
            &[Feature::Memory, Feature::Swap, Feature::CpuShares, Feature::Cpuset],
            taken_back,
        ),
        trial("a_rate_that_fails_takes_the_others_back", &[Feature::IoRate], rates_taken_back),
        trial("what_no_group_counts_cannot_be_changed", &[Feature::Pids], uncounted),
        trial("a_new_cap_holds_for_what_runs_already", &[Feature::Pids], new_cap),
    ]
}

/// Memory, and swap on top of it, as the kernel has them.
fn memory(groups: &Groups) -> (u64, u64) {
    let read = |file| file_of(groups, Controller::Memory, file).parse::<u64>().expect("a number");
    match groups.of(Controller::Memory).expect("it is counted").version() {
        Version::V1 => {
            let memory = read("memory.limit_in_bytes");
            (memory, read("memory.memsw.limit_in_bytes") - memory)
        }
        Version::V2 => (read("memory.max"), read("memory.swap.max")),
    }
}

fn memory_changes() -> Result<Completion, Failed> {
    const MIB: u64 = 1 << 20;
    let made = Made::new(r#"{"memory_bytes":67108864,"swap_bytes":1048576}"#);
    assert_eq!(memory(&made), (64 * MIB, MIB));
    for (json, expected) in [
        (r#"{"memory_bytes":134217728}"#, (128 * MIB, MIB)),
        (r#"{"memory_bytes":33554432}"#, (32 * MIB, MIB)),
        (r#"{"memory_bytes":34603008,"swap_bytes":0}"#, (33 * MIB, 0)),
        (r#"{"memory_bytes":33554432,"swap_bytes":134217728}"#, (32 * MIB, 128 * MIB)),
        (r#"{"memory_bytes":268435456,"swap_bytes":0}"#, (256 * MIB, 0)),
    ] {
        made.update(&resources(json))?;
        assert_eq!(memory(&made), expected, "{json}");
    }
    made.end();
    let unlimited = Made::try_new("{}", &[Controller::Memory])?;
    unlimited.update(&resources(r#"{"memory_bytes":33554432}"#))?;
    assert_eq!(memory(&unlimited), (32 * MIB, 0), "no limit before is no swap after");
    unlimited.end();
    HOLDS
}

fn below_use() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"memory_bytes":67108864,"memory_soft_bytes":50331648}"#);
    let group = made.of(Controller::Memory).expect("it is counted");
    if group.version() == Version::V2 {
        let name = "memory_below_what_is_in_use_is_refused_and_nothing_changes";
        return skip(name, "needs memory on version 1: version 2 kills to take it back");
    }
    let mut child = Child::enter(&made, &["hold", "33554432"]);
    child.await_sign();
    let before = memory(&made);
    let update = resources(r#"{"memory_bytes":16777216}"#);
    let error = Error::from(made.update(&update).expect_err("more is in use"));
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.fix().is_some_and(|fix| fix.contains("in use")), "{error:?}");
    assert_eq!(memory(&made), before);
    assert_eq!(made.oom_kills()?, Some(0));
    made.end();
    HOLDS
}

fn taken_back() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"memory_bytes":67108864,"cpu_mhz":1000,"cpuset":[0]}"#);
    let files = |groups: &Groups| {
        let share = match groups.of(Controller::Cpu).expect("it is counted").version() {
            Version::V1 => file_of(groups, Controller::Cpu, "cpu.shares"),
            Version::V2 => file_of(groups, Controller::Cpu, "cpu.weight"),
        };
        (memory(groups), share, file_of(groups, Controller::Cpuset, "cpuset.cpus"))
    };
    let before = files(&made);
    // The processors are the last of the three.
    let update = r#"{"memory_bytes":134217728,"swap_bytes":4096,"cpu_mhz":500,"cpuset":[60000]}"#;
    let error = made.update(&resources(update)).expect_err("there is no such processor");
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidSpec);
    assert_eq!(files(&made), before);
    made.update(&resources(r#"{"memory_bytes":134217728,"cpu_mhz":500}"#))?;
    let after = files(&made);
    assert!(after.0 != before.0 && after.1 != before.1 && after.2 == before.2, "{before:?}, then {after:?}");
    made.end();
    HOLDS
}

fn rates_taken_back() -> Result<Completion, Failed> {
    let Some(disk) = disk() else {
        return skip("a_rate_that_fails_takes_the_others_back", "needs a disk");
    };
    let made = Made::try_new("{}", &[Controller::Io])?;
    let files: &[&str] = match made.of(Controller::Io).expect("it is counted").version() {
        Version::V1 => &["blkio.throttle.read_bps_device", "blkio.throttle.read_iops_device"],
        Version::V2 => &["io.max"],
    };
    let read = || files.iter().map(|file| file_of(&made, Controller::Io, file)).collect::<Vec<_>>();
    let rates = |iops: u64| {
        let device = disk.display();
        let caps = format!(r#""read_bytes_per_second":1048576,"reads_per_second":{iops}"#);
        resources(&format!(r#"{{"io":[{{"device":"{device}",{caps}}}]}}"#))
    };
    let too_many = u64::from(u32::MAX) + 6;
    let error = made.update(&rates(too_many)).expect_err("the kernel cuts it");
    assert_eq!(Error::from(error).kind(), ErrorKind::Internal);
    assert!(read().iter().all(String::is_empty), "{:?}", read());
    made.update(&rates(100))?;
    let before = read();
    made.update(&rates(too_many)).expect_err("the kernel cuts it");
    assert_eq!(read(), before);
    made.end();
    HOLDS
}

fn uncounted() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    let counted = [Controller::Cpuset, Controller::Memory].map(|controller| made.of(controller).is_some());
    let asked = [r#"{"pids":9,"cpuset":[0]}"#, r#"{"pids":9,"memory_bytes":33554432}"#];
    for (json, _) in asked.iter().zip(counted).filter(|(_, is_counted)| !is_counted) {
        let error = Error::from(made.update(&resources(json)).expect_err(json));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.fix().is_some_and(|fix| fix.contains("start")), "{error:?}");
        assert_eq!(file_of(&made, Controller::Pids, "pids.max"), "5");
    }
    let elsewhere = made.update(&resources(r#"{"cgroup_parent":"/"}"#)).expect_err("they stay");
    assert_eq!(Error::from(elsewhere).kind(), ErrorKind::Unsupported);
    made.end();
    HOLDS
}

fn new_cap() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":30}"#);
    let mut child = Child::enter(&made, &["bomb"]);
    child.await_sign();
    made.update(&resources(r#"{"pids":20}"#))?;
    assert_eq!(file_of(&made, Controller::Pids, "pids.max"), "20");
    made.end();
    HOLDS
}
