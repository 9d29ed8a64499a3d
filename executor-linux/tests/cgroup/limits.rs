//! Each limit holds against a process that wants more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use executor_api::Feature;
use executor_api::units::Bytes;
use executor_linux::cgroup::{Controller, Version};
use libtest_mimic::{Completion, Failed, Trial};
use nix::libc::{EAGAIN, major, minor};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::{Child, HOLDS, Made, file_of, host, skip, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_child_is_in_every_group_that_it_has_entered", &[Feature::Memory, Feature::Pids], is_in_every_group),
        trial("memory_is_capped_and_a_kill_for_it_is_counted", &[Feature::Memory], memory_is_capped),
        trial("memory_comes_without_swap", &[Feature::Memory, Feature::Swap], memory_comes_without_swap),
        trial("processes_are_capped_and_one_more_is_refused_with_eagain", &[Feature::Pids], processes_are_capped),
        trial(
            "processor_time_is_capped_and_the_wait_for_it_is_counted",
            &[Feature::CpuQuota],
            processor_time_is_capped,
        ),
        trial("only_the_processors_that_were_asked_for_are_used", &[Feature::Cpuset], processors_are_chosen),
        trial("a_weight_of_disk_time_is_kept_by_the_kernel", &[Feature::IoWeight], weight_is_kept),
        trial("a_rate_of_writing_holds", &[Feature::IoRate], rate_holds),
    ]
}

fn is_in_every_group() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"memory_bytes":67108864,"pids":16}"#);
    let (text, status) = Child::enter(&made, &["status"]).finish();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    for group in made.iter() {
        let name = group.name().to_str().expect("text");
        let is_line = |line: &str| match group.version() {
            Version::V1 => group
                .controllers()
                .iter()
                .filter_map(|of| of.name(Version::V1))
                .any(|of| line.split(':').nth(1).is_some_and(|list| list.split(',').any(|listed| listed == of))),
            Version::V2 => line.starts_with("0::"),
        };
        let line = text.lines().find(|line| is_line(line)).expect("a line for each");
        assert!(line.ends_with(name), "{line} is not in {name}");
    }
    made.end();
    HOLDS
}

fn memory_is_capped() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"memory_bytes":33554432}"#);
    assert_eq!(made.oom_kills().expect("it is counted"), Some(0));
    let (text, status) = Child::enter(&made, &["hold", "67108864"]).finish();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{status:?}: {text}");
    assert!(made.oom_kills().expect("it is counted") >= Some(1));
    let usage = made.usage().expect("it is counted");
    assert_eq!(usage.oom_kills, made.oom_kills().expect("it is counted"));
    if let Some(peak) = usage.memory_peak {
        assert!(peak > Bytes::mib(16) && peak <= Bytes::mib(32), "{peak}");
    }
    let mut modest = Child::enter(&made, &["hold", "8388608"]);
    modest.await_sign();
    let held = made.usage().expect("it is counted").memory.expect("it is counted");
    assert!(held > Bytes::mib(8) && held <= Bytes::mib(32), "{held}");
    made.end();
    HOLDS
}

fn memory_comes_without_swap() -> Result<Completion, Failed> {
    // A host without swap takes nothing away, whatever the file says: this is what the kernel would hold to.
    let swap = |json: &str| {
        let made = Made::new(json);
        let read = |file| file_of(&made, Controller::Memory, file).parse::<u64>().expect("a number");
        let swap = match made.of(Controller::Memory).expect("it is counted").version() {
            Version::V1 => read("memory.memsw.limit_in_bytes") - read("memory.limit_in_bytes"),
            Version::V2 => read("memory.swap.max"),
        };
        made.end();
        swap
    };
    assert_eq!(swap(r#"{"memory_bytes":33554432}"#), 0);
    assert_eq!(swap(r#"{"memory_bytes":33554432,"swap_bytes":1048576}"#), 1_048_576);
    HOLDS
}

fn processes_are_capped() -> Result<Completion, Failed> {
    let made = Made::new(r#"{"pids":5}"#);
    let (text, _) = Child::enter(&made, &["spawn", "50"]).finish();
    let (count, errno) = text.split_once(' ').expect("two numbers");
    assert_eq!(errno, EAGAIN.to_string(), "{text}");
    assert!((1..5).contains(&count.parse::<u32>().expect("a number")), "{text}");
    let usage = made.usage().expect("it is counted");
    assert_eq!(usage.pids, Some(0));
    if let Some(peak) = usage.pids_peak {
        assert_eq!(peak, 5);
    }
    made.end();
    HOLDS
}

fn processor_time_is_capped() -> Result<Completion, Failed> {
    let made = Made::try_new(r#"{"cpus_milli":200}"#, &[Controller::Cpuacct])?;
    let (text, _) = Child::enter(&made, &["spin", "2000"]).finish();
    let wall: u32 = text.parse().expect("milliseconds");
    let usage = made.usage().expect("it is counted");
    let used = usage.cpu_user.expect("it is counted") + usage.cpu_system.expect("it is counted");
    // A fifth, but the kernel looks only at ticks of its clock; without a cap it is all of it, on an idle machine.
    let (least, most) = (Duration::from_millis(u64::from(wall) / 20), Duration::from_millis(u64::from(wall) * 2 / 5));
    assert!(used >= least && used <= most, "{used:?} of {wall} ms, {most:?} at most");
    // Each processor counts the wait for itself.
    let waited = usage.cpu_throttled.expect("it is counted");
    assert!(!waited.is_zero() && waited <= Duration::from_millis(u64::from(wall) * 100), "{waited:?} of {wall} ms");
    made.end();
    HOLDS
}

fn processors_are_chosen() -> Result<Completion, Failed> {
    let all = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = |text: &str| {
        text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(str::trim).map(str::to_owned)
    };
    let allowed = line(&all).expect("a line");
    let last = allowed.rsplit([',', '-']).next().expect("a number").to_owned();
    let made = Made::new(&format!(r#"{{"cpuset":[{last}]}}"#));
    let (text, _) = Child::enter(&made, &["status"]).finish();
    assert_eq!(line(&text), Some(last));
    made.end();
    // A group that is only there to be shown restricts nothing, and can be entered.
    let made = Made::try_new("{}", &[Controller::Cpuset])?;
    let (text, _) = Child::enter(&made, &["status"]).finish();
    assert_eq!(line(&text), Some(allowed));
    made.end();
    HOLDS
}

fn weight_is_kept() -> Result<Completion, Failed> {
    Made::new(r#"{"io_weight":300}"#).end();
    HOLDS
}

fn rate_holds() -> Result<Completion, Failed> {
    let name = "a_rate_of_writing_holds";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("executor-test-{}", std::process::id()));
    let Some(disk) = disk_below(Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
        return skip(name, "needs a file system on a whole disk, for the build's files");
    };
    if host().of(Controller::Io).is_none() {
        return skip(name, "needs io_rate: no mounted hierarchy has the controller");
    }
    let made = Made::new(&format!(r#"{{"io":[{{"device":"{}","write_bytes_per_second":1048576}}]}}"#, disk.display()));
    let (text, _) = Child::enter(&made, &["write", file.to_str().expect("text"), "2097152"]).finish();
    let wall: i32 = text.parse().expect("a number");
    if wall < 0 {
        return skip(name, &format!("needs a file that can be written past the cache, errno {}", -wall));
    }
    fs::remove_file(&file)?;
    assert!(wall >= 1500, "2 MiB in {wall} ms, at 1 MiB a second");
    let written = made.usage().expect("it is counted").io_written;
    assert!(written >= Some(Bytes::mib(2)), "{written:?}");
    made.end();
    HOLDS
}

/// The whole disk that `path` lies on.
fn disk_below(path: &Path) -> Option<PathBuf> {
    let device = fs::metadata(path).ok()?.dev();
    let entry = fs::canonicalize(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()?;
    let is_disk = entry.join("queue").exists();
    is_disk.then(|| Path::new("/dev").join(entry.file_name().expect("a name"))).filter(|disk| disk.exists())
}
