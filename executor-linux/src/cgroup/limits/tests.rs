//! What each limit is written as, in both versions.

use super::*;

fn device(number: &str, json: &str) -> Device {
    Device { number: number.into(), caps: serde_json::from_str(json).expect("well formed") }
}

/// What is written for `json` where every controller lives in `version`: file and value, in order.
fn written(json: &str, version: Version) -> Vec<String> {
    let resources: Resources = serde_json::from_str(json).expect("well formed");
    let devices = [
        device("8:0", r#"{"device":"/dev/a","read_bytes_per_second":7,"writes_per_second":9}"#),
        device("8:16", r#"{"device":"/dev/b","write_bytes_per_second":5,"reads_per_second":3}"#),
    ];
    let devices = if resources.io.is_empty() { &[][..] } else { &devices };
    let ask = Ask { resources: &resources, devices };
    let controllers: Vec<_> = asked(&ask).map(|row| (row.controller, version)).collect();
    let line = |setting: Setting| {
        let mark = if setting.file.act == Act::Expect { "expect " } else { "" };
        format!("{mark}{}={}", setting.file.name, setting.value.as_deref().unwrap_or("(parent)"))
    };
    settings(&ask, &controllers).into_iter().map(line).collect()
}

fn check(json: &str, v1: &[&str], v2: &[&str]) {
    assert_eq!(written(json, Version::V1), v1, "{json}");
    assert_eq!(written(json, Version::V2), v2, "{json}");
}

#[test]
fn nothing_is_written_for_nothing() {
    check("{}", &[], &[]);
}

#[test]
fn memory_takes_swap_away_unless_it_is_asked_for() {
    check(
        r#"{"memory_bytes":2097152}"#,
        &["memory.limit_in_bytes=2097152", "memory.memsw.limit_in_bytes=2097152"],
        &["memory.max=2097152", "memory.oom.group=1", "memory.swap.max=0"],
    );
    check(
        r#"{"memory_bytes":2097152,"swap_bytes":1000,"memory_soft_bytes":4096}"#,
        &["memory.limit_in_bytes=2097152", "memory.memsw.limit_in_bytes=2098152", "memory.soft_limit_in_bytes=4096"],
        &["memory.max=2097152", "memory.oom.group=1", "memory.swap.max=1000", "memory.high=4096"],
    );
    let most = u64::MAX;
    check(
        &format!(r#"{{"memory_bytes":{most},"swap_bytes":1}}"#),
        &[&format!("memory.limit_in_bytes={most}"), &format!("memory.memsw.limit_in_bytes={most}")],
        &[&format!("memory.max={most}"), "memory.oom.group=1", "memory.swap.max=1"],
    );
}

#[test]
fn shares_are_the_seeds_megahertz_and_weights_their_usual_image() {
    for (mhz, weight) in [(2, 1), (100, 4), (1000, 39), (1024, 39), (262_144, 10_000)] {
        let (shares, weight) = (format!("cpu.shares={mhz}"), format!("cpu.weight={weight}"));
        check(&format!(r#"{{"cpu_mhz":{mhz}}}"#), &[&shares], &[&weight]);
    }
}

#[test]
fn a_quota_counts_over_the_kernels_own_period_which_is_not_written() {
    check(
        r#"{"cpus_milli":500}"#,
        &["expect cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"],
        &["cpu.max=50000 100000"],
    );
    check(
        r#"{"cpus_milli":1000000}"#,
        &["expect cpu.cfs_period_us=100000", "cpu.cfs_quota_us=100000000"],
        &["cpu.max=100000000 100000"],
    );
}

#[test]
fn a_set_of_processors_brings_the_parents_memory_nodes_where_nobody_could_enter_without() {
    check(r#"{"cpuset":[1,0,7]}"#, &["cpuset.mems=(parent)", "cpuset.cpus=1,0,7"], &["cpuset.cpus=1,0,7"]);
}

#[test]
fn a_group_of_processors_that_nobody_asked_for_is_filled_all_the_same() {
    let resources = Resources::default();
    let ask = Ask { resources: &resources, devices: &[] };
    let filled = |version| settings(&ask, &[(Controller::Cpuset, version), (Controller::Memory, version)]);
    let names: Vec<_> = filled(Version::V1).iter().map(|setting| (setting.file.name, setting.value.clone())).collect();
    assert_eq!(names, [("cpuset.mems", None), ("cpuset.cpus", None)]);
    assert!(filled(Version::V2).is_empty());
}

#[test]
fn processes_and_disk_time_are_written_as_they_are() {
    check(
        r#"{"pids":12,"io_weight":300}"#,
        &["pids.max=12", "blkio.bfq.weight=300"],
        &["pids.max=12", "io.bfq.weight=300"],
    );
}

#[test]
fn rates_are_a_file_each_or_a_word_each() {
    check(
        r#"{"io":[{"device":"/dev/a","reads_per_second":1}]}"#,
        &[
            "blkio.throttle.read_bps_device=8:0 7",
            "blkio.throttle.write_bps_device=8:16 5",
            "blkio.throttle.read_iops_device=8:16 3",
            "blkio.throttle.write_iops_device=8:0 9",
        ],
        &["io.max=8:0 rbps=7 wiops=9", "io.max=8:16 wbps=5 riops=3"],
    );
}

#[test]
fn every_limit_that_a_group_can_have_has_a_row_and_is_written_in_both_versions() {
    let json = r#"{"memory_bytes":1048576,"memory_soft_bytes":1,"swap_bytes":0,"cpu_mhz":2,"cpus_milli":10,
        "cpuset":[0],"pids":1,"io_weight":10,"io":[{"device":"/d","reads_per_second":1}]}"#;
    let resources: Resources = serde_json::from_str(json).expect("well formed");
    let devices = [device("8:0", r#"{"device":"/d","reads_per_second":1}"#)];
    let ask = Ask { resources: &resources, devices: &devices };
    let mut demanded: Vec<_> = resources.demands().iter().map(|(feature, _)| feature).collect();
    demanded.sort_unstable();
    for version in [Version::V1, Version::V2] {
        let controllers = Controller::ALL.map(|controller| (controller, version));
        let mut found: Vec<_> = settings(&ask, &controllers).iter().map(|setting| setting.row.feature).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, demanded, "{version:?}: a limit without a write would be ignored");
    }
}
