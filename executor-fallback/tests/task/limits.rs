//! Per-process limits, rank and mask of a task: what was asked for is in force, and what was not is the default.

use std::process::Command;
use std::time::Duration;

use executor_api::limits::{Enforcement, Rlimit};
use executor_api::units::{Nice, OomScoreAdj, Signal, Umask};
use executor_api::{Cause, Ended, Error, ErrorKind, Executor, Resources, StdioFds, TaskSpec};
use nix::sys::resource::{Resource, getrlimit};

use crate::{directory, run, run_limited, sh, task};

fn rlimits(limits: &[(&str, Option<u64>, Option<u64>)]) -> Resources {
    let mut resources = Resources::default();
    let limits = limits.iter().map(|(name, soft, hard)| ((*name).to_owned(), Rlimit { soft: *soft, hard: *hard }));
    resources.rlimits = limits.collect();
    resources
}

fn refusal(spec: &TaskSpec, resources: &Resources) -> Error {
    let task = task();
    task.limit(resources).expect("it is taken");
    task.start(spec, StdioFds::default()).expect_err("it cannot start")
}

/// Whether this test, as the host, may do this to itself.
fn may(script: &str) -> bool {
    Command::new("/bin/sh")
        .args(["-c", &format!("{{ {script}; }} >/dev/null 2>&1")])
        .status()
        .expect("a shell")
        .success()
}

#[test]
fn every_limit_that_is_asked_for_is_the_one_the_kernel_keeps() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let asked = [
        ("as", "Max address space", Resource::RLIMIT_AS, 1 << 30),
        ("core", "Max core file size", Resource::RLIMIT_CORE, 4096),
        ("cpu", "Max cpu time", Resource::RLIMIT_CPU, 1000),
        ("data", "Max data size", Resource::RLIMIT_DATA, 1 << 29),
        ("fsize", "Max file size", Resource::RLIMIT_FSIZE, 1 << 20),
        ("locks", "Max file locks", Resource::RLIMIT_LOCKS, 11),
        ("memlock", "Max locked memory", Resource::RLIMIT_MEMLOCK, 4096),
        ("msgqueue", "Max msgqueue size", Resource::RLIMIT_MSGQUEUE, 8192),
        ("nice", "Max nice priority", Resource::RLIMIT_NICE, 1),
        ("nofile", "Max open files", Resource::RLIMIT_NOFILE, 64),
        ("nproc", "Max processes", Resource::RLIMIT_NPROC, 4096),
        ("rss", "Max resident set", Resource::RLIMIT_RSS, 1 << 28),
        ("rtprio", "Max realtime priority", Resource::RLIMIT_RTPRIO, 1),
        ("rttime", "Max realtime timeout", Resource::RLIMIT_RTTIME, 1_000_000),
        ("sigpending", "Max pending signals", Resource::RLIMIT_SIGPENDING, 100),
        ("stack", "Max stack size", Resource::RLIMIT_STACK, 1 << 21),
    ];
    // No more than this host may give.
    let hard = |resource, most: u64| getrlimit(resource).expect("known").1.min(most);
    let limits = asked.map(|(name, _, resource, most)| {
        let hard = hard(resource, most);
        (name, Some(hard.min(hard / 2 + 1)), Some(hard))
    });
    let (outcome, text) = run_limited(sh("cat /proc/$$/limits"), &rlimits(&limits));
    assert_eq!(outcome.ended, Ended::Exited(0));
    for ((name, title, ..), (_, soft, hard)) in asked.iter().zip(limits) {
        let line = text.lines().find_map(|line| line.strip_prefix(title)).expect(name);
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers, [soft, hard].map(Option::unwrap), "{name}: {line}");
    }
}

#[test]
fn a_limit_is_in_force_for_the_task_and_for_what_it_starts() {
    let (_, text) = run_limited(
        sh("sh -c 'exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null' || echo refused"),
        &rlimits(&[("nofile", Some(6), Some(6))]),
    );
    assert_eq!(text, "refused\n");
    let directory = directory();
    let script = format!("head -c 600 /dev/zero >{}/a; echo $?", directory.path().display());
    let (_, text) = run_limited(sh(&script), &rlimits(&[("fsize", Some(512), Some(1024))]));
    let too_big = text.trim().parse::<i32>().ok().map(|code| code - 128);
    assert_eq!(too_big, Some(nix::libc::SIGXFSZ), "{text}");
    assert_eq!(std::fs::metadata(directory.path().join("a")).expect("a file").len(), 512);
}

#[test]
fn a_limit_that_the_host_may_not_give_is_named_with_its_value() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // No right is enough for this one: fs.nr_open is the ceiling.
    let error = refusal(&sh("exit 0"), &rlimits(&[("core", None, None), ("nofile", Some(9), None)]));
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Denied, Some(1)), "{error}");
    assert_eq!(error.what(), "limit rlimit nofile to 9 (soft) and unlimited (hard)");
    let hard = getrlimit(Resource::RLIMIT_NOFILE).expect("known").1.to_string();
    assert!(error.fix().is_some_and(|fix| fix.contains(&hard)), "{:?}", error.fix());
}

#[test]
fn a_task_leaves_no_core_dump_unless_it_asks_to() {
    assert_eq!(run(sh("ulimit -Sc; ulimit -Hc")).1, "0\n0\n");
    let hard = getrlimit(Resource::RLIMIT_CORE).expect("known").1;
    let (_, text) = run_limited(sh("ulimit -Hc"), &rlimits(&[("core", Some(0), Some(hard.min(1024)))]));
    assert_eq!(text, format!("{}\n", hard.min(1024) / 512));
}

#[test]
fn processor_time_is_capped_for_each_process_as_a_wish() {
    let mut resources = Resources::default();
    resources.enforcement = Enforcement::BestEffort;
    resources.cpu_time = Some(Duration::from_millis(10));
    let (outcome, text) = run_limited(sh("ulimit -St; ulimit -Ht; while :; do :; done"), &resources);
    assert_eq!(text, "1\n2\n");
    assert_eq!((outcome.ended, outcome.cause), (Ended::Signalled(signal(nix::libc::SIGXCPU)), Cause::Own));
}

fn signal(number: i32) -> Signal {
    Signal::new(number).expect("a signal")
}

#[test]
fn niceness_score_and_mask_are_those_asked_for() {
    let mut spec = sh("nice; umask; cat /proc/self/oom_score_adj 2>/dev/null");
    spec.nice = Nice::new(15).ok();
    spec.umask = Umask::new(0o137).ok();
    spec.oom_score_adj = cfg!(target_os = "linux").then(|| OomScoreAdj::new(300).expect("in range"));
    let score = if cfg!(target_os = "linux") { "300\n" } else { "" };
    assert_eq!(run(spec).1, format!("15\n0137\n{score}"));
}

#[test]
fn a_higher_rank_is_given_or_refused_by_name() {
    let mut spec = sh("nice");
    spec.nice = Nice::new(-3).ok();
    if may("renice -n -3 $$") {
        assert_eq!(run(spec).1, "-3\n");
    } else {
        let error = refusal(&spec, &Resources::default());
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("niceness of the task to -3") && error.fix().is_some(), "{error}");
    }
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut spec = sh("cat /proc/self/oom_score_adj");
    spec.oom_score_adj = OomScoreAdj::new(-3).ok();
    if may("echo -3 >/proc/self/oom_score_adj") {
        assert_eq!(run(spec).1, "-3\n");
    } else {
        let error = refusal(&spec, &Resources::default());
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Denied, Some(13)), "{error}");
        assert!(error.to_string().contains("oom_score_adj of the task to -3") && error.fix().is_some(), "{error}");
    }
}
