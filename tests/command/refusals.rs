//! What is asked for and cannot be had is refused before anything runs, by name, with the reason of each plugin.

use executor_tests::Need;
use libtest_mimic::Failed;

use crate::Case;
use crate::place::{Place, each, ended, same, text};

pub(crate) const CASES: &[Case] = &[
    ("an_option_that_no_plugin_enforces_is_refused_with_each_reason", &[Need::Built], unenforced),
    ("best_effort_runs_without_what_no_plugin_enforces", &[Need::Built], best_effort),
    ("a_value_that_makes_no_sense_is_refused_with_a_hint", &[Need::Built], senseless),
    ("sizes_and_times_are_read_as_people_write_them", &[Need::Built], units),
];

/// Options, and the feature that the fallback plugin lacks for them.
const UNENFORCED: &[(&[&str], &str)] = &[
    (&["-m", "64M"], "memory"),
    (&["--memory-soft", "64M"], "memory_soft"),
    (&["-m", "64M", "--swap", "1M"], "swap"),
    (&["--cpus", "0.5"], "cpu_quota"),
    (&["--cpu-mhz", "500"], "cpu_shares"),
    (&["--cpuset", "0"], "cpuset"),
    (&["--pids", "10"], "pids"),
    (&["--pids-limit", "10"], "pids"),
    (&["--io-weight", "100"], "io_weight"),
    (&["--io-read", "/dev/null=1M"], "io_rate"),
    (&["--io-write", "/dev/null=1M"], "io_rate"),
    (&["--disk", "1G"], "disk"),
    (&["--cpu-time", "5s"], "cpu_time"),
    (&["--cgroup-parent", "/x"], "cgroup_parent"),
    (&["--net", "none"], "network"),
    (&["--net", "/proc/self/ns/net"], "network"),
    (&["--hostname", "box"], "hostname"),
    (&["--bind", "/usr:/mnt"], "binds"),
    (&["--bind", "/usr:/mnt:ro"], "binds"),
    (&["--tmpfs", "/mnt"], "tmpfs"),
    (&["--tmpfs", "/mnt:1M"], "tmpfs"),
    (&["--device", "/dev/null"], "devices"),
    (&["--cap-add", "CHOWN"], "capabilities"),
    (&["--cap-add", "cap_net_admin"], "capabilities"),
    (&["--seccomp", "./profile.json"], "syscalls"),
    // Named is required, although it is the default as a wish.
    (&["--seccomp", "default"], "syscalls"),
    (&["--require-isolation"], "landlock"),
];

fn unenforced() -> Result<(), Failed> {
    let place = Place::new()?;
    let ran = place.shared()?.join("ran");
    let script = format!("echo ran; touch {}", ran.display());
    each(UNENFORCED, |(options, feature)| {
        for verb in ["run", "start"] {
            let words = [&[verb, "-q"], *options, &["--", "sh", "-c", &script]].concat();
            let output = place.executor(&words)?;
            // Each plugin with its reason, and the feature in the words of the report.
            ended(
                &output,
                125,
                &["executor: find a plugin for the task: ", "fallback: cannot enforce ", "freebsd: ", "linux: "],
            )?;
            let complaint = text(&output.stderr);
            same("it is named", complaint.contains(&format!(" {feature} (")), true)?;
            same("on one line", complaint.lines().filter(|line| !line.starts_with("  fix: ")).count(), 1)?;
            same("standard output", text(&output.stdout).as_str(), "")?;
        }
        Ok(())
    })?;
    same("something ran", (ran.exists(), place.states()?.len()), (false, 0))?;
    let fix = place.run(&["--plugin", "fallback", "--pids", "10"], "true")?;
    ended(&fix, 125, &["  fix: use the plugin for this system"])
}

fn best_effort() -> Result<(), Failed> {
    let place = Place::new()?;
    // `--require-isolation` is the opposite of a best effort.
    let rows = &UNENFORCED[..UNENFORCED.len() - 1];
    each(rows, |(options, feature)| {
        let words = [&["run", "--best-effort"], *options, &["--", "echo", "ran"]].concat();
        let output = place.executor(&words)?;
        ended(&output, 0, &["executor: not enforced: ", feature])?;
        same("it ran", text(&output.stdout).as_str(), "ran\n")
    })
}

/// Options with a value that cannot be meant, and what the refusal says.
const SENSELESS: &[(&[&str], &[&str])] = &[
    (&["-m", "512"], &["512 bytes", "fix: did you mean 512M?"]),
    (&["-m", "64Q"], &["64M"]),
    (&["-m", "-1"], &["'-1'"]),
    (&["-m", "0"], &["too small"]),
    (&["--swap", "1M"], &["memory limit"]),
    (&["-m", "64M", "--memory-soft", "65M"], &["memory"]),
    (&["--cpus", "0"], &["0.01 to 1000"]),
    (&["--cpus", "nan"], &["0.01 to 1000"]),
    (&["--cpu-mhz", "1"], &["2 to 262144"]),
    (&["--cpuset", "3-1"], &["0-3,5"]),
    (&["--pids", "0"], &["1 to 4194304"]),
    (&["--io-weight", "9"], &["10 to 1000"]),
    (&["--io-read", "/dev/null"], &["DEVICE=RATE"]),
    (&["--io-write", "/dev/null=fast"], &["64M"]),
    (&["--rlimit", "nofile"], &["nofile=1024:4096"]),
    (&["--rlimit", "nofile=10:5"], &["soft is above hard"]),
    (&["--rlimit", "surely=1"], &["no such limit", "nofile"]),
    (&["--timeout", "5 parsecs"], &["1m30s"]),
    (&["--timeout", "0"], &["1 ms"]),
    (&["--cpu-time", "-1"], &["'-1'"]),
    (&["--grace", "soon"], &["1m30s"]),
    (&["--user", ""], &["--user"]),
    (&["--user", "a:"], &["--user"]),
    (&["--net", "private"], &["host, none"]),
    (&["--hostname", "a b"], &["hostname"]),
    (&["--seccomp", "strict"], &["default, unconfined"]),
    (&["--bind", "/usr"], &["SOURCE:TARGET"]),
    (&["--bind", "/usr:mnt"], &["absolute"]),
    (&["--bind", "/usr:/mnt:RO"], &["SOURCE:TARGET:ro"]),
    (&["--tmpfs", "mnt"], &["absolute"]),
    (&["-e", "SURELY_UNSET"], &["NAME=VALUE"]),
    (&["-e", "=x"], &["variable"]),
    (&["--env-file", "surely/not"], &["surely/not"]),
    (&["--workdir", "usr"], &["absolute"]),
    (&["--stdin", "surely/not"], &["surely/not"]),
    (&["--stdout", "/"], &["directory"]),
    (&["--stdout", "one", "--stderr", "one"], &["each would write over the other", "fix:"]),
    (&["--umask", "888"], &["000 to 777"]),
    (&["--nice", "20"], &["-20 to 19"]),
    (&["--oom-score-adj", "1001"], &["-1000 to 1000"]),
    (&["--stop-signal", "FOO"], &["TERM"]),
    (&["--name", "../x"], &["a-z 0-9"]),
    (&["--name", "UPPER"], &["a-z 0-9"]),
    (&["--plugin", "a/b"], &["a-z 0-9"]),
    (&["--report", "fd:1"], &["from 3 on"]),
    (&["--report", "report.json", "--dry-run"], &["--dry-run"]),
    (&["--report", "fd:x"], &["fd:N"]),
    (&["--spec", "surely/not"], &["surely/not"]),
    (&["--config", "surely/not"], &["surely/not"]),
    (&["--lock-file", "surely/not"], &["surely/not"]),
    (&["--public-key", "surely/not"], &["surely/not"]),
    (&["--color", "red"], &["always"]),
];

fn senseless() -> Result<(), Failed> {
    let place = Place::new()?;
    let ran = place.shared()?.join("ran");
    let script = format!("touch {}", ran.display());
    each(SENSELESS, |(options, words)| {
        let output = place.run(options, &script)?;
        same("standard output", text(&output.stdout).as_str(), "")?;
        ended(&output, 125, words)
    })?;
    same("something ran", ran.exists(), false)
}

/// What the plan says of a limit is what was read.
fn units() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows = [
        ("--memory", "64M", "memory_bytes", 1 << 26),
        ("--memory", "64MiB", "memory_bytes", 1 << 26),
        ("--memory", "64m", "memory_bytes", 1 << 26),
        ("--memory", "64MB", "memory_bytes", 64_000_000),
        ("--memory", "1.5G", "memory_bytes", 3 << 29),
        ("--memory", "1048576", "memory_bytes", 1 << 20),
        ("--disk", "1T", "disk_bytes", 1 << 40),
        ("--cpus", "0.5", "cpus_milli", 500),
        ("--cpu-mhz", "500", "cpu_mhz", 500),
        ("--timeout", "5", "wall_time_ms", 5000),
        ("--timeout", "1m30s", "wall_time_ms", 90_000),
        ("--timeout", "500ms", "wall_time_ms", 500),
        ("--timeout", "0.25", "wall_time_ms", 250),
        ("--cpu-time", "2h", "cpu_time_ms", 7_200_000),
    ];
    each(&rows, |(option, value, key, number)| {
        let read = place.json(&format!("run --dry-run --json --best-effort {option} {value} -- true"))?;
        same(key, read["resources"][key].as_u64(), Some(*number))
    })
}
