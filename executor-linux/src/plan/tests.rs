//! Plans as text, and what is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_api::isolation::{Bind, Network, Scope};
use executor_api::units::{Nice, Signal, Umask};
use executor_api::{ErrorKind, Resources, TaskSpec};

use super::{Figure, Groups, Owner, Plan, Reading, Request, Support, plan};

const SUPPORT: Support = Support { ipc: true, hostname: true };

fn nobody() -> Owner {
    Owner { uid: 65534, gid: 65534, groups: vec![65534] }
}

fn planned(spec: &TaskSpec, resources: &str, groups: &Groups, support: &Support) -> executor_api::Result<Plan> {
    let resources: Resources = serde_json::from_str(resources).expect("well formed");
    let binds = [PathBuf::from("/usr")];
    let directory = Path::new("/local");
    plan(&Request { spec, resources: &resources, owner: &nobody(), binds: &binds, directory, groups }, support)
}

fn refused(change: fn(&mut TaskSpec)) -> ErrorKind {
    let mut spec = TaskSpec::new("true");
    change(&mut spec);
    planned(&spec, "{}", &Groups::default(), &SUPPORT).expect_err("no step makes it").kind()
}

#[test]
fn the_least_plan_is_this() {
    let plan = planned(&TaskSpec::new("/bin/true"), "{}", &Groups::default(), &SUPPORT).expect("a plan");
    let expected = r#"supervisor:
   0 unshare mount ipc uts
   1 put the tree over /
   2 put tree 0 at /usr
   3 mount devices at /dev
   4 mount proc at /proc
child:
   5 lead a session
   6 enter the root
   7 connect stream 0
   8 connect stream 1
   9 connect stream 2
  10 niceness 0
  11 oom_score_adj 0
  12 rlimit core to 0 (soft) and 0 (hard)
  13 join an own keyring
  14 supplementary groups [65534]
  15 group 65534
  16 user 65534
  17 no capabilities
  18 no new privileges
  19 prove that root is out of reach
  20 umask 022
  21 enter /local
  22 execute ["/bin/true"] ["/bin/true"]
end:
"#;
    assert_eq!(plan.to_string(), expected);
    assert_eq!((plan.stop_signal, plan.wall_time, plan.die_with_host), (Signal::TERM, None, false));
}

#[test]
fn what_is_asked_for_is_in_the_plan() {
    let mut spec = TaskSpec::new("greet");
    spec.args = vec!["${WHOM}".into()];
    spec.env = [("WHOM".into(), "you".into()), ("PATH".into(), "/opt:/bin".into())].into();
    spec.cwd = Some("/tmp".into());
    (spec.nice, spec.umask) = (Nice::new(5).ok(), Umask::new(0o077).ok());
    (spec.grace, spec.die_with_host) = (Some(Duration::from_secs(1)), true);
    spec.isolation.hostname = Some("blue".into());
    spec.isolation.ipc = Scope::Host;
    let peak = Reading { file: 0, key: String::new(), divisor: 1, figure: Figure::MemoryPeak };
    let names = vec!["m".into(), "u".into()];
    let groups = Groups { tasks: 2, birth: true, kill: true, readings: vec![peak], names };
    let resources = r#"{"rlimits":{"nofile":{"soft":8,"hard":9}},"cpu_time_ms":1500,"wall_time_ms":9}"#;
    let plan = planned(&spec, resources, &groups, &SUPPORT).expect("a plan");
    let expected = r#"supervisor:
   0 unshare mount uts
   1 hostname blue
   2 put the tree over /
   3 put tree 0 at /usr
   4 mount devices at /dev
   5 mount proc at /proc
   6 await 7 descriptors of groups
child:
   7 enter group 0
   8 enter group 1
   9 lead a session
  10 enter the root
  11 connect stream 0
  12 connect stream 1
  13 connect stream 2
  14 niceness 5
  15 oom_score_adj 0
  16 rlimit core to 0 (soft) and 0 (hard)
  17 rlimit cpu to 2 (soft) and 3 (hard)
  18 rlimit nofile to 8 (soft) and 9 (hard)
  19 join an own keyring
  20 supplementary groups [65534]
  21 group 65534
  22 user 65534
  23 no capabilities
  24 no new privileges
  25 prove that root is out of reach
  26 umask 077
  27 enter /tmp
  28 execute ["/opt/greet", "/bin/greet"] ["greet", "you"]
end:
  29 kill what is left by its group
  30 read MemoryPeak from file 0 
  31 remove group m of parent 0
  32 remove group u of parent 1
"#;
    assert_eq!(plan.to_string(), expected);
    assert_eq!((plan.wall_time, plan.grace), (Some(Duration::from_millis(9)), Some(Duration::from_secs(1))));
}

#[test]
fn what_no_step_makes_is_refused() {
    assert_eq!(refused(|spec| spec.isolation.processes = Scope::Host), ErrorKind::Unsupported);
    assert_eq!(refused(|spec| spec.isolation.network = Network::Loopback), ErrorKind::Unsupported);
    assert_eq!(refused(|spec| spec.isolation.capabilities.extend(["KILL".to_owned()])), ErrorKind::Unsupported);
    assert_eq!(refused(|spec| spec.isolation.devices.push("/dev/kvm".into())), ErrorKind::Unsupported);
    assert_eq!(refused(|spec| spec.isolation.binds.push(Bind::new("/a", "/b"))), ErrorKind::Internal);
    assert_eq!(refused(|spec| spec.program = "bin/true".into()), ErrorKind::InvalidSpec);
    let mut named = TaskSpec::new("true");
    named.isolation.hostname = Some("blue".into());
    let without = Support { hostname: false, ..SUPPORT };
    let error = planned(&named, "{}", &Groups::default(), &without).expect_err("the kernel cannot");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn the_hosts_root_and_the_supervisors_user_are_no_tasks() {
    let (spec, resources, groups) = (TaskSpec::new("true"), Resources::default(), Groups::default());
    for (uid, expected) in [(0, Err(ErrorKind::Denied)), (65533, Err(ErrorKind::Denied)), (65532, Ok(()))] {
        let owner = Owner { uid, ..nobody() };
        let directory = Path::new("/");
        let request =
            Request { spec: &spec, resources: &resources, owner: &owner, binds: &[], directory, groups: &groups };
        assert_eq!(plan(&request, &SUPPORT).map(drop).map_err(|error| error.kind()), expected);
    }
}
