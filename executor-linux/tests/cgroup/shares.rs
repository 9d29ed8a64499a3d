//! Shares of one processor between two tasks that both want all of it.

use std::time::Duration;

use executor_api::Feature;
use executor_linux::cgroup::{Controller, Groups};
use libtest_mimic::{Completion, Failed, Trial};

use crate::{Child, HOLDS, Made, eventually, trial};

/// So much processor time is compared, in all.
const ENOUGH: Duration = Duration::from_millis(1500);

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("one_processor_is_shared_as_asked", &[Feature::CpuShares, Feature::Cpuset], is_shared_as_asked)]
}

fn used(groups: &Groups) -> Duration {
    let usage = groups.usage().expect("it is counted");
    usage.cpu_user.expect("it is counted") + usage.cpu_system.expect("it is counted")
}

fn is_shared_as_asked() -> Result<Completion, Failed> {
    let make = |mhz: u32| Made::try_new(&format!(r#"{{"cpu_mhz":{mhz},"cpuset":[0]}}"#), &[Controller::Cpuacct]);
    let (large, small) = (make(1000)?, make(250)?);
    let children = [&large, &small].map(|groups| Child::enter(groups, &["spin", "0"]));
    // From when both compute.
    eventually("both compute", || [&large, &small].iter().all(|groups| used(groups) > Duration::from_millis(50)));
    let before = [used(&large), used(&small)];
    let since = || [used(&large) - before[0], used(&small) - before[1]];
    eventually("enough was computed", || since().iter().sum::<Duration>() >= ENOUGH);
    let [more, less] = since();
    let ratio = more.as_secs_f64() / less.as_secs_f64();
    assert!((3.0..5.0).contains(&ratio), "{more:?} to {less:?} is {ratio}, asked for 4");
    drop(children);
    large.end();
    small.end();
    HOLDS
}
