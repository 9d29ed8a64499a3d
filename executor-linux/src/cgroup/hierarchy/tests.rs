//! The hosts in `fixtures`, and what they come to.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// The host whose texts are in `fixtures/<situation>`.
fn host(situation: &str) -> Hierarchies {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(situation);
    let text = |name: &str| fs::read_to_string(dir.join(name)).expect(name);
    let offered = |_: &Path| Ok(text("controllers"));
    Hierarchies::parse(text("mountinfo").as_bytes(), text("cgroup").as_bytes(), offered).expect("a host")
}

/// Where `controller` lives: the version, and our own group's directory.
fn home(host: &Hierarchies, controller: Controller) -> Option<(Version, Option<PathBuf>)> {
    host.of(controller).map(|hierarchy| (hierarchy.version(), hierarchy.own_dir()))
}

fn at(version: Version, dir: &str) -> Option<(Version, Option<PathBuf>)> {
    Some((version, Some(dir.into())))
}

#[test]
fn on_a_hybrid_host_each_controller_is_where_it_is_mounted_and_version_2_is_there_too() {
    let host = host("hybrid");
    let own = "/sys/fs/cgroup/memory/process_api/a5c2f4260eb1d1a6d2c37a25e136ebe8";
    assert_eq!(home(&host, Controller::Memory), at(Version::V1, own));
    assert_eq!(home(&host, Controller::Io), at(Version::V1, "/sys/fs/cgroup/blkio"));
    for controller in Controller::ALL {
        assert_eq!(host.of(controller).map(Hierarchy::version), Some(Version::V1), "{controller:?}");
    }
    let unified = host.unified().expect("it is mounted");
    assert_eq!((unified.mount(), unified.controllers()), (Path::new("/sys/fs/cgroup/unified"), &[][..]));
    assert_eq!(host.iter().count(), 9 - 1, "devices and systemd's own are nobody's limits");
}

#[test]
fn on_a_unified_host_one_hierarchy_has_all_that_it_has() {
    let host = host("unified");
    let own = "/sys/fs/cgroup/system.slice/agent.service/host";
    for controller in [Controller::Memory, Controller::Cpu, Controller::Cpuset, Controller::Pids, Controller::Io] {
        assert_eq!(home(&host, controller), at(Version::V2, own));
    }
    assert_eq!((home(&host, Controller::Freezer), home(&host, Controller::Cpuacct)), (None, None));
    assert_eq!(host.iter().count(), 1);
}

#[test]
fn controllers_that_are_mounted_together_share_a_hierarchy() {
    let host = host("v1");
    let cpu = host.of(Controller::Cpu).expect("it is mounted");
    assert_eq!(cpu.controllers(), [Controller::Cpu, Controller::Cpuacct]);
    assert_eq!(host.of(Controller::Cpuacct), Some(cpu));
    assert_eq!(cpu.own_dir(), Some("/sys/fs/cgroup/cpu,cpuacct/system.slice/agent.service".into()));
    assert_eq!(home(&host, Controller::Cpuset), at(Version::V1, "/sys/fs/cgroup/cpuset"));
    assert_eq!(host.unified(), None);
}

#[test]
fn where_nothing_is_mounted_nothing_is_found() {
    assert_eq!(host("nothing"), Hierarchies::default());
}

#[test]
fn in_a_namespace_our_own_group_is_the_mounts_root() {
    let host = host("namespace");
    assert_eq!(home(&host, Controller::Memory), at(Version::V1, "/sys/fs/cgroup/memory"));
    assert_eq!(host.unified().and_then(Hierarchy::own_dir), Some("/sys/fs/cgroup/unified".into()));
}

#[test]
fn a_mount_from_outside_of_the_namespace_does_not_show_our_own_group() {
    let host = host("namespace-inherited");
    assert_eq!(home(&host, Controller::Memory), Some((Version::V1, None)));
    assert_eq!(home(&host, Controller::Cpu), at(Version::V1, "/sys/fs/cgroup/cpu"));
    let memory = host.of(Controller::Memory).expect("it is mounted");
    assert_eq!(memory.dir_of(Path::new("/../../../a")), Some("/sys/fs/cgroup/memory/a".into()));
}

#[test]
fn of_several_mounts_of_a_hierarchy_the_one_where_we_can_write_counts() {
    let parse = |mountinfo: &str| {
        let offered = |_: &Path| Ok("memory pids\n".to_owned());
        let found = Hierarchies::parse(mountinfo.as_bytes(), b"0::/a/b\n", offered).expect("a host");
        found.iter().map(|hierarchy| hierarchy.own_dir()).collect::<Vec<_>>()
    };
    let (other, read_only) = ("1 0 0:2 /x /1 rw - cgroup2 c rw\n", "2 0 0:2 / /2 ro - cgroup2 c rw\n");
    let (own, plain) = ("3 0 0:2 /a/b /3 rw - cgroup2 c rw\n", "4 0 0:2 / /4 rw - cgroup2 c rw\n");
    assert_eq!(parse(&format!("{other}{read_only}{own}{plain}")), [Some(PathBuf::from("/3"))]);
    assert_eq!(parse(&format!("{plain}{read_only}")), [Some(PathBuf::from("/4/a/b"))]);
    assert_eq!(parse(other), [None]);
}

#[test]
fn a_group_that_was_removed_is_not_ours() {
    let offered = |_: &Path| Ok(String::new());
    let found = Hierarchies::parse(b"1 0 0:2 / /1 rw - cgroup2 c rw\n", b"0::/a (deleted)\n", offered).expect("a host");
    assert_eq!(found.unified().map(Hierarchy::own), Some(None));
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_host_without_controllers() {
    let refused =
        |file: &Path| Err(ReadHierarchies { file: file.into(), source: io::ErrorKind::PermissionDenied.into() });
    let found = Hierarchies::parse(b"1 0 0:2 / /1 rw - cgroup2 c rw\n", b"0::/\n", refused);
    assert_eq!(found.map_err(|error| error.to_string()), Err("read /1".into()));
    let found = Hierarchies::parse(b"nonsense\n", b"0::/\n", |_| Ok(String::new()));
    assert_eq!(found.map_err(|error| error.to_string()), Err("read /proc/self/mountinfo".into()));
}
