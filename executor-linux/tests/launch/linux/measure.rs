//! What a start costs beside posix_spawn of the same program, and what a waiting supervisor holds. Run on request:
//! `EXECUTOR_LAUNCH_ROUNDS=200 cargo test --release -p executor-linux --test launch -- measure --nocapture`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use executor_api::TaskSpec;
use executor_linux::launch::{Launcher, Order};
use libtest_mimic::Trial;

use super::rig::{Rig, sh};
use super::trial;

const ROUNDS: &str = "EXECUTOR_LAUNCH_ROUNDS";

/// One trial where it is asked for, and none else: it proves nothing.
pub(crate) fn trials() -> Vec<Trial> {
    let rounds = std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok());
    rounds.map(|rounds| trial("measure", move || measure(rounds))).into_iter().collect()
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads");
}

/// A program that does nothing, without a C library.
fn tiny(path: &std::path::Path) {
    let source = "void _start(void){__asm__ volatile(\"mov $231,%eax; xor %edi,%edi; syscall\");}";
    let mut cc = Command::new("cc");
    cc.args(["-nostdlib", "-static", "-O2", "-x", "c", "-o"]).arg(path).arg("-").stdin(Stdio::piped());
    let mut cc = cc.spawn().expect("a C compiler");
    cc.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("it reads");
    assert!(cc.wait().expect("it ends").success());
}

fn percentile(times: &mut [Duration], of: usize) -> f64 {
    times.sort_unstable();
    times[times.len() * of / 100].as_secs_f64() * 1e6
}

fn measure(rounds: usize) {
    let rig = Rig::new();
    let program = rig.root().join("tiny");
    tiny(&program);
    let mut start_ups: Vec<_> = (0..20)
        .map(|_| {
            let begin = Instant::now();
            Launcher::new().warm_up().expect("a spawner");
            begin.elapsed()
        })
        .collect();
    say(&format!("spawner, to ready and back: p50 {:.0} us", percentile(&mut start_ups, 50)));
    let prepared = rig.prepared(&TaskSpec::new("/tiny"));
    let mut rows = [(); 6].map(|()| Vec::with_capacity(rounds));
    for round in 0..rounds + 20 {
        let begin = Instant::now();
        let status = Command::new(&program).env_clear().stdin(Stdio::null()).status().expect("it starts");
        let spawned = begin.elapsed();
        assert!(status.success());
        let begin = Instant::now();
        let task = rig.start(&TaskSpec::new("/tiny")).expect("it starts");
        let started = begin.elapsed();
        task.wait();
        let whole = begin.elapsed();
        task.is_gone();
        let [root, record, launch] = rig.launch_prepared(&prepared);
        if round >= 20 {
            [spawned, launch, whole, started, root, record]
                .into_iter()
                .zip(&mut rows)
                .for_each(|(time, row)| row.push(time));
        }
    }
    let base = percentile(&mut rows[0], 50);
    let names = [
        "posix_spawn + wait",
        "launch + wait",
        "root + record + launch + wait",
        "  of which to started",
        "root alone",
        "record alone",
    ];
    for (name, row) in names.into_iter().zip(&mut rows) {
        let [p10, p50, p90] = [10, 50, 90].map(|of| percentile(row, of));
        say(&format!("{name}: p10 {p10:.0} p50 {p50:.0} p90 {p90:.0} us, {:.2}x", p50 / base));
    }
    let task = rig.start(&sh("exec sleep 1000")).expect("it starts");
    let pids = [("supervisor", task.supervisor()), ("spawner", rig.launcher.spawner().expect("a spawner"))];
    for (name, pid) in pids {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("text");
        let lines =
            smaps.lines().filter(|line| ["Rss", "Pss:", "Private_Dirty"].iter().any(|name| line.starts_with(name)));
        let figures: Vec<_> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        say(&format!("{name}: {}", figures.join(", ")));
    }
    task.running.order(Order::Kill).expect("it is sent");
    task.wait();
}
