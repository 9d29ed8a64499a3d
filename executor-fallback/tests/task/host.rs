//! Hosts that are not like this test: that ignore signals, are killed, or look for zombies.
//!
//! Each is this program again, running only the test that plays the host; without [`ROLE`] those tests do nothing.

use std::process::{Child, Command};

use executor_api::{Ended, Executor, Output, Resources, StdioFds, TaskSpec};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use crate::{directory, eventually, is_there, run, sh, start, task, wait};

/// Set for a process that plays a host; the value is what it needs to know.
const ROLE: &str = "EXECUTOR_FALLBACK_TEST_ROLE";

/// Runs the test `name` of this program as a host of its own, after a shell has run `before`.
fn play(name: &str, before: &str, knows: &str) -> Child {
    play_after("host", name, before, knows)
}

/// Runs the test `name` of the module `module` as a host of its own.
pub(crate) fn play_in(module: &str, name: &str, knows: &str) -> Child {
    play_after(module, name, "", knows)
}

fn play_after(module: &str, name: &str, before: &str, knows: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{before}exec \"$0\" --exact {module}::{name} --nocapture --test-threads=1")]);
    shell.arg(program).env(ROLE, knows).spawn().expect("a shell")
}

/// What this program needs to know as a host; none where it is none.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

#[test]
fn the_signal_state_of_the_host_does_not_reach_the_task() {
    let status = play("a_host_with_odd_signals", "trap '' HUP INT USR1 CHLD PIPE; ", "odd").wait();
    assert!(status.expect("it ends").success());
}

#[test]
fn a_host_with_odd_signals() {
    if role().is_none() {
        return;
    }
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGUSR2]).thread_block().expect("a mask");
    if cfg!(target_os = "linux") {
        let mut cat = TaskSpec::new("/bin/cat");
        cat.args.push("/proc/self/status".into());
        let (outcome, text) = run(cat);
        assert_eq!(outcome.ended, Ended::Exited(0));
        for field in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            let mask = text.lines().find_map(|line| line.strip_prefix(field)).expect("a mask").trim();
            assert!(mask.bytes().all(|digit| digit == b'0'), "{field} {mask}");
        }
    }
    let (outcome, _) = run(sh("kill -TERM $$"));
    assert_eq!(outcome.ended, Ended::Signalled(executor_api::units::Signal::TERM));
    assert!(task().start(&TaskSpec::new("/no/such"), StdioFds::default()).is_err(), "also where SIGCHLD is ignored");
}

#[test]
fn the_rank_the_mask_and_the_core_limit_of_the_host_do_not_reach_the_task() {
    let before =
        "umask 077; nice=$(renice -n 5 $$); echo 500 2>/dev/null >/proc/self/oom_score_adj; ulimit -Sc $(ulimit -Hc); ";
    assert!(play("a_host_of_low_rank", before, "rank").wait().expect("it ends").success());
}

#[test]
fn a_host_of_low_rank() {
    if role().is_none() {
        return;
    }
    // Without the right to rise, the rank of the host is the best that a task can have.
    let script = "renice -n 0 $$ >/dev/null 2>&1; (echo 0 >/proc/self/oom_score_adj) 2>/dev/null; nice";
    let best = Command::new("/bin/sh").args(["-c", script]).output().expect("a shell").stdout;
    let best = String::from_utf8(best).expect("text");
    assert_eq!(run(sh("nice")).1, best);
    assert_eq!(run(sh("umask; ulimit -Sc; ulimit -Hc")).1, "0022\n0\n0\n");
    if cfg!(target_os = "linux") {
        assert_eq!(std::fs::read_to_string("/proc/self/oom_score_adj").expect("it is there"), "500\n");
        assert_eq!(run(sh("cat /proc/self/oom_score_adj")).1, "0\n");
    }
}

#[test]
fn a_host_has_no_zombies() {
    assert!(play("a_host_that_looks_for_zombies", "", "zombies").wait().expect("it ends").success());
}

#[test]
fn a_host_that_looks_for_zombies() {
    if role().is_none() {
        return;
    }
    let no_children = || nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
    assert!(task().start(&TaskSpec::new("/no/such"), StdioFds::default()).is_err());
    assert_eq!(no_children(), Err(nix::errno::Errno::ECHILD), "a refused start leaves nothing");
    let mut stranger = Command::new("/bin/sh").args(["-c", "exit 4"]).spawn().expect("a child of the host's own");
    let (task, _output) = start(sh("exit 0")).expect("it starts");
    wait(&task);
    eventually("the supervisor is gone", || {
        task.wait(None).expect("known");
        let children = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ours = format!(" {} ", std::process::id());
        let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
        !children.filter_map(stat).any(|stat| stat.contains("(executor-fallba") && stat.contains(&ours))
    });
    assert_eq!(stranger.wait().expect("nobody took its status").code(), Some(4));
    assert_eq!(no_children(), Err(nix::errno::Errno::ECHILD));
}

#[test]
fn a_task_outlives_its_host_and_keeps_its_limit() {
    let directory = directory();
    let out = directory.path().join("out");
    let mut host = play("a_host_that_waits_for_its_end", "", out.to_str().expect("text"));
    let written = || std::fs::read_to_string(&out).unwrap_or_default();
    eventually("the task has written its number", || written().ends_with('\n'));
    let main = Pid::from_raw(written().trim().parse().expect("a number"));
    host.kill().and_then(|()| host.wait()).expect("it was there");
    assert!(is_there(main), "the task lives on");
    eventually("its limit still holds", || !is_there(main));
}

#[test]
fn a_host_that_waits_for_its_end() {
    let Some(out) = role() else { return };
    let task = task();
    let resources: Resources = serde_json::from_str(r#"{"wall_time_ms":2000}"#).expect("well formed");
    task.limit(&resources).expect("a limit");
    let mut spec = sh("echo $$; exec sleep 1000");
    spec.stdout = Output::File { path: out.into(), append: false };
    task.start(&spec, StdioFds::default()).expect("it starts");
    wait(&task);
}

#[test]
fn a_task_whose_object_is_dropped_runs_on() {
    let directory = directory();
    let gate = directory.path().join("gate");
    let script = format!("until test -e {}; do sleep 0.02; done; echo finished", gate.display());
    let (task, mut output) = start(sh(&script)).expect("it starts");
    drop(task);
    std::fs::write(&gate, "").expect("a file");
    assert_eq!(crate::line(&mut output), "finished");
}
